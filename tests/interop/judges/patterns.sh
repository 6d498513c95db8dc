#!/usr/bin/env bash
# Patterns of use, end to end: leases as locks, equal receivers, a square wave, replacement under
# load, a backlog in order, services and instances, a wire tap, lost consumers, a bad network. All
# programs but the one that measures shares run at once: most of their time is waiting.
# Sizes, each told in its program: LOCKS (10000), LEASE_MS (3000), EARLY_MS (5), SHARES (60),
# BURST_S (5; 60 for all of it), WAVES (2), ROLLS (2), PACE (400), MESSAGES (100000; 1000000 for all
# of it), STOPS (8), ORDERS (400), HELD (500), SENT (1200), LIFE_S (1.5). SEED repeats what was
# drawn; ONLY is a part of a scenario's name.
# BROKEN=HOW tries the judge on a broken broker (patterns/broken.py): it must fail.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
said=$(mktemp -d); trap 'rm -rf "$said"' EXIT
at=$INTEROP/judges/patterns
export SEED=${SEED:-$((RANDOM << 15 | RANDOM))}
if [ -n "${BROKEN:-}" ]; then
  coproc "$PY" "$at/broken.py" "$BROKEN" "$PORT"
  read -r PORT <&"${COPROC[0]}"
  export PORT
fi
together=(proof levelling replacement services backlog acks network)
play() { timeout 1400 "$PY" "$at/$1.py" >"$said/$1" 2>&1; }
for program in "${together[@]}"; do play "$program" & running+=($!); done
wait "${running[@]}"
play receivers
count() { cat "$said"/* | grep -cE "$1"; }
totals='^[0-9]+ passed, [0-9]+ failed$'
grep -hvE "$totals" "$said"/*
good=$(count '^ok ') bad=$(count '^FAIL ')
check "patterns: all programs came to their end" "$((${#together[@]} + 1))" "$(count "$totals")"
finish
