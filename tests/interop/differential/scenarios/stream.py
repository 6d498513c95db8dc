"""Streams: declarations, refusals, where a reader begins, credit, counts, and what never ends."""

from scenario import cases, scenario

STREAM = {"x-queue-type": "stream"}
DURABLE = {"delivery-mode": 2}
ARGUMENTS = {
    "plain": {},
    "ttl": {"x-message-ttl": 1000}, "expires": {"x-expires": 60000},
    "length": {"x-max-length": 10}, "bytes": {"x-max-length-bytes": 1000000},
    "bytes_text": {"x-max-length-bytes": "1k"}, "bytes_negative": {"x-max-length-bytes": -1},
    "bytes_zero": {"x-max-length-bytes": 0},
    "overflow": {"x-overflow": "drop-head"}, "dlx": {"x-dead-letter-exchange": ""},
    "dlk": {"x-dead-letter-routing-key": "k"},
    "priority": {"x-max-priority": 5}, "single": {"x-single-active-consumer": True},
    "single_off": {"x-single-active-consumer": False},
    "mode": {"x-queue-mode": "lazy"}, "version": {"x-queue-version": 2},
    "delivery_limit": {"x-delivery-limit": 3},
    "strategy": {"x-dead-letter-strategy": "at-most-once"},
    "memory": {"x-max-in-memory-length": 5},
    "master": {"x-queue-master-locator": "min-masters"},
    "age": {"x-max-age": "7D"}, "age_year": {"x-max-age": "1Y"}, "age_month": {"x-max-age": "2M"},
    "age_hour": {"x-max-age": "3h"}, "age_minute": {"x-max-age": "4m"},
    "age_second": {"x-max-age": "5s"}, "age_zero": {"x-max-age": "0s"},
    "age_number": {"x-max-age": 5}, "age_no_unit": {"x-max-age": "5"},
    "age_bad_unit": {"x-max-age": "5x"}, "age_negative": {"x-max-age": "-5h"},
    "age_fraction": {"x-max-age": "1.5h"}, "age_blank": {"x-max-age": "5 h"},
    "age_empty": {"x-max-age": ""}, "age_letters": {"x-max-age": "day"},
    "age_two": {"x-max-age": "1h30m"},
    "segment": {"x-stream-max-segment-size-bytes": 100000},
    "segment_zero": {"x-stream-max-segment-size-bytes": 0},
    "segment_negative": {"x-stream-max-segment-size-bytes": -1},
    "segment_text": {"x-stream-max-segment-size-bytes": "1MB"},
    "segment_large": {"x-stream-max-segment-size-bytes": ("l", 5000000000)},
    "cluster": {"x-initial-cluster-size": 1}, "cluster_large": {"x-initial-cluster-size": 9},
    "cluster_zero": {"x-initial-cluster-size": 0}, "cluster_text": {"x-initial-cluster-size": "1"},
    "leader_local": {"x-queue-leader-locator": "client-local"},
    "leader_least": {"x-queue-leader-locator": "least-leaders"},
    "leader_balanced": {"x-queue-leader-locator": "balanced"},
    "leader_unknown": {"x-queue-leader-locator": "no-such"},
    "leader_number": {"x-queue-leader-locator": 1},
    "own": {"x-own": "kept"},
}


def stream(s, channel, short="q", **arguments):
    """A stream, not written down; returns its name."""
    return s.queue(channel, short, durable=True, arguments={**STREAM, **arguments})


def filled(s, bodies="abcde", **arguments):
    """(channel, stream) with messages, each appended by itself, so each is a chunk of its own."""
    channel = s.channel()
    name = stream(s, channel, **arguments)
    channel.connection.put(1, "confirm.select")
    channel.connection.take(1)
    for body in bodies:
        append(channel, name, body)
    return channel, name


def append(channel, name, body, props=DURABLE):
    """One more, confirmed; the channel confirms already. Only a refusal is written down."""
    before = len(channel.connection.session.lines)
    channel.publish(body, key=name, props=props)
    event = channel.connection.take(1)
    if event is not None and event.name == "basic.ack":
        del channel.connection.session.lines[before:]
    else:
        channel.connection.say(1, "<", event.show() if event else "(no confirm)")


def reader(s, name, offset=None, prefetch=10, **options):
    """A channel that reads from there."""
    channel = s.channel()
    channel.connection.put(1, "basic.qos", prefetch_count=prefetch)
    channel.connection.take(1)
    arguments = {} if offset is None else {"x-stream-offset": offset}
    channel.call("basic.consume", queue=name, consumer_tag="r", arguments=arguments, **options)
    return channel


