#!/usr/bin/env bash
# Malformed MQTT packets and protocol errors, with a canary beside; memory before CONNECT.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
exec timeout 200 python3 "$INTEROP/mqtt/bad.py"
