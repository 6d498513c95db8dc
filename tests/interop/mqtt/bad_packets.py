"""Everything a client must not send, as a table: statement, name, bytes, what the broker says.

A row is for version 5 (`in_v5`), for 3.1.1 (`in_v4`), or for both with one way to make the bytes.
`codes` are the reason codes that the specification allows: of the CONNACK when the bytes come
first, of the DISCONNECT after that. 3.1.1 has no such packet: it just closes, except that
`v4_code` is the CONNACK it must send. Where a SUBACK may refuse instead, `suback` is true. Where
the version can not be read, or need not be, a plain end will do (`silent`).
"""

import struct
from dataclasses import dataclass

import packets as p

MALFORMED, PROTOCOL, EITHER = (0x81,), (0x82,), (0x81, 0x82)
NAME = (0x81, 0x82, 0x90)
FILTER = (0x81, 0x82, 0x8F)
ILL = {"lone-continuation": b"a\x80", "overlong": b"a\xc0\xaf", "surrogate": b"a\xed\xa0\x80",
       "half-a-character": b"a\xe2\x82", "beyond-unicode": b"\xf4\x90\x80\x80", "nul": b"a\0b"}


@dataclass
class Bad:
    """One row."""

    statement: str
    name: str
    make: object
    codes: tuple
    versions: tuple = (p.V4, p.V5)
    first: bool = False
    v4_code: tuple = ()
    suback: bool = False
    silent: bool = False


def block(v, props=b""):
    """A property block where the version has one."""
    return p.properties(props) if v == p.V5 else b""


def u16(number):
    """Two bytes."""
    return struct.pack(">H", number)


def hello(v, **values):
    """A CONNECT with the usual user."""
    values.setdefault("user", "guest")
    values.setdefault("password", "guest")
    return p.connect(values.pop("client_id", "bad"), v, **values)


def bare(v, flags, rest, keep=10):
    """A CONNECT from its flags on."""
    return p.packet(p.CONNECT, p.text("MQTT") + bytes([v, flags]) + u16(keep) + block(v) + rest)


def props(*pairs):
    """A property block's content from name and value pairs, in their order."""
    return b"".join(p.one_property(name, value) for name, value in pairs)


def subscription(v, *filters, pid=1, flags=2, values=b""):
    """A SUBSCRIBE with fixed header flags to choose."""
    body = u16(pid) + block(v, values)
    body += b"".join(p.text(name) + bytes([options]) for name, options in filters)
    return p.packet(p.SUBSCRIBE, body, flags)


