"""Exchanges: declare, equivalence, reserved names, delete, bindings between exchanges."""

from scenario import cases, scenario


@cases({"direct": "direct", "fanout": "fanout", "topic": "topic", "headers": "headers",
        "unknown": "no-such", "empty": "", "long": "x" * 200, "case": "Direct",
        "delayed": "x-delayed-message", "hash": "x-consistent-hash"})
def kind(s, kind):
    """Exchange types."""
    channel = s.channel()
    channel.call("exchange.declare", exchange=s.name("e"), type=kind)


@cases({"type": ({"type": "fanout"},), "durable": ({"durable": True},),
        "auto_delete": ({"auto_delete": True},), "internal": ({"internal": True},),
        "alternate": ({"arguments": {"alternate-exchange": "x"}},), "same": ({},),
        "own_argument": ({"arguments": {"own": 1}},), "passive_other_type": (
            {"type": "fanout", "passive": True},),
        "passive_unknown_type": ({"type": "no-such", "passive": True},),
        "passive_no_type": ({"type": "", "passive": True},)})
def redeclare(s, changed):
    """A second declare that differs."""
    channel = s.channel()
    name = s.exchange(channel, "e", "direct")
    channel.call("exchange.declare", **{"exchange": name, "type": "direct", **changed})


@cases({"number": 5, "same_name": "SELF", "missing": "none", "empty": ""})
def alternate_argument(s, value):
    """What alternate-exchange may be."""
    channel = s.channel()
    value = s.name("e") if value == "SELF" else value
    channel.call("exchange.declare", exchange=s.name("e"), type="direct",
                 arguments={"alternate-exchange": value})


@scenario
def alternate_changed(s):
    """Another alternate exchange is another exchange."""
    channel = s.channel()
    name = s.exchange(channel, "e", "direct", arguments={"alternate-exchange": "a"})
    channel.call("exchange.declare", exchange=name, type="direct",
                 arguments={"alternate-exchange": "b"})


@cases({"new": ("amq.mine", "direct", {}), "predeclared": ("amq.direct", "direct", {
    "durable": True}), "predeclared_other": ("amq.direct", "fanout", {"durable": True}),
        "passive_missing": ("amq.none", "direct", {"passive": True}),
        "passive_there": ("amq.topic", "topic", {"passive": True}),
        "match": ("amq.match", "headers", {"passive": True}),
        "trace": ("amq.rabbitmq.trace", "topic", {"passive": True}),
        "default": ("", "direct", {}), "default_passive": ("", "direct", {"passive": True}),
        "default_durable": ("", "direct", {"durable": True})})
def reserved(s, name, kind, flags):
    """Names that start with amq., and the default exchange."""
    s.channel().call("exchange.declare", exchange=name, type=kind, **flags)


@scenario
def passive_unknown(s):
    """A passive declare of nothing."""
    s.channel().call("exchange.declare", exchange=s.name("none"), type="direct", passive=True)


@cases({"predeclared": "amq.direct", "default": "", "unknown": "NONE", "trace":
        "amq.rabbitmq.trace", "reserved_unknown": "amq.none"})
def delete(s, name):
    """What may be deleted; nothing is no error."""
    name = s.name("none") if name == "NONE" else name
    s.channel().call("exchange.delete", exchange=name)


@scenario
def delete_if_unused(s):
    """A binding keeps it."""
    channel, other = s.channel(), s.channel()
    name, queue = s.exchange(channel, "e", "direct"), s.queue(channel)
    s.bind(channel, queue, name)
    other.call("exchange.delete", exchange=name, if_unused=True)
    channel.call("queue.unbind", queue=queue, exchange=name)
    channel.call("exchange.delete", exchange=name, if_unused=True)


@scenario
def delete_unbinds(s):
    """Bindings go with the exchange; a new one of that name is empty."""
    channel = s.channel()
    name, queue = s.exchange(channel, "e", "fanout"), s.queue(channel)
    s.bind(channel, queue, name)
    channel.call("exchange.delete", exchange=name)
    s.exchange(channel, "e", "fanout")
    channel.call("confirm.select")
    channel.publish("x", name, mandatory=True)
    channel.expect(2)


@scenario
def auto_delete(s):
    """It goes when the last binding does."""
    channel = s.channel()
    name, queue = s.exchange(channel, "e", "direct", auto_delete=True), s.queue(channel)
    s.bind(channel, queue, name, "a")
    s.bind(channel, queue, name, "b")
    channel.call("queue.unbind", queue=queue, exchange=name, routing_key="a")
    channel.call("exchange.declare", exchange=name, type="direct", passive=True)
    channel.call("queue.unbind", queue=queue, exchange=name, routing_key="b")
    channel.call("exchange.declare", exchange=name, type="direct", passive=True)


@scenario
def auto_delete_with_its_queue(s):
    """Deleting the queue takes the binding, and so the exchange."""
    channel = s.channel()
    name, queue = s.exchange(channel, "e", "direct", auto_delete=True), s.queue(channel)
    s.bind(channel, queue, name, "a")
    channel.call("queue.delete", queue=queue)
    channel.call("exchange.declare", exchange=name, type="direct", passive=True)


@scenario
def auto_delete_chain(s):
    """An auto-delete source goes when its destination exchange does."""
    channel = s.channel()
    one = s.exchange(channel, "one", "fanout", auto_delete=True)
    two = s.exchange(channel, "two", "fanout")
    s.link(channel, two, one)
    channel.call("exchange.delete", exchange=two)
    channel.call("exchange.declare", exchange=one, type="fanout", passive=True)


@scenario
def no_wait(s):
    """Nothing answers a request that asks for nothing."""
    channel = s.channel()
    one, two = s.name("one"), s.name("two")
    channel.send("exchange.declare", exchange=one, type="fanout", no_wait=True)
    channel.send("exchange.declare", exchange=two, type="fanout", no_wait=True)
    channel.send("exchange.bind", destination=two, source=one, no_wait=True)
    channel.send("exchange.unbind", destination=two, source=one, no_wait=True)
    channel.send("exchange.delete", exchange=one, no_wait=True)
    channel.call("exchange.declare", exchange=two, type="fanout", passive=True)


@cases({"internal": True, "open": False})
def publish_to_internal(s, internal):
    """An internal exchange takes nothing from clients."""
    channel = s.channel()
    name = s.exchange(channel, "e", "fanout", internal=internal)
    channel.publish("x", name)
    channel.call("basic.qos")


@cases({"declare": ("exchange.declare", {"exchange": "TEXT", "type": "direct"}),
        "bytes": ("exchange.declare", {"exchange": b"\xff", "type": "direct"}),
        "newline": ("exchange.declare", {"exchange": "TEXT\n", "type": "direct"})})
def odd_name(s, name, values):
    """Names outside the usual letters."""
    if isinstance(values["exchange"], str):
        values = {**values, "exchange": s.name(values["exchange"].replace("TEXT", "\u00e9 /"))}
    s.channel().call(name, **values)
