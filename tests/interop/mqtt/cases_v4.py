"""MQTT 3.1.1: what the ten cases of Eclipse's interoperability suite ask for, in our own words."""

import time

import packets as p
from peer import Gone, Late, Peer
from stage import BROKER

LIMITED_USER = "mqtt-limited"
KEEP_ALIVE_S = 3
# How much later than one and a half keep-alives a silent client may be noticed.
LATE_S_MAX = {"mosquitto": 6}.get(BROKER, 1.5)


def three(client, *topics):
    """One message of each QoS."""
    for qos, topic in enumerate(topics):
        client.publish(topic, b"qos %d" % qos, qos)


def basic(s):
    """All three QoS, a second CONNECT on a connection, a foreign protocol name."""
    topic = s.topic("TopicA")
    s.client().disconnect()
    client = s.client()
    assert client.subscribe(topic) == [2]
    three(client, topic, topic, topic)
    got = client.exactly(3)
    assert sorted(m.qos for m in got) == [0, 1, 2], [m.qos for m in got]
    client.send(p.connect(s.prefix, s.version))
    client.ending()
    with Peer(s.version) as stranger:
        stranger.send(p.connect(s.prefix, s.version, name="hj"))
        answer = stranger.ending()
        assert answer is None or answer.code, "a foreign protocol name was accepted"


def retained_message(s):
    """Kept, delivered with the flag at its own QoS, removed by an empty payload."""
    topics, everything = s.topics("TopicA/B", "Topic/C", "TopicA/C"), s.topic("+/+")
    client = s.client()
    for qos, topic in enumerate(topics):
        client.publish(topic, b"qos %d" % qos, qos, retain=True)
    client.sync()
    client.subscribe(everything)
    got = client.exactly(3)
    assert all(m.retain for m in got) and sorted(m.qos for m in got) == [0, 1, 2]
    client.unsubscribe(everything)
    for qos, topic in enumerate(topics):
        client.publish(topic, b"", qos, retain=True)
    client.sync()
    client.subscribe(everything)
    client.quiet()
    assert client.messages == [], client.texts()
    client.disconnect()


def offline_message_queueing(s):
    """A session keeps QoS 1 and 2 for its client; QoS 0 is the server's choice."""
    client = s.client("a", clean=False)
    client.subscribe(s.topic("+/+"))
    client.disconnect()
    other = s.client("b")
    three(other, *s.topics("TopicA/B", "Topic/C", "TopicA/C"))
    other.disconnect()
    client = s.client("a", clean=False)
    assert client.connack.present
    client.wait(2)
    client.quiet()
    payloads = sorted(client.texts())
    assert payloads[-2:] == [b"qos 1", b"qos 2"] and len(payloads) <= 3, payloads
    s.note("QoS 0 is kept" if len(payloads) == 3 else "QoS 0 is not kept")
    client.disconnect()
    s.client("a", clean=True).disconnect()


def will_message(s):
    """Published when the connection ends without DISCONNECT."""
    topic = s.topic("Topic/C")
    client = s.client("a", will={"topic": topic, "payload": b"client not disconnected"})
    other = s.client("b", clean=False)
    other.subscribe(topic)
    client.cut()
    assert other.exactly(1)[0].payload == b"client not disconnected"
    other.disconnect()
    s.client("b", clean=True).disconnect()


def zero_length_clientid(s):
    """Refused (2) for a session that is to be kept, fine with clean session."""
    with Peer(s.version) as client:
        client.send(p.connect("", s.version, clean=False, user="guest", password="guest"))
        answer = client.ending()
        assert answer is not None and answer.code == 2, answer
    s.client(None, clean=True).disconnect()


def overlapping_subscriptions(s):
    """One message with the highest QoS, or one for each subscription with its own."""
    client = s.client()
    client.subscribe((s.topic("TopicA/#"), 2), (s.topic("TopicA/+"), 1))
    client.publish(s.topic("TopicA/C"), b"overlapping topic filters", 2)
    client.wait(1)
    client.quiet(0.5)
    levels = sorted(m.qos for m in client.messages)
    s.note("one for all" if len(levels) == 1 else "one for each")
    assert levels in ([2], [1, 2]), levels
    client.disconnect()


def keepalive(s):
    """A silent client is cut after one and a half times its keep-alive; its will goes out."""
    topic = s.topic("/TopicA")
    other = s.client("b", keep_alive=0)
    other.subscribe(topic)
    silent = s.client("a", keep_alive=KEEP_ALIVE_S,
                      will={"topic": topic, "payload": b"keepalive expiry"})
    began = time.monotonic()
    assert other.exactly(1, 1.5 * KEEP_ALIVE_S + LATE_S_MAX)[0].payload == b"keepalive expiry"
    took = time.monotonic() - began - 0.3
    assert KEEP_ALIVE_S * 1.2 < took, f"after {took:.1f} s"
    s.note(f"after {took:.1f} s")
    silent.ending()


def redelivery_on_reconnect(s):
    """What was sent and not acknowledged is sent again, the same identifiers, marked DUP."""
    client = s.client("b", auto=False, clean=False)
    client.subscribe(s.topic("TopicA/#"))
    client.publish(s.topic("TopicA/B"), b"one", 1, wait=False)
    pid = client.publish(s.topic("TopicA/C"), b"two", 2, wait=False)
    client.answer(p.PUBREC, pid)
    client.send(p.ack(p.PUBREL, pid, version=s.version))
    first = {m.payload: m for m in client.exactly(2)}
    client.send(p.disconnect(version=s.version))
    client.ending()
    client = s.client("b", clean=False)
    assert client.connack.present
    again = {m.payload: m for m in client.exactly(2)}
    for payload, message in again.items():
        assert message.dup, f"{payload} without DUP"
        assert message.pid == first[payload].pid, f"{payload} with another identifier"
    client.disconnect()
    s.client("b", clean=True).disconnect()


def subscribe_failure(s, code=(0x80,)):
    """A filter that the user may not read is refused in the SUBACK; the others are not."""
    client = s.client(user=LIMITED_USER, password=LIMITED_USER)
    codes = client.subscribe("test/nosubscribe", f"allowed/{s.prefix}")
    assert codes[0] in code and codes[1] == 2, codes
    client.disconnect()


def dollar_topics(s):
    """A filter with a wildcard in front does not match a topic that begins with `$`."""
    client = s.client("b", keep_alive=0)
    client.subscribe("+/+", s.topic("+/+"))
    client.sync()
    try:
        client.publish("$" + s.topic("B"), b"", 1)
    except (Gone, Late):
        s.note("publishing below $ is refused")
        return
    client.quiet()
    found = [m.topic for m in client.messages if m.topic.startswith("$")]
    assert not found, found
    client.disconnect()


SUITE = (basic, retained_message, offline_message_queueing, will_message, zero_length_clientid,
         overlapping_subscriptions, keepalive, redelivery_on_reconnect, subscribe_failure,
         dollar_topics)
CASES = [(f"v4-{case.__name__.replace('_', '-')}", case, p.V4) for case in SUITE]
