"""Producers and consumers of the judge `shards`: one thread and one socket each.

Invariants
- A consumer tells the ledger before it sends a verdict, and after it has read a delivery.
- A give-back is followed by a question to the queue on the same channel: when it is answered the
  queue has the give-back, and what came before the answer was under way.
"""

import random
import socket
import struct
import threading
import time

import amqp
from crash_loop import Client, Gone

BODY = struct.Struct(">IQd")
DELIVER, ACK, NACK = b"\0\x3c\0\x3c", b"\0\x3c\0\x50", b"\0\x3c\0\x78"
DECLARED, CONSUMING, CANCELLED = b"\0\x32\0\x0b", b"\0\x3c\0\x15", b"\0\x3c\0\x1f"
ACK_FRAME = struct.Struct(">BHI4sQBB")
NACK_FRAME = ACK_FRAME
WINDOW_MESSAGES_MAX = 400
BACKLOG_MESSAGES_MAX = 20000
BACK_CHANCE, LATE_CHANCE = 0.01, 0.1
HOLD_S_MAX = 0.01


class Producer(threading.Thread):
    """Publishes its share of the keys in turns, each message confirmed."""

    def __init__(self, port, queue, ledger, keys, share, shares, per_second=0, first_key=0):
        super().__init__(daemon=True)
        self.client, self.queue, self.ledger = Client(port), queue, ledger
        self.mine = list(range(first_key + share, first_key + keys, shares))
        self.per_second, self.ended = per_second, threading.Event()
        self.numbers = dict.fromkeys(self.mine, 0)

    def stop(self):
        """No more; waits for the confirms."""
        self.ended.set()
        self.join(30)

    def run(self):
        """To its end."""
        try:
            self.work()
        except Exception as error:  # told in the report
            self.ledger.errors.append(f"producer: {type(error).__name__} {error}")

    def work(self):
        """A window of publishes under way; not too many messages in the queue."""
        client, draw = self.client, random.Random(self.mine[0])
        client.call("confirm.select")
        client.expect("confirm.select-ok")
        sent = confirmed = 0
        batch = 50 if not self.per_second else 1
        while not self.ended.is_set() or confirmed < sent:
            room = sent - confirmed < WINDOW_MESSAGES_MAX
            if not self.ended.is_set() and room and self.allowed():
                client.write(b"".join(self.frames(draw.choice(self.mine)) for _ in range(batch)))
                sent += batch
                if self.per_second:
                    time.sleep(batch / self.per_second)
            elif sent == confirmed:
                time.sleep(0.002)
                continue
            if sent - confirmed >= WINDOW_MESSAGES_MAX // 2 or self.ended.is_set():
                name, values, _ = client.event()
                if name == "basic.ack":
                    confirmed = values["delivery-tag"] if values["multiple"] else confirmed + 1
        client.socket.close()

    def allowed(self):
        """Whether the queue is short enough."""
        return self.ledger.sent - self.ledger.settled < BACKLOG_MESSAGES_MAX

    def frames(self, key):
        """One publish."""
        number = self.numbers[key]
        self.numbers[key] = number + 1
        self.ledger.publish(key, number)
        body = BODY.pack(key, number, time.monotonic())
        header = amqp.header(len(body), {"headers": {"x-shard-key": f"key-{key}"},
                                         "delivery-mode": 2})
        return b"".join((
            amqp.frame(1, 1, amqp.method("basic.publish", routing_key=self.queue)),
            amqp.frame(2, 1, header), amqp.frame(3, 1, body)))


