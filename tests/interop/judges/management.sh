#!/usr/bin/env bash
# The management API by those who know RabbitMQ's: its own rabbitmqadmin command by command, clients
# of its API, and field by field against what it shows itself.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
venv
ended=0 wanted=2
count() {
  while read -r line; do
    case $line in
    ok\ *) good=$((good + 1)); echo "$line" ;;
    *\ passed,\ *) ended=$((ended + 1)) ;;
    *) echo "$line"; [[ $line != FAIL* ]] || bad=$((bad + 1)) ;;
    esac
  done
}

# rabbitmqadmin as it is installed, or as it is in Debian's package.
rabbitmqadmin() {
  local pattern='usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbitmq_management-*/priv/www/cli'
  SCRIPT=$(compgen -G "/$pattern/rabbitmqadmin" | head -1)
  [ -n "$SCRIPT" ] && return
  debian_programs rabbitmq-server && SCRIPT=$(compgen -G "$UNPACKED/$pattern/rabbitmqadmin" | head -1)
}

rabbitmqadmin
if [ -n "$SCRIPT" ]; then
  wanted=$((wanted + 1))
  count < <(timeout 240 "$PY" "$INTEROP/management/session.py" check "$SCRIPT" "$HTTP_PORT" \
    "$BROKER" "$PORT" 2>&1)
else
  echo "skipped: there is no rabbitmqadmin, and no package to take it from"
fi
count < <(timeout 60 "$PY" "$INTEROP/management/fields.py" check "$HTTP_PORT" "$PORT" 2>&1)
count < <(timeout 60 "$PY" "$INTEROP/management/clients.py" 2>&1)
check "management: all programs came to their end" "$wanted" "$ended"
finish