@cases({name: (value,) for name, value in ARGUMENTS.items()})
def declare_with(s, arguments):
    """Which arguments a stream takes."""
    s.channel().call("queue.declare", queue=s.name("q"), durable=True,
                     arguments={**STREAM, **arguments})


@cases({"transient": {}, "exclusive": {"durable": True, "exclusive": True},
        "auto_delete": {"durable": True, "auto_delete": True},
        "all": {"exclusive": True, "auto_delete": True},
        "unnamed": {"durable": True, "queue": ""}})
def declare_flags(s, flags):
    """A stream is durable, nobody's own, and stays."""
    s.channel().call("queue.declare", **{"queue": s.name("q"), "arguments": STREAM, **flags})


@cases({"same": ({"x-max-age": "1D"},), "other_age": ({"x-max-age": "2D"},),
        "no_age": ({},), "other_bytes": ({"x-max-age": "1D", "x-max-length-bytes": 5},),
        "same_age_other_words": ({"x-max-age": "24h"},),
        "segment": ({"x-max-age": "1D", "x-stream-max-segment-size-bytes": 5000},),
        "classic": ({"x-queue-type": "classic", "x-max-age": "1D"},),
        "quorum": ({"x-queue-type": "quorum"},)})
def redeclare(s, arguments):
    """A second declare that differs."""
    channel = s.channel()
    name = stream(s, channel, **{"x-max-age": "1D"})
    channel.call("queue.declare", queue=name, durable=True, arguments={**STREAM, **arguments})


@cases({"age": {"x-max-age": "1D"}, "segment": {"x-stream-max-segment-size-bytes": 5000},
        "cluster": {"x-initial-cluster-size": 1},
        "leader": {"x-queue-leader-locator": "client-local"}})
def classic_with(s, arguments):
    """What belongs to streams on a classic queue."""
    s.channel().call("queue.declare", queue=s.name("q"), durable=True, arguments=arguments)


@scenario
def counts(s):
    """Messages stay; a passive declare says how many."""
    channel, name = filled(s, "abc")
    channel.count(name, 3)
    one = reader(s, name, "first")
    one.expect(3)
    one.send("basic.ack", delivery_tag=3, multiple=True)
    channel.count(name, 3)


@cases({"no_prefetch": (None, {}), "no_ack": (5, {"no_ack": True}),
        "exclusive": (5, {"exclusive": True}), "usual": (5, {}),
        "both": (None, {"no_ack": True})})
def consume_refusals(s, prefetch, options):
    """A reader needs a prefetch, and acks."""
    channel, name = filled(s, "a")
    if prefetch:
        channel.call("basic.qos", prefetch_count=prefetch)
    event = channel.call("basic.consume", queue=name, consumer_tag="r", **options)
    if event.name == "basic.consume-ok":
        channel.quiet(0.5)


@scenario
def consume_global_prefetch(s):
    """A prefetch of the whole channel is none of the reader."""
    channel, name = filled(s, "a")
    channel.call("basic.qos", prefetch_count=5, **{"global": True})
    channel.call("basic.consume", queue=name, consumer_tag="r")


@cases({"first": "first", "last": "last", "next": "next", "none": None, "zero": 0, "two": 2,
        "most": 4, "beyond": 5, "far_beyond": 1000, "negative": -1,
        "byte": (("b", 3),), "long": (("l", 3),), "unsigned": (("i", 3),),
        "long_ago": (("T", 1000000000),), "to_come": (("T", 4000000000),),
        "hour_ago": "1h", "day_ago": "1D", "unknown": "no-such", "empty": "",
        "digits": "2", "capital": "First", "bad_unit": "5x", "float": 1.5, "bool": True,
        "table": ({"a": 1},), "array": ([1],)})
def offset(s, value):
    """Where a reader begins; one more message comes after it."""
    publisher, name = filled(s)
    one = reader(s, name, value)
    if not one.connection.open or s.lines[-1].find("channel.close") > 0:
        return
    append(publisher, name, "late")
    while True:
        event = one.expect(wait=1.0)
        if event is None or event.name != "basic.deliver" or event.body == b"late":
            return


@scenario
def offset_twice(s):
    """Two readers at their own place."""
    _, name = filled(s)
    early, late = reader(s, name, "first"), reader(s, name, 3)
    late.expect(2)
    early.expect(5)


