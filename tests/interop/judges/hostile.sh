#!/usr/bin/env bash
# Hostile clients, slow peers and broken disks, against brokers of its own. HOSTILE_SCALE (1).
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
if [ "${BROKER:-ferrymq}" != ferrymq ]; then
  echo "skipped: these are promises of ferrymq"
  finish
  exit
fi
exec timeout 600 python3 "$INTEROP/hostile/run"
