#!/usr/bin/env bash
# RabbitMQ's own Java client, with blocking and with non-blocking sockets, over a kill at the end.
# Needs a JDK and librabbitmq-client-java.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
jars=/usr/share/java
export INTEROP CLASSPATH=$jars/amqp-client.jar:$jars/slf4j-api.jar:$jars/slf4j-nop.jar
classes=$(mktemp -d); trap 'rm -rf "$classes"' EXIT
javac -Xlint:all,-processing,-classfile -Werror -d "$classes" "$INTEROP"/judges/java/*.java ||
  { echo "0 passed, 1 failed"; exit 1; }
CLASSPATH+=:$classes timeout 200 java -XX:TieredStopAtLevel=1 Judge
