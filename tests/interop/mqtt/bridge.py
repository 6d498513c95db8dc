#!/usr/bin/env python3
"""MQTT on one side, pika and aio-pika on the other: QoS, odd topics, a burst in both directions.

    bridge.py [WORD...]     MESSAGES (20000) is the size of a burst

Needs HOST, PORT, MQTT_PORT; with BROKER_DIR also a burst over a kill.
"""

import asyncio
import collections
import os
import threading
import time

import aio_pika
import pika

import lib
import packets as p
import stage
from peer import Gone, Late

HOST, PORT = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "5672"))
MESSAGES = int(os.environ.get("MESSAGES", "20000"))
PUBLISHERS, WINDOW_MESSAGES = 4, 250
RABBITMQ = stage.BROKER.startswith("rabbitmq")
VERSIONS = (p.V4,) if RABBITMQ else (p.V4, p.V5)
BURST_S_MAX = 60
# RabbitMQ 3.10 has no QoS 2, gives MQTT topics with wildcards in them to its clients, and ends the
# AMQP connection that would get a long topic.
KNOWN = {"rabbitmq": ("to-mqtt", "keys-that-are-no-topics", "topic-longer-than-a-key",
                      "burst-of-quality-2")}
# topic name, routing key
NAMES = [
    ("a", "a"), ("a/b/c", "a.b.c"), ("/a", ".a"), ("a/", "a."), ("a//b", "a..b"), ("/", "."),
    ("a b/c", "a b.c"), ("ä/日本/😀", "ä.日本.😀"), ("a/*", "a.*"), ("a*b", "a*b"),
    ("a-_~!@%^&()=[]{}|\\;:'\",<>?", "a-_~!@%^&()=[]{}|\\;:'\",<>?"), ("A/a", "A.a"),
    ("x" * 200, "x" * 200), ("a\u0301", "a\u0301"),
]
SWAPPED = [("a.b/c", "a/b.c"), (".", "/"), ("1.5/v", "1/5.v")]


class Amqp:
    """One pika connection with a queue of its own bound to `amq.topic`."""

    def __init__(self, *keys, queue=""):
        self.connection = pika.BlockingConnection(
            pika.ConnectionParameters(HOST, PORT, heartbeat=0))
        self.channel = self.connection.channel()
        self.queue = self.channel.queue_declare(
            queue, durable=bool(queue), exclusive=not queue).method.queue
        for key in keys:
            self.channel.queue_bind(self.queue, "amq.topic", key)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.connection.close()
        except pika.exceptions.AMQPError:
            pass

    def get(self, count=1, seconds=10, quiet=0.2):
        """So many messages and no more: (method, properties, body)."""
        found, deadline = [], time.monotonic() + seconds
        while len(found) < count and time.monotonic() < deadline:
            message = self.channel.basic_get(self.queue, auto_ack=True)
            if message[0] is not None:
                found.append(message)
            else:
                time.sleep(0.01)
        time.sleep(quiet)
        extra = self.channel.basic_get(self.queue, auto_ack=True)
        assert len(found) == count and extra[0] is None, f"{len(found)} of {count}, then {extra}"
        return found

    def publish(self, key, body=b"", **properties):
        """To `amq.topic`."""
        self.channel.basic_publish("amq.topic", key, body, pika.BasicProperties(**properties))


def key_of(topic):
    """The routing key of a topic name: both separators are swapped."""
    return topic.translate({ord("/"): ".", ord("."): "/"})


def to_amqp(s):
    """Each QoS and version arrives once; QoS 0 is transient, the others are persistent."""
    body = bytes(range(256))
    with Amqp(key_of(s.topic("#"))) as reader:
        for version in VERSIONS:
            client = s.client(f"v{version}", version=version)
            for qos in range(2 if RABBITMQ else 3):
                client.publish(s.topic(f"v{version}/{qos}"), body, qos)
                method, properties, found = reader.get()[0]
                assert method.routing_key == key_of(s.topic(f"v{version}/{qos}")), method
                assert found == body and method.exchange == "amq.topic"
                assert properties.delivery_mode == (2 if qos else 1), properties


