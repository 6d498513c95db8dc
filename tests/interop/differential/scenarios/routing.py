"""Exchange types: which queues a message reaches. Many keys in few conversations."""

from scenario import cases, scenario

TOPICS = {
    "star": ["*", "a.*", "*.b", "*.*", "a.*.c", "*.*.*"],
    "hash": ["#", "a.#", "#.b", "a.#.c", "#.a.#", "#.#"],
    "mixed": ["*.#", "#.*", "a.*.#", "#.*.c", "*.#.*", "a.#.*.b"],
    "plain": ["a", "a.b", "", ".", "a.", ".a", "A.b"],
}
KEYS = ["", "a", "b", "a.b", "a.b.c", "a.c", "b.a", "a.b.b", "a.b.c.d", ".", "a.", ".a", "a..b",
        "*", "#", "A.b", "x.y.z.a.b.c"]
BINDINGS = {
    "all": {"x-match": "all", "a": 1, "b": "two"}, "any": {"x-match": "any", "a": 1, "b": "two"},
    "none_given": {"a": 1}, "empty": {}, "any_empty": {"x-match": "any"},
    "void": {"x-match": "all", "a": None}, "x_ignored": {"x-match": "all", "x-a": 1},
    "with_x": {"x-match": "all-with-x", "x-a": 1}, "any_with_x": {
        "x-match": "any-with-x", "x-a": 1, "b": "two"},
    "table": {"x-match": "all", "t": {"k": 1}}, "list": {"x-match": "all", "l": [1, 2]},
    "bool": {"x-match": "all", "f": True}, "float": {"x-match": "all", "n": 1.0},
    "long": {"x-match": "all", "a": ("l", 1)}}
HEADERS = [{}, {"a": 1}, {"a": 1, "b": "two"}, {"a": 2, "b": "two"}, {"a": 1, "b": "two", "c": 3},
           {"a": "1"}, {"a": ("l", 1)}, {"a": ("b", 1)}, {"x-a": 1}, {"x-a": 2, "b": "two"},
           {"t": {"k": 1}}, {"t": {"k": 2}}, {"l": [1, 2]}, {"l": [2, 1]}, {"f": True},
           {"f": False}, {"n": 1}, {"n": 1.0}, {"a": None}, {"A": 1, "b": "two"}]


def drain(s, channel, queue, count):
    """The bodies in a queue, as one line."""
    channel.count(queue, count)
    bodies = []
    for _ in range(count):
        channel.connection.put(channel.number, "basic.get", queue=queue, no_ack=True)
        event = channel.connection.take(channel.number)
        bodies.append(event.body.decode())
    s.note(f"{queue} has {' '.join(bodies)}")


@cases({"star": "star", "hash": "hash", "mixed": "mixed", "plain": "plain"})
def topic(s, group):
    """Patterns against keys: each queue holds the keys that its pattern takes."""
    channel = s.channel()
    name = s.exchange(channel, "e", "topic")
    queues = []
    for at, pattern in enumerate(TOPICS[group]):
        queues.append(s.queue(channel, f"q{at}"))
        s.bind(channel, queues[-1], name, pattern)
        s.note(f"{queues[-1]} is bound by {pattern!r}")
    settle = s.queue(channel, "all")
    s.bind(channel, settle, name, "#")
    channel.call("confirm.select")
    for key in KEYS:
        channel.publish(repr(key), name, key)
    channel.confirms(1, len(KEYS))
    for queue in queues:
        all_in(s, channel, queue)


def all_in(s, channel, queue):
    """Every body in a queue, as one line; confirms say that routing is over."""
    bodies = []
    while True:
        channel.connection.put(channel.number, "basic.get", queue=queue, no_ack=True)
        event = channel.connection.take(channel.number)
        if event is None or event.name != "basic.get-ok":
            break
        bodies.append(event.body.decode())
    s.note(f"{queue} has {' '.join(bodies)}")


@cases({name: (name,) for name in BINDINGS})
def headers(s, group):
    """One headers binding against many messages."""
    channel = s.channel()
    name, queue = s.exchange(channel, "e", "headers"), s.queue(channel)
    channel.call("queue.bind", queue=queue, exchange=name, arguments=BINDINGS[group])
    channel.call("confirm.select")
    for at, headers in enumerate(HEADERS):
        channel.publish(str(at), name, props={"headers": headers})
    channel.publish("no-headers", name)
    channel.confirms(1, len(HEADERS) + 1)
    all_in(s, channel, queue)


