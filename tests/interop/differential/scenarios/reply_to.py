"""Direct reply-to: the pseudo-queue amq.rabbitmq.reply-to."""

from scenario import scenario

REPLY = "amq.rabbitmq.reply-to"


def asking(s):
    """A channel that consumes its replies, a server channel, a queue for requests."""
    client, server = s.channel(), s.channel()
    queue = s.queue(server)
    client.call("basic.consume", queue=REPLY, consumer_tag="replies", no_ack=True)
    return client, server, queue


@scenario
def round_trip(s):
    """The request carries a key that reaches the asking channel."""
    client, server, queue = asking(s)
    client.publish("ask", key=queue, props={"reply-to": REPLY, "correlation-id": "1"})
    server.count(queue, 1)
    key = server.get(queue).props["reply-to"]
    server.call("confirm.select")
    server.publish("answer", key=key, props={"correlation-id": "1"}, mandatory=True)
    server.confirms(1, 1)
    event = client.connection.take(1)
    same = event["routing-key"] == key
    s.note(f"got {event.name} {event.body!r} by {event['consumer-tag']}, same key: {same}")


@scenario
def needs_no_ack(s):
    """Replies are never acked."""
    s.channel().call("basic.consume", queue=REPLY)


@scenario
def one_consumer(s):
    """Once per channel."""
    client, _, _ = asking(s)
    client.call("basic.consume", queue=REPLY, consumer_tag="two", no_ack=True)


@scenario
def publish_needs_a_consumer(s):
    """A request before the consume."""
    channel = s.channel()
    channel.publish("ask", key=s.queue(channel), props={"reply-to": REPLY})
    channel.expect()


@scenario
def get_is_refused(s):
    """basic.get on the pseudo-queue."""
    s.channel().call("basic.get", queue=REPLY, no_ack=True)


@scenario
def declare_tells_if_alive(s):
    """Declaring the reply key tells whether the asker lives; after that, nothing."""
    client, server, queue = asking(s)
    client.publish("ask", key=queue, props={"reply-to": REPLY})
    server.count(queue, 1)
    key = server.get(queue).props["reply-to"]
    event = server.call("queue.declare", queue=key, passive=True)
    s.note(f"same name: {event and event.values.get('queue') == key}")
    client.close()
    server.call("queue.declare", queue=key, passive=True)


@scenario
def late_reply(s):
    """A reply to a closed channel is dropped; with mandatory it comes back."""
    client, server, queue = asking(s)
    client.publish("ask", key=queue, props={"reply-to": REPLY})
    server.count(queue, 1)
    key = server.get(queue).props["reply-to"]
    client.close()
    server.publish("answer", key=key)
    server.publish("answer", key=key, mandatory=True)
    server.expect()


@scenario
def forged_key(s):
    """A key that nobody gave out."""
    channel = s.channel()
    channel.call("confirm.select")
    channel.publish("x", key=REPLY + ".forged", mandatory=True)
    channel.expect(2)
    channel.call("queue.declare", queue=REPLY + ".forged", passive=True)


@scenario
def cancelled(s):
    """After a cancel requests are refused again."""
    client, _, queue = asking(s)
    client.call("basic.cancel", consumer_tag="replies")
    client.publish("ask", key=queue, props={"reply-to": REPLY})
    client.expect()
