"""Clients that load a node until its power goes, and who know afterwards what was promised.

Each function is a thread's body and ends with `Gone` when the node does; what it has to remember
over a cut is in the ledger, or in an object of its own. Blocking sockets, Python's own library.
"""

import random
import time

import node  # noqa: F401  (first: it makes the next ones importable)
import amqp
import crash_loop
import packets as p
import peer
from crash_loop import Client, Gone, message

EXCHANGE = "power"
STREAM, TOKENS, MOVED, MQTT_ONE, MQTT_TWO = ("power-stream", "power-tokens", "power-moved",
                                             "power-mqtt-1", "power-mqtt-2")
ROUTES = {"a": ("power-a",), "b": ("power-b",), "both": ("power-a", "power-b"), "s": (STREAM,)}
KEYS, WEIGHTS = ("a", "b", "both", "s"), (50, 20, 15, 15)
CLASSIC = ("power-a", "power-b", TOKENS, MOVED, MQTT_ONE, MQTT_TWO)
BINDINGS = [(queue, EXCHANGE, key) for key, queues in ROUTES.items() for queue in queues]
BINDINGS += [(MQTT_ONE, "amq.topic", "power.one"), (MQTT_TWO, "amq.topic", "power.two")]
TRANSIENT_SHARE, LARGE_SHARE = 0.1, 0.05
WINDOW_MESSAGES_MAX, WINDOW_BYTES_MAX, MQTT_WINDOW_MAX = 300, 20_000_000, 20
SESSION_S = 86400
# Who is who in a body.
TX_PRODUCER, ONE_PRODUCER, TWO_PRODUCER = 7, 8, 9
PROPERTIES = {True: crash_loop.PERSISTENT, False: amqp.properties({"delivery-mode": 1})}


def publish(client, exchange, key, body, persistent=True, mandatory=False):
    """One publish on channel 1."""
    properties = PROPERTIES[persistent]
    client.write(amqp.publish_frames(1, exchange, key, body, properties, mandatory))


def confirming(port):
    """A client in confirm mode."""
    client = Client(port)
    client.call("confirm.select")
    client.expect("confirm.select-ok")
    return client


def declare(client, queue, **arguments):
    """A durable queue."""
    client.call("queue.declare", queue=queue, durable=True, arguments=arguments)
    client.expect("queue.declare-ok")


def set_up(port, ledger):
    """Everything that the clients use, and the token of the transactions."""
    client = confirming(port)
    for queue in CLASSIC:
        declare(client, queue)
    declare(client, STREAM, **{"x-queue-type": "stream"})
    client.call("exchange.declare", exchange=EXCHANGE, type="direct", durable=True)
    client.expect("exchange.declare-ok")
    for queue, exchange, key in BINDINGS:
        client.call("queue.bind", queue=queue, exchange=exchange, routing_key=key)
        client.expect("queue.bind-ok")
    body = message(TX_PRODUCER, 0, b"")
    ledger.send((TX_PRODUCER, 0), (TOKENS,), True, body)
    publish(client, "", TOKENS, body)
    client.expect("basic.ack")
    client.socket.close()


class Producer:
    """Confirmed messages to all queues, most of them persistent; `numbers` goes on over cuts."""

    def __init__(self, producer, numbers, ledger, seed, large_bytes):
        self.producer, self.numbers, self.ledger = producer, numbers, ledger
        self.draw, self.large_bytes = random.Random(seed), large_bytes
        self.pending, self.tag = {}, 0

    def run(self, port):
        """Until the node is gone: then what it had said before is still read."""
        client, is_there = confirming(port), True
        while True:
            try:
                while is_there and self.has_room():
                    self.publish(client)
            except Gone:
                is_there = False
            self.confirm(*client.event()[:2])

    def has_room(self):
        """Whether one more may be under way."""
        open_bytes = sum(size for _, size in self.pending.values())
        return len(self.pending) < WINDOW_MESSAGES_MAX and open_bytes < WINDOW_BYTES_MAX

    def publish(self, client):
        """The next message."""
        draw, key = self.draw, (self.producer, next(self.numbers))
        size = draw.randrange(self.large_bytes) if draw.random() < LARGE_SHARE else 50
        body, persistent = message(*key, draw.randbytes(size)), draw.random() > TRANSIENT_SHARE
        route = draw.choices(KEYS, WEIGHTS)[0]
        self.ledger.send(key, ROUTES[route], persistent, body)
        self.tag += 1
        self.pending[self.tag] = (key, size)
        publish(client, EXCHANGE, route, body, persistent)

    def confirm(self, name, values):
        """One ack or nack, for one or many."""
        if name in ("basic.ack", "basic.nack"):
            last = values["delivery-tag"]
            tags = [tag for tag in self.pending if tag <= last] if values["multiple"] else [last]
            keys = [self.pending.pop(tag)[0] for tag in tags]
            if name == "basic.ack":
                self.ledger.confirm(keys)


def consume(port, ledger):
    """Acks all of one queue, one by one."""
    client = Client(port)
    client.call("basic.qos", prefetch_count=100)
    client.expect("basic.qos-ok")
    client.call("basic.consume", queue="power-a", consumer_tag="power-a")
    client.expect("basic.consume-ok")
    while True:
        name, values, body = client.event()
        if name == "basic.deliver":
            place = ledger.deliver("power-a", body)
            client.call("basic.ack", delivery_tag=values["delivery-tag"])
            ledger.acked.add(place)


