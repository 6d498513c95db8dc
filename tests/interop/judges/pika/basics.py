"""pika, blocking: publish, consume, get, confirms, returns, bodies, settling, exchanges, errors."""

import hashlib
import os

import pika
from common import DURABLE, closes, collect, connect, equal, fresh, get, serve
from lib import Checks

checks = Checks()
connection = connect()


def channel():
    """A channel on the shared connection."""
    return connection.channel()


def queue_on(ch, **options):
    """A queue that goes with the connection."""
    name = fresh()
    ch.queue_declare(name, **{"exclusive": True, **options})
    return name


def publish_and_get():
    """basic.get brings body, properties and counts."""
    ch = channel()
    queue = queue_on(ch)
    ch.confirm_delivery()
    for number in range(3):
        ch.basic_publish("", queue, b"%d" % number, pika.BasicProperties(message_id=str(number)))
    method, properties, body = ch.basic_get(queue, auto_ack=True)
    equal((method.message_count, properties.message_id, body), (2, "0", b"0"))


def consume_in_order():
    """A thousand messages in order."""
    ch = channel()
    queue = queue_on(ch)
    for number in range(1000):
        ch.basic_publish("", queue, b"%d" % number)
    found = collect(connection, ch, queue, 1000)
    equal([body for _, _, body in found], [b"%d" % n for n in range(1000)])


def bodies():
    """All sizes and bytes come back as they were."""
    ch = channel()
    queue = queue_on(ch)
    ch.confirm_delivery()
    frame = 131072 - 8
    for size in (0, 1, 255, 65535, 65536, frame - 1, frame, frame + 1, 2 * frame, 16 * 2**20 - 1):
        body = os.urandom(size)
        ch.basic_publish("", queue, body)
        found = get(ch, queue)[2]
        equal(hashlib.sha1(found).hexdigest(), hashlib.sha1(body).hexdigest())
    for body in (bytes(range(256)), b"\xff\xfe\x00", "gr\u00fc\u00df".encode()):
        ch.basic_publish("", queue, body)
        equal(get(ch, queue)[2], body)


def all_properties():
    """Every property and header type of the client comes back."""
    ch = channel()
    queue = queue_on(ch)
    sent = pika.BasicProperties(
        content_type="a/b", content_encoding="gzip", delivery_mode=2, priority=4, type="t",
        correlation_id="c", reply_to="r", expiration="60000", message_id="m", timestamp=1234567890,
        user_id="guest", app_id="a", cluster_id="u",
        headers={"i": 5, "l": 2**40, "s": "x", "t": True, "n": None, "d": {"k": [1, "2"]}})
    ch.basic_publish("", queue, b"x", sent)
    found = get(ch, queue)[1]
    equal(found.__dict__, sent.__dict__)


def mandatory_return():
    """An unroutable mandatory publish raises, with the message in hand."""
    ch = channel()
    ch.confirm_delivery()
    try:
        ch.basic_publish("", fresh("none"), b"back", mandatory=True)
    except pika.exceptions.UnroutableError as error:
        equal(error.messages[0].body, b"back")
        equal(error.messages[0].method.reply_code, 312)
        return
    raise AssertionError("no return")


