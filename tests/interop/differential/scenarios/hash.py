"""Exchanges that hash or draw lots: what they take, and that a value keeps its place.

Which queue a value goes to is each broker's own affair; that it stays there is not.
"""

from scenario import cases, scenario

TYPES = {"consistent": "x-consistent-hash", "random": "x-random", "modulus": "x-modulus-hash"}


@cases(TYPES)
def declare(s, kind):
    """Declared, declared again, and asked for."""
    channel, name = s.channel(), s.name("e")
    for options in ({"durable": True}, {"durable": True}, {"passive": True}):
        channel.call("exchange.declare", exchange=name, type=kind, **options)
    channel.call("exchange.declare", exchange=name, type="direct", durable=True)


@cases({"header": {"hash-header": "h"}, "header_number": {"hash-header": 5},
        "header_empty": {"hash-header": ""}, "header_bool": {"hash-header": True},
        "message_id": {"hash-property": "message_id"},
        "correlation_id": {"hash-property": "correlation_id"},
        "timestamp": {"hash-property": "timestamp"},
        "property_unknown": {"hash-property": "app_id"},
        "property_dash": {"hash-property": "message-id"},
        "property_empty": {"hash-property": ""}, "property_number": {"hash-property": 5},
        "both": {"hash-header": "h", "hash-property": "message_id"},
        "own": {"x-own": 1}})
def declare_with(s, arguments):
    """What is hashed."""
    s.channel().call("exchange.declare", exchange=s.name("e"), type="x-consistent-hash",
                     arguments=arguments)


@cases({"same": ({"hash-header": "h"},), "other": ({"hash-header": "i"},), "none": ({},),
        "property": ({"hash-property": "message_id"},)})
def redeclare(s, arguments):
    """Another header is another exchange."""
    channel = s.channel()
    name = s.exchange(channel, "e", "x-consistent-hash", arguments={"hash-header": "h"})
    channel.call("exchange.declare", exchange=name, type="x-consistent-hash", arguments=arguments)


@cases({"one": "1", "ten": "10", "zero": "0", "negative": "-1", "text": "abc", "empty": "",
        "fraction": "1.5", "blank": " 1", "plus": "+1", "zeros": "007", "hex": "0x1",
        "tail": "1a", "thousand": "1000"})
def weight(s, key):
    """What a binding key of a consistent hash may be."""
    channel = s.channel()
    queue, name = s.queue(channel), s.exchange(channel, "e", "x-consistent-hash")
    event = channel.call("queue.bind", queue=queue, exchange=name, routing_key=key)
    if event.name == "queue.bind-ok":
        channel.call("confirm.select")
        channel.publish("x", name, "key", mandatory=True)
        channel.expect()
        channel.count(queue, 1)


@cases(TYPES)
def any_binding_key(s, kind):
    """The key of a binding."""
    channel = s.channel()
    queue, name = s.queue(channel), s.exchange(channel, "e", kind)
    channel.call("queue.bind", queue=queue, exchange=name, routing_key="any")


@cases({name: (kind,) for name, kind in TYPES.items()})
def nothing_bound(s, kind):
    """A mandatory message comes back."""
    channel = s.channel()
    name = s.exchange(channel, "e", kind)
    channel.call("confirm.select")
    channel.publish("x", name, "k", mandatory=True)
    channel.expect(2)


def spread(s, kind, arguments=None, queues=3):
    """(channel, exchange, queues), all bound with weight 1."""
    channel = s.channel()
    name = s.exchange(channel, "e", kind, arguments=arguments or {})
    names = [s.queue(channel, f"q{number}") for number in range(queues)]
    for queue in names:
        s.bind(channel, queue, name, "1")
    return channel, name, names


def send(channel, exchange, messages):
    """Publishes (key, properties), confirmed, unrecorded. Returns how many queues each is in."""
    lines, before = channel.connection.session.lines, len(channel.connection.session.lines)
    for key, props in messages:
        channel.publish("x", exchange, key, props=props)
    good = channel.confirms(1, len(messages))
    if good:
        del lines[before:]


def held(channel, queues, total):
    """Purges; writes down the sum and how many of the queues had something."""
    found = []
    for queue in queues:
        channel.connection.put(1, "queue.purge", queue=queue)
        event = channel.connection.take(1)
        found.append(event["message-count"])
    used = sum(count > 0 for count in found)
    channel.connection.session.note(f"{sum(found)} of {total} messages in {used} queues")


def place(s, kind, messages, arguments=None):
    """Where such messages go: into one queue, or several."""
    channel, name, queues = spread(s, kind, arguments)
    channel.call("confirm.select")
    send(channel, name, messages)
    held(channel, queues, len(messages))


