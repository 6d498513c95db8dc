"""What the programs of the judge `queues` share: queues, publishes, consumers with a clock, HTTP.

Invariants
- A lower bound of a time is exact but for the millisecond that a whole number cuts off.
- An upper bound leaves room for a machine that is busy with other things; where it can not, the
  test raises `TooSlow` and is run again, a few times.
"""

import collections
import os
import pathlib
import socket
import statistics
import sys
import time
import urllib.parse

import pika

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "pika"))
import lib  # noqa: E402
from common import connect, equal, fresh, get, serve  # noqa: E402,F401
from lib import Broker, Checks  # noqa: E402,F401

HTTP_PORT = int(os.environ.get("HTTP_PORT", "0"))
SETTLE = "ferry.settle"
LATE_S_MAX = 3.0
ATTEMPTS_MAX = 4
Got = collections.namedtuple("Got", "at tag redelivered headers properties body")


class TooSlow(AssertionError):
    """Something took longer than it should; if it does so each time, it is not the machine."""


def arguments(settings):
    """`retry_limit=3` is the argument `x-retry-limit`."""
    return {"x-" + name.replace("_", "-"): value for name, value in settings.items()}


def make(ch, durable=True, **settings):
    """A queue of its own, with these arguments."""
    name = fresh("queues")
    ch.queue_declare(name, durable=durable, arguments=arguments(settings))
    return name


def pair(ch, **settings):
    """A queue with these arguments, and the one that gets its dead letters."""
    dead = make(ch)
    return make(ch, dead_letter_exchange="", dead_letter_routing_key=dead, **settings), dead


def properties(headers=None, **others):
    """Properties of a persistent message."""
    return pika.BasicProperties(headers=headers, **{"delivery_mode": 2, **others})


def publish(ch, queue, body=b"x", headers=None, exchange="", mandatory=True, **others):
    """A publish that the broker takes, routed and confirmed; returns when it was sent."""
    sent = time.monotonic()
    if not ch._delivery_confirmation:
        ch.confirm_delivery()
    ch.basic_publish(exchange, queue, body, properties(headers, **others), mandatory=mandatory)
    return sent


def refused(action):
    """The action is answered with a basic.nack."""
    try:
        action()
    except pika.exceptions.NackError:
        return
    raise AssertionError("no nack")


def returned(action):
    """(code, text) of the message that came back, or None."""
    try:
        action()
    except pika.exceptions.UnroutableError as error:
        return error.messages[0].method.reply_code, error.messages[0].method.reply_text
    return None


def closed(action):
    """(code, text) of the channel error that the action meets."""
    try:
        action()
    except pika.exceptions.ChannelClosedByBroker as error:
        return error.reply_code, error.reply_text
    raise AssertionError("no channel error")


def settle(ch, tag, outcome, delay=None, mandatory=False):
    """A publish to `ferry.settle`; what came back, or None."""
    headers = {"delivery-tag": tag, "outcome": outcome}
    if delay is not None:
        headers["delay"] = delay
    return returned(lambda: publish(ch, "", b"", headers, SETTLE, mandatory))


def take(ch, queue, seconds=10, **options):
    """The next message of a queue by basic.get, to be settled."""
    method, props, body = get(ch, queue, seconds, **{"auto_ack": False, **options})
    assert method is not None, f"nothing in {queue}"
    return Got(time.monotonic(), method.delivery_tag, method.redelivered, props.headers or {},
               props, body)


def ready(ch, queue):
    """How many messages are ready, as a passive declare says."""
    return ch.queue_declare(queue, passive=True).method.message_count


def empty(ch, queue, seconds=0.3):
    """Nothing is ready, now and a while later."""
    time.sleep(seconds)
    equal(ready(ch, queue), 0)


def death(got, reason, queue):
    """Checks the newest entry of a dead letter's history; returns it."""
    entry = got.headers["x-death"][0]
    equal((entry["reason"], entry["queue"]), (reason, queue))
    return entry


class Inbox:
    """A consumer that keeps what it gets, with the time of arrival."""

    def __init__(self, ch, queue, prefetch=0, **options):
        self.ch, self.got, self.settled = ch, [], 0
        if prefetch:
            ch.basic_qos(prefetch_count=prefetch)
        self.name = ch.basic_consume(queue, self._deliver, **options)

    def _deliver(self, _, method, props, body):
        self.got.append(Got(time.monotonic(), method.delivery_tag, method.redelivered,
                            props.headers or {}, props, body))

    def wait(self, count, seconds=15):
        """Runs until so many have come in all; returns them."""
        serve(self.ch.connection, seconds, lambda: len(self.got) >= count)
        assert len(self.got) >= count, f"{len(self.got)} came, wanted {count}"
        return self.got

    def next(self, seconds=15):
        """The one after all that were asked for by this."""
        self.settled += 1
        return self.wait(self.settled, seconds)[self.settled - 1]

    def quiet(self, seconds=0.5):
        """Nothing more comes."""
        before = len(self.got)
        serve(self.ch.connection, seconds)
        equal(len(self.got), before)

    def cancel(self):
        """No more deliveries; what is held stays held."""
        self.ch.basic_cancel(self.name)


def waited(seconds, at_least_ms, at_most_ms=None):
    """A wait that is never short, and not long beyond reason."""
    low, high = at_least_ms / 1000, (at_most_ms or at_least_ms) / 1000 + LATE_S_MAX
    assert low - 0.001 <= seconds <= high, f"{seconds * 1000:.0f} ms, wanted {at_least_ms}"


def typical(waits, wanted_ms):
    """The median of many waits is within 5 % or 50 ms."""
    found = statistics.median(waits) * 1000
    slack = max(wanted_ms * 0.05, 50)
    if found > wanted_ms + slack:
        raise TooSlow(f"median {found:.0f} ms, wanted {wanted_ms}")
    assert found >= wanted_ms - slack, f"median {found:.0f} ms, wanted {wanted_ms}"


def api(method, path, content=None):
    """(status, decoded answer) of the management API."""
    return lib.api(HTTP_PORT, method, path, content)


def counted(queue, name, wanted, seconds=5):
    """A count of the queue on the management API comes to be this."""
    deadline, found = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        status, shown = api("GET", f"queues/%2F/{urllib.parse.quote(queue, safe='')}")
        assert status == 200, f"{status} {shown}"
        found = shown.get(name)
        if found == wanted:
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} is {found!r}, wanted {wanted!r}")


def cut(connection):
    """The connection ends without a word."""
    connection._impl._transport._sock.shutdown(socket.SHUT_RDWR)


def run(program, tests):
    """Runs each test with a channel of its own; prints the totals."""
    checks, connection = Checks(), connect()

    def attempts(test):
        for left in reversed(range(ATTEMPTS_MAX)):
            try:
                return test(connection.channel())
            except TooSlow:
                if not left:
                    raise

    for test in tests:
        checks.run(f"{program} {test.__name__}", lambda test=test: attempts(test))
    connection.close()
    checks.finish()
