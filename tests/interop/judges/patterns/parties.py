"""The parties of these scenarios: producers with confirms, consumers, and how they go.

Invariants
- A connection belongs to one thread. Others set flags, or read what it has noted.
- A producer's numbers begin at 0 and have no gaps; whatever was not confirmed is sent again in its
  order before anything new.
- What a consumer acked before it was cut off was known to be acked; what it held then is in `held`.
"""

import collections
import itertools
import pathlib
import socket
import sys
import threading
import time

import pika

INTEROP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(INTEROP), str(INTEROP / "judges/order")]

from tools import BROKER, connect, fresh, make, ready, until  # noqa: E402,F401
from common import HOST, PORT  # noqa: E402
from crash_loop import PERSISTENT, Client, key_of, message, publish  # noqa: E402
from kit import Inbox, properties, settle  # noqa: E402,F401
from proxy import RESET  # noqa: E402

TICK_S = 0.005
POLL_S = 0.02
JOIN_S_MAX = 60
CHUNK, FILL_WINDOW = 500, 5000
Delivery = collections.namedtuple("Delivery", "at consumer key redelivered")


def way_to(port):
    """Parameters for the broker, or for what stands before it; no heartbeat can be missed."""
    return pika.ConnectionParameters(HOST, port, heartbeat=0)


def reset(connection):
    """The connection of a pika object ends with a reset: what is under way both ways is gone."""
    link = connection._impl._transport._sock
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    link.close()


def body_of(key, large=0):
    """The body that says its key, and proves itself; every tenth has so many bytes more."""
    return message(*key, bytes(large) if key[1] % 10 == 9 else b"")


def depart(parties):
    """Tells all of these to finish and to go, and waits until they are gone."""
    for consumer in parties:
        consumer.leave()
    for consumer in parties:
        consumer.gone()


class Window:
    """Publishes that wait for their confirms, oldest first."""

    def __init__(self):
        self.tag, self.open = 0, {}

    def add(self, key):
        """One more is sent."""
        self.tag += 1
        self.open[self.tag] = key

    def settle(self, tag, multiple):
        """The keys that one confirm speaks of; one that was not open is an error."""
        tags = [tag]
        if multiple:
            tags = list(itertools.takewhile(lambda one: one <= tag, self.open))
        return [self.open.pop(one) for one in tags]


def fill(queue, count):
    """Publishes so many persistent messages, each confirmed; quick, for backlogs."""
    client, window = Client(PORT), Window()
    client.socket.settimeout(JOIN_S_MAX)
    client.call("confirm.select")
    client.expect("confirm.select-ok")
    for first in range(0, count, CHUNK):
        keys = [(0, number) for number in range(first, min(first + CHUNK, count))]
        client.write(b"".join(publish(queue, body_of(key), PERSISTENT) for key in keys))
        for key in keys:
            window.add(key)
        most = FILL_WINDOW if first + CHUNK < count else 0
        while len(window.open) > most:
            name, values, _ = client.event()
            assert name == "basic.ack", f"{name} for a publish to {queue}"
            window.settle(values["delivery-tag"], values["multiple"])
    client.socket.close()


class Party(threading.Thread):
    """Does its `work` in a thread; whatever goes wrong there is an error of the scenario."""

    def __init__(self, number, port):
        super().__init__(daemon=True)
        self.number, self.port, self.errors = number, port, []

    def run(self):
        """To its end."""
        try:
            self.work()
        except Exception as error:  # told by the scenario
            self.errors.append(f"{self.who()}: {type(error).__name__} {error}")

    def who(self):
        """Its name."""
        return f"{type(self).__name__.lower()} {self.number}"

    def gone(self, seconds=JOIN_S_MAX):
        """Waits until it is gone."""
        until(lambda: not self.is_alive(), seconds, f"the end of {self.who()}")


