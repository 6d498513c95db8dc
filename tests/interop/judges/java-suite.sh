#!/usr/bin/env bash
# The functional suite of RabbitMQ's own Java client, and of its suite for servers what can be asked
# of a single node: the source of Debian's package, with our port put in. `rabbitmqctl` and `make`,
# which it calls, are java_suite/ctl.py and make.py. Needs a JDK, librabbitmq-client-java, junit4,
# libhamcrest-java and libdropwizard-metrics-java.
# The three of java_suite/expected.txt ask for what RabbitMQ 4 does not do any more: x-death of a
# client's message is not believed, and CC stays. RECOVERY=1 adds two minutes of recoveries.
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
at=$INTEROP/judges/java_suite
if ! debian_source rabbitmq-java-client 5.0.0; then
  echo "skipped: the source of rabbitmq-java-client 5.0.0 can not be had here"
  echo "0 passed, 0 failed"
  exit
fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cp -r "$SOURCE/src/test/java" "$work/java"; cd "$work/java" || exit 1
tests=com/rabbitmq/client/test
# That one needs a library which Debian does not have.
rm "$tests/functional/Metrics.java"
sed -i '/Metrics\.class/d' "$tests/functional/FunctionalTests.java"
port='Integer.getInteger("broker.port")'
find com -name '*.java' -exec sed -i "s/new ConnectionFactory()/& {{ setPort($port); }}/
  s/extends ConnectionFactory {/& { setPort($port); }/
  s/AMQP\.PROTOCOL\.PORT/$port/; s/\"127.0.0.1\", 5672/\"127.0.0.1\", $port/
  s/new Address(\"127.0.0.1\")/new Address(\"127.0.0.1\", $port)/" {} +
for jar in amqp-client slf4j-api slf4j-nop junit4 hamcrest-all metrics-core; do
  export CLASSPATH=${CLASSPATH:+$CLASSPATH:}/usr/share/java/$jar.jar
done
javac -nowarn -d "$work/classes" "$at/Suite.java" "$tests"/functional/*.java "$tests"/server/*.java \
  "$tests"/{BrokerTestCase,TestUtils,ConfirmBase,AbstractRMQTestSuite,RequiredPropertiesSuite}.java \
  "$tests"/{BrokenFramesTest,Bug20004Test,RpcTest}.java \
  "$tests"/{CloseInMainLoop,MultiThreadedChannel,SharedThreadPoolTest}.java \
  com/rabbitmq/client/QueueingConsumer.java com/rabbitmq/client/impl/WorkPoolTests.java \
  com/rabbitmq/tools/Host.java >"$work/javac" 2>&1 ||
  { cat "$work/javac"; echo "0 passed, 1 failed"; exit 1; }
mapfile -t classes < <(sed -E 's/ *#.*//; /^$/d' "$at/classes.txt")
[ -z "${RECOVERY:-}" ] || classes+=(functional.ConnectionRecovery)
timeout 400 java -XX:TieredStopAtLevel=1 -cp "$work/classes:$CLASSPATH" -Dbroker.port="$PORT" \
  -Drabbitmqctl.bin="$at/ctl.py" -Dmake.bin="$at/make.py" -Drabbitmq.dir="$work" \
  -Dtest-broker.A.nodename=node -Dtest-broker.A.node_port="$PORT" \
  Suite "${classes[@]}" >"$work/report" 2>&1
pytest_result "$work/report" java-suite "$(<"$at/expected.txt")"
[ "$bad" = 0 ] || grep -E '^(FAILED|ERROR)' "$work/report"
finish