@scenario
def read_again(s):
    """What is acked is there for the next reader."""
    _, name = filled(s, "abc")
    for _ in range(2):
        one = reader(s, name, "first")
        one.expect(3)
        one.send("basic.ack", delivery_tag=3, multiple=True)
        one.call("basic.cancel", consumer_tag="r")


@cases({"ack": ("basic.ack", {}), "reject": ("basic.reject", {}),
        "reject_requeue": ("basic.reject", {"requeue": True}), "nack": ("basic.nack", {}),
        "nack_requeue": ("basic.nack", {"requeue": True})})
def credit(s, method, options):
    """Whatever the verdict, it makes room for the next, and nothing comes back."""
    _, name = filled(s)
    one = reader(s, name, "first", prefetch=2)
    one.expect(2)
    one.quiet()
    one.send(method, delivery_tag=1, **options)
    one.expect()
    if not one.connection.open:
        return
    one.quiet()
    one.send(method, delivery_tag=2, **options)
    one.send(method, delivery_tag=3, **options)
    one.expect(2)
    one.quiet()


@scenario
def credit_multiple(s):
    """One ack for several."""
    _, name = filled(s)
    one = reader(s, name, "first", prefetch=3)
    one.expect(3)
    one.send("basic.ack", delivery_tag=3, multiple=True)
    one.expect(2)
    one.quiet()


@scenario
def credit_out_of_order(s):
    """A later one settled before an earlier one."""
    _, name = filled(s)
    one = reader(s, name, "first", prefetch=2)
    one.expect(2)
    one.send("basic.ack", delivery_tag=2)
    one.expect()
    one.send("basic.ack", delivery_tag=1)
    one.expect()
    one.quiet()


@scenario
def ack_twice(s):
    """A tag that is settled already."""
    _, name = filled(s, "a")
    one = reader(s, name, "first")
    one.expect()
    one.send("basic.ack", delivery_tag=1)
    one.send("basic.ack", delivery_tag=1)
    one.expect()


@cases({"requeue": {"requeue": True}, "plain": {}})
def recover(s, options):
    """Recovering on a channel that reads a stream."""
    _, name = filled(s, "ab")
    one = reader(s, name, "first")
    one.expect(2)
    one.send("basic.recover", **options)
    one.expect()
    if one.connection.open:
        one.quiet(0.5)


@scenario
def closed_channel_redelivers_nothing(s):
    """Unsettled messages of a reader that is gone are nobody's."""
    publisher, name = filled(s, "ab")
    one = reader(s, name, "first")
    one.expect(2)
    one.close()
    publisher.count(name, 2, 0)
    reader(s, name, "first").expect(2)


@scenario
def two_readers_on_a_channel(s):
    """Tags of a channel count over both."""
    _, name = filled(s, "ab")
    one = reader(s, name, "first")
    one.expect(2)
    one.call("basic.consume", queue=name, consumer_tag="other",
             arguments={"x-stream-offset": 1})
    one.expect()


@cases({"no_ack": {"no_ack": True}, "ack": {}})
def get(s, options):
    """A stream has nothing to take."""
    channel, name = filled(s, "a")
    channel.call("basic.get", queue=name, **options)


@scenario
def purge(s):
    """Nothing can be taken out."""
    channel, name = filled(s, "a")
    channel.call("queue.purge", queue=name)


@cases({"plain": {}, "if_empty": {"if_empty": True}, "if_unused": {"if_unused": True}})
def delete(s, options):
    """A stream with messages in it."""
    channel, name = filled(s, "ab")
    channel.count(name, 2)
    channel.call("queue.delete", queue=name, **options)


@cases({"if_unused": {"if_unused": True}, "plain": {}})
def delete_with_a_reader(s, options):
    """The reader is told."""
    channel, name = filled(s, "a")
    one = reader(s, name, "first")
    one.expect()
    event = channel.call("queue.delete", queue=name, **options)
    if event.name == "queue.delete-ok":
        one.expect()


@cases({"tx_publish": (True,), "tx_rollback": (False,)})
def transaction(s, commit):
    """Publishes of a transaction."""
    channel, watcher = s.channel(), s.channel()
    name = stream(s, channel)
    channel.call("tx.select")
    channel.publish("a", key=name, props=DURABLE)
    channel.publish("b", key=name, props=DURABLE)
    channel.call("tx.commit" if commit else "tx.rollback")
    watcher.count(name, 2 if commit else 0)
    one = reader(s, name, "first")
    one.expect(2) if commit else one.quiet(0.5)


