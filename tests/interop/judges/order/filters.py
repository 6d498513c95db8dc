"""Filters at work: who gets what, what waits, what may not explode."""

import socket
import struct
import time

import pika
from tools import (Team, closed, connect, equal, fresh, make, pair, properties, publish, ready,
                   returned, run, send, take, until)

# Of `struct tcp_info`: as much of it as is read, and where `tcpi_bytes_received` is.
TCP_INFO_BYTES, TCP_INFO_RECEIVED_AT = 192, 128
RED, BLUE = {"x-filter": "colour = 'red'"}, {"x-filter": "colour = 'blue'"}
EXPLODING = {
    "deep parentheses": "(" * 5000 + "a = 1" + ")" * 5000,
    "deep nots": "NOT " * 5000 + "a = 1",
    "deep signs": "-" * 5000 + "a = 1",
    "a long sum": "a = 1" + " + 1" * 20000,
    "a long list": "a IN (" + ", ".join(f"'{n}'" for n in range(15000)) + ")",
    "many ors": " OR ".join(f"a = {n}" for n in range(8000)),
    "a long text": "a = '" + "x" * 100000 + "'",
    "a long name": "x" * 100000 + " = 1",
    "a long pattern": "a LIKE '" + "%a" * 40000 + "'",
    "a huge number": "a = " + "9" * 5000,
    "a huge exponent": "a < 1E999999999",
    "only spaces and a mistake": " " * 100000 + "=",
}


def colours(ch, queue, *names):
    """`red.1` is a message with that colour."""
    for name in names:
        send(ch, queue, name, headers={"colour": name.split(".")[0]})


def taken(queue, prefetch=0, **arguments):
    """(team, its one consumer with these arguments)."""
    team = Team()
    return team, team.join(queue, prefetch, arguments=arguments)


def only_what_it_wants(ch):
    """Before and after it came; the rest stays ready."""
    queue = make(ch)
    colours(ch, queue, "blue.1", "red.1", "blue.2")
    team, one = taken(queue, **RED)
    team.wait(1)
    colours(ch, queue, "red.2", "blue.3")
    team.wait(2)
    team.quiet()
    equal((team.names(), ready(ch, queue)), (["red.1", "red.2"], 3))
    team.close()


def bytes_received(member):
    """Bytes that its socket has got, as the kernel counts them."""
    sock = member.connection._impl._transport._sock
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    return struct.unpack_from("=Q", info, TCP_INFO_RECEIVED_AT)[0]


def what_it_does_not_want_is_not_sent(ch):
    """A mebibyte that it does not want is not a byte of its socket's."""
    queue = make(ch)
    team, one = taken(queue, **RED)
    colours(ch, queue, "red.1")
    team.wait(1)
    before = bytes_received(one)
    for number in range(64):
        publish(ch, queue, b"blue.%d." % number + b"x" * 16384, {"colour": "blue"})
    team.quiet()
    equal(bytes_received(one) - before, 0)
    colours(ch, queue, "red.2")
    team.wait(2)
    assert 0 < bytes_received(one) - before < 300, bytes_received(one) - before
    equal(ready(ch, queue), 64)
    team.close()


def each_its_own(ch):
    """Two filters and one without any: all is taken, each by one that wants it."""
    queue, team = make(ch), Team()
    red = team.join(queue, 100, arguments=RED)
    blue = team.join(queue, 100, arguments=BLUE)
    colours(ch, queue, *(f"{colour}.{n}" for n in range(20) for colour in ("red", "blue", "green")))
    team.wait(40)
    rest = team.join(queue, 100)
    team.wait(60)
    equal([{got.key for got in member.got} for member in (red, blue, rest)],
          [{"red"}, {"blue"}, {"green"}])
    for member in (red, blue, rest):
        equal([int(got.number) for got in member.got], list(range(20)))
    team.close()


def given_back_goes_to_who_wants_it(ch):
    """Not to one whose filter refuses it."""
    queue, team = make(ch), Team()
    red = team.join(queue, 1, arguments=RED)
    team.join(queue, 10, arguments=BLUE)
    colours(ch, queue, "red.1")
    team.wait(1)
    red.back(team.got[0])
    team.wait(2)
    equal([got.member for got in team.got], [red, red])
    red.kill()
    team.quiet()
    equal(ready(ch, queue), 1)
    again = team.join(queue, 1, arguments=RED)
    team.wait(3)
    equal(team.got[2].member is again and team.got[2].redelivered, True)
    team.close()


def full_prefetch(ch):
    """What it wants waits for it; others' goes on."""
    queue, team = make(ch), Team()
    red, blue = team.join(queue, 1, arguments=RED), team.join(queue, 5, arguments=BLUE)
    colours(ch, queue, "red.1", "red.2", "blue.1", "red.3", "blue.2")
    team.wait(3)
    team.quiet()
    equal((red.names(), blue.names()), (["red.1"], ["blue.1", "blue.2"]))
    red.ack()
    team.wait(4)
    equal(red.names(), ["red.1", "red.2"])
    team.close()


