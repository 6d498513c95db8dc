"""Leases: a delivery that is not settled in its time is somebody else's, and may be renewed."""

import time

from kit import (Inbox, closed, connect, counted, death, empty, equal, make, pair, publish, ready,
                 run, settle, take, waited)


def lease_ends(ch):
    """Ready again after its time, counted, for whoever is there."""
    queue = make(ch, lease_timeout=600)
    publish(ch, queue)
    began = time.monotonic()
    take(ch, queue)
    other = Inbox(ch.connection.channel(), queue)
    got = other.next()
    waited(got.at - began, 600)
    equal((got.redelivered, got.headers["x-delivery-count"]), (True, 1))


def late_settles_are_ignored(ch):
    """A plain ack, nack or reject of a lease that ended changes nothing; the channel lives."""
    for name in ("basic_ack", "basic_nack", "basic_reject"):
        queue, dead = pair(ch, lease_timeout=300)
        publish(ch, queue)
        own = ch.connection.channel()
        late = take(own, queue).tag
        got = take(ch, queue)
        getattr(own, name)(late, **({} if name == "basic_ack" else {"requeue": False}))
        equal((name, ready(own, queue)), (name, 0))
        equal((name, settle(ch, got.tag, "accept")), (name, None))
        equal((name, ready(own, dead)), (name, 0))
        counted(queue, "messages", 0)


def late_settles_by_name_are_told(ch):
    """`ferry.settle` says 404 for a lease that has ended."""
    for outcome in ("accept", "requeue", "reject", "delay", "extend"):
        queue = make(ch, lease_timeout=200)
        publish(ch, queue)
        own = ch.connection.channel()
        late = take(own, queue).tag
        take(ch, queue)
        equal((outcome, settle(own, late, outcome)[0]), (outcome, 404))


def a_tag_that_never_was(ch):
    """Still the usual channel error."""
    queue = make(ch, lease_timeout=60000)
    code, text = closed(lambda: [ch.basic_ack(99), ready(ch, queue)])
    equal((code, "unknown delivery tag 99" in text), (406, True))


def long_job(ch):
    """Twenty renewals of a short lease: delivered once, while another consumer waits for work."""
    queue, dead = pair(ch, lease_timeout=500, retry_limit=1)
    publish(ch, queue)
    own = connect().channel()
    tag = take(own, queue).tag
    other = Inbox(ch.connection.channel(), queue)
    for _ in range(20):
        equal(settle(own, tag, "extend"), None)
        other.quiet(0.2)
    equal(settle(own, tag, "accept"), None)
    counted(queue, "messages", 0)
    equal((len(other.got), ready(ch, dead)), (0, 0))
    own.connection.close()


def extend_by_a_time(ch):
    """So long from now: longer than the queue's time, or shorter."""
    for wait in (1500, 200):
        queue = make(ch, lease_timeout=700)
        publish(ch, queue)
        own = ch.connection.channel()
        tag = take(own, queue).tag
        began = time.monotonic()
        equal(settle(own, tag, "extend", wait), None)
        got = Inbox(ch.connection.channel(), queue).next()
        waited(got.at - began, wait)
        if wait < 700:
            assert got.at - began < 0.7, "the old deadline counted"


def extend_gives_a_lease_to_a_queue_without(ch):
    """A deadline for one message of a queue without a lease time; without a number none."""
    queue = make(ch)
    publish(ch, queue)
    tag = take(ch, queue).tag
    equal(settle(ch, tag, "extend"), None)
    empty(ch, queue, 0.5)
    began = time.monotonic()
    equal(settle(ch, tag, "extend", 400), None)
    waited(Inbox(ch.connection.channel(), queue).next().at - began, 400)


def leases_that_end_count_as_tries(ch):
    """The last one dead-letters."""
    queue, dead = pair(ch, lease_timeout=200, retry_limit=2)
    publish(ch, queue)
    for count in (None, 1):
        own = ch.connection.channel()
        equal(take(own, queue).headers.get("x-delivery-count"), count)
    death(take(ch, dead), "delivery_limit", queue)


def slow_consumer_keeps_its_debt(ch):
    """What it has not settled counts against its prefetch, though the lease has ended."""
    queue = make(ch, lease_timeout=300)
    slow_channel = connect().channel()
    slow = Inbox(slow_channel, queue, prefetch=1)
    publish(ch, queue, b"one")
    slow.wait(1)
    quick = Inbox(ch.connection.channel(), queue, auto_ack=True)
    equal(quick.next().body, b"one")
    for number in range(20):
        publish(ch, queue, b"%d" % number)
    quick.wait(21)
    slow.quiet(0.2)
    slow_channel.basic_ack(slow.got[0].tag)
    quick.cancel()
    publish(ch, queue, b"last")
    equal(slow.wait(2)[1].body, b"last")
    slow_channel.connection.close()


def no_lease_by_default(ch):
    """Without the argument a delivery may take as long as it takes; no_ack ones have none."""
    for options, settings in (({}, {}), ({"auto_ack": True}, {"lease_timeout": 200})):
        queue = make(ch, **settings)
        publish(ch, queue)
        own = Inbox(ch.connection.channel(), queue, **options)
        own.wait(1)
        other = Inbox(ch.connection.channel(), queue)
        other.quiet(1.0)
        equal(len(own.got), 1)


def many_leases_end(ch):
    """A thousand held by one consumer all come back, each once."""
    queue = make(ch, lease_timeout=1500)
    for number in range(1000):
        publish(ch, queue, b"%d" % number)
    first = Inbox(ch.connection.channel(), queue)
    first.wait(1000)
    first.cancel()
    bodies = sorted(int(got.body) for got in Inbox(ch.connection.channel(), queue).wait(1000, 20))
    equal(bodies, list(range(1000)))


run("lease", (
    lease_ends, late_settles_are_ignored, late_settles_by_name_are_told, a_tag_that_never_was,
    long_job, extend_by_a_time, extend_gives_a_lease_to_a_queue_without,
    leases_that_end_count_as_tries, slow_consumer_keeps_its_debt, no_lease_by_default,
    many_leases_end))