def first_rows():
    """What comes instead of a good CONNECT."""
    id_, v5 = p.text("bad"), (p.V5,)
    rows = [
        ("3.1.2-1", "connect-other-protocol-name", lambda v: hello(v, name="HTTP"),
         (0x84, 0x81, 1)),
        ("3.1.2-2", "connect-unknown-level", lambda v: hello(v, level=9 if v == p.V5 else 2),
         (0x84, 1)),
        ("3.1.2-3", "connect-reserved-flag", lambda v: bare(v, 0x03, id_), MALFORMED),
        ("3.1.2-11", "connect-will-qos-without-will", lambda v: bare(v, 0x0A, id_), EITHER),
        ("3.1.2-13", "connect-will-retain-without-will", lambda v: bare(v, 0x22, id_), EITHER),
        ("3.1.2-12", "connect-will-qos-3", lambda v: bare(
            v, 0x1E, id_ + block(v) + p.text("t") + p.text("w")), MALFORMED),
        ("3.1.2-9", "connect-will-flag-without-will", lambda v: bare(v, 0x06, id_), MALFORMED),
        ("3.1.2-17", "connect-user-flag-without-user", lambda v: bare(v, 0x82, id_), MALFORMED),
        ("3.1.2-19", "connect-password-flag-without-password",
         lambda v: bare(v, 0xC2, id_ + p.text("guest")), MALFORMED),
        ("3.1.3-1", "connect-bytes-behind-it", lambda v: bare(v, 0x02, id_ + b"more"), MALFORMED),
        ("3.1.3-3", "connect-without-client-id", lambda v: bare(v, 0x02, b""), MALFORMED),
        ("3.1.3-3", "connect-client-id-cut-short", lambda v: bare(v, 2, u16(9) + b"a"), MALFORMED),
        ("3.1.0-1", "connect-empty", lambda v: p.packet(p.CONNECT), MALFORMED),
        ("2.1.3-1", "connect-with-flags", lambda v: b"\x11" + hello(v)[1:], MALFORMED),
    ]
    found = [Bad(*row, first=True, v4_code=(1,) if row[0] in ("3.1.2-1", "3.1.2-2") else (),
                 silent=row[0] in ("3.1.2-1", "3.1.0-1")) for row in rows]
    found.append(Bad("3.1.2-22 of 3.1.1", "connect-password-without-user",
                     lambda v: bare(v, 0x42, id_ + p.text("guest")), (), (p.V4,), True))
    found.append(Bad("3.1.3-8 of 3.1.1", "connect-no-client-id-for-a-kept-session",
                     lambda v: hello(v, client_id="", clean=False), (), (p.V4,), True, (2,)))
    found.append(Bad("3.1.4-2", "connect-wrong-password", lambda v: hello(v, password="no"),
                     (0x86, 0x87), first=True, v4_code=(4, 5)))
    for name, data in ILL.items():
        found.append(Bad("1.5.4-2" if name == "nul" else "3.1.3-4", f"connect-client-id-{name}",
                         lambda v, d=data: hello(v, client_id=d), (0x81, 0x85), first=True))
    found.append(Bad("3.1.3-12", "connect-user-ill-formed",
                     lambda v: hello(v, user=b"a\x80"), MALFORMED, first=True))
    for name, topic in (("ill-formed", b"\xff"), ("wildcard", "a/#"), ("empty", "")):
        found.append(Bad("3.1.3-11", f"connect-will-topic-{name}",
                         lambda v, t=topic: hello(v, will={"topic": t}), NAME,
                         first=True))
    for kind in range(16):
        if kind != p.CONNECT:
            found.append(Bad("3.1.0-1", f"first-packet-{p.NAMES[kind]}",
                             lambda v, k=kind: p.packet(k, b"\0\x01\0\0", 2 if k in (6, 8, 10)
                                                        else 0), EITHER, first=True, silent=True))
    found.append(Bad("1.5.5-1", "first-remaining-length-of-five-bytes",
                     lambda v: b"\x10\xff\xff\xff\xff\x7f", EITHER, v5, True, silent=True))
    found.append(Bad("3.1.0-1", "first-http-request", lambda v: b"GET / HTTP/1.1\r\n\r\n", EITHER,
                     first=True, silent=True))
    return found + connect_properties()


