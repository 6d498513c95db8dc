"""Queues: declare, equivalence, passive, exclusive, delete, purge, and what the names may be."""

import time

from scenario import cases, scenario

ARGUMENTS = {
    "ttl_text": {"x-message-ttl": "60"}, "ttl_negative": {"x-message-ttl": -1},
    "ttl_zero": {"x-message-ttl": 0}, "ttl_bool": {"x-message-ttl": True},
    "ttl_float": {"x-message-ttl": 1.5}, "ttl_huge": {"x-message-ttl": ("l", 2**40)},
    "ttl_most": {"x-message-ttl": ("l", 315360000000)},
    "ttl_byte": {"x-message-ttl": ("b", 100)}, "ttl_unsigned": {"x-message-ttl": ("i", 4000000000)},
    "ttl_void": {"x-message-ttl": None},
    "expires_zero": {"x-expires": 0}, "expires_text": {"x-expires": "60"},
    "expires_negative": {"x-expires": -5}, "expires_huge": {"x-expires": ("l", 2**40)},
    "length_text": {"x-max-length": "5"}, "length_negative": {"x-max-length": -1},
    "length_zero": {"x-max-length": 0}, "bytes_negative": {"x-max-length-bytes": -1},
    "bytes_text": {"x-max-length-bytes": "1k"},
    "overflow_unknown": {"x-overflow": "explode"}, "overflow_number": {"x-overflow": 1},
    "overflow_dlx": {"x-overflow": "reject-publish-dlx"},
    "priority_text": {"x-max-priority": "5"}, "priority_negative": {"x-max-priority": -1},
    "priority_over": {"x-max-priority": 256}, "priority_most": {"x-max-priority": 255},
    "priority_zero": {"x-max-priority": 0},
    "dlx_number": {"x-dead-letter-exchange": 5}, "dlx_missing": {"x-dead-letter-exchange": "no"},
    "dlk_alone": {"x-dead-letter-routing-key": "k"}, "dlk_number": {
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": 7},
    "dlx_self": {"x-dead-letter-exchange": ""},
    "single_text": {"x-single-active-consumer": "yes"},
    "single_true": {"x-single-active-consumer": True},
    "type_unknown": {"x-queue-type": "no-such"}, "type_number": {"x-queue-type": 5},
    "type_classic": {"x-queue-type": "classic"},
    "mode_unknown": {"x-queue-mode": "no-such"}, "mode_lazy": {"x-queue-mode": "lazy"},
    "version_two": {"x-queue-version": 2}, "version_nine": {"x-queue-version": 9},
    "locator_unknown": {"x-queue-master-locator": "no-such"},
    "strategy_unknown": {"x-dead-letter-strategy": "at-least-once"},
    "delivery_limit": {"x-delivery-limit": 3}, "own_argument": {"x-own": {"a": [1, "b", None]}},
    "cancel_on_ha": {"x-cancel-on-ha-failover": True},
}
PLAIN = {"x-message-ttl": 60000, "x-expires": 600000, "x-max-length": 10,
         "x-max-length-bytes": 1000, "x-overflow": "drop-head", "x-max-priority": 5,
         "x-dead-letter-exchange": "e", "x-dead-letter-routing-key": "k",
         "x-single-active-consumer": True, "x-queue-mode": "default"}
OTHER = {"x-message-ttl": 60001, "x-expires": 600001, "x-max-length": 11,
         "x-max-length-bytes": 1001, "x-overflow": "reject-publish", "x-max-priority": 6,
         "x-dead-letter-exchange": "f", "x-dead-letter-routing-key": "l",
         "x-single-active-consumer": False, "x-queue-mode": "lazy"}


@cases({name: (value,) for name, value in ARGUMENTS.items()})
def declare_with(s, arguments):
    """Which arguments are taken, and the text for those that are not."""
    channel = s.channel()
    channel.call("queue.declare", queue=s.name("q"), arguments=arguments)


@cases({name[2:]: (name,) for name in PLAIN})
def redeclare_other_value(s, name):
    """An argument that differs from the queue's."""
    channel = s.channel()
    base = {"x-dead-letter-exchange": "e"} if name == "x-dead-letter-routing-key" else {}
    queue = s.queue(channel, arguments={**base, name: PLAIN[name]})
    channel.call("queue.declare", queue=queue, arguments={**base, name: PLAIN[name]})
    channel.call("queue.declare", queue=queue, arguments={**base, name: OTHER[name]})


@cases({name[2:]: (name,) for name in PLAIN})
def redeclare_without(s, name):
    """An argument that the queue has and the request has not, and the other way about."""
    base = {"x-dead-letter-exchange": "e"} if name == "x-dead-letter-routing-key" else {}
    for mine, theirs in (({name: PLAIN[name]}, {}), ({}, {name: PLAIN[name]})):
        channel = s.channel()
        queue = s.queue(channel, f"q{len(mine)}", arguments={**base, **mine})
        channel.call("queue.declare", queue=queue, arguments={**base, **theirs})


@cases({"durable": ({}, {"durable": True}), "transient": ({"durable": True}, {}),
        "auto_delete": ({}, {"auto_delete": True}), "exclusive": ({}, {"exclusive": True}),
        "not_exclusive": ({"exclusive": True}, {}), "same": ({"durable": True}, {"durable": True}),
        "other_integer_type": ({"arguments": {"x-max-length": ("b", 5)}},
                               {"arguments": {"x-max-length": ("l", 5)}}),
        "other_kind_of_type": ({"arguments": {"x-max-length": 5}},
                               {"arguments": {"x-max-length": 5.0}}),
        "own_argument_differs": ({"arguments": {"x-own": 5}}, {"arguments": {"x-own": 6}})})
def redeclare_flags(s, first, second):
    """Flags that differ."""
    channel = s.channel()
    queue = s.queue(channel, **first)
    channel.call("queue.declare", queue=queue, **second)


@cases({"quorum": ("quorum", {"durable": True}), "quorum_transient": ("quorum", {}),
        "quorum_exclusive": ("quorum", {"durable": True, "exclusive": True}),
        "stream": ("stream", {"durable": True}), "stream_transient": ("stream", {})})
def declare_type(s, kind, flags):
    """The queue types that are more than a word."""
    channel = s.channel()
    channel.call("queue.declare", queue=s.name("q"), arguments={"x-queue-type": kind}, **flags)


@scenario
def server_named(s):
    """An empty name gets one, which the channel remembers."""
    channel = s.channel()
    made = channel.call("queue.declare", exclusive=True)["queue"]
    channel.call("queue.declare", queue=made, passive=True)
    channel.call("queue.bind", exchange="amq.direct", routing_key="server-named")
    channel.publish("x", "amq.direct", "server-named")
    channel.count(made, 1)
    channel.call("queue.purge")
    channel.call("queue.delete")


@cases({"bind": ("queue.bind", {"exchange": "amq.direct"}), "purge": ("queue.purge", {}),
        "get": ("basic.get", {}), "consume": ("basic.consume", {}), "delete": ("queue.delete", {}),
        "passive": ("queue.declare", {"passive": True})})
def no_last_queue(s, name, values):
    """An empty queue name on a channel that has not declared one."""
    s.channel().call(name, **values)


@cases({"passive": ("queue.declare", {"passive": True}), "purge": ("queue.purge", {}),
        "delete": ("queue.delete", {}), "get": ("basic.get", {}), "consume": ("basic.consume", {}),
        "bind": ("queue.bind", {"exchange": "amq.direct", "routing_key": "k"}),
        "unbind": ("queue.unbind", {"exchange": "amq.direct", "routing_key": "k"})})
def unknown_queue(s, name, values):
    """A queue that does not exist; the connection lives on."""
    channel = s.channel()
    channel.call(name, queue=s.name("none"), **values)
    channel.connection.channel(2).call("basic.qos")


@cases({"reserved": "amq.mine", "long": "n" * 255, "slash": "a/b c", "utf8": "gr\u00fc\u00df",
        "newline": "a\nb", "reply_to": "amq.rabbitmq.reply-to"})
def declare_name(s, name):
    """What a queue may be called."""
    channel = s.channel()
    channel.call("queue.declare", queue=name, exclusive=True)


@scenario
def passive_reserved(s):
    """A reserved name may be asked for passively."""
    s.channel().call("queue.declare", queue="amq.none", passive=True)


@scenario
def bytes_name(s):
    """A name that is not UTF-8."""
    s.channel().call("queue.declare", queue=b"\xff\xfe", exclusive=True)


@cases({"declare": ("queue.declare", {}), "passive": ("queue.declare", {"passive": True}),
        "same_flags": ("queue.declare", {"exclusive": True}),
        "get": ("basic.get", {}), "consume": ("basic.consume", {}), "purge": ("queue.purge", {}),
        "delete": ("queue.delete", {}), "bind": ("queue.bind", {"exchange": "amq.direct"}),
        "unbind": ("queue.unbind", {"exchange": "amq.direct"})})
def exclusive_elsewhere(s, name, values):
    """An exclusive queue is locked for other connections."""
    owner, other = s.channel(), s.channel()
    queue = s.queue(owner, exclusive=True)
    other.call(name, queue=queue, **values)


@scenario
def exclusive_takes_publishes(s):
    """Others may publish to it, and it goes with its connection."""
    owner, other = s.channel(), s.channel()
    queue = s.queue(owner, exclusive=True)
    other.publish("x", key=queue)
    owner.count(queue, 1)
    owner.connection.finish()
    other.gone(queue)


@scenario
def exclusive_durable(s):
    """An exclusive queue goes with its connection though it is durable."""
    owner, other = s.channel(), s.channel()
    queue = s.queue(owner, exclusive=True, durable=True)
    owner.connection.drop()
    other.gone(queue)


@scenario
def delete_if_unused(s):
    """A consumer keeps it from being deleted."""
    channel, other = s.channel(), s.channel()
    queue = s.queue(channel)
    channel.call("basic.consume", queue=queue, consumer_tag="t")
    other.call("queue.delete", queue=queue, if_unused=True)
    channel.call("basic.cancel", consumer_tag="t")
    channel.call("queue.delete", queue=queue, if_unused=True)


@scenario
def delete_if_empty(s):
    """A message keeps it from being deleted, also an unacked one."""
    channel, other, third = s.channel(), s.channel(), s.channel()
    queue = s.queue(channel)
    channel.publish("x", key=queue)
    channel.count(queue, 1)
    other.call("queue.delete", queue=queue, if_empty=True)
    channel.get(queue, no_ack=False)
    third.call("queue.delete", queue=queue, if_empty=True)
    channel.quiet(0.05)


@scenario
def delete_counts(s):
    """delete-ok has the number of ready messages; a second delete is no error."""
    channel = s.channel()
    queue = s.queue(channel)
    for _ in range(3):
        channel.publish("x", key=queue)
    channel.count(queue, 3)
    channel.get(queue, no_ack=False)
    channel.call("queue.delete", queue=queue)
    channel.call("queue.delete", queue=queue)


@scenario
def purge_leaves_unacked(s):
    """purge-ok counts ready messages only."""
    channel = s.channel()
    queue = s.queue(channel)
    for body in "abc":
        channel.publish(body, key=queue)
    channel.count(queue, 3)
    tag = channel.get(queue, no_ack=False)["delivery-tag"]
    channel.call("queue.purge", queue=queue)
    channel.send("basic.nack", delivery_tag=tag, requeue=True)
    channel.count(queue, 1)
    channel.get(queue)


@scenario
def no_wait(s):
    """Nothing answers a request that asks for nothing."""
    channel = s.channel()
    queue = s.name("q")
    channel.send("queue.declare", queue=queue, no_wait=True)
    channel.send("queue.bind", queue=queue, exchange="amq.fanout", no_wait=True)
    channel.send("queue.purge", queue=queue, no_wait=True)
    channel.send("basic.consume", queue=queue, consumer_tag="t", no_wait=True)
    channel.send("basic.cancel", consumer_tag="t", no_wait=True)
    channel.send("queue.delete", queue=queue, no_wait=True)
    channel.call("queue.declare", queue=queue, passive=True)


@scenario
def no_wait_error(s):
    """An error closes the channel all the same."""
    channel = s.channel()
    channel.call("queue.declare", queue=s.name("none"), passive=True, no_wait=True)


@scenario
def auto_delete(s):
    """It goes with its last consumer, not before its first."""
    channel, other = s.channel(), s.channel()
    queue = s.queue(channel, auto_delete=True)
    channel.call("queue.declare", queue=queue, auto_delete=True)
    channel.call("basic.consume", queue=queue, consumer_tag="one")
    other.call("basic.consume", queue=queue, consumer_tag="two")
    channel.call("basic.cancel", consumer_tag="one")
    channel.call("queue.declare", queue=queue, passive=True)
    other.close()
    channel.gone(queue)


@scenario
def expires_unused(s):
    """An unused queue goes after x-expires; a get keeps it."""
    channel = s.channel()
    queue = s.queue(channel, arguments={"x-expires": 300})
    channel.get(queue)
    time.sleep(1.0)
    channel.call("queue.declare", queue=queue, passive=True)


@scenario
def counts(s):
    """declare-ok counts ready messages and consumers; an unacked one is not ready."""
    channel, other = s.channel(), s.channel()
    queue = s.queue(channel)
    channel.publish("x", key=queue)
    channel.publish("y", key=queue)
    channel.count(queue, 2)
    other.call("basic.qos", prefetch_count=1)
    other.call("basic.consume", queue=queue, consumer_tag="t")
    other.expect()
    channel.call("queue.declare", queue=queue)
