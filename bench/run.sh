#!/usr/bin/env bash
# Starts brokers, runs a suite on them, writes RESULT.md, RESULT.jsonl and RESULT/*.svg into
# bench/results (BENCH_RESULTS), and stops them. A peer that does not start is left out, and named.
#   run.sh RESULT BROKER... [-- OPTION...]
# BROKER: a name of peers.sh; ratios are to the first one. OPTION: any of `bench suite`.
#   bench/run.sh 2026-11-first ferrymq rabbitmq nats -- --scenario T1,T3,T7 --rounds 5
# Build before: cargo build --release -p bench -p ferrymq
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
[ $# -ge 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 1; }
result=$1
shift
brokers=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  brokers+=("$1")
  shift
done
[ $# -eq 0 ] || shift
bench=target/release/bench
[ -x $bench ] || { echo "$bench is not there: cargo build --release -p bench" >&2; exit 1; }
dir=${BENCH_DIR:-$root/target/bench}
export BENCH_DIR=$dir
results=${BENCH_RESULTS:-bench/results}

stop_all() {
  for name in "${brokers[@]}"; do bench/peers.sh stop "$name" || true; done
}
trap stop_all EXIT

# begin NAME: an empty folder, the broker in it, and a wait until it answers.
begin() {
  local name=$1
  bench/peers.sh stop "$name"
  rm -rf "${dir:?}/$name"
  mkdir -p "$dir/$name"
  bench/peers.sh start "$name" > "$dir/$name/out" 2>&1 &
  if [[ $name == ferrymq* ]]; then
    for _ in $(seq 300); do
      ! grep -qx ready "$dir/$name/out" || break
      sleep 0.1
    done
    grep -qx ready "$dir/$name/out" || return 1
  fi
  $bench wait "$(bench/peers.sh target "$name")" --limit 60
}

targets=() absent=()
for name in "${brokers[@]}"; do
  if begin "$name"; then
    targets+=("$(bench/peers.sh target "$name")")
  else
    tail -n 20 "$dir/$name/out" >&2
    absent+=("$name")
  fi
done
# the first is the one that all others are held against
[ "${absent[0]:-}" != "${brokers[0]}" ] || exit 1

mkdir -p "$results"
$bench suite "${targets[@]}" --out "$results/$result.md" \
  --start-cmd 'bench/peers.sh start {name} >> $BENCH_DIR/{name}/out 2>&1' \
  --stop-cmd 'bench/peers.sh stop {name}' "$@" |
  tee "$results/$result.jsonl"
if [ ${#absent[@]} -gt 0 ]; then
  printf '\n## Not there\n\nThese did not start: %s.\n' "${absent[*]}" >> "$results/$result.md"
fi
