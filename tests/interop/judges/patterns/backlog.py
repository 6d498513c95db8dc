"""Q11, messages wait for a consumer that is away, and Q12, first in, first out.

A consumer takes a few messages and goes. MESSAGES persistent ones arrive while nobody is there.
The consumer returns, and everything comes in strict order, unmarked. On the way it stops some times
with many messages in its hand and gives some of them back, or all, one by one in any order: they
come again in their original place, marked, before what it has not seen.

Environment: MESSAGES (100000; 1000000 for the full criterion), STOPS (8).
"""

import time

import ledger
from ledger import size
from parties import PORT, Client, connect, fill, key_of, make, ready

MESSAGES, STOPS = size("MESSAGES", 100_000), size("STOPS", 8)
BEFORE, PREFETCH, ACK_EVERY, HELD_MIN = 100, 1000, 250, 300
WAIT_S_MAX = 60


class Reader:
    """A consumer with every frame in its own hand.

    `got` is all that came, as (number, redelivered); `held` is what it has not acked, as (tag,
    number).
    """

    def __init__(self, queue):
        self.queue, self.got, self.held = queue, [], []
        self.client = Client(PORT)
        self.client.socket.settimeout(WAIT_S_MAX)
        self.client.call("basic.qos", prefetch_count=PREFETCH)
        self.client.expect("basic.qos-ok")

    def consume(self):
        """Begins to consume, or goes on."""
        self.client.call("basic.consume", queue=self.queue, consumer_tag="c")
        self.client.expect("basic.consume-ok")

    def cancel(self):
        """Nothing more comes; what was under way is in its hand."""
        self.client.call("basic.cancel", consumer_tag="c")
        while self.next() != "basic.cancel-ok":
            pass

    def next(self):
        """One method; a delivery is noted."""
        name, values, body = self.client.event()
        assert name, f"nothing more in {WAIT_S_MAX} s after {len(self.got)} messages"
        if name == "basic.deliver":
            key = key_of(body)
            assert key, f"a body of {len(body)} bytes is not whole"
            number = key[1]
            self.got.append((number, values["redelivered"]))
            self.held.append((values["delivery-tag"], number))
        return name

    def take(self, until):
        """Reads until so many have come in all; acks them many at a time, and all in the end."""
        while len(self.got) < until:
            self.next()
            if len(self.held) >= ACK_EVERY or len(self.got) == until:
                self.client.call("basic.ack", delivery_tag=self.held[-1][0], multiple=True)
                self.held = []

    def stop(self, draw, is_all):
        """Gives some of what it holds back, in any order, acks the rest; the numbers, sorted."""
        while len(self.held) < HELD_MIN:
            self.next()
        self.cancel()
        back = draw.sample(self.held, len(self.held) if is_all else len(self.held) // 3)
        for tag, _ in back:
            self.client.call("basic.nack", delivery_tag=tag, requeue=True)
        for tag, _ in set(self.held) - set(back):
            self.client.call("basic.ack", delivery_tag=tag)
        self.held = []
        self.left()
        return sorted(number for _, number in back)

    def left(self):
        """How many are ready; all that was said before is done by then."""
        self.client.call("queue.declare", queue=self.queue, passive=True)
        return self.client.expect("queue.declare-ok")["message-count"]

    def close(self):
        """Goes in order."""
        self.client.call("channel.close", reply_code=200)
        self.client.expect("channel.close-ok")
        self.client.socket.close()


def sequence(stops):
    """What must come, if after so many deliveries those numbers were given back."""
    wanted, number = [], 0
    for deliveries, back in [*stops, (None, [])]:
        more = MESSAGES - number if deliveries is None else deliveries - len(wanted)
        wanted += [(one, False) for one in range(number, number + more)]
        wanted += [(one, True) for one in back]
        number += more
    return wanted


def away_and_in_order(tell):
    """Before, away, back, and the stops on the way."""
    channel, draw = connect(heartbeat=0).channel(), ledger.draw("backlog")
    queue = make(channel)
    fill(queue, BEFORE)
    reader = Reader(queue)
    reader.consume()
    reader.take(BEFORE)
    reader.cancel()
    reader.close()
    began = time.monotonic()
    fill(queue, MESSAGES)
    filled = time.monotonic()
    tell("all wait for a consumer that is away", ledger.different(
        [ready(channel, queue)], [MESSAGES]))
    reader, stops, back = Reader(queue), [], []
    for at in sorted(draw.sample(range(MESSAGES // 20, MESSAGES * 9 // 10), STOPS)):
        reader.consume()
        reader.take(max(at, len(reader.got) + len(back)))
        back = reader.stop(draw, is_all=len(stops) % 4 == 3)
        stops.append((len(reader.got), back))
    reader.consume()
    reader.take(MESSAGES + sum(len(back) for _, back in stops))
    seconds = time.monotonic() - filled
    print(f"backlog: {MESSAGES / (filled - began):.0f}/s in, {len(reader.got) / seconds:.0f}/s "
          f"out, {[len(back) for _, back in stops]} given back")
    tell("all come in strict order, and what was given back in its place, marked",
         ledger.different(reader.got, sequence(stops)))
    reader.cancel()
    tell("nothing else comes", ledger.different([reader.left(), len(reader.held)], [0, 0]))
    reader.close()


if __name__ == "__main__":
    ledger.play("backlog", away_and_in_order,
                limit_s=ledger.SCENARIO_S_MAX + MESSAGES / 1000)
