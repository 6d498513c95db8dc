#!/usr/bin/env python3
"""What a hot queue does to the latencies of other queues of its node.

    bench/scale/hot.py [--secs 8] [--rounds 3]

The probe is a queue with 5,000 small messages a second by the clock (T7, T7p of bench/README.md).
It runs by itself, beside a load on one queue of another node, and beside the same load on one queue
of its own node: a second node on the machine takes as much of it, but shares no thread, lock or log
with the probe. Each round takes all three; ratios are formed in a round. Prints a table.
"""

import argparse
import contextlib
import statistics
import subprocess
import time

from node import SECOND_PORT, Node, rows_of

# How much slower others may be.
TIMES_MAX = 2
# The probe's scenario and figure, and the load's scenario with its options.
CASES = {
    "delivery, beside 50,000/s of 1 KiB in one queue": ("T7", "p99_ms", "T2", "--rate", 50_000),
    "delivery, beside one queue with confirms, as fast as it goes": ("T7", "p99_ms", "T3"),
    "confirm, beside one queue with confirms, as fast as it goes": ("T7p", "confirm_p99_ms", "T3"),
}
WARM_UP_S = 2


@contextlib.contextmanager
def load(node, scenario, *options):
    """A load on one queue of the node, for as long as it is wanted."""
    line = node.bench_line("run", "--scenario", scenario, "--secs", 3600, *options)
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        try:
            time.sleep(WARM_UP_S)
            if process.poll() is not None:
                raise SystemExit(f"`{' '.join(line)}` failed")
            yield
        finally:
            process.kill()


def round_of(own, other, seconds, probe, figure, *hot):
    """The probe's p99 alone, beside the load on the other node, and beside it on its own."""
    p99s = [probe_of(own, seconds, probe, figure)]
    for node in (other, own):
        with load(node, *hot):
            p99s.append(probe_of(own, seconds, probe, figure))
    return p99s


def probe_of(node, seconds, scenario, figure):
    return node.bench("run", "--scenario", scenario, "--secs", seconds)[figure]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--secs", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    own, other = Node("hot-own"), Node("hot-other", SECOND_PORT)
    rows = []
    try:
        own.start()
        other.start()
        for what, case in CASES.items():
            rounds = [round_of(own, other, args.secs, *case) for _ in range(args.rounds)]
            told = "; ".join(", ".join(f"{p99:.3f}" for p99 in each) for each in rounds)
            times = statistics.median(here / elsewhere for _, elsewhere, here in rounds)
            rows.append((f"p99 of a {what}: alone, load elsewhere, load here", f"{told} ms", ""))
            rows.append(("here over elsewhere, median of rounds", f"{times:.2f}", TIMES_MAX))
        rows_of("A hot queue beside others", rows)
    finally:
        own.close()
        other.close()


main()
