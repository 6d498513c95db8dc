"""Statements of MQTT 5 about messages and subscriptions that a server shows from outside."""

import time

import packets as p

KEPT = {"session_expiry": 600}
# filter, topic name, whether it matches; below the case's own level
MATCHES = [
    ("a", "a", True), ("a", "A", False), ("a", "a/", False), ("/a", "/a", True),
    ("a//b", "a/b", False), ("a//b", "a//b", True), ("a b", "a b", True), ("#", "a", True),
    ("#", "a/b/c", True),
    ("a/#", "a", True), ("a/#", "a/", True), ("a/#", "a/b/c", True), ("a/#", "ab", False),
    ("a/+", "a", False), ("a/+", "a/", True), ("a/+", "a/b", True), ("a/+", "a/b/c", False),
    ("a/+/c", "a/b/c", True), ("a/+/c", "a//c", True), ("a/+/c", "a/b/b/c", False),
    ("+", "a", True),
    ("+", "/", False), ("+/+", "/", True), ("/+", "/", True), ("+/#", "a", True),
    ("+/b/#", "a/b", True), ("+/b/#", "a/c", False), ("a/+/#", "a/b", True), ("a/+/#", "a", False),
    ("a.b", "a/b", False), ("a/b", "a.b", False), ("a.b", "a.b", True), ("+", "a.b", True),
    ("a/+", "a/b.c", True), ("a/*", "a/b", False), ("a/*", "a/*", True),
    ("*", "a", False), ("*/+", "*/b", True), ("a*", "a*", True), ("$a", "$a", True),
    ("ä/日本/+", "ä/日本/x", True), ("ä", "a\u0308", False), ("\ufeffa", "a", False),
    ("\ufeffa", "\ufeffa", True), ("a/" * 90 + "+", "a/" * 90 + "b", True),
    ("+/" * 90 + "b", "a/" * 90 + "b", True), ("x" * 900, "x" * 900, True),
]


def matching(s):
    """[4.7.1-1] [4.7.1-2] [4.7.3-4] [1.5.4-3] What a filter matches, level by level."""
    client, end, wrong = s.client(), s.topic("end of this row"), []
    client.subscribe(end)
    for at, (pattern, name, expected) in enumerate(MATCHES):
        below = f"row{at}/"
        client.subscribe(s.topic(below + pattern))
        client.publish(s.topic(below + name), b"x", 1)
        client.publish(end, b"%d" % at, 1)
        client.until(lambda at=at: any(m.payload == b"%d" % at for m in client.messages), end)
        found = [m.topic for m in client.messages if m.topic != end]
        if found != [s.topic(below + name)] * expected:
            wrong.append((pattern, name, found))
        client.messages.clear()
        client.unsubscribe(s.topic(below + pattern))
    assert not wrong, wrong


def dollar_and_wildcards(s):
    """[4.7.2-1] Neither `#` nor `+` in front match `$...`; a filter that says `$` does."""
    client, other = s.client(), s.client("b")
    client.subscribe("#", "+/" + s.prefix)
    client.quiet()
    client.messages.clear()
    other.publish(f"$x/{s.prefix}", b"x", 1)
    other.publish(s.topic("end"), b"end", 1)
    client.until(lambda: any(m.payload == b"end" for m in client.messages), "end")
    assert not [m.topic for m in client.messages if m.topic.startswith("$")]
    client.subscribe("$x/#")
    client.messages.clear()
    other.publish(f"$x/{s.prefix}", b"x", 1)
    client.until(lambda: any(m.topic == f"$x/{s.prefix}" for m in client.messages), "$x")


def lower_quality(s):
    """[3.8.4-8] Delivered at the lower one of what was published and granted."""
    publisher = s.client("publisher")
    for granted in range(3):
        client = s.client(f"granted{granted}")
        client.subscribe((s.topic("t"), granted))
        for qos in range(3):
            publisher.publish(s.topic("t"), b"%d" % qos, qos)
        found = {m.payload: m.qos for m in client.exactly(3)}
        assert found == {b"%d" % qos: min(qos, granted) for qos in range(3)}, found


