"""MQTT 3.1, 3.1.1 and 5 packets as bytes: written as asked, read strictly. No I/O.

Invariants
- What is written may be wrong on purpose: nothing is checked on the way out.
- What is read is checked against the specification: flags, lengths, properties (allowed for that
  packet, once, in range). A broker that sends anything else fails with `Malformed`.
"""

import struct
from types import SimpleNamespace

(CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE,
 UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH) = range(1, 16)
NAMES = ("reserved connect connack publish puback pubrec pubrel pubcomp subscribe suback "
         "unsubscribe unsuback pingreq pingresp disconnect auth").split()
V3, V4, V5 = 3, 4, 5
ACKS = (PUBACK, PUBREC, PUBREL, PUBCOMP)
PING = b"\xc0\0"

# name -> (identifier, form, packets that a server may send with it)
PROPERTIES = {
    "payload_format": (0x01, "byte", (PUBLISH,)),
    "message_expiry": (0x02, "u32", (PUBLISH,)),
    "content_type": (0x03, "text", (PUBLISH,)),
    "response_topic": (0x08, "text", (PUBLISH,)),
    "correlation_data": (0x09, "bytes", (PUBLISH,)),
    "subscription_identifier": (0x0B, "varint", (PUBLISH,)),
    "session_expiry": (0x11, "u32", (CONNACK,)),
    "assigned_client_identifier": (0x12, "text", (CONNACK,)),
    "server_keep_alive": (0x13, "u16", (CONNACK,)),
    "authentication_method": (0x15, "text", (CONNACK, AUTH)),
    "authentication_data": (0x16, "bytes", (CONNACK, AUTH)),
    "request_problem_information": (0x17, "byte", ()),
    "will_delay": (0x18, "u32", ()),
    "request_response_information": (0x19, "byte", ()),
    "response_information": (0x1A, "text", (CONNACK,)),
    "server_reference": (0x1C, "text", (CONNACK, DISCONNECT)),
    "reason_string": (0x1F, "text",
                      (CONNACK, DISCONNECT, AUTH, SUBACK, UNSUBACK) + ACKS),
    "receive_maximum": (0x21, "u16", (CONNACK,)),
    "topic_alias_maximum": (0x22, "u16", (CONNACK,)),
    "topic_alias": (0x23, "u16", (PUBLISH,)),
    "maximum_qos": (0x24, "byte", (CONNACK,)),
    "retain_available": (0x25, "byte", (CONNACK,)),
    "user": (0x26, "pair",
             (CONNACK, PUBLISH, DISCONNECT, AUTH, SUBACK, UNSUBACK) + ACKS),
    "maximum_packet_size": (0x27, "u32", (CONNACK,)),
    "wildcard_available": (0x28, "byte", (CONNACK,)),
    "subscription_identifier_available": (0x29, "byte", (CONNACK,)),
    "shared_available": (0x2A, "byte", (CONNACK,)),
}
BY_ID = {number: (name, form, where) for name, (number, form, where) in PROPERTIES.items()}
MANY = ("user", "subscription_identifier")
NEVER_ZERO = ("receive_maximum", "maximum_packet_size", "topic_alias", "subscription_identifier")


class Malformed(Exception):
    """The broker sent what the specification forbids."""


# --- writing -----------------------------------------------------------------------------------

def raw(value):
    """Text as UTF-8; bytes as they are."""
    return value.encode() if isinstance(value, str) else bytes(value)


def text(value):
    """A length of two bytes and the bytes."""
    value = raw(value)
    return struct.pack(">H", len(value)) + value


def varint(number):
    """A variable byte integer."""
    out = bytearray()
    while True:
        number, low = number >> 7, number & 127
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


def one_property(name, value):
    """Identifier and value; a list stands for several."""
    if isinstance(value, list):
        return b"".join(one_property(name, item) for item in value)
    number, form, _ = PROPERTIES[name]
    packed = {"byte": lambda: struct.pack(">B", value), "u16": lambda: struct.pack(">H", value),
              "u32": lambda: struct.pack(">I", value), "varint": lambda: varint(value),
              "text": lambda: text(value), "bytes": lambda: text(value),
              "pair": lambda: text(value[0]) + text(value[1])}[form]()
    return bytes([number]) + packed


