"""Delay and absolute time on every exchange; time to live wherever a message stands."""

import random
import time

from kit import (Inbox, TooSlow, arguments, closed, counted, death, empty, equal, fresh, make, pair,
                 properties, publish, ready, returned, run, take, typical, waited)

FAR = 2**40 + 1


def every_exchange(ch):
    """x-delay holds a message whatever exchange it comes by; the copy carries it negated."""
    delayed = {"x-delayed-message": ("direct", "topic", "fanout", "headers")}
    kinds = [(kind, inner) for kind in ("direct", "topic", "fanout", "headers", *delayed)
             for inner in delayed.get(kind, (None,))]
    inbox_of, sent = {("default", None): (make(ch), None)}, {}
    for kind, inner in kinds:
        name, queue = fresh("exchange"), make(ch)
        ch.exchange_declare(name, kind, durable=True,
                            arguments=arguments({"delayed_type": inner}) if inner else None)
        ch.queue_bind(queue, name, "key")
        inbox_of[kind, inner] = queue, name
    for which, (queue, name) in inbox_of.items():
        sent[which] = publish(ch, "key" if name else queue, b"x", {"x-delay": 400, "own": 1},
                              name or "")
    inboxes = {which: Inbox(ch, queue) for which, (queue, _) in inbox_of.items()}
    for which, inbox in inboxes.items():
        got = inbox.next()
        equal((which, got.headers, got.redelivered), (which, {"x-delay": -400, "own": 1}, False))
        waited(got.at - sent[which], 400)


def not_ready_while_it_waits(ch):
    """A passive declare and a get see nothing; the API counts it apart."""
    queue = make(ch)
    publish(ch, queue, b"later", {"x-delay": 60000})
    publish(ch, queue, b"now")
    equal(ready(ch, queue), 1)
    equal(take(ch, queue).body, b"now")
    equal(ch.basic_get(queue)[0], None)
    counted(queue, "messages_delayed", 1)
    counted(queue, "messages_ready", 0)


def absolute_time(ch):
    """x-deliver-at is a Unix time in milliseconds; the copy has it as it was."""
    queue = make(ch)
    at = int(time.time() * 1000) + 500
    publish(ch, queue, b"x", {"x-deliver-at": at})
    got = Inbox(ch, queue).next()
    now = time.time() * 1000 - (time.monotonic() - got.at) * 1000
    assert now >= at, f"{at - now:.1f} ms early"
    equal(got.headers, {"x-deliver-at": at})


def absolute_time_wins(ch):
    """Both headers: x-deliver-at counts, whichever is earlier."""
    first, second = make(ch), make(ch)
    now = int(time.time() * 1000)
    publish(ch, first, b"x", {"x-delay": 60000, "x-deliver-at": now})
    take(ch, first, 3)
    sent = publish(ch, second, b"x", {"x-delay": 1, "x-deliver-at": now + 900})
    got = Inbox(ch, second).next()
    assert got.at - sent > 0.3, "x-delay counted"


def no_delay(ch):
    """Zero, a time that has passed, a wrong type, a negative number: at once."""
    past = int(time.time() * 1000) - 100000
    for headers in ({"x-delay": 0}, {"x-deliver-at": past}, {"x-deliver-at": 0},
                    {"x-delay": "60000"}, {"x-delay": -60000}, {"x-delay": True},
                    {"x-delay": None}, {"x-delay": [60000]}, {"x-delay": {"a": 1}},
                    {"x-deliver-at": str(past + 10**9)}, {"x-deliver-at": -5}):
        queue = make(ch)
        publish(ch, queue, b"x", headers)
        equal((take(ch, queue, 3).headers, headers), (headers, headers))


def too_far(ch):
    """More than 2^40 ms ahead is a channel error that names the header."""
    now = int(time.time() * 1000)
    for name, value in (("x-delay", FAR), ("x-delay", 2**62), ("x-deliver-at", now + FAR + 60000)):
        own = ch.connection.channel()
        queue = make(own)
        code, text = closed(lambda: publish(own, queue, b"x", {name: value}))
        equal(code, 406)
        assert name in text, text
        equal(ready(ch, queue), 0)


def longest(ch):
    """2^40 ms is a delay like any other."""
    queue = make(ch)
    publish(ch, queue, b"x", {"x-delay": 2**40})
    counted(queue, "messages_delayed", 1)


def in_order_of_time(ch):
    """What is due first comes first, whenever it was published."""
    queue = make(ch)
    for delay in (700, 300, 500):
        publish(ch, queue, b"%d" % delay, {"x-delay": delay})
    equal([got.body for got in Inbox(ch, queue).wait(3)], [b"300", b"500", b"700"])


def many(ch):
    """Two thousand at random times: none early, all there, hardly any late."""
    queue, draw = make(ch), random.Random(7)
    inbox = Inbox(ch.connection.channel(), queue)
    began = int(time.time() * 1000)
    for _ in range(2000):
        at = began + draw.randrange(1500, 3500)
        ch.basic_publish("", queue, b"%d" % at, properties({"x-deliver-at": at}))
    if time.time() * 1000 > began + 1500:
        raise TooSlow("published too slowly")
    skew = time.time() - time.monotonic()
    late = sorted((got.at + skew) * 1000 - int(got.body) for got in inbox.wait(2000, 30))
    assert late[0] >= -1, f"{-late[0]:.1f} ms early"
    if late[1980] > 1000:
        raise TooSlow(f"99 % within {late[1980]:.0f} ms")


