#!/usr/bin/env python3
"""Kills a broker with SIGKILL at random moments under confirmed load, and counts what went wrong.

Two producers publish persistent messages with confirms; one consumer acks all that it gets. After
the last cycle the queue is drained and everything is compared.

    crash_loop.py [--broker ferrymq|rabbitmq] [--cycles 20] [--seed N]

Must be 0: lost (confirmed, never handed to an ack), corrupt, duplicate (twice in one life of the
broker), out of order (per producer, within one consumer's life), failed restarts.
Counted only: acked messages that come back, since an ack has no reply.
"""

import argparse
import pathlib
import random
import socket
import struct
import sys
import threading
import time
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "differential")]

import amqp  # noqa: E402
import lib  # noqa: E402

QUEUE = "crash-loop"
WINDOW_MESSAGES_MAX = 300
BODY_BYTES = (0, 100, 4000, 150000)
PERSISTENT = amqp.properties({"delivery-mode": 2})


class Gone(Exception):
    """The broker is not there (any more)."""


class Client:
    """One connection with channel 1 open; blocking reads of whole frames."""

    def __init__(self, port):
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), 5)
            self.reader = self.socket.makefile("rb", 1 << 18)
            self.write(b"AMQP\0\0\x09\x01")
            self.expect("connection.start")
            self.call("connection.start-ok", 0, mechanism="PLAIN", locale="en_US",
                      response="\0guest\0guest")
            self.expect("connection.tune")
            self.call("connection.tune-ok", 0, channel_max=10, frame_max=131072, heartbeat=0)
            self.call("connection.open", 0, virtual_host="/")
            self.expect("connection.open-ok")
            self.call("channel.open")
            self.expect("channel.open-ok")
        except (OSError, struct.error) as error:
            raise Gone from error

    def write(self, data):
        """Raw bytes."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone from error

    def call(self, name, channel=1, **values):
        """Sends a method."""
        self.write(amqp.frame(1, channel, amqp.method(name, **values)))

    def read(self):
        """(frame type, payload)."""
        try:
            head = self.reader.read(7)
            if len(head) < 7:
                raise Gone
            kind, _, size = struct.unpack(">BHI", head)
            payload = self.reader.read(size + 1)
        except TimeoutError:
            return None, b""
        except OSError as error:
            raise Gone from error
        if len(payload) < size + 1:
            raise Gone
        return kind, payload[:-1]

    def event(self):
        """(method name, arguments, body), or (None, ...) when nothing comes."""
        kind, payload = self.read()
        if kind != 1:
            return None, {}, b""
        name, values = amqp.parse_method(payload)
        body = b""
        if name in amqp.CONTENT:
            size, self.properties = amqp.parse_header(self.read()[1])
            parts = []
            while size > 0:
                parts.append(self.read()[1])
                size -= len(parts[-1])
            body = b"".join(parts)
        if name in ("connection.close", "channel.close"):
            raise RuntimeError(f"{name}: {values}")
        return name, values, body

    def expect(self, wanted):
        """The next method must be this one."""
        name, values, _ = self.event()
        if name != wanted:
            raise Gone(f"{name} for {wanted}")
        return values


class Ledger:
    """What each side knows. `confirmed` and `acked` hold (producer, number)."""

    def __init__(self):
        self.lock = threading.Lock()
        self.confirmed, self.acked, self.refused = set(), set(), 0
        self.corrupt = self.duplicate = self.disorder = self.back = self.published = 0
        self.life_seen, self.life_last, self.errors = set(), {}, []

    def new_life(self):
        """The broker was started again."""
        self.life_seen, self.life_last = set(), {}

    def delivered(self, body):
        """Checks one delivery; the caller acks it and adds the key to `acked`."""
        key = key_of(body)
        if key is None:
            self.corrupt += 1
            return None
        producer, number = key
        if key in self.life_seen:
            self.duplicate += 1
        elif key in self.acked:
            self.back += 1
        if number <= self.life_last.get(producer, -1):
            self.disorder += 1
        self.life_last[producer] = number
        self.life_seen.add(key)
        return key


def message(producer, number, random_bytes):
    """A body that proves itself."""
    head = struct.pack(">IQ", producer, number) + random_bytes
    return head + struct.pack(">I", zlib.crc32(head))


def publish(queue, body, properties):
    """The frames of a publish to a queue."""
    return amqp.publish_frames(1, "", queue, body, properties)


def key_of(body):
    """(producer, number) of a body, or none if it is not whole."""
    if len(body) < 16 or zlib.crc32(body[:-4]) != struct.unpack(">I", body[-4:])[0]:
        return None
    return struct.unpack(">IQ", body[:12])


def produce(port, producer, numbers, ledger, stop, seed):
    """Publishes until stopped or the broker is gone; `numbers` goes on over restarts."""
    draw, open_tags, tag = random.Random(seed), {}, 0
    client = Client(port)
    client.call("confirm.select")
    client.expect("confirm.select-ok")
    while not stop.is_set():
        while len(open_tags) < WINDOW_MESSAGES_MAX and not stop.is_set():
            number, tag = next(numbers), tag + 1
            size = draw.choice(BODY_BYTES) if draw.random() < 0.1 else 50
            body = message(producer, number, draw.randbytes(size))
            open_tags[tag] = number
            ledger.published += 1
            client.write(publish(QUEUE, body, PERSISTENT))
        name, values, _ = client.event()
        if name not in ("basic.ack", "basic.nack"):
            continue
        last = values["delivery-tag"]
        done = [t for t in open_tags if t <= last] if values["multiple"] else [last]
        with ledger.lock:
            for settled in done:
                key = (producer, open_tags.pop(settled))
                if name == "basic.ack":
                    ledger.confirmed.add(key)
                else:
                    ledger.refused += 1


def consume(port, ledger, idle_s=None, stop=None):
    """Acks all; ends when the broker is gone, or after so many idle seconds."""
    client = Client(port)
    client.call("basic.qos", prefetch_count=100)
    client.expect("basic.qos-ok")
    client.call("basic.consume", queue=QUEUE, consumer_tag="c")
    client.expect("basic.consume-ok")
    client.socket.settimeout(idle_s or 1)
    while stop is None or not stop.is_set():
        name, values, body = client.event()
        if name is None:
            if idle_s:
                break
            client.reader = client.socket.makefile("rb", 1 << 18)
            continue
        if name == "basic.deliver":
            with ledger.lock:
                key = ledger.delivered(body)
            client.call("basic.ack", delivery_tag=values["delivery-tag"])
            ledger.acked.add(key)
    client.call("channel.close", reply_code=200)
    client.socket.settimeout(5)
    while client.event()[0] != "channel.close-ok":
        pass


def guarded(ledger, function, *words):
    """A thread's body: the end of the broker is expected, anything else is told."""
    try:
        function(*words)
    except Gone:
        pass
    except Exception as error:  # told in the report
        ledger.errors.append(f"{function.__name__}: {type(error).__name__} {error}")


