"""Clients that publish and consume on one connection, many in a process, and what they count.

For each message that such a client acks it owes one, so that the queue stays as long as it is.
Once told `connection.blocked` it publishes nothing, as good clients do, goes on to consume, and
pays later.

Invariants
- A body begins with its number, and no two publishes have the same one: the backlog has 0 to N - 1,
  the k-th publish of connection c has N + k * connections + c.
- One process writes each field of `Shared`; `marks` has a byte for each number, 1 once it has come.
- Nothing waits for one socket: a process serves all of its connections from one selector.
"""

import ctypes
import mmap
import multiprocessing
import os
import pathlib
import selectors
import struct
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/interop/hostile")]

from client import PERSISTENT, Client, amqp, publish_frames  # noqa: E402
from node import PORT  # noqa: E402

QUEUE = "flow"
PREFETCH, CONFIRMS = 20, 64
# Acks that a client may make up for at once, if it was kept from them.
ACKS_AT_ONCE = 10
TURN_S = 0.005
ACK, NACK = (60, 80), (60, 120)
BLOCKED, UNBLOCKED, CANCELED = (10, 60), (10, 61), (60, 31)
CLOSES = {(10, 50), (20, 40)}
RUN, DRAIN = 0, 1


class Frames:
    """A publish whose body is as long as is wanted, and where its number goes."""

    def __init__(self, body_bytes):
        self.all = publish_frames(1, "", QUEUE, os.urandom(body_bytes), PERSISTENT)
        self.number_at = len(self.all) - 1 - body_bytes
        self.head, self.tail = self.all[:self.number_at], self.all[self.number_at + 8:]

    def of(self, number):
        return self.head + struct.pack(">Q", number) + self.tail


class Shared:
    """What the processes tell each other: an entry for each connection, in memory of all."""

    def __init__(self, messages, connections, numbers, frames):
        self.messages, self.connections, self.frames = messages, connections, frames
        self.marks = mmap.mmap(-1, numbers)
        self.phase = multiprocessing.RawValue(ctypes.c_int, RUN)
        self.held = multiprocessing.RawValue(ctypes.c_int, 0)
        counts = [multiprocessing.RawArray(ctypes.c_uint64, connections) for _ in range(5)]
        self.delivered, self.published, self.confirmed, self.twice, self.disorder = counts
        # The longest that each waited for its next message while publishers were free, and held.
        self.waits = [multiprocessing.RawArray(ctypes.c_double, connections) for _ in range(2)]
        self.blocked_at = multiprocessing.RawArray(ctypes.c_double, connections)
        self.unblocked_at = multiprocessing.RawArray(ctypes.c_double, connections)

    def owed(self):
        """Messages that are still to be published for those that came."""
        return sum(self.delivered) - sum(self.published)

    def holes(self):
        """Numbers that did not come though a later one of the same publisher did."""
        marks = self.marks[:]
        parts = [marks[:self.messages]]
        parts += [marks[self.messages + c::self.connections] for c in range(self.connections)]
        return sum(part.rstrip(b"\0").count(0) for part in parts)


