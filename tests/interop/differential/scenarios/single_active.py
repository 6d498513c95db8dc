"""Single active consumer: who is next, and what becomes of what the last one held."""

from scenario import cases, scenario

SINGLE = {"x-single-active-consumer": True}
TYPES = {"classic": {}, "quorum": {"x-queue-type": "quorum"}}


def waiting(s, kind, count=3, prefetch=0, priorities=()):
    """(publisher, queue, channels): one consumer each, in the order of their coming."""
    publisher = s.channel()
    queue = s.queue(publisher, durable=True, arguments={**SINGLE, **kind})
    channels = []
    for number in range(count):
        channel = s.channel()
        if prefetch:
            channel.connection.put(1, "basic.qos", prefetch_count=prefetch)
            channel.connection.take(1)
        arguments = {"x-priority": priorities[number]} if priorities else {}
        channel.call("basic.consume", queue=queue, consumer_tag=f"c{number}", arguments=arguments)
        channels.append(channel)
    return publisher, queue, channels


def settled(publisher, queue, channel, tag=1):
    """Acks the last one, so that the end of the conversation moves nothing."""
    channel.send("basic.ack", delivery_tag=tag)
    publisher.count(queue, 0)


def leave(channel, how):
    """Three ways to go."""
    if how == "cancel":
        channel.call("basic.cancel", consumer_tag="c0")
    elif how == "close":
        channel.close()
    else:
        channel.connection.drop()


@cases({f"{how}_{kind}": (how, TYPES[kind]) for how in ("cancel", "close", "drop")
        for kind in TYPES})
def next_is_the_oldest(s, how, kind):
    """The one that waits longest takes over; the others wait on."""
    publisher, queue, (one, two, three) = waiting(s, kind)
    publisher.publish("a", key=queue)
    one.expect()
    one.send("basic.ack", delivery_tag=1)
    publisher.count(queue, 0)
    leave(one, how)
    publisher.count(queue, 0, 2)
    publisher.publish("b", key=queue)
    two.expect()
    three.quiet()
    settled(publisher, queue, two)


@cases(TYPES)
def unsettled_come_first(s, kind):
    """What a dropped one held comes to the next, before what waits, marked."""
    publisher, queue, (one, two) = waiting(s, kind, 2, prefetch=2)
    for body in "abcd":
        publisher.publish(body, key=queue)
    one.expect(2)
    one.connection.drop()
    two.expect(2)
    two.send("basic.ack", delivery_tag=2, multiple=True)
    two.expect(2)
    two.send("basic.ack", delivery_tag=4, multiple=True)
    publisher.count(queue, 0)


@cases(TYPES)
def a_waiting_one_leaves(s, kind):
    """It is passed over when its turn would have come."""
    publisher, queue, (one, two, three) = waiting(s, kind)
    two.call("basic.cancel", consumer_tag="c1")
    one.close()
    publisher.publish("a", key=queue)
    three.expect()
    two.quiet(0.05)
    settled(publisher, queue, three)


@cases(TYPES)
def back_at_the_end(s, kind):
    """One that comes again is the last in line."""
    publisher, queue, (one, two, three) = waiting(s, kind)
    one.call("basic.cancel", consumer_tag="c0")
    one.call("basic.consume", queue=queue, consumer_tag="again")
    two.close()
    publisher.publish("a", key=queue)
    three.expect()
    one.quiet(0.05)
    three.close()
    one.expect()
    settled(publisher, queue, one)


@cases(TYPES)
def given_back_to_the_same(s, kind):
    """A requeued message comes to the active one again."""
    publisher, queue, (one, two) = waiting(s, kind, 2)
    publisher.publish("a", key=queue)
    one.expect()
    one.send("basic.nack", delivery_tag=1, requeue=True)
    one.expect()
    two.quiet(0.05)
    settled(publisher, queue, one, 2)


@scenario
def priority_of_the_waiting(s):
    """Of those that wait, the one of the highest priority is next."""
    publisher, queue, (one, two, three) = waiting(s, {}, 3, priorities=(0, 0, 5))
    one.close()
    publisher.publish("a", key=queue)
    three.expect(wait=1.0)
    two.quiet()
    settled(publisher, queue, three)


@cases(TYPES)
def full_prefetch_hands_nothing_over(s, kind):
    """The active one is full: the rest waits for it."""
    publisher, queue, (one, two) = waiting(s, kind, 2, prefetch=1)
    publisher.publish("a", key=queue)
    publisher.publish("b", key=queue)
    one.expect()
    two.quiet()
    one.send("basic.ack", delivery_tag=1)
    one.expect()
    two.quiet(0.05)
    settled(publisher, queue, one, 2)


@cases(TYPES)
def get_beside(s, kind):
    """basic.get while somebody is active."""
    publisher, queue, (one,) = waiting(s, kind, 1, prefetch=1)
    publisher.publish("a", key=queue)
    one.expect()
    publisher.publish("b", key=queue)
    publisher.count(queue, 1)
    publisher.get(queue)


@cases(TYPES)
def shown(s, kind):
    """The queue says who is active."""
    _, queue, (one, two) = waiting(s, kind, 2)
    path = f"queues/%2F/{queue}"

    def tag(body):
        return body.get("single_active_consumer_tag") if isinstance(body, dict) else None

    s.http("GET", path, show=("single_active_consumer_tag",), until=lambda b: tag(b) == "c0")
    one.close()
    s.http("GET", path, show=("single_active_consumer_tag",), until=lambda b: tag(b) == "c1")
    two.quiet(0.05)
