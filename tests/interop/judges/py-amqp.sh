#!/usr/bin/env bash
# The integration suite of py-amqp's own source distribution, unmodified.
# The 15 cases named tls want a server certificate of the suite's own, or the open internet.
# RabbitMQ 3.10.8 passes the other 48 of 63.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv; source_of amqp 5.4.2
cd "$SOURCE" || exit 1
RABBITMQ_HOST=$HOST RABBITMQ_5672_TCP=$PORT RABBITMQ_5671_TCP=0 \
  pytest_suite py-amqp "" t/integration -k "not tls"
