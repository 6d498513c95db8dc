#!/usr/bin/env bash
# amqplib, on Node.js.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
node_package amqplib@2.3.1
exec timeout 150 node "$INTEROP/judges/amqplib.js"
