#!/usr/bin/env bash
# kill -9 between each two packets of QoS 2 and QoS 1 exchanges. MESSAGES (400), KILLS (5), SEED.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
if [[ ${BROKER:-ferrymq} = rabbitmq* ]]; then
  echo "skipped: RabbitMQ 3 has no QoS 2 deliveries"
  finish
  exit
fi
exec timeout 300 python3 "$INTEROP/mqtt/kills.py"
