#!/usr/bin/env bash
# FerryMQ's own HTTP API, with pika on the other side: the data plane, the workbench, what is
# refused, and promises over a kill. DEAD (10000) is how many dead letters are searched.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
if [ "${BROKER:-ferrymq}" != ferrymq ]; then echo "0 passed, 0 failed"; exit 0; fi
export PYTHONPATH=$INTEROP
said=$(mktemp -d); trap 'rm -rf "$said"' EXIT
play() {
  timeout 120 "$PY" "$INTEROP/judges/http_api/$1.py" >"$said/$1" 2>&1
  echo $? >"$said/$1.ended"
}
play crash & # It has a broker of its own.
for program in data_plane subscriptions workbench doors; do play "$program"; done
wait
for program in data_plane subscriptions workbench doors crash; do
  ended=$(cat "$said/$program.ended")
  while read -r line; do
    case $line in
    ok\ *) good=$((good + 1)); echo "$line" ;;
    *\ passed,\ *) ;;
    *) echo "$line"; [[ $line != FAIL* ]] || bad=$((bad + 1)) ;;
    esac
  done <"$said/$program"
  check "$program came to its end" yes "$(grep -q ' passed, ' "$said/$program" && [ "$ended" -lt 2 ] && echo yes)"
done
finish