class Producer(Party):
    """Publishes by the clock, event driven, with any number of confirms under way.

    `due(seconds)` says how many should be sent so long after the start; `count` is how many there
    are in all, if that is known. With `again` it connects anew when its connection is lost.
    """

    def __init__(self, number, key, due, count=None, exchange="", port=PORT, again=False,
                 large=0):
        super().__init__(number, port)
        self.exchange, self.key, self.due, self.count = exchange, key, due, count
        self.again, self.large = again, large
        self.sent, self.left, self.window = 0, collections.deque(), Window()
        self.confirmed, self.repeated = set(), set()
        self.nacked, self.blocked, self.lives = [], [], 0
        self.began, self.channel = time.monotonic(), None
        self.ending, self.is_done = threading.Event(), False

    def finish(self, seconds=JOIN_S_MAX):
        """No more than there are by now, or than `count`; returns when the last is confirmed."""
        if self.count is None:
            self.ending.set()
        self.gone(seconds)

    def trouble(self):
        """All that a producer should not meet."""
        return self.errors + [f"nack of {key}" for key in self.nacked] + [
            f"blocked: {reason}" for reason in self.blocked]

    def work(self):
        """One connection, or as many as it takes."""
        while not self.is_done:
            self.lives += 1
            self.left.extendleft(reversed(self.window.open.values()))
            self.repeated.update(self.window.open.values())
            self.window, self.channel = Window(), None
            connection = pika.SelectConnection(
                way_to(self.port),
                on_open_callback=lambda c: c.channel(on_open_callback=self.opened),
                on_open_error_callback=self.ended, on_close_callback=self.ended)
            connection.add_on_connection_blocked_callback(
                lambda _, frame: self.blocked.append(frame.method.reason))
            connection.ioloop.start()
            connection.ioloop.close()
            time.sleep(TICK_S)

    def ended(self, connection, reason):
        """The connection has ended, or was not to be had."""
        if not self.is_done and not self.again:
            self.errors.append(f"{self.who()}: {reason!r}")
            self.is_done = True
        connection.ioloop.stop()

    def opened(self, channel):
        """The channel is there."""
        self.channel = channel
        channel.add_on_return_callback(lambda _, method, props, body: self.errors.append(
            f"{key_of(body)} returned: {method.reply_text}"))
        channel.add_on_close_callback(self.channel_ended)
        channel.confirm_delivery(self.on_confirm, callback=lambda _: self.tick())

    def channel_ended(self, channel, reason):
        """With its connection, or by an error of its own, which no scenario wants."""
        if isinstance(reason, pika.exceptions.ChannelClosedByBroker):
            self.errors.append(f"{self.who()}: {reason!r}")
            self.is_done = True
            channel.connection.close()

    def on_confirm(self, frame):
        """One ack or nack, for one or many."""
        keys = self.window.settle(frame.method.delivery_tag, frame.method.multiple)
        if isinstance(frame.method, pika.spec.Basic.Ack):
            self.confirmed.update(keys)
        else:
            self.nacked += keys

    def tick(self):
        """Sends what is due."""
        channel = self.channel
        if channel is None or not channel.is_open:
            return
        wanted = self.sent
        if not self.ending.is_set():
            wanted = self.due(time.monotonic() - self.began)
            wanted = wanted if self.count is None else min(wanted, self.count)
        while self.left and channel.is_open:
            self.send(self.left.popleft())
        while self.sent < wanted and channel.is_open:
            self.sent += 1
            self.send((self.number, self.sent - 1))
        all_out = self.ending.is_set() if self.count is None else self.sent >= self.count
        if all_out and not self.left and not self.window.open:
            self.is_done = True
            channel.connection.close()
        else:
            channel.connection.ioloop.call_later(TICK_S, self.tick)

    def send(self, key):
        """One publish that must find a queue."""
        self.window.add(key)
        self.channel.basic_publish(self.exchange, self.key, body_of(key, self.large), properties(),
                                   mandatory=True)


class Consumer(Party):
    """Handles one message after the other and acks it; notes all that comes in `log`."""

    def __init__(self, queue, prefetch, handle_s=0.0, log=None, number=0, port=PORT):
        super().__init__(number, port)
        self.queue, self.prefetch, self.handle_s = queue, prefetch, handle_s
        self.log, self.acked, self.held = [] if log is None else log, [], []
        self.running, self.ending, self.cutting = (threading.Event() for _ in range(3))

    def begin(self):
        """Starts it; returns it when it consumes."""
        self.start()
        until(lambda: self.running.is_set() or self.errors, JOIN_S_MAX, self.who())
        return self

    def leave(self):
        """Tells it to cancel, to finish what it has, and to go."""
        self.ending.set()

    def cut(self):
        """Tells it to end by a reset, with what it holds."""
        self.cutting.set()
        self.ending.set()

    def open(self):
        """Consumes."""
        self.connection = pika.BlockingConnection(way_to(self.port))
        self.channel = self.connection.channel()
        self.inbox, self.seen, self.done = Inbox(self.channel, self.queue, self.prefetch), 0, 0
        self.running.set()

    def work(self):
        """One connection, to its end."""
        self.open()
        while not self.ending.is_set():
            self.connection.process_data_events(POLL_S)
            self.take()
        if self.cutting.is_set():
            self.end_by_reset()
            return
        self.inbox.cancel()
        self.take()
        self.connection.close()

    def take(self):
        """Notes what has come, and handles it unless it is to be cut off."""
        self.note()
        while self.done < len(self.inbox.got) and not self.cutting.is_set():
            self.handle(self.inbox.got[self.done])
            self.done += 1
            self.note()

    def note(self):
        """Writes what has come since into the log."""
        for got in self.inbox.got[self.seen:]:
            key = key_of(got.body)
            assert key, f"a body of {len(got.body)} bytes is not whole"
            self.log.append(Delivery(got.at, self.number, key, got.redelivered))
        self.seen = len(self.inbox.got)

    def handle(self, got):
        """One message."""
        time.sleep(self.handle_s)
        self.channel.basic_ack(got.tag)
        self.acked.append(key_of(got.body))

    def end_by_reset(self):
        """Makes sure that its acks are known, and is gone with the rest."""
        ready(self.channel, self.queue)
        self.note()
        self.held = [key_of(got.body) for got in self.inbox.got[self.done:]]
        reset(self.connection)
