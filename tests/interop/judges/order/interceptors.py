"""Interceptors set by policy: headers, stamps, required fields, sizes, schemas, kinds."""

import json
import time

import tools
from tools import (Team, closed, connect, cut, equal, fresh, make, policy, properties, publish,
                   ready, returned, run, take)

SCHEMA = {"type": "object", "required": ["id"], "properties": {
    "id": {"type": "integer", "minimum": 1}, "name": {"type": "string", "maxLength": 5}}}


def ruled(ch, definition, kind="fanout"):
    """(exchange with these rules, queue behind it)."""
    exchange, queue = fresh("rules"), make(ch)
    ch.exchange_declare(exchange, kind, durable=True)
    ch.queue_bind(queue, exchange, "k" if kind == "direct" else "")
    policy(f"^{exchange}$", definition, **{"apply-to": "exchanges"})
    return exchange, queue


def refusal(exchange, body=b"x", headers=None, key="", **props):
    """(code, text) of a publish that breaks a rule."""
    connection = connect()
    channel = connection.channel()
    try:
        return closed(lambda: publish(channel, key, body, headers, exchange, **props))
    finally:
        cut(connection)


def broken(exchange, words, *args, **options):
    """It is refused with 406, which names the exchange and what is wrong."""
    code, text = refusal(exchange, *args, **options)
    missing = [word for word in (exchange, *words) if word not in text]
    equal((code, missing), (406, []))
    return text


def set_and_remove_headers(ch):
    """Added, replaced, removed; everything else stays as it was."""
    exchange, queue = ruled(ch, {"set-headers": {"region": "eu", "level": 3, "live": True},
                                 "remove-headers": ["secret", "none"]})
    publish(ch, "", b"body", {"secret": "s", "region": "us", "own": [1, {"a": None}]}, exchange,
            message_id="m", priority=3, type="t")
    got = take(ch, queue)
    equal(got.headers, {"region": "eu", "level": 3, "live": True, "own": [1, {"a": None}]})
    equal((got.body, got.properties.message_id, got.properties.priority, got.properties.type),
          (b"body", "m", 3, "t"))
    publish(ch, "", b"body", None, exchange)
    equal(take(ch, queue).headers, {"region": "eu", "level": 3, "live": True})


def stamp_time(ch):
    """The time of the publish, in the header and in an empty property."""
    exchange, queue = ruled(ch, {"stamp-time": True})
    publish(ch, "", b"x", exchange=exchange)
    got = take(ch, queue)
    assert abs(got.headers["timestamp_in_ms"] - time.time() * 1000) < 5000, got.headers
    assert abs(got.properties.timestamp - time.time()) < 5, got.properties
    publish(ch, "", b"x", exchange=exchange, timestamp=1000000000)
    equal(take(ch, queue).properties.timestamp, 1000000000)


def stamp_id(ch):
    """An id of its own for what has none, the same for all of its copies and deliveries."""
    exchange, queue = ruled(ch, {"stamp-id": True, "require": ["message_id"]})
    copy = make(ch)
    ch.queue_bind(copy, exchange)
    for _ in range(2):
        publish(ch, "", b"x", {"a": 1}, exchange)
    publish(ch, "", b"x", None, exchange, message_id="mine")
    ids = [take(ch, queue).properties.message_id for _ in range(3)]
    equal([take(ch, copy).properties.message_id for _ in range(3)], ids)
    equal((len(set(ids)), ids[2], min(map(len, ids[:2]))), (3, "mine", 22))
    publish(ch, "", b"x", {"a": 1}, exchange)
    method, properties, _ = ch.basic_get(queue)
    equal(properties.headers, {"a": 1})
    ch.basic_nack(method.delivery_tag)
    again = take(ch, queue)
    equal((again.properties.message_id, again.redelivered), (properties.message_id, True))


def stamp_origin(ch):
    """Who published from where; nobody can pretend to be another."""
    exchange, queue = ruled(ch, {"stamp-origin": True})
    publish(ch, "", b"x", {"x-origin-user": "root", "x-origin-address": "elsewhere"}, exchange)
    headers = take(ch, queue).headers
    equal((headers["x-origin-user"], headers["x-origin-exchange"]), ("guest", exchange))
    assert headers["x-origin-address"].startswith("127.0.0.1"), headers


