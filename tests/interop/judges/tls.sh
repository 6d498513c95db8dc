#!/usr/bin/env bash
# TLS, certificates, proxies, tokens and an HTTP service for log-ins, against brokers of its own.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
if [ "${BROKER:-ferrymq}" != ferrymq ]; then
  echo "skipped: RabbitMQ's settings for these are others"
  finish
  exit
fi
venv
node_package amqplib@2.3.1
ended=0
while read -r line; do
  case $line in
  ok\ *) good=$((good + 1)); echo "$line" ;;
  *\ passed,\ *) ended=$((ended + 1)) ;;
  *) echo "$line"; [[ $line != FAIL* ]] || bad=$((bad + 1)) ;;
  esac
done < <(for program in sealed proxied tokens service; do
  timeout 150 "$PY" "$INTEROP/judges/tls/$program.py" 2>&1
done)
check "tls: all four programs came to their end" 4 "$ended"
finish
