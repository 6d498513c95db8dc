#!/usr/bin/env bash
# paho-mqtt on one side, pika on the other: the rows of docs/message-map.md, both ways and back.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
exec timeout 200 "$PY" "$INTEROP/judges/message_map/judge.py"
