#!/usr/bin/env bash
# Runs bench/soak.py with the clients that the judges use; options go to it (soak.sh --help).
# Environment: FERRYMQ (default: target/release/ferrymq), INTEROP_PORTS, INTEROP_CACHE.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tests/interop/lib.sh"
venv
export FERRYMQ=${FERRYMQ:-$root/target/release/ferrymq}
exec "$PY" "$root/bench/soak.py" "$@"
