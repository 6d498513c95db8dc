#!/usr/bin/env bash
# aio-pika's own suite, from its source distribution. Left out: messages of 20 MB, which are more
# than a broker takes (16 MiB here and in RabbitMQ 4.0); certificates of a container; brokers that
# are restarted by commands in one (the judge aio-pika kills its own); what the client's garbage
# collector has to find in time; and a reconnect that does not work with RabbitMQ 3.10.8 either.
# The slow file test_amqp_robust.py is test_amqp.py once more, with a proxy or a pool as a detour.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv; source_of aio_pika 10.2.1
cd "$SOURCE" || exit 1
left_out=()
for name in amqp_robust amqp_robust_proxy amqps memory_leak pool reconnect_channel_snapshot robust_recovery; do
  left_out+=(--ignore "tests/test_$name.py")
done
PYTHONPATH=$PYTHONPATH:$INTEROP/judges/aio_pika_suite pytest_suite aio-pika "" tests \
  -p no_docker -p no:asyncio -W ignore "${left_out[@]}" -k "not big_message"
