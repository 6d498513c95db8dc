#!/usr/bin/env python3
"""Cuts clients off at random moments, each by a reset of its connection, and counts what that did.

    cuts.py [--broker ferrymq|rabbitmq] [--rounds 20] [--messages 50000] [--seed N]

- A producer that is cut off: what was confirmed to it is there, once and in order, and nothing of
  what it had half sent.
- A consumer that is cut off: what it had acked, and knew to be acked by the answer to what it asked
  next, never comes back; all else comes, marked if it had been there before.
- A consumer without acks that is cut off again and again: nothing comes twice.
- Transient messages through a queue that is read: no file of the node's data is written.
"""

import argparse
import itertools
import pathlib
import random
import socket
import struct
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "differential")]

import amqp  # noqa: E402
import lib  # noqa: E402
from crash_loop import Client, key_of, message, publish  # noqa: E402

PERSISTENT, TRANSIENT = (amqp.properties({"delivery-mode": mode}) for mode in (2, 1))
# So long nothing came: nothing will.
IDLE_S = 2
# What is certain to come, from a producer that goes on, comes in this time on any machine.
PATIENCE_S = 60
# Between two batches of that producer: it is not to run away from who reads.
BETWEEN_S = 0.002
PREFETCH = 100
# After so long the declaration of a queue is on the disk, and what is written ahead of the next.
SETTLE_S = 0.5


