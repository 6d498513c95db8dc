#!/usr/bin/env python3
"""Moves from a RabbitMQ of this machine to FerryMQ, and back, by what RabbitMQ has for it.

The RabbitMQ is one of our own, with its plug-ins for shovels and federation; both are told where the
other one is and nothing else. The page is docs/moving-from-rabbitmq.md.

    moving.py [--messages 2000]       BROKER_DIR says where the FerryMQ is
"""

import argparse
import os
import pathlib
import sys
import time

import pika

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import lib  # noqa: E402

PLUGINS = ("rabbitmq_shovel", "rabbitmq_shovel_management", "rabbitmq_federation",
           "rabbitmq_federation_management")
WAIT_S_MAX = 60
TIMESTAMP = 1_700_000_000


def wait_for(what, condition, pause_s=0.2):
    """Waits until the condition holds, and gives what it gave."""
    deadline, last = time.monotonic() + WAIT_S_MAX, None
    while time.monotonic() < deadline:
        try:
            if last := condition():
                return last
        except (pika.exceptions.AMQPError, OSError, AssertionError) as error:
            last = error
        time.sleep(pause_s)
    raise AssertionError(f"waited for {what}; the last was {last!r}")


class Side:
    """One of the two brokers, by its management API and by pika."""

    def __init__(self, broker):
        self.broker = broker
        # RabbitMQ reaches itself without a socket.
        is_itself = broker.kind == "rabbitmq"
        self.uri = "amqp://" if is_itself else f"amqp://127.0.0.1:{broker.port}"

    def api(self, method, path, value=None):
        """What the management API answers to what it accepts."""
        status, answer = lib.api(self.broker.http, method, path, value, timeout_s=30)
        assert status < 400, (method, path, status, answer)
        return answer

    def channel(self):
        parameters = pika.ConnectionParameters("127.0.0.1", self.broker.port)
        return pika.BlockingConnection(parameters).channel()

    def count(self, queue):
        """Messages that are ready in the queue, which must be there."""
        channel = self.channel()
        count = channel.queue_declare(queue, passive=True).method.message_count
        channel.connection.close()
        return count

    def publish(self, exchange, key, numbers):
        """Publishes numbered messages with every property, each confirmed."""
        channel = self.channel()
        channel.confirm_delivery()
        for number in numbers:
            channel.basic_publish(exchange, key, body(number), properties(number))
        channel.connection.close()

    def take_all(self, queue):
        """Everything in the queue, acknowledged: (body, properties)."""
        channel, taken = self.channel(), []
        for method, found, text in channel.consume(queue, inactivity_timeout=1):
            if method is None:
                break
            taken.append((text, found))
            channel.basic_ack(method.delivery_tag)
        channel.connection.close()
        return taken


def body(number):
    return b"%d " % number + bytes(range(256))


def number_of(text):
    """The number that a body begins with."""
    return int(text.split(b" ", 1)[0])


def properties(number):
    return pika.BasicProperties(
        delivery_mode=2, headers={"n": number, "deep": {"list": [1, "two", None, True]}},
        content_type="application/octet-stream", content_encoding="none", priority=3,
        correlation_id=str(number), reply_to="somewhere", message_id=f"m{number}",
        timestamp=TIMESTAMP, type="kind", app_id="moving")


def assert_whole(taken, messages):
    """Each message is there with all its properties; in order, but for those that came again."""
    first, seen = [], set()
    for text, found in taken:
        number = number_of(text)
        assert text == body(number), f"the body of {number}"
        assert found == properties(number), f"{found} of {number}"
        if number not in seen:
            seen.add(number)
            first.append(number)
    assert first == list(range(messages)), f"{len(first)} of {messages}, or out of order"