def mandatory(ch):
    """Routed when published: without a route it comes back at once."""
    equal(returned(lambda: publish(ch, fresh("none"), b"x", {"x-delay": 60000})),
          (312, "NO_ROUTE"))


def time_to_live_starts_when_ready(ch):
    """Longer delay than time to live: it arrives, and expires that long after."""
    queue, dead = pair(ch)
    sent = publish(ch, queue, b"x", {"x-delay": 700}, expiration="400")
    got = Inbox(ch.connection.channel(), dead).next()
    death(got, "expired", queue)
    waited(got.at - sent, 1100)
    publish(ch, queue, b"y", {"x-delay": 600}, expiration="500")
    equal(Inbox(ch, queue).next().body, b"y")


def time_to_live_of_the_queue_starts_when_ready(ch):
    """The queue's own time to live, too."""
    queue = make(ch, message_ttl=300)
    publish(ch, queue, b"x", {"x-delay": 800})
    equal(Inbox(ch, queue).next().body, b"x")


def requeued_is_not_delayed_again(ch):
    """A delay acts once: given back, rejected to another queue."""
    queue, dead = pair(ch)
    publish(ch, queue, b"x", {"x-delay": 300})
    first = take(ch, queue)
    ch.basic_nack(first.tag, requeue=True)
    again = take(ch, queue, 0.25)
    equal((again.redelivered, again.headers["x-delay"]), (True, -300))
    ch.basic_reject(again.tag, requeue=False)
    equal(take(ch, dead, 0.25).body, b"x")


def length_counts_ready_ones(ch):
    """Delayed messages are no part of the maximum length until they are ready."""
    for overflow, last in (("drop-head", b"2"), ("reject-publish", b"now")):
        queue = make(ch, max_length=1, overflow=overflow)
        for number in range(3):
            publish(ch, queue, b"%d" % number, {"x-delay": 500})
        publish(ch, queue, b"now")
        equal(ready(ch, queue), 1)
        time.sleep(1.2)
        found = [take(ch, queue).body for _ in range(ready(ch, queue))]
        equal(last in found, True)
        equal(len(found), 1 if overflow == "drop-head" else 4)


def purge_and_if_empty_see_ready_ones(ch):
    """A purge leaves delayed ones; delete if-empty does not mind them."""
    queue = make(ch)
    publish(ch, queue, b"x", {"x-delay": 700})
    publish(ch, queue, b"y")
    equal(ch.queue_purge(queue).method.message_count, 1)
    equal(take(ch, queue).body, b"x")
    other = make(ch)
    publish(ch, other, b"x", {"x-delay": 60000})
    ch.queue_delete(other, if_empty=True)


def copies(ch):
    """One publish to two queues is held in each."""
    queues = [make(ch), make(ch)]
    for queue in queues:
        ch.queue_bind(queue, "amq.topic", queues[0] + ".#")
    sent = publish(ch, queues[0] + ".a", b"x", {"x-delay": 400}, "amq.topic")
    for queue in queues:
        empty(ch, queue, 0)
    for inbox in [Inbox(ch, queue) for queue in queues]:
        waited(inbox.next().at - sent, 400)


def transient(ch):
    """A transient message in a queue that is not durable waits as well."""
    queue = make(ch, durable=False)
    sent = publish(ch, queue, b"x", {"x-delay": 400}, delivery_mode=1)
    waited(Inbox(ch, queue).next().at - sent, 400)


def typical_delay(ch):
    """The median of fifty delays is close."""
    queue, waits, sent = make(ch), [], []
    inbox = Inbox(ch, queue)
    for number in range(50):
        sent.append(time.monotonic())
        ch.basic_publish("", queue, b"%d" % number, properties({"x-delay": 300}))
    for got in inbox.wait(50):
        waits.append(got.at - sent[int(got.body)])
        waited(waits[-1], 300)
    typical(waits, 300)


def time_to_live_anywhere(ch):
    """A message expires behind one that does not."""
    queue, dead = pair(ch)
    publish(ch, queue, b"stays")
    publish(ch, queue, b"long", expiration="600000")
    sent = publish(ch, queue, b"short", expiration="400")
    publish(ch, queue, b"last")
    got = Inbox(ch, dead).next()
    equal(got.body, b"short")
    death(got, "expired", queue)
    waited(got.at - sent, 400)
    equal([take(ch, queue).body for _ in range(3)], [b"stays", b"long", b"last"])


def unused_queue_goes(ch):
    """x-expires ends a queue, its delayed messages with it."""
    queue = make(ch, expires=400)
    publish(ch, queue, b"x", {"x-delay": 60000})
    time.sleep(2.0)
    equal(closed(lambda: ready(ch, queue))[0], 404)


run("schedule", (
    every_exchange, not_ready_while_it_waits, absolute_time, absolute_time_wins, no_delay, too_far,
    longest, in_order_of_time, many, mandatory, time_to_live_starts_when_ready,
    time_to_live_of_the_queue_starts_when_ready, requeued_is_not_delayed_again,
    length_counts_ready_ones, purge_and_if_empty_see_ready_ones, copies, transient, typical_delay,
    time_to_live_anywhere, unused_queue_goes))
