#!/usr/bin/env python3
"""Sends every id three times under cuts and kills, and counts what is stored: each id once.

Producers publish persistent messages with confirms to a queue that de-duplicates. Each id is given
to three sends, close to each other and mostly on different connections. A producer whose connection
ends sends everything again that was not confirmed. Connections are cut at random, the broker is
killed with SIGKILL at random moments. In the end the queue is drained.

    once.py [--ids 20000] [--kills 5] [--producers 4] [--seed N]

Must be 0: ids that are missing, ids that are there twice, confirmed sends that were returned.
"""

import argparse
import collections
import pathlib
import queue
import random
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "differential")]

import amqp  # noqa: E402
import lib  # noqa: E402
from crash_loop import Client, Gone  # noqa: E402

QUEUE = "once"
COPIES = 3
BATCH, NEAR = 50, 2000
WINDOW_MESSAGES_MAX = 500
CUT_CHANCE = 0.003
IDLE_S_MAX = 120


def sends(ids, draw):
    """All sends in batches: each id three times, at most some thousand places apart."""
    places = [(number + draw.random() * NEAR, number)
              for number in range(ids) for _ in range(COPIES)]
    order = [number for _, number in sorted(places)]
    return [order[at:at + BATCH] for at in range(0, len(order), BATCH)]


def frames(number):
    """One publish: the id is in the property, the body is the number."""
    body = b"%d" % number
    header = amqp.header(len(body), {"delivery-mode": 2, "message-id": str(number)})
    return b"".join((amqp.frame(1, 1, amqp.method("basic.publish", routing_key=QUEUE)),
                     amqp.frame(2, 1, header), amqp.frame(3, 1, body)))


class Work:
    """What is to be sent and how far it is; shared by the producers."""

    def __init__(self, port, batches):
        self.port, self.batches = port, queue.SimpleQueue()
        for batch in batches:
            self.batches.put(batch)
        self.lock, self.total = threading.Lock(), sum(map(len, batches))
        self.confirmed = self.sent = self.cuts = self.refused = 0
        self.errors = []

    def note(self, **counts):
        """Adds to the counts."""
        with self.lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)


class Producer(threading.Thread):
    """One connection after the other, until nothing is left to send."""

    def __init__(self, work, seed):
        super().__init__(daemon=True)
        self.work, self.draw = work, random.Random(seed)
        self.left, self.pending = collections.deque(), {}

    def run(self):
        """Reconnects as often as it takes."""
        while True:
            try:
                self.life()
                return
            except Gone:
                self.left.extendleft(self.pending.values())
                self.pending = {}
                time.sleep(0.02)
            except Exception as error:  # told in the report
                self.work.errors.append(f"{type(error).__name__} {error}")
                return

    def more(self):
        """The next ids to send; none when all are out."""
        if not self.left:
            try:
                self.left.extend(self.work.batches.get_nowait())
            except queue.Empty:
                return []
        return [self.left.popleft() for _ in range(min(BATCH, len(self.left)))]

    def life(self):
        """One connection, to its end by a cut, a kill, or the end of the work."""
        client, tag = Client(self.work.port), 0
        client.call("confirm.select")
        client.expect("confirm.select-ok")
        while True:
            while len(self.pending) < WINDOW_MESSAGES_MAX and (ids := self.more()):
                for number in ids:
                    tag += 1
                    self.pending[tag] = number
                self.work.note(sent=len(ids))
                client.write(b"".join(map(frames, ids)))
                if self.draw.random() < CUT_CHANCE * BATCH / 10:
                    self.cut(client)
            if not self.pending:
                client.socket.close()
                return
            self.confirm(*client.event()[:2])

    def cut(self, client):
        """The connection ends without a word, with publishes under way."""
        self.work.note(cuts=1)
        client.socket.close()
        raise Gone("cut")

    def confirm(self, name, values):
        """One ack or nack, for one or many."""
        if name not in ("basic.ack", "basic.nack"):
            return
        last = values["delivery-tag"]
        done = [t for t in self.pending if t <= last] if values["multiple"] else [last]
        ids = [self.pending.pop(tag) for tag in done]
        if name == "basic.ack":
            self.work.note(confirmed=len(ids))
        else:
            self.left.extend(ids)
            self.work.note(refused=len(ids))


def declare(port, ids):
    """The queue; its window is large and long enough for all."""
    client = Client(port)
    client.call("queue.declare", queue=QUEUE, durable=True, arguments={
        "x-message-deduplication": True, "x-cache-size": 2 * ids + 1000, "x-cache-ttl": 86400000})
    client.expect("queue.declare-ok")
    client.socket.close()


def kill_now_and_then(broker, work, kills, draw):
    """Kills and starts the broker at random moments of the work. Returns how often."""
    marks = sorted(draw.uniform(0.05, 0.9) * work.total for _ in range(kills))
    done, progress, since = 0, -1, time.monotonic()
    while done < kills:
        if work.confirmed != progress:
            progress, since = work.confirmed, time.monotonic()
        if time.monotonic() - since > IDLE_S_MAX or work.errors:
            break
        if work.confirmed >= marks[done]:
            broker.kill()
            broker.start()
            done += 1
        time.sleep(0.005)
    return done


def drain(port):
    """How often each number is in the queue."""
    client, found = Client(port), collections.Counter()
    client.call("queue.declare", queue=QUEUE, passive=True)
    ready = client.expect("queue.declare-ok")["message-count"]
    client.call("basic.consume", queue=QUEUE, consumer_tag="c", no_ack=True)
    client.expect("basic.consume-ok")
    client.socket.settimeout(10)
    for _ in range(ready):
        name, _, body = client.event()
        if name != "basic.deliver":
            break
        found[int(body)] += 1
    client.socket.settimeout(1)
    try:
        name, _, body = client.event()
    except Gone:
        name = None
    if name == "basic.deliver":
        found[int(body)] += 1
    return found


def main():
    """Start, send, kill, drain, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ids", type=int, default=20000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--producers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    draw, began, broker = random.Random(options.seed), time.monotonic(), lib.Broker("ferrymq")
    broker.start()
    declare(broker.port, options.ids)
    work = Work(broker.port, sends(options.ids, draw))
    producers = [Producer(work, draw.random()) for _ in range(options.producers)]
    for producer in producers:
        producer.start()
    kills = kill_now_and_then(broker, work, options.kills, draw)
    for producer in producers:
        producer.join(IDLE_S_MAX + options.ids / 500)
    found = drain(broker.port)
    broker.stop()
    twice = {number: count for number, count in found.items() if count > 1}
    missing = [number for number in range(options.ids) if number not in found]
    print(f"{options.ids} ids in {work.sent} sends, {work.confirmed} confirmed, {work.refused} "
          f"refused, {work.cuts} cuts, {kills} kills, {time.monotonic() - began:.0f} s")
    checks = lib.Checks()
    for name, count, example in (
            ("nothing missing", len(missing), missing[:5]),
            ("nothing twice", len(twice), dict(list(twice.items())[:5])),
            ("nothing invented", len(set(found) - set(range(options.ids))), ""),
            ("every send confirmed", work.total - work.confirmed, work.total),
            ("no client errors", len(work.errors), work.errors[:3]),
            ("all kills done", options.kills - kills, ""), ):
        def zero(count=count, example=example):
            assert count == 0, f"{count}, e.g. {example}"
        checks.run(f"once {name}", zero)

    def was_cut():
        assert work.cuts > 0 and work.sent > work.total, "no cut hit its mark"
    checks.run("once was under cuts", was_cut)
    if not checks.failed:
        broker.remove()
    checks.finish()


if __name__ == "__main__":
    main()
