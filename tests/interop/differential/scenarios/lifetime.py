"""Things that end while others still use them: queues under consumers, exchanges under queues."""

import time

import amqp
from scenario import cases, scenario


@scenario
def ack_after_queue_deleted(s):
    """The tag is still known; its message is not anywhere."""
    channel, other = s.channel(), s.channel()
    queue = s.queue(channel)
    channel.publish("x", key=queue)
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    other.call("queue.delete", queue=queue)
    channel.send("basic.ack", delivery_tag=1)
    channel.call("basic.qos")


@scenario
def nack_after_queue_deleted(s):
    """Nothing to go back to."""
    channel, other = s.channel(), s.channel()
    queue = s.queue(channel)
    channel.publish("x", key=queue)
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    other.call("queue.delete", queue=queue)
    channel.send("basic.nack", delivery_tag=1, requeue=True)
    channel.call("basic.qos")


@scenario
def delete_with_own_consumer(s):
    """The answer to the delete comes first, then the cancel. Client libraries count on it."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.call("basic.consume", queue=queue, consumer_tag="t")
    channel.count(queue, 0, 1)
    channel.call("queue.delete", queue=queue)
    channel.expect()


@scenario
def queue_made_again(s):
    """A new queue of the old name is empty, unbound, and free of its consumers."""
    channel, other = s.channel(), s.channel()
    queue, name = s.queue(channel), s.exchange(channel, "e", "fanout")
    s.bind(channel, queue, name)
    other.call("basic.consume", queue=queue, consumer_tag="t")
    channel.count(queue, 0, 1)
    channel.call("queue.delete", queue=queue)
    other.expect()
    channel.call("queue.declare", queue=queue)
    channel.call("confirm.select")
    channel.publish("x", name, mandatory=True)
    channel.expect(2)


@scenario
def publish_between_channels(s):
    """Exchange deleted by another connection: the next publish ends the channel."""
    channel, other = s.channel(), s.channel()
    name = s.exchange(channel, "e", "fanout")
    channel.call("confirm.select")
    channel.publish("x", name)
    channel.confirms(1, 1)
    other.call("exchange.delete", exchange=name)
    channel.publish("y", name)
    channel.expect()


@cases({"get": ("basic.get", {"no_ack": True}), "purge": ("queue.purge", {}),
        "delete_if_unused": ("queue.delete", {"if_unused": True}), "declare": (
            "queue.declare", {})})
def under_exclusive_consumer(s, name, values):
    """What others may do with a queue that one consumer has for itself."""
    owner, other = s.channel(), s.channel()
    queue = s.queue(owner)
    owner.call("basic.consume", queue=queue, consumer_tag="t", exclusive=True)
    owner.count(queue, 0, 1)
    other.call(name, queue=queue, **values)


@scenario
def get_beside_single_active(s):
    """basic.get on a queue with a single active consumer."""
    channel, other = s.channel(), s.channel()
    queue = s.queue(channel, arguments={"x-single-active-consumer": True})
    channel.call("basic.qos", prefetch_count=1)
    channel.call("basic.consume", queue=queue, consumer_tag="t")
    other.publish("a", key=queue)
    channel.expect()
    other.publish("b", key=queue)
    other.count(queue, 1)
    other.get(queue)


@scenario
def expires_waits_for_consumers(s):
    """A queue with a consumer does not expire; without, it does."""
    channel, other = s.channel(), s.channel()
    queue = s.queue(channel, arguments={"x-expires": 300})
    channel.call("basic.consume", queue=queue, consumer_tag="t")
    time.sleep(0.8)
    channel.call("basic.cancel", consumer_tag="t")
    other.connection.put(1, "queue.declare", queue=queue, passive=True)
    other.expect()
    time.sleep(1.0)
    other.call("queue.declare", queue=queue, passive=True)


@scenario
def no_wait_consumer_gets_messages(s):
    """A consumer made without an answer is one."""
    channel, other = s.channel(), s.channel()
    queue = s.queue(channel)
    other.publish("x", key=queue)
    other.count(queue, 1)
    channel.send("basic.consume", queue=queue, consumer_tag="t", no_wait=True)
    channel.expect()


@scenario
def no_wait_consumer_without_tag(s):
    """Nobody would know its tag."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.send("basic.consume", queue=queue, no_wait=True)
    channel.expect(wait=1.0)


@cases({"offered": (2047, 2047), "over": (2047, 2048)})
def most_channels(s, channels, number):
    """The last channel that the broker offers, and the next."""
    connection = s.connect(tune=(channels, 131072, 0))
    connection.bare(number).call("channel.open")


