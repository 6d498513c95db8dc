#!/usr/bin/env bash
# Every id three times under cuts and kills, stored once. IDS (20000), KILLS (5).
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
exec timeout 1400 python3 "$INTEROP/once.py" --ids "${IDS:-20000}" --kills "${KILLS:-5}"