class Move:
    """Both brokers and what is done with them."""

    def __init__(self, ferry, rabbit, messages):
        self.ferry, self.rabbit, self.messages = ferry, rabbit, messages

    def shovel(self, name, source, target, queue, **more):
        """RabbitMQ takes a queue from one side to the other."""
        value = {"src-uri": source.uri, "src-queue": queue, "dest-uri": target.uri,
                 "ack-mode": "on-confirm", "reconnect-delay": 1, **more}
        self.rabbit.api("PUT", f"parameters/shovel/%2F/{name}", {"value": value})

    def definitions(self):
        """What is declared comes by one file."""
        there = self.rabbit.channel()
        there.exchange_declare("orders", "topic", durable=True)
        there.queue_declare("move", durable=True, arguments={
            "x-max-priority": 5, "x-dead-letter-exchange": "dead", "x-max-length": 10**6})
        there.queue_bind("move", "orders", "order.#")
        self.ferry.api("POST", "definitions", self.rabbit.api("GET", "definitions"))
        here = self.ferry.api("GET", "queues/%2F/move")
        assert here["arguments"]["x-max-priority"] == 5, here
        bindings = self.ferry.api("GET", "queues/%2F/move/bindings")
        assert ("orders", "order.#") in {(b["source"], b["routing_key"]) for b in bindings}

    def here(self):
        """A shovel empties a queue into an exchange of FerryMQ, which is killed meanwhile; the
        queue there gets what has kept its routing key."""
        self.rabbit.publish("orders", "order.new", range(self.messages))
        self.shovel("here", self.rabbit, self.ferry, "move",
                    **{"dest-exchange": "orders", "src-prefetch-count": 1})
        some = self.messages // 10
        wait_for("the first messages", lambda: self.ferry.count("move") > some, pause_s=0.01)
        self.ferry.broker.kill()
        assert self.rabbit.count("move") > 0, "all had moved before the kill"
        self.ferry.broker.start()
        wait_for("an empty queue", lambda: self.rabbit.count("move") == 0
                 and self.ferry.count("move") >= self.messages)
        self.rabbit.api("DELETE", "parameters/shovel/%2F/here")
        assert_whole(self.ferry.take_all("move"), self.messages)

    def back(self):
        """The same way back, without a kill: each message once; the shovel goes when all is done."""
        self.ferry.channel().queue_declare("back", durable=True)
        self.ferry.publish("", "back", range(self.messages))
        self.shovel("back", self.ferry, self.rabbit, "back",
                    **{"dest-queue": "back", "src-delete-after": "queue-length"})
        wait_for("all of them", lambda: self.rabbit.count("back") == self.messages)
        wait_for("the end of the shovel", lambda: not self.rabbit.api("GET", "shovels"))
        taken = self.rabbit.take_all("back")
        assert len(taken) == self.messages
        assert_whole(taken, self.messages)
        assert self.ferry.count("back") == 0

    def federate(self):
        """RabbitMQ has FerryMQ as its upstream from now on."""
        self.rabbit.api("PUT", "parameters/federation-upstream/%2F/ferry",
                        {"value": {"uri": self.ferry.uri, "reconnect-delay": 1}})
        self.rabbit.api("PUT", "policies/%2F/fed", {
            "pattern": "^fed\\.", "definition": {"federation-upstream-set": "all"}})

    def links(self):
        """Links that run."""
        links = self.rabbit.api("GET", "federation-links")
        return [link for link in links if link["status"] == "running"]

    def is_bound_here(self, key):
        """Whether FerryMQ has a binding with that key from the federated exchange."""
        bindings = self.ferry.api("GET", "exchanges/%2F/fed.x/bindings/source")
        return key in {binding["routing_key"] for binding in bindings}

    def exchange(self):
        """What is published at FerryMQ comes to queues that are bound at RabbitMQ, and only that;
        after a kill, too, and what is bound later."""
        self.ferry.channel().exchange_declare("fed.x", "topic", durable=True)
        there = self.rabbit.channel()
        there.exchange_declare("fed.x", "topic", durable=True)
        there.queue_declare("got", durable=True)
        there.queue_bind("got", "fed.x", "a.#")
        self.federate()
        wait_for("the link", self.links)
        self.ferry.publish("fed.x", "a.b", [0])
        self.ferry.publish("fed.x", "other", [1])
        wait_for("a message", lambda: self.rabbit.count("got") == 1)
        self.ferry.broker.restart()
        wait_for("the link to come back", self.links)
        there.queue_bind("got", "fed.x", "other")
        wait_for("the binding", lambda: self.is_bound_here("other"))
        self.ferry.publish("fed.x", "a.c", [2])
        self.ferry.publish("fed.x", "other", [3])
        wait_for("two more", lambda: self.rabbit.count("got") == 3)
        taken = self.rabbit.take_all("got")
        assert [number_of(text) for text, _ in taken] == [0, 2, 3], taken
        hops = taken[0][1].headers["x-received-from"]
        assert [hop["uri"] for hop in hops] == [self.ferry.uri], hops
        there.queue_unbind("got", "fed.x", "other")
        wait_for("the binding to go", lambda: not self.is_bound_here("other"))

    def queue(self):
        """A consumer at RabbitMQ takes what waits at FerryMQ."""
        self.ferry.channel().queue_declare("fed.q", durable=True)
        self.rabbit.channel().queue_declare("fed.q", durable=True)
        self.ferry.publish("", "fed.q", range(100))
        taken = []

        def have_come():
            taken.extend(self.rabbit.take_all("fed.q"))
            return len(taken) >= 100
        wait_for("all of them", have_come)
        assert [number_of(text) for text, _ in taken] == list(range(100))
        assert self.ferry.count("fed.q") == 0

    def end(self):
        """Links that are not wanted any more leave nothing behind."""
        self.rabbit.api("DELETE", "policies/%2F/fed")

        def left():
            there = self.ferry.api("GET", "queues") + self.ferry.api("GET", "exchanges")
            return [one["name"] for one in there if one["name"].startswith("federation:")]
        wait_for("an end of what links keep", lambda: not left())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    args = parser.parse_args()
    checks = lib.Checks()
    ferry = lib.Broker.attach(os.environ["BROKER_DIR"])
    rabbit = lib.Broker("rabbitmq", http=True, plugins=PLUGINS)
    rabbit.start()
    try:
        move = Move(Side(ferry), Side(rabbit), args.messages)
        for check in (move.definitions, move.here, move.back, move.exchange, move.queue,
                      move.end):
            checks.run(f"moving {check.__name__}", check)
    finally:
        rabbit.stop()
    if not checks.failed:
        rabbit.remove()
    checks.finish()


if __name__ == "__main__":
    main()