def single_active(ch):
    """The active one takes what it wants; the rest waits for the next that takes it."""
    queue, team = make(ch, single_active_consumer=True), Team()
    one = team.join(queue, 10, arguments=RED)
    two = team.join(queue, 10)
    colours(ch, queue, "blue.1", "red.1", "blue.2")
    team.wait(1)
    team.quiet()
    equal((one.names(), two.names()), (["red.1"], []))
    one.ack()
    one.cancel()
    team.wait(3)
    equal(two.names(), ["blue.1", "blue.2"])
    team.close()


def with_priorities(ch):
    """The highest that it wants comes first."""
    queue = make(ch, max_priority=9)
    for colour, number, level in (("red", 1, 1), ("blue", 1, 9), ("red", 2, 5), ("red", 3, 9)):
        send(ch, queue, f"{colour}.{number}", headers={"colour": colour}, priority=level)
    team, one = taken(queue, prefetch=1, **RED)
    team.on_message = lambda got: got.member.ack(got)
    team.wait(3)
    equal(team.names(), ["red.3", "red.2", "red.1"])
    team.close()


def consumer_priorities(ch):
    """The higher one gets what both want; what only the lower one wants is the lower one's."""
    queue, team = make(ch), Team()
    low = team.join(queue, 10)
    high = team.join(queue, 10, arguments={**RED, "x-priority": 5})
    colours(ch, queue, "red.1", "blue.1", "red.2")
    team.wait(3)
    equal((low.names(), high.names()), (["blue.1"], ["red.1", "red.2"]))
    team.close()


def expiry_is_not_filtered(ch):
    """What nobody wants expires like anything else."""
    queue, dead = pair(ch, message_ttl=300)
    team, _ = taken(queue, **RED)
    colours(ch, queue, "blue.1", "blue.2")
    equal([take(ch, dead).body for _ in range(2)], [b"blue.1", b"blue.2"])
    team.close()


def get_is_not_filtered(ch):
    """basic.get takes the oldest, and purge takes all."""
    queue = make(ch)
    team, _ = taken(queue, **RED)
    colours(ch, queue, "blue.1", "blue.2", "blue.3")
    equal((take(ch, queue).body, ch.queue_purge(queue).method.message_count), (b"blue.1", 2))
    team.close()


def far_behind(ch):
    """One wanted message behind five thousand that are not."""
    queue = make(ch)
    other = ch.connection.channel()
    other.tx_select()
    for number in range(5000):
        other.basic_publish("", queue, b"blue.%d" % number,
                            properties({"colour": "blue"}, delivery_mode=1))
    other.tx_commit()
    colours(ch, queue, "red.1")
    began = time.monotonic()
    team, one = taken(queue, **RED)
    team.wait(1)
    assert time.monotonic() - began < 3, f"{time.monotonic() - began:.1f} s"
    colours(ch, queue, "red.2")
    team.wait(2)
    equal((team.names(), ready(ch, queue)), (["red.1", "red.2"], 5000))
    team.close()


def many_filters(ch):
    """Three hundred consumers, each with a value of its own, on one queue."""
    queue, connection, got = make(ch), connect(), []
    reader = connection.channel()
    for number in range(300):
        reader.basic_consume(
            queue, lambda c, m, p, body, number=number: got.append((number, body)), auto_ack=True,
            arguments={"x-filter": f"customer = 'c{number}' AND TRUE"})
    for number in range(0, 300, 3):
        publish(ch, queue, b"%d" % number, {"customer": f"c{number}"})
    publish(ch, queue, b"none", {"customer": "nobody"})
    until(lambda: (connection.process_data_events(0), len(got) >= 100)[1])
    equal((sorted(got), ready(ch, queue)), ([(n, b"%d" % n) for n in range(0, 300, 3)], 1))
    connection.close()


def without_acks_and_exclusive(ch):
    """A filter goes with both."""
    queue = make(ch)
    team = Team()
    team.join(queue, auto_ack=True, exclusive=True, arguments=RED)
    colours(ch, queue, "blue.1", "red.1")
    team.wait(1)
    team.quiet(0.2)
    equal(team.names(), ["red.1"])
    team.close()


def bound(ch, kind, key="", arguments=None, exchange=None):
    """(exchange, queue) with a binding."""
    exchange = exchange or fresh("filters")
    ch.exchange_declare(exchange, kind, durable=True)
    queue = make(ch)
    ch.queue_bind(queue, exchange, key, arguments)
    return exchange, queue


def every_exchange_type(ch):
    """The key or the headers must match as usual, and the filter must be true."""
    for kind, key, other, criteria in (("direct", "k", "l", {}), ("topic", "k.*", "l.l", {}),
                                       ("fanout", "k", None, {}), ("headers", "", None, {
                                           "x-match": "all", "a": 1})):
        exchange, queue = bound(ch, kind, key, {**criteria, **RED})
        sent = key.replace("*", "x")
        messages = [("red", sent), ("blue", sent)] + ([("red", other)] if other else [])
        for colour, routing in messages:
            publish(ch, routing, b"x", {"colour": colour, "a": 1}, exchange, mandatory=False)
        equal((kind, ready(ch, queue)), (kind, 1))


