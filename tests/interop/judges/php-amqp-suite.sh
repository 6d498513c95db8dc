#!/usr/bin/env bash
# php-amqp's own suite, from the source of Debian's package. What is left out, and where ours is
# different from the broker that it was written for, is in php_amqp_suite/known.toml, with reasons.
# Needs php-cli and php-amqp.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
if ! debian_source php-amqp 1.11.0 amqp-1.11.0; then
  echo "skipped: the source of php-amqp 1.11.0 can not be had here"
  echo "0 passed, 0 failed"
  exit
fi
# shellcheck disable=SC2086  # several names
exec timeout 500 python3 "$INTEROP/judges/php_amqp_suite/suite.py" "$SOURCE/tests" ${PHP_TESTS:-}