def require(ch):
    """Fields that must be there."""
    exchange, queue = ruled(ch, {"require": ["message_id", "content_type", "headers.tenant"]})
    whole = {"message_id": "m", "content_type": "text/plain"}
    publish(ch, "", b"x", {"tenant": "t"}, exchange, **whole)
    for word, headers, props in (
            ("message_id", {"tenant": "t"}, {"content_type": "text/plain"}),
            ("content_type", {"tenant": "t"}, {"message_id": "m"}),
            ("tenant", {"Tenant": "t"}, whole), ("tenant", None, whole)):
        broken(exchange, ["require", word], b"x", headers, **props)
    equal(ready(ch, queue), 1)


def largest_body(ch):
    """One byte more is too much."""
    exchange, queue = ruled(ch, {"max-message-bytes": 100})
    publish(ch, "", b"x" * 100, exchange=exchange)
    broken(exchange, ["100"], b"x" * 101)
    broken(exchange, ["100"], b"x" * 300000)
    publish(ch, "", b"", exchange=exchange)
    equal(ready(ch, queue), 2)


def schema(ch):
    """The body is JSON of this form, or refused with the place of what is wrong."""
    exchange, queue = ruled(ch, {"body-schema": SCHEMA})
    for good in ({"id": 1}, {"id": 7, "name": "short", "other": [1]}):
        publish(ch, "", json.dumps(good).encode(), exchange=exchange)
    for bad, words in (({"id": 0}, ["/id"]), ({}, ["id"]), ([], []), ("text", []),
                       ({"id": 1, "name": "too long"}, ["/name"])):
        text = broken(exchange, words, json.dumps(bad).encode())
        assert len(text) <= 255
    for body in (b"", b"{", b"\xff\xfe", b'{"id": 1} x', b"[" * 100000):
        broken(exchange, [], body)
    equal(ready(ch, queue), 2)


def schemas_by_id(ch):
    """Two versions side by side, chosen by a header."""
    exchange, queue = ruled(ch, {"body-schemas": {
        "order.v1": SCHEMA, "order.v2": {"type": "object", "required": ["number"]}}})
    publish(ch, "", b'{"id": 1}', {"x-schema-id": "order.v1"}, exchange)
    publish(ch, "", b'{"number": 1}', {"x-schema-id": "order.v2"}, exchange)
    broken(exchange, ["number"], b'{"id": 1}', {"x-schema-id": "order.v2"})
    broken(exchange, ["order.v3"], b'{"id": 1}', {"x-schema-id": "order.v3"})
    publish(ch, "", b"no id, no check", exchange=exchange)
    equal(ready(ch, queue), 3)


def versions_side_by_side(ch):
    """Consumers of two versions on one queue: each gets its own, also while the other is away."""
    exchange, queue = ruled(ch, {"body-schemas": {
        "order.v1": SCHEMA, "order.v2": {"type": "object"}}})
    team, version = Team(), '"x-schema-id" = '
    old, new = (team.join(queue, arguments={"x-filter": f"{version}'order.v{number}'"})
                for number in (1, 2))
    for number in range(1, 31):
        name = f"order.v{1 + number % 2}"
        publish(ch, "", b'{"id": %d}' % number, {"x-schema-id": name}, exchange)
    team.wait(30)
    for member, name in ((old, "order.v1"), (new, "order.v2")):
        equal([got.headers["x-schema-id"] for got in member.got], [name] * 15)
    old.kill()
    publish(ch, "", b'{"id": 31}', {"x-schema-id": "order.v1"}, exchange)
    team.quiet()
    equal(ready(ch, queue), 16)
    team.close()


def in_a_transaction(ch):
    """Nothing of a transaction is stored whose message breaks a rule."""
    exchange, queue = ruled(ch, {"max-message-bytes": 10})
    connection = connect()
    channel = connection.channel()
    channel.tx_select()
    channel.basic_publish("", queue, b"before", properties())
    channel.basic_publish(exchange, "", b"x" * 11, properties())
    equal(closed(channel.tx_commit)[0], 406)
    equal(ready(ch, queue), 0)
    connection.close()


def confirms_around(ch):
    """What was published before the bad one is stored and confirmed."""
    exchange, queue = ruled(ch, {"max-message-bytes": 10})
    for _ in range(3):
        publish(ch, "", b"good", exchange=exchange)
    broken(exchange, [], b"x" * 11)
    publish(ch, "", b"good", exchange=exchange)
    equal(ready(ch, queue), 4)


def changes_at_once(ch):
    """A policy that comes, changes and goes counts from the next publish."""
    exchange, queue = fresh("rules"), make(ch)
    ch.exchange_declare(exchange, "topic")
    ch.queue_bind(queue, exchange, "#")
    found, off = [], None
    for value in (None, "one", "two", None):
        if value:
            off = policy(f"^{exchange}$", {"set-headers": {"h": value}}, name="changes-" + exchange,
                         **{"apply-to": "exchanges"})
        elif off:
            off()
        publish(ch, "a.b", b"x", exchange=exchange)
        found.append(take(ch, queue).headers.get("h"))
    equal(found, [None, "one", "two", None])


