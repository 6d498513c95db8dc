"""De-duplication: what counts as an id, for how long, on queues and on exchanges."""

import time

import pika
from kit import (Inbox, TooSlow, arguments, connect, counted, empty, equal, fresh, make, pair,
                 publish, ready, refused, returned, run, settle, take)

ID = "x-deduplication-header"


def persistent(name):
    """Persistent, with this id."""
    return pika.BasicProperties(delivery_mode=2, message_id=name)


def window(ch, **settings):
    """A queue that knows the ids of its messages."""
    return make(ch, message_deduplication=True, **settings)


def by_property(ch):
    """The message-id property is the id; both publishes are confirmed, one is stored."""
    queue = window(ch)
    for body in (b"first", b"again"):
        publish(ch, queue, body, message_id="a")
    publish(ch, queue, b"other", message_id="b")
    equal([take(ch, queue).body, take(ch, queue).body], [b"first", b"other"])
    equal(ready(ch, queue), 0)


def by_header(ch):
    """The header counts before the property."""
    queue = window(ch)
    publish(ch, queue, b"1", {ID: "same"}, message_id="a")
    publish(ch, queue, b"2", {ID: "same"}, message_id="b")
    publish(ch, queue, b"3", {ID: "other"}, message_id="a")
    publish(ch, queue, b"4", message_id="a")
    equal([take(ch, queue).body for _ in range(3)], [b"1", b"3", b"4"])
    equal(ready(ch, queue), 0)


def type_and_value(ch):
    """A text is not the number that it spells; header and property of the same text are one id."""
    queue = window(ch)
    for value in (5, "5", True, 6, "6", 2**40, str(2**40)):
        for _ in range(2):
            publish(ch, queue, repr(value).encode(), {ID: value})
    publish(ch, queue, b"property", message_id="5")
    equal(ready(ch, queue), 7)


def without_an_id(ch):
    """Messages that have none are all different."""
    queue = window(ch)
    for _ in range(3):
        publish(ch, queue, b"x", {"own": 1})
    equal(ready(ch, queue), 3)


def empty_and_long_ids(ch):
    """Ids of any length: an empty text is one, too."""
    queue = window(ch)
    for text in ("", "x" * 255, "x" * 254, "y" * 100000, "y" * 100001):
        for _ in range(2):
            publish(ch, queue, b"x", {ID: text})
    equal(ready(ch, queue), 5)


def off_by_default(ch):
    """Without the argument, or with false, ids mean nothing."""
    for settings in ({}, {"message_deduplication": False}):
        queue = make(ch, **settings)
        for _ in range(2):
            publish(ch, queue, b"x", message_id="a")
        equal(ready(ch, queue), 2)


def known_after_it_is_gone(ch):
    """An id counts whether its message is still there or not."""
    queue, dead = pair(ch, message_deduplication=True)
    for number, outcome in enumerate(("accept", "reject")):
        publish(ch, queue, b"x", message_id=str(number))
        settle(ch, take(ch, queue).tag, outcome)
        publish(ch, queue, b"y", message_id=str(number))
    ch.queue_purge(queue)
    publish(ch, queue, b"z", message_id="0")
    empty(ch, queue, 0.1)
    equal(ready(ch, dead), 1)


def by_count(ch):
    """The oldest id goes when there are more than x-cache-size."""
    queue = window(ch, cache_size=3)
    for name in "abcd":
        publish(ch, queue, name.encode(), message_id=name)
    equal(ready(ch, queue), 4)
    for name in "bcd":
        publish(ch, queue, b"again", message_id=name)
    equal(ready(ch, queue), 4)
    publish(ch, queue, b"a2", message_id="a")
    equal(ready(ch, queue), 5)


def by_time(ch):
    """An id is forgotten after x-cache-ttl; a duplicate does not start its time again."""
    queue = window(ch, cache_ttl=1000)
    began = time.monotonic()
    while time.monotonic() - began < 0.8:
        publish(ch, queue, b"x", message_id="a")
        time.sleep(0.1)
    stored_in_time = ready(ch, queue)
    if time.monotonic() - began > 1.0:
        raise TooSlow("the second was over before the check")
    equal(stored_in_time, 1)
    time.sleep(0.5)
    publish(ch, queue, b"x", message_id="a")
    equal(ready(ch, queue), 2)


