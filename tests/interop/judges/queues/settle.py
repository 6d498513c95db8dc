"""The exchange `ferry.settle`: how a consumer says more than ack, nack and reject."""

import time
from decimal import Decimal

import pika
from kit import (SETTLE, Inbox, closed, counted, death, equal, make, pair, publish, ready, returned,
                 run, settle, take, waited)


def accept(ch):
    """The message is gone, and so is its tag."""
    queue = make(ch)
    publish(ch, queue)
    tag = take(ch, queue).tag
    equal(settle(ch, tag, "accept"), None)
    equal(settle(ch, tag, "accept")[0], 404)
    counted(queue, "messages", 0)
    equal(closed(lambda: [ch.basic_ack(tag), ready(ch, queue)])[0], 406)


def requeue(ch):
    """It comes back, counted."""
    queue = make(ch)
    publish(ch, queue)
    equal(settle(ch, take(ch, queue).tag, "requeue"), None)
    got = take(ch, queue)
    equal((got.redelivered, got.headers["x-delivery-count"]), (True, 1))


def reject(ch):
    """It is a dead letter."""
    queue, dead = pair(ch)
    publish(ch, queue)
    equal(settle(ch, take(ch, queue).tag, "reject"), None)
    death(take(ch, dead), "rejected", queue)


def delay(ch):
    """The consumer chooses the wait, shorter or longer than the queue's."""
    queue = make(ch, retry_delay=60000)
    publish(ch, queue)
    for wait in (300, 700, 0):
        got, began = take(ch, queue), time.monotonic()
        equal(settle(ch, got.tag, "delay", wait), None)
        equal(ready(ch, queue), 0 if wait else 1)
        again = Inbox(ch, queue)
        waited(again.next().at - began, wait)
        again.cancel()
        equal(settle(ch, again.got[0].tag, "delay", 0), None)


def delay_of_the_queue(ch):
    """Without a value: the queue's retry delay, which grows; without that none."""
    queue = make(ch, retry_delay=400, retry_jitter=0)
    publish(ch, queue)
    inbox = Inbox(ch, queue)
    for wait in (400, 800):
        got, began = inbox.next(), time.monotonic()
        equal(settle(ch, got.tag, "delay"), None)
        waited(inbox.wait(inbox.settled + 1)[-1].at - began, wait)
    plain = make(ch)
    publish(ch, plain)
    equal(settle(ch, take(ch, plain).tag, "delay"), None)
    equal(take(ch, plain, 1).headers["x-delivery-count"], 1)


def delay_counts_as_a_try(ch):
    """The last one dead-letters instead of waiting."""
    queue, dead = pair(ch, retry_limit=2)
    publish(ch, queue)
    for _ in range(2):
        equal(settle(ch, take(ch, queue).tag, "delay", 50), None)
    death(take(ch, dead), "delivery_limit", queue)


def delivered_to_a_consumer(ch):
    """Tags of consumers and of gets are the same thing; prefetch is given back."""
    queue = make(ch)
    for number in range(4):
        publish(ch, queue, b"%d" % number)
    own = ch.connection.channel()
    inbox = Inbox(own, queue, prefetch=1)
    for number in range(4):
        got = inbox.next()
        equal(got.body, b"%d" % number)
        inbox.quiet(0.1)
        equal(settle(own, got.tag, "accept"), None)


def unknown_tag(ch):
    """404, mandatory or not; the channel lives, and other channels' tags are unknown here."""
    queue = make(ch)
    publish(ch, queue)
    other = ch.connection.channel()
    tag = take(other, queue).tag
    for mandatory in (True, False):
        for outcome in ("accept", "requeue", "reject", "delay", "extend"):
            code, text = settle(ch, tag + 7, outcome, mandatory=mandatory)
            equal((outcome, code), (outcome, 404))
            assert text.startswith("NOT_FOUND"), text
    equal(settle(ch, tag, "accept")[0], 404)
    equal(settle(other, tag, "accept"), None)


