#!/usr/bin/env bash
# Order, choice, replay and rules: shard groups, filters, streams, hash exchanges, policies, limits,
# rates, interceptors, passports, gathering. RATE_S (10; 60 for the 2 %) is how long a rate is measured.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
programs=(shards shards_with language filters streams hashes policies interceptors passport gather
  clients limits rates crash)
[ "${BROKER:-ferrymq}" = ferrymq ] || programs=(streams hashes policies clients limits)
said=$(mktemp -d); trap 'rm -rf "$said"' EXIT
play() { timeout "$((200 + ${RATE_S:-10} * 2))" "$PY" "$INTEROP/judges/order/$1.py" >"$said/$1" 2>&1; }
# Those that measure time run by themselves; the others mostly wait.
for program in "${programs[@]}"; do
  case $program in rates | crash) ;; *) play "$program" & ;; esac
done
wait
for program in "${programs[@]}"; do
  case $program in rates | crash) play "$program" ;; esac
done
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
check "order: all programs came to their end" "${#programs[@]}" "$ended"
finish
