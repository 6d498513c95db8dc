"""What the pika programs share: where the broker is, names, and small helpers."""

import itertools
import os
import time

import pika

HOST, PORT = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "5672"))
DURABLE = pika.BasicProperties(delivery_mode=2)
_numbers = itertools.count()


def parameters(**options):
    """Connection parameters for the broker under test."""
    return pika.ConnectionParameters(HOST, PORT, **options)


def connect(**options):
    """An open connection."""
    return pika.BlockingConnection(parameters(**options))


def fresh(prefix="pika"):
    """A name that is not used yet."""
    return f"{prefix}.{os.getpid()}.{next(_numbers)}"


def equal(found, wanted):
    """Raises unless both are the same."""
    assert found == wanted, f"found {found!r:.200}, wanted {wanted!r:.200}"


def get(channel, queue, seconds=5, **options):
    """The next message, waited for: (method, properties, body)."""
    deadline = time.monotonic() + seconds
    while True:
        found = channel.basic_get(queue, **{"auto_ack": True, **options})
        if found[0] is not None or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def serve(connection, seconds=5, condition=lambda: False):
    """Lets callbacks run until the condition holds or time is up."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        connection.process_data_events(0.05)


def collect(connection, channel, queue, count, seconds=10, **options):
    """`count` messages by a consumer, each as (method, properties, body)."""
    found = []
    tag = channel.basic_consume(queue, lambda _, m, p, b: found.append((m, p, b)),
                                **{"auto_ack": True, **options})
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        connection.process_data_events(0.1)
    channel.basic_cancel(tag)
    return found


def closes(code, action):
    """The action must end its channel with this code."""
    try:
        action()
    except pika.exceptions.ChannelClosedByBroker as error:
        equal(error.reply_code, code)
        return
    raise AssertionError(f"no channel error {code}")
