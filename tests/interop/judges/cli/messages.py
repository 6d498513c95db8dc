"""Messages: published, taken, looked at, moved, purged, replayed, with pika on the other side."""

import json
import os
import pathlib
import subprocess
import tempfile

from kit import (Checks, FAILED, REFUSED, as_json, binary, channel, code, count_of, environment,
                 name, ok, pika, rows, run, until)

BYTES = bytes(range(256)) * 3


def queue_of(*more):
    queue = name()
    ok("declare", "queue", queue, *more)
    return queue


def taken(queue):
    """(properties, body) of the next message, taken by pika."""
    with channel() as opened:
        method, properties, body = opened.basic_get(queue, auto_ack=True)
        return properties, body


def a_message_arrives_with_its_properties():
    queue = queue_of()
    ok("publish", queue, "a book", "--header", "tenant=acme", "--header", "n=5",
       "--header", 's="5"', "--content-type", "text/plain", "--message-id", "m-1", "--priority",
       "3", "--correlation-id", "c", "--reply-to", "r", "--type", "t", "--expiration-ms", "60000")
    properties, body = taken(queue)
    assert body == b"a book"
    assert properties.headers == {"tenant": "acme", "n": 5, "s": "5"}, properties.headers
    assert (properties.content_type, properties.message_id) == ("text/plain", "m-1")
    assert (properties.priority, properties.delivery_mode) == (3, 2)
    assert (properties.correlation_id, properties.reply_to, properties.type) == ("c", "r", "t")
    assert properties.expiration == "60000"


def bodies_come_from_arguments_files_and_standard_input():
    queue = queue_of()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "body")
        path.write_bytes(BYTES)
        ok("publish", queue, "--file", str(path))
        ok("publish", queue, stdin=BYTES)
        ok("publish", queue, "--file", "-", stdin=b"")
        ok("publish", queue, "--lines", stdin=b"one\ntwo\r\n\nlast")
        code(2, "publish", queue, "--file", str(path) + ".none")
    bodies = [taken(queue)[1] for _ in range(7)]
    assert bodies == [BYTES, BYTES, b"", b"one", b"two\r", b"", b"last"], bodies


def many_are_published_and_counted():
    queue = queue_of()
    ok("publish", queue, "x" * 2000, "--count", "1234")
    assert count_of(queue) == 1234
    ok("publish", queue, "x", "--count", "0")
    assert count_of(queue) == 1234


def what_finds_no_queue_is_told():
    done = run("publish", name(), "x")
    assert done.returncode == 0 and b"found no queue" in done.stderr
    code(FAILED, "publish", name(), "x", "--mandatory")
    code(REFUSED, "publish", "--exchange", name(), "key", "x")


def a_full_queue_refuses():
    queue = queue_of("--max-length", "2", "--overflow", "reject-publish")
    code(FAILED, "publish", queue, "x", "--count", "5")
    assert count_of(queue) == 2


def a_delay_is_kept():
    queue = queue_of()
    ok("publish", queue, "later", "--delay-ms", "60000")
    assert count_of(queue) == 0
    found = as_json("peek", queue, "--state", "delayed")
    assert len(found) == 1 and found[0]["payload"] == "later"
    ok("purge", queue, "--delayed")
    assert as_json("peek", queue, "--state", "delayed") == []


def consume_takes_bytes_as_they_are():
    queue = queue_of()
    with channel() as opened:
        for body in (BYTES, b"two", b"three"):
            opened.basic_publish("", queue, body, pika.BasicProperties(headers={"n": 1}))
    assert run("consume", queue, "--count", "1").stdout == BYTES + b"\n"
    line = ok("consume", queue, "--count", "1", "--json")
    assert line.count("\n") == 1 and json.loads(line)["payload"] == "two"
    assert run("consume", queue, "--idle-s", "1").stdout == b"three\n"
    assert count_of(queue) == 0


def get_takes_what_is_there():
    queue = queue_of()
    done = run("get", queue)
    assert done.returncode == 0 and done.stdout == b"" and b"no message" in done.stderr
    with channel() as opened:
        for number in range(250):
            opened.basic_publish("", queue, b"%d" % number)
    assert run("get", queue, "--count", "3", "--ack", "requeue").stdout == b"0\n1\n2\n"
    assert count_of(queue) == 250
    found = run("get", queue, "--count", "1000").stdout.split()
    assert found == [b"%d" % number for number in range(250)]
    code(REFUSED, "get", name())


