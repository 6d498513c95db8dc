"""Dead letters: all reasons, at least once also when the target is full, at most once by name."""

import time

from kit import (Inbox, closed, counted, death, empty, equal, fresh, make, pair, publish, ready,
                 refused, returned, run, take, waited)


def full_target(ch, length=1, **settings):
    """A queue whose dead letters go to one that takes so many messages."""
    dead = make(ch, max_length=length, overflow="reject-publish")
    queue = make(ch, dead_letter_exchange="", dead_letter_routing_key=dead, **settings)
    return queue, dead


def reject_all(ch, queue, count):
    """Publishes and rejects so many, numbered, one after the other."""
    for number in range(count):
        publish(ch, queue, b"%d" % number)
        ch.basic_reject(take(ch, queue).tag, requeue=False)


def every_reason(ch):
    """rejected, expired, maxlen, delivery_limit: in the history and as first and last."""
    def rejected(queue):
        ch.basic_reject(take(ch, queue).tag, requeue=False)

    def nothing(_):
        pass

    def returned_twice(queue):
        for _ in range(2):
            ch.basic_nack(take(ch, queue).tag, requeue=True)

    for reason, settings, act in (
            ("rejected", {}, rejected), ("expired", {"message_ttl": 200}, nothing),
            ("maxlen", {"max_length": 0}, nothing),
            ("delivery_limit", {"retry_limit": 2}, returned_twice)):
        queue, dead = pair(ch, **settings)
        publish(ch, queue, b"x", {"own": "kept"}, message_id="m")
        act(queue)
        got = take(ch, dead)
        entry = death(got, reason, queue)
        equal((entry["exchange"], entry["routing-keys"], entry["count"]), ("", [queue], 1))
        equal([got.headers[f"x-{end}-death-{what}"] for end in ("first", "last")
               for what in ("queue", "reason", "exchange")], [queue, reason, ""] * 2)
        equal((got.headers["own"], got.properties.message_id), ("kept", "m"))


def unroutable(ch):
    """An exchange with a dead-letter exchange: what it leads nowhere goes there."""
    dead, target, name = make(ch), fresh("exchange"), fresh("exchange")
    ch.exchange_declare(target, "fanout", durable=True)
    ch.queue_bind(dead, target)
    ch.exchange_declare(name, "direct", durable=True,
                        arguments={"x-dead-letter-exchange": target})
    publish(ch, "nowhere", b"x", {"own": 1}, name, mandatory=False)
    got = take(ch, dead)
    entry = got.headers["x-death"][0]
    equal((entry["reason"], entry["exchange"], entry["routing-keys"], got.body, got.headers["own"]),
          ("unroutable", name, ["nowhere"], b"x", 1))


