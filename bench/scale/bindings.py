#!/usr/bin/env python3
"""A hundred thousand bindings of a topic exchange: what a message costs, and a restart.

    bench/scale/bindings.py [--bindings 100000]

The cost of a match alone, with its percentiles, is measured by
`bench micro routes`.
Prints a table.
"""

import argparse

from node import Node, rows_of


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bindings", type=int, default=100_000)
    count = parser.parse_args().bindings
    broker = Node("bindings")
    rows = []
    try:
        broker.start()
        for bindings in (100, count):
            figures = broker.bench("run", "--scenario", "T11", "--bindings", bindings,
                                   "--secs", 5)
            rows.append((f"CPU of a message, {bindings:,} bindings, one matches",
                         f"{figures['broker_cpu_us_per_message']:.3f} us", ""))
        rows_of(f"{count:,} topic bindings", rows)
    finally:
        broker.close()


main()
