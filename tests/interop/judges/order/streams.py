"""Streams with pika: where readers begin, what is kept, many readers, a broker that is killed."""

import datetime
import time

import pika
from tools import (Team, connect, equal, fresh, make, owner, policy, publish,
                   ready, run, until)


def stream(ch, **settings):
    """A stream with these arguments."""
    return make(ch, queue_type="stream", **settings)


def append(ch, queue, *bodies):
    """Each confirmed before the next."""
    for body in bodies:
        publish(ch, queue, body.encode() if isinstance(body, str) else body)


def read(queue, offset=None, count=0, prefetch=100, acks=True, **more):
    """(team, reader) from there, after `count` messages have come."""
    team = Team((lambda got: got.member.ack(got)) if acks else None)
    told = {} if offset is None else {"x-stream-offset": offset}
    reader = team.join(queue, prefetch, arguments={**told, **more})
    team.wait(count)
    return team, reader


def offsets_of(reader):
    """The header of each that came."""
    return [got.headers["x-stream-offset"] for got in reader.got]


def numbered(count, first=0):
    """Bodies that the team can tell apart."""
    return [f"s.{number}" for number in range(first, first + count)]


def from_every_offset(ch):
    """first, a number, a time that is past."""
    queue = stream(ch)
    append(ch, queue, *numbered(20))
    past = datetime.datetime(2001, 1, 1)
    for offset, first in (("first", 0), (0, 0), (7, 7), (19, 19), (past, 0)):
        team, reader = read(queue, offset, 20 - first)
        equal((offset, offsets_of(reader)), (offset, list(range(first, 20))))
        equal(team.names(), numbered(20 - first, first))
        team.close()


def next_and_none(ch):
    """Only what comes later."""
    queue = stream(ch)
    append(ch, queue, *numbered(3))
    for number, offset in enumerate(("next", None, 1000)):
        team, reader = read(queue, offset)
        team.quiet(0.3)
        append(ch, queue, f"s.{3 + number}")
        if offset != 1000:
            team.wait(1)
            equal(offsets_of(reader), [3 + number])
        team.close()


def last(ch):
    """The end of what is there, and on."""
    queue = stream(ch)
    append(ch, queue, *numbered(10))
    team, reader = read(queue, "last", 1)
    append(ch, queue, "s.10")
    until(lambda: (team.serve(), reader.got[-1].number == "10")[1])
    found = offsets_of(reader)
    equal(found, list(range(found[0], 11)))
    assert found[0] <= 9
    team.close()


def by_time(ch):
    """A time between two groups of messages: all of the second, and nothing long before."""
    queue = stream(ch)
    append(ch, queue, *numbered(5))
    time.sleep(2.1)
    between = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    time.sleep(1.1)
    append(ch, queue, *numbered(5, 5))
    team, reader = read(queue, between.replace(tzinfo=None), 5)
    found = offsets_of(reader)
    assert found[-1] == 9 and found == list(range(found[0], 10)), found
    # RabbitMQ begins with the chunk that has the time in it.
    assert found[0] == 5, found
    team.close()


def many_readers(ch):
    """Sixty readers, each at its own place, all get all that is theirs in order."""
    queue = stream(ch)
    append(ch, queue, *numbered(60))
    team = Team(lambda got: got.member.ack(got))
    connection, got = connect(), {}
    reader = connection.channel()
    reader.basic_qos(prefetch_count=7)
    for place in range(60):
        def note(c, method, props, body, place=place):
            got.setdefault(place, []).append(props.headers["x-stream-offset"])
            c.basic_ack(method.delivery_tag)
        reader.basic_consume(queue, note, arguments={"x-stream-offset": place})
    append(ch, queue, *numbered(10, 60))
    wanted = {place: list(range(place, 70)) for place in range(60)}
    until(lambda: (connection.process_data_events(0), sum(map(len, got.values())) ==
                   sum(map(len, wanted.values())))[1], 20)
    equal(got, wanted)
    connection.close()
    team.close()


def nothing_is_taken(ch):
    """Readers leave no trace, whatever they ack."""
    queue = stream(ch)
    append(ch, queue, *numbered(10))
    for _ in range(3):
        team, _ = read(queue, "first", 10)
        team.close()
    until(lambda: ready(ch, queue) == 10)


def unsettled_limit(ch):
    """The prefetch is the credit; every ack is worth one more."""
    queue = stream(ch)
    append(ch, queue, *numbered(10))
    team, reader = read(queue, "first", 3, prefetch=3, acks=False)
    team.quiet()
    reader.ack(reader.got[0])
    team.wait(4)
    team.quiet()
    reader.ch.basic_ack(reader.got[3].tag, multiple=True)
    team.wait(7)
    team.quiet()
    equal(offsets_of(reader), list(range(7)))
    team.close()


def large_messages(ch):
    """Bodies of all sizes, byte for byte."""
    queue = stream(ch)
    bodies = [b"s.%d" % size + b"x" * size for size in (0, 1, 4000, 200000, 1500000)]
    append(ch, queue, *bodies)
    team, got = Team(), []
    connection = connect()
    reader = connection.channel()
    reader.basic_qos(prefetch_count=10)
    reader.basic_consume(queue, lambda c, m, p, body: got.append(body),
                         arguments={"x-stream-offset": "first"})
    until(lambda: (connection.process_data_events(0), len(got) == 5)[1])
    equal([body == sent for body, sent in zip(got, bodies)], [True] * 5)
    connection.close()
    team.close()


