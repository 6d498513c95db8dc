"""Channels: open, close, flow, errors that end a channel and leave the connection alive."""

from scenario import cases, scenario


@scenario
def open_twice(s):
    """A second channel.open on an open channel."""
    s.channel().call("channel.open")


@scenario
def close_and_reuse(s):
    """A number may be used again after close-ok."""
    channel = s.channel()
    channel.call("channel.close", reply_code=200, reply_text="done")
    channel.call("channel.open")
    channel.call("basic.qos", prefetch_count=1)


@scenario
def reuse_after_error(s):
    """A number may be used again after the broker closed it."""
    channel = s.channel()
    channel.call("queue.declare", queue=s.name("none"), passive=True)
    channel.call("channel.open")
    channel.call("basic.qos", prefetch_count=1)


@scenario
def frames_after_error(s):
    """Frames that were under way when the channel broke are dropped."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.send("queue.declare", queue=s.name("none"), passive=True)
    channel.publish("lost", key=queue)
    channel.send("queue.delete", queue=queue)
    channel.expect()
    channel.call("channel.open")
    channel.count(queue, 0)


@scenario
def error_spares_the_others(s):
    """A broken channel leaves its neighbour alone."""
    connection = s.connect()
    one, two = connection.channel(1), connection.channel(2)
    queue = s.queue(two)
    two.call("basic.consume", queue=queue, consumer_tag="t", no_ack=True)
    one.call("basic.ack", delivery_tag=99)
    two.publish("x", key=queue)
    two.expect()


@cases({"off": False, "on": True})
def flow(s, active):
    """channel.flow from the client."""
    s.channel().call("channel.flow", active=active)


@cases({"plain": {}, "all": {"exclusive": True, "passive": True, "active": True, "write": True,
                             "read": True}})
def access_request(s, values):
    """The old access.request."""
    s.channel().call("access.request", realm="/data", **values)


@scenario
def unacked_return_on_close(s):
    """Closing a channel puts its unacked messages back, marked redelivered, in order."""
    one, two = s.channel(), s.channel()
    queue = s.queue(one)
    for body in "abc":
        two.publish(body, key=queue)
    two.count(queue, 3)
    for _ in range(2):
        one.get(queue, no_ack=False)
    one.call("channel.close", reply_code=200)
    two.count(queue, 3)
    for _ in range(4):
        two.get(queue)


@scenario
def unacked_return_on_drop(s):
    """A socket that breaks does the same."""
    one, two = s.channel(), s.channel()
    queue = s.queue(one)
    two.publish("a", key=queue)
    two.count(queue, 1)
    one.call("basic.consume", queue=queue, consumer_tag="t")
    one.expect()
    one.connection.drop()
    two.count(queue, 1, 0)
    two.get(queue)
