#!/usr/bin/env bash
# MQTT on one side, pika on the other: QoS, topics and keys, bursts. MESSAGES (20000).
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
exec timeout 300 "$PY" "$INTEROP/mqtt/bridge.py"