def refused_is_not_known(ch):
    """A publish that a full queue refused may be sent again when there is room."""
    queue = window(ch, max_length=1, overflow="reject-publish")
    publish(ch, queue, b"x", message_id="a")
    for _ in range(2):
        refused(lambda: publish(ch, queue, b"y", message_id="b"))
    ch.basic_ack(take(ch, queue).tag)
    publish(ch, queue, b"y", message_id="b")
    equal(take(ch, queue).body, b"y")


def duplicate_on_a_full_queue(ch):
    """It is confirmed, not refused: it is there already."""
    queue = window(ch, max_length=1, overflow="reject-publish")
    for _ in range(3):
        publish(ch, queue, b"x", message_id="a")
    equal(ready(ch, queue), 1)


def duplicate_drops_nothing(ch):
    """A full queue that drops its oldest drops none for a duplicate."""
    queue = window(ch, max_length=1)
    publish(ch, queue, b"a", message_id="a")
    publish(ch, queue, b"b", message_id="b")
    publish(ch, queue, b"a", message_id="a")
    equal(take(ch, queue).body, b"b")


def duplicate_is_not_returned(ch):
    """Mandatory, and routed, if only to a queue that has it."""
    queue = window(ch)
    for _ in range(2):
        equal(returned(lambda: publish(ch, queue, b"x", message_id="a", mandatory=True)), None)


def queues_know_their_own(ch):
    """One publish to two queues: each has a window of its own."""
    one, two, plain = window(ch), window(ch), make(ch)
    for queue in (one, two, plain):
        ch.queue_bind(queue, "amq.direct", one)
    publish(ch, two, b"early", message_id="a")
    for _ in range(2):
        publish(ch, one, b"x", exchange="amq.direct", message_id="a")
    equal([ready(ch, queue) for queue in (one, two, plain)], [1, 1, 2])


def straight_to_a_consumer(ch):
    """A duplicate of what a waiting consumer got."""
    queue = window(ch)
    inbox = Inbox(ch.connection.channel(), queue, auto_ack=True)
    for name in ("a", "a", "b"):
        publish(ch, queue, name.encode(), message_id=name)
    equal([got.body for got in inbox.wait(2)], [b"a", b"b"])
    inbox.quiet(0.2)


def delayed_ones_are_known(ch):
    """From the publish on, not from when they are ready."""
    queue = window(ch)
    publish(ch, queue, b"first", {"x-delay": 400}, message_id="a")
    publish(ch, queue, b"second", message_id="a")
    publish(ch, queue, b"third", {"x-delay": 10}, message_id="a")
    inbox = Inbox(ch, queue)
    equal(inbox.next().body, b"first")
    inbox.quiet(0.3)


def in_transactions(ch):
    """Known from the commit on; twice in one is once; a rollback forgets."""
    queue, own = window(ch), ch.connection.channel()
    own.tx_select()

    def send(name):
        own.basic_publish("", queue, name.encode(), persistent(name))
    send("a")
    own.tx_rollback()
    send("a")
    send("a")
    send("b")
    own.tx_commit()
    send("b")
    own.tx_commit()
    equal([take(ch, queue).body for _ in range(2)], [b"a", b"b"])
    equal(ready(ch, queue), 0)


def of_an_exchange(ch):
    """The exchange knows ids for all its queues, whatever its type."""
    settings = arguments({"message_deduplication": True})
    for kind, more in (("direct", {}), ("topic", {}), ("fanout", {}), ("headers", {}),
                       ("x-delayed-message", {"x-delayed-type": "topic"})):
        name, queues = fresh("exchange"), [make(ch), make(ch)]
        ch.exchange_declare(name, kind, durable=True, arguments={**settings, **more})
        for queue in queues:
            ch.queue_bind(queue, name, "k")
        for _ in range(2):
            publish(ch, "k", b"x", exchange=name, message_id="a")
        publish(ch, "k", b"y", exchange=name, message_id="b")
        equal((kind, [ready(ch, queue) for queue in queues]), (kind, [2, 2]))