@scenario
def transaction_acks(s):
    """An ack in a transaction makes room when it is committed."""
    _, name = filled(s, "abc")
    one = reader(s, name, "first", prefetch=2)
    one.expect(2)
    one.call("tx.select")
    one.send("basic.ack", delivery_tag=1)
    one.quiet()
    one.send("tx.commit")
    found = [one.connection.take(1) for _ in range(2)]
    for event in sorted(found, key=lambda event: event.name, reverse=True):
        one.connection.say(1, "<", event.show())


@cases({"none": {}, "transient": {"delivery-mode": 1}, "durable": {"delivery-mode": 2},
        "texts": {"content-type": "text/plain", "content-encoding": "gzip",
                  "correlation-id": "c", "reply-to": "r", "message-id": "m", "type": "t",
                  "app-id": "a", "user-id": "guest"},
        "priority": {"priority": 7}, "expiration": {"expiration": "1"},
        "timestamp": {"timestamp": 1700000000},
        "headers": {"headers": {"text": "x", "number": 5, "long": ("l", 2**40), "truth": True}},
        "odd_headers": {"headers": {"void": None, "table": {"a": 1}, "array": [1, "b"],
                                    "float": ("d", 1.5), "byte": ("b", 3)}},
        "own_offset": {"headers": {"x-stream-offset": "mine"}},
        "bcc": {"headers": {"BCC": [], "CC": []}}})
def properties(s, props):
    """What comes back of a message's properties."""
    publisher, name = filled(s, "")
    append(publisher, name, "x", props=props)
    reader(s, name, "first").expect()


@scenario
def by_exchange(s):
    """The exchange and the key a message came by."""
    channel = s.channel()
    name, exchange = stream(s, channel), s.exchange(channel, "e", "topic")
    s.bind(channel, name, exchange, "a.#")
    channel.call("confirm.select")
    channel.publish("x", exchange, "a.b.c", DURABLE, mandatory=True)
    channel.confirms(1, 1)
    channel.publish("y", exchange, "b", mandatory=True)
    channel.expect(2)
    reader(s, name, "first").expect()


@scenario
def dead_letters_into_a_stream(s):
    """A stream as where dead letters go."""
    channel = s.channel()
    name = stream(s, channel)
    source = s.queue(channel, "source", arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": name})
    channel.publish("x", key=source)
    channel.count(source, 1)
    channel.get(source, no_ack=False)
    channel.send("basic.reject", delivery_tag=1)
    channel.count(name, 1)
    event = reader(s, name, "first").connection.take(1, 1.0)
    s.note(f"died of {event.props['headers']['x-first-death-reason']}" if event else "not there")


@scenario
def large_body(s):
    """Several frames."""
    publisher, name = filled(s, "")
    append(publisher, name, b"0123456789" * 30000)
    reader(s, name, "first").expect()


@scenario
def empty_body(s):
    """Nothing at all."""
    publisher, name = filled(s, [b""])
    reader(s, name, "first").expect()


@scenario
def reader_before_the_first_message(s):
    """It waits, and gets what comes."""
    publisher, name = filled(s, "")
    one = reader(s, name, "first")
    one.quiet()
    append(publisher, name, "a")
    one.expect()


@scenario
def next_passes_what_was(s):
    """Only what comes after the consume."""
    publisher, name = filled(s, "ab")
    one = reader(s, name, "next")
    one.quiet(0.5)
    append(publisher, name, "c")
    one.expect()


@cases({"text": "high", "number": 5})
def consumer_priority(s, value):
    """x-priority of a reader."""
    channel, name = filled(s, "a")
    channel.call("basic.qos", prefetch_count=5)
    event = channel.call("basic.consume", queue=name, consumer_tag="r", arguments={
        "x-priority": value, "x-stream-offset": "first"})
    if event.name == "basic.consume-ok":
        channel.expect()


@scenario
def offset_on_a_classic_queue(s):
    """The argument means nothing there."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.publish("a", key=queue)
    event = channel.call("basic.consume", queue=queue, consumer_tag="r", no_ack=True,
                         arguments={"x-stream-offset": "no-such"})
    if event.name == "basic.consume-ok":
        channel.expect()


@scenario
def cancel_and_ack(s):
    """What a cancelled reader holds can be settled, and nothing more comes."""
    _, name = filled(s, "abc")
    one = reader(s, name, "first", prefetch=1)
    one.expect()
    one.call("basic.cancel", consumer_tag="r")
    one.send("basic.ack", delivery_tag=1)
    one.quiet(0.5)
    one.call("basic.consume", queue=name, consumer_tag="again",
             arguments={"x-stream-offset": 1})
    one.expect()
