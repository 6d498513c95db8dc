"""MQTT 5: what the 27 cases of Eclipse's interoperability suite ask for, in our own words."""

import time

import cases_v4 as v4
import packets as p
from cases_v4 import three

KEPT = {"session_expiry": 99999}
SERVER_KEEP_ALIVE_S = 60


def retained_message(s):
    """Kept with its user properties; delivered at its own QoS."""
    topics, pairs = s.topics("TopicA/B", "Topic/C", "TopicA/C"), [("a", "2"), ("c", "3")]
    client = s.client()
    for qos, topic in enumerate(topics):
        client.publish(topic, b"qos %d" % qos, qos, retain=True, props={"user": pairs})
    client.sync()
    client.subscribe(s.topic("+/+"))
    got = client.exactly(3)
    assert all(m.retain and m.props == {"user": pairs} for m in got), got
    assert sorted(m.qos for m in got) == [0, 1, 2]
    forget(client, topics)


def forget(client, topics):
    """Removes retained messages and says goodbye."""
    for topic in topics:
        client.publish(topic, b"", 1, retain=True)
    client.disconnect()


def offline_message_queueing(s):
    """A session with an expiry keeps messages for its client."""
    client = s.client("a", clean=False, props=KEPT)
    client.subscribe(s.topic("+/+"))
    client.disconnect()
    other = s.client("b")
    three(other, *s.topics("TopicA/B", "Topic/C", "TopicA/C"))
    other.disconnect()
    client = s.client("a", clean=False)
    assert client.connack.present
    client.wait(2)
    client.quiet()
    assert sorted(client.texts())[-2:] == [b"qos 1", b"qos 2"], client.texts()
    client.disconnect()


def redelivery_on_reconnect(s):
    """As in 3.1.1; the session is kept by its expiry."""
    client = s.client("b", auto=False, props=KEPT)
    client.subscribe(s.topic("TopicA/#"))
    client.publish(s.topic("TopicA/B"), b"one", 1, wait=False)
    pid = client.publish(s.topic("TopicA/C"), b"two", 2, wait=False)
    client.answer(p.PUBREC, pid)
    client.send(p.ack(p.PUBREL, pid))
    first = {m.payload: m for m in client.exactly(2)}
    client.cut()
    client = s.client("b", clean=False)
    assert client.connack.present
    again = {m.payload: m for m in client.exactly(2)}
    assert all(m.dup and m.pid == first[key].pid for key, m in again.items()), again
    client.disconnect()


def zero_length_clientid(s):
    """Version 5 takes an empty client identifier in any case, and names one."""
    for clean in (False, True):
        client = s.client(None, clean=clean)
        assert client.connack.props.get("assigned_client_identifier"), client.connack
        client.disconnect()


def subscribe_failure(s):
    """A filter that the user may not read: not authorized (0x87), or unspecified (0x80)."""
    v4.subscribe_failure(s, (0x87, 0x80))


def unsubscribe(s):
    """Only the filter that is named ends; an unknown one is told (0x11)."""
    topics = s.topics("TopicA", "TopicA/B", "Topic/C")
    client, other = s.client("b"), s.client("a")
    for topic in topics:
        client.subscribe(topic)
    assert client.unsubscribe(topics[0], s.topic("never")) == [0, 0x11]
    for topic in topics:
        other.publish(topic, topic, 1)
    assert sorted(m.topic for m in client.exactly(2)) == sorted(topics[1:])
    client.disconnect()
    other.disconnect()


def session_expiry(s):
    """Zero ends with the connection; seconds count from then; DISCONNECT can change them."""
    def session(seconds, clean, present, leave=None):
        client = s.client(clean=clean, props={"session_expiry": seconds})
        assert client.connack.present == present, f"session present is {not present}"
        client.subscribe(s.topic("TopicA"))
        client.disconnect(props=None if leave is None else {"session_expiry": leave})

    session(0, True, False)
    session(0, False, False)
    session(3, True, False)
    time.sleep(1)
    session(3, False, True)
    time.sleep(5)
    session(3, False, False)
    session(1, True, False, leave=5)
    time.sleep(3)
    session(1, False, True, leave=0)
    session(1, False, False, leave=0)


