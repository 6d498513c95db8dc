#!/usr/bin/env python3
"""What dead letters take that can not leave: memory, in a container, and a start with them.

    bench/scale/stuck.py [--messages 5000000] [--limit-mib 512]

Persistent messages of 128 B wait, and expire towards a queue that is full. The node is in a memory
cgroup (`backlogs.py`). Prints a table.
"""

import socket
import time

from backlogs import limited_node, options
from filled import PERSISTENT, QUEUE, Client, declare, fill, publish
from node import PORT, rows_of

FULL = {"x-max-length": 1, "x-overflow": "reject-publish"}
# Longer than it takes to fill the queue.
TTL_MS = 25_000
EXPIRES = {"x-message-ttl": TTL_MS, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "full"}
WAIT_S_MAX = 60


def await_pending(node, messages):
    """Waits until all are dead letters that can not leave."""
    begin = time.monotonic()
    while (found := node.queue(QUEUE)["messages_dead_letter_pending"]) < messages:
        if time.monotonic() > begin + WAIT_S_MAX:
            raise SystemExit(f"{found} are pending, of {messages}")
        time.sleep(0.1)


def main():
    args = options(__doc__, 5_000_000, 512).parse_args()
    limit = f"{args.limit_mib} MiB"
    with limited_node("stuck", args.limit_mib) as (node, _):
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
        client.socket.shutdown(socket.SHUT_RDWR)  # or the stop would wait for its goodbye
        stopped, started = node.end(), node.start()
        await_pending(node, args.messages)
        rows.append(("stop, start", f"{stopped:.1f}, {started:.1f} s", ""))
        rows.append(("memory then, at most",
                     f"{node.memory_mib():.0f}, {node.memory_mib('VmHWM'):.0f} MiB", limit))
        rows_of(f"{args.messages:,} dead letters that can not leave", rows)


main()
