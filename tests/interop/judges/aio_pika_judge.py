"""aio-pika on asyncio: robust connections, confirms, iteration, requests and replies, returns."""

import asyncio
import logging
import os

import aio_pika
from lib import Broker, Checks

URL = f"amqp://guest:guest@{os.environ['HOST']}:{os.environ['PORT']}/"


def equal(found, wanted):
    """Raises unless both are the same."""
    assert found == wanted, f"found {found!r:.200}, wanted {wanted!r:.200}"


async def publish_and_get(channel):
    """A queue of its own name, a message and its headers."""
    queue = await channel.declare_queue("", exclusive=True)
    sent = aio_pika.Message(b"hello \xff", headers={"n": 5, "t": {"x": [1, 2]}},
                            delivery_mode=aio_pika.DeliveryMode.PERSISTENT, message_id="m")
    await channel.default_exchange.publish(sent, queue.name)
    found = await queue.get(no_ack=True)
    equal((found.body, dict(found.headers), found.message_id),
          (b"hello \xff", {"n": 5, "t": {"x": [1, 2]}}, "m"))
    equal(await queue.get(fail=False), None)


async def many_confirms(channel):
    """Two thousand publishes wait for their confirms at once."""
    queue = await channel.declare_queue("", exclusive=True)
    await asyncio.gather(*(channel.default_exchange.publish(
        aio_pika.Message(b"%d" % number), queue.name) for number in range(2000)))
    found = await channel.declare_queue(queue.name, passive=True)
    equal(found.declaration_result.message_count, 2000)


async def unroutable(connection):
    """A mandatory publish to nowhere comes back as an error."""
    channel = await connection.channel(on_return_raises=True)
    try:
        await channel.default_exchange.publish(aio_pika.Message(b"x"), "no.such.queue")
    except aio_pika.exceptions.DeliveryError as error:
        equal(error.message.delivery.reply_code, 312)
        return
    raise AssertionError("no error")


async def iterate(channel):
    """A queue iterator with prefetch, acking as it goes."""
    await channel.set_qos(prefetch_count=10)
    queue = await channel.declare_queue("", exclusive=True)
    for number in range(300):
        await channel.default_exchange.publish(aio_pika.Message(b"%d" % number), queue.name)
    found = []
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                found.append(int(message.body))
            if len(found) == 300:
                break
    equal(found, list(range(300)))


async def topic(channel):
    """Topic routing through an exchange bound to an exchange."""
    one = await channel.declare_exchange("aio.one", "topic", auto_delete=True)
    two = await channel.declare_exchange("aio.two", "fanout", auto_delete=True)
    await two.bind(one, "a.*")
    queue = await channel.declare_queue("", exclusive=True)
    await queue.bind(two)
    await one.publish(aio_pika.Message(b"in"), "a.b")
    await one.publish(aio_pika.Message(b"out"), "b.a", mandatory=False)
    equal((await queue.get(no_ack=True, timeout=5)).body, b"in")
    equal(await queue.get(fail=False), None)


async def remote_calls(channel):
    """The library's own request and reply pattern."""
    rpc = await aio_pika.patterns.RPC.create(channel)

    async def double(number):
        return number * 2

    await rpc.register("aio.double", double, auto_delete=True)
    equal(await asyncio.wait_for(rpc.proxy.aio.double(number=21), 10), 42)
    await rpc.close()


async def transaction(connection):
    """Commit and rollback."""
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue("", exclusive=True)
    transaction = channel.transaction()
    await transaction.select()
    await channel.default_exchange.publish(aio_pika.Message(b"never"), queue.name)
    await transaction.rollback()
    await channel.default_exchange.publish(aio_pika.Message(b"kept"), queue.name)
    await transaction.commit()
    equal((await queue.get(no_ack=True)).body, b"kept")
    equal(await queue.get(fail=False), None)


async def channel_error(connection):
    """An error closes the channel alone."""
    channel = await connection.channel()
    try:
        await channel.declare_queue("aio.none", passive=True)
    except aio_pika.exceptions.ChannelNotFoundEntity:
        pass
    else:
        raise AssertionError("no error")
    await publish_and_get(await connection.channel())


async def large(channel):
    """Eight MiB, there and back."""
    queue = await channel.declare_queue("", exclusive=True)
    body = os.urandom(8 << 20)
    await channel.default_exchange.publish(aio_pika.Message(body), queue.name)
    assert (await queue.get(no_ack=True)).body == body


async def reconnects(_):
    """A robust consumer goes on after the broker was killed, and misses nothing durable."""
    connection = await aio_pika.connect_robust(URL, reconnect_interval=0.2)
    channel = await connection.channel()
    queue = await channel.declare_queue("aio.durable", durable=True)
    found = asyncio.Queue()
    await queue.consume(lambda message: found.put(message.body), no_ack=True)
    persistent = aio_pika.DeliveryMode.PERSISTENT
    await channel.default_exchange.publish(
        aio_pika.Message(b"one", delivery_mode=persistent), "aio.durable")
    equal(await asyncio.wait_for(found.get(), 5), b"one")
    await asyncio.to_thread(Broker.attach(os.environ["BROKER_DIR"]).restart)
    other = await aio_pika.connect(URL)
    other_channel = await other.channel()
    await other_channel.default_exchange.publish(
        aio_pika.Message(b"two", delivery_mode=persistent), "aio.durable")
    equal(await asyncio.wait_for(found.get(), 20), b"two")
    await other.close()
    await connection.close()


async def main():
    """All checks; those that take a channel get a fresh one."""
    checks, results = Checks(), {}
    logging.disable(logging.CRITICAL)
    connection = await aio_pika.connect(URL)
    for check in (publish_and_get, many_confirms, iterate, topic, remote_calls, large):
        try:
            await asyncio.wait_for(check(await connection.channel()), 40)
        except Exception as error:  # told below
            results[check.__name__] = error
    for check in (transaction, channel_error, unroutable):
        try:
            await asyncio.wait_for(check(connection), 20)
        except Exception as error:  # told below
            results[check.__name__] = error
    await connection.close()
    try:
        await asyncio.wait_for(reconnects(None), 60)
    except Exception as error:  # told below
        results["reconnects"] = error

    def outcome(name):
        if name in results:
            raise results[name]

    for check in (publish_and_get, many_confirms, iterate, topic, remote_calls, large,
                  transaction, channel_error, unroutable, reconnects):
        checks.run(f"aio-pika {check.__name__}", lambda name=check.__name__: outcome(name))
    checks.finish()


asyncio.run(main())
