#!/usr/bin/env bash
# The command line against a running node, with pika on the other side (ferrymq only).
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
if [ "${BROKER:-ferrymq}" != ferrymq ]; then echo "0 passed, 0 failed"; exit 0; fi
venv
said=$(mktemp -d); trap 'rm -rf "$said"' EXIT
programs=(objects messages people output care)
for program in "${programs[@]}"; do
  timeout 100 "$PY" "$INTEROP/judges/cli/$program.py" >"$said/$program" 2>&1 &
done
wait
ended=0
for program in "${programs[@]}"; do
  while read -r line; do
    case $line in
    ok\ *) good=$((good + 1)); echo "$line" ;;
    *\ passed,\ *) ended=$((ended + 1)) ;;
    *) echo "$line"; [[ $line != FAIL* ]] || bad=$((bad + 1)) ;;
    esac
  done <"$said/$program"
done
check "cli: all programs came to their end" "${#programs[@]}" "$ended"
finish
