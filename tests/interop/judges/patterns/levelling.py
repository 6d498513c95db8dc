"""Q9 and F10, load levelling: a square wave of publishes, and a consumer with a pace of its own.

The producer publishes with confirms, in bursts of ten times the usual rate. The consumer takes the
same time for each message, with a prefetch of 10, and is slower than a burst. The queue has a limit
with `reject-publish`, above all of it. The producer must meet no error, no nack and no
`connection.blocked`; everything comes, once and in order; and the queue really held a backlog.

Environment: BURST_S (5; 60 for the full criterion), WAVES (2).
"""

import ledger
from ledger import size
from parties import Consumer, Producer, connect, depart, make, ready

BURST_S, WAVES = size("BURST_S", 5.0), size("WAVES", 2)
QUIET_S = 2.0
QUIET_PER_S, BURST_PER_S = 50, 500
HANDLE_S, PREFETCH = 0.003, 10
WAVE = int(QUIET_S * QUIET_PER_S + BURST_S * BURST_PER_S)
TOTAL = WAVES * WAVE
# At most so many pass the consumer in a burst, however quick the machine is; half of what is left
# over must have been in the queue at some time, or nothing was levelled.
BACKLOG_MIN = int(BURST_S * (BURST_PER_S - 1 / HANDLE_S) / 2)
# A busy machine may handle a third of what it could.
LIMIT_S = 60 + WAVES * (QUIET_S + BURST_S) + TOTAL / 100


def due(seconds):
    """How many the square wave has brought by then."""
    waves, rest = divmod(seconds, QUIET_S + BURST_S)
    quiet, burst = min(rest, QUIET_S), max(0, rest - QUIET_S)
    return int(waves * WAVE + quiet * QUIET_PER_S + burst * BURST_PER_S)


def square_wave(tell):
    """All waves, and until the queue is empty."""
    channel = connect(heartbeat=0).channel()
    queue = make(channel, max_length=2 * TOTAL, overflow="reject-publish")
    consumer = Consumer(queue, PREFETCH, HANDLE_S).begin()
    producer = Producer(0, queue, due, TOTAL)
    producer.start()
    depths = []

    def is_over():
        depths.append(ready(channel, queue))
        return len(consumer.acked) >= TOTAL or producer.errors or consumer.errors

    ledger.wait(is_over, LIMIT_S)
    producer.finish()
    depart([consumer])
    first, rates = consumer.log[0].at, {}
    for delivery in consumer.log:
        rates[int(delivery.at - first)] = rates.get(int(delivery.at - first), 0) + 1
    print(f"square wave: handled each second {list(rates.values())}, at most {max(depths)} waited")
    keys = [delivery.key for delivery in consumer.log]
    tell("the producer meets no error, no refusal, and is not blocked", producer.trouble())
    tell("every publish is confirmed", ledger.lost([(0, at) for at in range(TOTAL)],
                                                   producer.confirmed))
    tell("everything comes once, in order", ledger.different(
        keys, [(0, number) for number in range(TOTAL)]))
    tell("nothing is marked as redelivered", [one for one in consumer.log if one.redelivered])
    tell("the consumer meets no error", consumer.errors)
    tell("the queue held the burst", [] if max(depths) >= BACKLOG_MIN else [
        f"{max(depths)} at most, {BACKLOG_MIN} is half of what had to wait"])
    tell("the queue is empty", [one for one in [ready(channel, queue)] if one])


if __name__ == "__main__":
    ledger.play("levelling", square_wave, limit_s=ledger.SCENARIO_S_MAX + LIMIT_S)
