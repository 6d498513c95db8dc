"""Time to live, lengths and their overflow, priorities: what stays in a queue and in what order."""

import time

from scenario import cases, scenario


def fill(channel, queue, bodies, **props):
    """Confirmed publishes of one-letter bodies."""
    channel.call("confirm.select")
    for body in bodies:
        channel.publish(body, key=queue, props=props)
    channel.confirms(1, len(bodies))


def contents(s, channel, queue):
    """All that a queue holds, as one line."""
    bodies = []
    while True:
        channel.connection.put(channel.number, "basic.get", queue=queue, no_ack=True)
        event = channel.connection.take(channel.number)
        if event is None or event.name != "basic.get-ok":
            break
        bodies.append(event.body.decode())
    s.note(f"{queue} has {' '.join(bodies)}")


@scenario
def queue_ttl(s):
    """Messages go when their time is up."""
    channel = s.channel()
    queue = s.queue(channel, arguments={"x-message-ttl": 200})
    fill(channel, queue, "abc")
    channel.count(queue, 0)
    channel.get(queue)


@scenario
def queue_ttl_zero(s):
    """With 0 only a waiting consumer gets anything."""
    channel, consumer = s.channel(), s.channel()
    queue = s.queue(channel, arguments={"x-message-ttl": 0})
    fill(channel, queue, "a")
    channel.count(queue, 0)
    consumer.call("basic.consume", queue=queue, consumer_tag="t", no_ack=True)
    channel.publish("b", key=queue)
    channel.confirms(2, 2)
    consumer.expect()


@scenario
def head_expires_first(s):
    """A short-lived message behind a long-lived one stays until it is at the head."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.publish("long", key=queue, props={"expiration": "60000"})
    channel.publish("short", key=queue, props={"expiration": "50"})
    channel.count(queue, 2)
    time.sleep(0.4)
    channel.count(queue, 2)
    channel.get(queue)
    channel.get(queue)


@scenario
def shorter_of_two(s):
    """The shorter of the queue's and the message's time counts."""
    channel = s.channel()
    queue = s.queue(channel, arguments={"x-message-ttl": 60000})
    channel.publish("a", key=queue, props={"expiration": "100"})
    channel.count(queue, 0)


@scenario
def unacked_does_not_expire(s):
    """A message in a consumer's hands stays; given back too late it goes."""
    channel = s.channel()
    queue = s.queue(channel, arguments={"x-message-ttl": 200})
    fill(channel, queue, "a")
    channel.get(queue, no_ack=False)
    time.sleep(0.5)
    channel.send("basic.nack", delivery_tag=1, requeue=True)
    channel.count(queue, 0)
    channel.get(queue)


@cases({"drop_head": ({"x-max-length": 3},), "named": (
            {"x-max-length": 3, "x-overflow": "drop-head"},),
        "reject": ({"x-max-length": 3, "x-overflow": "reject-publish"},),
        "reject_dlx": ({"x-max-length": 3, "x-overflow": "reject-publish-dlx"},),
        "zero": ({"x-max-length": 0},), "zero_reject": (
            {"x-max-length": 0, "x-overflow": "reject-publish"},),
        "bytes": ({"x-max-length-bytes": 3},), "bytes_reject": (
            {"x-max-length-bytes": 3, "x-overflow": "reject-publish"},),
        "both": ({"x-max-length": 4, "x-max-length-bytes": 2},)})
def overflow(s, arguments):
    """What a full queue keeps and confirms. Each publish waits for its verdict."""
    channel = s.channel()
    queue = s.queue(channel, arguments=arguments)
    channel.call("confirm.select")
    for tag, body in enumerate("abcdef", 1):
        channel.publish(body, key=queue)
        channel.confirms(tag, tag)
    contents(s, channel, queue)


@scenario
def overflow_counts_ready_only(s):
    """Unacked messages do not count."""
    channel = s.channel()
    queue = s.queue(channel, arguments={"x-max-length": 1})
    channel.call("confirm.select")
    for tag, body in enumerate("abc", 1):
        channel.publish(body, key=queue)
        channel.confirms(tag, tag)
        channel.get(queue, no_ack=False)
    channel.send("basic.nack", delivery_tag=0, multiple=True, requeue=True)
    channel.count(queue, 1)
    channel.get(queue)


@scenario
def reject_one_of_two(s):
    """One of two queues is full: the publish is refused though the other took it."""
    channel = s.channel()
    full = s.queue(channel, "full", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    free = s.queue(channel, "free")
    name = s.exchange(channel, "e", "fanout")
    s.bind(channel, full, name)
    s.bind(channel, free, name)
    channel.call("confirm.select")
    channel.publish("x", name)
    channel.confirms(1, 1)
    channel.count(free, 1)


@cases({"five": (5, [1, 5, 3, 0, 9, None, 5]), "one": (1, [0, 1, 2, 0, 1]),
        "zero": (0, [3, 1, 2])})
def priorities(s, most, values):
    """Higher first, then older; what is over the most counts as the most."""
    channel = s.channel()
    queue = s.queue(channel, arguments={"x-max-priority": most})
    channel.call("confirm.select")
    for at, value in enumerate(values):
        props = {} if value is None else {"priority": value}
        channel.publish(f"{at}:{value}", key=queue, props=props)
    channel.confirms(1, len(values))
    contents(s, channel, queue)


@scenario
def priority_and_requeue(s):
    """A message given back keeps its place among its equals."""
    channel, other = s.channel(), s.channel()
    queue = s.queue(channel, arguments={"x-max-priority": 5})
    channel.call("confirm.select")
    for tag, (body, value) in enumerate((("a", 1), ("b", 5), ("c", 5)), 1):
        channel.publish(body, key=queue, props={"priority": value})
        channel.confirms(tag, tag)
    channel.get(queue, no_ack=False)
    channel.get(queue, no_ack=False)
    channel.send("basic.nack", delivery_tag=2, requeue=True)
    channel.send("basic.nack", delivery_tag=1, requeue=True)
    other.count(queue, 3)
    for _ in range(3):
        other.get(queue)


@scenario
def priority_overflow(s):
    """A full priority queue drops its lowest."""
    channel = s.channel()
    queue = s.queue(channel, arguments={"x-max-priority": 5, "x-max-length": 2})
    channel.call("confirm.select")
    for tag, (body, value) in enumerate((("a", 5), ("b", 1), ("c", 3), ("d", 5)), 1):
        channel.publish(body, key=queue, props={"priority": value})
        channel.confirms(tag, tag)
    contents(s, channel, queue)