def connect_properties():
    """Properties of CONNECT and of its will; version 5 only."""
    def both(*names):
        return [(name, value) for name, value in names for _ in range(2)]

    rows = [
        ("3.1.2.11.2", "session-expiry-twice", props(*both(("session_expiry", 1))), PROTOCOL),
        ("3.1.2.11.3", "receive-maximum-0", props(("receive_maximum", 0)), PROTOCOL),
        ("3.1.2.11.3", "receive-maximum-twice", props(*both(("receive_maximum", 5))), PROTOCOL),
        ("3.1.2.11.4", "maximum-packet-size-0", props(("maximum_packet_size", 0)), PROTOCOL),
        ("3.1.2.11.4", "maximum-packet-size-twice", props(*both(("maximum_packet_size", 500))),
         PROTOCOL),
        ("3.1.2.11.5", "topic-alias-maximum-twice", props(*both(("topic_alias_maximum", 5))),
         PROTOCOL),
        ("3.1.2.11.6", "request-response-2", props(("request_response_information", 2)), PROTOCOL),
        ("3.1.2.11.6", "request-response-twice", props(*both(("request_response_information", 1))),
         PROTOCOL),
        ("3.1.2.11.7", "request-problem-2", props(("request_problem_information", 2)), PROTOCOL),
        ("3.1.2.11.7", "request-problem-twice", props(*both(("request_problem_information", 1))),
         PROTOCOL),
        ("3.1.2.11.9", "authentication-method-twice",
         props(*both(("authentication_method", "SCRAM-SHA-256"))), PROTOCOL),
        ("3.1.2.11.10", "authentication-data-alone", props(("authentication_data", b"x")),
         PROTOCOL),
        ("4.12.0-1", "authentication-method-unknown", props(("authentication_method", "nothing")),
         (0x8C,)),
        ("2.2.2.2", "property-of-another-packet", props(("topic_alias", 1)), MALFORMED),
        ("2.2.2.2", "property-unknown", b"\x7f\0", MALFORMED),
        ("2.2.2.2", "property-cut-short", b"\x11\0\0", MALFORMED),
        ("1.5.7-1", "user-property-ill-formed", b"\x26" + p.text(b"\xff") + p.text("v"),
         MALFORMED),
        ("1.5.7-1", "user-property-half", b"\x26" + p.text("key"), MALFORMED),
    ]
    found = [Bad(statement, f"connect-{name}", lambda v, d=data: hello(v, props=d), codes,
                 (p.V5,), True) for statement, name, data, codes in rows]
    wills = [
        ("3.1.3.2.2", "will-delay-twice", props(*both(("will_delay", 1))), PROTOCOL),
        ("3.1.3.2.3", "payload-format-2", props(("payload_format", 2)), PROTOCOL),
        ("3.1.3.2.3", "payload-format-twice", props(*both(("payload_format", 1))), PROTOCOL),
        ("3.1.3.2.4", "message-expiry-twice", props(*both(("message_expiry", 1))), PROTOCOL),
        ("3.1.3.2.5", "content-type-twice", props(*both(("content_type", "x"))), PROTOCOL),
        ("3.1.3.2.6", "response-topic-wildcard", props(("response_topic", "a/#")), NAME),
        ("3.1.3.2.7", "correlation-data-twice", props(*both(("correlation_data", b"x"))),
         PROTOCOL),
        ("2.2.2.2", "property-of-connect", props(("receive_maximum", 5)), MALFORMED),
    ]
    found += [Bad(statement, f"connect-will-{name}",
                  lambda v, d=data: hello(v, will={"topic": "t", "props": d}), codes, (p.V5,),
                  True) for statement, name, data, codes in wills]
    found.append(Bad("2.2.2-1", "connect-without-property-length", lambda v: p.packet(
        p.CONNECT, p.text("MQTT") + bytes([5, 2]) + u16(10)), MALFORMED, (p.V5,), True))
    found.append(Bad("2.2.2-1", "connect-property-length-too-long", lambda v: p.packet(
        p.CONNECT, p.text("MQTT") + bytes([5, 2]) + u16(10) + p.varint(50) + p.text("bad")),
        MALFORMED, (p.V5,), True))
    return found


