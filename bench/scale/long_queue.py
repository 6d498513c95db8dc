#!/usr/bin/env python3
"""What a long queue costs who uses it: latencies of a queue that is empty, and of one with millions.

    bench/scale/long_queue.py [--messages 10000000] [--probes 5000]

A probe publishes a persistent message of 128 B and waits for its confirm, fetches the oldest one
with `basic.get`, and acks it: so the queue stays as long as it is. Its length is asked for by AMQP
and by HTTP, too. Prints a table.
"""

import argparse
import socket
import time

from filled import PUBLISH, QUEUE, Client, declare, fill
from node import PORT, Node, rows_of

# How much slower the long queue may be.
TIMES_MAX = 3
# How long it may take to tell its length, in milliseconds.
LENGTH_MS_MAX = 5


def probe(client, count):
    """Latencies of confirms and of gets, in milliseconds, sorted."""
    confirms, gets = [], []
    for _ in range(count):
        begin = time.perf_counter()
        client.write(PUBLISH)
        client.expect("basic.ack")
        published = time.perf_counter()
        client.call("basic.get", queue=QUEUE)
        tag = client.expect("basic.get-ok")["delivery-tag"]
        gets.append(1e3 * (time.perf_counter() - published))
        confirms.append(1e3 * (published - begin))
        client.call("basic.ack", delivery_tag=tag)
    return sorted(confirms), sorted(gets)


def lengths(client, node, messages, count):
    """Latencies of the queue's length by AMQP and by HTTP, in milliseconds, sorted."""
    found = []
    for ask in (lambda: declare(client), lambda: node.queue(QUEUE)["messages"]):
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            told = ask()
            times.append(1e3 * (time.perf_counter() - begin))
            assert told == messages, f"{told} of {messages} are told"
        found.append(sorted(times))
    return found


def quantiles(times):
    """Half of them and 99 of a hundred are not longer."""
    return [times[int(len(times) * part)] for part in (0.5, 0.99)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--probes", type=int, default=5000)
    args = parser.parse_args()
    node, rows, bars = Node("long-queue"), [], {}
    try:
        node.start()
        client, filler = Client(PORT), Client(PORT)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        declare(client)
        client.call("confirm.select")
        client.expect("confirm.select-ok")
        for messages in (0, args.messages):
            fill(filler, messages)
            probe(client, args.probes // 10)
            for what, times in zip(("confirm", "basic.get"), probe(client, args.probes)):
                p50, p99 = quantiles(times)
                bar = f"p99 {TIMES_MAX * bars[what]:.3f} ms" if messages else ""
                bars.setdefault(what, p99)
                rows.append((f"{what} with {messages:,} there, p50 and p99",
                             f"{p50:.3f} and {p99:.3f} ms", bar))
        asked = lengths(client, node, args.messages, args.probes // 5)
        for what, times in zip(("queue.declare", "the management API"), asked):
            p50, p99 = quantiles(times)
            rows.append((f"its length by {what}, p50 and p99", f"{p50:.3f} and {p99:.3f} ms",
                         f"p99 {LENGTH_MS_MAX} ms"))
        rows_of(f"A queue of {args.messages:,} messages, and an empty one", rows)
    finally:
        node.close()


main()
