"""pika, blocking: the extensions. TTL, lengths, dead letters, priorities, single active consumer,
direct reply-to, copies, user-id, transactions, alternate exchanges, secrets, heartbeats."""

import time

import pika
from common import closes, collect, connect, equal, fresh, get, serve
from lib import Checks

checks = Checks()
connection = connect()


def channel():
    """A channel on the shared connection."""
    return connection.channel()


def queue_on(ch, **arguments):
    """A queue with these x-arguments (underscores for dashes) that goes with the connection."""
    name = fresh()
    ch.queue_declare(name, exclusive=True, arguments={
        "x-" + key.replace("_", "-"): value for key, value in arguments.items()})
    return name


def count(ch, queue):
    """Ready messages."""
    return ch.queue_declare(queue, passive=True).method.message_count


def until(condition, seconds=5):
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.02)


def ttl():
    """A queue's and a message's time."""
    ch = channel()
    queue, plain = queue_on(ch, message_ttl=300), queue_on(ch)
    ch.basic_publish("", queue, b"x")
    ch.basic_publish("", plain, b"x", pika.BasicProperties(expiration="300"))
    until(lambda: count(ch, queue) == 0 and count(ch, plain) == 0)


def max_length():
    """drop-head by number and by bytes."""
    ch = channel()
    queue, by_bytes = queue_on(ch, max_length=3), queue_on(ch, max_length_bytes=30)
    ch.confirm_delivery()
    for number in range(6):
        ch.basic_publish("", queue, b"%d" % number)
        ch.basic_publish("", by_bytes, b"%010d" % number)
    equal([get(ch, queue)[2] for _ in range(3)], [b"3", b"4", b"5"])
    equal([int(get(ch, by_bytes)[2]) for _ in range(3)], [3, 4, 5])


def dead_letter():
    """x-death tells queue, reason, exchange, keys, count and time."""
    ch = channel()
    dead = queue_on(ch)
    queue = queue_on(ch, dead_letter_exchange="", dead_letter_routing_key=dead)
    ch.basic_publish("", queue, b"x", pika.BasicProperties(headers={"own": 1}))
    ch.basic_reject(get(ch, queue, auto_ack=False)[0].delivery_tag, requeue=False)
    headers = get(ch, dead)[1].headers
    death = headers["x-death"][0]
    assert abs(death["time"].timestamp() - time.time()) < 86400 * 2, death["time"]
    equal((death["queue"], death["reason"], death["exchange"], death["routing-keys"],
           death["count"]), (queue, "rejected", "", [queue], 1))
    equal((headers["own"], headers["x-first-death-queue"], headers["x-first-death-reason"],
           headers["x-first-death-exchange"]), (1, queue, "rejected", ""))


def dead_letter_expired():
    """An expired message loses its expiration and keeps it in x-death."""
    ch = channel()
    dead = queue_on(ch)
    queue = queue_on(ch, dead_letter_exchange="", dead_letter_routing_key=dead)
    ch.basic_publish("", queue, b"x", pika.BasicProperties(expiration="100"))
    properties = get(ch, dead)[1]
    equal((properties.expiration, properties.headers["x-death"][0]["original-expiration"],
           properties.headers["x-death"][0]["reason"]), (None, "100", "expired"))


def retry_loop():
    """Reject, wait in a second queue, come back: the count goes up."""
    ch = channel()
    work, wait = fresh("work"), fresh("wait")
    ch.queue_declare(work, exclusive=True, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait})
    ch.queue_declare(wait, exclusive=True, arguments={
        "x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": work})
    ch.basic_publish("", work, b"x")
    for turn in range(4):
        method, properties, _ = get(ch, work, auto_ack=False)
        deaths = (properties.headers or {}).get("x-death", [])
        equal([d["count"] for d in deaths if d["queue"] == work], [turn] if turn else [])
        ch.basic_reject(method.delivery_tag, requeue=False)


def priorities():
    """Higher first, then older."""
    ch = channel()
    queue = queue_on(ch, max_priority=5)
    ch.confirm_delivery()
    for body, priority in ((b"a", 1), (b"b", 5), (b"c", 3), (b"d", 5), (b"e", None)):
        ch.basic_publish("", queue, body, pika.BasicProperties(priority=priority))
    equal([get(ch, queue)[2] for _ in range(5)], [b"b", b"d", b"c", b"a", b"e"])


def single_active():
    """One of two consumers gets all; the other takes over."""
    ch, other = channel(), channel()
    queue = queue_on(ch, single_active_consumer=True)
    one, two = [], []
    tag = ch.basic_consume(queue, lambda _, m, p, b: one.append(b), auto_ack=True)
    other.basic_consume(queue, lambda _, m, p, b: two.append(b), auto_ack=True)
    for body in (b"1", b"2", b"3"):
        ch.basic_publish("", queue, body)
    serve(connection, 5, lambda: len(one) == 3)
    serve(connection, 0.2)
    equal((len(one), len(two)), (3, 0))
    ch.basic_cancel(tag)
    ch.basic_publish("", queue, b"4")
    serve(connection, 5, lambda: two)
    equal((len(one), len(two)), (3, 1))


