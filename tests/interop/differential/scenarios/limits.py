"""Limits of virtual hosts and users: the paths, the values, and how a client is told."""

import time

from scenario import alone, cases, scenario

VHOST, USER = "vhost-limits/%2F", "user-limits/guest"


def limit(s, place, name, value):
    """Sets a limit, which is lifted afterwards."""
    s.later(lambda: s.ask("DELETE", f"{place}/{name}"))
    return s.http("PUT", f"{place}/{name}", {"value": value})


@alone
@cases({"queues": (VHOST, "max-queues"), "connections": (VHOST, "max-connections"),
        "user_connections": (USER, "max-connections"), "user_channels": (USER, "max-channels")})
def statuses(s, place, name):
    """Set, changed, shown, lifted, lifted again."""
    for value in (1000, 1001):
        limit(s, place, name, value)
    s.http("GET", place)
    s.http("GET", place.split("/")[0])
    s.http("DELETE", f"{place}/{name}")
    s.http("GET", place)
    s.http("DELETE", f"{place}/{name}")


@alone
@scenario
def two_at_once(s):
    """Both limits of a virtual host are shown together."""
    limit(s, VHOST, "max-queues", 1000)
    limit(s, VHOST, "max-connections", 1000)
    s.http("GET", VHOST)


VALUES = {"none": -1, "below": -2, "text": "5", "float": 1.5, "truth": True, "null": None,
          "large": 2**40, "array": [1]}


@alone
@cases({f"{key}_{name}": (place, limit_name, value) for key, (place, limit_name) in {
    "vhost": (VHOST, "max-queues"), "user": (USER, "max-channels")}.items()
        for name, value in VALUES.items()})
def values(s, place, name, value):
    """What a limit may be."""
    status, _ = limit(s, place, name, value)
    if status < 300:
        s.http("GET", place)


@alone
@cases({"vhost_name": (f"{VHOST}/no-such", {"value": 5}),
        "user_name": (f"{USER}/no-such", {"value": 5}),
        "vhost_no_value": (f"{VHOST}/max-queues", {}),
        "user_no_value": (f"{USER}/max-channels", {}),
        "vhost_no_json": (f"{VHOST}/max-queues", "five"),
        "vhost_unknown": ("vhost-limits/none/max-queues", {"value": 5}),
        "user_unknown": ("user-limits/none/max-channels", {"value": 5}),
        "vhost_user_limit": (f"{VHOST}/max-channels", {"value": 5}),
        "user_vhost_limit": (f"{USER}/max-queues", {"value": 5})})
def bad(s, place, content):
    """Refused."""
    s.later(lambda: s.ask("DELETE", place))
    s.http("PUT", place, content)


@alone
@cases({"vhost": "vhost-limits/none", "user": "user-limits/none"})
def get_unknown(s, place):
    """Limits of what is not there."""
    s.http("GET", place)
    s.http("DELETE", f"{place}/max-connections")


def empty(s, channel, name="q"):
    """Deletes a queue afterwards, so that the next conversation finds none."""
    queue = s.name(name)

    def delete():
        other = s.socket().handshake()
        other.channel(1)
        other.put(1, "queue.delete", queue=queue)
        other.take(1)
        other.finish()

    s.later(delete)
    return queue


@alone
@cases({"one": (1, {}), "none": (0, {}), "exclusive": (1, {"exclusive": True}),
        "unlimited": (-1, {})})
def max_queues(s, most, flags):
    """A queue too many; one that is there may be declared again."""
    channel = s.channel()
    names = [empty(s, channel, short) for short in ("one", "two")]
    limit(s, VHOST, "max-queues", most)
    for name in names:
        event = channel.call("queue.declare", queue=name, **flags)
        if not channel.connection.open or event is None:
            return
        if event.name == "channel.close":
            channel = channel.connection.channel(1)
    channel.call("queue.declare", queue=names[0], **flags)


@alone
@scenario
def max_queues_is_lifted(s):
    """A delete makes room, and so does a higher limit."""
    channel = s.channel()
    one, two = empty(s, channel, "one"), empty(s, channel, "two")
    limit(s, VHOST, "max-queues", 1)
    channel.call("queue.declare", queue=one)
    channel.call("queue.delete", queue=one)
    channel.call("queue.declare", queue=two)
    limit(s, VHOST, "max-queues", 2)
    channel.call("queue.declare", queue=one)


@alone
@scenario
def max_queues_below_what_there_is(s):
    """Those that are there stay."""
    channel = s.channel()
    names = [empty(s, channel, short) for short in ("one", "two", "three")]
    for name in names[:2]:
        channel.call("queue.declare", queue=name)
    limit(s, VHOST, "max-queues", 1)
    channel.call("queue.declare", queue=names[0])
    channel.call("queue.declare", queue=names[2])


def knock(s):
    """Opens a connection as far as it goes; what the broker says last."""
    link = s.socket()
    link.write(b"AMQP\0\0\x09\x01")
    link.take(0)
    link.put(0, "connection.start-ok", mechanism="PLAIN", locale="en_US", response="\0guest\0guest",
             client_properties={"capabilities": {"authentication_failure_close": True}})
    event = link.take(0)
    if event.name == "connection.tune":
        link.put(0, "connection.tune-ok", channel_max=10, frame_max=131072, heartbeat=0)
        link.put(0, "connection.open", virtual_host="/")
        event = link.take(0)
    link.say(0, "<", event.show() if event else "(nothing)")
    if event and event.name == "connection.close":
        link.ended()
    return event


def alone_here(s, seconds=10):
    """Waits until the broker counts no connection (those before are being forgotten)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        link = s.socket()
        s.connections.remove(link)
        try:
            link.handshake().finish()
            return
        except (AssertionError, AttributeError, OSError):
            link.drop()
            time.sleep(0.1)


@alone
@cases({"vhost_none": (VHOST, 0), "user_none": (USER, 0), "vhost_unlimited": (VHOST, -1),
        "user_unlimited": (USER, -1)})
def max_connections(s, place, most):
    """Nobody, or anybody."""
    limit(s, place, "max-connections", most)
    knock(s)


@alone
@cases({"vhost": (VHOST,), "user": (USER,)})
def max_connections_one(s, place):
    """The second one is turned away; those that are there stay."""
    limit(s, place, "max-connections", 1)
    alone_here(s)
    time.sleep(0.5)
    first = s.socket().handshake()
    time.sleep(0.5)  # RabbitMQ counts a connection some time after it is open
    event = knock(s)
    if event and event.name == "connection.close":
        channel = first.channel(1)
        channel.call("queue.declare", queue="", exclusive=True)


@alone
@scenario
def max_connections_below_what_there_is(s):
    """A limit does not end what is open."""
    channel = s.channel()
    limit(s, VHOST, "max-connections", 0)
    channel.call("queue.declare", queue="", exclusive=True)
    channel.quiet(0.5)


@alone
@cases({"one": 1, "none": 0, "unlimited": -1})
def max_channels(s, most):
    """One channel too many."""
    link = s.socket().handshake()
    limit(s, USER, "max-channels", most)
    for number in (1, 2):
        time.sleep(0.3)  # RabbitMQ counts a channel some time after it is open
        channel = link.bare(number)
        event = channel.call("channel.open")
        if event is None or event.name != "channel.open-ok":
            return