def to_mqtt(s):
    """A persistent message is QoS 1, another one QoS 0; never above what was granted."""
    with Amqp() as writer:
        for version in VERSIONS:
            for granted in range(3):
                client = s.client(f"v{version}-{granted}", version=version)
                client.subscribe((s.topic("+"), granted))
                for mode in (1, 2):
                    writer.publish(key_of(s.topic("t")), b"%d" % mode, delivery_mode=mode)
                found = {m.payload: m.qos for m in client.exactly(2)}
                assert found == {b"1": 0, b"2": min(1, granted)}, found
                client.disconnect()


def names(s):
    """Topic name to routing key and back, character by character."""
    table = [row for row in NAMES if "*" not in row[1]] if RABBITMQ else NAMES + SWAPPED
    with Amqp(s.prefix + ".#") as both:
        client = s.client(version=VERSIONS[-1])
        client.subscribe(s.topic("#"))
        for topic, key in table:
            client.publish(s.topic(topic), b"from mqtt", 1)
            assert both.get(quiet=0)[0][0].routing_key == f"{s.prefix}.{key}", topic
            both.publish(f"{s.prefix}.{key}", b"from amqp")
            client.wait(2)
            assert [m.topic for m in client.messages] == [s.topic(topic)] * 2, client.messages
            client.messages.clear()
            both.get(quiet=0)


def filters(s):
    """`+` is a word, `#` any number of words; what a binding lets through too much is dropped."""
    for at, (pattern, key, expected) in enumerate((
            ("a/+/c", "a.b.c", True), ("a/+/c", "a.b.b.c", False), ("a/#", "a", True),
            ("a/#", "a.b.c", True), ("+/b", "a.b", True), ("+", "a.b", False),
            ("a/*/c", "a.b.c", False), ("a/*/c", "a.*.c", True), ("+/#", "a", True))):
        if RABBITMQ and "*" in pattern:
            continue
        client, below = s.client(f"c{at}", version=VERSIONS[-1]), f"{s.prefix}.{at}."
        client.subscribe(f"{s.prefix}/{at}/{pattern}", s.topic("end"))
        with Amqp() as writer:
            writer.publish(below + key, b"x")
            writer.publish(s.prefix + ".end", b"end")
        client.until(lambda c=client: any(m.payload == b"end" for m in c.messages), "end")
        found = [m.payload for m in client.messages if m.payload != b"end"]
        assert found == [b"x"] * expected, (pattern, key, found)
        client.disconnect()


def keys_that_are_no_topics(s):
    """A key with `+`, `#` or NUL, or an empty one, reaches no MQTT client and harms none."""
    client = s.client(version=VERSIONS[-1])
    client.subscribe("#")
    with Amqp() as writer:
        for key in (f"{s.prefix}.+", f"{s.prefix}.#", f"{s.prefix}.a+b", f"{s.prefix}.\0", ""):
            writer.publish(key, b"never", delivery_mode=2)
        writer.publish(s.prefix + ".end", b"end", delivery_mode=2)
    client.until(lambda: any(m.topic == s.topic("end") for m in client.messages), "end")
    found = [m for m in client.messages if m.payload == b"never"]
    assert not found, found
    client.sync()


def topic_longer_than_a_key(s):
    """A topic over 255 bytes can not be a routing key on the wire: the consumer lives on."""
    client, long = s.client(version=VERSIONS[-1]), s.topic("x" * 300)
    client.subscribe(s.topic("#"))
    with Amqp(s.prefix + ".#") as reader:
        client.publish(long, b"long", 1)
        client.publish(s.topic("end"), b"end", 1)
        assert [m.topic for m in client.exactly(2)] == [long, s.topic("end")]
        deadline, bodies = time.monotonic() + 10, []
        while b"end" not in bodies and time.monotonic() < deadline:
            method, _, body = reader.channel.basic_get(reader.queue, auto_ack=True)
            if method is not None:
                bodies.append(body)
        assert b"end" in bodies, bodies


