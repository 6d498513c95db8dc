"""AMQP 0-9-1 bytes for tests that want to control every one of them.

Owns: the table of methods and properties, and both directions of their encoding. Only Python's own
library; a typed field value is a pair (type letter, value), a plain value gets the usual letter.
Invariant: `Reader` never reads past its buffer (it raises `struct.error` or `IndexError`).
"""

import struct

FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT, FRAME_END = 1, 2, 3, 8, 0xCE

# id, name, fields. `b` is a bit, `o` an octet, `s` a short, `l` a long, `q` a long long,
# `t` a short string, `S` a long string, `T` a table.
_METHODS = """
10.10 connection.start o:version-major o:version-minor T:server-properties S:mechanisms \
 S:locales
10.11 connection.start-ok T:client-properties t:mechanism S:response t:locale
10.20 connection.secure S:challenge
10.21 connection.secure-ok S:response
10.30 connection.tune s:channel-max l:frame-max s:heartbeat
10.31 connection.tune-ok s:channel-max l:frame-max s:heartbeat
10.40 connection.open t:virtual-host t:reserved-1 b:reserved-2
10.41 connection.open-ok t:reserved-1
10.50 connection.close s:reply-code t:reply-text s:class-id s:method-id
10.51 connection.close-ok
10.60 connection.blocked t:reason
10.61 connection.unblocked
10.70 connection.update-secret S:new-secret t:reason
10.71 connection.update-secret-ok
20.10 channel.open t:reserved-1
20.11 channel.open-ok S:reserved-1
20.20 channel.flow b:active
20.21 channel.flow-ok b:active
20.40 channel.close s:reply-code t:reply-text s:class-id s:method-id
20.41 channel.close-ok
30.10 access.request t:realm b:exclusive b:passive b:active b:write b:read
30.11 access.request-ok s:ticket
40.10 exchange.declare s:ticket t:exchange t:type b:passive b:durable b:auto-delete b:internal \
 b:no-wait T:arguments
40.11 exchange.declare-ok
40.20 exchange.delete s:ticket t:exchange b:if-unused b:no-wait
40.21 exchange.delete-ok
40.30 exchange.bind s:ticket t:destination t:source t:routing-key b:no-wait T:arguments
40.31 exchange.bind-ok
40.40 exchange.unbind s:ticket t:destination t:source t:routing-key b:no-wait T:arguments
40.51 exchange.unbind-ok
50.10 queue.declare s:ticket t:queue b:passive b:durable b:exclusive b:auto-delete b:no-wait \
 T:arguments
50.11 queue.declare-ok t:queue l:message-count l:consumer-count
50.20 queue.bind s:ticket t:queue t:exchange t:routing-key b:no-wait T:arguments
50.21 queue.bind-ok
50.30 queue.purge s:ticket t:queue b:no-wait
50.31 queue.purge-ok l:message-count
50.40 queue.delete s:ticket t:queue b:if-unused b:if-empty b:no-wait
50.41 queue.delete-ok l:message-count
50.50 queue.unbind s:ticket t:queue t:exchange t:routing-key T:arguments
50.51 queue.unbind-ok
60.10 basic.qos l:prefetch-size s:prefetch-count b:global
60.11 basic.qos-ok
60.20 basic.consume s:ticket t:queue t:consumer-tag b:no-local b:no-ack b:exclusive b:no-wait \
 T:arguments
60.21 basic.consume-ok t:consumer-tag
60.30 basic.cancel t:consumer-tag b:no-wait
60.31 basic.cancel-ok t:consumer-tag
60.40 basic.publish s:ticket t:exchange t:routing-key b:mandatory b:immediate
60.50 basic.return s:reply-code t:reply-text t:exchange t:routing-key
60.60 basic.deliver t:consumer-tag q:delivery-tag b:redelivered t:exchange t:routing-key
60.70 basic.get s:ticket t:queue b:no-ack
60.71 basic.get-ok q:delivery-tag b:redelivered t:exchange t:routing-key l:message-count
60.72 basic.get-empty t:reserved-1
60.80 basic.ack q:delivery-tag b:multiple
60.90 basic.reject q:delivery-tag b:requeue
60.100 basic.recover-async b:requeue
60.110 basic.recover b:requeue
60.111 basic.recover-ok
60.120 basic.nack q:delivery-tag b:multiple b:requeue
85.10 confirm.select b:no-wait
85.11 confirm.select-ok
90.10 tx.select
90.11 tx.select-ok
90.20 tx.commit
90.21 tx.commit-ok
90.30 tx.rollback
90.31 tx.rollback-ok
"""
PROPERTIES = [("content-type", "t"), ("content-encoding", "t"), ("headers", "T"),
              ("delivery-mode", "o"), ("priority", "o"), ("correlation-id", "t"),
              ("reply-to", "t"), ("expiration", "t"), ("message-id", "t"), ("timestamp", "q"),
              ("type", "t"), ("user-id", "t"), ("app-id", "t"), ("cluster-id", "t")]
