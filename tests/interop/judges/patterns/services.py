"""R17, services and their instances, and R8, the wire tap.

`services_and_instances`: one fanout exchange for orders, two services with a queue and three
instances each. Each service handles each order once, every instance has its part. Then one instance
of each service is cut off by a reset while it holds orders: each service still handles each of
them, and just what the lost one held is delivered twice, marked.

`tap_that_drops` and `tap_that_refuses`: an exchange bound to an exchange copies all messages into a
tap queue which is full. The main queue gets everything byte for byte and in order, the tap has
copies that are the same in properties, headers and body. A publisher with confirms does not notice
a tap that drops its oldest; from a tap that refuses it hears a nack, although the main queue has
the message: one queue that refuses is enough.

`a_round_of_exchanges`: two exchanges bound to each other hand a message to each queue once.

Environment: ORDERS (400).
"""

import time

import pika

import ledger
from ledger import size
from parties import connect, fresh, make, properties, ready, reset, until
from tools import Team, take

ORDERS, INSTANCES, PREFETCH = size("ORDERS", 400), 3, 5
SERVE_S_MAX = 30 + ORDERS / 50
TAPPED, TAP_MAX, ROUND = 200, 10, 50


class Service:
    """A queue with some instances; each order is acked when it comes, or kept by the holder."""

    def __init__(self, name, channel, exchange):
        self.name, self.queue, self.team = name, make(channel), Team(self.handle)
        self.holder, self.acked = None, []
        channel.queue_bind(self.queue, exchange)
        self.instances = [self.team.join(self.queue, PREFETCH) for _ in range(INSTANCES)]

    def handle(self, got):
        """One order."""
        if got.member is not self.holder:
            got.member.ack(got)
            self.acked.append(int(got.number))

    def lose(self):
        """The holder is cut off, when its acks are known; what it held."""
        ready(self.holder.ch, self.queue)
        kept = {int(got.number) for got in self.holder.got} - set(self.acked)
        self.holder.alive = False
        reset(self.holder.connection)
        return kept


def serve(services, acked):
    """Lets all instances work until each service has acked so many; who has not, is told later."""
    deadline = time.monotonic() + SERVE_S_MAX
    while any(len(set(one.acked)) < acked for one in services) and time.monotonic() < deadline:
        for service in services:
            service.team.serve()


def order(channel, exchange, numbers):
    """Places orders, each confirmed."""
    for number in numbers:
        channel.basic_publish(exchange, "", b"order.%d" % number, properties(), mandatory=True)


def services_and_instances(tell):
    """Half of the orders in peace, and half while an instance of each service is lost."""
    channel, exchange = connect(heartbeat=0).channel(), fresh("order")
    channel.exchange_declare(exchange, "fanout", durable=True)
    channel.confirm_delivery()
    services = [Service(name, channel, exchange) for name in ("payment", "shipping")]
    half, most = ORDERS // 2, ORDERS * 3 // 4
    order(channel, exchange, range(half))
    serve(services, half)
    for service in services:
        tell(f"{service.name} handles each order once",
             ledger.lost(range(half), service.acked) + ledger.twice(service.acked))
        tell(f"every instance of {service.name} has its part", [
            at for at, one in enumerate(service.instances) if not one.got])
        service.holder = service.instances[0]
    order(channel, exchange, range(half, most))
    serve(services, most - PREFETCH)
    kept = {service.name: service.lose() for service in services}
    order(channel, exchange, range(most, ORDERS))
    serve(services, ORDERS)
    for service in services:
        held, got = kept[service.name], [int(got.number) for got in service.team.got]
        tell(f"{service.name} handles each order after the loss", ledger.lost(
            range(ORDERS), service.acked) + ledger.twice(service.acked))
        tell(f"{service.name}: just what the lost instance held comes twice", sorted(
            set(ledger.twice(got)) ^ held))
        tell(f"{service.name}: what comes twice is marked", ledger.unmarked(
            (got.number, got.redelivered) for got in service.team.got))
        tell(f"{service.name}: the lost instance held something, and the queue is empty",
             ledger.different([len(held), ready(channel, service.queue)], [PREFETCH, 0]))
        service.team.close()


def every_property():
    """All properties that a publisher may set."""
    return pika.BasicProperties(
        content_type="text/plain; charset=utf-8", content_encoding="none", delivery_mode=2,
        headers={"text": "\u00e4\u20ac", "number": 2**40, "small": -7, "yes": True, "none": None,
                 "list": [1, "two", {"three": 3}], "table": {"in": {"side": "x"}}},
        priority=3, correlation_id="c-1", reply_to="answers", expiration="600000",
        message_id="m-1", timestamp=1700000000, type="order", user_id="guest", app_id="tap",
        cluster_id="none")


