#!/usr/bin/env bash
# paho-mqtt for Python: 3.1.1 and 5, over TCP and WebSocket, and over a kill.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
exec timeout 200 "$PY" "$INTEROP/mqtt/paho_judge.py"
