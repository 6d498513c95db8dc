#!/usr/bin/env python3
"""What it costs to be rid of a long queue: memory, and how long others wait for their confirms.

    bench/scale/clearing.py [--messages 10000000] [--limit-mib 512]

Persistent messages of 128 B in a queue, then a purge, a deletion, or a policy that allows ten
messages; and a stream that is deleted. Meanwhile a client publishes to other queues, one message
after the other. The node is in a memory cgroup (`backlogs.py`). Prints a table.
"""

import argparse
import base64
import json
import pathlib
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/interop"), str(ROOT / "tests/interop/differential")]

from backlogs import close, limited, touch  # noqa: E402
from crash_loop import PERSISTENT, Client, publish  # noqa: E402
from node import PORT, Node, rows_of  # noqa: E402

QUEUE = "long"
PUBLISH = publish(QUEUE, bytes(128), PERSISTENT)
CHUNK = 1000
# Queues of different partitions, one of them that of the long one or not.
OTHERS = 16
# How much later than that a confirm may be that somebody else's command holds up, in milliseconds.
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


def put(path, body):
    """A PUT of the management API."""
    request = urllib.request.Request(f"http://127.0.0.1:{PORT + 1}{path}", json.dumps(body).encode(), method="PUT")
    request.add_header("Authorization", f"Basic {base64.b64encode(b'guest:guest').decode()}")
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request, timeout=120).close()


def declare(client, arguments=None):
    """How many messages are there."""
    client.call("queue.declare", queue=QUEUE, durable=True, arguments=arguments or {})
    return client.expect("queue.declare-ok")["message-count"]


def purge(client):
    client.call("queue.purge", queue=QUEUE)
    return client.expect("queue.purge-ok")["message-count"]


def delete(client):
    client.call("queue.delete", queue=QUEUE)
    return client.expect("queue.delete-ok")["message-count"]


def shorten(client):
    """A policy drops all but ten."""
    before = declare(client)
    put("/api/policies/%2f/short", {"pattern": f"^{QUEUE}$", "definition": {"max-length": 10}, "apply-to": "queues"})
    while (there := declare(client)) > 10:
        time.sleep(0.05)
    return before - there


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--limit-mib", type=int, default=512)
    args = parser.parse_args()
    group, rows = limited(args.limit_mib), []
    node = Node("clearing")
    try:
        touch(args.limit_mib)
        node.start()
        for what, arguments, act in (("purged", None, purge), ("deleted", None, delete),
                                     ("a stream, deleted", {"x-queue-type": "stream"}, delete),
                                     ("cut to 10 by a policy", None, shorten)):
            client, filler = Client(PORT), Client(PORT)
            declare(client, arguments)
            for _ in range(args.messages // CHUNK):
                filler.write(PUBLISH * CHUNK)
            while declare(client, arguments) < args.messages:
                time.sleep(0.1)
            time.sleep(2)
            pathlib.Path(f"/proc/{node.pid}/clear_refs").write_text("5")
            before, canary = node.memory_mib(), Canary()
            canary.start()
            time.sleep(1)
            quiet, canary.worst_ms, begin = canary.worst_ms, 0, time.monotonic()
            dropped = act(client)
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
                delete(client)
            print(rows[-3:], file=sys.stderr, flush=True)
        rows_of(f"To be rid of {args.messages:,} messages of 128 B", rows)
    finally:
        close(node, group)


if __name__ == "__main__":
    main()