def cut(client):
    """Resets the connection: what is under way in both directions is gone."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.reader.close()
    client.socket.close()


def declare(port, queue):
    """Declares a durable queue that nobody has used."""
    client = Client(port)
    client.call("queue.declare", queue=queue, durable=True)
    client.expect("queue.declare-ok")
    return client


def consume(port, queue, prefetch=0, no_ack=False):
    """A client that consumes."""
    client = Client(port)
    ask(client, prefetch)
    client.call("basic.consume", queue=queue, consumer_tag="c", no_ack=no_ack)
    client.socket.settimeout(IDLE_S)
    return client


def ask(client, prefetch):
    """Asks for something whose answer says that all before was taken; what else comes is passed over."""
    client.call("basic.qos", prefetch_count=prefetch)
    while client.event()[0] != "basic.qos-ok":
        pass


def deliveries(client):
    """(delivery tag, redelivered, key) of each, until nothing comes any more."""
    while (event := client.event())[0] is not None:
        name, values, body = event
        if name == "basic.deliver":
            key = key_of(body)
            assert key, f"a body of {len(body)} bytes is not whole"
            yield values["delivery-tag"], values["redelivered"], key


def producers(port, rounds, draw):
    """A producer is cut off in the middle of a message, again and again."""
    declare(port, "producers")
    confirmed, sent = set(), 0
    for producer in range(rounds):
        client, tags = Client(port), range(1, draw.randrange(2, 400))
        client.call("confirm.select")
        client.expect("confirm.select-ok")
        client.socket.settimeout(PATIENCE_S)
        for tag in tags:
            client.write(publish("producers", message(producer, tag, b""), PERSISTENT))
        sent += len(tags)
        half = publish("producers", message(producer, 10**6, draw.randbytes(5000)), PERSISTENT)
        client.write(half[:draw.randrange(1, len(half))])
        done = 0
        for _ in range(draw.randrange(3)):
            if done == len(tags):
                break
            name, values, _ = client.event()
            assert name == "basic.ack", name
            done = values["delivery-tag"]
        confirmed |= {(producer, tag) for tag in tags[:done]}
        cut(client)
    came = [key for _, _, key in deliveries(consume(port, "producers", no_ack=True))]
    print(f"{rounds} producers cut off: {sent} sent, {len(confirmed)} confirmed, {len(came)} came")
    assert confirmed and not confirmed - set(came), f"lost: {sorted(confirmed - set(came))[:9]}"
    assert len(set(came)) == len(came), "something came twice"
    assert all(number < 10**6 for _, number in came), "half a message came"
    for producer in range(rounds):
        own = [number for one, number in came if one == producer]
        assert own == list(range(1, len(own) + 1)), f"{producer}: {own[:20]}"


def consumers(port, rounds, draw):
    """A consumer acks some of what it has, knows that, and is cut off."""
    wanted = {(0, number) for number in range(rounds * PREFETCH // 2)}
    client = declare(port, "consumers")
    client.write(b"".join(publish("consumers", message(*key, b""), PERSISTENT)
                          for key in sorted(wanted)))
    acked, seen, back = set(), set(), []
    while len(acked) < len(wanted):
        client = consume(port, "consumers", PREFETCH)
        count, has = min(draw.randrange(1, PREFETCH), len(wanted) - len(acked)), []
        for tag, redelivered, key in itertools.islice(deliveries(client), count):
            back += [key] * (key in acked)
            assert redelivered or key not in seen, f"{key} is not marked"
            seen.add(key)
            has.append((tag, key))
        if not has:
            break
        for tag, key in draw.sample(has, draw.randrange(1, len(has) + 1)):
            client.call("basic.ack", delivery_tag=tag)
            acked.add(key)
        ask(client, PREFETCH)
        cut(client)
        rounds -= 1
    print(f"{len(acked)} acked by consumers that were cut off, {len(back)} of them came again")
    assert not back, f"came again: {back[:9]}"
    assert acked == wanted and rounds <= 0, f"{len(wanted - acked)} did not come, {rounds} rounds left"


def at_most_once(port, rounds, draw):
    """Consumers without acks, cut off one after another, beside a producer that goes on."""
    producer, is_over, sent = declare(port, "once"), threading.Event(), itertools.count()

    def produce():
        while not is_over.is_set():
            producer.write(b"".join(publish("once", message(0, number, b""), TRANSIENT)
                                    for number in itertools.islice(sent, 100)))
            time.sleep(BETWEEN_S)
    thread = threading.Thread(target=produce)
    thread.start()
    came = []
    try:
        for _ in range(rounds):
            client, count = consume(port, "once", no_ack=True), draw.randrange(1, 2000)
            client.socket.settimeout(PATIENCE_S)
            got = list(itertools.islice(deliveries(client), count))
            assert len(got) == count, f"{len(got)} of {count} came, and the producer goes on"
            came += got
            cut(client)
    finally:
        is_over.set()
        thread.join()
    came += deliveries(consume(port, "once", no_ack=True))
    keys = [key for _, _, key in came]
    print(f"{next(sent)} without acks, {rounds} consumers cut off: {len(keys)} came")
    assert not any(redelivered for _, redelivered, _ in came), "something is marked"
    assert len(set(keys)) == len(keys), f"{len(keys) - len(set(keys))} came twice"


def transient(broker, messages):
    """What is transient, or in a transient queue, costs no disk while it is read."""
    def files():
        data = pathlib.Path(broker.folder) / "data"
        stats = ((path, path.stat()) for path in sorted(data.rglob("*")))
        return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in stats}
    for queue, durable, properties in (("kept", True, TRANSIENT), ("gone", False, PERSISTENT)):
        client = Client(broker.port)
        client.call("queue.declare", queue=queue, durable=durable, exclusive=not durable)
        client.expect("queue.declare-ok")
        client.call("basic.consume", queue=queue, consumer_tag="c")
        client.expect("basic.consume-ok")
        client.socket.settimeout(PATIENCE_S)
        time.sleep(SETTLE_S)
        before = files()
        for first in range(0, messages, 100):
            client.write(b"".join(publish(queue, message(0, first + number, b""), properties)
                                  for number in range(100)))
            came = list(itertools.islice(deliveries(client), 100))
            assert len(came) == 100, f"{len(came)} of 100 came"
            client.call("basic.ack", delivery_tag=came[-1][0], multiple=True)
        ask(client, 0)
        written = {path for path, stat in files().items() if before.get(path) != stat}
        print(f"{messages} through queue '{queue}': {len(written)} files written")
        assert not written, f"{queue}: {sorted(written)}"


def main():
    """All of it on one broker."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broker", default="ferrymq")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    draw, checks = random.Random(options.seed), lib.Checks()
    with lib.Broker(options.broker) as broker:
        port, rounds = broker.port, options.rounds
        checks.run("cuts producers", lambda: producers(port, rounds, draw))
        checks.run("cuts consumers", lambda: consumers(port, rounds, draw))
        checks.run("cuts at most once", lambda: at_most_once(port, rounds, draw))
        if options.broker == "ferrymq":
            checks.run("cuts transient costs no disk", lambda: transient(broker, options.messages))
    checks.finish()


if __name__ == "__main__":
    main()
