"""Bindings: of queues and exchanges, their errors, their identity, exchange-to-exchange routes."""

from scenario import cases, scenario


@cases({"no_exchange": ("queue.bind", "Q", "NONE"), "no_queue": ("queue.bind", "NONE", "E"),
        "neither": ("queue.bind", "NONE", "NONE2"), "default": ("queue.bind", "Q", ""),
        "unbind_no_exchange": ("queue.unbind", "Q", "NONE"),
        "unbind_no_queue": ("queue.unbind", "NONE", "E"),
        "unbind_never_bound": ("queue.unbind", "Q", "E"),
        "unbind_default": ("queue.unbind", "Q", ""), "plain": ("queue.bind", "Q", "E")})
def of_queue(s, name, queue, exchange):
    """queue.bind and queue.unbind with things that are not there."""
    channel = s.channel()
    s.queue(channel, "Q")
    s.exchange(channel, "E", "direct")
    channel.call(name, queue=s.name(queue), exchange=exchange and s.name(exchange),
                 routing_key="k")


@cases({"no_source": ("exchange.bind", "E", "NONE"), "no_target": ("exchange.bind", "NONE", "E"),
        "default_source": ("exchange.bind", "E", ""), "default_target": ("exchange.bind", "", "E"),
        "itself": ("exchange.bind", "E", "E"), "plain": ("exchange.bind", "F", "E"),
        "unbind_never_bound": ("exchange.unbind", "F", "E"),
        "unbind_no_source": ("exchange.unbind", "E", "NONE"),
        "unbind_no_target": ("exchange.unbind", "NONE", "E"),
        "unbind_default": ("exchange.unbind", "F", "")})
def of_exchange(s, name, destination, source):
    """exchange.bind and exchange.unbind likewise."""
    channel = s.channel()
    s.exchange(channel, "E", "direct")
    s.exchange(channel, "F", "direct")
    channel.call(name, destination=destination and s.name(destination),
                 source=source and s.name(source), routing_key="k")


@scenario
def unbind_answer(s):
    """exchange.unbind-ok and a binding that is gone."""
    channel = s.channel()
    one, two = s.exchange(channel, "one", "fanout"), s.exchange(channel, "two", "fanout")
    channel.call("exchange.bind", destination=two, source=one)
    channel.call("exchange.unbind", destination=two, source=one)


@cases({"table": {"own": 1, "deep": {"x": [1]}}, "none": {}})
def arguments_make_another(s, arguments):
    """Bindings that differ in arguments are two; a message still arrives once."""
    channel = s.channel()
    name, queue = s.exchange(channel, "e", "direct"), s.queue(channel)
    s.bind(channel, queue, name, "k")
    channel.call("queue.bind", queue=queue, exchange=name, routing_key="k", arguments=arguments)
    channel.publish("x", name, "k")
    channel.count(queue, 1)
    channel.call("queue.unbind", queue=queue, exchange=name, routing_key="k")
    channel.publish("y", name, "k")
    channel.call("confirm.select")
    channel.publish("z", name, "k", mandatory=True)
    channel.confirms(1, 1) if arguments else channel.expect(2)
    channel.call("queue.purge", queue=queue)


@cases({"number": {"x-match": 5}, "unknown": {"x-match": "some", "a": 1},
        "missing": {"a": 1}, "empty": {}, "all": {"x-match": "all", "a": 1},
        "any": {"x-match": "any", "a": 1}, "all_with_x": {"x-match": "all-with-x", "x-a": 1},
        "any_with_x": {"x-match": "any-with-x", "x-a": 1}, "bool": {"x-match": True}})
def x_match(s, arguments):
    """What a headers binding takes as x-match."""
    channel = s.channel()
    channel.call("queue.bind", queue=s.queue(channel), exchange="amq.headers",
                 arguments=arguments)


@scenario
def diamond(s):
    """Two ways from one exchange to a queue: one copy."""
    channel = s.channel()
    top, left = s.exchange(channel, "top", "fanout"), s.exchange(channel, "left", "fanout")
    right, queue = s.exchange(channel, "right", "fanout"), s.queue(channel)
    s.link(channel, left, top)
    s.link(channel, right, top)
    s.bind(channel, queue, left)
    s.bind(channel, queue, right)
    channel.publish("x", top)
    channel.count(queue, 1)
    channel.get(queue)
    channel.get(queue)


@scenario
def cycle(s):
    """A ring of exchanges routes once."""
    channel = s.channel()
    one, two = s.exchange(channel, "one", "fanout"), s.exchange(channel, "two", "fanout")
    queue = s.queue(channel)
    s.link(channel, two, one)
    s.link(channel, one, two)
    s.link(channel, one, one)
    s.bind(channel, queue, two)
    channel.publish("x", one)
    channel.publish("y", two)
    channel.count(queue, 2)
    channel.get(queue)


@scenario
def key_travels(s):
    """The routing key is the publisher's all along, and the exchange the first."""
    channel = s.channel()
    one, two = s.exchange(channel, "one", "topic"), s.exchange(channel, "two", "direct")
    queue = s.queue(channel)
    s.link(channel, two, one, "a.#")
    s.bind(channel, queue, two, "a.b")
    channel.publish("x", one, "a.b")
    channel.publish("no", one, "a.c")
    channel.count(queue, 1)
    channel.get(queue)


@scenario
def through_internal(s):
    """An internal exchange routes what comes from another."""
    channel = s.channel()
    one = s.exchange(channel, "one", "fanout")
    two = s.exchange(channel, "two", "fanout", internal=True)
    queue = s.queue(channel)
    s.link(channel, two, one)
    s.bind(channel, queue, two)
    channel.publish("x", one)
    channel.count(queue, 1)


@scenario
def auto_delete_queue_deleted_unbinds(s):
    """A deleted queue is bound nowhere."""
    channel = s.channel()
    name, queue = s.exchange(channel, "e", "fanout"), s.queue(channel)
    s.bind(channel, queue, name)
    channel.call("queue.delete", queue=queue)
    channel.call("exchange.delete", exchange=name, if_unused=True)