def shared_subscriptions(s):
    """One message to each plain subscription, one to the group."""
    plain, shared = s.topic("TopicA"), s.topic("x")
    clients = [s.client("a"), s.client("b")]
    for client in clients:
        assert client.subscribe(f"$share/sharename/{shared}", plain)[1] == 2
    clients[1].publish(plain, b"to both", 0)
    for client in clients:
        client.exactly(1)
    for number in range(6):
        clients[1].publish(shared, b"to one %d" % number, 1)
    deadline = time.monotonic() + 5
    while sum(len(c.messages) for c in clients) < 6 and time.monotonic() < deadline:
        for client in clients:
            client.quiet(0.1)
    for client in clients:
        client.quiet()
    got = sorted(sum((c.texts() for c in clients), []))
    assert got == [b"to one %d" % n for n in range(6)], got
    for client in clients:
        client.disconnect()


def user_properties(s):
    """Forwarded in their order, in every QoS."""
    topic, pairs = s.topic("TopicA"), [("a", "2"), ("c", "3"), ("a", "1")]
    client = s.client()
    client.subscribe(topic)
    for qos in range(3):
        client.publish(topic, b"", qos, props={"user": pairs})
    got = client.exactly(3)
    assert all(m.props == {"user": pairs} for m in got), got
    assert sorted(m.qos for m in got) == [0, 1, 2]
    client.disconnect()


def payload_format(s):
    """Payload format and content type are forwarded."""
    topic, props = s.topic("TopicA"), {"payload_format": 1, "content_type": "My name"}
    client = s.client()
    client.subscribe(topic)
    for qos in range(3):
        client.publish(topic, b"", qos, props=props)
    got = client.exactly(3)
    assert all(m.props == props for m in got), got
    client.disconnect()


def publication_expiry(s):
    """An expired message is not delivered; another says what is left of its time."""
    topic = s.topic("TopicA")
    client = s.client("b", props=KEPT)
    client.subscribe(topic)
    client.disconnect(props={"session_expiry": 999999})
    other = s.client("a")
    for seconds in (1, 6):
        for qos in (1, 2):
            other.publish(topic, b"%d" % seconds, qos, props={"message_expiry": seconds})
    time.sleep(2.5)
    client = s.client("b", clean=False)
    got = client.exactly(2)
    assert all(m.payload == b"6" and 1 <= m.props["message_expiry"] <= 4 for m in got), got
    client.disconnect(props={"session_expiry": 0})
    other.disconnect()


def subscribe_options(s):
    """No local, retain as published, retain handling."""
    topic = s.topic("TopicA")
    one, two = s.client("a"), s.client("b")
    for client in (one, two):
        client.subscribe((topic, p.options(2, no_local=True)))
    one.publish(topic, b"noLocal test", 1)
    two.exactly(1)
    one.quiet()
    assert one.messages == [], one.texts()
    third = s.client("c")
    third.subscribe((topic, p.options(2, as_published=True)))
    one.publish(topic, b"false", 1)
    one.publish(topic, b"true", 1, retain=True)
    assert [m.retain for m in third.exactly(2)] == [False, True]
    assert [m.retain for m in two.exactly(2)] == [False, False]
    for client in (one, two, third):
        forget(client, [topic])


def retain_handling(s):
    """0: at each subscription; 1: if it is new; 2: never."""
    topics, everything = s.topics("TopicA/B", "Topic/C", "TopicA/C"), s.topic("+/+")
    client = s.client()
    for qos, topic in enumerate(topics):
        client.publish(topic, b"qos %d" % qos, qos, retain=True)
    client.sync()
    for handling, counts in ((1, (3, 0)), (2, (0, 0)), (0, (3, 3))):
        for count in counts:
            client.subscribe((everything, p.options(2, handling=handling)))
            got = client.exactly(count)
            assert sorted(m.qos for m in got) == [0, 1, 2][:count], got
        client.unsubscribe(everything)
    forget(client, topics)