def refused_by_a_queue_of_the_exchange(ch):
    """What was refused may be sent again, and counts when it was taken."""
    name, full = fresh("exchange"), make(ch, max_length=1, overflow="reject-publish")
    ch.exchange_declare(name, "fanout", durable=True,
                        arguments=arguments({"message_deduplication": True}))
    ch.queue_bind(full, name)
    publish(ch, full, b"in the way")
    refused(lambda: publish(ch, "", b"x", exchange=name, message_id="a"))
    ch.basic_ack(take(ch, full).tag)
    publish(ch, "", b"x", exchange=name, message_id="a")
    publish(ch, "", b"again", exchange=name, message_id="a")
    equal(take(ch, full).body, b"x")


def unroutable_is_not_known(ch):
    """A message that an exchange led nowhere may be sent again."""
    name, queue = fresh("exchange"), make(ch)
    ch.exchange_declare(name, "fanout", durable=True,
                        arguments=arguments({"message_deduplication": True}))
    equal(returned(lambda: publish(ch, "", b"x", exchange=name, message_id="a"))[0], 312)
    ch.queue_bind(queue, name)
    for _ in range(2):
        publish(ch, "", b"x", exchange=name, message_id="a")
    equal(ready(ch, queue), 1)


def of_an_exchange_in_transactions(ch):
    """Known from the commit on; a rollback forgets."""
    name, queue, own = fresh("exchange"), make(ch), ch.connection.channel()
    ch.exchange_declare(name, "fanout", durable=True,
                        arguments=arguments({"message_deduplication": True}))
    ch.queue_bind(queue, name)
    own.tx_select()
    for end in (own.tx_rollback, own.tx_commit, own.tx_commit):
        for _ in range(2):
            own.basic_publish(name, "", b"x", persistent("a"))
        end()
    equal(ready(ch, queue), 1)


def exchange_type(ch):
    """The plug-in's type routes to all its queues and knows ids by x-deduplication-header."""
    name, queues = fresh("exchange"), [make(ch), make(ch)]
    ch.exchange_declare(name, "x-message-deduplication", durable=True,
                        arguments=arguments({"cache_size": 2, "cache_ttl": 60000}))
    for queue in queues:
        ch.queue_bind(queue, name, "ignored")
    for value in (1, 1, 2, 2, 3, 1):
        publish(ch, "any", b"%d" % value, {ID: value}, name)
    equal([ready(ch, queue) for queue in queues], [4, 4])


def of_exchange_and_queue(ch):
    """Both at once do not stand in each other's way."""
    name, queue = fresh("exchange"), window(ch)
    ch.exchange_declare(name, "fanout", durable=True,
                        arguments=arguments({"message_deduplication": True}))
    ch.queue_bind(queue, name)
    publish(ch, queue, b"direct", message_id="a")
    for _ in range(2):
        publish(ch, "", b"x", exchange=name, message_id="a")
        publish(ch, "", b"y", exchange=name, message_id="b")
    equal(ready(ch, queue), 2)


def many_ids(ch):
    """Twenty thousand ids, each three times, from three connections at once."""
    queue, count = window(ch), 20000
    channels = [connect().channel() for _ in range(3)]
    for at in range(0, count, 1000):
        for own in channels:
            for number in range(at, at + 1000):
                own.basic_publish("", queue, b"x", persistent(str(number)))
    for own in channels:
        own.connection.close()
    counted(queue, "messages_ready", count, 30)


run("deduplicate", (
    by_property, by_header, type_and_value, without_an_id, empty_and_long_ids, off_by_default,
    known_after_it_is_gone, by_count, by_time, refused_is_not_known, duplicate_on_a_full_queue,
    duplicate_drops_nothing, duplicate_is_not_returned, queues_know_their_own,
    straight_to_a_consumer, delayed_ones_are_known, in_transactions, of_an_exchange,
    refused_by_a_queue_of_the_exchange, unroutable_is_not_known, of_an_exchange_in_transactions,
    exchange_type, of_exchange_and_queue, many_ids))
