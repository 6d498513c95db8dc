"""Statements of MQTT 5 about the exchange of packets: identifiers, expiry, groups, refusals."""

import time

import packets as p
import scram
from cases_v4 import LIMITED_USER
from peer import Gone, Late

KEPT = {"session_expiry": 600}


def nothing_unasked(s):
    """[3.1.2-28] [3.2.2-22] [4.12.0-6] What a CONNACK has no reason to say."""
    props = s.client(keep_alive=20).connack.props
    for name in ("response_information", "server_keep_alive", "authentication_method",
                 "assigned_client_identifier"):
        assert name not in props, props


def goodbye(s):
    """[3.14.4-1] [3.14.4-2] After DISCONNECT nothing is looked at, and the end comes at once."""
    watcher, client = s.client("watcher"), s.client()
    watcher.subscribe(s.topic("t"))
    client.send(p.disconnect() + p.publish(s.topic("t"), b"too late", 0))
    assert client.ending(3) is None
    watcher.exactly(0)


def identifiers_are_unused(s):
    """[2.2.1-4] [4.3.2-1] [4.3.3-1] Deliveries under way have identifiers of their own, no DUP."""
    client, other = s.client(auto=False), s.client("b")
    client.subscribe(s.topic("+"))
    for number in range(12):
        other.publish(s.topic("t"), b"%d" % number, 1 + number % 2)
    got = client.exactly(12)
    assert len({m.pid for m in got}) == 12 and not any(m.dup for m in got), got


def identifier_is_free_again(s):
    """[4.3.2-5] [4.3.3-12] After PUBACK and PUBCOMP the same identifier is a new message."""
    client, watcher = s.client(auto=False), s.client("watcher")
    watcher.subscribe(s.topic("t"))
    for text in (b"one", b"two"):
        client.send(p.publish(s.topic("t"), text, 1, 7))
        client.answer(p.PUBACK, 7)
    for text in (b"three", b"four"):
        client.send(p.publish(s.topic("t"), text, 2, 7))
        client.answer(p.PUBREC, 7)
        client.send(p.ack(p.PUBREL, 7))
        client.answer(p.PUBCOMP, 7)
    assert [m.payload for m in watcher.exactly(4)] == [b"one", b"two", b"three", b"four"]


def free_after_a_refusal(s):
    """[4.3.3-9] After a PUBREC that refuses, too."""
    watcher = s.client("watcher")
    watcher.subscribe(f"allowed/{s.prefix}")
    client = s.client(auto=False, user=LIMITED_USER, password=LIMITED_USER)
    client.send(p.publish(s.topic("t"), b"refused", 2, 7))
    assert client.answer(p.PUBREC, 7).code == 0x87
    client.send(p.publish(f"allowed/{s.prefix}", b"taken", 2, 7))
    assert client.answer(p.PUBREC, 7).code < 0x80
    assert watcher.exactly(1)[0].payload == b"taken"


def refused_is_not_sent_again(s):
    """[4.4.0-2] A delivery that the client refused does not come back with the session."""
    client = s.client(auto=False, props=KEPT)
    client.subscribe(s.topic("t"))
    other = s.client("b")
    for qos, kind in ((1, p.PUBACK), (2, p.PUBREC)):
        other.publish(s.topic("t"), b"x", qos)
        client.send(p.ack(kind, client.exactly(1)[0].pid, 0x80))
    client.sync()
    client.cut()
    client = s.client(auto=False, clean=False)
    client.exactly(0)
    assert not client.answers, [answer.name for answer in client.answers]


def under_way_does_not_expire(s):
    """[4.3.3-7] A QoS 2 message that was sent is sent again after its expiry."""
    client = s.client(auto=False, props=KEPT)
    client.subscribe(s.topic("t"))
    s.client("b").publish(s.topic("t"), b"x", 2, props={"message_expiry": 1})
    first = client.exactly(1)[0]
    client.cut()
    time.sleep(1.8)
    client = s.client(clean=False)
    again = client.exactly(1)[0]
    assert again.dup and again.pid == first.pid, vars(again)


def exchange_outlives_expiry(s):
    """[4.3.3-13] PUBREL is answered although the message expired before it."""
    client = s.client(auto=False)
    client.send(p.publish(s.topic("t"), b"x", 2, 7, props={"message_expiry": 1}))
    client.answer(p.PUBREC, 7)
    time.sleep(1.5)
    client.send(p.ack(p.PUBREL, 7))
    assert client.answer(p.PUBCOMP, 7).code == 0


def unsubscribed_under_way(s):
    """[3.10.4-2] [3.10.4-3] What was begun is finished after UNSUBSCRIBE; nothing new comes."""
    client, other = s.client(auto=False), s.client("b")
    client.subscribe(s.topic("t"))
    other.publish(s.topic("t"), b"x", 2)
    pid = client.exactly(1)[0].pid
    assert client.unsubscribe(s.topic("t")) == [0]
    other.publish(s.topic("t"), b"y", 2)
    client.send(p.ack(p.PUBREC, pid))
    client.answer(p.PUBREL, pid)
    client.send(p.ack(p.PUBCOMP, pid))
    client.exactly(0)


