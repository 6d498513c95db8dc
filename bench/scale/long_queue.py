#!/usr/bin/env python3
"""What a long queue costs who uses it: latencies of a queue that is empty, and of one with millions.

    bench/scale/long_queue.py [--messages 10000000] [--probes 5000]

A probe publishes a persistent message of 128 B and waits for its confirm, fetches the oldest one
with `basic.get`, and acks it: so the queue stays as long as it is. Prints a table.
"""

import argparse
import socket
import time

from filled import PUBLISH, QUEUE, Client, declare, fill
from node import PORT, Node, rows_of

# How much slower the long queue may be.
TIMES_MAX = 3


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
                p50, p99 = (times[int(len(times) * part)] for part in (0.5, 0.99))
                bar = f"p99 {TIMES_MAX * bars[what]:.3f} ms" if messages else ""
                bars.setdefault(what, p99)
                rows.append((f"{what} with {messages:,} there, p50 and p99",
                             f"{p50:.3f} and {p99:.3f} ms", bar))
        rows_of(f"A queue of {args.messages:,} messages, and an empty one", rows)
    finally:
        node.close()


main()