def cycle(broker, ledger, counters, draw, shortest):
    """One life of the broker under load, ended by SIGKILL."""
    stop = threading.Event()
    jobs = [(produce, broker.port, at, counters[at], ledger, stop, draw.random())
            for at in range(len(counters))] + [(consume, broker.port, ledger, None, stop)]
    threads = [threading.Thread(target=guarded, args=(ledger, *job), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    time.sleep(shortest + draw.random())
    broker.kill()
    stop.set()
    for thread in threads:
        thread.join(30)
    ledger.new_life()


def report(ledger, cycles, failed, seconds, slowest):
    """Prints the counts as checks; returns the exit code."""
    lost = len(ledger.confirmed - ledger.acked)
    print(f"{cycles} cycles in {seconds:.0f} s, slowest restart {slowest:.2f} s: "
          f"{ledger.published} published, {len(ledger.confirmed)} confirmed, "
          f"{ledger.refused} refused, {len(ledger.acked)} acked, "
          f"{ledger.back} came back after their ack")
    rows = {"lost": lost, "corrupt": ledger.corrupt, "duplicate": ledger.duplicate,
            "out of order": ledger.disorder, "failed restarts": failed,
            "client errors": len(ledger.errors)}
    checks = lib.Checks()
    for name, count in rows.items():
        def zero(count=count):
            assert count == 0, str(count)
        checks.run(f"crash-loop nothing {name}" if name != "failed restarts"
                   else "crash-loop no failed restarts", zero)

    def at_work():
        assert len(ledger.confirmed) > 100 * cycles, "the producers hardly got to work"
    checks.run("crash-loop was under load", at_work)
    for error in ledger.errors[:5]:
        print(error)
    checks.finish()


def main():
    """Start, cycles, drain, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broker", default="ferrymq")
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    draw, ledger, began = random.Random(options.seed), Ledger(), time.monotonic()
    counters = [iter(range(10**12)) for _ in range(2)]
    broker, failed, slowest = lib.Broker(options.broker), 0, 0.0
    broker.start()
    client = Client(broker.port)
    client.call("queue.declare", queue=QUEUE, durable=True)
    client.expect("queue.declare-ok")
    client.socket.close()
    for _ in range(options.cycles):
        cycle(broker, ledger, counters, draw, shortest=0.15)
        try:
            slowest = max(slowest, broker.start())
        except RuntimeError as error:
            print(error)
            failed += 1
            break
    if not failed:
        guarded(ledger, consume, broker.port, ledger, 3)
    broker.stop()
    seconds = time.monotonic() - began
    if not (failed or ledger.confirmed - ledger.acked):
        broker.remove()
    report(ledger, options.cycles, failed, seconds, slowest)


if __name__ == "__main__":
    main()
