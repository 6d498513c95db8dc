"""Tries, waits between them, the count on each delivery, and the dead letter after the last."""

import time
from decimal import Decimal

from kit import (Inbox, connect, counted, cut, death, empty, equal, make, pair, publish, ready,
                 run, take, typical, waited)


def limit(ch):
    """After so many tries the message is a dead letter; each redelivery carries the count."""
    queue, dead = pair(ch, retry_limit=3)
    publish(ch, queue, b"x", {"own": 1})
    for count in range(3):
        got = take(ch, queue)
        equal((got.redelivered, got.headers.get("x-delivery-count")), (count > 0, count or None))
        ch.basic_nack(got.tag, requeue=True)
    got = take(ch, dead)
    equal(death(got, "delivery_limit", queue)["count"], 1)
    equal((got.headers["x-first-death-queue"], got.headers["x-first-death-reason"],
           got.headers["own"], got.body), (queue, "delivery_limit", 1, b"x"))
    equal(ready(ch, queue), 0)


def limit_of_one(ch):
    """One try and no second."""
    queue, dead = pair(ch, retry_limit=1)
    publish(ch, queue)
    ch.basic_reject(take(ch, queue).tag, requeue=True)
    death(take(ch, dead), "delivery_limit", queue)


def limit_without_target(ch):
    """Nowhere to go: dropped."""
    queue = make(ch, retry_limit=1)
    publish(ch, queue)
    ch.basic_nack(take(ch, queue).tag, requeue=True)
    empty(ch, queue)


def delivery_limit_of_classic(ch):
    """x-delivery-limit counts returns, on classic queues too."""
    queue, dead = pair(ch, delivery_limit=2, queue_type="classic")
    publish(ch, queue)
    for _ in range(3):
        ch.basic_nack(take(ch, queue).tag, requeue=True)
    death(take(ch, dead), "delivery_limit", queue)


def delivery_limit_none(ch):
    """-1 is no limit, on a quorum queue that would have 20."""
    for kind in ("quorum", "classic"):
        queue = make(ch, queue_type=kind, delivery_limit=-1)
        publish(ch, queue)
        for count in range(40):
            got = take(ch, queue)
            equal(got.headers.get("x-delivery-count"), count or None)
            ch.basic_nack(got.tag, requeue=True)


def count_on_every_type(ch):
    """x-delivery-count on redeliveries of a queue that says nothing about retries."""
    for settings in ({}, {"queue_type": "quorum"}, {"max_priority": 3}):
        queue = make(ch, **settings)
        publish(ch, queue)
        for count in (None, 1, 2):
            got = take(ch, queue)
            equal((settings, got.headers.get("x-delivery-count")), (settings, count))
            ch.basic_nack(got.tag, requeue=True)


def waits_of(ch, tries, messages=15, **settings):
    """For each try after the first, how long the messages waited for it."""
    queue = make(ch, **settings)
    inbox, nacked, waits = Inbox(ch.connection.channel(), queue), {}, [[] for _ in range(tries)]
    for number in range(messages):
        publish(ch, queue, b"%d" % number)
    for got in (inbox.next() for _ in range(messages * (tries + 1))):
        count = got.headers.get("x-delivery-count", 0)
        if count:
            waits[count - 1].append(got.at - nacked[got.body])
        if count == tries:
            inbox.ch.basic_ack(got.tag)
            continue
        nacked[got.body] = time.monotonic()
        inbox.ch.basic_nack(got.tag, requeue=True)
        inbox.ch.connection.process_data_events(0)
    return waits


def waits(ch):
    """The first wait, each longer by the factor, up to the longest."""
    for factor, longest, wanted in (
            (None, None, (200, 400, 800)), (1, None, (200, 200)),
            (Decimal("1.5"), None, (200, 300)),
            (3, 500, (200, 500, 500)), (2, 200, (200, 200))):
        settings = {"retry_delay": 200, "retry_jitter": 0}
        if factor is not None:
            settings["retry_factor"] = factor
        if longest is not None:
            settings["retry_max_delay"] = longest
        for found, wanted_ms in zip(waits_of(ch, len(wanted), **settings), wanted):
            for wait in found:
                waited(wait, wanted_ms)
            typical(found, wanted_ms)


def jitter(ch):
    """Plus or minus so many percent, and not the same for all."""
    for settings, percent in (({}, 10), ({"retry_jitter": 50}, 50)):
        found, = waits_of(ch, 1, messages=60, retry_delay=600, **settings)
        for wait in found:
            waited(wait, 600 * (100 - percent) / 100, 600 * (100 + percent) / 100)
        typical(found, 600)
        spread = (max(found) - min(found)) * 1000
        assert spread >= 600 * percent / 100, f"all within {spread:.0f} ms"


def jitter_stays_below_the_longest(ch):
    """The longest wait is the longest, jitter or not."""
    found, = waits_of(ch, 1, messages=40, retry_delay=500, retry_max_delay=500, retry_jitter=100)
    typical([wait for wait in found if wait > 0.45] or [0.5], 500)
    early = [wait for wait in found if wait < 0.35]
    assert early, "no jitter at all"
    assert max(found) <= 0.5 + 3.0, max(found)


def a_waiting_message_holds_nobody(ch):
    """Others are delivered meanwhile; it is not ready, and counted apart."""
    queue = make(ch, retry_delay=1500, retry_jitter=0)
    publish(ch, queue, b"bad")
    ch.basic_nack(take(ch, queue).tag, requeue=True)
    publish(ch, queue, b"good")
    equal(ready(ch, queue), 1)
    equal(take(ch, queue, 0.5).body, b"good")
    counted(queue, "messages_delayed", 1)
    equal(take(ch, queue).body, b"bad")


