"""The steps between which the broker is killed: one generator for each place of an exchange.

Each runs to its `yield`, gives what is to be sent in the very last moment (or None), and goes on
after the broker is back. A `Place` gives names of its own to each of them, and says whether the
broker is killed or ends in order.
"""

import secrets

import packets as p
from peer import Client, Late

EXPIRY_S = 3600
PID = 7


class Place:
    """One generator's topic and clients."""

    def __init__(self, name, version, killed):
        self.version, self.prefix = version, f"{name}-{version}-{secrets.token_hex(3)}"
        self.killed = killed
        self.topic, self.clients = f"once/{self.prefix}", []

    def client(self, name, **values):
        """A client whose session is kept; it is connected anew under the same name."""
        values.setdefault("clean", False)
        if self.version == p.V5:
            values.setdefault("props", {"session_expiry": EXPIRY_S})
        client = Client(f"{self.prefix}-{name}", self.version, keep_alive=0, **values)
        client.short = name
        self.clients.append(client)
        return client

    def again(self, old, auto=True):
        """The same client after its connection was lost: it knows what it knew."""
        client = self.client(old.short, auto=auto)
        assert client.connack.present, "the session is gone"
        client.messages, client.owed, client.pid = old.messages, old.owed, old.pid
        return client

    def reader(self, auto=True):
        """A client that is subscribed."""
        client = self.client("reader", auto=auto)
        assert client.subscribe(self.topic) == [2]
        return client

    def offline_reader(self):
        """The same, with its connection ended."""
        client = self.reader()
        client.disconnect()
        return client

    def ack(self, client, kind, pid=PID):
        """Sends an ack."""
        client.send(p.ack(kind, pid, version=self.version))

    def publish(self, client, payload=b"once", qos=2, dup=False):
        """Sends a PUBLISH with the packet identifier PID."""
        client.send(p.publish(self.topic, payload, qos, PID, dup=dup, version=self.version))

    def complete(self, client, *kinds):
        """Sends and waits, beginning with what is sent for the first of `kinds`."""
        for kind in kinds:
            if kind == p.PUBCOMP:
                self.ack(client, p.PUBREL)
            packet = client.answer(kind, PID)
            assert packet.code < 0x80 or kind == p.PUBCOMP and packet.code == 0x92, vars(packet)

    def got(self, reader, count=1, more=0, what=b"once"):
        """The reader comes back and has it so often, and then what is new."""
        reader = self.again(reader)
        reader.quiet(0.25)
        try:
            reader.wait(count)
        except Late:
            pass
        texts = reader.texts()
        assert texts[:count] == [what] * count and count <= len(texts) <= count + more, texts
        reader.messages.clear()
        with Client("", self.version, keep_alive=0) as other:
            other.publish(self.topic, b"afterwards", 2)
        assert reader.exactly(1)[0].payload == b"afterwards"
        reader.disconnect()

    def close(self):
        """Ends all connections."""
        for client in self.clients:
            client.cut()


# --- from the publisher to the broker ------------------------------------------------------------

def publish_sent(place):
    """PUBLISH is out, no PUBREC yet: it is sent again."""
    reader, client = place.offline_reader(), place.client("publisher", auto=False)
    yield lambda: place.publish(client)
    client = place.again(client, auto=False)
    place.publish(client, dup=True)
    place.complete(client, p.PUBREC, p.PUBCOMP)
    place.got(reader)


def pubrec_received(place):
    """PUBREC is there: the client goes on with PUBREL."""
    reader, client = place.offline_reader(), place.client("publisher", auto=False)
    place.publish(client)
    place.complete(client, p.PUBREC)
    yield None
    client = place.again(client, auto=False)
    place.complete(client, p.PUBCOMP)
    place.got(reader)


def pubrec_lost(place):
    """PUBREC was sent, but the client did not see it: PUBLISH again, answered only."""
    reader, client = place.offline_reader(), place.client("publisher", auto=False)
    place.publish(client)
    place.complete(client, p.PUBREC)
    yield None
    client = place.again(client, auto=False)
    place.publish(client, dup=True)
    place.complete(client, p.PUBREC, p.PUBCOMP)
    place.got(reader)


def pubrel_sent(place):
    """PUBREL is out, no PUBCOMP yet: it is sent again."""
    reader, client = place.offline_reader(), place.client("publisher", auto=False)
    place.publish(client)
    place.complete(client, p.PUBREC)
    yield lambda: place.ack(client, p.PUBREL)
    client = place.again(client, auto=False)
    place.complete(client, p.PUBCOMP)
    place.got(reader)


def pubcomp_received(place):
    """All done: the identifier is free, a new message with it is a new message."""
    reader, client = place.offline_reader(), place.client("publisher", auto=False)
    place.publish(client)
    place.complete(client, p.PUBREC, p.PUBCOMP)
    yield None
    client = place.again(client, auto=False)
    place.publish(client)
    place.complete(client, p.PUBREC, p.PUBCOMP)
    place.got(reader, 2)


def quality_1_sent(place):
    """QoS 1, no PUBACK yet: sent again, there once or twice."""
    reader, client = place.offline_reader(), place.client("publisher", auto=False)
    yield lambda: place.publish(client, qos=1)
    client = place.again(client, auto=False)
    place.publish(client, qos=1, dup=True)
    place.complete(client, p.PUBACK)
    place.got(reader, more=1)


def quality_1_acked(place):
    """PUBACK is there: the message is, too, once."""
    reader, client = place.offline_reader(), place.client("publisher", auto=False)
    place.publish(client, qos=1)
    place.complete(client, p.PUBACK)
    yield None
    place.got(reader)


