#!/usr/bin/env python3
"""How soon publishers are held when messages take too much memory, and how soon they go on.

    bench/scale/alarm.py [--rounds 200] [--high-mib 8]

In each round one client does not read messages of 64 KiB that are returned to it, until another is
told `connection.blocked`; then it goes away. Taken are the milliseconds from the write of the
message that was one too many to the notice, and from the loss of that client to
`connection.unblocked`. Prints a table.
"""

import argparse
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/interop/hostile")]

from client import Client, publish_frames  # noqa: E402
from node import PORT, Node, rows_of  # noqa: E402

TOO_MUCH = publish_frames(1, "", "no such queue", bytes(65536), mandatory=True)
HELD_MS_MAX, FREED_MS_MAX = 100, 1000


def until_blocked(publisher, filler):
    """Adds one message after another; the milliseconds from the last of them to the notice."""
    while True:
        began = time.perf_counter()
        filler.send(TOO_MUCH)
        publisher.publish("nowhere", b"")
        # On channel 0 is the notice, on channel 1 would be the confirm.
        if publisher.frame()[1] == 0:
            return 1e3 * (time.perf_counter() - began)


def until_unblocked(publisher, filler):
    """Takes the weight away; the milliseconds until publishers go on."""
    began = time.perf_counter()
    filler.drop()
    # The notice and the confirm that was due.
    took = {publisher.frame()[1]: time.perf_counter() - began for _ in range(2)}
    return 1e3 * took[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--high-mib", type=int, default=8)
    args = parser.parse_args()
    os.environ["FERRYMQ_MEMORY_HIGH"] = f"{args.high_mib}MiB"
    node, held, freed, peak = Node("alarm"), [], [], 0
    try:
        node.start()
        publisher = Client(PORT)
        publisher.confirm_select()
        for _ in range(args.rounds):
            filler = Client.raw(PORT, receive_bytes=8192)
            filler.log_in()
            held.append(until_blocked(publisher, filler))
            peak = max(peak, node.memory_mib())
            freed.append(until_unblocked(publisher, filler))
        rows = []
        for what, times, most in (("held and told", held, HELD_MS_MAX),
                                  ("let go and told", freed, FREED_MS_MAX)):
            times.sort()
            rows.append((f"{what}: p50 and most of {args.rounds}",
                         f"{times[len(times) // 2]:.2f} and {times[-1]:.2f} ms", f"{most} ms"))
        rows.append(("memory of the process while they are held, most", f"{peak:.0f} MiB", ""))
        rows_of(f"Publishers are held at {args.high_mib} MiB", rows)
    finally:
        node.close()


main()
