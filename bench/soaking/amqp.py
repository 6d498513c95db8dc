"""Clients of AMQP 0-9-1: every kind of queue, and every way of a message through it.

Each worker publishes on one connection with confirms and consumes on another, all in one thread.
"""

import random

import pika
import pika.exceptions

from .worker import Worker

PREFETCH = 200


def connect(node, user="guest"):
    """A blocking connection."""
    login = pika.PlainCredentials(user, user)
    return pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", node.port, credentials=login, heartbeat=60, socket_timeout=10))


class Pipe(Worker):
    """Into a queue and out again."""

    title = "classic"
    arguments = {}
    durable = True
    size_bytes = 1024
    batch = 2

    @property
    def queue(self):
        """The queue's name."""
        return f"soak.{self.title}"

    def queues(self):
        """All queues: name and arguments."""
        return [(self.queue, self.arguments)]

    def consumed(self):
        """Those with a consumer."""
        return [self.queue]

    def properties(self, number):
        """Of a message."""
        del number
        return {}

    def way(self, number):
        """Exchange and routing key of a message."""
        del number
        return "", self.queue

    def take(self, channel, method, properties, body):
        """A delivery."""
        del properties
        self.came(body)
        channel.basic_ack(method.delivery_tag)

    def open(self):
        self.outward = connect(self.node)
        self.out = self.outward.channel()
        for name, arguments in self.queues():
            self.out.queue_declare(name, durable=self.durable, arguments=arguments)
        self.further(self.out)
        self.out.confirm_delivery()
        self.inward = connect(self.node)
        for name in self.consumed():
            self.consume(name)

    def further(self, channel):
        """Exchanges and bindings."""

    def consume(self, name, **options):
        """One more consumer, on a channel of its own."""
        channel = self.inward.channel()
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(name, self.take, **options)

    def publish(self, size_bytes=None):
        """One message, confirmed."""
        number = self.number()
        mode = 2 if self.durable else 1
        properties = pika.BasicProperties(delivery_mode=mode, **self.properties(number))
        exchange, key = self.way(number)
        try:
            self.out.basic_publish(exchange, key, self.body(number, size_bytes or self.size_bytes),
                                   properties, mandatory=True)
        except BaseException:
            self.unsure(number)
            raise

    def step(self):
        if self.publishing:
            for _ in range(self.batch):
                self.publish()
        self.outward.process_data_events(0)
        self.inward.process_data_events(0)

    def close(self):
        for name in ("outward", "inward"):
            connection = self.__dict__.pop(name, None)
            if connection is not None and connection.is_open:
                self.quietly(connection.close)

    def clear(self):
        with connect(self.node) as connection:
            channel = connection.channel()
            for name, _ in self.queues():
                channel.queue_delete(name)
            self.clear_further(channel)

    def clear_further(self, channel):
        """What `further` made."""


class Transient(Pipe):
    """A queue that a restart forgets."""

    title, durable, transient, size_bytes, batch = "transient", False, True, 16, 3


class Priority(Pipe):
    """Ten levels."""

    title, arguments = "priority", {"x-max-priority": 10}

    def properties(self, number):
        return {"priority": number % 12}


class Large(Pipe):
    """Bodies of up to a mebibyte, in many frames."""

    title, batch = "large", 1

    def publish(self, size_bytes=None):
        if self.steps % 20 == 0:
            super().publish(random.choice((100_000, 300_000, 1 << 20)))


class Delays(Pipe):
    """Messages that wait up to 3 s for their time."""

    title = "delays"

    def properties(self, number):
        return {"headers": {"x-delay": 20 + number * 7919 % 3000}}


class Retries(Pipe):
    """A third works, a third works at the second try, a third fails three times."""

    title = "retries"
    arguments = {"x-retry-limit": 3, "x-retry-delay": 100, "x-dead-letter-exchange": "",
                 "x-dead-letter-routing-key": "soak.failed"}

    def queues(self):
        return [("soak.failed", {}), (self.queue, self.arguments)]

    def consumed(self):
        return [self.queue, "soak.failed"]

    def take(self, channel, method, properties, body):
        kind = int(body[:12]) % 3
        tried = (properties.headers or {}).get("x-delivery-count", 0)
        if method.routing_key == self.queue and (kind == 0 or kind == 1 and not tried):
            channel.basic_nack(method.delivery_tag, requeue=True)
        else:
            super().take(channel, method, properties, body)


class DeadLetters(Pipe):
    """Rejected, expired and pushed out: all come to one queue by an exchange."""

    title = "dead-letters"

    def queues(self):
        dead = {"x-dead-letter-exchange": "soak.dead"}
        return [("soak.died", {}), ("soak.refused", dead),
                ("soak.short", dead | {"x-message-ttl": 300, "x-max-length": 20})]

    def consumed(self):
        return ["soak.refused", "soak.died"]

    def way(self, number):
        return "", "soak.refused" if number % 2 else "soak.short"

    def further(self, channel):
        channel.exchange_declare("soak.dead", "fanout", durable=True)
        channel.queue_bind("soak.died", "soak.dead")

    def clear_further(self, channel):
        channel.exchange_delete("soak.dead")

    def take(self, channel, method, properties, body):
        if method.exchange == "soak.dead":
            super().take(channel, method, properties, body)
        else:
            channel.basic_reject(method.delivery_tag, requeue=False)


class Shards(Pipe):
    """Fifty keys in order over three consumers."""

    title, arguments = "shards", {"x-shards": 16}

    def consumed(self):
        self.last = {}
        return [self.queue] * 3

    def properties(self, number):
        return {"headers": {"x-shard-key": f"key {number % 50}"}}

    def take(self, channel, method, properties, body):
        number = self.came(body)
        if number < self.last.get(number % 50, -1) and not method.redelivered:
            self.wrong(f"{number} came after {self.last[number % 50]}")
        self.last[number % 50] = number
        channel.basic_ack(method.delivery_tag)


