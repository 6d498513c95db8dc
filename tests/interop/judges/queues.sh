#!/usr/bin/env bash
# Queues that do the work: schedule, retry, settle, lease, de-duplicate, dead-letter, dispatch, and
# policies. All programs but the last at once: most of their time is waiting. One total over all.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
said=$(mktemp -d); trap 'rm -rf "$said"' EXIT
programs=(schedule retry settle lease deduplicate dead_letters bad_arguments transactions policies
  clients dispatch crash)
play() { timeout 280 "$PY" "$INTEROP/judges/queues/$1.py" >"$said/$1" 2>&1; }
for program in "${programs[@]:0:10}"; do play "$program" & done
wait
play dispatch
play crash
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
check "queues: all programs came to their end" "${#programs[@]}" "$ended"
finish