def codes_in_order(s):
    """[3.8.4-5] [3.8.4-6] One code for each filter, in their order."""
    client = s.client()
    asked = [(s.topic(f"t{n}"), n % 3) for n in range(10)]
    assert client.subscribe(*asked) == [n % 3 for n in range(10)]
    codes = client.unsubscribe(*(name for name, _ in asked), s.topic("never"))
    assert codes == [0] * 10 + [0x11], codes


def subscription_is_replaced(s):
    """[3.8.4-3] The same filter again: other options, no second message."""
    client, topic = s.client(), s.topic("t")
    client.subscribe((topic, p.options(2, no_local=True)))
    client.publish(topic, b"mine", 1)
    client.subscribe((topic, 1))
    client.publish(topic, b"heard", 2)
    got = client.exactly(1)
    assert (got[0].payload, got[0].qos) == (b"heard", 1), got


def dup_is_not_passed_on(s):
    """[3.3.1-3] The flag is of one connection."""
    client, topic = s.client(), s.topic("t")
    client.subscribe(topic)
    client.publish(topic, b"x", 1, dup=True)
    assert not client.exactly(1)[0].dup


def retained_is_told_apart(s):
    """[3.3.1-5] [3.3.1-8] [3.3.1-9] [3.3.1-12] The newest is kept; live ones have no flag."""
    client, topic = s.client(), s.topic("t")
    client.subscribe(topic)
    for text in (b"one", b"two"):
        client.publish(topic, text, 1, retain=True)
    client.publish(topic, b"not kept", 1)
    assert [m.retain for m in client.exactly(3)] == [False] * 3
    late = s.client("late")
    late.subscribe(topic)
    assert [(m.payload, m.retain) for m in late.exactly(1)] == [(b"two", True)]
    client.publish(topic, b"", 1, retain=True)
    assert [m.payload for m in client.exactly(1)] == [b""]
    third = s.client("third")
    third.subscribe(topic)
    third.quiet()
    assert third.messages == [], third.texts()


def retained_expires(s):
    """[3.3.2-5] [3.3.2-6] A retained message goes with its expiry."""
    client = s.client()
    for seconds in (1, 60):
        client.publish(s.topic(f"t{seconds}"), b"x", 1, retain=True,
                       props={"message_expiry": seconds})
    time.sleep(2.2)
    client.subscribe(s.topic("+"))
    got = client.exactly(1)
    assert got[0].topic == s.topic("t60") and 50 <= got[0].props["message_expiry"] <= 58, got
    client.publish(s.topic("t60"), b"", 1, retain=True)


def retained_with_identifier(s):
    """[3.3.4-3] A retained message tells the subscription it is for."""
    client, topic = s.client(), s.topic("t")
    client.publish(topic, b"x", 1, retain=True)
    client.subscribe(topic, props={"subscription_identifier": 268435455})
    assert client.exactly(1)[0].props == {"subscription_identifier": [268435455]}
    client.publish(topic, b"", 1, retain=True)


def nothing_retained_for_a_group(s):
    """[4.8] A shared subscription gets no retained messages."""
    client, topic = s.client(), s.topic("t")
    client.publish(topic, b"x", 1, retain=True)
    client.subscribe(f"$share/{s.prefix}/{topic}")
    client.quiet()
    assert client.messages == [], client.texts()
    client.publish(topic, b"", 1, retain=True)


def group_shares(s):
    """[4.8.2-4] [4.8.2-5] Each message to one member; a group is not another group."""
    topic = s.topic("t")
    clients = [s.client(name) for name in "abc"]
    for client, group in zip(clients, ("g", "g", "h")):
        assert client.subscribe((f"$share/{group}{s.prefix}/{topic}", 1)) == [1]
    publisher = s.client("publisher")
    for number in range(40):
        publisher.publish(topic, b"%d" % number, 1)
    clients[2].exactly(40)
    for client in clients[:2]:
        client.quiet(0.5)
    counts = [len(client.messages) for client in clients[:2]]
    assert sum(counts) == 40 and min(counts) > 0, counts
    texts = [text for client in clients[:2] for text in client.texts()]
    assert len(set(texts)) == 40
    s.note(f"{counts[0]} and {counts[1]}")
    clients[0].disconnect()
    clients[1].messages.clear()
    for number in range(5):
        publisher.publish(topic, b"%d" % number, 1)
    clients[1].exactly(5)


