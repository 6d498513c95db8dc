#!/usr/bin/env python3
"""A million durable queues that nobody uses: memory of each, declarations, pages, restarts.

    bench/scale/queues.py [--queues 1000000]

Fails if a queue is missing after a stop, or after a kill. Prints a table.
"""

import argparse
import json
import os
import signal
import struct
import sys
import time

import node
from node import Node, rows_of

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import schedule  # noqa: E402  its raw AMQP client

LAST = 20_000


def declare_more(count):
    """Declarations in a second, on top of those that are there, with 256 under way."""
    schedule.PORT = node.PORT
    client = schedule.Client()
    names = [b"more.%07d" % index for index in range(count)]
    begin, under_way = time.monotonic(), 256
    for start in range(0, count, under_way):
        part = names[start:start + under_way]
        client.send(b"".join(
            schedule.method(1, 50, 10, struct.pack(">H", 0) + schedule.short(name) + b"\x02"
                            + struct.pack(">I", 0)) for name in part))
        for _ in part:
            client.expect(50, 11)
    return count / (time.monotonic() - begin)


def queues_there(broker):
    return json.loads(broker.get("/api/overview")[1])["object_totals"]["queues"]


def check(broker, wanted):
    there = queues_there(broker)
    if there != wanted:
        raise SystemExit(f"{there} queues are there, and {wanted} were declared")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queues", type=int, default=1_000_000)
    count = parser.parse_args().queues
    broker = Node("queues")
    try:
        rows = [("start of an empty node", f"{broker.start():.2f} s", "")]
        empty_mib = broker.memory_mib()
        figures = broker.bench("queues", "--declares", count, "--keep", "--limit", 900)
        rows += [
            (f"{count:,} declared, 64 under way", f"{figures['declares_s']:,.0f}/s", "20,000/s"),
            ("CPU for each", f"{figures['broker_cpu_us_per_queue']:.1f} us", ""),
            ("memory of each", f"{figures['kib_per_queue']:.2f} KiB", "1 KiB"),
            (f"{LAST:,} more, 256 under way", f"{declare_more(LAST):,.0f}/s", "20,000/s"),
        ]
        check(broker, count + LAST)
        rows.append(("idle CPU", f"{broker.idle_cpu_percent():.1f} % of one core", ""))
        for what, path, port, bar in [
            ("a page of 100, the first time", "/api/queues?page=1&page_size=100", 1, ""),
            ("a page of 100", "/api/queues?page=1&page_size=100", 1, "200 ms"),
            ("a page of 100 from the end", f"/api/queues?page={count // 100}&page_size=100", 1, ""),
            ("the overview", "/api/overview", 1, ""),
            ("/metrics", "/metrics", 3, ""),
        ]:
            seconds, body = broker.get(path, port)
            rows.append((what, f"{seconds * 1e3:.0f} ms, {len(body) / 1024:.0f} KiB", bar))
        rows.append(("stop", f"{broker.end():.2f} s", ""))
        rows.append(("start after a stop", f"{broker.start():.2f} s", "10 s"))
        rows.append(("most memory during that", f"{broker.memory_mib('VmHWM'):,.0f} MiB", ""))
        check(broker, count + LAST)
        time.sleep(5)
        each = (broker.memory_mib() - empty_mib) * 1024 / (count + LAST)
        rows.append(("memory of each then", f"{each:.2f} KiB", "1 KiB"))
        broker.end(signal.SIGKILL)
        rows.append(("start after SIGKILL", f"{broker.start():.2f} s", "10 s"))
        check(broker, count + LAST)
        rows_of(f"{count:,} idle durable queues", rows)
    finally:
        broker.close()


main()
