"""What was promised to whom, and what was seen: the account that must balance after a power cut.

A message is (producer, number); its place is (queue, producer, number).

Invariants
- A message is in `sent` before its first byte goes out: what is seen and not there was invented.
- `acked` has a place only after its ack was given to the socket.
- Counts of things that must not happen are in `wrong`, each with an example.
"""

import collections
import struct
import threading
import zlib

Sent = collections.namedtuple("Sent", "queues persistent crc")


class Ledger:
    """Shared by all clients of a cycle."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent, self.confirmed, self.acked = {}, set(), set()
        self.back = self.deliveries = 0
        self.wrong, self.example = collections.Counter(), {}
        self.life_seen, self.life_last = set(), {}
        self.found = collections.Counter()
        # Offset of the stream -> message, as far as it was read.
        self.offsets = {}
        # Name of a queue -> whether it is there, once that was answered.
        self.definitions = {}

    def new_life(self):
        """The node was started again."""
        self.life_seen, self.life_last = set(), {}

    def note(self, what, example):
        """Something that must not happen."""
        self.wrong[what] += 1
        self.example.setdefault(what, example)

    def send(self, key, queues, persistent, body):
        """Says that this goes out now."""
        self.sent[key] = Sent(queues, persistent, zlib.crc32(body))

    def confirm(self, keys):
        """The broker has answered for these."""
        with self.lock:
            self.confirmed.update(keys)

    def read(self, queue, body):
        """The message of a body, or None when it is none that was sent to this queue."""
        if len(body) < 16 or zlib.crc32(body[:-4]) != struct.unpack(">I", body[-4:])[0]:
            self.note("corrupt", (queue, body[:24]))
            return None
        key = struct.unpack(">IQ", body[:12])
        sent = self.sent.get(key)
        if sent is None or queue not in sent.queues or sent.crc != zlib.crc32(body):
            self.note("invented", (queue, *key))
            return None
        return key

    def deliver(self, queue, body):
        """One delivery from a queue. Returns its place."""
        with self.lock:
            self.deliveries += 1
            key = self.read(queue, body)
            if key is None:
                return None
            place = (queue, *key)
            if place in self.life_seen:
                self.note("duplicate", place)
            elif place in self.acked:
                self.back += 1
            lane = (queue, key[0])
            if key[1] <= self.life_last.get(lane, -1):
                self.note("out of order", place)
            self.life_seen.add(place)
            self.life_last[lane] = max(key[1], self.life_last.get(lane, -1))
            return place

    def stream(self, offset, body, queue):
        """One message of the stream at its offset."""
        key = self.read(queue, body)
        if key and self.offsets.setdefault(offset, key) != key:
            self.note("another message at an offset", (offset, key))
        if key:
            self.found[(queue, *key)] += 1

    def lost(self):
        """Places that were promised, and that nobody ever had."""
        return [(queue, *key) for key in self.confirmed for queue in self.sent[key].queues
                if self.sent[key].persistent and (queue, *key) not in self.acked
                and not self.found[(queue, *key)]]
