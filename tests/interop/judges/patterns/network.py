"""E2, a bad network, and a consumer that is slow beside one that is not.

`bad_network`: producers and consumers speak through a proxy that loses 5 % of the packets and
resets connections at random (`proxy.py`). Producers publish with confirms, connect again, and
publish again what was not confirmed; consumers connect again. Nothing that was confirmed is lost.
Of each producer the messages come for the first time in their order, except for one that was
repeated: by the broker, which marks it, or by the producer, which knows. Nothing is repeated
without a reason.

`slow_beside_fast`: a fanout feeds two queues; one has a consumer with a prefetch of 1 at a tenth of
the producer's speed. The other consumer has everything while most of the slow one's still waits,
and then the slow one gets all of its own, in order.

Environment: SENT (1200 messages of each producer), LIFE_S (1.5, mean of a connection's life).
"""

import time

import pika

import ledger
from ledger import size
from parties import PORT, Consumer, Producer, connect, depart, fresh, make, ready
from proxy import Lossy, Proxy

SENT, LIFE_S = size("SENT", 1200), size("LIFE_S", 1.5)
PRODUCERS, QUEUES, PER_S, PREFETCH = 4, 2, 200, 50
# Every tenth message takes some packets.
LARGE_BYTES = 3000
ALL_S_MAX = 120 + SENT / 50
COPIES, COPIES_PER_S, COPIES_S_MAX = 1000, 500, 60


class Stubborn(Consumer):
    """Connects again when its connection is lost; `lives` counts its connections."""

    lives = 0

    def work(self):
        """Until it is told to go."""
        while not self.ending.is_set():
            try:
                self.lives += 1
                super().work()
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.02)


def bad_network(tell):
    """All that the producers have, and until the consumers have it."""
    luck = Lossy(ledger.draw("network"), LIFE_S)
    proxy, channel = Proxy(PORT, luck), connect(heartbeat=0).channel()
    queues = [make(channel) for _ in range(QUEUES)]
    producers = [Producer(number, queues[number % QUEUES], lambda seconds: int(seconds * PER_S),
                          SENT, port=proxy.port, again=True, large=LARGE_BYTES)
                 for number in range(PRODUCERS)]
    consumers = [Stubborn(queue, PREFETCH, number=at, port=proxy.port)
                 for at, queue in enumerate(queues)]
    for party in consumers + producers:
        party.start()
    for producer in producers:
        producer.finish(ALL_S_MAX)
    wanted = [(number, at) for number in range(PRODUCERS) for at in range(SENT)]

    def came():
        return {one.key for consumer in consumers for one in consumer.log}

    ledger.wait(lambda: not set(wanted) - came() or any(one.errors for one in consumers),
                ALL_S_MAX)
    depart(consumers)
    repeated = {key for one in producers for key in one.repeated}
    print(f"bad network: {luck.packets} packets, {luck.lost} lost; {luck.resets} resets; "
          f"{sum(one.lives for one in producers)} connections of {PRODUCERS} producers, "
          f"{sum(one.lives for one in consumers)} of {QUEUES} consumers; {len(repeated)} messages "
          f"sent again, {sum(len(one.log) for one in consumers) - len(wanted)} came again")
    tell("bad network: producers are not refused", [t for one in producers for t in one.trouble()])
    tell("bad network: everything is confirmed in the end", ledger.lost(
        wanted, [key for one in producers for key in one.confirmed]))
    tell("bad network: nothing that was confirmed is lost", ledger.lost(wanted, came()))
    tell("bad network: nothing is invented", ledger.invented(wanted, came()))
    for at, consumer in enumerate(consumers):
        tell(f"bad network: order at consumer {at}, but for what was repeated",
             ledger.unexplained([(one.key, one.redelivered) for one in consumer.log],
                                repeated))
        tell(f"bad network: consumer {at} meets no other error", consumer.errors)
    tell("bad network: it was bad", [] if luck.lost and luck.resets and repeated else [
        f"{luck.lost} lost, {luck.resets} resets, {len(repeated)} sent again"])


def slow_beside_fast(tell):
    """One producer, two consumers."""
    channel, exchange = connect(heartbeat=0).channel(), fresh("copies")
    channel.exchange_declare(exchange, "fanout", durable=True)
    slow_queue, fast_queue = queues = [make(channel) for _ in range(2)]
    for queue in queues:
        channel.queue_bind(queue, exchange)
    slow = Consumer(slow_queue, 1, 10 / COPIES_PER_S).begin()
    fast = Consumer(fast_queue, 50).begin()
    producer = Producer(0, "", lambda seconds: int(seconds * COPIES_PER_S), COPIES,
                        exchange=exchange)
    producer.start()
    ledger.wait(lambda: len(fast.acked) == COPIES or fast.errors, COPIES_S_MAX)
    waiting, slow.handle_s = ready(channel, slow_queue), 0
    producer.finish()
    ledger.wait(lambda: len(slow.acked) == COPIES or slow.errors, COPIES_S_MAX)
    depart((slow, fast))
    print(f"slow beside fast: {waiting} of {COPIES} waited when the fast one had all")
    tell("slow beside fast: most of the slow one's waits when the other has all",
         [] if waiting > COPIES / 2 else [f"{waiting} of {COPIES}"])
    for name, one in (("slow", slow), ("fast", fast)):
        tell(f"slow beside fast: the {name} one gets all, once and in order", ledger.different(
            [delivery.key for delivery in one.log], [(0, number) for number in range(COPIES)]))
        tell(f"slow beside fast: the {name} one meets no error", one.errors)
    tell("slow beside fast: the producer meets no error", producer.trouble())


if __name__ == "__main__":
    ledger.play("network", bad_network, slow_beside_fast, limit_s=3 * ALL_S_MAX)
