#!/usr/bin/env bash
# Power cuts and failing disk calls of the whole node, in short. CYCLES_POWER (4), SEED (fresh).
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
if [ "${BROKER:-ferrymq}" != ferrymq ]; then
  echo "skipped: it knows how FerryMQ ends when a call fails"
  finish
  exit
fi
power=$INTEROP/../power

# lines NAME COMMAND...: counts the command's `N passed, M failed`; a command without them failed.
lines() {
  local name=$1 output passed failed
  shift
  output=$(timeout 300 "$@" 2>&1)
  echo "$output"
  read -r passed failed < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' <<<"$output")
  check "$name ran" yes "${passed:+yes}"
  good=$((good + ${passed:-0})) bad=$((bad + ${failed:-0}))
}

lines "power cuts" "$power/cut" --cycles "${CYCLES_POWER:-4}" ${SEED:+--seed "$SEED"}
for weaker in "--sync written" "--disk lying" "--disk nameless"; do
  # shellcheck disable=SC2086
  check "a cut with $weaker loses" "a weaker promise: it lost, as it must" \
    "$("$power/cut" --cycles 12 $weaker 2>&1 | tail -1)"
done
lines "failing calls" "$power/calls" --jobs 3
finish