CONTENT = {"basic.publish", "basic.return", "basic.deliver", "basic.get-ok"}
# What a body frame holds at most, where frames are as long as is usual.
BODY_FRAME_BYTES = 131072 - 8
NUMBER = {"o": ">B", "s": ">H", "l": ">I", "q": ">Q"}
FIELD_NUMBER = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q",
                "L": ">Q", "f": ">f", "d": ">d", "T": ">Q"}


def _parse():
    by_name, by_id = {}, {}
    for line in _METHODS.strip().splitlines():
        number, name, *fields = line.split()
        ids = tuple(int(part) for part in number.split("."))
        by_name[name] = (ids, [tuple(field.split(":")) for field in fields])
        by_id[ids] = name
    return by_name, by_id


METHODS, NAMES = _parse()


def raw(text):
    """Text or bytes as bytes; latin-1 keeps odd bytes that were decoded so."""
    return text if isinstance(text, bytes) else text.encode()


def short_string(text):
    """A length octet and up to 255 bytes."""
    data = raw(text)
    return struct.pack(">B", len(data)) + data


def long_string(text):
    """A four-byte length and the bytes."""
    data = raw(text)
    return struct.pack(">I", len(data)) + data


def typed(value):
    """The (letter, value) pair for a plain Python value."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, bool):
        return ("t", value)
    if isinstance(value, int):
        return ("I", value) if -2**31 <= value < 2**31 else ("l", value)
    if isinstance(value, float):
        return ("d", value)
    if value is None:
        return ("V", None)
    return ({dict: "F", list: "A"}.get(type(value), "S"), value)


def field(value):
    """One field value with its type letter."""
    letter, value = typed(value)
    head = letter.encode()
    if letter in FIELD_NUMBER:
        return head + struct.pack(FIELD_NUMBER[letter], value)
    if letter == "t":
        return head + bytes([1 if value else 0])
    if letter == "D":
        return head + struct.pack(">BI", *value)
    if letter in "Sx":
        return head + long_string(value)
    if letter == "F":
        return head + table(value)
    if letter == "A":
        return head + long_string(b"".join(field(item) for item in value))
    return head if letter == "V" else head + raw(value)


def table(entries):
    """A field table; bytes are taken as its content, ready made."""
    if isinstance(entries, bytes):
        return long_string(entries)
    return long_string(b"".join(short_string(k) + field(v) for k, v in entries.items()))


def _value(letter, value):
    if letter in NUMBER:
        return struct.pack(NUMBER[letter], value)
    return {"t": short_string, "S": long_string, "T": table}[letter](value)


def arguments(fields, values):
    """The argument bytes of a method; bits that follow each other share octets."""
    out, bits = b"", []

    def flush():
        return bytes(sum(bit << i for i, bit in enumerate(bits[at:at + 8]))
                     for at in range(0, len(bits), 8))

    for letter, name in fields:
        value = values.pop(name.replace("-", "_"), None)
        if letter == "b":
            bits.append(1 if value else 0)
            continue
        out, bits = out + flush(), []
        empty = {"T": {}, "t": "", "S": ""}.get(letter, 0)
        out += _value(letter, empty if value is None else value)
    assert not values, f"unknown arguments {values}"
    return out + flush()


def method(name, **values):
    """The payload of a method frame."""
    ids, fields = METHODS[name]
    return struct.pack(">HH", *ids) + arguments(fields, values)


def frame(kind, channel, payload, end=FRAME_END):
    """One frame."""
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([end])


def properties(values):
    """Property flags and values; keys with dashes, e.g. {"delivery-mode": 2}."""
    flags, out = 0, b""
    for position, (name, letter) in enumerate(PROPERTIES):
        if name in values:
            flags |= 1 << (15 - position)
            out += _value(letter, values[name])
    return struct.pack(">H", flags) + out


def header(body_bytes, props=None, class_id=60, weight=0):
    """The payload of a content header frame; `props` may be ready-made bytes."""
    tail = props if isinstance(props, bytes) else properties(props or {})
    return struct.pack(">HHQ", class_id, weight, body_bytes) + tail


def publish_frames(channel, exchange, key, body, props=b"\0\0", mandatory=False):
    """The frames of one publish; `props` is a property block."""
    asked = method("basic.publish", exchange=exchange, routing_key=key, mandatory=mandatory)
    frames = [frame(1, channel, asked), frame(2, channel, header(len(body), props))]
    frames += [frame(3, channel, body[at:at + BODY_FRAME_BYTES])
               for at in range(0, len(body), BODY_FRAME_BYTES)]
    return b"".join(frames)


class Reader:
    """Reads typed values from a buffer."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        """The next `count` bytes."""
        if self.at + count > len(self.data):
            raise IndexError("past the end")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        """One number in `struct` form."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, form):
        """A string with its length in `struct` form."""
        return self.take(self.number(form)).decode("utf-8", "backslashreplace")

    def value(self, letter):
        """A method argument or property."""
        if letter in NUMBER:
            return self.number(NUMBER[letter])
        return self.table() if letter == "T" else self.text(">B" if letter == "t" else ">I")

    def table(self):
        """A field table as a dict of (letter, value) pairs."""
        inner, out = Reader(self.take(self.number(">I"))), {}
        while inner.at < len(inner.data):
            key = inner.text(">B")
            out[key] = inner.field()
        return out

    def field(self):
        """One (letter, value) pair."""
        letter = chr(self.number(">B"))
        if letter in FIELD_NUMBER:
            return letter, self.number(FIELD_NUMBER[letter])
        if letter == "t":
            return letter, self.number(">B") != 0
        if letter == "D":
            return letter, (self.number(">B"), self.number(">I"))
        if letter in "Sx":
            return letter, self.text(">I")
        if letter == "F":
            return letter, self.table()
        if letter == "A":
            inner, out = Reader(self.take(self.number(">I"))), []
            while inner.at < len(inner.data):
                out.append(inner.field())
            return letter, out
        if letter == "V":
            return letter, None
        raise ValueError(f"unknown field type {letter!r}")


def parse_method(payload):
    """(name, arguments) of a method frame's payload."""
    reader = Reader(payload)
    ids = reader.number(">H"), reader.number(">H")
    name, out, bits = NAMES[ids], {}, 0
    for letter, field_name in METHODS[name][1]:
        if letter != "b":
            bits = 0
            out[field_name] = reader.value(letter)
            continue
        if bits % 8 == 0:
            octet = reader.number(">B")
        out[field_name] = bool(octet >> (bits % 8) & 1)
        bits += 1
    return name, out


def parse_header(payload):
    """(body size, properties) of a content header's payload."""
    reader = Reader(payload)
    reader.take(4)
    size, flags, out = reader.number(">Q"), reader.number(">H"), {}
    for position, (name, letter) in enumerate(PROPERTIES):
        if flags >> (15 - position) & 1:
            out[name] = reader.value(letter)
    return size, out