def mandatory(s):
    """An MQTT subscription is a route: a mandatory publish is returned only without one."""
    with Amqp() as writer:
        writer.channel.confirm_delivery()

        def publish():
            try:
                writer.channel.basic_publish("amq.topic", s.prefix + ".t", b"x", mandatory=True)
            except pika.exceptions.UnroutableError:
                return "returned"
            return "routed"

        assert publish() == "returned"
        client = s.client(version=p.V4, clean=False)
        client.subscribe(s.topic("+"))
        assert publish() == "routed"
        client.disconnect()
        assert publish() == "routed"
        client = s.client(version=p.V4, clean=True)
        assert publish() == "returned"


def session_is_a_queue(s):
    """A session waits as a queue, with its messages counted."""
    client = s.client(version=p.V4, clean=False)
    client.subscribe(s.topic("#"))
    client.disconnect()
    with Amqp() as writer:
        writer.channel.confirm_delivery()
        for number in range(5):
            writer.publish(s.prefix + ".t", b"%d" % number, delivery_mode=2)
        name = f"mqtt-subscription-{s.prefix}-a" + ("qos1" if RABBITMQ else "")
        found = writer.channel.queue_declare(name, passive=True).method.message_count
        assert found == 5, found
    client = s.client(version=p.V4, clean=False)
    assert [m.payload for m in client.exactly(5)] == [b"%d" % n for n in range(5)]
    client.disconnect()
    s.client(version=p.V4, clean=True).disconnect()


def send_window(client, topic, texts, qos=1):
    """Publishes all with a window of unacknowledged messages."""
    open_ = 0
    last = p.PUBACK if qos == 1 else p.PUBCOMP
    for text in texts:
        client.publish(topic, text, qos, wait=False)
        open_ += 1
        while open_ >= client.window:
            client.step(10)
            open_ -= sum(answer.kind == last for answer in client.answers)
            client.answers.clear()
    while open_:
        client.step(10)
        open_ -= sum(answer.kind == last for answer in client.answers)
        client.answers.clear()


def together(work, count):
    """Runs `work(number)` in threads; the first error is raised."""
    errors = []

    def guarded(number):
        try:
            work(number)
        except Exception as error:  # raised below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    return threads, errors


def per_publisher(bodies):
    """publisher -> its numbers in the order of arrival."""
    found = collections.defaultdict(list)
    for body in bodies:
        publisher, number = body.split()
        found[int(publisher)].append(int(number))
    return found


def check_burst(bodies, each):
    """Every number of every publisher, once, in order."""
    found = per_publisher(bodies)
    for publisher in range(PUBLISHERS):
        numbers = found[publisher]
        lost = sorted(set(range(each)) - set(numbers))
        assert not lost, f"publisher {publisher}: lost {len(lost)}, e.g. {lost[:5]}"
        assert len(numbers) == each, f"publisher {publisher}: {len(numbers)} of {each}"
        assert numbers == list(range(each)), f"publisher {publisher}: out of order"


def burst(s, qos, each):
    """MQTT publishers with acks, `each` messages from each; an AMQP consumer with acks."""
    topic = s.topic("burst")

    def work(number):
        client = s.client(f"p{number}", version=VERSIONS[number % len(VERSIONS)])
        client.window = min(WINDOW_MESSAGES, client.connack.props.get("receive_maximum", 65535))
        send_window(client, topic, (b"%d %d" % (number, n) for n in range(each)), qos)

    with Amqp(key_of(topic)) as reader:
        began, bodies = time.monotonic(), []
        threads, errors = together(work, PUBLISHERS)
        reader.channel.basic_qos(prefetch_count=500)
        for message in reader.channel.consume(reader.queue, inactivity_timeout=5):
            if message[0] is None:
                break
            bodies.append(message[2])
            if len(bodies) % 100 == 0 or len(bodies) == each * PUBLISHERS:
                reader.channel.basic_ack(message[0].delivery_tag, multiple=True)
            if len(bodies) == each * PUBLISHERS or errors:
                break
        for thread in threads:
            thread.join(BURST_S_MAX)
        assert not errors, errors[0]
        check_burst(bodies, each)
        s.note(f"{len(bodies) / (time.monotonic() - began):.0f} messages/s")


