#!/usr/bin/env bash
# Bunny, the Ruby client, over a kill at the end. Needs ruby-bunny.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
export INTEROP
exec timeout 150 ruby "$INTEROP/judges/bunny.rb"