def publish_rows():
    """Bad PUBLISH packets."""
    rows = [
        ("3.3.1-4", "qos-3", lambda v: p.publish("t", b"x", 3, 1, version=v), MALFORMED),
        ("3.3.1-2", "dup-at-qos-0", lambda v: p.publish("t", b"x", dup=True, version=v), EITHER),
        ("2.2.1-3", "qos-1-identifier-0", lambda v: p.publish("t", b"", 1, 0, version=v), EITHER),
        ("2.2.1-3", "qos-2-identifier-0", lambda v: p.publish("t", b"", 2, 0, version=v), EITHER),
        ("2.2.1-3", "identifier-missing", lambda v: p.packet(p.PUBLISH, p.text("t"), 2), MALFORMED),
        ("3.3.2-1", "topic-cut-short", lambda v: p.packet(p.PUBLISH, u16(9) + b"t"), MALFORMED),
        ("3.3.2-1", "empty-packet", lambda v: p.packet(p.PUBLISH), MALFORMED),
        ("3.3.2-2", "topic-plus", lambda v: p.publish("a/+", version=v), NAME),
        ("3.3.2-2", "topic-hash", lambda v: p.publish("a/#", version=v), NAME),
        ("3.2.2-15", "larger-than-is-taken", lambda v: b"\x30" + p.varint((1 << 28) - 1)
         + p.text("t"), (0x95,)),
        ("4.7.3-1", "topic-empty", lambda v: p.publish("", version=v), EITHER + (0x90,)),
    ]
    found = [Bad(s, f"publish-{name}", make, codes) for s, name, make, codes in rows]
    for name, data in ILL.items():
        found.append(Bad("1.5.4-2" if name == "nul" else "1.5.4-1", f"publish-topic-{name}",
                         lambda v, d=data: p.publish(d, version=v), NAME))

    def twice(name, value):
        return props((name, value), (name, value))

    values = [
        ("3.3.2.3.2", "payload-format-2", props(("payload_format", 2)), PROTOCOL),
        ("3.3.2.3.2", "payload-format-twice", twice("payload_format", 1), PROTOCOL),
        ("3.3.2.3.3", "message-expiry-twice", twice("message_expiry", 1), PROTOCOL),
        ("3.3.2-8", "topic-alias-0", props(("topic_alias", 0)), (0x94,)),
        ("3.3.2-9", "topic-alias-over-the-maximum", props(("topic_alias", 65535)), (0x94,)),
        ("3.3.2.3.4", "topic-alias-twice", twice("topic_alias", 1), PROTOCOL),
        ("3.3.2-13", "response-topic-ill-formed", props(("response_topic", b"\xff")), MALFORMED),
        ("3.3.2-14", "response-topic-wildcard", props(("response_topic", "a/+")), NAME),
        ("3.3.2.3.5", "response-topic-twice", twice("response_topic", "a"), PROTOCOL),
        ("3.3.2.3.6", "correlation-data-twice", twice("correlation_data", b"x"), PROTOCOL),
        ("3.3.2.3.6", "correlation-data-cut-short", b"\x09\0\x05ab", MALFORMED),
        ("3.3.4-6", "subscription-identifier", props(("subscription_identifier", 1)), PROTOCOL),
        ("3.3.2-19", "content-type-ill-formed", props(("content_type", b"\xff")), MALFORMED),
        ("3.3.2.3.9", "content-type-twice", twice("content_type", "x"), PROTOCOL),
        ("1.5.7-1", "user-property-key-ill-formed", props(("user", (b"\xff", "v"))), MALFORMED),
        ("1.5.7-1", "user-property-value-nul", props(("user", ("k", "a\0"))), MALFORMED),
        ("2.2.2.2", "property-of-connect", props(("session_expiry", 1)), MALFORMED),
        ("2.2.2.2", "property-unknown", b"\x7f\0", MALFORMED),
        ("2.2.2.2", "property-identifier-of-two-bytes", b"\x81\x01\0", MALFORMED),
        ("2.2.2.2", "property-cut-short", b"\x02\0", MALFORMED),
    ]
    found += [Bad(s, f"publish-{name}", lambda v, d=data: p.publish("t", b"x", props=d), codes,
                  (p.V5,)) for s, name, data, codes in values]
    found += [Bad(s, f"publish-{name}", make, codes, (p.V5,)) for s, name, make, codes in (
        ("2.2.2-1", "without-property-length", lambda v: p.packet(p.PUBLISH, p.text("t")),
         MALFORMED),
        ("2.2.2-1", "property-length-too-long",
         lambda v: p.packet(p.PUBLISH, p.text("t") + p.varint(9) + b"x"), MALFORMED),
        ("1.5.5-1", "property-length-without-end",
         lambda v: p.packet(p.PUBLISH, p.text("t") + b"\xff\xff\xff\xff\x7f" + b"x" * 9),
         MALFORMED),
        ("3.3.2.3.4", "alias-without-topic",
         lambda v: p.publish("", b"x", props=props(("topic_alias", 3))), (0x82, 0x94)))]
    return found


