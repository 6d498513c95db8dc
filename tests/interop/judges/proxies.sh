#!/usr/bin/env bash
# HAProxy and nginx in front of a broker of its own, configured as docs/behind-a-proxy.md says: AMQP,
# MQTT, HTTP and WebSocket through them, whose addresses come through, who is quiet, and a stop.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
if [ "${BROKER:-ferrymq}" != ferrymq ]; then
  echo "skipped: the page is FerryMQ's"
  finish
  exit
fi
venv
if ! debian_programs haproxy liblua5.3-0 nginx libnginx-mod-stream; then
  echo "skipped: the packages of haproxy and nginx can not be had here"
  finish
  exit
fi
exec timeout 200 "$PY" "$INTEROP/judges/proxies/judge.py"
