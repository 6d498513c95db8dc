"""An MQTT client that does just what it is told: sockets, packets, acks by hand or by itself.

Owns: one connection each, no thread; packets are read only while something is waited for.
Invariants
- `Peer` answers nothing. `Client` answers what a client owes, unless `auto` is False.
- `messages` has each message once: a QoS 2 PUBLISH that comes again is counted in `repeats`.

Environment: HOST, MQTT_PORT (or the argument `host:port`), MQTT_USER, MQTT_PASSWORD (guest).
"""

import os
import select
import socket
import sys
import time

import packets as p

WAIT_S_MAX = 10.0
USER, PASSWORD = os.environ.get("MQTT_USER", "guest"), os.environ.get("MQTT_PASSWORD", "guest")


class Gone(Exception):
    """The connection came to its end."""


class Late(Exception):
    """What was waited for did not come in time."""


def target():
    """Where the broker is: an argument `host:port`, else the environment."""
    for argument in sys.argv[1:]:
        host, colon, port = argument.rpartition(":")
        if colon and port.isdigit():
            return host, int(port)
    return os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("MQTT_PORT", "1883"))


class Peer:
    """A socket, raw bytes out, packets in."""

    def __init__(self, version=p.V5, at=None):
        self.version, self.buffer = version, bytearray()
        self.socket = socket.create_connection(at or target(), WAIT_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def send(self, data):
        """Raw bytes, all of them."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone(str(error)) from None

    def cut(self):
        """The connection ends without a word."""
        self.socket.close()

    def _fill(self, deadline):
        if not select.select([self.socket], [], [], max(0, deadline - time.monotonic()))[0]:
            raise Late("nothing came")
        try:
            part = self.socket.recv(1 << 18)
        except OSError as error:
            raise Gone(str(error)) from None
        if not part:
            raise Gone("closed by the broker")
        self.buffer += part

    def _size(self):
        """(bytes of the header, bytes of the body) of the packet in front, when known."""
        size = 0
        for at in range(1, min(len(self.buffer), 5)):
            size |= (self.buffer[at] & 127) << 7 * (at - 1)
            if self.buffer[at] < 128:
                return at + 1, size
        if len(self.buffer) >= 5:
            raise p.Malformed("a remaining length without end")
        return None

    def read(self, seconds=WAIT_S_MAX):
        """The next packet. Raises `Late` or `Gone`."""
        deadline = time.monotonic() + seconds
        while not (sizes := self._size()) or len(self.buffer) < sum(sizes):
            self._fill(deadline)
        head, size = sizes
        first, body = self.buffer[0], bytes(self.buffer[head:head + size])
        del self.buffer[:head + size]
        return p.decode(first, body, self.version)

    def expect(self, kind, seconds=WAIT_S_MAX):
        """The next packet, which must be of this kind."""
        packet = self.read(seconds)
        assert packet.kind == kind, f"{packet.name} {vars(packet)}, not {p.NAMES[kind]}"
        return packet

    def closed(self, seconds=WAIT_S_MAX):
        """The broker must close without another packet."""
        try:
            packet = self.read(seconds)
        except Gone:
            return
        except Late:
            raise AssertionError("the connection stays open") from None
        raise AssertionError(f"{packet.name} {vars(packet)} instead of the end")

    def ending(self, seconds=WAIT_S_MAX):
        """What the broker says before it closes: the last packet, or None."""
        last, deadline = None, time.monotonic() + seconds
        while True:
            try:
                last = self.read(max(0.01, deadline - time.monotonic()))
            except Gone:
                return last
            except Late:
                raise AssertionError(f"the connection stays open, last: "
                                     f"{last and vars(last)}") from None


class Client(Peer):
    """A connected client. Keyword arguments are those of `packets.connect`."""

    def __init__(self, client_id="", version=p.V5, auto=True, at=None, code=0, **values):
        super().__init__(version, at)
        self.client_id, self.auto, self.pid = client_id, auto, 0
        self.messages, self.repeats, self.answers = [], 0, []
        self.owed, self.aliases, self.ended = set(), {}, None
        values.setdefault("user", USER)
        values.setdefault("password", PASSWORD)
        self.send(p.connect(client_id, version, **values))
        self.connack = self.expect(p.CONNACK)
        assert self.connack.code == code, f"CONNACK {self.connack.code:#x}, not {code:#x}"

    def next_pid(self):
        """A packet identifier that was not used lately."""
        self.pid = self.pid % 65535 + 1
        return self.pid

    def step(self, seconds):
        """Reads one packet and does what is owed for it; returns it."""
        packet = self.read(seconds)
        if packet.kind == p.PUBLISH:
            self._message(packet)
        elif packet.kind == p.PUBREL and self.auto:
            self.owed.discard(packet.pid)
            self.send(p.ack(p.PUBCOMP, packet.pid, version=self.version))
        elif packet.kind == p.PUBREC and packet.code < 0x80 and self.auto:
            self.send(p.ack(p.PUBREL, packet.pid, version=self.version))
        else:
            self.answers.append(packet)
            if packet.kind == p.DISCONNECT:
                self.ended = packet
        return packet

    def _message(self, packet):
        packet.wire_topic = packet.topic
        alias = packet.props.get("topic_alias")
        if alias:
            packet.topic = self.aliases[alias] = packet.topic or self.aliases[alias]
        if packet.qos == 2 and packet.pid in self.owed:
            self.repeats += 1
        else:
            self.messages.append(packet)
        if packet.qos == 2:
            self.owed.add(packet.pid)
        if packet.qos and self.auto:
            kind = p.PUBACK if packet.qos == 1 else p.PUBREC
            self.send(p.ack(kind, packet.pid, version=self.version))

    def until(self, ready, what, seconds=WAIT_S_MAX):
        """Works until `ready()` gives something true, which it returns."""
        deadline = time.monotonic() + seconds
        while not (found := ready()):
            left = deadline - time.monotonic()
            if left <= 0:
                raise Late(f"no {what} in {seconds} s")
            try:
                self.step(left)
            except Late:
                pass
        return found

    def answer(self, kind, pid, seconds=WAIT_S_MAX):
        """Waits for this answer and takes it."""
        def found():
            return next((a for a in self.answers if a.kind == kind and a.pid == pid), None)
        packet = self.until(found, f"{p.NAMES[kind]} {pid}", seconds)
        self.answers.remove(packet)
        return packet

    def subscribe(self, *filters, props=None):
        """Filters are text with QoS 2, or pairs of filter and options. Returns the codes."""
        pairs = [one if isinstance(one, tuple) else (one, 2) for one in filters]
        pid = self.next_pid()
        self.send(p.subscribe(pid, pairs, props, self.version))
        return self.answer(p.SUBACK, pid).codes

    def unsubscribe(self, *filters):
        """Returns the codes (none before version 5)."""
        pid = self.next_pid()
        self.send(p.unsubscribe(pid, filters, version=self.version))
        return self.answer(p.UNSUBACK, pid).codes

    def publish(self, topic, payload=b"", qos=0, wait=True, **values):
        """Publishes and waits for the last answer, unless told not to. Returns answer or id."""
        pid = self.next_pid() if qos else None
        self.send(p.publish(topic, payload, qos, pid, version=self.version, **values))
        if not qos or not wait:
            return pid
        return self.answer(p.PUBACK if qos == 1 else p.PUBCOMP, pid)

    def wait(self, count, seconds=WAIT_S_MAX):
        """Waits until there are so many messages; returns all."""
        try:
            self.until(lambda: len(self.messages) >= count, "message", seconds)
        except Late:
            raise Late(f"{len(self.messages)} messages of {count} in {seconds} s: "
                       f"{self.texts()[:8]}") from None
        return self.messages

    def quiet(self, seconds=0.3):
        """Works for that long: what must not come has time to."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.step(left)
            except Late:
                pass

    def sync(self):
        """A round trip: all that the broker owed before is here (its own order is kept)."""
        self.send(p.PING)
        packet = self.until(lambda: next((a for a in self.answers if a.kind == p.PINGRESP), None),
                            "pingresp")
        self.answers.remove(packet)

    def texts(self):
        """The payloads so far."""
        return [message.payload[:60] for message in self.messages]

    def exactly(self, count, seconds=WAIT_S_MAX, quiet=0.3):
        """So many messages, and no more in a little while. Returns and forgets them."""
        self.wait(count, seconds)
        self.quiet(quiet)
        assert len(self.messages) == count, f"{len(self.messages)} messages: {self.texts()[:8]}"
        found, self.messages = self.messages, []
        return found

    def disconnect(self, code=0, props=None):
        """Says goodbye and waits for the broker to close."""
        self.send(p.disconnect(code, props, self.version))
        self.ending()
        self.cut()