class Stream(Pipe):
    """A stream of 4 MB, a reader that goes on, and now and then one from the beginning."""

    title = "stream"
    arguments = {"x-queue-type": "stream", "x-max-length-bytes": 4_000_000}
    seen = None

    def consume(self, name, **options):
        where = "next" if self.seen is None else self.seen + 1
        super().consume(name, arguments={"x-stream-offset": where})

    def step(self):
        super().step()
        if self.steps % 100 == 50:
            with connect(self.node) as connection:
                channel = connection.channel()
                channel.basic_qos(prefetch_count=100)
                read = channel.consume(self.queue, inactivity_timeout=2,
                                       arguments={"x-stream-offset": "first"})
                for (method, _, _), _ in zip(read, range(100)):
                    if method is not None:
                        channel.basic_ack(method.delivery_tag)

    def take(self, channel, method, properties, body):
        self.seen = properties.headers["x-stream-offset"]
        super().take(channel, method, properties, body)


class Topics(Pipe):
    """A topic exchange, an exchange behind it, and headers."""

    title = "topics"

    def further(self, channel):
        channel.exchange_declare("soak.topics", "topic", durable=True)
        channel.exchange_declare("soak.behind", "headers", durable=True)
        channel.exchange_bind("soak.behind", "soak.topics", "*.far.#")
        channel.queue_bind(self.queue, "soak.topics", "a.near.*")
        channel.queue_bind(self.queue, "soak.behind", arguments={"x-match": "any", "go": "there"})

    def way(self, number):
        return "soak.topics", "a.near.by" if number % 2 else "a.far.away.from.here"

    def properties(self, number):
        return {"headers": {"go": "there", "n": number}}

    def clear_further(self, channel):
        channel.exchange_delete("soak.topics")
        channel.exchange_delete("soak.behind")


class Get(Pipe):
    """Fetched one by one, a few given back first."""

    title = "get"

    def consumed(self):
        return []

    def open(self):
        super().open()
        self.getter = self.inward.channel()

    def step(self):
        super().step()
        for _ in range(2 * self.batch):
            method, _, body = self.getter.basic_get(self.queue)
            if method is None:
                return
            if int(body[:12]) % 10 == 0 and not method.redelivered:
                self.getter.basic_nack(method.delivery_tag, requeue=True)
            else:
                self.came(body)
                self.getter.basic_ack(method.delivery_tag)


class Transactions(Pipe):
    """Two queues: what is settled in one is published to the other, in one commit."""

    title, pause_s = "transactions", 0.2

    def queues(self):
        return [("soak.tx-in", {}), ("soak.tx-out", {})]

    def consumed(self):
        return ["soak.tx-out"]

    def way(self, number):
        return "", "soak.tx-in"

    def open(self):
        super().open()
        self.tx = self.inward.channel()
        self.tx.tx_select()

    def step(self):
        super().step()
        taken = [self.tx.basic_get("soak.tx-in") for _ in range(2 * self.batch)]
        for method, _, body in taken:
            if method is not None:
                self.tx.basic_publish("", "soak.tx-out", body, pika.BasicProperties(delivery_mode=2))
                self.tx.basic_ack(method.delivery_tag)
        if self.steps % 10 == 5:
            self.tx.tx_rollback()
            for method, _, _ in taken:
                if method is not None:
                    self.tx.basic_nack(method.delivery_tag, requeue=True)
        self.tx.tx_commit()


class Once(Pipe):
    """Every message is sent twice and stored once."""

    title = "once"
    arguments = {"x-message-deduplication": True, "x-cache-size": 10_000}

    def properties(self, number):
        return {"message_id": f"{self.title} {number}"}

    def publish(self, size_bytes=None):
        super().publish()
        last = self.next - 1
        properties = pika.BasicProperties(delivery_mode=2, **self.properties(last))
        self.out.basic_publish("", self.queue, self.body(last, self.size_bytes), properties)


class Backlog(Pipe):
    """Piles up thousands of messages in transactions, and takes them all, again and again."""

    title, pause_s, size_bytes = "backlog", 0.1, 2048
    PILE, STEPS_UP, STEPS_DOWN = 400, 30, 300

    def consumed(self):
        return []

    def open(self):
        super().open()
        self.piler = self.outward.channel()
        self.piler.tx_select()
        self.taker = self.inward.channel()
        self.taker.basic_qos(prefetch_count=1000)
        self.tag, self.left = None, 0

    def step(self):
        turn = self.steps % (self.STEPS_UP + self.STEPS_DOWN)
        if self.publishing and turn < self.STEPS_UP:
            self.pile()
        elif self.tag is None and (turn > self.STEPS_UP + 50 or not self.publishing):
            self.tag = self.taker.basic_consume(self.queue, self.take)
        elif self.tag is not None and turn == 0 and self.publishing:
            self.taker.basic_cancel(self.tag)
            self.tag = None
        self.outward.process_data_events(0)
        self.inward.process_data_events(0)

    def pile(self):
        """Many messages in one commit."""
        numbers = [self.number() for _ in range(self.PILE)]
        try:
            for number in numbers:
                self.piler.basic_publish("", self.queue, self.body(number, self.size_bytes),
                                         pika.BasicProperties(delivery_mode=2))
            self.piler.tx_commit()
        except BaseException:
            for number in numbers:
                self.unsure(number)
            raise


WORKERS = (Pipe, Transient, Priority, Large, Delays, Retries, DeadLetters, Shards, Stream, Topics,
           Get, Transactions, Once, Backlog)
