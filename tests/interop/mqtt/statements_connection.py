"""Statements of MQTT 5 about connections, sessions and wills that a server shows from outside."""

import time

import packets as p
import scram
from cases_v4 import LIMITED_USER
from peer import Gone, Late, Peer

KEPT = {"session_expiry": 600}


def take_over(s):
    """[3.1.4-3] The older connection of a client id is ended, with 0x8E in version 5."""
    first = s.client(props=KEPT)
    second = s.client(clean=False, props=KEPT)
    assert second.connack.present
    last = first.ending()
    assert last is not None and last.code == 0x8E, last
    second.disconnect(props={"session_expiry": 0})


def take_over_in_v4(s):
    """[3.1.4-2 of 3.1.1] The same without a word."""
    first = s.client()
    second = s.client()
    assert first.ending() is None
    second.sync()


def clean_start(s):
    """[3.1.2-4] [3.2.2-2] A clean start forgets subscriptions and messages."""
    topic = s.topic("t")
    client = s.client(props=KEPT)
    client.subscribe(topic)
    client.disconnect()
    other = s.client("b")
    other.publish(topic, b"kept", 1)
    client = s.client(clean=True, props=KEPT)
    assert not client.connack.present
    other.publish(topic, b"for nobody", 1)
    client.quiet()
    assert client.messages == [], client.texts()
    client.disconnect(props={"session_expiry": 0})


def session_is_kept(s):
    """[3.1.2-5] [4.1.0-1] Subscriptions and their options are there again."""
    topic = s.topic("t")
    client = s.client(props=KEPT)
    client.subscribe((topic, p.options(1, no_local=True)))
    client.cut()
    client = s.client(clean=False)
    assert client.connack.present
    client.publish(topic, b"mine", 1)
    s.client("b").publish(topic, b"another's", 2)
    got = client.exactly(1)
    assert (got[0].payload, got[0].qos) == (b"another's", 1), got


def assigned_id_is_kept(s):
    """[3.2.2-16] The identifier that was assigned finds its session again."""
    client = s.client(None, props=KEPT)
    name = client.connack.props["assigned_client_identifier"]
    client.disconnect()
    with Peer() as again:
        again.send(p.connect(name, clean=False, user="guest", password="guest"))
        assert again.expect(p.CONNACK).present


def long_client_ids(s):
    """[3.1.3-5] Identifiers of 1, 23 and 200 bytes, and beyond ASCII."""
    for name in ("x", "x" * 23, "x" * 200, "kühlschrank/№ 1 日本", "a+b#c$d e"):
        s.client(name).disconnect()


def nothing_after_a_refusal(s):
    """[3.1.4-6] What follows a refused CONNECT is not looked at."""
    client = s.client()
    client.subscribe(s.topic("t"))
    with Peer() as refused:
        refused.send(p.connect("no", user=LIMITED_USER, password="wrong")
                     + p.publish(s.topic("t"), b"x"))
        assert refused.expect(p.CONNACK).code in (0x86, 0x87)
        refused.closed()
    client.quiet()
    assert client.messages == [], client.texts()


def all_at_once(s):
    """[3.1.4-5] A client need not wait for the CONNACK before it goes on."""
    topic = s.topic("t")
    with Peer() as client:
        client.send(p.connect(s.prefix, user="guest", password="guest")
                    + p.subscribe(1, [(topic, 1)]) + p.publish(topic, b"x", 1, 2) + p.PING)
        assert client.expect(p.CONNACK).code == 0
        kinds = sorted(client.read().kind for _ in range(4))
        assert kinds == [p.PUBLISH, p.PUBACK, p.SUBACK, p.PINGRESP], kinds


def byte_by_byte(s):
    """Packets may come in parts of any size."""
    topic = s.topic("t")
    with Peer() as client:
        data = (p.connect(s.prefix, user="guest", password="guest")
                + p.subscribe(1, [(topic, 1)]) + p.publish(topic, b"x" * 20, 0))
        for at in range(len(data)):
            client.send(data[at:at + 1])
            if at % 8 == 0:
                time.sleep(0.002)
        for kind in (p.CONNACK, p.SUBACK, p.PUBLISH):
            client.expect(kind)


def will_is_forgotten(s):
    """[3.1.2-10] [3.14.4-3] DISCONNECT with 0 removes the will, 0x04 publishes it."""
    topic = s.topic("will")
    watcher = s.client("watcher")
    watcher.subscribe(topic)
    for code, count in ((0, 0), (4, 1)):
        client = s.client(will={"topic": topic, "payload": b"will"})
        client.disconnect(code)
        watcher.exactly(count)


def will_as_it_was_given(s):
    """[3.1.2-14] [3.1.2-15] QoS, retain flag and properties of a will."""
    topic = s.topic("will")
    props = {"content_type": "text/plain", "user": [("b", "1"), ("a", "2")], "response_topic": "r",
             "correlation_data": b"c", "payload_format": 1}
    client = s.client(will={"topic": topic, "payload": b"gone", "qos": 2, "retain": True,
                            "props": props})
    watcher = s.client("watcher")
    watcher.subscribe(topic)
    client.cut()
    message = watcher.exactly(1)[0]
    assert (message.qos, message.retain, message.props) == (2, False, props), message
    late = s.client("late")
    late.subscribe(topic)
    message = late.exactly(1)[0]
    assert message.retain and message.props == props, message
    late.publish(topic, b"", 1, retain=True)