@cases(TYPES)
def one_key(s, kind):
    """The same key, forty times."""
    place(s, kind, [("key", {})] * 40)


@cases(TYPES)
def many_keys(s, kind):
    """Keys of their own reach every queue, each one queue."""
    place(s, kind, [(f"key-{number}", {}) for number in range(120)])


@cases({"same": ([{"headers": {"h": "a"}}] * 20,),
        "each": ([{"headers": {"h": str(n)}} for n in range(120)],),
        "missing": ([{}] * 20,), "other_header": ([{"headers": {"g": str(n)}} for n in range(20)],),
        "numbers": ([{"headers": {"h": n}} for n in range(120)],),
        "same_number": ([{"headers": {"h": 5}}] * 20,),
        "truth": ([{"headers": {"h": True}}] * 20,)})
def by_header(s, props):
    """The header counts, and the routing key does not."""
    place(s, "x-consistent-hash", [(f"k{n}", p) for n, p in enumerate(props)],
          {"hash-header": "h"})


@cases({"message_id": ("message_id", [{"message-id": str(n)} for n in range(120)]),
        "same_message_id": ("message_id", [{"message-id": "a"}] * 20),
        "correlation_id": ("correlation_id", [{"correlation-id": str(n)} for n in range(120)]),
        "timestamp": ("timestamp", [{"timestamp": n} for n in range(120)]),
        "same_timestamp": ("timestamp", [{"timestamp": 5}] * 20),
        "missing": ("message_id", [{}] * 20)})
def by_property(s, name, props):
    """The property counts, and the routing key does not."""
    place(s, "x-consistent-hash", [(f"k{n}", p) for n, p in enumerate(props)],
          {"hash-property": name})


@cases(TYPES)
def to_exchanges(s, kind):
    """Bound to exchanges in place of queues."""
    channel = s.channel()
    source, middle = s.exchange(channel, "e", kind), s.exchange(channel, "m", "fanout")
    queue = s.queue(channel)
    s.link(channel, middle, source, "1")
    s.bind(channel, queue, middle)
    channel.call("confirm.select")
    channel.publish("x", source, "k", mandatory=True)
    channel.expect()
    channel.get(queue)


@cases({"same_weight": "1", "other_weight": "2"})
def bound_twice(s, second):
    """One queue, two bindings: how many copies, and what is left after one unbind."""
    channel = s.channel()
    queue, name = s.queue(channel), s.exchange(channel, "e", "x-consistent-hash")
    for key in ("1", second):
        channel.call("queue.bind", queue=queue, exchange=name, routing_key=key)
    channel.call("confirm.select")
    channel.publish("x", name, "k", mandatory=True)
    channel.expect()
    channel.count(queue, 1)


@cases(TYPES)
def unbound(s, kind):
    """What was one queue's share goes to those that are left, then nowhere."""
    channel, name, queues = spread(s, kind, queues=2)
    channel.call("confirm.select")
    channel.call("queue.unbind", queue=queues[0], exchange=name, routing_key="1")
    send(channel, name, [(str(number), {}) for number in range(30)])
    held(channel, queues[:1], 30)
    held(channel, queues[1:], 30)
    channel.call("queue.delete", queue=queues[1])
    channel.publish("x", name, "k", mandatory=True)
    channel.expect(2)


@cases(TYPES)
def alternate(s, kind):
    """An alternate exchange takes what has nowhere to go."""
    channel = s.channel()
    other, queue = s.exchange(channel, "other", "fanout"), s.queue(channel)
    s.bind(channel, queue, other)
    name = s.exchange(channel, "e", kind, arguments={"alternate-exchange": other})
    channel.call("confirm.select")
    channel.publish("x", name, "k", mandatory=True)
    channel.expect()
    channel.get(queue)


@cases(TYPES)
def auto_delete(s, kind):
    """It goes with its last binding."""
    channel = s.channel()
    name, queue = s.exchange(channel, "e", kind, auto_delete=True), s.queue(channel)
    s.bind(channel, queue, name, "1")
    channel.call("queue.unbind", queue=queue, exchange=name, routing_key="1")
    channel.call("exchange.declare", exchange=name, type=kind, passive=True)


@scenario
def modulus_keeps_its_order(s):
    """A key stays in its queue while nothing is bound or unbound."""
    channel, name, queues = spread(s, "x-modulus-hash")
    channel.call("confirm.select")
    channel.publish("a", name, "k")
    channel.publish("b", name, "k")
    channel.confirms(1, 2)
    counts = []
    for queue in queues:
        channel.connection.put(1, "queue.purge", queue=queue)
        counts.append(channel.connection.take(1)["message-count"])
    s.note(f"counts {sorted(counts)}")