def direct_reply_to():
    """A request and its reply without a reply queue."""
    client, server = channel(), channel()
    queue, replies = queue_on(server), []
    client.basic_consume("amq.rabbitmq.reply-to", lambda _, m, p, b: replies.append(
        (p.correlation_id, b)), auto_ack=True)
    client.basic_publish("", queue, b"ask", pika.BasicProperties(
        reply_to="amq.rabbitmq.reply-to", correlation_id="7"))
    properties = get(server, queue)[1]
    assert properties.reply_to.startswith("amq.rabbitmq.reply-to."), properties.reply_to
    server.basic_publish("", properties.reply_to, b"answer", pika.BasicProperties(
        correlation_id=properties.correlation_id))
    serve(connection, 5, lambda: replies)
    equal(replies, [("7", b"answer")])


def copies():
    """CC and BCC."""
    ch = channel()
    one, two, three = queue_on(ch), queue_on(ch), queue_on(ch)
    ch.basic_publish("", one, b"x", pika.BasicProperties(headers={"CC": [two], "BCC": [three]}))
    found = [get(ch, queue) for queue in (one, two, three)]
    equal([sorted(properties.headers) for _, properties, _ in found], [["CC"]] * 3)


def user_id():
    """Another's user-id is refused."""
    def publish():
        ch = channel()
        ch.confirm_delivery()
        ch.basic_publish("", "x", b"x", pika.BasicProperties(user_id="nobody"))
    closes(406, publish)


def transactions():
    """Commit shows all, rollback nothing."""
    ch, other = channel(), channel()
    queue = queue_on(ch)
    ch.tx_select()
    ch.basic_publish("", queue, b"never")
    ch.tx_rollback()
    ch.basic_publish("", queue, b"one")
    ch.basic_publish("", queue, b"two")
    equal(count(other, queue), 0)
    ch.tx_commit()
    equal(count(other, queue), 2)
    ch.basic_ack(get(ch, queue, auto_ack=False)[0].delivery_tag)
    ch.tx_rollback()
    ch.close()
    equal([get(other, queue)[2] for _ in range(2)], [b"one", b"two"])


def alternate():
    """What one exchange can not route goes to the next."""
    ch = channel()
    first, second, queue = fresh("e"), fresh("e"), queue_on(ch)
    ch.exchange_declare(second, "fanout", auto_delete=True)
    ch.exchange_declare(first, "direct", arguments={"alternate-exchange": second})
    ch.queue_bind(queue, second)
    ch.confirm_delivery()
    ch.basic_publish(first, "nowhere", b"x", mandatory=True)
    equal(get(ch, queue)[2], b"x")
    ch.exchange_delete(first)


def consumer_priority():
    """The consumer of higher priority first."""
    ch, other = channel(), channel()
    queue, low, high = queue_on(ch), [], []
    ch.basic_consume(queue, lambda _, m, p, b: low.append(b), auto_ack=True)
    other.basic_consume(queue, lambda _, m, p, b: high.append(b), auto_ack=True,
                        arguments={"x-priority": 5})
    for _ in range(5):
        ch.basic_publish("", queue, b"x")
    serve(connection, 5, lambda: len(low) + len(high) == 5)
    equal((len(low), len(high)), (0, 5))


def capabilities():
    """The broker says what it can do."""
    equal({name for name, there in connection._impl.server_capabilities.items() if there} >= {
        "basic.nack", "publisher_confirms", "connection.blocked", "consumer_cancel_notify",
        "exchange_exchange_bindings", "authentication_failure_close", "per_consumer_qos",
        "direct_reply_to", "consumer_priorities"}, True)


def update_secret():
    """connection.update-secret is answered."""
    own = connect()
    own.update_secret("new", "for the test")
    equal(own.channel().queue_declare("", exclusive=True).method.message_count, 0)
    own.close()


def heartbeats():
    """With one second the connection stays up while it is served, and falls when it is not."""
    own = connect(heartbeat=1)
    serve(own, 4)
    assert own.is_open
    own.channel().queue_declare("", exclusive=True)
    time.sleep(5)
    try:
        own.process_data_events(1)
        own.channel()
    except pika.exceptions.AMQPError:
        return
    raise AssertionError("still open after five silent seconds")


def expires():
    """An unused queue goes."""
    ch = channel()
    queue = queue_on(ch, expires=300)
    time.sleep(1)
    closes(404, lambda: ch.queue_declare(queue, passive=True))


def consume_large():
    """Large messages to a slow reader."""
    ch = channel()
    queue = queue_on(ch)
    ch.confirm_delivery()
    body = bytes(range(256)) * 8192
    for _ in range(8):
        ch.basic_publish("", queue, body)
    found = collect(connection, ch, queue, 8)
    equal([b == body for _, _, b in found], [True] * 8)


for name in ("ttl", "max_length", "dead_letter", "dead_letter_expired", "retry_loop", "priorities",
             "single_active", "direct_reply_to", "copies", "user_id", "transactions", "alternate",
             "consumer_priority", "capabilities", "update_secret", "heartbeats", "expires",
             "consume_large"):
    checks.run(f"pika {name}", globals()[name])
connection.close()
checks.finish()
