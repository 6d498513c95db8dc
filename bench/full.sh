#!/usr/bin/env bash
# Everything beside the peers from Debian, in one go: installs those that are missing, builds, runs
# all scenarios in turns with the relay and the disk as the machine's limits, and writes
# bench/results/RESULT.md (default: today), RESULT.jsonl and RESULT/*.svg.
#   full.sh [RESULT [OPTION...]]     OPTION: any of `bench suite`, behind those given here
# Needs Debian or a relative of it, and root or sudo if a peer is missing. About half an hour; with
# `--rounds 2` below 25 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

# PROGRAM=PACKAGE; a program counts as there if it is where its package puts it.
peers=(/usr/lib/rabbitmq/bin/rabbitmq-server=rabbitmq-server /usr/sbin/mosquitto=mosquitto
  /usr/sbin/nats-server=nats-server /usr/bin/redis-server=redis-server)

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

missing=()
for peer in "${peers[@]}"; do
  [ -x "${peer%%=*}" ] || missing+=("${peer#*=}")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing from Debian: ${missing[*]}" >&2
  as_root apt-get -qq update
  DEBIAN_FRONTEND=noninteractive as_root apt-get -qq install --no-install-recommends -y \
    "${missing[@]}" > /dev/null || echo "not all can be installed; the others go on" >&2
fi
[ -n "${BENCH_BUILT:-}" ] || cargo build --release --package ferrymq --package bench

result=${1:-$(date +%F)}
shift || true
dir=${BENCH_DIR:-$PWD/target/bench}
mkdir -p "$dir"
bench/run.sh "$result" ferrymq rabbitmq nats redis-always ferrymq-mqtt mosquitto relay \
  relay-log -- \
  --scenario all --disk "$dir" --rounds 3 --secs 2 --warmup 0.5 --settle 3 --messages 500000 "$@"
