#!/usr/bin/env bash
# pika, blocking and event driven. One total over its programs.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
ended=0
while read -r line; do
  case $line in
  ok\ *) good=$((good + 1)); echo "$line" ;;
  *\ passed,\ *) ended=$((ended + 1)) ;;
  *) echo "$line"; [[ $line != FAIL* ]] || bad=$((bad + 1)) ;;
  esac
done < <(for program in basics features async restart; do
  timeout 150 "$PY" "$INTEROP/judges/pika/$program.py" 2>&1
done)
check "pika: all four programs came to their end" 4 "$ended"
finish