def options_of_subscriptions(s):
    """The suite's one case on subscription options."""
    subscribe_options(s)
    retain_handling(s)


def assigned_clientid(s):
    """An empty client identifier is answered with one, which can be used then."""
    first, second = s.client(None), s.client(None)
    names = [c.connack.props.get("assigned_client_identifier") for c in (first, second)]
    assert all(names) and names[0] != names[1], names
    second.disconnect()
    first.disconnect()


def subscribe_identifiers(s):
    """Each delivery tells the identifiers of all subscriptions that it is for."""
    topic = s.topic("TopicA")
    one, two = s.client("a"), s.client("b")
    one.subscribe(topic, props={"subscription_identifier": 456789})
    two.subscribe(topic, props={"subscription_identifier": 2})
    two.subscribe(topic + "/#", props={"subscription_identifier": 3})
    two.publish(topic, b"sub identifier test", 1)
    assert one.exactly(1)[0].props["subscription_identifier"] == [456789]
    found = two.exactly(1)[0].props["subscription_identifier"]
    assert sorted(found) == [2, 3], found
    one.disconnect()
    two.disconnect()


def request_response(s):
    """Response topic and correlation data reach the responder as they are."""
    topic, props = s.topic("TopicA"), {"response_topic": s.topic("TopicA"),
                                       "correlation_data": b"334\xff\0"}
    one, two = s.client("a"), s.client("b")
    for client in (one, two):
        client.subscribe((topic, p.options(2, no_local=True)))
    one.publish(topic, b"request", 1, props=props)
    request = two.exactly(1)[0]
    assert request.props == props, request.props
    two.publish(request.props["response_topic"], b"response", 1, props=request.props)
    assert one.exactly(1)[0].payload == b"response"
    one.disconnect()
    two.disconnect()


def client_topic_alias(s):
    """An alias holds for its connection; zero and an unknown one end the connection."""
    topic = s.topic("TopicA")
    client = s.client()
    client.publish(topic, b"topic alias 0", 1, wait=False, props={"topic_alias": 0})
    client.ending()
    client = s.client(props={"topic_alias_maximum": 0, **KEPT})
    if not client.connack.props.get("topic_alias_maximum"):
        s.note("takes no aliases")
        return
    client.subscribe(topic)
    client.publish(topic, b"topic alias 1", 1, props={"topic_alias": 1})
    client.publish("", b"topic alias 2", 1, props={"topic_alias": 1})
    assert [m.topic for m in client.exactly(2)] == [topic, topic]
    client.disconnect()
    client = s.client(clean=False)
    client.publish(topic, b"topic alias 3", 1)
    client.exactly(1)
    client.publish("", b"topic alias 4", 1, wait=False, props={"topic_alias": 1})
    client.ending()


def server_topic_alias(s):
    """With a maximum of 1 the broker names the topic once; without one it always does."""
    topic = s.topic("TopicA")
    for maximum, props in ((1, {"topic_alias_maximum": 1}), (0, None),
                           (0, {"topic_alias_maximum": 0})):
        client = s.client(props=props)
        client.subscribe(topic)
        for qos in range(3):
            client.publish(topic, b"topic alias", qos)
        got = client.exactly(3)
        aliases = [m.props.get("topic_alias") for m in got]
        names = [m.wire_topic for m in got]
        assert aliases == [1 if maximum else None] * 3, aliases
        assert names == ([topic, "", ""] if maximum else [topic] * 3), names
        client.disconnect()