def properties(values):
    """A property block with its length; bytes are taken as the block's content."""
    if not isinstance(values, bytes):
        values = b"".join(one_property(name, value) for name, value in (values or {}).items())
    return varint(len(values)) + values


def packet(kind, body=b"", flags=0):
    """Fixed header and body."""
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def connect(client_id="", version=V5, clean=True, keep_alive=60, will=None, user=None,
            password=None, props=None, name=None, level=None, flags=None):
    """CONNECT. `will` is a dictionary: topic, payload, qos, retain, props."""
    bits = 2 if clean else 0
    payload = text(client_id)
    if will:
        bits |= 4 | will.get("qos", 0) << 3 | (32 if will.get("retain") else 0)
        if version == V5:
            payload += properties(will.get("props"))
        payload += text(will["topic"]) + text(will.get("payload", b""))
    if user is not None:
        bits, payload = bits | 128, payload + text(user)
    if password is not None:
        bits, payload = bits | 64, payload + text(password)
    name = ("MQIsdp" if version == V3 else "MQTT") if name is None else name
    head = text(name) + struct.pack(">BBH", version if level is None else level,
                                    bits if flags is None else flags, keep_alive)
    return packet(CONNECT, head + (properties(props) if version == V5 else b"") + payload)


def publish(topic, payload=b"", qos=0, pid=None, retain=False, dup=False, props=None, version=V5):
    """PUBLISH; the packet identifier is written when it is not None."""
    body = text(topic) + (struct.pack(">H", pid) if pid is not None else b"")
    body += properties(props) if version == V5 else b""
    return packet(PUBLISH, body + raw(payload), (8 if dup else 0) | qos << 1 | bool(retain))


def ack(kind, pid, code=0, props=None, version=V5):
    """PUBACK, PUBREC, PUBREL or PUBCOMP in its short form where that says the same."""
    body = struct.pack(">H", pid)
    if version == V5 and (code or props):
        body += bytes([code]) + (properties(props) if props else b"")
    return packet(kind, body, 2 if kind == PUBREL else 0)


def subscribe(pid, filters, props=None, version=V5):
    """SUBSCRIBE; filters are pairs of filter and options byte."""
    body = struct.pack(">H", pid) + (properties(props) if version == V5 else b"")
    body += b"".join(text(name) + bytes([options]) for name, options in filters)
    return packet(SUBSCRIBE, body, 2)


def unsubscribe(pid, filters, props=None, version=V5):
    """UNSUBSCRIBE."""
    body = struct.pack(">H", pid) + (properties(props) if version == V5 else b"")
    return packet(UNSUBSCRIBE, body + b"".join(map(text, filters)), 2)


def disconnect(code=0, props=None, version=V5):
    """DISCONNECT in its short form where that says the same."""
    if version != V5 or not (code or props):
        return packet(DISCONNECT)
    return packet(DISCONNECT, bytes([code]) + (properties(props) if props else b""))


def auth(code, props=None):
    """AUTH."""
    return packet(AUTH, bytes([code]) + properties(props))


def options(qos=0, no_local=False, as_published=False, handling=0):
    """The options byte of a subscription."""
    return qos | (4 if no_local else 0) | (8 if as_published else 0) | handling << 4


# --- reading -----------------------------------------------------------------------------------

