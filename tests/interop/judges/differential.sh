#!/usr/bin/env bash
# The differential suite against the recorded answers of RabbitMQ.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
exec timeout 600 "$INTEROP/differential/run" --b "${BROKER:-ferrymq}" --port "$PORT" --http "$HTTP_PORT"