class Consumer(threading.Thread):
    """Reads, holds for a moment, settles in and out of order, gives some back."""

    def __init__(self, port, queue, ledger, prefetch, seed, patient=False, bad_key=None):
        super().__init__(daemon=True)
        self.port, self.queue, self.ledger, self.prefetch = port, queue, ledger, prefetch
        self.draw, self.patient, self.bad_key = random.Random(seed), patient, bad_key
        self.cut, self.ending, self.killed = False, threading.Event(), threading.Event()
        self.buffer, self.held, self.late, self.asked = b"", {}, [], []

    def leave(self):
        """Cancels, settles what it holds, and goes."""
        self.ending.set()

    def kill(self):
        """Its socket is cut, wherever it is."""
        self.killed.set()
        self.ending.set()

    def run(self):
        """To its end."""
        try:
            self.open()
            self.work()
        except (Gone, OSError) as error:
            if not self.killed.is_set():
                self.ledger.errors.append(f"consumer: {type(error).__name__} {error}")
        except Exception as error:  # told in the report
            self.ledger.errors.append(f"consumer: {type(error).__name__} {error}")

    def open(self):
        """Subscribes."""
        self.client = Client(self.port)
        self.client.call("basic.qos", prefetch_count=self.prefetch)
        self.client.expect("basic.qos-ok")
        self.client.call("basic.consume", queue=self.queue, consumer_tag="c")
        self.client.socket.settimeout(0.02)

    def work(self):
        """Batches, until it is told to go."""
        while not self.ending.is_set():
            got = self.read()
            if not self.patient and got and self.draw.random() < 0.3:
                time.sleep(self.draw.random() * HOLD_S_MAX)
            if not self.killed.is_set():
                self.settle(got)
        if self.killed.is_set():
            self.ledger.gone(self, cut=True)
            self.hang_up()
            return
        self.client.call("basic.cancel", consumer_tag="c")
        deadline = time.monotonic() + 1.0
        while (self.held or self.asked) and time.monotonic() < deadline:
            self.read()
            self.settle(list(self.held), last=True)
        self.ledger.gone(self, cut=False)
        self.hang_up()

    def hang_up(self):
        """Without a word, at once: closing alone would wait for the file made of the socket."""
        self.client.socket.shutdown(socket.SHUT_RDWR)
        self.client.socket.close()

    def read(self):
        """What one read brings: delivery tags, in their order."""
        try:
            data = self.client.socket.recv(1 << 16)
        except TimeoutError:
            return []
        if not data:
            raise Gone("the broker hung up")
        self.buffer += data
        got, at, buffer, place = [], 0, self.buffer, None
        while len(buffer) - at >= 8:
            kind, _, size = struct.unpack_from(">BHI", buffer, at)
            if len(buffer) - at < size + 8:
                break
            if kind == 1:
                place = at + 7
                method = buffer[place:place + 4]
                if method == DECLARED:
                    self.ledger.sure(self.asked.pop(0))
                elif method not in (DELIVER, CONSUMING, CANCELLED):
                    raise RuntimeError(str(amqp.parse_method(buffer[place:place + size])))
            elif kind == 3:
                tag_at = place + 5 + buffer[place + 4]
                tag = struct.unpack_from(">Q", buffer, tag_at)[0]
                key, number, sent_at = BODY.unpack_from(buffer, at + 7)
                self.held[tag] = key, number
                self.ledger.delivered(self, key, number, sent_at)
                got.append(tag)
            at += size + 8
        self.buffer = buffer[at:]
        return got

    def settle(self, tags, last=False):
        """Acks most, some later than others; gives a few back."""
        ready, self.late = self.late + tags, []
        if self.draw.random() < 0.2:
            self.draw.shuffle(ready)
        frames, back = [], []
        for tag in ready:
            if tag not in self.held:
                continue
            key, number = self.held[tag]
            if not self.patient and not last and self.draw.random() < LATE_CHANCE:
                self.late.append(tag)
                continue
            give = key == self.bad_key if self.patient else self.draw.random() < BACK_CHANCE
            del self.held[tag]
            if give and not last:
                if (known := self.ledger.nack(self, key, number)) is not None:
                    back.append(known)
                frames.append(NACK_FRAME.pack(1, 1, 13, NACK, tag, 2, amqp.FRAME_END))
            else:
                self.ledger.ack(self, key, number)
                frames.append(ACK_FRAME.pack(1, 1, 13, ACK, tag, 0, amqp.FRAME_END))
        if back:
            self.asked.append(back)
            frames.append(amqp.frame(1, 1, amqp.method("queue.declare", queue=self.queue,
                                                       passive=True)))
        self.client.socket.settimeout(10)
        try:
            self.client.socket.sendall(b"".join(frames))
        finally:
            self.client.socket.settimeout(0.02)


