#!/usr/bin/env bash
# librabbitmq, in C. Needs gcc and librabbitmq-dev.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
gcc -O1 -Wall -Wextra -Werror -o "$INTEROP_CACHE/librabbitmq" "$INTEROP/judges/librabbitmq.c" \
  -lrabbitmq ||
  { echo "0 passed, 1 failed"; exit 1; }
exec timeout 100 "$INTEROP_CACHE/librabbitmq" "$HOST" "$PORT"
