"""Settling: ack, nack, reject, recover; unknown tags; order after a requeue; transactions."""

from scenario import cases, scenario


def held(s, count=3, consume=True):
    """A channel that holds `count` unacked messages a, b, c..., and its queue."""
    channel, publisher = s.channel(), s.channel()
    queue = s.queue(channel)
    for body in "abcdefgh"[:count]:
        publisher.publish(body, key=queue)
    publisher.count(queue, count)
    if consume:
        channel.call("basic.consume", queue=queue, consumer_tag="t")
        channel.expect(count)
    else:
        for _ in range(count):
            channel.get(queue, no_ack=False)
    return channel, publisher, queue


@cases({"ack_unknown": ("basic.ack", {"delivery_tag": 99}),
        "ack_zero": ("basic.ack", {"delivery_tag": 0}),
        "ack_unknown_multiple": ("basic.ack", {"delivery_tag": 99, "multiple": True}),
        "ack_zero_multiple": ("basic.ack", {"delivery_tag": 0, "multiple": True}),
        "nack_unknown": ("basic.nack", {"delivery_tag": 99}),
        "nack_zero_multiple": ("basic.nack", {"delivery_tag": 0, "multiple": True}),
        "reject_unknown": ("basic.reject", {"delivery_tag": 99, "requeue": True})})
def nothing_held(s, name, values):
    """Tags that were never given."""
    channel = s.channel()
    channel.send(name, **values)
    channel.connection.put(1, "basic.qos")
    channel.expect()


@cases({"single": ({"delivery_tag": 1},), "multiple": ({"delivery_tag": 2, "multiple": True},),
        "all": ({"delivery_tag": 0, "multiple": True},), "last": ({"delivery_tag": 3},)})
def ack(s, values):
    """What is acked is gone; the rest comes back."""
    channel, other, queue = held(s)
    channel.send("basic.ack", **values)
    channel.close()
    other.count(queue, 3 - {1: 1, 2: 2, 0: 3, 3: 1}[values["delivery_tag"]])
    other.get(queue)


@scenario
def ack_twice(s):
    """A second ack of one tag."""
    channel, _, _ = held(s, 1)
    channel.send("basic.ack", delivery_tag=1)
    channel.call("basic.ack", delivery_tag=1)


@scenario
def ack_after_multiple(s):
    """A tag that a multiple ack took."""
    channel, _, _ = held(s)
    channel.send("basic.ack", delivery_tag=2, multiple=True)
    channel.call("basic.ack", delivery_tag=1)


@scenario
def ack_on_other_channel(s):
    """Tags belong to their channel."""
    channel, other, _ = held(s, 1)
    other.call("basic.ack", delivery_tag=1)
    channel.send("basic.ack", delivery_tag=1)
    channel.call("basic.qos")


