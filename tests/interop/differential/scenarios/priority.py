"""Priorities of messages over many levels, and of consumers."""

from scenario import cases, scenario


def fill(channel, queue, values):
    """Publishes a message of each priority; its body is its number and priority."""
    channel.call("confirm.select")
    for at, value in enumerate(values):
        props = {} if value is None else {"priority": value}
        channel.publish(f"{at}:{value}", key=queue, props=props)
    channel.confirms(1, len(values))


def drain(s, channel, queue, count):
    """The order in which they leave."""
    found = []
    for _ in range(count):
        channel.connection.put(1, "basic.get", queue=queue, no_ack=True)
        found.append(channel.connection.take(1).body.decode())
    s.note(" ".join(found))


@cases({"all": (255, [*range(0, 256, 17), *range(255, -1, -15)]),
        "ten": (10, [0, 10, 11, 255, 9, None, 10, 1]), "two": (2, [2, 1, 0, 2, 1, 0, 3, None])})
def levels(s, most, values):
    """Higher first, equals by age."""
    channel = s.channel()
    queue = s.queue(channel, arguments={"x-max-priority": most})
    fill(channel, queue, values)
    drain(s, channel, queue, len(values))


@scenario
def dead_letter_keeps_priority(s):
    """The property travels with the dead letter."""
    channel = s.channel()
    dead = s.queue(channel, "dead", arguments={"x-max-priority": 5})
    queue = s.queue(channel, "q", arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    channel.call("confirm.select")
    channel.publish("low", key=queue, props={"priority": 1})
    channel.publish("high", key=queue, props={"priority": 4})
    channel.confirms(1, 2)
    for tag in (1, 2):
        channel.get(queue, no_ack=False)
        channel.send("basic.reject", delivery_tag=tag)
        channel.count(dead, tag)
    channel.get(dead)
    channel.get(dead)


def consumer(s, queue, tag, priority=None, prefetch=0):
    """A consumer on a connection of its own."""
    channel = s.channel()
    if prefetch:
        channel.call("basic.qos", prefetch_count=prefetch)
    arguments = {} if priority is None else {"x-priority": priority}
    channel.call("basic.consume", queue=queue, consumer_tag=tag, arguments=arguments)
    return channel


@scenario
def consumers_in_three_ranks(s):
    """A full rank gives to the next one; a settle gives back to the higher one."""
    publisher = s.channel()
    queue = s.queue(publisher)
    low = consumer(s, queue, "low", -5, 1)
    middle = consumer(s, queue, "middle", None, 1)
    high = consumer(s, queue, "high", 5, 1)
    for body in "abc":
        publisher.publish(body, key=queue)
        publisher.call("basic.qos")
    high.expect()
    middle.expect()
    low.expect()
    publisher.publish("d", key=queue)
    publisher.count(queue, 1)
    high.send("basic.ack", delivery_tag=1)
    high.expect()


@scenario
def consumer_of_higher_rank_comes_later(s):
    """It gets what comes from then on."""
    publisher = s.channel()
    queue = s.queue(publisher)
    low = consumer(s, queue, "low", 1)
    publisher.publish("a", key=queue)
    low.expect()
    high = consumer(s, queue, "high", 2)
    publisher.publish("b", key=queue)
    high.expect()
    low.quiet()
    high.call("basic.cancel", consumer_tag="high")
    publisher.publish("c", key=queue)
    low.expect()


@scenario
def backlog_goes_by_rank(s):
    """What waited goes to whoever is there, then to the higher one as it has room."""
    publisher = s.channel()
    queue = s.queue(publisher, arguments={"x-max-priority": 3})
    fill(publisher, queue, [1, 3, 2, 0])
    one = consumer(s, queue, "one", 1, 2)
    one.expect(2)
    two = consumer(s, queue, "two", 9, 1)
    two.expect()
    publisher.count(queue, 1)