def filter_rows():
    """Bad SUBSCRIBE and UNSUBSCRIBE packets."""
    rows = [
        ("3.8.1-1", "subscribe-flags-0", lambda v: subscription(v, ("t", 0), flags=0), MALFORMED),
        ("3.8.1-1", "subscribe-flags-3", lambda v: subscription(v, ("t", 0), flags=3), MALFORMED),
        ("2.2.1-3", "subscribe-identifier-0", lambda v: subscription(v, ("t", 0), pid=0), EITHER),
        ("3.8.3-2", "subscribe-without-filters", subscription, EITHER),
        ("3.8.3-5", "subscribe-reserved-options",
         lambda v: subscription(v, ("t", 0xC0)), MALFORMED),
        ("3.8.3.1", "subscribe-qos-3", lambda v: subscription(v, ("t", 3)), EITHER),
        ("3.8.3-1", "subscribe-filter-cut-short", lambda v: p.packet(
            p.SUBSCRIBE, u16(1) + block(v) + u16(9) + b"t", 2), MALFORMED),
        ("3.8.3-1", "subscribe-options-missing", lambda v: p.packet(
            p.SUBSCRIBE, u16(1) + block(v) + p.text("t"), 2), MALFORMED),
        ("3.8.3-1", "subscribe-empty-packet", lambda v: p.packet(p.SUBSCRIBE, b"", 2), MALFORMED),
        ("3.10.1-1", "unsubscribe-flags-0", lambda v: p.packet(
            p.UNSUBSCRIBE, u16(1) + block(v) + p.text("t")), MALFORMED),
        ("3.10.3-2", "unsubscribe-without-filters", lambda v: p.packet(
            p.UNSUBSCRIBE, u16(1) + block(v), 2), EITHER),
        ("2.2.1-3", "unsubscribe-identifier-0", lambda v: p.packet(
            p.UNSUBSCRIBE, u16(0) + block(v) + p.text("t"), 2), EITHER),
        ("3.10.3-1", "unsubscribe-filter-ill-formed", lambda v: p.packet(
            p.UNSUBSCRIBE, u16(1) + block(v) + p.text(b"\xff"), 2), FILTER),
    ]
    found = [Bad(*row) for row in rows]
    for name, data in ILL.items():
        found.append(Bad("1.5.4-2" if name == "nul" else "3.8.3-1", f"subscribe-filter-{name}",
                         lambda v, d=data: subscription(v, (d, 0)), FILTER))
    for number, data in enumerate(("a/#/b", "a#", "#a", "a/b#")):
        found.append(Bad("4.7.1-1", f"subscribe-hash-{number}",
                         lambda v, d=data: subscription(v, (d, 0)), FILTER, suback=True))
    for number, data in enumerate(("a+", "+a/b", "a/+b", "++")):
        found.append(Bad("4.7.1-2", f"subscribe-plus-{number}",
                         lambda v, d=data: subscription(v, (d, 0)), FILTER, suback=True))
    found.append(Bad("4.7.3-1", "subscribe-filter-empty", lambda v: subscription(v, ("", 0)),
                     FILTER, suback=True))
    v5 = [
        ("3.8.3.1", "retain-handling-3", lambda v: subscription(v, ("t", 0x30)), EITHER, False),
        ("3.8.3-4", "no-local-on-shared", lambda v: subscription(v, ("$share/g/t", 4)), PROTOCOL,
         False),
        ("3.8.2.1.2", "subscription-0", lambda v: subscription(
            v, ("t", 0), values=props(("subscription_identifier", 0))), PROTOCOL, False),
        ("3.8.2.1.2", "two-subscription-identifiers", lambda v: subscription(
            v, ("t", 0), values=props(("subscription_identifier", [1, 2]))), PROTOCOL, False),
        ("2.2.2.2", "property-of-publish", lambda v: subscription(
            v, ("t", 0), values=props(("topic_alias", 1))), MALFORMED, False),
    ]
    for number, data in enumerate(("$share/g", "$share/g/", "$share//t", "$share/g+/t",
                                   "$share/#/t")):
        v5.append(("4.8.2-1" if number < 3 else "4.8.2-2", f"shared-name-{number}",
                   lambda v, d=data: subscription(v, (d, 0)), FILTER, True))
    return found + [Bad(s, f"subscribe-{name}", make, codes, (p.V5,), suback=suback)
                    for s, name, make, codes, suback in v5]


