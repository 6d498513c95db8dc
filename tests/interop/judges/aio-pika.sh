#!/usr/bin/env bash
# aio-pika, on asyncio.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
exec timeout 150 "$PY" "$INTEROP/judges/aio_pika_judge.py"
