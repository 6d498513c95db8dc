"""What the programs of the judge `order` share: consumers with connections of their own, limits by
HTTP, brokers of their own, and which checks hold for RabbitMQ, too.

Invariants
- All connections of a `Team` are served by one thread, so what it notes is in one order.
- A check that RabbitMQ must pass, too, is listed as `stock`; against RabbitMQ only those run.
"""

import collections
import contextlib
import fcntl
import os
import pathlib
import struct
import sys
import time

import pika
import pika.data

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "queues"))
import kit  # noqa: E402
import lib  # noqa: E402
from kit import (Broker, Checks, api, arguments, closed, connect, cut, equal, fresh,  # noqa: E402
                 make, pair, properties, publish, ready, refused, returned, take)

_encode_value = pika.data.encode_value


def _encode_value_or_float(pieces, value):
    """pika reads floats in tables, and writes none."""
    if not isinstance(value, float):
        return _encode_value(pieces, value)
    pieces.append(b"d" + struct.pack(">d", value))
    return 9


pika.data.encode_value = _encode_value_or_float
BROKER = os.environ.get("BROKER", "ferrymq")
__all__ = ["Broker", "Checks", "Member", "Team", "api", "arguments", "call", "closed", "connect",
           "cut", "equal", "fresh", "make", "owner", "pair", "policy", "properties", "publish",
           "ready", "refused", "returned", "run", "send", "set_limit", "shards", "take", "team_of",
           "until"]
Message = collections.namedtuple("Message", "at member tag redelivered headers key number props")


def until(condition, seconds=10, what="it"):
    """Waits for a condition; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come in {seconds} s"
        time.sleep(0.02)
    return value


def shards(ch, count=16, **settings):
    """A queue with shards."""
    return make(ch, shards=count, **settings)


def send(ch, queue, *names, headers=None, **others):
    """One message for each `key.number`; the key is in its header, a name like `-.3` has none."""
    for name in names:
        key = name.split(".")[0]
        own = {} if key == "-" else {"x-shard-key": key}
        publish(ch, queue, name.encode(), {**own, **(headers or {})}, **others)


def team_of(ch, count, prefetch=0, queue=None, **settings):
    """(queue, team, its members)."""
    queue, team = queue or shards(ch, **settings), Team()
    members = [team.join(queue, prefetch) for _ in range(count)]
    return queue, team, members


class Member:
    """A consumer with a connection of its own."""

    def __init__(self, team, queue, prefetch=0, **options):
        self.team, self.got, self.alive = team, [], True
        self.connection = connect()
        self.ch = self.connection.channel()
        if prefetch:
            self.ch.basic_qos(prefetch_count=prefetch)
        self.name = self.ch.basic_consume(queue, self._deliver, **options)

    def _deliver(self, _, method, props, body):
        key, _, number = body.decode().partition(".")
        got = Message(time.monotonic(), self, method.delivery_tag, method.redelivered,
                      props.headers or {}, key, number, props)
        self.got.append(got)
        self.team.got.append(got)
        if self.team.on_message:
            self.team.on_message(got)

    def ack(self, *gots):
        """Settles these, or all that it has."""
        for got in gots or self.got:
            self.ch.basic_ack(got.tag)

    def back(self, got):
        """Gives one back."""
        self.ch.basic_nack(got.tag, requeue=True)

    def names(self):
        """What it got, as `key.number`."""
        return [f"{got.key}.{got.number}" for got in self.got]

    def cancel(self):
        """No more deliveries; it keeps what it holds."""
        self.ch.basic_cancel(self.name)

    def kill(self):
        """Its socket is cut."""
        self.alive = False
        cut(self.connection)


class Team:
    """Consumers, and all that they got in the order of its coming."""

    def __init__(self, on_message=None):
        self.members, self.got, self.on_message = [], [], on_message

    def join(self, queue, prefetch=0, **options):
        """One more; returns it."""
        self.members.append(Member(self, queue, prefetch, **options))
        return self.members[-1]

    def serve(self):
        """One round over all connections."""
        for member in self.members:
            if member.alive:
                member.connection.process_data_events(0)
        time.sleep(0.002)

    def wait(self, count, seconds=15):
        """Serves until so many came in all."""
        deadline = time.monotonic() + seconds
        while len(self.got) < count and time.monotonic() < deadline:
            self.serve()
        assert len(self.got) >= count, f"{len(self.got)} came, wanted {count}: {self.names()[-9:]}"
        return self.got

    def quiet(self, seconds=0.3):
        """Nothing more comes."""
        before, deadline = len(self.got), time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.serve()
        equal(self.names()[before:], [])

    def names(self):
        """All that came, as `key.number`."""
        return [f"{got.key}.{got.number}" for got in self.got]

    def in_order(self):
        """The numbers of each key rise, from delivery to delivery."""
        last = {}
        for got in self.got:
            number = int(got.number)
            assert last.get(got.key, -1) < number, f"{got.key}.{number} after {last[got.key]}"
            last[got.key] = number

    def holders(self):
        """{key: members that got something of it}."""
        found = collections.defaultdict(set)
        for got in self.got:
            found[got.key].add(self.members.index(got.member))
        return found

    def close(self):
        """All go."""
        for member in self.members:
            if member.alive:
                with contextlib.suppress(pika.exceptions.AMQPError):
                    member.connection.close()


def set_limit(place, name, value, http=None):
    """A limit of a virtual host (`vhost-limits/%2F`) or user (`user-limits/guest`)."""
    status, text = call("PUT", f"{place}/{name}", {"value": value}, http)
    assert status in (201, 204), f"{status} {text}"


def call(method, path, content=None, http=None):
    """The management API of another broker."""
    before, kit.HTTP_PORT = kit.HTTP_PORT, http or kit.HTTP_PORT
    try:
        return api(method, path, content)
    finally:
        kit.HTTP_PORT = before


def policy(pattern, definition, kind="policies", name=None, **options):
    """Sets a policy; returns what deletes it."""
    name = name or fresh("policy")
    status, text = api("PUT", f"{kind}/%2F/{name}",
                       {"pattern": pattern, "definition": definition, **options})
    assert status in (201, 204), f"{status} {text}"
    return lambda: equal(api("DELETE", f"{kind}/%2F/{name}")[0], 204)


@contextlib.contextmanager
def owner():
    """A broker of one's own, for what the others would notice."""
    lib.CACHE.mkdir(parents=True, exist_ok=True)
    with open(lib.CACHE / "ports.lock", "w") as lock:  # a port is taken when somebody listens on it
        fcntl.flock(lock, fcntl.LOCK_EX)
        broker = Broker(BROKER, http=True)
        broker.start()
    try:
        yield broker
    finally:
        broker.remove()


def run(program, stock=(), ours=()):
    """Runs each check with a channel of its own; prints the totals."""
    checks, connection = Checks(), connect()

    def play(test):
        channel = connection.channel()
        try:
            test(channel)
        finally:
            if channel.is_open:
                channel.close()

    for test in (*stock, *(ours if BROKER == "ferrymq" else ())):
        if connection.is_closed:
            connection = connect()
        if "ONLY" not in os.environ or os.environ["ONLY"] in test.__name__:
            checks.run(f"{program} {test.__name__}", lambda test=test: play(test))
    if connection.is_open:
        connection.close()
    checks.finish()
