#!/usr/bin/env bash
# rumqttc, in Rust: a cargo project of its own, built with one job.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
cargo build --quiet --locked --jobs 1 --manifest-path "$INTEROP/rumqttc/Cargo.toml" \
  --target-dir "$INTEROP_CACHE/rumqttc" || { echo "0 passed, 1 failed"; exit 1; }
exec timeout 150 "$INTEROP_CACHE/rumqttc/debug/rumqttc-judge" "$HOST" "$MQTT_PORT"
