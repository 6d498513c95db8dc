#!/usr/bin/env bash
# MQTT.js on Node.js: 3.1.1 and 5, over TCP and WebSocket.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
node_package mqtt@5.16.0
exec timeout 150 node "$INTEROP/mqtt/mqttjs.js"
