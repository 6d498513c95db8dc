#!/usr/bin/env bash
# php-amqp, the extension on which most PHP programs stand. Needs php-cli and php-amqp.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
exec timeout 100 php "$INTEROP/judges/php-amqp.php"
