#!/usr/bin/env bash
# The examples of the pages in docs/: they run, and print what they say they print.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
exec timeout 300 "$PY" "$INTEROP/docs.py"