class Sharer:
    """One connection: publishes with confirms on channel 1, consumes with acks on channel 2."""

    def __init__(self, shared, index, rate):
        self.shared, self.index, self.rate = shared, index, rate
        client = Client(PORT, channels=2)
        client.confirm_select()
        client.call(2, "basic.qos", prefetch_count=PREFETCH)
        client.call(2, "basic.consume", queue=QUEUE, consumer_tag="c")
        self.socket = client.socket
        self.socket.setblocking(False)
        self.input, self.output = client.buffer[client.at:], bytearray()
        self.blocked, self.canceling, self.canceled = False, False, False
        self.come = self.acked = self.sent = 0
        self.unconfirmed, self.last = set(), {}
        self.acks, self.at = 0.0, time.monotonic()
        self.came_at = self.at

    def read(self):
        """Takes what has come."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise SystemExit(f"connection {self.index} was ended")
        self.input += data
        at, end, come = 0, len(self.input), self.come
        while end - at >= 8:
            kind, channel, size = struct.unpack_from(">BHI", self.input, at)
            if end - at < size + 8:
                break
            if kind == 1:
                self.method(channel, at + 7, size)
            elif kind == 3:
                self.message(struct.unpack_from(">Q", self.input, at + 7)[0])
            at += size + 8
        self.input = self.input[at:]
        if self.come > come:
            waits, now = self.shared.waits[self.shared.held.value], time.monotonic()
            waits[self.index] = max(waits[self.index], now - self.came_at)
            self.came_at = now

    def method(self, channel, at, size):
        ids = struct.unpack_from(">HH", self.input, at)
        if ids == ACK:
            tag, multiple = struct.unpack_from(">QB", self.input, at + 4)
            paid = {one for one in self.unconfirmed if one <= tag} if multiple else {tag}
            self.unconfirmed -= paid
            self.shared.confirmed[self.index] += len(paid)
        elif ids == BLOCKED:
            self.blocked, self.shared.blocked_at[self.index] = True, time.monotonic()
        elif ids == UNBLOCKED:
            self.blocked, self.shared.unblocked_at[self.index] = False, time.monotonic()
        elif ids == CANCELED:
            self.canceled = True
        elif ids == NACK or ids in CLOSES:
            told = amqp.parse_method(self.input[at:at + size])
            raise SystemExit(f"connection {self.index}, channel {channel}: {told}")

    def message(self, number):
        """One message came: for the first time, and after those that its publisher sent before?"""
        shared, self.come = self.shared, self.come + 1
        shared.twice[self.index] += shared.marks[number]
        shared.marks[number] = 1
        later = number - shared.messages
        source = later % shared.connections if later >= 0 else -1
        shared.disorder[self.index] += number <= self.last.get(source, -1)
        self.last[source] = number
        shared.delivered[self.index] += 1

    def turn(self, now):
        """Acks at its pace, publishes what it owes, writes what the socket takes."""
        if self.shared.phase.value == DRAIN and not self.canceling:
            self.canceling = True
            self.output += amqp.frame(1, 2, amqp.method("basic.cancel", consumer_tag="c"))
        self.acks = min(self.acks + (now - self.at) * self.rate, ACKS_AT_ONCE)
        self.at = now
        if count := min(int(self.acks), self.come - self.acked):
            self.acks -= count
            self.acked += count
            ack = amqp.method("basic.ack", delivery_tag=self.acked, multiple=True)
            self.output += amqp.frame(1, 2, ack)
        while self.sent < self.acked and not self.blocked and len(self.unconfirmed) < CONFIRMS:
            self.publish()
        self.flush()

    def publish(self):
        number = self.shared.messages + self.sent * self.shared.connections + self.index
        self.output += self.shared.frames.of(number)
        self.sent += 1
        self.unconfirmed.add(self.sent)
        self.shared.published[self.index] = self.sent

    def flush(self):
        if self.output:
            try:
                del self.output[:self.socket.send(self.output)]
            except BlockingIOError:
                pass  # A later turn writes it.

    def done(self):
        """All is acked, paid back and confirmed."""
        paid = self.come == self.acked == self.sent and not self.unconfirmed
        return self.canceled and paid and not self.output


def work(shared, indices, rate):
    """A process: connections with these indices, each acks `rate` messages a second."""
    sharers = [Sharer(shared, index, rate) for index in indices]
    with selectors.DefaultSelector() as selector:
        for sharer in sharers:
            selector.register(sharer.socket, selectors.EVENT_READ, sharer)
        while not all(sharer.done() for sharer in sharers):
            for key, _ in selector.select(TURN_S):
                key.data.read()
            now = time.monotonic()
            for sharer in sharers:
                sharer.turn(now)


def fill(client, messages, frames):
    """Publishes the backlog on `client`, many messages to a write; the seconds that took."""
    client.declare(QUEUE, durable=True)
    began, chunk, size = time.monotonic(), 64, len(frames.all)
    # A socket that is not read for long is no failure here.
    client.socket.settimeout(300)
    data = bytearray(frames.all * chunk)
    for first in range(0, messages, chunk):
        for n in range(chunk):
            struct.pack_into(">Q", data, n * size + frames.number_at, first + n)
        client.socket.sendall(memoryview(data)[:min(chunk, messages - first) * size])
    while (there := client.declare(QUEUE, durable=True)[0]) < messages:
        time.sleep(0.2)
    assert there == messages, f"{there} are there"
    return time.monotonic() - began
