#!/usr/bin/env bash
# The AMQP part of kombu's own integration suite, unmodified. RabbitMQ 3.10.8 passes all 51, one of
# them by luck: test_ack_from_another_thread deletes a queue that its channel consumes from and
# fails when the consumer's cancel overtakes delete-ok. Ours must answer the delete first.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv; source_of kombu 5.7.0
cd "$SOURCE" || exit 1
suite=t/integration/test_py_amqp.py may_fail=
[ "${BROKER:-ferrymq}" = ferrymq ] ||
  may_fail=$suite::test_PyAMQPEventLoop::test_ack_from_another_thread
RABBITMQ_HOST=$HOST RABBITMQ_5672_TCP=$PORT pytest_suite kombu "$may_fail" "$suite"
