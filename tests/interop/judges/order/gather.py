"""Gathering: one request, several responders, one reply with what came by a deadline or a count."""

import time

import pika
from tools import (closed, connect, cut, equal, fresh, make, properties, publish, run, take, until)

DIRECT = "amq.rabbitmq.reply-to"


class Responders:
    """Queues behind one exchange; each request can be answered by hand."""

    def __init__(self, ch, count):
        self.ch, self.exchange = ch, fresh("gather")
        ch.exchange_declare(self.exchange, "fanout")
        self.queues = [make(ch) for _ in range(count)]
        for queue in self.queues:
            ch.queue_bind(queue, self.exchange)

    def ask(self, ch, reply_to, headers, **options):
        """Publishes a request."""
        publish(ch, "", b"question", headers, self.exchange, reply_to=reply_to,
                correlation_id=options.pop("correlation_id", "c-1"), **options)

    def answer(self, number, body, **props):
        """One of them replies, as any responder does."""
        request = take(self.ch, self.queues[number])
        reply_to = request.properties.reply_to
        self.ch.basic_publish("", reply_to, body, pika.BasicProperties(
            correlation_id=request.properties.correlation_id, **props))
        self.ch.basic_ack(request.tag)
        return reply_to


def gathered(got):
    """(bodies, table) of the reply that gathers."""
    told, rest, bodies = got.headers["x-gather-replies"], got.body, []
    for entry in told:
        bodies.append(rest[:entry["bytes"]])
        rest = rest[entry["bytes"]:]
    equal(rest, b"")
    return bodies, told


def by_count(ch):
    """As soon as so many are there; a late one disturbs nobody."""
    responders, inbox = Responders(ch, 3), make(ch)
    began = time.monotonic()
    responders.ask(ch, inbox, {"x-gather-count": 2, "x-gather-timeout": 30000})
    responders.answer(1, b"first", app_id="one", content_type="text/plain")
    responders.answer(0, b"", app_id="two")
    got = take(ch, inbox)
    assert time.monotonic() - began < 5
    bodies, told = gathered(got)
    equal((bodies, [entry.get("app_id") for entry in told]), ([b"first", b""], ["one", "two"]))
    equal((got.headers["x-gather-complete"], got.properties.correlation_id), (True, "c-1"))
    equal(told[0]["content_type"], "text/plain")
    responders.answer(2, b"late")
    time.sleep(0.3)
    equal(ch.basic_get(inbox)[0], None)


def by_deadline(ch):
    """What is there when the time is over."""
    responders, inbox = Responders(ch, 2), make(ch)
    began = time.monotonic()
    responders.ask(ch, inbox, {"x-gather-count": 2, "x-gather-timeout": 700})
    responders.answer(0, b"only")
    got = take(ch, inbox)
    waited = time.monotonic() - began
    assert 0.69 <= waited < 3, f"{waited:.2f} s"
    equal((gathered(got)[0], got.headers["x-gather-complete"]), ([b"only"], False))


def only_a_deadline(ch):
    """All that come until then."""
    responders, inbox = Responders(ch, 3), make(ch)
    responders.ask(ch, inbox, {"x-gather-timeout": 600})
    for number in range(3):
        responders.answer(number, b"%d" % number)
    equal(sorted(gathered(take(ch, inbox))[0]), [b"0", b"1", b"2"])


def nobody_answers(ch):
    """An empty reply tells so."""
    responders, inbox = Responders(ch, 1), make(ch)
    responders.ask(ch, inbox, {"x-gather-count": 1, "x-gather-timeout": 200})
    got = take(ch, inbox)
    equal((got.body, got.headers["x-gather-complete"], got.headers["x-gather-replies"]),
          (b"", False, []))


def several_of_one(ch):
    """A responder that answers twice counts twice."""
    responders, inbox = Responders(ch, 1), make(ch)
    responders.ask(ch, inbox, {"x-gather-count": 2, "x-gather-timeout": 5000})
    reply_to = responders.answer(0, b"a")
    ch.basic_publish("", reply_to, b"b", pika.BasicProperties(correlation_id="c-1"))
    equal(gathered(take(ch, inbox))[0], [b"a", b"b"])


