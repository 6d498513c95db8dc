#!/usr/bin/env bash
# Mosquitto's own suite for its broker, from the source of Debian's package, with a broker of ours
# in Mosquitto's place, or with Debian's Mosquitto itself. What is left out, and where ours is
# different, is in mosquitto_suite/known.toml, each with its reason: what is different there must
# fail. MOSQUITTO_TESTS="01- 07-will" runs some of it.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
if ! debian_source mosquitto 2.0.11; then
  echo "skipped: the source of mosquitto 2.0.11 can not be had here"
  echo "0 passed, 0 failed"
  exit
fi
# shellcheck disable=SC2086  # several names
exec timeout 500 python3 "$INTEROP/judges/mosquitto_suite/suite.py" "$SOURCE/test" ${MOSQUITTO_TESTS:-}
