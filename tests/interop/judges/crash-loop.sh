#!/usr/bin/env bash
# Kills the broker again and again under confirmed load. CYCLES (20).
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
exec timeout 900 python3 "$INTEROP/crash_loop.py" --broker "${BROKER:-ferrymq}" \
  --cycles "${CYCLES:-20}"