@scenario
def ack_of_no_ack(s):
    """What needed no ack takes none."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.publish("a", key=queue)
    channel.count(queue, 1)
    channel.get(queue)
    channel.call("basic.ack", delivery_tag=1)


@cases({"reject": ("basic.reject", {"delivery_tag": 2, "requeue": True}, 1),
        "reject_drop": ("basic.reject", {"delivery_tag": 2}, 0),
        "nack": ("basic.nack", {"delivery_tag": 2, "requeue": True}, 1),
        "nack_drop": ("basic.nack", {"delivery_tag": 2}, 0),
        "nack_multiple": ("basic.nack", {"delivery_tag": 2, "multiple": True, "requeue": True}, 2),
        "nack_multiple_drop": ("basic.nack", {"delivery_tag": 2, "multiple": True}, 0),
        "nack_all": ("basic.nack", {"delivery_tag": 0, "multiple": True, "requeue": True}, 3),
        "nack_all_drop": ("basic.nack", {"delivery_tag": 0, "multiple": True}, 0)})
def give_back(s, name, values, count):
    """What goes back to the queue is at its old place and marked."""
    channel, other, queue = held(s, consume=False)
    channel.send(name, **values)
    other.count(queue, count)
    for _ in range(count + 1):
        other.get(queue)


@scenario
def order_after_requeue(s):
    """Messages given back in any order stand before those that waited."""
    channel, other, queue = held(s, 4, consume=False)
    other.publish("z", key=queue)
    other.count(queue, 1)
    for tag in (3, 1, 4, 2):
        channel.send("basic.nack", delivery_tag=tag, requeue=True)
    other.count(queue, 5)
    for _ in range(5):
        other.get(queue)


@scenario
def requeue_to_same_consumer(s):
    """A sole consumer gets its own rejects again."""
    channel, _, _ = held(s, 1)
    for tag in (1, 2, 3):
        channel.send("basic.reject", delivery_tag=tag, requeue=True)
        channel.expect()


@cases({"requeue": ("basic.recover", True), "keep": ("basic.recover", False),
        "async": ("basic.recover-async", True), "async_keep": ("basic.recover-async", False)})
def recover(s, name, requeue):
    """basic.recover gives back all that the channel holds."""
    channel, other, queue = held(s, consume=False)
    channel.send(name, requeue=requeue)
    if name == "basic.recover" or not requeue:
        channel.expect()
    if requeue:
        other.count(queue, 3)
        other.get(queue)


@scenario
def recover_to_consumer(s):
    """With a consumer they come again, marked, with new tags."""
    channel, _, _ = held(s, 2)
    channel.send("basic.recover", requeue=True)
    channel.expect(3)


@scenario
def tx_commit(s):
    """Publishes and acks take effect together."""
    channel, other, queue = held(s, 2, consume=False)
    channel.call("tx.select")
    channel.publish("new", key=queue)
    channel.send("basic.ack", delivery_tag=1)
    channel.call("basic.qos")
    other.count(queue, 0)
    channel.call("tx.commit")
    other.count(queue, 1)
    channel.close()
    other.count(queue, 2)
    other.get(queue)
    other.get(queue)


@scenario
def tx_rollback(s):
    """Rolled back publishes never were; acks may be given again."""
    channel, other, queue = held(s, 1, consume=False)
    channel.call("tx.select")
    channel.publish("never", key=queue)
    channel.send("basic.ack", delivery_tag=1)
    channel.call("tx.rollback")
    other.count(queue, 0)
    channel.send("basic.ack", delivery_tag=1)
    channel.call("tx.commit")
    channel.close()
    other.count(queue, 0)


@scenario
def tx_nack(s):
    """Nacks wait for the commit, too."""
    channel, other, queue = held(s, 1, consume=False)
    channel.call("tx.select")
    channel.send("basic.nack", delivery_tag=1, requeue=True)
    channel.call("basic.qos")
    other.count(queue, 0)
    channel.call("tx.commit")
    other.count(queue, 1)


@scenario
def tx_close_rolls_back(s):
    """An uncommitted transaction dies with its channel."""
    channel, other, queue = held(s, 1, consume=False)
    channel.call("tx.select")
    channel.publish("never", key=queue)
    channel.send("basic.ack", delivery_tag=1)
    channel.close()
    other.count(queue, 1)
    other.get(queue)


@scenario
def tx_mandatory(s):
    """A return comes at the commit, before commit-ok."""
    channel = s.channel()
    channel.call("tx.select")
    channel.publish("x", key=s.name("none"), mandatory=True)
    channel.quiet()
    channel.call("tx.commit")
    channel.expect()


@scenario
def tx_bad_publish(s):
    """A publish that is refused ends the channel at once."""
    channel = s.channel()
    channel.call("tx.select")
    channel.publish("x", s.name("none"))
    channel.expect()


@scenario
def tx_unknown_tag(s):
    """An unknown tag inside a transaction."""
    channel = s.channel()
    channel.call("tx.select")
    channel.send("basic.ack", delivery_tag=9)
    channel.call("basic.qos")


@cases({"commit": "tx.commit", "rollback": "tx.rollback"})
def tx_not_selected(s, name):
    """Without tx.select."""
    s.channel().call(name)


@cases({"confirm_then_tx": ("confirm.select", "tx.select"),
        "tx_then_confirm": ("tx.select", "confirm.select"), "tx_twice": ("tx.select", "tx.select")})
def modes(s, first, second):
    """A channel confirms or has transactions, not both."""
    channel = s.channel()
    channel.call(first)
    channel.call(second)