# --- from the broker to the reader ---------------------------------------------------------------

def sent_by_another(place, qos=2):
    """One message from a client that then leaves."""
    with Client("", place.version, keep_alive=0) as client:
        client.publish(place.topic, b"once", qos)


def waiting(place):
    """The reader was not there at all."""
    reader = place.offline_reader()
    sent_by_another(place)
    yield None
    place.got(reader)


def received(place):
    """The reader has PUBLISH, no PUBREC out: it comes again, marked, with its identifier."""
    reader = place.reader(auto=False)
    sent_by_another(place)
    first = reader.wait(1)[0]
    yield None
    reader = place.again(reader, auto=False)
    again = reader.step(10)
    assert again.kind == p.PUBLISH and again.dup and again.pid == first.pid, vars(again)
    reader.cut()
    place.got(reader)


def pubrec_sent(place):
    """PUBREC is out: PUBLISH or PUBREL comes, never as a new message."""
    reader = place.reader(auto=False)
    sent_by_another(place)
    pid = reader.wait(1)[0].pid
    yield lambda: place.ack(reader, p.PUBREC, pid)
    place.got(reader)


def pubrel_received(place):
    """PUBREL is there and the reader has forgotten the identifier: only PUBREL comes again."""
    reader = place.reader(auto=False)
    sent_by_another(place)
    pid = reader.wait(1)[0].pid
    place.ack(reader, p.PUBREC, pid)
    reader.answer(p.PUBREL, pid)
    reader.owed.discard(pid)
    yield None
    reader = place.again(reader, auto=False)
    again = reader.step(10)
    assert again.kind == p.PUBREL and again.pid == pid, vars(again)
    reader.cut()
    place.got(reader)


def pubcomp_sent(place):
    """PUBCOMP is out: nothing comes, or PUBREL."""
    reader = place.reader(auto=False)
    sent_by_another(place)
    pid = reader.wait(1)[0].pid
    place.ack(reader, p.PUBREC, pid)
    reader.answer(p.PUBREL, pid)
    reader.owed.discard(pid)
    yield lambda: place.ack(reader, p.PUBCOMP, pid)
    place.got(reader)


def quality_1_received(place):
    """QoS 1 without PUBACK: it comes again; after an end in order marked, with its identifier."""
    reader = place.reader(auto=False)
    sent_by_another(place, 1)
    first = reader.wait(1)[0]
    yield None
    reader = place.again(reader, auto=False)
    again = reader.step(10)
    assert again.kind == p.PUBLISH and again.payload == b"once", vars(again)
    assert place.killed or again.dup and again.pid == first.pid, vars(again)
    reader.cut()
    place.got(reader, 3)


def puback_sent(place):
    """PUBACK is out: it may come once more."""
    reader = place.reader(auto=False)
    sent_by_another(place, 1)
    pid = reader.wait(1)[0].pid
    yield lambda: place.ack(reader, p.PUBACK, pid)
    place.got(reader, more=1)


# --- what else must be there afterwards ----------------------------------------------------------

def retained(place):
    """What is retained, and that something is not any more."""
    client = place.client("publisher")
    for name, text in (("kept", b"old"), ("kept", b"new"), ("gone", b"x"), ("gone", b"")):
        client.publish(f"{place.topic}/{name}", text, 1, retain=True)
    yield None
    with Client("", place.version, keep_alive=0) as reader:
        reader.subscribe(place.topic + "/+")
        got = reader.exactly(1)
        assert got[0].payload == b"new" and got[0].retain, vars(got[0])
        reader.publish(place.topic + "/kept", b"", 1, retain=True)


def subscriptions(place):
    """Filters with their QoS, options and identifiers; one that was ended is not there."""
    client = place.client("reader")
    props = {"subscription_identifier": 99} if place.version == p.V5 else None
    client.subscribe((place.topic + "/+/a", 1), props=props)
    client.subscribe((place.topic + "/ended", 2))
    client.unsubscribe(place.topic + "/ended")
    yield None
    client = place.again(client)
    with Client("", place.version, keep_alive=0) as other:
        for name in ("/ended", "/x/a", "/x/b"):
            other.publish(place.topic + name, b"x", 2)
    got = client.exactly(1)[0]
    assert (got.topic, got.qos) == (place.topic + "/x/a", 1), vars(got)
    assert got.props == ({"subscription_identifier": [99]} if props else {}), got.props


def many(place):
    """Fifty messages for a client that is away, in their order."""
    reader = place.offline_reader()
    with Client("", place.version, keep_alive=0) as client:
        for number in range(50):
            client.publish(place.topic, b"%d" % number, 1 + number % 2)
    yield None
    reader = place.again(reader)
    got = [int(m.payload) for m in reader.exactly(50)]
    for odd in (0, 1):
        assert [n for n in got if n % 2 == odd] == list(range(odd, 50, 2)), got


def short_session(place):
    """A session that ends with its connection does not come back."""
    values = {"clean": True, "props": None} if place.version == p.V5 else {"clean": True}
    client = place.client("reader", **values)
    client.subscribe(place.topic)
    yield None
    assert not place.client("reader").connack.present


STEPS = (publish_sent, pubrec_received, pubrec_lost, pubrel_sent, pubcomp_received, quality_1_sent,
         quality_1_acked, waiting, received, pubrec_sent, pubrel_received, pubcomp_sent,
         quality_1_received, puback_sent, retained, subscriptions, many, short_session)
