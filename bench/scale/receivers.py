#!/usr/bin/env python3
"""How the throughput of one queue grows with its consumers, each of whom works 10 ms on a message.

    bench/scale/receivers.py [--secs 10]

1 to 32 consumers, each a process, with a prefetch of 1: nobody has a second message at hand, so
what the broker takes to give the next one is lost time. Prints a table.
"""

import argparse
import multiprocessing
import socket
import time

from filled import QUEUE, Client, declare, fill
from node import PORT, Node, rows_of

CONSUMERS = (1, 2, 4, 8, 16, 32)
WORK_S = 0.01
# Of what so many times one consumer's rate would be.
LINEAR_MIN = 0.9


def receive(done, begin, end):
    """A consumer, from a beginning to an end of the clock: counts what it has settled between."""
    client = Client(PORT)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.call("basic.qos", prefetch_count=1)
    client.expect("basic.qos-ok")
    client.call("basic.consume", queue=QUEUE)
    client.expect("basic.consume-ok")
    count = 0
    while time.monotonic() < end:
        _, values, _ = client.event()
        time.sleep(WORK_S)
        client.call("basic.ack", delivery_tag=values["delivery-tag"])
        count += begin <= time.monotonic() < end
    client.socket.close()
    done.put(count)


def rates(consumers, seconds):
    """Messages a second of each of so many."""
    done = multiprocessing.Queue()
    begin = time.monotonic() + 1 + consumers / 20
    arguments = (done, begin, begin + seconds)
    all_of_them = [multiprocessing.Process(target=receive, args=arguments) for _ in range(consumers)]
    for one in all_of_them:
        one.start()
    counts = [done.get(timeout=seconds + 60) for _ in all_of_them]
    for one in all_of_them:
        one.join()
    return [count / seconds for count in counts]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--secs", type=float, default=10)
    args = parser.parse_args()
    node, rows, single = Node("receivers"), [], None
    try:
        node.start()
        client = Client(PORT)
        declare(client)
        for consumers in CONSUMERS:
            wanted = int(consumers * (args.secs + 10) / WORK_S / 1000 + 1) * 1000
            client.call("queue.purge", queue=QUEUE)
            client.expect("queue.purge-ok")
            fill(client, wanted)
            each = rates(consumers, args.secs)
            total = sum(each)
            single = single or total
            rows.append((f"{consumers} consumers",
                         f"{total:,.0f}/s, {min(each):.0f} to {max(each):.0f} each: "
                         f"{total / consumers / single:.3f} of linear",
                         f"{LINEAR_MIN} of linear"))
        rows_of("One queue, consumers that work 10 ms on each message", rows)
    finally:
        node.close()


main()