def will_after_an_error(s):
    """[3.1.2-8] A client that is thrown out for an error leaves its will."""
    topic = s.topic("will")
    watcher = s.client("watcher")
    watcher.subscribe(topic)
    client = s.client(will={"topic": topic, "payload": b"will"})
    client.send(p.packet(p.SUBSCRIBE, b"", 0))
    client.ending()
    watcher.exactly(1)


def will_delay_and_return(s):
    """[3.1.3-9] A client that is back in time leaves no will."""
    topic = s.topic("will")
    watcher = s.client("watcher")
    watcher.subscribe(topic)
    will = {"topic": topic, "payload": b"will", "props": {"will_delay": 2}}
    s.client(props=KEPT, will=will).cut()
    client = s.client(clean=False, props=KEPT)
    watcher.quiet(3)
    assert watcher.messages == [], watcher.texts()
    client.disconnect(props={"session_expiry": 0})


def will_at_take_over(s):
    """[3.1.2-8] The will of a connection that is taken over goes out."""
    topic = s.topic("will")
    watcher = s.client("watcher")
    watcher.subscribe(topic)
    s.client(will={"topic": topic, "payload": b"will"})
    s.client()
    watcher.exactly(1)


def no_reasons_unasked(s):
    """[3.1.2-29] Without problem information no reason strings in a SUBACK."""
    client = s.client(user=LIMITED_USER, password=LIMITED_USER,
                      props={"request_problem_information": 0})
    pid = client.next_pid()
    client.send(p.subscribe(pid, [("test/nosubscribe", 0)]))
    answer = client.answer(p.SUBACK, pid)
    assert answer.props == {}, answer.props
    assert answer.codes == [0x87], answer.codes


def publish_not_authorized(s):
    """[3.3.5-2] A topic that may not be written: 0x87 in PUBACK and PUBREC, nothing delivered."""
    watcher = s.client("watcher")
    watcher.subscribe(s.topic("#"))
    client = s.client(user=LIMITED_USER, password=LIMITED_USER)
    client.publish(s.topic("t"), b"0", 0)
    assert client.publish(s.topic("t"), b"1", 1).code == 0x87
    pid = client.publish(s.topic("t"), b"2", 2, wait=False)
    assert client.answer(p.PUBREC, pid).code == 0x87
    watcher.quiet()
    assert watcher.messages == [], watcher.texts()


def mqtt_3_1(s):
    """The version before 3.1.1 (MQIsdp, level 3)."""
    client = s.client(version=p.V3)
    assert client.subscribe(s.topic("t")) == [2]
    for qos in range(3):
        client.publish(s.topic("t"), b"x", qos)
    client.exactly(3)
    client.disconnect()


def sys_topics(s):
    """[4.7.2] `$SYS` says something to those who ask for it."""
    client = s.client()
    client.subscribe("$SYS/#")
    client.wait(3)
    assert all(m.topic.startswith("$SYS/") for m in client.messages), client.messages[:3]
    s.note(f"{len(client.messages)} topics")


def publishing_to_sys(s):
    """Nobody else publishes below `$SYS`."""
    watcher, client = s.client("watcher"), s.client()
    topic = "$SYS/" + s.prefix
    watcher.subscribe(topic)
    try:
        client.publish(topic, b"forged", 1)
    except (Gone, Late):
        pass
    watcher.quiet()
    assert watcher.messages == [], watcher.texts()


def scram_sha_256(s):
    """[4.12.0-2] Log-in with SCRAM-SHA-256, both sides proven; and again on the connection."""
    client, said = scram.connect(s.peer(), s.prefix, "guest", "guest")
    assert said.kind == p.CONNACK and said.code == 0, vars(said)
    client.send(p.PING)
    client.expect(p.PINGRESP)
    assert scram.again(client, "guest", "guest").code == 0
    _, said = scram.connect(s.peer(), s.prefix + "-no", "guest", "wrong")
    assert said.code in (0x86, 0x87), vars(said)
    _, said = scram.connect(s.peer(), s.prefix + "-no", "nobody-here", "wrong")
    assert said.code in (0x86, 0x87), vars(said)


SUITE = (take_over, clean_start, session_is_kept, assigned_id_is_kept, long_client_ids,
         nothing_after_a_refusal, all_at_once, byte_by_byte, will_is_forgotten,
         will_as_it_was_given, will_after_an_error, will_delay_and_return, will_at_take_over,
         no_reasons_unasked, publish_not_authorized, mqtt_3_1, sys_topics, publishing_to_sys,
         scram_sha_256)
CASES = [(f"s5-{case.__name__.replace('_', '-')}", case, p.V5) for case in SUITE]
CASES.append(("s4-take-over", take_over_in_v4, p.V4))