def unroutable_and_mandatory(ch):
    """A mandatory one is returned only if it goes nowhere at all."""
    dead, name, plain = make(ch), fresh("exchange"), fresh("exchange")
    ch.exchange_declare(plain, "direct", durable=True)
    equal(returned(lambda: publish(ch, "nowhere", b"x", exchange=plain))[0], 312)
    ch.exchange_declare(name, "direct", durable=True, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    equal(returned(lambda: publish(ch, "nowhere", b"x", exchange=name)), None)
    equal(take(ch, dead).headers["x-first-death-reason"], "unroutable")
    ch.queue_delete(dead)
    equal(returned(lambda: publish(ch, "nowhere", b"x", exchange=name))[0], 312)


def unroutable_with_an_alternate(ch):
    """The alternate exchange comes first; what it takes did not die."""
    dead, spare, name = make(ch), make(ch), fresh("exchange")
    alternate = fresh("exchange")
    ch.exchange_declare(alternate, "topic", durable=True)
    ch.queue_bind(spare, alternate, "taken")
    ch.exchange_declare(name, "direct", durable=True, arguments={
        "alternate-exchange": alternate, "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead})
    publish(ch, "taken", b"x", exchange=name)
    publish(ch, "nowhere", b"y", exchange=name)
    got = take(ch, spare)
    equal((got.body, got.headers), (b"x", {}))
    equal((take(ch, dead).body, ready(ch, spare)), (b"y", 0))


def kept_until_there_is_room(ch):
    """What the target can not take stays, apart, and follows in order as there is room."""
    queue, dead = full_target(ch)
    reject_all(ch, queue, 5)
    counted(dead, "messages_ready", 1)
    counted(queue, "messages_dead_letter_pending", 4)
    equal(ready(ch, queue), 0)
    for number in range(5):
        began = time.monotonic()
        got = take(ch, dead)
        equal(got.body, b"%d" % number)
        if number:
            equal(death(got, "rejected", queue)["count"], 1)
            assert time.monotonic() - began < 3, "long after there was room"
        ch.basic_ack(got.tag)
    counted(queue, "messages_dead_letter_pending", 0)
    empty(ch, dead)


def each_kept_once(ch):
    """Two hundred through a target that has room for three: each arrives once."""
    queue, dead = full_target(ch, 3)
    reject_all(ch, queue, 200)
    inbox = Inbox(ch.connection.channel(), dead, auto_ack=True, prefetch=1)
    equal([int(got.body) for got in inbox.wait(200, 60)], list(range(200)))
    inbox.quiet(0.5)


def publishers_are_refused(ch):
    """As many kept as the maximum length: refuse instead of dropping the head."""
    queue, dead = full_target(ch, 1, max_length=3)
    reject_all(ch, queue, 4)
    counted(queue, "messages_dead_letter_pending", 3)
    refused(lambda: publish(ch, queue, b"refused"))
    equal(ready(ch, queue), 0)
    ch.basic_ack(take(ch, dead).tag)
    counted(queue, "messages_dead_letter_pending", 2)
    publish(ch, queue, b"taken")
    equal(take(ch, queue).body, b"taken")


def two_targets_one_full(ch):
    """The copy for the one with room arrives at once, and once; the other follows."""
    full = make(ch, max_length=1, overflow="reject-publish")
    roomy, name = make(ch), fresh("exchange")
    ch.exchange_declare(name, "fanout", durable=True)
    for target in (full, roomy):
        ch.queue_bind(target, name)
    queue = make(ch, dead_letter_exchange=name)
    publish(ch, full, b"in the way")
    reject_all(ch, queue, 2)
    equal([take(ch, roomy).body, take(ch, roomy).body], [b"0", b"1"])
    counted(queue, "messages_dead_letter_pending", 2)
    for body in (b"in the way", b"0", b"1"):
        got = take(ch, full)
        equal(got.body, body)
        ch.basic_ack(got.tag)
    counted(queue, "messages_dead_letter_pending", 0)
    equal(ready(ch, roomy), 0)


def at_most_once(ch):
    """Asked for by name: what the target does not take is dropped."""
    queue, dead = full_target(ch, dead_letter_strategy="at-most-once")
    reject_all(ch, queue, 4)
    counted(dead, "messages_ready", 1)
    counted(queue, "messages", 0)
    equal(take(ch, dead).body, b"0")
    empty(ch, dead, 1.5)


def not_durable_is_at_most_once(ch):
    """A queue that is not durable keeps nothing back."""
    dead = make(ch, max_length=1, overflow="reject-publish")
    queue = make(ch, durable=False, dead_letter_exchange="", dead_letter_routing_key=dead)
    reject_all(ch, queue, 3)
    counted(dead, "messages_ready", 1)
    counted(queue, "messages", 0)


def no_route_is_dropped(ch):
    """No exchange, no route: dropped, as RabbitMQ does."""
    name = fresh("exchange")
    ch.exchange_declare(name, "direct", durable=True)
    for target in (name, fresh("none")):
        queue = make(ch, dead_letter_exchange=target)
        reject_all(ch, queue, 2)
        counted(queue, "messages", 0)
        counted(queue, "messages_dead_letter_pending", 0)


def no_route_is_kept_by_name(ch):
    """At-least-once by name: kept until there is an exchange and a route."""
    name, dead = fresh("exchange"), make(ch)
    queue = make(ch, dead_letter_exchange=name, dead_letter_strategy="at-least-once")
    reject_all(ch, queue, 3)
    counted(queue, "messages_dead_letter_pending", 3)
    ch.exchange_declare(name, "direct", durable=True)
    empty(ch, dead, 1.2)
    ch.queue_bind(dead, name, queue)
    began = time.monotonic()
    found = Inbox(ch, dead).wait(3)
    equal([got.body for got in found], [b"0", b"1", b"2"])
    waited(found[-1].at - began, 0, 1200)


def deleted_target(ch):
    """The target goes while letters are kept for it: they are dropped, nothing hangs."""
    queue, dead = full_target(ch)
    reject_all(ch, queue, 3)
    counted(queue, "messages_dead_letter_pending", 2)
    ch.queue_delete(dead)
    counted(queue, "messages_dead_letter_pending", 0)
    counted(queue, "messages", 0)


def deleted_source(ch):
    """A queue that is deleted takes its kept letters along."""
    queue, dead = full_target(ch)
    reject_all(ch, queue, 3)
    counted(queue, "messages_dead_letter_pending", 2)
    ch.queue_delete(queue)
    ch.basic_ack(take(ch, dead).tag)
    empty(ch, dead, 1.2)


def cycle(ch):
    """Round and round without a rejection: dropped. By rejections: for ever."""
    name = fresh("ring")
    ch.queue_declare(name, durable=True, arguments={
        "x-message-ttl": 100, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": name})
    publish(ch, name)
    time.sleep(0.8)
    counted(name, "messages", 0)
    ring = fresh("ring")
    ch.queue_declare(ring, durable=True, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": ring})
    publish(ch, ring)
    for turn in range(5):
        got = take(ch, ring)
        equal([entry["count"] for entry in got.headers.get("x-death", [])], [turn] if turn else [])
        ch.basic_reject(got.tag, requeue=False)


def first_and_last(ch):
    """Over three queues the first origin stays, the last one moves on."""
    end = make(ch)
    middle = make(ch, message_ttl=100, dead_letter_exchange="", dead_letter_routing_key=end)
    queue = make(ch, retry_limit=1, dead_letter_exchange="", dead_letter_routing_key=middle)
    publish(ch, queue)
    ch.basic_nack(take(ch, queue).tag, requeue=True)
    got = take(ch, end)
    equal([got.headers[f"x-{which}"] for which in (
        "first-death-queue", "first-death-reason", "last-death-queue", "last-death-reason")],
        [queue, "delivery_limit", middle, "expired"])
    equal([entry["reason"] for entry in got.headers["x-death"]], ["expired", "delivery_limit"])


def strategy_wants_durable(ch):
    """At-least-once on a queue that is not durable is refused by name."""
    code, text = closed(lambda: make(ch, durable=False, dead_letter_exchange="",
                                     dead_letter_strategy="at-least-once"))
    equal((code, "x-dead-letter-strategy" in text), (406, True))


run("dead_letters", (
    every_reason, unroutable, unroutable_and_mandatory, unroutable_with_an_alternate,
    kept_until_there_is_room, each_kept_once,
    publishers_are_refused, two_targets_one_full, at_most_once, not_durable_is_at_most_once,
    no_route_is_dropped, no_route_is_kept_by_name, deleted_target, deleted_source, cycle,
    first_and_last, strategy_wants_durable))
