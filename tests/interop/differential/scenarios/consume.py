"""Consumers and gets: tags, exclusivity, cancel, prefetch, priorities, single active consumer."""

from scenario import cases, scenario


@scenario
def get_ok_and_empty(s):
    """basic.get counts what is left."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.get(queue)
    channel.publish("a", key=queue)
    channel.publish("b", key=queue)
    channel.count(queue, 2)
    channel.get(queue, no_ack=False)
    channel.get(queue)
    channel.get(queue)


@scenario
def tags(s):
    """A given tag, and a made one."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.call("basic.consume", queue=queue, consumer_tag="mine")
    channel.call("basic.consume", queue=queue)
    channel.call("basic.consume", queue=queue, consumer_tag="amq.ctag-mine")


@scenario
def tag_in_use(s):
    """One tag twice on one channel; another channel may use it."""
    connection = s.connect()
    one, two = connection.channel(1), connection.channel(2)
    queue = s.queue(one)
    one.call("basic.consume", queue=queue, consumer_tag="t")
    two.call("basic.consume", queue=queue, consumer_tag="t")
    one.call("basic.consume", queue=queue, consumer_tag="t")


@scenario
def tag_again_after_cancel(s):
    """A tag may be used again."""
    channel = s.channel()
    queue = s.queue(channel)
    for _ in range(2):
        channel.call("basic.consume", queue=queue, consumer_tag="t")
        channel.call("basic.cancel", consumer_tag="t")


@scenario
def cancel_unknown(s):
    """Cancelling nothing is answered."""
    channel = s.channel()
    channel.call("basic.cancel", consumer_tag="none")
    channel.send("basic.cancel", consumer_tag="none", no_wait=True)
    channel.call("basic.qos")


@scenario
def cancel_leaves_unacked(s):
    """After a cancel the deliveries may still be acked; the rest stays ready."""
    channel = s.channel()
    queue = s.queue(channel)
    for body in "abc":
        channel.publish(body, key=queue)
    channel.count(queue, 3)
    channel.call("basic.qos", prefetch_count=1)
    channel.call("basic.consume", queue=queue, consumer_tag="t")
    channel.expect()
    channel.call("basic.cancel", consumer_tag="t")
    channel.send("basic.ack", delivery_tag=1)
    channel.quiet()
    channel.count(queue, 2)


@cases({"second": ({}, {"exclusive": True}), "after": ({"exclusive": True}, {}),
        "both": ({"exclusive": True}, {"exclusive": True})})
def exclusive(s, first, second):
    """An exclusive consumer suffers no other."""
    one, two = s.channel(), s.channel()
    queue = s.queue(one)
    one.call("basic.consume", queue=queue, consumer_tag="one", **first)
    two.call("basic.consume", queue=queue, consumer_tag="two", **second)


@scenario
def exclusive_again_after_cancel(s):
    """The place is free again."""
    one, two = s.channel(), s.channel()
    queue = s.queue(one)
    one.call("basic.consume", queue=queue, consumer_tag="one", exclusive=True)
    one.call("basic.cancel", consumer_tag="one")
    two.call("basic.consume", queue=queue, consumer_tag="two", exclusive=True)


@cases({"told": None, "not_told": {}})
def queue_deleted(s, capabilities):
    """Consumers hear of it if they said that they understand."""
    owner, consumer = s.channel(), s.channel(capabilities=capabilities)
    queue = s.queue(owner)
    consumer.call("basic.consume", queue=queue, consumer_tag="t")
    owner.call("queue.delete", queue=queue)
    consumer.expect() if capabilities is None else consumer.quiet()
    consumer.call("basic.cancel", consumer_tag="t")


@scenario
def cancel_ok_from_client(s):
    """The answer to a broker's cancel is taken in silence."""
    owner, consumer = s.channel(), s.channel()
    queue = s.queue(owner)
    consumer.call("basic.consume", queue=queue, consumer_tag="t")
    owner.call("queue.delete", queue=queue)
    consumer.expect()
    consumer.send("basic.cancel-ok", consumer_tag="t")
    consumer.expect(wait=1.0)


@scenario
def no_local(s):
    """no-local is taken and does nothing."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.call("basic.consume", queue=queue, consumer_tag="t", no_local=True, no_ack=True)
    channel.publish("x", key=queue)
    channel.expect()


@cases({"size": {"prefetch_size": 1}, "count": {"prefetch_count": 5},
        "global": {"prefetch_count": 5, "global": True}, "none": {},
        "most": {"prefetch_count": 65535}})
def qos(s, values):
    """Which limits may be asked for."""
    s.channel().call("basic.qos", **values)


@scenario
def qos_per_consumer(s):
    """Each consumer of the channel has its own limit."""
    channel, publisher = s.channel(), s.channel()
    one, two = s.queue(channel, "one"), s.queue(channel, "two")
    for queue in (one, two):
        for body in "abc":
            publisher.publish(body, key=queue)
        publisher.count(queue, 3)
    channel.call("basic.qos", prefetch_count=2)
    channel.call("basic.consume", queue=one, consumer_tag="one")
    channel.expect(2)
    channel.call("basic.qos", prefetch_count=1)
    channel.call("basic.consume", queue=two, consumer_tag="two")
    channel.expect(1)
    channel.quiet()
    channel.send("basic.ack", delivery_tag=2)
    channel.expect()
    channel.quiet()
    channel.send("basic.ack", delivery_tag=3)
    channel.expect()


@scenario
def qos_global(s):
    """A limit that the channel's consumers share."""
    channel, publisher = s.channel(), s.channel()
    one, two = s.queue(channel, "one"), s.queue(channel, "two")
    for queue in (one, two):
        for body in "abc":
            publisher.publish(body, key=queue)
        publisher.count(queue, 3)
    channel.call("basic.qos", prefetch_count=3, **{"global": True})
    channel.call("basic.consume", queue=one, consumer_tag="one")
    channel.expect(3)
    channel.call("basic.consume", queue=two, consumer_tag="two")
    channel.quiet()
    channel.send("basic.ack", delivery_tag=1)
    channel.expect()
    channel.quiet()


