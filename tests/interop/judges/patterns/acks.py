"""D2, manual acks: what a consumer held when it was lost comes to another one.

A consumer holds HELD messages unacked, and is lost: its process is killed with SIGKILL, or stopped
so that the connection is half open and only the missing heartbeats tell, or its channel is closed.
All of them come to another consumer, each once, in their order, marked, with the header
`x-delivery-count` where the broker has one: on queues of every type here, on quorum queues in
RabbitMQ. None is lost.

Environment: HELD (500).
"""

import os
import signal
import subprocess
import sys
import time

import ledger
from ledger import size
from parties import BROKER, Inbox, connect, fill, key_of, make, ready, until

HELD, HEARTBEAT_S = size("HELD", 500), 2
AWAY_S_MAX = 40
KINDS = ("classic", "quorum")


class Holder:
    """A process of its own that consumes and acks nothing."""

    def __init__(self, queue):
        self.process = subprocess.Popen([sys.executable, __file__, "hold", queue],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline()
        assert said == "holds\n", f"the process that holds messages said {said!r}"

    def signal(self, number):
        """Kills or stops it."""
        os.kill(self.process.pid, number)

    def end(self):
        """It is gone, in whatever state it was."""
        self.process.kill()
        self.process.wait()


def hold(queue):
    """The life of that process: heartbeats are sent, and nothing else."""
    connection = connect(heartbeat=HEARTBEAT_S)
    inbox = Inbox(connection.channel(), queue, HELD)
    inbox.wait(HELD, AWAY_S_MAX)
    print("holds", flush=True)
    while True:
        connection.process_data_events(1)


def killed(queue):
    """SIGKILL."""
    holder = Holder(queue)
    return lambda: holder.signal(signal.SIGKILL), holder.end


def half_open(queue):
    """SIGSTOP: the machine answers for it, the process does not."""
    holder = Holder(queue)
    return lambda: holder.signal(signal.SIGSTOP), holder.end


def channel_closed(queue):
    """In order; the connection stays."""
    connection = connect(heartbeat=0)
    channel = connection.channel()
    Inbox(channel, queue, HELD).wait(HELD)
    return channel.close, connection.close


def lost_consumer(tell, kind, way):
    """One way to be lost, on one type of queue."""
    name = f"{kind}, {way.__name__.replace('_', ' ')}"
    channel = connect(heartbeat=0).channel()
    queue = make(channel, queue_type=kind)
    fill(queue, HELD)
    lose, end = way(queue)
    try:
        before = ready(channel, queue)
        inbox = Inbox(connect(heartbeat=0).channel(), queue, HELD)
        inbox.quiet(0.3)
        began = time.monotonic()
        lose()
        inbox.wait(HELD, AWAY_S_MAX)
        print(f"{name}: all at another one after {time.monotonic() - began:.2f} s")
        inbox.quiet(0.3)
    finally:
        end()
    wanted = [(0, number) for number in range(HELD)]
    tell(f"{name}: nothing was ready before", [before] if before else [])
    tell(f"{name}: all come once, in their order", ledger.different(
        [key_of(got.body) for got in inbox.got], wanted))
    tell(f"{name}: all are marked", [got.tag for got in inbox.got if not got.redelivered])
    if BROKER == "ferrymq" or kind == "quorum":
        counts = [got.headers.get("x-delivery-count") for got in inbox.got]
        tell(f"{name}: all say that it is the second time", ledger.different(counts, [1] * HELD))
    inbox.ch.basic_ack(inbox.got[-1].tag, multiple=True)
    inbox.ch.connection.close()
    until(lambda: ready(channel, queue) == 0, what="an empty queue")
    channel.connection.close()


def lost_consumers(tell):
    """Each way, on each type."""
    for kind in KINDS:
        for way in (killed, channel_closed, half_open):
            lost_consumer(tell, kind, way)


if __name__ == "__main__":
    if sys.argv[1:2] == ["hold"]:
        hold(sys.argv[2])
    else:
        ledger.play("acks", lost_consumers)
