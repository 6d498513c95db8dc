#!/usr/bin/env bash
# WebSocket: MQTT.js and @cloudamqp/amqp-client on Node.js, Python's `websockets` with JSON; each at
# the address for HTTP and at a port of its own, plain and over TLS (ferrymq only).
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
if [ "${BROKER:-ferrymq}" != ferrymq ]; then
  echo "skipped: RabbitMQ speaks these on ports of plug-ins"
  finish
  exit
fi
venv
for package in mqtt@5.16.0 @cloudamqp/amqp-client@4.1.1 ws@8.23.0; do node_package "$package"; done
export PYTHONPATH=$INTEROP:$INTEROP/judges/tls
exec timeout 200 "$PY" "$INTEROP/judges/websocket/judge.py"
