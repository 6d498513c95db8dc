#!/usr/bin/env bash
# From RabbitMQ to FerryMQ and back by shovels and federation, over kills. MESSAGES (2000). Needs
# rabbitmq-server; it starts one of its own.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
if [ "$BROKER" != ferrymq ] || [ ! -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
  echo "skipped: this is between FerryMQ and a RabbitMQ of this machine"
  echo "0 passed, 0 failed"
  exit
fi
venv
exec timeout 400 "$PY" "$INTEROP/moving.py" --messages "${MESSAGES:-2000}"
