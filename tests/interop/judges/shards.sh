#!/usr/bin/env bash
# Shard groups under churn. SHARD_SECONDS (20), KEYS (10000), CONSUMERS (16), CHURN_S (2).
# The ten minutes: SHARD_SECONDS=600 CHURN_S=5.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
exec timeout 1400 python3 "$INTEROP/shards.py" --seconds "${SHARD_SECONDS:-20}" \
  --keys "${KEYS:-10000}" --consumers "${CONSUMERS:-16}" --churn "${CHURN_S:-2}"
