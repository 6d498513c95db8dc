#!/usr/bin/env python3
"""What many definitions and consumers take, until no more are let in: memory, in a container.

    bench/scale/room.py [--messages 400000] [--limit-mib 512]

Each kind has a node of its own in a memory cgroup (`backlogs.py`), and comes until it is refused,
at most `--messages` of it: queues, bindings and consumers, plain and with arguments of 90 KB. Then the node is stopped in order and started again, and killed and started again.
Takes the most memory of each node, and that it says why it refuses. Prints a table.
"""

import sys
import time

from backlogs import limited_node, options
from filled import QUEUE, Client, declare
from node import PORT, rows_of

# Those of the interop tests, where `filled` has led.
import amqp
from crash_loop import Gone

LARGE = {f"x-app-{number:03}": "v" * 900 for number in range(100)}
AT_ONCE = 50


def none(_number):
    return {}


def large(number):
    """Arguments of 90 KB that nothing else has."""
    return {**LARGE, "x-app-000": f"{number:900}"}


def queue(number, arguments):
    return amqp.method("queue.declare", queue=f"{number}", durable=True, no_wait=True,
                       arguments=arguments)


def binding(number, arguments):
    return amqp.method("queue.bind", queue=QUEUE, exchange="amq.topic", routing_key=f"{number}",
                       no_wait=True, arguments=arguments)


def consumer(number, arguments):
    return amqp.method("basic.consume", queue=QUEUE, consumer_tag=f"{number}", no_wait=True,
                       arguments=arguments)


def methods(make, arguments):
    """Each client brings some, and stays."""
    def come(clients, number):
        if number % (100 * AT_ONCE) == 0:
            clients.append(Client(PORT))
        numbers = range(number, number + AT_ONCE)
        frames = (amqp.frame(1, 1, make(one, arguments(one))) for one in numbers)
        asks = amqp.frame(1, 1, amqp.method("basic.qos", prefetch_count=1))
        clients[-1].write(b"".join(frames) + asks)
        clients[-1].expect("basic.qos-ok")
    return come


CASES = (("queues", methods(queue, none)), ("queues with 90 KB of arguments", methods(queue, large)),
         ("bindings", methods(binding, none)),
         ("bindings with 90 KB of arguments", methods(binding, large)),
         ("consumers", methods(consumer, none)),
         ("consumers with 90 KB of arguments", methods(consumer, large)))


def fill(come, most):
    """How many came, and what the node said then."""
    clients, number = [], 0
    declare(Client(PORT))
    try:
        while number < most:
            come(clients, number)
            number += AT_ONCE
    except (RuntimeError, Gone, OSError) as error:
        return number, str(error)
    return number, "all are in"


def peak(node):
    """The most memory so far."""
    time.sleep(1)  # who is killed is there for a moment more
    return f"{node.memory_mib('VmHWM'):.0f} MiB" if node.is_alive() else "killed"


def live(node, come, most):
    """One life after another: the most memory of each."""
    number, said = fill(come, most)
    lives = [peak(node)]
    for how in (15, 9):
        if "killed" not in lives:
            node.end(how)
            node.start()
            lives.append(peak(node))
    said = "refused" if "memory is short" in said else said
    return f"{', '.join(lives)}; {number:,}, {said}"


def main():
    args, rows = options(__doc__, 400_000, 512).parse_args(), []
    for what, come in CASES:
        with limited_node("room", args.limit_mib) as (node, _):
            rows.append((what, live(node, come, args.messages), f"{args.limit_mib} MiB"))
            print(rows[-1], file=sys.stderr, flush=True)
    rows_of("Definitions and consumers until none is let in, and the most memory of the node: filled, "
            "after a stop, after a kill", rows)


main()
