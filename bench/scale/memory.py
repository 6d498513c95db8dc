#!/usr/bin/env python3
"""More memory for the same backlog: does it get slower?

    bench/scale/memory.py [--messages 3000000] [--limits 320 640 1280 2560]

Each node has a memory cgroup of so many MiB (`backlogs.py`), page cache included. Prints a table.
"""

import argparse

from backlogs import fill_and_drain, limited_node
from node import rows_of


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3_000_000)
    parser.add_argument("--limits", type=int, nargs="+", default=[320, 640, 1280, 2560])
    args = parser.parse_args()
    rows = []
    for limit in args.limits:
        with limited_node("memory", limit) as (broker, _):
            figures = fill_and_drain(broker, args.messages)
            told = (f"{figures['fill_msgs_s']:,.0f}/s, {figures['drain_msgs_s']:,.0f}/s, "
                    f"{figures['fill_rss_peak_mib']:.0f} MiB")
            rows.append((f"{limit} MiB: filled, drained, most memory of the process", told, ""))
    rows_of(f"{args.messages:,} messages of 128 B, and how much memory there is", rows)


main()
