#!/usr/bin/env bash
# What a node tells Prometheus, probes and the log, compared with what pika did and with RabbitMQ.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
exec timeout 120 "$PY" "$INTEROP/judges/metrics/metrics.py"