def tapped(channel, kind, overflow):
    """A main queue, and a tap behind an exchange of its own: (exchange, main, tap)."""
    exchange, behind = fresh("main"), fresh("tap")
    channel.exchange_declare(exchange, "direct", durable=True)
    channel.exchange_declare(behind, kind, durable=True)
    main, tap = make(channel), make(channel, max_length=TAP_MAX, overflow=overflow)
    channel.queue_bind(main, exchange, "order")
    channel.exchange_bind(behind, exchange, "order")
    channel.queue_bind(tap, behind, "order")
    return exchange, main, tap


def send_tapped(channel, exchange):
    """Publishes all, one after the other; (bodies, those that were nacked)."""
    draw, bodies, nacked = ledger.draw(exchange.split(".")[0]), [], []
    for number in range(TAPPED):
        bodies.append(b"%d " % number + draw.randbytes(draw.choice((0, 10, 1000, 200000))))
        try:
            channel.basic_publish(exchange, "order", bodies[-1], every_property(), mandatory=True)
        except pika.exceptions.NackError:
            nacked.append(number)
    return bodies, nacked


def compare(channel, queue, bodies):
    """What is wrong with a queue that should hold just these messages.

    RabbitMQ says that one queue has refused before another has the message, so there is a wait.
    """
    until(lambda: ready(channel, queue) >= len(bodies), what=f"the last of {len(bodies)} messages")
    count, wrong = ready(channel, queue), []
    if count != len(bodies):
        wrong.append(f"{count} are there, wanted {len(bodies)}")
    for body in bodies:
        got = take(channel, queue)
        if got.body != body:
            wrong.append(f"{got.body[:10]} of {len(got.body)} bytes, not {body[:10]}")
        if vars(got.properties) != vars(every_property()):
            wrong.append(f"{got.body[:10]}: {got.properties}")
    return wrong


def tap_that_drops(tell):
    """The oldest copies go, and nobody notices."""
    for kind in ("direct", "fanout"):
        channel = connect(heartbeat=0).channel()
        channel.confirm_delivery()
        exchange, main, tap = tapped(channel, kind, "drop-head")
        bodies, nacked = send_tapped(channel, exchange)
        tell(f"a {kind} tap that drops: every publish is confirmed", nacked)
        tell(f"a {kind} tap that drops: the main queue has all, untouched, in order",
             compare(channel, main, bodies))
        tell(f"a {kind} tap that drops: it has the last copies, untouched",
             compare(channel, tap, bodies[-TAP_MAX:]))


def tap_that_refuses(tell):
    """A nack, although the main queue has the message."""
    channel = connect(heartbeat=0).channel()
    channel.confirm_delivery()
    exchange, main, tap = tapped(channel, "direct", "reject-publish")
    bodies, nacked = send_tapped(channel, exchange)
    tell("a tap that refuses: the publisher hears a nack for each that it has no room for",
         ledger.different(nacked, list(range(TAP_MAX, TAPPED))))
    tell("a tap that refuses: the main queue has all, untouched, in order",
         compare(channel, main, bodies))
    tell("a tap that refuses: it has the first copies, untouched",
         compare(channel, tap, bodies[:TAP_MAX]))


def a_round_of_exchanges(tell):
    """E1 to E2 to E1, and a queue at each."""
    channel = connect(heartbeat=0).channel()
    channel.confirm_delivery()
    exchanges, queues = [fresh("round") for _ in range(2)], [make(channel) for _ in range(2)]
    for exchange, queue in zip(exchanges, queues):
        channel.exchange_declare(exchange, "fanout", durable=True)
        channel.queue_bind(queue, exchange)
    channel.exchange_bind(exchanges[1], exchanges[0])
    channel.exchange_bind(exchanges[0], exchanges[1])
    for number in range(ROUND):
        channel.basic_publish(exchanges[number % 2], "", b"%d" % number, properties())
    for at, queue in enumerate(queues):
        there = [take(channel, queue).body for _ in range(ready(channel, queue))]
        tell(f"a round of exchanges: queue {at} has each message once", ledger.different(
            there, [b"%d" % number for number in range(ROUND)]))


if __name__ == "__main__":
    ledger.play("services", services_and_instances, tap_that_drops, tap_that_refuses,
                a_round_of_exchanges, limit_s=4 * SERVE_S_MAX)