def nacked():
    """A full queue that refuses publishes nacks."""
    ch = channel()
    queue = queue_on(ch, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    ch.confirm_delivery()
    ch.basic_publish("", queue, b"fits")
    try:
        ch.basic_publish("", queue, b"does not")
    except pika.exceptions.NackError:
        equal(ch.queue_declare(queue, passive=True).method.message_count, 1)
        return
    raise AssertionError("no nack")


def cancel_notification():
    """Deleting the queue cancels the consumer."""
    ch, other = channel(), channel()
    queue = queue_on(ch)
    cancelled = []
    ch.add_on_cancel_callback(cancelled.append)
    tag = ch.basic_consume(queue, lambda *_: None)
    other.queue_delete(queue)
    serve(connection, 5, lambda: cancelled)
    equal([frame.method.consumer_tag for frame in cancelled], [tag])


def many_channels():
    """200 channels, each of use."""
    own = connect()
    channels = [own.channel() for _ in range(200)]
    for ch in channels:
        ch.queue_declare("", exclusive=True)
    equal(sorted(ch.channel_number for ch in channels), list(range(1, 201)))
    own.close()


def channel_limit():
    """2047 channels are offered; more than agreed are not."""
    own = connect(channel_max=5)
    equal(own._impl.params.channel_max, 5)
    for _ in range(5):
        own.channel()
    try:
        own.channel()
    except pika.exceptions.NoFreeChannels:
        own.close()
        return
    raise AssertionError("a sixth channel")


def qos_per_consumer():
    """Prefetch holds each consumer, and a larger one frees it."""
    ch = channel()
    queue = queue_on(ch)
    for number in range(10):
        ch.basic_publish("", queue, b"%d" % number)
    ch.basic_qos(prefetch_count=3)
    found = []
    ch.basic_consume(queue, lambda _, m, p, b: found.append(m.delivery_tag))
    serve(connection, 0.5)
    equal(len(found), 3)
    ch.basic_ack(found[1], multiple=True)
    serve(connection, 0.5)
    equal(len(found), 5)
    ch.close()


def qos_global():
    """A global limit is shared by the channel's consumers."""
    ch = channel()
    queues = [queue_on(ch), queue_on(ch)]
    for queue in queues:
        for number in range(5):
            ch.basic_publish("", queue, b"%d" % number)
    ch.basic_qos(prefetch_count=4, global_qos=True)
    found = []
    for queue in queues:
        ch.basic_consume(queue, lambda _, m, p, b: found.append(m.delivery_tag))
    serve(connection, 0.6)
    equal(len(found), 4)
    ch.close()


def settle_order():
    """Messages given back stand at their old places, marked."""
    ch, other = channel(), channel()
    queue = queue_on(ch)
    for body in (b"a", b"b", b"c", b"d"):
        ch.basic_publish("", queue, body)
    tags = [get(ch, queue, auto_ack=False)[0].delivery_tag for _ in range(3)]
    ch.basic_nack(tags[2], requeue=True)
    ch.basic_reject(tags[0], requeue=True)
    ch.basic_recover(requeue=True)
    found = [get(other, queue) for _ in range(4)]
    equal([(m.redelivered, b) for m, _, b in found],
          [(True, b"a"), (True, b"b"), (True, b"c"), (False, b"d")])


def unacked_come_back():
    """A closed connection gives back what it held."""
    ch = channel()
    queue = fresh()
    ch.queue_declare(queue)
    ch.basic_publish("", queue, b"x", DURABLE)
    own = connect()
    equal(get(own.channel(), queue, auto_ack=False)[2], b"x")
    own.close()
    method, _, body = get(ch, queue)
    equal((method.redelivered, body), (True, b"x"))
    ch.queue_delete(queue)


def exchange_types():
    """Direct, fanout, topic, headers, and an exchange bound to another."""
    ch = channel()
    cases = {
        "direct": [("k", None, "k", None, True), ("k", None, "j", None, False)],
        "fanout": [("k", None, "j", None, True)],
        "topic": [("a.*.#", None, "a.b.c", None, True), ("a.*", None, "a", None, False)],
        "headers": [("", {"x-match": "any", "h": 1}, "", {"h": 1, "i": 2}, True),
                    ("", {"x-match": "all", "h": 1, "i": 1}, "", {"h": 1}, False)]}
    for kind, rows in cases.items():
        for binding, arguments, key, headers, arrives in rows:
            exchange, target, queue = fresh("e"), fresh("e"), queue_on(ch)
            ch.exchange_declare(exchange, kind, auto_delete=True)
            ch.exchange_declare(target, "fanout", auto_delete=True)
            ch.exchange_bind(target, exchange, binding, arguments)
            ch.queue_bind(queue, target)
            ch.basic_publish(exchange, key, b"x", pika.BasicProperties(headers=headers))
            found = get(ch, queue, seconds=5 if arrives else 0.1)[0]
            assert (found is not None) == arrives, f"{kind} {binding} {key}"


def channel_errors():
    """A channel dies by its error; the connection lives."""
    closes(404, lambda: channel().queue_declare(fresh("none"), passive=True))
    closes(404, lambda: channel().basic_get(fresh("none")))
    closes(403, lambda: channel().queue_declare("amq.own"))
    closes(403, lambda: channel().queue_bind(queue_on(channel()), "", "k"))

    def unequal():
        ch = channel()
        ch.queue_declare(queue_on(ch), exclusive=True, arguments={"x-max-length": 3})
    closes(406, unequal)
    assert connection.is_open
    publish_and_get()


def exclusive_and_named():
    """Server-named, exclusive and auto-delete queues."""
    ch = channel()
    name = ch.queue_declare("", exclusive=True).method.queue
    assert name.startswith("amq.gen-"), name
    own = connect()
    closes(405, lambda: own.channel().queue_declare(name, passive=True))
    gone = fresh()
    own_channel = own.channel()
    own_channel.queue_declare(gone, auto_delete=True)
    own_channel.basic_cancel(own_channel.basic_consume(gone, lambda *_: None))
    closes(404, lambda: channel().queue_declare(gone, passive=True))
    own.close()


def login():
    """A wrong password, an unknown vhost."""
    for options, kind in (
            ({"credentials": pika.PlainCredentials("guest", "no")},
             pika.exceptions.ProbableAuthenticationError),
            ({"virtual_host": "none"}, pika.exceptions.ProbableAccessDeniedError)):
        try:
            connect(**options).close()
        except (kind, pika.exceptions.ConnectionClosedByBroker):
            continue
        raise AssertionError(f"{options} was let in")


for name in ("publish_and_get", "consume_in_order", "bodies", "all_properties",
             "mandatory_return", "nacked", "cancel_notification", "many_channels", "channel_limit",
             "qos_per_consumer", "qos_global", "settle_order", "unacked_come_back",
             "exchange_types", "channel_errors", "exclusive_and_named", "login"):
    checks.run(f"pika {name}", globals()[name])
connection.close()
checks.finish()