def maximum_packet_size(s):
    """Ours is kept: what is larger is dropped. Theirs is kept by them: 0x95."""
    topic = s.topic("TopicA")
    client = s.client(props={"maximum_packet_size": 100})
    size = client.connack.props.get("maximum_packet_size", 1 << 28)
    client.subscribe(topic)
    client.publish(topic, b"." * 30, 0)
    client.exactly(1)
    client.publish(topic, b"." * 100, 1)
    client.publish(topic, b"." * 29, 1)
    assert len(client.exactly(1)[0].payload) == 29
    if size < 1 << 28:
        s.note(f"takes {size} bytes")
        client.send(p.packet(p.PUBLISH, b".")[:1] + p.varint(size + 1) + p.text(topic))
        assert client.ending().code == 0x95
        return
    client.disconnect()


def server_keep_alive(s):
    """A client that asks for more than the broker's longest keep-alive is told that one."""
    client = s.client(keep_alive=120)
    assert client.connack.props.get("server_keep_alive") == SERVER_KEEP_ALIVE_S, client.connack
    client.disconnect()


def flow_control(s):
    """No more unacknowledged messages than the client's Receive Maximum."""
    topic = s.topic("TopicA")
    client, other = s.client(auto=False, props={"receive_maximum": 2}), s.client("b")
    client.subscribe(topic)
    for number in range(3):
        other.publish(topic, b"%d" % number, 1)
    first, second = client.exactly(2, quiet=0.5)
    client.send(p.ack(p.PUBACK, first.pid))
    third = client.exactly(1, quiet=0.5)[0]
    client.send(p.ack(p.PUBACK, second.pid) + p.ack(p.PUBACK, third.pid))
    other.disconnect()
    client.disconnect()


def flow_control_past_maximum(s):
    """A client that sends more QoS 2 messages than the broker's Receive Maximum: 0x93."""
    client = s.client(auto=False)
    maximum = client.connack.props.get("receive_maximum", 65535)
    topic = s.topic("TopicA")
    data = b"".join(p.publish(topic, b"message", 2, pid) for pid in range(1, maximum + 1))
    client.send(data)
    client.until(lambda: len(client.answers) == maximum, "all of the PUBRECs", 20)
    client.send(p.publish(topic, b"one too many", 2, maximum % 65535 + 1))
    answer = client.ending()
    assert answer is not None and answer.code == 0x93, answer


def will_delay(s):
    """The will goes out after its delay, or when the session ends if that is earlier."""
    topic = s.topic("TopicA")
    for delay, expiry, due in ((2, 4, 2), (4, 0, 0), (4, 2, 2)):
        client = s.client("a", props={"session_expiry": expiry},
                          will={"topic": topic, "payload": b"will", "props": {"will_delay": delay}})
        other = s.client(f"b{delay}{expiry}")
        other.subscribe(topic)
        client.cut()
        began = time.monotonic()
        other.exactly(1)
        took = time.monotonic() - began - 0.3
        assert due - 0.2 < took < due + 1.5, f"delay {delay}, expiry {expiry}: after {took:.1f} s"
        other.disconnect()


SUITE = {
    "basic": v4.basic, "retained-message": retained_message, "will-message": v4.will_message,
    "zero-length-clientid": zero_length_clientid,
    "offline-message-queueing": offline_message_queueing,
    "overlapping-subscriptions": v4.overlapping_subscriptions, "keepalive": v4.keepalive,
    "redelivery-on-reconnect": redelivery_on_reconnect, "subscribe-failure": subscribe_failure,
    "dollar-topics": v4.dollar_topics, "unsubscribe": unsubscribe,
    "session-expiry": session_expiry, "shared-subscriptions": shared_subscriptions,
    "user-properties": user_properties, "payload-format": payload_format,
    "publication-expiry": publication_expiry, "subscribe-options": options_of_subscriptions,
    "assigned-clientid": assigned_clientid, "subscribe-identifiers": subscribe_identifiers,
    "request-response": request_response, "client-topic-alias": client_topic_alias,
    "server-topic-alias": server_topic_alias, "maximum-packet-size": maximum_packet_size,
    "server-keep-alive": server_keep_alive, "flow-control": flow_control,
    "flow-control-past-maximum": flow_control_past_maximum, "will-delay": will_delay,
}
CASES = [(f"v5-{name}", case, p.V5) for name, case in SUITE.items()]