@scenario
def too_many_channels(s):
    """One channel more than agreed, by count."""
    connection = s.connect(tune=(2, 131072, 0))
    for number in (1, 2, 3):
        connection.bare(number).call("channel.open")


@scenario
def header_near_limit(s):
    """A header frame of almost frame-max."""
    connection = s.connect(tune=(10, 8192, 0))
    connection.frame_max = 8192
    channel = connection.channel()
    queue = s.queue(channel)
    channel.publish("x", key=queue, props={"headers": {"long": "h" * 8000}})
    channel.count(queue, 1)
    channel.get(queue)


@scenario
def header_over_limit(s):
    """A header frame over frame-max."""
    channel = s.connect(tune=(10, 8192, 0)).channel()
    channel.publish("x", key="nowhere", props={"headers": {"long": "h" * 9000}})
    channel.connection.put(1, "basic.qos")
    channel.expect()


@scenario
def header_over_readers_limit(s):
    """A consumer with a small frame-max and a message with large headers."""
    publisher = s.channel()
    connection = s.connect(tune=(10, 4096, 0))
    connection.frame_max = 4096
    channel, queue = connection.channel(), s.queue(publisher)
    publisher.publish("y" * 6000, key=queue)
    publisher.count(queue, 1)
    channel.get(queue)


@scenario
def tx_into_a_full_queue(s):
    """A refusing queue inside a transaction."""
    channel, other = s.channel(), s.channel()
    queue = s.queue(other, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.call("tx.select")
    channel.publish("a", key=queue)
    channel.call("tx.commit")
    other.count(queue, 1)
    channel.publish("b", key=queue)
    channel.call("tx.commit")
    other.count(queue, 1)


@scenario
def tx_over_two_queues(s):
    """One commit, two queues, an ack and two publishes."""
    channel, other = s.channel(), s.channel()
    one, two = s.queue(other, "one"), s.queue(other, "two")
    other.publish("work", key=one)
    other.count(one, 1)
    channel.get(one, no_ack=False)
    channel.call("tx.select")
    channel.publish("result", key=two)
    channel.publish("copy", key=two, props={"delivery-mode": 2})
    channel.send("basic.ack", delivery_tag=1)
    channel.call("tx.commit")
    channel.close()
    other.count(one, 0)
    other.count(two, 2)
    other.get(two)
    other.get(two)


@scenario
def dead_letter_with_copies_and_own_key(s):
    """A queue's own dead-letter key: CC has done its work and goes."""
    channel = s.channel()
    dead, side = s.queue(channel, "dead"), s.queue(channel, "side")
    queue = s.queue(channel, "q", arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    channel.publish("x", key=queue, props={"headers": {"CC": [side]}})
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    channel.send("basic.reject", delivery_tag=1)
    channel.count(dead, 1)
    channel.get(dead)
    channel.get(side)
    channel.get(side)


@scenario
def dead_letter_with_copies_kept(s):
    """Without a key of its own the copies are routed again."""
    channel = s.channel()
    name, dead = s.exchange(channel, "dlx", "direct"), s.queue(channel, "dead")
    queue = s.queue(channel, "q", arguments={"x-dead-letter-exchange": name})
    s.bind(channel, dead, name, "second")
    channel.publish("x", key=queue, props={"headers": {"CC": ["second"]}})
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    channel.send("basic.reject", delivery_tag=1)
    channel.count(dead, 1)
    channel.get(dead)


@scenario
def dead_letter_by_delete_of_target(s):
    """The dead-letter exchange is looked up when it is needed."""
    channel = s.channel()
    queue = s.queue(channel, "q", arguments={"x-dead-letter-exchange": s.name("dlx")})
    channel.publish("x", key=queue)
    channel.count(queue, 1)
    channel.get(queue, no_ack=False)
    name, dead = s.exchange(channel, "dlx", "fanout"), s.queue(channel, "dead")
    s.bind(channel, dead, name)
    channel.send("basic.reject", delivery_tag=1)
    channel.count(dead, 1)


@scenario
def raw_properties_survive(s):
    """Odd but legal property bytes come back as they were."""
    channel = s.channel()
    queue = s.queue(channel)
    payload = amqp.header(1, {"headers": {}, "content-type": "", "timestamp": 2**63})
    channel.frame(1, amqp.method("basic.publish", routing_key=queue))
    channel.frame(2, payload)
    channel.frame(3, b"x")
    channel.count(queue, 1)
    event = channel.get(queue)
    s.note(f"header bytes unchanged: {event.raw == payload}")