def to_a_direct_reply(ch):
    """The requester waits by direct reply-to."""
    responders, got = Responders(ch, 2), []
    connection = connect()
    channel = connection.channel()
    channel.basic_consume(DIRECT, lambda c, m, p, b: got.append((p, b)), auto_ack=True)
    channel.basic_publish(responders.exchange, "", b"q", properties(
        {"x-gather-count": 2}, reply_to=DIRECT, correlation_id="c-7"))
    for number in range(2):
        responders.answer(number, b"r%d" % number)
    until(lambda: (connection.process_data_events(0.02), got)[1])
    equal((got[0][1], got[0][0].correlation_id, got[0][0].headers["x-gather-complete"]),
          (b"r0r1", "c-7", True))
    connection.close()


def requester_gone(ch):
    """Its connection is cut: the responders notice nothing."""
    responders = Responders(ch, 1)
    connection = connect()
    channel = connection.channel()
    channel.basic_consume(DIRECT, lambda *_: None, auto_ack=True)
    channel.basic_publish(responders.exchange, "", b"q", properties(
        {"x-gather-count": 1, "x-gather-timeout": 60000}, reply_to=DIRECT))
    request = take(ch, responders.queues[0])
    cut(connection)
    time.sleep(0.2)
    publish(ch, request.properties.reply_to, b"r", mandatory=False)
    ch.basic_ack(request.tag)


def many_at_once(ch):
    """Two hundred requests, each with its own replies."""
    responders, inbox = Responders(ch, 2), make(ch)
    for number in range(200):
        responders.ask(ch, inbox, {"x-gather-count": 2, "x-gather-timeout": 20000},
                       correlation_id=f"c-{number}")
    for queue in (1, 0):
        for _ in range(200):
            request = take(ch, responders.queues[queue])
            ch.basic_publish("", request.properties.reply_to, b"%d:%s;" % (
                queue, request.properties.correlation_id.encode()),
                pika.BasicProperties(correlation_id=request.properties.correlation_id))
            ch.basic_ack(request.tag)
    found = {}
    for _ in range(200):
        got = take(ch, inbox)
        found[got.properties.correlation_id] = got.body
    equal(found, {f"c-{n}": b"1:c-%d;0:c-%d;" % (n, n) for n in range(200)})


def splitter(ch):
    """Parts of one document, worked on by competing consumers, come back as one."""
    work, inbox, responders = make(ch), make(ch), Responders(ch, 0)
    ch.queue_bind(work, responders.exchange)
    responders.ask(ch, inbox, {"x-gather-count": 4, "x-gather-timeout": 10000})
    request = take(ch, work)
    for part in (b"one ", b"two ", b"three ", b"four"):
        ch.basic_publish("", request.properties.reply_to, part,
                         pika.BasicProperties(correlation_id=request.properties.correlation_id))
    equal(take(ch, inbox).body, b"one two three four")


def nobody_guesses(ch):
    """The address that responders see is not the requester's, and differs from time to time."""
    responders, inbox = Responders(ch, 1), make(ch)
    seen = set()
    for _ in range(5):
        responders.ask(ch, inbox, {"x-gather-count": 1, "x-gather-timeout": 5000})
        seen.add(responders.answer(0, b"x"))
        take(ch, inbox)
    equal((len(seen), inbox in seen, min(map(len, seen)) >= 20), (5, False, True))


def bad_ones(ch):
    """406, and nothing is published."""
    queue = make(ch)
    for headers, reply_to in (
            ({"x-gather-count": 2}, None), ({"x-gather-count": 0}, "r"),
            ({"x-gather-count": -1}, "r"), ({"x-gather-count": 10001}, "r"),
            ({"x-gather-count": "2"}, "r"), ({"x-gather-timeout": 0}, "r"),
            ({"x-gather-timeout": 86400001}, "r"), ({"x-gather-timeout": None}, "r"),
            ({"x-gather-count": 1, "x-gather-timeout": 1.5}, "r")):
        other = ch.connection.channel()
        code, _ = closed(lambda: publish(other, queue, b"x", headers, reply_to=reply_to))
        equal((headers, code), (headers, 406))
    equal(ch.queue_declare(queue, passive=True).method.message_count, 0)


run("gather", ours=(
    by_count, by_deadline, only_a_deadline, nobody_answers, several_of_one, to_a_direct_reply,
    requester_gone, many_at_once, splitter, nobody_guesses, bad_ones))