def headers_of_a_headers_exchange(ch):
    """x-filter is no criterion of a headers exchange."""
    exchange, queue = bound(ch, "headers", "", {"x-match": "all", **RED})
    publish(ch, "", b"x", {"colour": "red"}, exchange)
    equal(ready(ch, queue), 1)


def unrouted_comes_back(ch):
    """A mandatory message that every filter refuses."""
    exchange, _ = bound(ch, "fanout", "", RED)
    equal(returned(lambda: publish(ch, "", b"x", {"colour": "blue"}, exchange))[0], 312)


def alternate_takes_the_rest(ch):
    """An alternate exchange gets what the filters refuse."""
    other, rest = bound(ch, "fanout")
    exchange, queue = fresh("filters"), make(ch)
    ch.exchange_declare(exchange, "direct", arguments={"alternate-exchange": other})
    ch.queue_bind(queue, exchange, "k", RED)
    for colour in ("red", "blue"):
        publish(ch, "k", b"x", {"colour": colour}, exchange)
    equal((ready(ch, queue), ready(ch, rest)), (1, 1))


def between_exchanges(ch):
    """On a binding from exchange to exchange."""
    second, queue = bound(ch, "fanout")
    first = fresh("filters")
    ch.exchange_declare(first, "topic")
    ch.exchange_bind(second, first, "#", RED)
    for colour in ("red", "blue"):
        publish(ch, "a.b", b"x", {"colour": colour}, first, mandatory=False)
    equal(ready(ch, queue), 1)


def several_of_one_queue(ch):
    """Each filter is a binding of its own; the queue gets one copy; unbind takes one away."""
    exchange, queue = bound(ch, "direct", "k", RED)
    ch.queue_bind(queue, exchange, "k", {"x-filter": "size > 5"})
    for colour, size in (("red", 9), ("blue", 9), ("red", 1), ("blue", 1)):
        publish(ch, "k", b"x", {"colour": colour, "size": size}, exchange, mandatory=False)
    equal(ready(ch, queue), 3)
    ch.queue_unbind(queue, exchange, "k", RED)
    ch.queue_purge(queue)
    publish(ch, "k", b"x", {"colour": "red", "size": 1}, exchange, mandatory=False)
    publish(ch, "k", b"x", {"colour": "red", "size": 6}, exchange, mandatory=False)
    equal(ready(ch, queue), 1)


def changes_count_at_once(ch):
    """A route that was used before does not outlive a new binding or filter."""
    exchange, queue = bound(ch, "topic", "k")
    for _ in range(3):
        publish(ch, "k", b"x", {"colour": "blue"}, exchange)
    ch.queue_unbind(queue, exchange, "k")
    ch.queue_bind(queue, exchange, "k", RED)
    for colour in ("blue", "red", "blue"):
        publish(ch, "k", b"x", {"colour": colour}, exchange, mandatory=False)
    equal(ready(ch, queue), 4)


def exploding(ch):
    """Refused at once, or compiled and bounded; the broker goes on."""
    queue = make(ch)
    for name, text in EXPLODING.items():
        began, connection = time.monotonic(), connect()
        try:
            code, _ = closed(lambda: connection.channel().basic_consume(
                queue, lambda *_: None, arguments={"x-filter": text}))
            equal((name, code), (name, 406))
        except AssertionError as error:
            assert "no channel error" in str(error), error
        except pika.exceptions.ConnectionClosedByBroker as error:
            raise AssertionError(f"{name}: {error}") from None
        assert time.monotonic() - began < 2, f"{name}: {time.monotonic() - began:.1f} s"
        connection.close()
        publish(ch, queue, b"x", {"a": "1"})


def backtracking(ch):
    """LIKE with many % takes no time that doubles with each."""
    queue, sent = make(ch), 0
    pattern = "%a" * 25 + "%b"
    try:
        team, one = taken(queue, **{"x-filter": f"t LIKE '{pattern}'"})
    except pika.exceptions.ChannelClosedByBroker as error:
        equal(error.reply_code, 406)
        return
    began = time.monotonic()
    for _ in range(50):
        publish(ch, queue, b"no.1", {"t": "a" * 20000})
        sent += 1
    publish(ch, queue, b"yes.1", {"t": "a" * 100 + "b"})
    team.wait(1)
    assert time.monotonic() - began < 5, f"{time.monotonic() - began:.1f} s"
    equal((team.names(), ready(ch, queue)), (["yes.1"], sent))
    team.close()


run("filters", ours=(
    only_what_it_wants, what_it_does_not_want_is_not_sent, each_its_own,
    given_back_goes_to_who_wants_it, full_prefetch, single_active, with_priorities,
    consumer_priorities, expiry_is_not_filtered, get_is_not_filtered, far_behind, many_filters,
    without_acks_and_exclusive, every_exchange_type, headers_of_a_headers_exchange,
    unrouted_comes_back, alternate_takes_the_rest, between_exchanges, several_of_one_queue,
    changes_count_at_once, exploding, backtracking))
