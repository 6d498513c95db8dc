#!/usr/bin/env python3
"""What a consumer takes that has no prefetch limit and acks nothing: memory, in a container.

    bench/scale/unsettled.py [--messages 5000000] [--limit-mib 512]

Persistent messages of 128 B wait; one client takes all it can get and keeps it, and goes. The node
is in a memory cgroup (`backlogs.py`). Prints a table.
"""

import select
import socket
import time

from backlogs import limited_node, options
from filled import QUEUE, Client, declare, fill
from node import PORT, rows_of

# Nothing for so long is all there is to get, in seconds.
QUIET_S = 3


def take_all(node):
    """Consumes, reads whatever comes and acks nothing, until nothing comes."""
    client = Client(PORT)
    client.call("basic.consume", queue=QUEUE)
    while select.select([client.socket], [], [], QUIET_S)[0]:
        if not client.socket.recv(1 << 20):
            raise SystemExit("the node has ended: was it killed for the memory it took?")
    return client, node.queue(QUEUE)["messages_unacknowledged"]


def main():
    args = options(__doc__, 5_000_000, 512).parse_args()
    with limited_node("unsettled", args.limit_mib) as (node, _):
        client = Client(PORT)
        declare(client)
        fill(client, args.messages)
        time.sleep(2)
        rows = [("memory with all of them waiting", f"{node.memory_mib():.0f} MiB", "")]
        greedy, held = take_all(node)
        rows.append(("held by a consumer that acks nothing", f"{held:,} messages", ""))
        rows.append(("memory then", f"{node.memory_mib():.0f} MiB", f"{args.limit_mib} MiB"))
        begin = time.monotonic()
        greedy.socket.shutdown(socket.SHUT_RDWR)
        while declare(client) < args.messages:
            time.sleep(0.02)
        rows.append(("all back when it goes", f"{time.monotonic() - begin:.1f} s", ""))
        for _ in range(5):
            # A node that does nothing gives nothing back.
            declare(client)
            time.sleep(1)
        rows.append(("memory after that", f"{node.memory_mib():.0f} MiB", ""))
        rows.append(("the most memory", f"{node.memory_mib('VmHWM'):.0f} MiB", f"{args.limit_mib} MiB"))
        rows_of(f"{args.messages:,} messages of 128 B and a consumer without a limit", rows)


main()