def burst_to_amqp(s):
    """With QoS 1."""
    burst(s, 1, MESSAGES // PUBLISHERS)


def burst_of_quality_2(s):
    """With QoS 2, a quarter of the messages."""
    burst(s, 2, MESSAGES // PUBLISHERS // 4)


def burst_to_mqtt(s):
    """AMQP publishers with confirms, an MQTT reader with acks."""
    each, topic = MESSAGES // PUBLISHERS, s.topic("burst")
    reader = s.client("reader", version=VERSIONS[-1])
    reader.subscribe((topic, 1))
    began = time.monotonic()

    async def publisher(connection, number):
        exchange = await (await connection.channel()).get_exchange("amq.topic")
        for start in range(0, each, WINDOW_MESSAGES):
            await asyncio.gather(*(exchange.publish(
                aio_pika.Message(b"%d %d" % (number, n), delivery_mode=2), key_of(topic))
                for n in range(start, min(start + WINDOW_MESSAGES, each))))

    async def publishers():
        async with await aio_pika.connect(host=HOST, port=PORT) as connection:
            await asyncio.gather(*(publisher(connection, n) for n in range(PUBLISHERS)))

    threads, errors = together(lambda _: asyncio.run(publishers()), 1)
    reader.wait(each * PUBLISHERS, BURST_S_MAX)
    for thread in threads:
        thread.join(10)
    assert not errors, errors[0]
    check_burst([m.payload for m in reader.messages], each)
    s.note(f"{len(reader.messages) / (time.monotonic() - began):.0f} messages/s")


def burst_over_a_kill(s):
    """What was acknowledged to an MQTT publisher is in the AMQP queue after SIGKILL."""
    broker, topic, name = lib.Broker.attach(os.environ["BROKER_DIR"]), s.topic("kill"), s.prefix
    with Amqp(key_of(topic), queue=name):
        pass
    client, acked, total = s.client(version=VERSIONS[-1], auto=False), set(), 3000
    killer = threading.Timer(0.3, broker.kill)
    killer.start()
    try:
        for number in range(1, total):
            client.send(p.publish(topic, b"%d" % number, 1, number, version=client.version))
            while number - len(acked) > 15:
                acked.add(client.expect(p.PUBACK).pid)
        while True:
            acked.add(client.expect(p.PUBACK, 2).pid)
    except (Gone, Late):
        pass
    killer.join()
    broker.start()
    with Amqp(queue=name) as reader:
        ready = reader.channel.queue_declare(name, passive=True).method.message_count
        found = {int(body) for _, _, body in reader.get(ready, quiet=0)}
        reader.channel.queue_delete(name)
    assert acked and acked <= found, f"lost {sorted(acked - found)[:5]} of {len(acked)}"
    s.note(f"{len(acked)} acknowledged, {len(found)} there")


SMALL = (to_amqp, to_mqtt, names, filters, keys_that_are_no_topics, topic_longer_than_a_key,
         mandatory, session_is_a_queue)
LARGE = (burst_to_amqp, burst_of_quality_2, burst_to_mqtt, burst_over_a_kill)

if __name__ == "__main__":
    cases = [(case.__name__.replace("_", "-"), case) for case in SMALL + LARGE
             if case is not burst_over_a_kill or "BROKER_DIR" in os.environ]
    stage.run(cases, KNOWN, together=1)
