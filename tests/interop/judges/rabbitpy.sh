#!/usr/bin/env bash
# The integration suite of rabbitpy, from its source distribution, unmodified.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv; source_of rabbitpy 3.0.2
cd "$SOURCE" || exit 1
RABBITMQ_URL=amqp://guest:guest@$HOST:$PORT/%2F \
  pytest_suite rabbitpy "" tests/test_integration.py -W ignore
