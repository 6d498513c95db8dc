"""Quorum queues: the delivery limit and its count, and dead-letter strategies."""

from scenario import cases, scenario

QUORUM = {"x-queue-type": "quorum"}


def limited(s, channel, limit, dead=True):
    """A quorum queue with a delivery limit, and the queue for its dead letters."""
    target = s.queue(channel, "dead")
    arguments = dict(QUORUM)
    if limit is not None:
        arguments["x-delivery-limit"] = limit
    if dead:
        arguments.update({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": target})
    queue = s.queue(channel, "q", durable=True, arguments=arguments)
    return queue, target


def publish(channel, queue, body="x", **props):
    """A message that is confirmed before the script goes on."""
    channel.call("confirm.select")
    channel.publish(body, key=queue, props={"delivery-mode": 2, **props})
    channel.confirms(1, 1)


@cases({"zero": 0, "one": 1, "three": 3})
def delivery_limit(s, limit):
    """Given back until it is dead: the count on each delivery, the reason in the end."""
    channel = s.channel()
    queue, dead = limited(s, channel, limit)
    publish(channel, queue, headers={"own": 1})
    for tag in range(1, limit + 2):
        channel.count(queue, 1, 0)
        channel.get(queue, no_ack=False)
        channel.send("basic.nack", delivery_tag=tag, requeue=True)
    channel.count(dead, 1)
    channel.get(dead)
    channel.get(queue)


@cases({"nack": ("basic.nack", {}), "multiple": ("basic.nack", {"multiple": True}),
        "reject": ("basic.reject", {})})
def given_back(s, name, values):
    """The ways to give a message back by name count, also for a consumer."""
    channel, other = s.channel(), s.channel()
    queue, dead = limited(s, channel, 1)
    publish(channel, queue)
    other.call("basic.qos", prefetch_count=1)
    other.call("basic.consume", queue=queue, consumer_tag="t")
    other.expect()
    other.send(name, delivery_tag=1, requeue=True, **values)
    other.expect()
    other.send(name, delivery_tag=2, requeue=True, **values)
    channel.count(dead, 1)
    channel.get(dead)


@cases({"channel": True, "connection": False})
def consumer_lost(s, politely):
    """A consumer that goes with a message: that counts."""
    channel = s.channel()
    queue, dead = limited(s, channel, 1)
    publish(channel, queue)
    for _ in range(2):
        channel.count(queue, 1, 0)
        other = s.channel()
        other.call("basic.consume", queue=queue, consumer_tag="t")
        other.expect()
        if politely:
            other.close()
        else:
            other.connection.drop()
    channel.count(dead, 1)
    channel.get(dead)


@scenario
def recovered(s):
    """basic.recover counts as giving back."""
    channel = s.channel()
    queue, _ = limited(s, channel, 5)
    publish(channel, queue)
    channel.count(queue, 1, 0)
    channel.get(queue, no_ack=False)
    channel.call("basic.recover", requeue=True)
    channel.count(queue, 1, 0)
    channel.get(queue)


@scenario
def reject_is_final(s):
    """A reject without requeue does not wait for the limit; the count is in the dead letter."""
    channel = s.channel()
    queue, dead = limited(s, channel, 5)
    publish(channel, queue)
    for tag in (1, 2):
        channel.count(queue, 1, 0)
        channel.get(queue, no_ack=False)
        channel.send("basic.nack", delivery_tag=tag, requeue=tag == 1)
    channel.count(dead, 1)
    channel.get(dead)


@scenario
def count_of_a_publisher(s):
    """x-delivery-count that a publisher made up."""
    channel = s.channel()
    queue, _ = limited(s, channel, 5)
    publish(channel, queue, headers={"x-delivery-count": ("l", 77)})
    for tag in (1, 2):
        channel.count(queue, 1, 0)
        channel.get(queue, no_ack=False)
        channel.send("basic.nack", delivery_tag=tag, requeue=True)


@scenario
def no_target(s):
    """Nowhere to go: at the limit the message is gone."""
    channel = s.channel()
    queue, _ = limited(s, channel, 1, dead=False)
    publish(channel, queue)
    for tag in (1, 2):
        channel.count(queue, 1, 0)
        channel.get(queue, no_ack=False)
        channel.send("basic.nack", delivery_tag=tag, requeue=True)
    channel.get(queue)


@scenario
def count_starts_again_elsewhere(s):
    """In the next queue a dead letter is a new message."""
    channel = s.channel()
    last = s.queue(channel, "last", durable=True, arguments={
        **QUORUM, "x-delivery-limit": 1})
    queue = s.queue(channel, "q", durable=True, arguments={
        **QUORUM, "x-delivery-limit": 1, "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": last})
    publish(channel, queue)
    for tag in (1, 2):
        channel.count(queue, 1, 0)
        channel.get(queue, no_ack=False)
        channel.send("basic.nack", delivery_tag=tag, requeue=True)
    for tag in (3, 4):
        channel.count(last, 1, 0)
        channel.get(last, no_ack=False)
        channel.send("basic.nack", delivery_tag=tag, requeue=True)
    channel.get(last)


AT_LEAST_ONCE = {"x-dead-letter-strategy": "at-least-once", "x-dead-letter-exchange": ""}


@cases({"most": {"x-dead-letter-strategy": "at-most-once"},
        "least": {**AT_LEAST_ONCE, "x-overflow": "reject-publish"},
        "least_drop_head": {**AT_LEAST_ONCE, "x-overflow": "drop-head"},
        "least_no_overflow": AT_LEAST_ONCE,
        "least_no_target": {"x-dead-letter-strategy": "at-least-once"},
        "unknown": {"x-dead-letter-strategy": "sometimes"},
        "number": {"x-dead-letter-strategy": 1}, "bool": {"x-dead-letter-strategy": True},
        "void": {"x-dead-letter-strategy": None}, "empty": {"x-dead-letter-strategy": ""}})
def strategy(s, arguments):
    """What x-dead-letter-strategy may be."""
    channel = s.channel()
    channel.call("queue.declare", queue=s.name("q"), durable=True,
                 arguments={**QUORUM, **arguments})


@cases({"most": "at-most-once", "least": "at-least-once", "unknown": "sometimes", "number": 1})
def strategy_of_classic(s, value):
    """The same on a durable classic queue."""
    channel = s.channel()
    channel.call("queue.declare", queue=s.name("q"), durable=True, arguments={
        "x-queue-type": "classic", "x-dead-letter-exchange": "", "x-dead-letter-strategy": value})


@scenario
def least_once_arrives(s):
    """A dead letter kept until it has arrived looks like any other."""
    channel = s.channel()
    dead = s.queue(channel, "dead")
    queue = s.queue(channel, "q", durable=True, arguments={
        **QUORUM, **AT_LEAST_ONCE, "x-dead-letter-routing-key": dead,
        "x-overflow": "reject-publish"})
    publish(channel, queue)
    channel.count(queue, 1, 0)
    channel.get(queue, no_ack=False)
    channel.send("basic.reject", delivery_tag=1)
    channel.count(dead, 1)
    channel.get(dead)


@scenario
def redeclare(s):
    """The limit and the strategy count for equivalence."""
    base = {**QUORUM, **AT_LEAST_ONCE, "x-overflow": "reject-publish", "x-delivery-limit": 3}
    for change in ({}, {"x-delivery-limit": 4}, {"x-dead-letter-strategy": "at-most-once"},
                   {"x-delivery-limit": None}):
        channel = s.channel()
        queue = s.queue(channel, durable=True, arguments=base)
        arguments = {k: v for k, v in {**base, **change}.items() if v is not None}
        channel.call("queue.declare", queue=queue, durable=True, arguments=arguments)