class Cursor:
    """Reads values off the front of some bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        """So many bytes."""
        part = self.data[self.at:self.at + size]
        if len(part) != size:
            raise Malformed(f"{size} bytes wanted, {len(part)} there")
        self.at += size
        return part

    def number(self, size):
        """A big-endian number."""
        return int.from_bytes(self.take(size), "big")

    def varint(self):
        """A variable byte integer in its shortest form."""
        value, start = 0, self.at
        for place in range(4):
            byte = self.number(1)
            value |= (byte & 127) << 7 * place
            if byte < 128:
                if self.data[start:self.at] != varint(value):
                    raise Malformed("a variable byte integer is too long")
                return value
        raise Malformed("a variable byte integer has no end")

    def text(self):
        """A UTF-8 string."""
        try:
            value = self.take(self.number(2)).decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"not UTF-8: {error}") from None
        if "\0" in value:
            raise Malformed("U+0000 in a string")
        return value

    def rest(self):
        """All that is left."""
        return self.take(len(self.data) - self.at)

    def left(self):
        """How many bytes are left."""
        return len(self.data) - self.at


def read_properties(cursor, kind):
    """The property block of a packet from a server, as a dictionary."""
    block, found = Cursor(cursor.take(cursor.varint())), {}
    read = {"byte": lambda: block.number(1), "u16": lambda: block.number(2),
            "u32": lambda: block.number(4), "varint": block.varint, "text": block.text,
            "bytes": lambda: block.take(block.number(2)),
            "pair": lambda: (block.text(), block.text())}
    while block.left():
        number = block.varint()
        if number not in BY_ID or kind not in BY_ID[number][2]:
            raise Malformed(f"property {number:#x} in {NAMES[kind]}")
        name, form, _ = BY_ID[number]
        value = read[form]()
        if name in NEVER_ZERO and value == 0 or form == "byte" and value > 1:
            raise Malformed(f"{name} is {value}")
        if name in MANY:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise Malformed(f"{name} twice")
        else:
            found[name] = value
    return found


def read_publish(cursor, flags, version):
    """A PUBLISH as the server sent it."""
    qos = flags >> 1 & 3
    if qos == 3 or qos == 0 and flags & 8:
        raise Malformed(f"PUBLISH flags {flags:#x}")
    topic = cursor.text()
    if "+" in topic or "#" in topic:
        raise Malformed(f"wildcard in the topic name {topic!r}")
    pid = cursor.number(2) if qos else None
    if pid == 0:
        raise Malformed("packet identifier 0")
    props = read_properties(cursor, PUBLISH) if version == V5 else {}
    if not topic and "topic_alias" not in props:
        raise Malformed("neither topic name nor alias")
    return SimpleNamespace(topic=topic, pid=pid, qos=qos, dup=bool(flags & 8),
                           retain=bool(flags & 1), props=props, payload=cursor.rest())


def read_short(cursor, kind, version):
    """Reason code and properties where they may be left out: acks, DISCONNECT, AUTH."""
    code = cursor.number(1) if version == V5 and cursor.left() else 0
    return code, read_properties(cursor, kind) if version == V5 and cursor.left() else {}


def decode(first, body, version):
    """One packet of a server."""
    kind, flags, cursor = first >> 4, first & 15, Cursor(body)
    if kind == PUBLISH:
        found = read_publish(cursor, flags, version)
    elif flags != (2 if kind == PUBREL else 0):
        raise Malformed(f"{NAMES[kind]} with flags {flags:#x}")
    elif kind == CONNACK:
        present, code = cursor.number(1), cursor.number(1)
        if present > 1 or present and code:
            raise Malformed(f"CONNACK flags {present:#x}, code {code:#x}")
        # A level that the server does not know is refused with 1, in the form of 3.1.1.
        long = version == V5 and (cursor.left() or code != 1)
        props = read_properties(cursor, kind) if long else {}
        found = SimpleNamespace(present=bool(present), code=code, props=props)
    elif kind in ACKS:
        pid = cursor.number(2)
        code, props = read_short(cursor, kind, version)
        found = SimpleNamespace(pid=pid, code=code, props=props)
    elif kind in (SUBACK, UNSUBACK):
        pid = cursor.number(2)
        props = read_properties(cursor, kind) if version == V5 else {}
        found = SimpleNamespace(pid=pid, props=props, codes=list(cursor.rest()))
    elif kind in (DISCONNECT, AUTH) and version == V5:
        code, props = read_short(cursor, kind, version)
        found = SimpleNamespace(code=code, props=props)
    elif kind == PINGRESP:
        found = SimpleNamespace()
    else:
        raise Malformed(f"a server sent {NAMES[kind]}")
    if cursor.left():
        raise Malformed(f"{cursor.left()} bytes behind {NAMES[kind]}")
    found.kind, found.name, found.size = kind, NAMES[kind], 1 + len(varint(len(body))) + len(body)
    return found
