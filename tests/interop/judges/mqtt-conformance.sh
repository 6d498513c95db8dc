#!/usr/bin/env bash
# Eclipse's interoperability cases for MQTT 3.1.1 and 5.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
exec timeout 120 python3 "$INTEROP/mqtt/conformance.py"
