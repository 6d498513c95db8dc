#!/usr/bin/env bash
# The integration suite of rabbitpy, from its source distribution, unmodified.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv; source_of rabbitpy 3.0.2
cd "$SOURCE" || exit 1
report=$(mktemp); trap 'rm -f "$report"' EXIT
RABBITMQ_URL=amqp://guest:guest@$HOST:$PORT/%2F "$PY" -m pytest tests/test_integration.py \
  -q -rA -p no:cacheprovider --timeout 60 --tb=short -W ignore >"$report" 2>&1
pytest_result "$report" rabbitpy /dev/null
[ "$bad" = 0 ] || grep -vE '^(PASSED|WARNING)' "$report" | tail -60
finish
