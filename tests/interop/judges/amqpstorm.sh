#!/usr/bin/env bash
# AMQPStorm's own suite, from its source distribution: AMQP, and its client of the management API.
# Left out: TLS with a certificate of the suite's own, and an address that nobody has.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv; source_of amqpstorm 3.1.4
cd "$SOURCE" || exit 1
export AMQP_HOST=$HOST AMQP_USERNAME=guest AMQP_PASSWORD=guest
export AMQP_URI=amqp://guest:guest@$HOST:$PORT/%2F AMQP_HTTP_URL=http://$HOST:$HTTP_PORT
suite=amqpstorm/tests/functional
PYTHONPATH=$PYTHONPATH:$INTEROP/judges/amqpstorm_suite pytest_suite amqpstorm "" "$suite" \
  -p own_port --ignore "$suite/ssl" -k "not with_inaccessible" -W ignore
