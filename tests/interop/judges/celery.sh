#!/usr/bin/env bash
# A real Celery worker: results over rpc, retries, groups, chains, countdowns, remote control, and a
# worker child that is killed while it holds a task.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
work=$(mktemp -d)
export BROKER=amqp://guest:guest@$HOST:$PORT// CELERY_SCRATCH=$work
cd "$INTEROP/judges/celery" || exit 1
"$PY" -m celery -A tasks worker -c 2 -l WARNING --pidfile "$work/pid" >"$work/log" 2>&1 &
worker=$!
trap 'kill "$worker" 2>/dev/null; wait "$worker" 2>/dev/null; rm -rf "$work"' EXIT
timeout 240 "$PY" checks.py
result=$?
[ $result = 0 ] || tail -30 "$work/log"
exit $result
