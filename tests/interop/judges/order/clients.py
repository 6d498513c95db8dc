"""aio-pika and kombu, where they send what pika does not: floats, numbers of any width."""

import asyncio
import datetime
import os

import aio_pika
import kombu
from tools import BROKER, Checks, Team, connect, equal, fresh, make, publish, shards

ADDRESS = f"guest:guest@{os.environ['HOST']}:{os.environ['PORT']}/"


async def aio_channel():
    """A channel on a connection of its own."""
    connection = await aio_pika.connect(f"amqp://{ADDRESS}")
    return connection, await connection.channel()


async def stream_by_offset_and_time():
    """Offsets as numbers of any width, and as times."""
    connection, channel = await aio_channel()
    await channel.set_qos(prefetch_count=100)
    queue = await channel.declare_queue(fresh("aio"), durable=True,
                                        arguments={"x-queue-type": "stream"})
    for number in range(10):
        await channel.default_exchange.publish(aio_pika.Message(b"%d" % number), queue.name)
    past = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
    for offset, first in ((3, 3), (0, 0), ("first", 0), (past, 0)):
        found, done = [], asyncio.Event()

        async def note(message, found=found, done=done, first=first):
            found.append(message.headers["x-stream-offset"])
            await message.ack()
            if len(found) == 10 - first:
                done.set()

        tag = await queue.consume(note, arguments={"x-stream-offset": offset})
        await asyncio.wait_for(done.wait(), 10)
        await queue.cancel(tag)
        equal((offset, found), (offset, list(range(first, 10))))
    await connection.close()


async def filter_over_floats():
    """Floats and small integers as aio-pika writes them."""
    connection, channel = await aio_channel()
    queue = await channel.declare_queue(fresh("aio"), durable=True)
    for price in (1, 1.5, 200, 99.99, -3, 2**40):
        await channel.default_exchange.publish(
            aio_pika.Message(str(price).encode(), headers={"price": price}), queue.name)
    found, done = [], asyncio.Event()

    async def note(message):
        found.append(message.body.decode())
        if len(found) == 3:
            done.set()

    await queue.consume(note, no_ack=True, arguments={"x-filter": "price BETWEEN 1.5 AND 1000"})
    await asyncio.wait_for(done.wait(), 10)
    await asyncio.sleep(0.2)
    equal(found, ["1.5", "200", "99.99"])
    await connection.close()


async def key_of_any_width():
    """The number 5 is one key, whoever wrote it, in however many bits."""
    channel = connect().channel()
    queue, team = shards(channel), Team()
    connection, other = await aio_channel()
    publish(channel, queue, b"a.0", {"x-shard-key": 5})
    await other.default_exchange.publish(
        aio_pika.Message(b"a.1", headers={"x-shard-key": 5}, delivery_mode=2), queue)
    with kombu.Connection(f"pyamqp://{ADDRESS}") as link:
        link.Producer().publish(b"a.2", exchange="", routing_key=queue,
                                headers={"x-shard-key": 5}, delivery_mode=2)
    for _ in range(2):
        team.join(queue, 2)
    team.wait(2)
    team.quiet()
    equal(len({got.member for got in team.got}), 1)
    team.got[0].member.ack()
    team.wait(3)
    equal(team.names(), ["a.0", "a.1", "a.2"])
    team.close()
    await connection.close()


async def hash_exchange():
    """aio-pika has names for the types."""
    connection, channel = await aio_channel()
    for kind in ("x-consistent-hash", "x-modulus-hash"):
        exchange = await channel.declare_exchange(fresh("aio"), kind, durable=True)
        queues = [await channel.declare_queue(fresh("aio"), durable=True) for _ in range(2)]
        for queue in queues:
            await queue.bind(exchange, "1")
        for number in range(60):
            await exchange.publish(aio_pika.Message(b"x"), str(number))
        plain = connect().channel()
        counts = [plain.queue_declare(queue.name, passive=True).method.message_count
                  for queue in queues]
        equal((kind, sum(counts), min(counts) > 5), (kind, 60, True))
    await connection.close()


async def kombu_consumes_with_a_filter():
    """Arguments of a consumer as kombu hands them on."""
    channel = connect().channel()
    name, got = make(channel), []
    for number in range(4):
        publish(channel, name, b"%d" % number, {"even": number % 2 == 0})
    with kombu.Connection(f"pyamqp://{ADDRESS}") as link:
        queue = kombu.Queue(name, durable=True, no_declare=True,
                            consumer_arguments={"x-filter": "even"})
        with link.Consumer(queue, callbacks=[lambda body, message: (
                got.append(bytes(message.body)), message.ack())]):
            while len(got) < 2:
                link.drain_events(timeout=10)
    equal(got, [b"0", b"2"])


checks = Checks()
STOCK = (stream_by_offset_and_time, hash_exchange)
OURS = (filter_over_floats, key_of_any_width, kombu_consumes_with_a_filter)
for check in STOCK + (OURS if BROKER == "ferrymq" else ()):
    checks.run(f"clients {check.__name__}", lambda check=check: asyncio.run(check()))
checks.finish()