def time_to_live_acts_on_a_waiting_one(ch):
    """It expires before its next try."""
    queue, dead = pair(ch, retry_delay=60000, message_ttl=600)
    sent = publish(ch, queue)
    ch.basic_nack(take(ch, queue).tag, requeue=True)
    got = Inbox(ch, dead).next()
    death(got, "expired", queue)
    waited(got.at - sent, 600)


def back_to_its_place(ch):
    """After its wait it stands where it was: before what came later."""
    queue = make(ch, retry_delay=300, retry_jitter=0)
    for body in (b"first", b"second"):
        publish(ch, queue, body)
    ch.basic_nack(take(ch, queue).tag, requeue=True)
    deadline = time.monotonic() + 10
    while ready(ch, queue) < 2:
        assert time.monotonic() < deadline, "it did not come back"
        time.sleep(0.02)
    equal(take(ch, queue).body, b"first")


def every_way_back_counts(ch):
    """Nack, nack of several, reject, recover, a closed channel, a closed connection, a cut."""
    def other():
        return ch.connection.channel()

    def nack(own, got):
        own.basic_nack(got.tag, requeue=True)

    def several(own, got):
        own.basic_nack(got.tag, multiple=True, requeue=True)

    def reject(own, got):
        own.basic_reject(got.tag, requeue=True)

    def recover(own, _):
        own.basic_recover(requeue=True)

    def close(own, _):
        own.close()

    for give_back in (nack, several, reject, recover, close):
        queue, dead = pair(ch, retry_limit=2)
        publish(ch, queue)
        for count in (None, 1):
            own = other()
            got = take(own, queue)
            equal((give_back.__name__, got.headers.get("x-delivery-count")),
                  (give_back.__name__, count))
            give_back(own, got)
        death(take(ch, dead), "delivery_limit", queue)


def lost_consumers_count(ch):
    """A consumer whose connection ends, in order or by a cut, has used up a try."""
    queue, dead = pair(ch, retry_limit=2)
    publish(ch, queue)
    for politely in (True, False):
        own = connect()
        Inbox(own.channel(), queue).wait(1)
        if politely:
            own.close()
        else:
            cut(own)
    death(take(ch, dead), "delivery_limit", queue)


def rejected_is_final(ch):
    """requeue=false dead-letters at once with its own reason, whatever the policy."""
    for nack in (True, False):
        queue, dead = pair(ch, retry_limit=5, retry_delay=60000)
        publish(ch, queue)
        got = take(ch, queue)
        if nack:
            ch.basic_nack(got.tag, requeue=False)
        else:
            ch.basic_reject(got.tag, requeue=False)
        death(take(ch, dead), "rejected", queue)


def what_was_not_delivered_counts_nothing(ch):
    """A prefetched message that its consumer gave back unread counts; one that stayed does not."""
    queue, dead = pair(ch, retry_limit=2)
    for body in (b"a", b"b"):
        publish(ch, queue, body)
    own = ch.connection.channel()
    inbox = Inbox(own, queue, prefetch=1)
    inbox.wait(1)
    own.close()
    equal([take(ch, queue).headers.get("x-delivery-count") for _ in range(2)], [1, None])


def one_of_many_is_poison(ch):
    """All but the bad one get through, in a bounded number of tries."""
    queue, dead = pair(ch, retry_limit=3, retry_delay=50)
    for number in range(100):
        publish(ch, queue, b"%d" % number)
    own, done, tries = connect().channel(), [], []
    own.basic_qos(prefetch_count=5)

    def handle(_, method, __, body):
        if body == b"13":
            tries.append(body)
            own.basic_nack(method.delivery_tag, requeue=True)
        else:
            done.append(int(body))
            own.basic_ack(method.delivery_tag)

    own.basic_consume(queue, handle)
    deadline = time.monotonic() + 20
    while (len(done) < 99 or len(tries) < 3) and time.monotonic() < deadline:
        own.connection.process_data_events(0.05)
    own.connection.close()
    equal((sorted(done), len(tries)), ([n for n in range(100) if n != 13], 3))
    equal(take(ch, dead).body, b"13")


def retries_of_a_dead_letter_start_again(ch):
    """In the next queue it is a new message: first try, no count; its history is there."""
    last, _ = pair(ch, retry_limit=2)
    queue = make(ch, retry_limit=1, dead_letter_exchange="", dead_letter_routing_key=last)
    publish(ch, queue)
    ch.basic_nack(take(ch, queue).tag, requeue=True)
    got = take(ch, last)
    equal((got.redelivered, got.headers.get("x-delivery-count")), (False, None))
    death(got, "delivery_limit", queue)
    ch.basic_nack(got.tag, requeue=True)
    equal(take(ch, last).headers.get("x-delivery-count"), 1)


run("retry", (
    limit, limit_of_one, limit_without_target, delivery_limit_of_classic, delivery_limit_none,
    count_on_every_type, waits, jitter, jitter_stays_below_the_longest,
    a_waiting_message_holds_nobody, time_to_live_acts_on_a_waiting_one, back_to_its_place,
    every_way_back_counts, lost_consumers_count, rejected_is_final,
    what_was_not_delivered_counts_nothing, one_of_many_is_poison,
    retries_of_a_dead_letter_start_again))