def a_rejected_message_is_replayed_once():
    dead = queue_of()
    queue = queue_of("--dead-letter-exchange", "", "--dead-letter-key", dead)
    for number in range(6):
        ok("publish", queue, f"order {number}", "--message-id", f"id-{number}")
    assert run("get", queue, "--count", "6", "--ack", "reject").returncode == 0
    until(lambda: count_of(dead) == 6)
    assert {row["died of"] for row in rows("peek", dead)} == {"rejected"}
    one = as_json("peek", dead, "--id", "id-3")
    assert [message["payload"] for message in one] == ["order 3"]
    ok("replay", dead, "--to", "1d")
    assert (count_of(dead), count_of(queue)) == (6, 0)
    ok("replay", dead, "--text", "order 1", "--reason", "rejected")
    assert (count_of(dead), count_of(queue)) == (5, 1)
    ok("replay", dead, "--ref", one[0]["ref"])
    ok("replay", dead, "--all", "--rate", "500")
    assert (count_of(dead), count_of(queue)) == (0, 6)
    assert any(row["queue"] == dead and row["state"] == "done" for row in rows("replays"))
    code(2, "replay", dead)
    code(REFUSED, "replays", "stop", "99999999")


def peek_leaves_everything_as_it_was():
    queue = queue_of()
    for number in range(30):
        ok("publish", queue, f"number {number}", "--header", f"n={number}")
    assert len(rows("peek", queue)) == 10
    assert len(rows("peek", queue, "--limit", "100")) == 30
    found = as_json("peek", queue, "--filter", "n >= 28")
    assert [message["payload"] for message in found] == ["number 28", "number 29"]
    assert ok("peek", queue, "--limit", "2", "--raw") == "number 0\nnumber 1\n"
    code(REFUSED, "peek", queue, "--filter", "n >=")
    with channel() as opened:
        method, _, body = opened.basic_get(queue, auto_ack=True)
        assert body == b"number 0" and not method.redelivered


def messages_are_moved_and_purged_by_condition():
    source, target = queue_of(), queue_of()
    for number in range(20):
        ok("publish", source, f"m{number}", "--header", f"n={number}")
    ok("move", source, target, "--filter", "n < 5")
    assert (count_of(source), count_of(target)) == (15, 5)
    ref = as_json("peek", source, "--filter", "n = 7")[0]["ref"]
    ok("move", source, target, "--ref", ref)
    ok("purge", source, "--filter", "n > 17")
    assert (count_of(source), count_of(target)) == (12, 6)
    ok("move", source, target, "--all")
    assert (count_of(source), count_of(target)) == (0, 18)
    ok("purge", target)
    assert count_of(target) == 0
    code(2, "move", source, target)
    ok("publish", source, "stays")
    assert run("move", source, name(), "--all").returncode in (FAILED, REFUSED)
    assert count_of(source) == 1
    code(REFUSED, "purge", name())


def a_consumer_that_is_killed_takes_nothing_away():
    queue = queue_of()
    read, write = os.pipe()
    os.close(read)
    ok("publish", queue, "kept", "--count", "3")
    done = subprocess.run([binary(), "consume", queue, "--count", "3", "--lease-ms", "1000"],
                          stdout=write, stderr=subprocess.PIPE, env=environment(), timeout=30)
    os.close(write)
    assert b"panicked" not in done.stderr, done.stderr
    until(lambda: count_of(queue) == 3)


def main():
    """All of them."""
    checks = Checks()
    for check in (a_message_arrives_with_its_properties,
                  bodies_come_from_arguments_files_and_standard_input,
                  many_are_published_and_counted, what_finds_no_queue_is_told,
                  a_full_queue_refuses, a_delay_is_kept, consume_takes_bytes_as_they_are,
                  get_takes_what_is_there, a_rejected_message_is_replayed_once,
                  peek_leaves_everything_as_it_was, messages_are_moved_and_purged_by_condition,
                  a_consumer_that_is_killed_takes_nothing_away):
        checks.run("cli " + check.__name__.replace("_", " "), check)
    checks.finish()


if __name__ == "__main__":
    main()
