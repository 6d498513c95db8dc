"""MQTT over WebSocket by hand, and the statements [6.0.0-1] to [6.0.0-4] with what RFC 6455 asks.

Owns: the handshake and the frames. MQTT_URL (ws://host:port/path) says where.
Invariants
- What `send` is given goes out as one masked binary frame; `frame` makes any other.
- Frames from the broker must be unmasked and binary, with no reserved bits.
"""

import base64
import hashlib
import os
import secrets
import select
import socket
import struct
import time
import urllib.parse

import packets as p
from peer import WAIT_S_MAX, Client, Gone, Late, Peer

URL = urllib.parse.urlparse(os.environ.get("MQTT_URL", ""))
KEY = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LARGE_BYTES = 1 << 20


def frame(data, kind=BINARY, fin=True, masked=True, length=None):
    """A frame of a client; `length` lies about its size."""
    size = len(data) if length is None else length
    head = bytes([(128 if fin else 0) | kind])
    bit = 128 if masked else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    # A mask of zeros is a mask, and leaves the bytes as they are.
    return head + (b"\0\0\0\0" if masked else b"") + data


def upgrade(path=None, protocol="mqtt", version="13"):
    """Sends the request; returns the socket, the status and the answer's fields."""
    sock = socket.create_connection((URL.hostname, URL.port), WAIT_S_MAX)
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    lines = [f"GET {path or URL.path} HTTP/1.1", f"Host: {URL.netloc}", "Upgrade: websocket",
             "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
             f"Sec-WebSocket-Version: {version}"]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = sock.recv(1)
        if not part:
            return sock, 0, {}
        answer += part
    first, *rest = answer.decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in
              (line.partition(":") for line in rest if line)}
    status = int(first.split()[1])
    if status == 101:
        wanted = base64.b64encode(hashlib.sha1((key + KEY).encode()).digest()).decode()
        assert fields["sec-websocket-accept"] == wanted, fields
    return sock, status, fields


class Web(Peer):
    """A socket that speaks WebSocket; `others` are frames that are not data."""

    def __init__(self, version=p.V5, at=None):
        del at
        self.version, self.buffer, self.inside, self.others = version, bytearray(), b"", []
        self.socket, status, fields = upgrade()
        assert status == 101 and fields.get("sec-websocket-protocol") == "mqtt", (status, fields)

    def send(self, data):
        """One binary frame."""
        self.put(frame(data))

    def put(self, data):
        """Raw bytes."""
        super().send(data)

    def _fill(self, deadline):
        """One more frame, into the buffer of packets or to the others."""
        head = self._take(2, deadline)
        assert head[0] & 0x70 == 0 and head[1] < 128, f"frame {head.hex()}"
        size = head[1]
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8, deadline), "big")
        data = self._take(size, deadline)
        kind = head[0] & 15
        if kind in (BINARY, CONTINUE):
            self.buffer += data
            return
        assert kind in (CLOSE, PING, PONG), f"frame of kind {kind}"
        self.others.append((kind, data))
        if kind == CLOSE:
            raise Gone(f"closed by the broker, {data!r}")

    def _take(self, count, deadline):
        while len(self.inside) < count:
            if not select.select([self.socket], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Late("nothing came")
            try:
                part = self.socket.recv(1 << 18)
            except OSError as error:
                raise Gone(str(error)) from None
            if not part:
                raise Gone("closed by the broker")
            self.inside += part
        found, self.inside = self.inside[:count], self.inside[count:]
        return found


class WebClient(Client, Web):
    """A connected client over WebSocket."""


def hello(s, client_id="web"):
    """A CONNECT with the usual user."""
    return p.connect(f"{s.prefix}-{client_id}", user="guest", password="guest")


def web_subprotocol(s):
    """[6.0.0-3] [6.0.0-4] `mqtt` is chosen where it is offered, nothing else is."""
    del s
    for offered, chosen in (("mqtt", True), ("chat, mqtt", True), ("chat", False)):
        sock, status, fields = upgrade(protocol=offered)
        sock.close()
        found = fields.get("sec-websocket-protocol")
        assert (status == 101 and found == "mqtt") is chosen, (offered, status, found)


def web_refusals(s):
    """Another path, another version of the protocol: no upgrade."""
    del s
    for values in ({"path": "/no/such/path"}, {"version": "7"}):
        sock, status, _ = upgrade(**values)
        sock.close()
        assert status != 101, (values, status)


def web_cuts(s):
    """[6.0.0-2] A packet in several frames, several packets in one, single bytes."""
    with Web() as client:
        data, topic = hello(s), s.topic("t")
        for at in range(0, len(data), 3):
            client.send(data[at:at + 3])
        client.expect(p.CONNACK)
        client.send(p.subscribe(1, [(topic, 1)]) + p.publish(topic, b"x", 0) + p.PING)
        found = sorted(client.read().kind for _ in range(3))
        assert found == [p.PUBLISH, p.SUBACK, p.PINGRESP], found


def web_fragments(s):
    """A message of several fragments with a ping between them; the ping has its pong."""
    with Web() as client:
        data = hello(s)
        client.put(frame(data[:5], fin=False) + frame(b"are you there", PING)
                   + frame(data[5:9], CONTINUE, fin=False) + frame(data[9:], CONTINUE))
        client.expect(p.CONNACK)
        client.send(p.PING)
        client.expect(p.PINGRESP)
        assert (PONG, b"are you there") in client.others, client.others


def web_text_frame(s):
    """[6.0.0-1] Other data than binary ends the connection."""
    with Web() as client:
        client.put(frame(hello(s), TEXT))
        assert client.ending() is None


def web_bad_frames(s):
    """Unmasked, with reserved bits, of unknown kind, a fragmented ping: the connection ends."""
    good = hello(s)
    for bad in (frame(good, masked=False), b"\xc2" + frame(good)[1:], frame(good, 3),
                frame(b"x", PING, fin=False), frame(good, CONTINUE), frame(b"x" * 126, PING)):
        with Web() as client:
            client.put(bad)
            assert client.ending() is None, bad[:2].hex()


def web_large(s):
    """Some MiB there and back."""
    with WebClient(s.prefix) as client:
        client.subscribe((s.topic("t"), 1))
        client.publish(s.topic("t"), b"x" * LARGE_BYTES, 1)
        assert len(client.exactly(1)[0].payload) == LARGE_BYTES


def web_close(s):
    """A close is answered with a close; without DISCONNECT the will goes out."""
    watcher = s.client("watcher")
    watcher.subscribe(s.topic("will"))
    client = WebClient(s.prefix, will={"topic": s.topic("will"), "payload": b"gone"})
    client.put(frame(struct.pack(">H", 1000), CLOSE))
    assert client.ending() is None
    assert [kind for kind, _ in client.others] == [CLOSE], client.others
    watcher.exactly(1)


def web_and_tcp(s):
    """One client id is one session, whatever it comes over; messages go between them."""
    web = WebClient(f"{s.prefix}-same", props={"session_expiry": 60})
    web.subscribe(s.topic("t"))
    tcp = s.client("same", clean=False, props={"session_expiry": 60})
    assert tcp.connack.present
    web.ending()
    with WebClient(f"{s.prefix}-other") as other:
        other.publish(s.topic("t"), b"x", 2)
    tcp.exactly(1)
    tcp.disconnect(props={"session_expiry": 0})


SUITE = (web_subprotocol, web_refusals, web_cuts, web_fragments, web_text_frame, web_bad_frames,
         web_large, web_close, web_and_tcp)
CASES = [(f"s5-{case.__name__.replace('_', '-')}", case, p.V5) for case in SUITE]