BAD = {
    "outcome unknown": ({"outcome": "drop"}, "outcome"),
    "outcome missing": ({"outcome": None}, "outcome"),
    "outcome a number": ({"outcome": 1}, "outcome"),
    "outcome empty": ({"outcome": ""}, "outcome"),
    "tag missing": ({"delivery-tag": None}, "delivery-tag"),
    "tag a text": ({"delivery-tag": "1"}, "delivery-tag"),
    "tag with a fraction": ({"delivery-tag": Decimal("1.5")}, "delivery-tag"),
    "delay a text": ({"outcome": "delay", "delay": "5"}, "delay"),
    "delay negative": ({"outcome": "delay", "delay": -1}, "delay"),
    "delay too long": ({"outcome": "delay", "delay": 2**40 + 1}, "delay"),
    "delay a boolean": ({"outcome": "extend", "delay": True}, "delay"),
    "delay for another outcome": ({"delay": 5}, "delay"),
    "extend too long": ({"outcome": "extend", "delay": 2**40 + 1}, "delay"),
}


def bad_headers(ch):
    """406 that names the header; the message stays held."""
    queue = make(ch)
    publish(ch, queue)
    tag = take(ch, queue).tag
    for name, (change, header) in BAD.items():
        headers = {"delivery-tag": tag, "outcome": "accept", **change}
        headers = {key: value for key, value in headers.items() if value is not None}
        for mandatory in (True, False):
            back = returned(lambda: publish(ch, "", b"", headers, SETTLE, mandatory))
            assert back and back[0] == 406 and header in back[1], f"{name}: {back}"
    for headers in ({}, None):
        equal(returned(lambda: publish(ch, "", b"", headers, SETTLE, False))[0], 406)
    equal(settle(ch, tag, "accept"), None)


def without_confirms(ch):
    """A return comes without being asked for; the good ones are silent."""
    queue = make(ch)
    publish(ch, queue)
    own, back = ch.connection.channel(), []
    own.add_on_return_callback(lambda _, method, __, ___: back.append(method.reply_code))
    tag = take(own, queue).tag
    for number in (tag, tag, tag + 1):
        own.basic_publish(SETTLE, "", b"", pika.BasicProperties(
            headers={"delivery-tag": number, "outcome": "accept"}))
    deadline = time.monotonic() + 5
    while len(back) < 2 and time.monotonic() < deadline:
        ch.connection.process_data_events(0.05)
    equal(back, [404, 404])


def order_of_settles_and_publishes(ch):
    """A confirm means done: what follows sees it."""
    queue = make(ch)
    for number in range(200):
        publish(ch, queue, b"%d" % number)
    for number in range(200):
        got = take(ch, queue)
        equal(settle(ch, got.tag, "requeue" if number % 2 else "accept"), None)
        if number % 2:
            ch.basic_ack(take(ch, queue, 0.01).tag)
    equal(ready(ch, queue), 0)


def is_a_system_exchange(ch):
    """Declared again as it is; not otherwise, not deleted, not bound."""
    ch.exchange_declare(SETTLE, "direct", durable=True)
    ch.exchange_declare(SETTLE, passive=True)
    queue = make(ch)
    for code, action in (
            (406, lambda own: own.exchange_declare(SETTLE, "topic", durable=True)),
            (403, lambda own: own.exchange_delete(SETTLE)),
            (403, lambda own: own.queue_bind(queue, SETTLE, "k")),
            (403, lambda own: own.exchange_bind("amq.fanout", SETTLE))):
        own = ch.connection.channel()
        equal(closed(lambda: action(own))[0], code)


run("settle", (
    accept, requeue, reject, delay, delay_of_the_queue, delay_counts_as_a_try,
    delivered_to_a_consumer, unknown_tag, bad_headers, without_confirms,
    order_of_settles_and_publishes, is_a_system_exchange))
