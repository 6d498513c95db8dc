#!/usr/bin/env python3
"""What many clients take that are in the middle of something: memory, in a container.

    bench/scale/kept.py [--clients 400] [--messages 3000000] [--limit-mib 512]

Each kind of client has a node of its own in a memory cgroup (`backlogs.py`):

- messages of 15 MiB of which each connection sends all but the end, by AMQP and by MQTT
- connections that publish while publishers are held
- transactions without a commit
- retained messages of many topics
- consumers of a queue of so many messages that do not read

Takes the most memory of the node with all of them. Prints a table.
"""

import contextlib
import json
import select
import socket
import struct
import sys
import time

from backlogs import limited_node, options
from filled import PERSISTENT, QUEUE, Client, declare, fill, publish
from node import PORT, rows_of

# Those of the interop tests, where `filled` has led.
import amqp
from crash_loop import Gone

LONG_BYTES = 15 << 20
FRAME_BYTES = 131072 - 8
# Nothing is taken for so long: the node reads no more, in seconds.
UNREAD_S = 0.3
# Messages of 64 KiB that come back to a client: a little less than may wait for it.
RETURNED = 15 * 16
TX_MESSAGES, TOPICS = 10_000, 10_000


def write(sock, data):
    """Writes as much as is taken."""
    sock.setblocking(False)
    view = memoryview(data)
    while view and select.select([], [sock], [], UNREAD_S)[1]:
        view = view[sock.send(view):]


def long_amqp(_node, _number, _backlog):
    client = Client(PORT)
    head = amqp.method("basic.publish", exchange="", routing_key="nowhere")
    header = struct.pack(">HHQ", 60, 0, LONG_BYTES) + PERSISTENT
    body = amqp.frame(3, 1, bytes(FRAME_BYTES)) * (LONG_BYTES // FRAME_BYTES)
    write(client.socket, amqp.frame(1, 1, head) + amqp.frame(2, 1, header) + body)
    return client


def text(value):
    return struct.pack(">H", len(value)) + value


def packet(first, body_bytes):
    """The first bytes of a packet whose body has so many."""
    out = bytes([first])
    while body_bytes > 127:
        out += bytes([body_bytes & 127 | 128])
        body_bytes >>= 7
    return out + bytes([body_bytes])


def mqtt(number):
    client = socket.create_connection(("127.0.0.1", PORT + 2))
    hello = text(b"MQTT") + b"\x04\xc2\0\0" + text(b"client%d" % number) + text(b"guest") * 2
    client.sendall(packet(0x10, len(hello)) + hello)
    client.recv(4)
    return client


def long_mqtt(_node, number, _backlog):
    client = mqtt(number)
    write(client, packet(0x30, LONG_BYTES) + text(b"t") + bytes(LONG_BYTES - 1000))
    return client


def held(node, _number, _backlog):
    """Until publishers are held they do not read what comes back to them; then they publish."""
    client = Client(PORT)
    if json.loads(node.get("/api/nodes")[1])[0]["mem_alarm"]:
        write(client.socket, publish("nowhere", bytes(1000), PERSISTENT) * 3000)
    else:
        back = amqp.publish_frames(1, "", "nowhere", bytes(65536), PERSISTENT, mandatory=True)
        write(client.socket, back * RETURNED)
    return client


def retained(_node, number, _backlog):
    client = mqtt(number)
    bodies = (text(b"t/%d/%d" % (number, topic)) + bytes(100) for topic in range(TOPICS))
    write(client, b"".join(packet(0x31, len(body)) + body for body in bodies))
    return client


def transaction(_node, _number, _backlog):
    client = Client(PORT)
    declare(client)
    client.call("tx.select")
    client.expect("tx.select-ok")
    write(client.socket, publish(QUEUE, bytes(128), PERSISTENT) * TX_MESSAGES)
    return client


def deaf(_node, number, backlog):
    client = Client(PORT)
    if number == 0:
        declare(client)
        fill(client, backlog)
    client.call("basic.consume", queue=QUEUE, no_ack=True)
    return client


CASES = (("messages of 15 MiB without their end, AMQP", long_amqp),
         ("the same, MQTT", long_mqtt),
         ("publish while publishers are held", held),
         (f"transactions of {TX_MESSAGES:,} messages without a commit", transaction),
         (f"retain messages of {TOPICS:,} topics each", retained),
         ("do not read what they consume", deaf))


def main():
    parser = options(__doc__, 3_000_000, 512)
    parser.add_argument("--clients", type=int, default=400)
    args, rows = parser.parse_args(), []
    for what, begin in CASES:
        with limited_node("kept", args.limit_mib) as (node, _):
            clients = []
            with contextlib.suppress(Gone, OSError):
                for number in range(args.clients):
                    clients.append(begin(node, number, args.messages))
            time.sleep(1)  # who is killed is there for a moment more
            if node.is_alive():
                most = f"{node.memory_mib('VmHWM'):.0f} MiB, {len(clients)} clients"
            else:
                most = f"killed with {len(clients)} clients"
            rows.append((what, most, f"{args.limit_mib} MiB, {args.clients} clients"))
            print(rows[-1], file=sys.stderr, flush=True)
    rows_of("Clients in the middle of something, and the most memory of the node", rows)


main()
