#!/usr/bin/env bash
# The AMQP part of kombu's own integration suite, unmodified. RabbitMQ 3.10.8 passes all 51, one of
# them by luck: test_ack_from_another_thread deletes a queue that its channel consumes from and
# fails when the consumer's cancel overtakes delete-ok. Ours must answer the delete first.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv; source_of kombu 5.7.0
cd "$SOURCE" || exit 1
report=$(mktemp); trap 'rm -f "$report" "$report.may"' EXIT
suite=t/integration/test_py_amqp.py
touch "$report.may"
[ "${BROKER:-ferrymq}" = ferrymq ] ||
  echo "$suite::test_PyAMQPEventLoop::test_ack_from_another_thread" >"$report.may"
RABBITMQ_HOST=$HOST RABBITMQ_5672_TCP=$PORT "$PY" -m pytest "$suite" \
  -q -rA -p no:cacheprovider --timeout 60 --tb=short >"$report" 2>&1
pytest_result "$report" kombu "$report.may"
[ "$bad" = 0 ] || grep -vE '^(PASSED|WARNING)' "$report" | tail -60
finish
