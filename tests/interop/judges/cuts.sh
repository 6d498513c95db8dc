#!/usr/bin/env bash
# Cuts producers and consumers off again and again. ROUNDS (20), MESSAGES (50000).
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
exec timeout 900 python3 "$INTEROP/cuts.py" --broker "${BROKER:-ferrymq}" \
  --rounds "${ROUNDS:-20}" --messages "${MESSAGES:-50000}"