def window_is_kept(s):
    """[3.3.4-9] [3.3.4-10] [4.9.0-1] [4.9.0-3] At most Receive Maximum unacknowledged; what is no
    PUBLISH goes on. QoS 0 may go on or wait ([4.9.0-2]), and comes in the end."""
    topic = s.topic("t")
    client, other = s.client(auto=False, props={"receive_maximum": 2}), s.client("b")
    client.subscribe(topic)
    for number in range(5):
        other.publish(topic, b"%d" % number, 1)
    first, second = client.exactly(2)
    other.publish(topic, b"at most once", 0)
    client.sync()
    client.subscribe(s.topic("other"))
    client.quiet()

    def sure():
        return [message for message in client.messages if message.qos]

    assert sure() == []
    client.send(p.ack(p.PUBACK, first.pid))
    client.until(sure, "third")
    client.quiet()
    (third,) = sure()
    client.send(p.ack(p.PUBACK, second.pid) + p.ack(p.PUBACK, third.pid))
    client.until(lambda: len(sure()) == 3, "the rest")
    client.send(b"".join(p.ack(p.PUBACK, message.pid) for message in sure()[1:]))
    client.exactly(4)


def window_of_quality_2(s):
    """[4.9.0-2] PUBREC gives nothing back, PUBCOMP does; a PUBREC that refuses does, too."""
    topic = s.topic("t")
    client, other = s.client(auto=False, props={"receive_maximum": 1}), s.client("b")
    client.subscribe(topic)
    for number in range(3):
        other.publish(topic, b"%d" % number, 2)
    first = client.exactly(1)[0]
    client.send(p.ack(p.PUBREC, first.pid))
    client.answer(p.PUBREL, first.pid)
    client.exactly(0)
    client.send(p.ack(p.PUBCOMP, first.pid))
    second = client.exactly(1)[0]
    client.send(p.ack(p.PUBREC, second.pid, 0x80))
    client.exactly(1)
    kinds = [answer.name for answer in client.answers]
    assert kinds == [], kinds


def twice_is_once(s):
    """[4.3.3-10] A QoS 2 PUBLISH again before PUBREL is answered, not delivered; then it is new."""
    topic = s.topic("t")
    client, watcher = s.client(auto=False), s.client("watcher")
    watcher.subscribe(topic)
    for _ in range(3):
        client.send(p.publish(topic, b"x", 2, 7, dup=True))
        client.answer(p.PUBREC, 7)
    client.send(p.ack(p.PUBREL, 7))
    client.answer(p.PUBCOMP, 7)
    watcher.exactly(1)
    client.send(p.publish(topic, b"y", 2, 7))
    client.answer(p.PUBREC, 7)
    watcher.exactly(1)


def twice_over_connections(s):
    """[4.4.0-1] The same over a lost connection: PUBLISH again, then PUBREL again."""
    topic = s.topic("t")
    watcher = s.client("watcher")
    watcher.subscribe(topic)
    client = s.client(auto=False, props=KEPT)
    client.send(p.publish(topic, b"x", 2, 7))
    client.answer(p.PUBREC, 7)
    client.cut()
    client = s.client(auto=False, clean=False, props=KEPT)
    client.send(p.publish(topic, b"x", 2, 7, dup=True))
    client.answer(p.PUBREC, 7)
    client.send(p.ack(p.PUBREL, 7))
    client.cut()
    client = s.client(auto=False, clean=False, props=KEPT)
    client.send(p.ack(p.PUBREL, 7))
    assert client.answer(p.PUBCOMP, 7).code in (0, 0x92)
    watcher.exactly(1)


def pubrel_comes_again(s):
    """[4.4.0-1] What had its PUBREC gets PUBREL after a return, not PUBLISH."""
    topic = s.topic("t")
    client = s.client(auto=False, props=KEPT)
    client.subscribe(topic)
    s.client("b").publish(topic, b"x", 2)
    message = client.exactly(1)[0]
    client.send(p.ack(p.PUBREC, message.pid))
    client.answer(p.PUBREL, message.pid)
    client.cut()
    client = s.client(auto=False, clean=False, props=KEPT)
    client.answer(p.PUBREL, message.pid)
    client.exactly(0)
    client.send(p.ack(p.PUBCOMP, message.pid))
    client.disconnect(props={"session_expiry": 0})