def filters_by_their_characters(s):
    """[3.10.4-1] UNSUBSCRIBE ends only the filter that is written the same."""
    client = s.client()
    client.subscribe(s.topic("a/+"))
    assert client.unsubscribe(s.topic("a/b"), s.topic("a/#"), s.topic("A/+")) == [0x11] * 3
    client.publish(s.topic("a/b"), b"x", 1)
    client.exactly(1)


def group_with_levels(s):
    """[4.8.2-3] Each member of a group has the QoS that was granted to it."""
    clients = [s.client(f"granted{granted}") for granted in (0, 1)]
    for granted, client in enumerate(clients):
        client.subscribe((f"$share/{s.prefix}/{s.topic('t')}", granted))
    publisher = s.client("publisher")
    for number in range(20):
        publisher.publish(s.topic("t"), b"%d" % number, 1)
    for granted, client in enumerate(clients):
        client.quiet()
        levels = {m.qos for m in client.messages}
        assert levels == {granted}, (granted, levels)


def group_member_refuses(s):
    """[4.8.2-6] What one member refuses goes to no other."""
    clients = [s.client(name, auto=False) for name in "ab"]
    for client in clients:
        client.subscribe((f"$share/{s.prefix}/{s.topic('t')}", 1))
    s.client("publisher").publish(s.topic("t"), b"x", 1)
    for client in clients:
        client.quiet()
    taker = next(client for client in clients if client.messages)
    taker.send(p.ack(p.PUBACK, taker.messages[0].pid, 0x83))
    for client in clients:
        client.quiet()
    assert sum(len(client.messages) for client in clients) == 1


def group_member_leaves(s):
    """[4.8.2] When a member's session ends, others get what it did not acknowledge (QoS 1)."""
    clients = [s.client(name, auto=False) for name in "ab"]
    for client in clients:
        client.subscribe((f"$share/{s.prefix}/{s.topic('t')}", 1))
    publisher = s.client("publisher")
    for number in range(10):
        publisher.publish(s.topic("t"), b"%d" % number, 1)
    for client in clients:
        client.quiet()
    held = {m.payload for m in clients[0].messages}
    assert held and len(held) + len(clients[1].messages) == 10
    clients[0].cut()
    clients[1].wait(10)
    assert {m.payload for m in clients[1].messages} == {b"%d" % n for n in range(10)}


def authentication_again(s):
    """[4.12.1-1] [4.12.1-2] With another method, or failing: DISCONNECT and the end."""
    client, said = scram.connect(s.peer(), s.prefix, "guest", "guest")
    assert said.kind == p.CONNACK and said.code == 0, vars(said)
    client.send(p.auth(0x19, {"authentication_method": "SCRAM-SHA-1",
                              "authentication_data": b"n,,n=guest,r=x"}))
    last = client.ending()
    assert last is not None and last.kind == p.DISCONNECT and last.code in (0x82, 0x8C), last
    client, said = scram.connect(s.peer(), s.prefix, "guest", "guest")
    said = scram.again(client, "guest", "wrong")
    assert said.kind == p.DISCONNECT and said.code == 0x87, vars(said)
    client.closed()


def large_ones_are_dropped(s):
    """[3.1.2-24] [3.1.2-25] A message over the client's maximum is as if it were delivered."""
    client = s.client(props={"maximum_packet_size": 60, "receive_maximum": 1, **KEPT})
    client.subscribe(s.topic("t"))
    other = s.client("b")
    for size in (100, 1, 100, 2):
        other.publish(s.topic("t"), b"." * size, 1)
    assert [len(m.payload) for m in client.exactly(2)] == [1, 2]
    client.disconnect()
    client = s.client(clean=False, props=KEPT)
    client.exactly(0)


def publish_not_allowed(s):
    """[3.3.5-2 of 3.1.1] Acknowledged as if it were allowed, or the connection ends."""
    watcher = s.client("watcher")
    watcher.subscribe(s.topic("#"))
    client = s.client(user=LIMITED_USER, password=LIMITED_USER)
    try:
        client.publish(s.topic("t"), b"x", 1)
    except (Gone, Late) as error:
        assert isinstance(error, Gone), "neither answered nor closed"
    watcher.exactly(0)


SUITE = (nothing_unasked, goodbye, identifiers_are_unused, identifier_is_free_again,
         free_after_a_refusal, refused_is_not_sent_again, under_way_does_not_expire,
         exchange_outlives_expiry, unsubscribed_under_way, filters_by_their_characters,
         group_with_levels, group_member_refuses, group_member_leaves, authentication_again,
         large_ones_are_dropped)
CASES = [(f"s5-{case.__name__.replace('_', '-')}", case, p.V5) for case in SUITE]
CASES.append(("s4-publish-not-allowed", publish_not_allowed, p.V4))
