#!/usr/bin/env bash
# The command-line tools of Debian's amqp-tools: declare, publish, get, consume, delete.
set -u
. "$(dirname "$0")/../lib.sh"
if ! command -v amqp-publish >/dev/null; then
  echo "FAIL amqp-tools is not installed (apt-get install amqp-tools)"
  echo "0 passed, 1 failed"
  exit 1
fi
at=(--server="$HOST" --port="$PORT" --username=guest --password=guest)
queue=tools.$$ scratch=$(mktemp); trap 'rm -f "$scratch"' EXIT
check "declare a durable queue" "$queue" "$(amqp-declare-queue "${at[@]}" -d -q "$queue")"
amqp-publish "${at[@]}" -r "$queue" -p -C text/plain -b one
check "publish a persistent message" 0 $?
check "get it" one "$(amqp-get "${at[@]}" -q "$queue")"
amqp-get "${at[@]}" -q "$queue" >/dev/null 2>&1
check "get from an empty queue exits with 2" 2 $?
seq 1 50 | amqp-publish "${at[@]}" -r "$queue" -l
check "publish 50 lines" 0 $?
found=$(timeout 20 amqp-consume "${at[@]}" -q "$queue" -c 50 -p 7 cat | grep -v '^$' | md5sum)
check "consume 50 in order, 7 at a time" "$(seq 1 50 | md5sum)" "$found"
head -c 300000 /dev/urandom >"$scratch"
amqp-publish "${at[@]}" -r "$queue" <"$scratch"
check "publish 300 kB in several frames" 0 $?
check "get 300 kB whole" "$(md5sum <"$scratch")" "$(amqp-get "${at[@]}" -q "$queue" | md5sum)"
(sleep 1; amqp-publish "${at[@]}" -e amq.topic -r a.b.c -b hit
 amqp-publish "${at[@]}" -e amq.topic -r x.y -b miss) &
found=$(timeout 10 amqp-consume "${at[@]}" -e amq.topic -r 'a.#' -c 1 cat)
check "consume by topic on a server-named queue" hit "$found"
wait
amqp-delete-queue "${at[@]}" -q "$queue" >/dev/null
check "delete the queue" 0 $?
amqp-get "${at[@]}" -q "$queue" >/dev/null 2>&1
check "get from a missing queue exits with 1" 1 $?
at[3]=--password=no
amqp-publish "${at[@]}" -r x -b y >/dev/null 2>&1
check "a wrong password is refused" 1 $?
finish
