#!/usr/bin/env bash
# Every operation with every set of rights, on AMQP and HTTP, as RabbitMQ lets it pass or refuses it.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
exec "$PY" "$INTEROP/permissions/check.py"