def single_of_a_topic(ch):
    """A stream takes a copy of what other queues get, and history is there for who comes later."""
    queue, log, exchange = make(ch), stream(ch), fresh("order")
    ch.exchange_declare(exchange, "topic")
    for name in (queue, log):
        ch.queue_bind(name, exchange, "orders.#")
    for number in range(5):
        publish(ch, f"orders.{number}", b"s.%d" % number, exchange=exchange)
    for _ in range(5):
        ch.basic_get(queue, auto_ack=True)
    team, reader = read(log, "first", 5)
    equal([got.number for got in reader.got], list("01234"))
    team.close()


def size_is_kept(ch):
    """The oldest leave; the newest are there; offsets go on; a reader of what left goes on."""
    queue = stream(ch, max_length_bytes=200000, stream_max_segment_size_bytes=50000)
    append(ch, queue, *(b"s.%d" % number + b" " * 10000 for number in range(60)))
    until(lambda: ready(ch, queue) < 60, what="retention")
    kept = ready(ch, queue)
    assert 10 <= kept <= 30, f"{kept} of 10,000 bytes kept, limit 200,000 and segments of 50,000"
    team, reader = read(queue, "first", kept)
    found = offsets_of(reader)
    equal(found, list(range(60 - kept, 60)))
    team.close()
    team, reader = read(queue, 0, kept)
    equal(offsets_of(reader)[0], 60 - kept)
    team.close()


def precise_size(ch):
    """Without a segment size the limit is kept closely, and the newest is never dropped."""
    queue = stream(ch, max_length_bytes=1000)
    append(ch, queue, *(b"s.%d" % number + b" " * 300 for number in range(20)))
    append(ch, queue, b"s.20" + b" " * 5000)
    until(lambda: ready(ch, queue) == 1, what="retention")
    team, reader = read(queue, "first", 1)
    equal(offsets_of(reader), [20])
    team.close()


def age_is_kept(ch):
    """What is too old leaves by time, without a publish; the newest may stay."""
    queue = stream(ch, max_age="2s")
    append(ch, queue, *numbered(10))
    time.sleep(1.2)
    append(ch, queue, *numbered(3, 10))
    equal(ready(ch, queue), 13)
    until(lambda: ready(ch, queue) == 3, 6, "retention by age")
    until(lambda: ready(ch, queue) <= 1, 6, "retention by age")


def policies_of_streams(ch):
    """max-length-bytes and max-age of a policy, for streams only."""
    queue, other = stream(ch), make(ch)
    append(ch, queue, *(b"s.%d" % number + b" " * 1000 for number in range(20)))
    publish(ch, other, b"x" * 30000)
    policy(f"^({queue}|{other})$", {"max-length-bytes": 5000}, **{"apply-to": "streams"})
    until(lambda: ready(ch, queue) <= 5, what="the policy's size")
    equal(ready(ch, other), 1)
    policy(f"^{queue}$", {"max-age": "1s"}, priority=9, **{"apply-to": "streams"})
    until(lambda: ready(ch, queue) <= 1, 6, "the policy's age")


def filtered_reader(ch):
    """It gets only what its filter takes, from the place where it began."""
    queue = stream(ch)
    for number in range(100):
        publish(ch, queue, b"s.%d" % number, {"third": number % 3 == 0})
    team, reader = read(queue, 10, 30, prefetch=5, **{"x-filter": "third"})
    team.quiet(0.2)
    equal(offsets_of(reader), list(range(12, 100, 3)))
    publish(ch, queue, b"s.100", {"third": False})
    publish(ch, queue, b"s.101", {"third": True})
    team.wait(31)
    equal(offsets_of(reader)[-1], 101)
    team.close()


def transient_messages_stay(ch):
    """A stream keeps what says it needs no keeping, and nothing expires by itself."""
    with owner() as broker:
        other = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.port))
        channel = other.channel()
        queue = stream(channel)
        for number in range(5):
            publish(channel, queue, b"s.%d" % number, delivery_mode=1, expiration="1")
        broker.restart()
        other = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.port))
        until(lambda: ready(other.channel(), queue) == 5)


def killed(ch):
    """After a kill: same messages, same offsets, same times; offsets go on from there."""
    with owner() as broker:
        def again():
            other = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.port))
            return other, other.channel()

        other, channel = again()
        queue = stream(channel, max_length_bytes=100000, stream_max_segment_size_bytes=10000)
        append(channel, queue, *(b"s.%d" % number + b" " * 1000 for number in range(300)))
        until(lambda: ready(channel, queue) < 300)
        kept = ready(channel, queue)
        time.sleep(2.1)
        between = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0, tzinfo=None)
        time.sleep(1.1)
        append(channel, queue, *numbered(3, 300))
        broker.restart()
        other, channel = again()
        assert ready(channel, queue) in range(kept - 10, kept + 4), (ready(channel, queue), kept)
        for offset, first in ((290, 290), (302, 302), (between, 300)):
            got = []
            reader = other.channel()
            reader.basic_qos(prefetch_count=1000)
            reader.basic_consume(queue, lambda c, m, p, b: got.append(p.headers["x-stream-offset"]),
                                 arguments={"x-stream-offset": offset})
            until(lambda: (other.process_data_events(0), len(got) >= 303 - first)[1])
            equal((offset, got), (offset, list(range(first, 303))))
        append(channel, queue, "s.303")
        until(lambda: (other.process_data_events(0), got[-1] == 303)[1])
        other.close()


STOCK = (from_every_offset, next_and_none, last, by_time, many_readers, nothing_is_taken,
         unsettled_limit, large_messages, single_of_a_topic)
OURS = (size_is_kept, precise_size, age_is_kept, policies_of_streams, filtered_reader,
        transient_messages_stay, killed)
run("streams", STOCK, OURS)
