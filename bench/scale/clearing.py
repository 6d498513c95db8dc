#!/usr/bin/env python3
"""What it costs to be rid of a long queue: memory, and how long others wait for their confirms.

    bench/scale/clearing.py [--messages 10000000] [--limit-mib 512]

Persistent messages of 128 B in a queue, then a purge, a deletion, or a policy that allows ten
messages; and a stream that is deleted. Meanwhile a client publishes to other queues, one message
after the other. The node is in a memory cgroup (`backlogs.py`). Prints a table.
"""

import pathlib
import sys
import threading
import time

from backlogs import limited_node, options
from filled import PERSISTENT, QUEUE, Client, declare, fill, publish
from node import PORT, rows_of

# Queues of different partitions, one of them that of the long one or not.
OTHERS = 16
# How late a confirm may be for what somebody else does, in milliseconds.
LATE_MS = 100


class Canary(threading.Thread):
    """Publishes to other queues with a confirm for each; keeps the worst wait."""

    def __init__(self):
        super().__init__(daemon=True)
        self.client, self.worst_ms, self.ended = Client(PORT), 0, threading.Event()
        self.client.call("confirm.select")
        self.client.expect("confirm.select-ok")
        for n in range(OTHERS):
            self.client.call("queue.declare", queue=f"other{n}", durable=True)
            self.client.expect("queue.declare-ok")

    def run(self):
        messages = [publish(f"other{n}", b"sings", PERSISTENT) for n in range(OTHERS)]
        count = 0
        while not self.ended.wait(0.001):
            begin = time.perf_counter()
            self.client.write(messages[count % OTHERS])
            self.client.expect("basic.ack")
            self.worst_ms = max(self.worst_ms, 1e3 * (time.perf_counter() - begin))
            count += 1


def purge(_node, client):
    client.call("queue.purge", queue=QUEUE)
    return client.expect("queue.purge-ok")["message-count"]


def delete(_node, client):
    client.call("queue.delete", queue=QUEUE)
    return client.expect("queue.delete-ok")["message-count"]


def shorten(node, client):
    """A policy drops all but ten."""
    before = declare(client)
    policy = {"pattern": f"^{QUEUE}$", "definition": {"max-length": 10}, "apply-to": "queues"}
    node.put("/api/policies/%2f/short", policy)
    while (there := declare(client)) > 10:
        time.sleep(0.05)
    return before - there


def main():
    args, rows = options(__doc__, 10_000_000, 512).parse_args(), []
    with limited_node("clearing", args.limit_mib) as (node, _):
        for what, arguments, act in (("purged", None, purge), ("deleted", None, delete),
                                     ("a stream, deleted", {"x-queue-type": "stream"}, delete),
                                     ("cut to 10 by a policy", None, shorten)):
            client, filler = Client(PORT), Client(PORT)
            declare(client, arguments)
            fill(filler, args.messages, arguments)
            time.sleep(2)
            pathlib.Path(f"/proc/{node.pid}/clear_refs").write_text("5")
            before, canary = node.memory_mib(), Canary()
            canary.start()
            time.sleep(1)
            quiet, canary.worst_ms, begin = canary.worst_ms, 0, time.monotonic()
            dropped = act(node, client)
            took = time.monotonic() - begin
            time.sleep(1)
            canary.ended.set()
            canary.join()
            peak = node.memory_mib("VmHWM")
            rows.append((f"{what}: {dropped:,} messages", f"{took:.2f} s", ""))
            rows.append(("memory before, and the most meanwhile", f"{before:.0f} and {peak:.0f} MiB",
                         f"{args.limit_mib} MiB"))
            rows.append(("worst confirm of others before, and meanwhile",
                         f"{quiet:.1f} and {canary.worst_ms:.1f} ms", f"{LATE_MS} ms"))
            if act is not delete:
                delete(node, client)
            print(rows[-3:], file=sys.stderr, flush=True)
        rows_of(f"To be rid of {args.messages:,} messages of 128 B", rows)


main()