def not_again_as_a_dead_letter(ch):
    """A dead letter is not stamped, nor refused, a second time."""
    exchange, dead = ruled(ch, {"stamp-time": True, "max-message-bytes": 5})
    queue = make(ch, dead_letter_exchange=exchange)
    publish(ch, queue, b"x" * 50)
    ch.basic_reject(take(ch, queue).tag, requeue=False)
    got = take(ch, dead)
    equal((len(got.body), "timestamp_in_ms" in got.headers), (50, False))


def first_exchange_counts(ch):
    """Of exchanges in a row only the one that is published to."""
    first, second = fresh("rules"), fresh("rules")
    queue = make(ch)
    for name in (first, second):
        ch.exchange_declare(name, "fanout")
        policy(f"^{name}$", {"set-headers": {"by": name}}, **{"apply-to": "exchanges"})
    ch.exchange_bind(second, first)
    ch.queue_bind(queue, second)
    publish(ch, "", b"x", exchange=first)
    equal(take(ch, queue).headers, {"by": first})


def bad_rules(ch):
    """400, with a reason."""
    for definition in (
            {"set-headers": []}, {"set-headers": {"a": {"b": 1}}}, {"remove-headers": "a"},
            {"remove-headers": [5]}, {"stamp-time": "yes"}, {"stamp-id": 1}, {"stamp-origin": 1},
            {"require": "message_id"}, {"require": ["no_such"]}, {"max-message-bytes": -1},
            {"max-message-bytes": "5"}, {"body-schema": {"type": "no-such"}}, {"body-schema": 5},
            {"body-schema": {"$ref": "http://example.invalid/schema"}},
            {"body-schema": {"pattern": "("}}, {"body-schemas": {"a": 5}}, {"body-schemas": []},
            {"kind-strict": "yes"}):
        status, answer = tools.api("PUT", f"policies/%2F/{fresh('bad')}", {
            "pattern": "^none$", "apply-to": "exchanges", "definition": definition})
        assert status == 400 and answer.get("reason"), f"{definition}: {status} {answer}"


def kinds_are_carried(ch):
    """Without strictness the header is a header."""
    queue = make(ch)
    for kind in ("command", "no-such", 5):
        publish(ch, queue, b"x", {"x-kind": kind})
        equal(take(ch, queue).headers["x-kind"], kind)


def strict_kinds(ch):
    """A command reaches exactly one queue, a query says where to answer."""
    exchange, queue = ruled(ch, {"kind-strict": True}, "direct")
    for kind, props in (("command", {}), ("event", {}), ("document", {}),
                        ("query", {"reply_to": "r"}), (None, {})):
        publish(ch, "k", b"x", {"x-kind": kind} if kind else None, exchange, **props)
    equal(ready(ch, queue), 5)
    broken(exchange, ["query"], b"x", {"x-kind": "query"}, "k")
    broken(exchange, ["no-such"], b"x", {"x-kind": "no-such"}, "k")
    broken(exchange, ["command"], b"x", {"x-kind": "command"}, "nowhere")
    publish(ch, "nowhere", b"x", {"x-kind": "event"}, exchange, mandatory=False)
    equal(returned(lambda: publish(ch, "nowhere", b"x", {"x-kind": "event"}, exchange))[0], 312)
    second = make(ch)
    ch.queue_bind(second, exchange, "k")
    broken(exchange, ["command"], b"x", {"x-kind": "command"}, "k")
    publish(ch, "k", b"x", {"x-kind": "event"}, exchange)
    equal((ready(ch, queue), ready(ch, second)), (6, 1))


def queue_and_kind(ch):
    """A consumer of one kind of message, by filter."""
    queue = make(ch)
    team = tools.Team()
    team.join(queue, 10, arguments={"x-filter": "\"x-kind\" = 'event'"})
    for number, kind in enumerate(("command", "event", "document", "event")):
        publish(ch, queue, b"m.%d" % number, {"x-kind": kind})
    team.wait(2)
    equal(team.names(), ["m.1", "m.3"])
    team.close()


run("interceptors", ours=(
    set_and_remove_headers, stamp_time, stamp_id, stamp_origin, require, largest_body, schema,
    schemas_by_id, versions_side_by_side, in_a_transaction, confirms_around, changes_at_once,
    not_again_as_a_dead_letter, first_exchange_counts, bad_rules, kinds_are_carried, strict_kinds,
    queue_and_kind))