def unknown_identifiers(s):
    """[4.3.3] PUBREL of nothing: PUBCOMP with 0x92; a PUBACK of nothing harms nobody."""
    client = s.client(auto=False)
    client.send(p.ack(p.PUBREL, 4711))
    assert client.answer(p.PUBCOMP, 4711).code == 0x92
    client.send(p.ack(p.PUBACK, 4712) + p.ack(p.PUBCOMP, 4713) + p.PING)
    client.until(lambda: any(a.kind == p.PINGRESP for a in client.answers), "pingresp")


def order_is_kept(s):
    """[4.6.0-5] [4.6.0-6] From one publisher in one QoS: in the order of publishing."""
    client, other = s.client(), s.client("b")
    client.subscribe((s.topic("#"), 2))
    for qos in range(3):
        for number in range(200):
            other.publish(s.topic(f"t{qos}"), b"%d" % number, qos, wait=number % 10 == 9)
    client.wait(600)
    for qos in range(3):
        numbers = [int(m.payload) for m in client.messages if m.topic == s.topic(f"t{qos}")]
        assert numbers == list(range(200)), f"QoS {qos}: {numbers[:20]}"


def sizes(s):
    """[2.1.4] Payloads around each length of the remaining length, and 1 MiB."""
    client, topic = s.client(), s.topic("t")
    client.subscribe(topic)
    over = len(p.publish(topic, b"", 1, 1)) - 2
    lengths = [0, 1, 127 - over, 128 - over, 16383 - over, 16384 - over, 2097151 - over,
               2097152 - over, 1 << 20]
    for length in lengths:
        client.publish(topic, bytes([length % 251]) * length, 1)
        assert len(client.exactly(1, quiet=0)[0].payload) == length


def versions_together(s):
    """Properties go from 5 to 5; a 3.1.1 client reads and writes the plain message."""
    topic, props = s.topic("t"), {"user": [("k", "v")], "content_type": "x"}
    old, new = s.client("old", version=p.V4), s.client("new")
    for client in (old, new):
        client.subscribe(topic)
    new.publish(topic, b"new", 2, props=props)
    old.publish(topic, b"old", 2)
    assert sorted(m.payload for m in old.exactly(2)) == [b"new", b"old"]
    found = {m.payload: m.props for m in new.exactly(2)}
    assert found == {b"new": props, b"old": {}}, found


def alias_is_given_anew(s):
    """[3.3.2-7] [3.3.2-12] An alias names another topic from then on; each side has its own."""
    client = s.client(props={"topic_alias_maximum": 2})
    client.subscribe(s.topic("+"))
    for name, length in (("a", True), ("a", False), ("b", True), ("b", False)):
        client.publish(s.topic(name) if length else "", name, 1, props={"topic_alias": 1})
    assert [m.topic for m in client.exactly(4)] == s.topics("a", "a", "b", "b")
    for number in range(6):
        client.publish(s.topic(f"t{number % 3}"), b"%d" % (number % 3), 1)
    got = client.exactly(6)
    assert [m.topic for m in got] == [s.topic(f"t{n % 3}") for n in range(6)]
    assert all(m.props.get("topic_alias", 0) <= 2 for m in got)


def payload_is_checked(s):
    """[3.3.2-4] A payload that is called UTF-8 and is not: 0x99."""
    client = s.client()
    answer = client.publish(s.topic("t"), b"\xff", 1, props={"payload_format": 1})
    assert answer.code == 0x99, answer


SUITE = (matching, dollar_and_wildcards, lower_quality, codes_in_order, subscription_is_replaced,
         dup_is_not_passed_on, retained_is_told_apart, retained_expires, retained_with_identifier,
         nothing_retained_for_a_group, group_shares, window_is_kept, window_of_quality_2,
         twice_is_once, twice_over_connections, pubrel_comes_again, unknown_identifiers,
         order_is_kept, sizes, versions_together, alias_is_given_anew, payload_is_checked)
CASES = [(f"s5-{case.__name__.replace('_', '-')}", case, p.V5) for case in SUITE]
