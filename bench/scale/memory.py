#!/usr/bin/env python3
"""More memory for the same backlog: does it get slower?

    bench/scale/memory.py [--messages 3000000] [--limits 320 640 1280 2560] [--rounds 5]

Each node has a memory cgroup of so many MiB (`backlogs.py`), page cache included. Rounds go through
the limits upwards and downwards in turns; a ratio is formed in a round, to the limit before. Prints
a table.
"""

import argparse
import itertools
import statistics

from backlogs import fill_and_drain, limited_node
from node import rows_of

# With twice the memory it is to be as fast at least; rounds differ by more than this.
TIMES_MIN = 0.95
RATES = {"filled": "fill_msgs_s", "drained": "drain_msgs_s"}


def figures_of(limit, messages):
    with limited_node("memory", limit) as (broker, _):
        return fill_and_drain(broker, messages)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3_000_000)
    parser.add_argument("--limits", type=int, nargs="+", default=[320, 640, 1280, 2560])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rounds, limits = [], sorted(args.limits)
    for number in range(args.rounds):
        order = limits[::-1] if number % 2 else limits
        rounds.append({limit: figures_of(limit, args.messages) for limit in order})
    rows = []
    for limit in limits:
        rates = [" ".join(f"{each[limit][rate] / 1000:,.0f}" for each in rounds)
                 for rate in RATES.values()]
        most = max(each[limit]["fill_rss_peak_mib"] for each in rounds)
        rows.append((f"{limit} MiB: thousands a second filled, drained; most memory of the process",
                     f"{'; '.join(rates)}; {most:.0f} MiB", ""))
    for (less, more), (what, rate) in itertools.product(itertools.pairwise(limits), RATES.items()):
        times = statistics.median(each[more][rate] / each[less][rate] for each in rounds)
        rows.append((f"{what} with {more} MiB over {less} MiB, median", f"{times:.2f}", TIMES_MIN))
    rows_of(f"{args.messages:,} messages of 128 B, and how much memory there is", rows)


main()