def other_rows():
    """The remaining packets, in the wrong place, with wrong flags or wrong lengths."""
    found = [Bad("3.1.0-2", "second-connect", hello, PROTOCOL),
             Bad("2.1.2", "packet-type-0", lambda v: p.packet(0), EITHER),
             Bad("3.12.1", "pingreq-with-a-body", lambda v: p.packet(p.PINGREQ, b"x"), MALFORMED),
             Bad("2.1.4", "remaining-length-of-five-bytes",
                 lambda v: b"\x30\xff\xff\xff\xff\x7f", EITHER),
             Bad("2.2.1-3", "pubrel-identifier-0", lambda v: p.ack(p.PUBREL, 0), EITHER)]
    for kind in (p.CONNACK, p.SUBACK, p.UNSUBACK, p.PINGRESP):
        found.append(Bad("4.13.1-1", f"{p.NAMES[kind]}-from-a-client",
                         lambda v, k=kind: p.packet(k, b"" if k == p.PINGRESP else b"\0\1\0"),
                         EITHER))
    for kind, flags in ((p.PUBACK, 2), (p.PUBREC, 2), (p.PUBREL, 0), (p.PUBCOMP, 2),
                        (p.PINGREQ, 1), (p.DISCONNECT, 1)):
        statement = {p.PUBREL: "3.6.1-1", p.DISCONNECT: "3.14.1-1"}.get(kind, "2.1.3-1")
        body = u16(1) if kind in p.ACKS else b""
        found.append(Bad(statement, f"{p.NAMES[kind]}-with-flags-{flags}",
                         lambda v, k=kind, f=flags, b=body: p.packet(k, b, f), MALFORMED))
    for kind in p.ACKS:
        flags = 2 if kind == p.PUBREL else 0
        found.append(Bad("4.13.1-1", f"{p.NAMES[kind]}-of-one-byte",
                         lambda v, k=kind, f=flags: p.packet(k, b"\0", f), MALFORMED))
        found.append(Bad("2.2.2.2", f"{p.NAMES[kind]}-with-a-foreign-property",
                         lambda v, k=kind, f=flags: p.packet(
                             k, u16(1) + b"\0" + p.properties(props(("topic_alias", 1))), f),
                         MALFORMED, (p.V5,)))
        found.append(Bad("4.13.1-1", f"{p.NAMES[kind]}-with-an-unknown-reason",
                         lambda v, k=kind, f=flags: p.packet(k, u16(1) + b"\x01", f), EITHER,
                         (p.V5,)))
    v5 = [
        ("2.1.2 of 3.1.1", "packet-type-15", lambda v: p.packet(15), EITHER, (p.V4,)),
        ("3.15.1-1", "auth-with-flags", lambda v: p.packet(p.AUTH, b"", 1), MALFORMED, (p.V5,)),
        ("4.12.0-7", "auth-without-a-method", lambda v: p.auth(0x19), PROTOCOL, (p.V5,)),
        ("3.15.2-1", "auth-unknown-reason", lambda v: p.auth(
            0x01, {"authentication_method": "SCRAM-SHA-256"}), EITHER, (p.V5,)),
        ("3.14.2-1", "disconnect-unknown-reason", lambda v: p.packet(p.DISCONNECT, b"\x01"),
         EITHER, (p.V5,)),
        ("3.14.2.2.2", "disconnect-raises-expiry-from-0",
         lambda v: p.disconnect(0, {"session_expiry": 5}), PROTOCOL, (p.V5,)),
        ("3.14.2.2.2", "disconnect-expiry-twice", lambda v: p.disconnect(
            0, props(("session_expiry", 0), ("session_expiry", 0))), PROTOCOL, (p.V5,)),
        ("2.2.2.2", "disconnect-foreign-property",
         lambda v: p.disconnect(0, {"topic_alias": 1}), MALFORMED, (p.V5,)),
    ]
    return found + [Bad(*row) for row in v5]


ROWS = first_rows() + publish_rows() + filter_rows() + other_rows()
assert len({row.name for row in ROWS}) == len(ROWS), "two rows with one name"
