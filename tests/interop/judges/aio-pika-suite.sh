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
report=$(mktemp); trap 'rm -f "$report"' EXIT
left_out=()
for name in amqp_robust amqp_robust_proxy amqps memory_leak pool reconnect_channel_snapshot robust_recovery; do
  left_out+=(--ignore "tests/test_$name.py")
done
PYTHONPATH=$PYTHONPATH:$INTEROP/judges/aio_pika_suite "$PY" -m pytest tests -p no_docker \
  -q -rA -p no:cacheprovider -p no:asyncio --timeout 60 --tb=short -W ignore \
  "${left_out[@]}" -k "not big_message" >"$report" 2>&1
pytest_result "$report" aio-pika /dev/null
[ "$bad" = 0 ] || grep -vE '^(PASSED|WARNING)' "$report" | tail -60
finish