@scenario
def direct(s):
    """The same key, to the letter."""
    channel = s.channel()
    name, one, two = s.exchange(channel, "e", "direct"), s.queue(channel, "1"), s.queue(
        channel, "2")
    s.bind(channel, one, name, "a")
    s.bind(channel, one, name, "b")
    s.bind(channel, two, name, "a")
    s.bind(channel, two, name, "")
    channel.call("confirm.select")
    keys = ["a", "b", "A", "", "a ", "a.b", "#"]
    for key in keys:
        channel.publish(repr(key), name, key)
    channel.confirms(1, len(keys))
    all_in(s, channel, one)
    all_in(s, channel, two)


@scenario
def fanout(s):
    """The key does not matter; two bindings give one copy."""
    channel = s.channel()
    name, one, two = s.exchange(channel, "e", "fanout"), s.queue(channel, "1"), s.queue(
        channel, "2")
    s.bind(channel, one, name, "a")
    s.bind(channel, one, name, "b")
    s.bind(channel, two, name)
    channel.call("confirm.select")
    channel.publish("x", name, "a")
    channel.publish("y", name, "whatever")
    channel.confirms(1, 2)
    all_in(s, channel, one)
    all_in(s, channel, two)


@scenario
def default_and_named(s):
    """A queue bound to an exchange by its own name is still on the default exchange."""
    channel = s.channel()
    name, queue = s.exchange(channel, "e", "direct"), s.queue(channel)
    s.bind(channel, queue, name, queue)
    channel.publish("x", "", queue)
    channel.publish("y", name, queue)
    drain(s, channel, queue, 2)


@cases({"unroutable": ("other", False), "routed": ("k", False), "mandatory": ("other", True)})
def alternate(s, key, mandatory):
    """What the exchange can not route goes to its alternate."""
    channel = s.channel()
    second = s.exchange(channel, "second", "fanout")
    first = s.exchange(channel, "first", "direct", arguments={"alternate-exchange": second})
    one, two = s.queue(channel, "one"), s.queue(channel, "two")
    s.bind(channel, one, first, "k")
    s.bind(channel, two, second)
    channel.call("confirm.select")
    channel.publish("x", first, key, mandatory=mandatory)
    channel.confirms(1, 1)
    channel.get(one)
    channel.get(two)


@scenario
def alternate_chain(s):
    """Alternates have alternates; a ring ends."""
    channel = s.channel()
    names = [s.name(short) for short in ("first", "second", "third")]
    for at, name in enumerate(names):
        channel.connection.put(1, "exchange.declare", exchange=name, type="direct",
                               arguments={"alternate-exchange": names[(at + 1) % 3]})
        channel.connection.take(1)
    queue = s.queue(channel)
    s.bind(channel, queue, names[2], "k")
    channel.call("confirm.select")
    channel.publish("x", names[0], "k", mandatory=True)
    channel.confirms(1, 1)
    channel.get(queue)
    channel.publish("y", names[0], "nowhere", mandatory=True)
    channel.expect(2)


@scenario
def alternate_missing(s):
    """An alternate that does not exist is as none."""
    channel = s.channel()
    name = s.exchange(channel, "e", "direct", arguments={"alternate-exchange": s.name("none")})
    channel.call("confirm.select")
    channel.publish("x", name, "k", mandatory=True)
    channel.expect(2)


@scenario
def alternate_of_target(s):
    """An exchange that is bound to another does not route: its alternate gets the message."""
    channel = s.channel()
    spare = s.exchange(channel, "spare", "fanout")
    target = s.exchange(channel, "target", "direct", arguments={"alternate-exchange": spare})
    source = s.exchange(channel, "source", "fanout")
    queue = s.queue(channel)
    s.link(channel, target, source)
    s.bind(channel, queue, spare)
    channel.call("confirm.select")
    channel.publish("x", source, "k")
    channel.confirms(1, 1)
    channel.get(queue)


@scenario
def copies_through_topic(s):
    """CC keys are matched by patterns, too; a queue gets one copy."""
    channel = s.channel()
    name, queue = s.exchange(channel, "e", "topic"), s.queue(channel)
    s.bind(channel, queue, name, "a.*")
    channel.call("confirm.select")
    channel.publish("x", name, "b.1", props={"headers": {"CC": ["a.1", "a.2"]}})
    channel.confirms(1, 1)
    channel.get(queue)
    channel.get(queue)