class Tokens:
    """Transactions that take the token n and put n + 1 and two messages n + 1 in its place."""

    def __init__(self, ledger):
        self.ledger, self.committed, self.open = ledger, 0, False

    def take(self, client):
        """The token: (its delivery tag, its number), or None when there is none."""
        client.call("basic.get", queue=TOKENS)
        name, values, body = client.event()
        if name != "basic.get-ok":
            return None
        key = self.ledger.read(TOKENS, body)
        return values["delivery-tag"], key[1] if key else -1

    def check(self, number):
        """After a cut: what was committed, or the one that was not answered."""
        if not self.committed <= number <= self.committed + self.open:
            self.ledger.note("transaction undone or half done", (number, self.committed))
        self.committed, self.open = max(number, self.committed), False

    def run(self, port):
        """One transaction after the other."""
        client = Client(port)
        client.call("tx.select")
        client.expect("tx.select-ok")
        is_first = True
        while True:
            taken = self.take(client)
            if taken is None:
                self.ledger.note("the token is gone", self.committed)
                return
            if is_first:
                self.check(taken[1])
                is_first = False
            self.move(client, *taken)

    def move(self, client, tag, number):
        """One transaction."""
        key = (TX_PRODUCER, number + 1)
        body = message(*key, b"")
        self.ledger.send(key, (TOKENS, MOVED), True, body)
        self.open = True
        client.call("basic.ack", delivery_tag=tag)
        for queue in (TOKENS, MOVED, MOVED):
            publish(client, "", queue, body)
        client.call("tx.commit")
        client.expect("tx.commit-ok")
        self.committed, self.open = number + 1, False


def mqtt_client(port, name):
    """A client with a session that is kept."""
    try:
        return peer.Client(name, at=("127.0.0.1", port), auto=False, clean=False, keep_alive=0,
                           props={"session_expiry": SESSION_S})
    except (OSError, peer.Gone, peer.Late) as error:
        raise Gone from error


def mqtt_one(port, numbers, ledger):
    """QoS 1: what has its PUBACK is promised."""
    client, pending, is_there = mqtt_client(port, "power-1"), {}, True
    while True:
        while is_there and len(pending) < MQTT_WINDOW_MAX:
            key, pid = (ONE_PRODUCER, next(numbers)), client.next_pid()
            body = message(*key, b"one")
            ledger.send(key, (MQTT_ONE,), True, body)
            pending[pid] = key
            try:
                client.send(p.publish("power/one", body, 1, pid))
            except peer.Gone:
                is_there = False
        try:
            ledger.confirm([pending.pop(client.expect(p.PUBACK).pid)])
        except peer.Gone as error:
            raise Gone from error


class Twice:
    """QoS 2 over all cuts: each message is sent until its PUBCOMP, and is there exactly once."""

    def __init__(self, numbers, ledger):
        self.numbers, self.ledger, self.open, self.known = numbers, ledger, {}, False

    def send(self, client, pid, dup=False):
        """PUBLISH, or PUBREL once that was due."""
        key, body, released = self.open[pid]
        self.ledger.send(key, (MQTT_TWO,), True, body)
        client.send(p.ack(p.PUBREL, pid) if released else
                    p.publish("power/two", body, 2, pid, dup=dup))

    def run(self, port, finish=False):
        """Until the node is gone, or with `finish` until all is complete."""
        client = mqtt_client(port, "power-2")
        if self.known and not client.connack.present:
            self.ledger.note("a session is gone", "power-2")
        self.known = True
        try:
            for pid in self.open:
                self.send(client, pid, dup=True)
            while self.open or not finish:
                self.step(client, finish)
        except peer.Gone as error:
            raise Gone from error

    def step(self, client, finish):
        """Fills the window and takes one answer."""
        while len(self.open) < MQTT_WINDOW_MAX and not finish:
            pid = next(n for n in range(1, MQTT_WINDOW_MAX + 1) if n not in self.open)
            key = (TWO_PRODUCER, next(self.numbers))
            self.open[pid] = (key, message(*key, b"two"), False)
            self.send(client, pid)
        packet = client.read()
        if packet.kind == p.PUBREC:
            key, body, _ = self.open[packet.pid]
            self.ledger.confirm([key])
            self.open[packet.pid] = (key, body, True)
            client.send(p.ack(p.PUBREL, packet.pid))
        elif packet.kind == p.PUBCOMP:
            del self.open[packet.pid]


def define(port, numbers, ledger):
    """Queues with a binding come, and some go: what was answered is so."""
    client = Client(port)
    while True:
        number = next(numbers)
        name = f"power-definition-{number}"
        ledger.definitions[name] = None
        declare(client, name)
        client.call("queue.bind", queue=name, exchange=EXCHANGE, routing_key=name)
        client.expect("queue.bind-ok")
        ledger.definitions[name] = True
        if number % 3 == 0:
            ledger.definitions[name] = None
            client.call("queue.delete", queue=name)
            client.expect("queue.delete-ok")
            ledger.definitions[name] = False
        time.sleep(0.02)