@scenario
def qos_and_no_ack(s):
    """A limit does not hold what needs no ack."""
    channel, publisher = s.channel(), s.channel()
    queue = s.queue(channel)
    channel.call("basic.qos", prefetch_count=1)
    for body in "abc":
        publisher.publish(body, key=queue)
    publisher.count(queue, 3)
    channel.call("basic.consume", queue=queue, consumer_tag="t", no_ack=True)
    channel.expect(3)


@scenario
def qos_not_for_get(s):
    """basic.get goes past the limit."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.call("basic.qos", prefetch_count=1)
    for body in "abc":
        channel.publish(body, key=queue)
    channel.count(queue, 3)
    for _ in range(3):
        channel.get(queue, no_ack=False)


@scenario
def round_robin(s):
    """Deliveries take turns."""
    publisher, one, two = s.channel(), s.channel(), s.channel()
    queue = s.queue(publisher)
    one.call("basic.consume", queue=queue, consumer_tag="one", no_ack=True)
    two.call("basic.consume", queue=queue, consumer_tag="two", no_ack=True)
    for body in "abcdef":
        publisher.publish(body, key=queue)
    one.expect(3)
    two.expect(3)


@cases({"text": "high", "number": 5, "negative": -1, "float": 1.5, "long": (("l", 2**40),)})
def priority_argument(s, value):
    """What a consumer's x-priority may be."""
    channel = s.channel()
    channel.call("basic.consume", queue=s.queue(channel), consumer_tag="t",
                 arguments={"x-priority": value})


@scenario
def priority_first(s):
    """The consumer of higher priority gets all until it is full."""
    publisher, low, high = s.channel(), s.channel(), s.channel()
    queue = s.queue(publisher)
    low.call("basic.consume", queue=queue, consumer_tag="low", no_ack=True)
    high.call("basic.qos", prefetch_count=2)
    high.call("basic.consume", queue=queue, consumer_tag="high", arguments={"x-priority": 10})
    for body in "abc":
        publisher.publish(body, key=queue)
    high.expect(2)
    low.expect(1)


@scenario
def single_active(s):
    """One consumer gets everything; the next takes over."""
    publisher, one, two = s.channel(), s.channel(), s.channel()
    queue = s.queue(publisher, arguments={"x-single-active-consumer": True})
    one.call("basic.consume", queue=queue, consumer_tag="one")
    two.call("basic.consume", queue=queue, consumer_tag="two")
    publisher.publish("a", key=queue)
    publisher.publish("b", key=queue)
    one.expect(2)
    two.quiet()
    one.call("channel.close", reply_code=200)
    two.expect(2)
    publisher.publish("c", key=queue)
    two.expect()


@scenario
def single_active_exclusive(s):
    """An exclusive consume on such a queue."""
    channel = s.channel()
    queue = s.queue(channel, arguments={"x-single-active-consumer": True})
    channel.call("basic.consume", queue=queue, consumer_tag="t", exclusive=True)


@scenario
def single_active_cancel(s):
    """The active one cancels: what it holds stays with it, the next gets the rest."""
    publisher, one, two = s.channel(), s.channel(), s.channel()
    queue = s.queue(publisher, arguments={"x-single-active-consumer": True})
    one.call("basic.qos", prefetch_count=1)
    one.call("basic.consume", queue=queue, consumer_tag="one")
    two.call("basic.consume", queue=queue, consumer_tag="two")
    publisher.publish("a", key=queue)
    publisher.publish("b", key=queue)
    one.expect()
    one.call("basic.cancel", consumer_tag="one")
    two.quiet(1.0)
    one.send("basic.ack", delivery_tag=1)
    one.quiet(0.05)


@scenario
def single_active_priority(s):
    """A later consumer of higher priority."""
    publisher, one, two = s.channel(), s.channel(), s.channel()
    queue = s.queue(publisher, arguments={"x-single-active-consumer": True})
    one.call("basic.consume", queue=queue, consumer_tag="one", no_ack=True)
    two.call("basic.consume", queue=queue, consumer_tag="two", no_ack=True,
             arguments={"x-priority": 10})
    publisher.publish("a", key=queue)
    one.expect(wait=0.5)
    two.quiet()


@scenario
def delivery_tags(s):
    """Tags count per channel over all its consumers and gets."""
    channel, publisher = s.channel(), s.channel()
    one, two = s.queue(channel, "one"), s.queue(channel, "two")
    publisher.publish("a", key=one)
    publisher.publish("b", key=one)
    publisher.count(one, 2)
    channel.get(one)
    channel.call("basic.consume", queue=one, consumer_tag="one", no_ack=True)
    channel.expect()
    channel.call("basic.consume", queue=two, consumer_tag="two")
    publisher.publish("c", key=two)
    channel.expect()


@scenario
def large_delivery(s):
    """A body over several frames, by consumer."""
    channel, publisher = s.channel(), s.channel()
    queue = s.queue(channel)
    channel.call("basic.consume", queue=queue, consumer_tag="t", no_ack=True)
    publisher.publish(b"0123456789" * 50000, key=queue)
    channel.expect()
