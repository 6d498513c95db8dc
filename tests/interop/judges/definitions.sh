#!/usr/bin/env bash
# Definitions that RabbitMQ exported, in and out again; by rabbitmqadmin, and by ferrymq's commands.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
exec timeout 100 python3 "$INTEROP/definitions/judge.py"
