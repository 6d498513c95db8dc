#!/usr/bin/env python3
"""What dead letters take that can not leave: memory, in a container, and a start with them.

    bench/scale/stuck.py [--messages 5000000] [--limit-mib 512]

Persistent messages of 128 B wait, and expire towards a queue that is full. The node is in a memory cgroup (`backlogs.py`). Prints a table.
"""

import argparse
import json
import time

from backlogs import close, limited, touch
from filled import PERSISTENT, QUEUE, Client, declare, fill, publish
from node import PORT, Node, rows_of

FULL = {"x-max-length": 1, "x-overflow": "reject-publish"}
# Longer than it takes to fill the queue.
TTL_MS = 25_000
EXPIRES = {"x-message-ttl": TTL_MS, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "full"}
WAIT_S_MAX = 60


def pending(node):
    _, queue = node.get(f"/api/queues/%2f/{QUEUE}")
    return json.loads(queue)["messages_dead_letter_pending"]


def await_pending(node, messages):
    """Waits until all are dead letters that can not leave."""
    begin = time.monotonic()
    while (found := pending(node)) < messages:
        if time.monotonic() > begin + WAIT_S_MAX:
            raise SystemExit(f"{found} are pending, of {messages}")
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5_000_000)
    parser.add_argument("--limit-mib", type=int, default=512)
    args = parser.parse_args()
    group, node, limit = limited(args.limit_mib), Node("stuck"), f"{args.limit_mib} MiB"
    try:
        touch(args.limit_mib)
        node.start()
        client = Client(PORT)
        client.call("queue.declare", queue="full", durable=True, arguments=FULL)
        client.expect("queue.declare-ok")
        client.write(publish("full", b"full", PERSISTENT))
        declare(client, EXPIRES)
        fill(client, args.messages, EXPIRES)
        time.sleep(2)
        rows = [("memory with all of them waiting", f"{node.memory_mib():.0f} MiB", "")]
        await_pending(node, args.messages)
        rows.append(("memory then, at most",
                     f"{node.memory_mib():.0f}, {node.memory_mib('VmHWM'):.0f} MiB", limit))
        stopped, started = node.end(), node.start()
        await_pending(node, args.messages)
        rows.append(("stop, start", f"{stopped:.1f}, {started:.1f} s", ""))
        rows.append(("memory then, at most",
                     f"{node.memory_mib():.0f}, {node.memory_mib('VmHWM'):.0f} MiB", limit))
        rows_of(f"{args.messages:,} dead letters that can not leave", rows)
    finally:
        close(node, group)


main()
