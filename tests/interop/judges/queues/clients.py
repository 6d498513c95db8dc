"""The same features by aio-pika and kombu, as their users write them."""

import asyncio
import os
import time

import aio_pika
import kombu
from kit import Checks, equal, fresh, waited

ADDRESS = f"guest:guest@{os.environ['HOST']}:{os.environ['PORT']}/"


async def aio_channel():
    """A channel on a connection of its own."""
    connection = await aio_pika.connect(f"amqp://{ADDRESS}")
    return connection, await connection.channel()


async def delayed_exchange():
    """aio-pika has a name for the type."""
    connection, channel = await aio_channel()
    exchange = await channel.declare_exchange(
        fresh("aio"), aio_pika.ExchangeType.X_DELAYED_MESSAGE, durable=True,
        arguments={"x-delayed-type": "topic"})
    queue = await channel.declare_queue(fresh("aio"), durable=True)
    await queue.bind(exchange, "a.*")
    began = time.monotonic()
    await exchange.publish(aio_pika.Message(b"x", headers={"x-delay": 500}), "a.b")
    got = await queue.get(timeout=10, fail=False)
    while got is None:
        await asyncio.sleep(0.02)
        got = await queue.get(timeout=10, fail=False)
    waited(time.monotonic() - began, 500)
    equal((got.body, dict(got.headers)), (b"x", {"x-delay": -500}))
    await connection.close()


async def retried():
    """process(requeue=True) gives back on an exception; the limit ends it."""
    connection, channel = await aio_channel()
    dead = await channel.declare_queue(fresh("aio"), durable=True)
    queue = await channel.declare_queue(fresh("aio"), durable=True, arguments={
        "x-retry-limit": 3, "x-retry-delay": 50, "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead.name})
    await channel.default_exchange.publish(aio_pika.Message(b"bad"), queue.name)
    counts = []

    async def handle(message):
        counts.append(message.headers.get("x-delivery-count"))
        try:
            async with message.process(requeue=True):
                raise ValueError("a bad day")
        except ValueError:
            pass

    await queue.consume(handle)
    deadline, got = time.monotonic() + 10, None
    while got is None and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        got = await dead.get(no_ack=True, fail=False)
    equal((counts, got.headers["x-death"][0]["reason"]), ([None, 1, 2], "delivery_limit"))
    await connection.close()


async def same_id():
    """Two publishes of one message object are one message."""
    connection, channel = await aio_channel()
    queue = await channel.declare_queue(fresh("aio"), durable=True,
                                        arguments={"x-message-deduplication": True})
    message = aio_pika.Message(b"x", message_id="a", delivery_mode=2)
    for _ in range(2):
        await channel.default_exchange.publish(message, queue.name)
    found = await channel.declare_queue(queue.name, passive=True)
    equal(found.declaration_result.message_count, 1)
    await connection.close()


async def settled_with_a_wait():
    """A message that is looked at later, chosen by the consumer."""
    connection, channel = await aio_channel()
    settle = await channel.get_exchange("ferry.settle")
    queue = await channel.declare_queue(fresh("aio"), durable=True)
    await channel.default_exchange.publish(aio_pika.Message(b"x"), queue.name)
    messages: asyncio.Queue = asyncio.Queue()
    await queue.consume(messages.put)
    first, began = await asyncio.wait_for(messages.get(), 10), time.monotonic()
    await settle.publish(aio_pika.Message(b"", headers={
        "delivery-tag": first.delivery_tag, "outcome": "delay", "delay": 400}), "")
    again = await asyncio.wait_for(messages.get(), 10)
    waited(time.monotonic() - began, 400)
    equal((again.redelivered, again.headers["x-delivery-count"]), (True, 1))
    await connection.close()


def kombu_queue(connection, exchange=None, **arguments):
    """A queue, declared and bound."""
    name = fresh("kombu")
    queue = kombu.Queue(name, exchange or kombu.Exchange(""), routing_key=name, durable=True,
                        queue_arguments=arguments)
    bound = queue(connection.default_channel)
    bound.declare()
    return bound


def kombu_get(queue):
    """The next message, waited for."""
    deadline = time.monotonic() + 10
    while (found := queue.get()) is None:
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)
    return found


def kombu_delayed():
    """A delayed exchange by its type, a publish by a producer."""
    with kombu.Connection(f"amqp://{ADDRESS}") as connection:
        exchange = kombu.Exchange(fresh("kombu"), "x-delayed-message",
                                  arguments={"x-delayed-type": "direct"})
        queue = kombu_queue(connection, exchange)
        began = time.monotonic()
        connection.Producer().publish({"n": 1}, exchange=exchange, routing_key=queue.routing_key,
                                      headers={"x-delay": 500})
        found = kombu_get(queue)
        waited(time.monotonic() - began, 500)
        equal((found.payload, found.headers["x-delay"]), ({"n": 1}, -500))


def kombu_retried():
    """requeue() waits and counts; the factor may be a float."""
    with kombu.Connection(f"amqp://{ADDRESS}") as connection:
        dead = kombu_queue(connection)
        queue = kombu_queue(connection, **{
            "x-retry-limit": 2, "x-retry-delay": 300, "x-retry-factor": 1.5, "x-retry-jitter": 0,
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name})
        connection.Producer().publish("x", routing_key=queue.name)
        kombu_get(queue).requeue()
        began = time.monotonic()
        found = kombu_get(queue)
        waited(time.monotonic() - began, 300)
        equal(found.headers["x-delivery-count"], 1)
        found.requeue()
        equal(kombu_get(dead).headers["x-death"][0]["reason"], "delivery_limit")


def main():
    """All, each on connections of its own."""
    checks = Checks()
    for test in (delayed_exchange, retried, same_id, settled_with_a_wait):
        checks.run(f"clients aio_pika {test.__name__}",
                   lambda test=test: asyncio.run(asyncio.wait_for(test(), 30)))
    for test in (kombu_delayed, kombu_retried):
        checks.run(f"clients {test.__name__}", test)
    checks.finish()


main()
