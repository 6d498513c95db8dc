#!/usr/bin/env python3
"""Ten million persistent messages of 128 B in a node that may have 1.25 GiB, page cache included.

    bench/scale/backlog.py [--messages 10000000] [--limit-mib 1280]

The limit is a memory cgroup (`backlogs.py`). Publish rates at the start and at the end are those of
its first and its last tenth, from a count taken thirty times a second. Every message must come back.
Prints a table.
"""

import threading
import time
import urllib.error

from backlogs import fill_and_drain, limited_node, options
from node import rows_of

RECEIVED = b"rabbitmq_global_messages_received_total"


class Watch(threading.Thread):
    """How many messages had come, thirty times a second."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.broker, self.points, self.ended = broker, [], threading.Event()

    def run(self):
        while not self.ended.wait(0.03):
            try:
                _, body = self.broker.get("/metrics", port=3)
            except (urllib.error.URLError, OSError):
                continue  # It restarts.
            for line in body.splitlines():
                if line.startswith(RECEIVED):
                    self.points.append((time.monotonic(), float(line.rsplit(b" ", 1)[1])))

    def rate(self, begin, end):
        """Messages in a second from one count to another."""
        part = [point for point in self.points if begin <= point[1] <= end]
        if len(part) < 2:
            raise SystemExit(f"too few counts between {begin:,.0f} and {end:,.0f} messages")
        (first_at, first) = part[0]
        # The first time that it was told: a count stays where it is when all have come.
        (last_at, last) = next(point for point in part if point[1] == part[-1][1])
        return (last - first) / (last_at - first_at)


def main():
    args = options(__doc__, 10_000_000, 1280).parse_args()
    with limited_node("backlog", args.limit_mib) as (broker, group):
        watch = Watch(broker)
        watch.start()
        figures = fill_and_drain(broker, args.messages)
        watch.ended.set()
        tenth = args.messages / 10
        tenths = [watch.rate(tenth * (n or 0.1), tenth * (n + 1)) for n in range(10)]
        first, last = tenths[0], tenths[-1]
        rows = [
            ("publish rate, first tenth", f"{first:,.0f}/s", ""),
            ("publish rate, last tenth", f"{last:,.0f}/s", f"{first * 0.9:,.0f}/s"),
            ("publish rate, each tenth, in millions", " ".join(f"{rate / 1e6:.2f}" for rate in tenths), ""),
            ("CPU of a publish", f"{figures['fill_cpu_us_per_message']:.2f} us", ""),
            ("most memory while filled", f"{figures['fill_rss_peak_mib']:.0f} MiB", "512 MiB"),
            ("memory with all of it", f"{figures['held_rss_mib']:.0f} MiB", "512 MiB"),
            ("stop", f"{figures['stop_ms'] / 1e3:.2f} s", ""),
            ("start", f"{figures['ready_ms'] / 1e3:.2f} s", "2 s"),
            ("first delivery after the start", f"{figures['first_delivery_ms']:.0f} ms", ""),
            ("drain", f"{figures['drain_msgs_s']:,.0f}/s", "500,000/s"),
            ("most memory while drained", f"{figures['drain_rss_peak_mib']:.0f} MiB", "512 MiB"),
        ]
        if group:
            peak = int((group / "memory.max_usage_in_bytes").read_text()) >> 20
            rows.append(("most memory of the cgroup, page cache included", f"{peak} MiB",
                         f"{args.limit_mib} MiB"))
        rows_of(f"Backlog of {args.messages:,} messages of 128 B", rows)


main()
