"""A client that may send anything, a node with its memory in view, and the canary beside them.

Owns: sockets with hostile bytes on them, the broker under test, what is measured of it.
Invariants
- Nothing is read further than asked, so a peer that does not read is just one that is not asked.
- The canary has a connection and a queue of its own and does nothing that a case could want.

Environment: HOSTILE_SCALE (1.0) multiplies the counts of the long cases, CANARY_S_MAX (1.0).
"""

import os
import pathlib
import random
import socket
import struct
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "differential")]

import amqp  # noqa: E402
import lib  # noqa: E402
from amqp import publish_frames  # noqa: E402

SCALE = float(os.environ.get("HOSTILE_SCALE", "1"))
CANARY_S_MAX = float(os.environ.get("CANARY_S_MAX", "1"))
WAIT_S_MAX = 15.0
MIB = 1 << 20
HEADER = b"AMQP\0\0\x09\x01"
FRAME_MAX = 131072
CAPABILITIES = {"capabilities": {"connection.blocked": True, "consumer_cancel_notify": True,
                                 "authentication_failure_close": True}}
PERSISTENT = amqp.properties({"delivery-mode": 2})


class Gone(Exception):
    """The socket came to its end."""


class Closed(Exception):
    """The broker closed the connection or a channel."""

    def __init__(self, name, code, text):
        super().__init__(f"{name} {code} {text}")
        self.name, self.code, self.text = name, code, text


def scaled(count):
    """A count of a long case, times HOSTILE_SCALE."""
    return max(1, int(count * SCALE))


class Client:
    """A connection. `Client.raw` says nothing at all, the constructor logs in and opens."""

    def __init__(self, port, channels=1, heartbeat=0, channel_max=2047, frame_max=FRAME_MAX,
                 user="guest", password="guest", vhost="/", properties=None):
        self._connect(port)
        self.log_in(channels, heartbeat, channel_max, frame_max, user, password, vhost, properties)

    def log_in(self, channels=1, heartbeat=0, channel_max=2047, frame_max=FRAME_MAX,
               user="guest", password="guest", vhost="/", properties=None):
        """The handshake, and the first channels."""
        self.send(HEADER)
        self.start_ok(user, password, properties or CAPABILITIES)
        self.wait("connection.tune")
        self.method(0, "connection.tune-ok", channel_max=channel_max, frame_max=frame_max,
                    heartbeat=heartbeat)
        self.call(0, "connection.open", virtual_host=vhost)
        for number in range(1, channels + 1):
            self.call(number, "channel.open")

    @classmethod
    def raw(cls, port, receive_bytes=None):
        """A socket with nothing on it; `receive_bytes` makes its buffer small."""
        client = cls.__new__(cls)
        client._connect(port, receive_bytes)
        return client

    def _connect(self, port, receive_bytes=None):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(WAIT_S_MAX)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.at, self.others = b"", 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()

    def drop(self):
        """Ends the socket without a word."""
        self.socket.close()

    def close(self):
        """Ends the connection as the protocol wants."""
        self.call(0, "connection.close", reply_code=200)
        self.drop()

    def send(self, data):
        """All of `data`, or `Gone`."""
        try:
            self.socket.settimeout(WAIT_S_MAX)
            self.socket.sendall(data)
        except (ConnectionError, BrokenPipeError) as error:
            raise Gone(str(error)) from error

    def try_send(self, data):
        """As much of `data` as the peer takes; says whether that was all."""
        try:
            self.send(data)
        except (Gone, TimeoutError):
            return False
        return True

    def method(self, channel, name, **values):
        """Sends a method."""
        self.send(amqp.frame(1, channel, amqp.method(name, **values)))

    def start_ok(self, user="guest", password="guest", properties=None):
        """Logs in with PLAIN."""
        response = b"\0" + amqp.raw(user) + b"\0" + amqp.raw(password)
        self.wait("connection.start")
        self.method(0, "connection.start-ok", client_properties=properties or {},
                    mechanism="PLAIN", response=response, locale="en_US")

    def call(self, channel, name, wait_s=WAIT_S_MAX, **values):
        """Sends a method and waits for its -ok; gives the arguments of that."""
        self.method(channel, name, **values)
        return self.wait(name + "-ok", channel, wait_s)

    def frame(self, seconds=WAIT_S_MAX):
        """The next frame as (kind, channel, payload)."""
        deadline = time.monotonic() + seconds
        while True:
            have = len(self.buffer) - self.at
            if have >= 7:
                kind, channel, size = struct.unpack_from(">BHI", self.buffer, self.at)
                if have >= size + 8:
                    start = self.at + 7
                    self.at = start + size + 1
                    return kind, channel, self.buffer[start:start + size]
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no frame")
            self.socket.settimeout(left)
            try:
                more = self.socket.recv(1 << 18)
            except TimeoutError:
                raise
            except OSError as error:
                raise Gone(str(error)) from error
            if not more:
                raise Gone("end of the stream")
            self.buffer, self.at = self.buffer[self.at:] + more, 0

    def wait(self, name, channel=0, seconds=WAIT_S_MAX):
        """Waits for a method and gives its arguments; see `expect`."""
        return self.expect([name], channel, seconds)[1]

    def expect(self, names, channel, seconds=WAIT_S_MAX):
        """Waits for one of the methods; (name, arguments). Others are kept in `others`."""
        deadline = time.monotonic() + seconds
        while True:
            kind, number, payload = self.frame(max(0, deadline - time.monotonic()))
            if kind != 1:
                continue
            name = amqp.NAMES[struct.unpack_from(">HH", payload)]
            if name in names and number == channel:
                return amqp.parse_method(payload)
            if name in ("connection.close", "channel.close"):
                _, values = amqp.parse_method(payload)
                self.try_send(amqp.frame(1, number, amqp.method(name + "-ok")))
                raise Closed(name.split(".")[0], values["reply-code"], values["reply-text"])
            self.others.append((number, name))

    def ending(self, seconds=WAIT_S_MAX):
        """How the conversation ends: (connection|channel, code), (gone, 0) or (open, 0)."""
        try:
            self.expect([], 0, seconds)
        except Closed as closed:
            return closed.name, closed.code
        except Gone:
            return "gone", 0
        except TimeoutError:
            return "open", 0

    def gone(self, seconds):
        """Waits for the end of the stream; the seconds that took, or None."""
        began = time.monotonic()
        try:
            while True:
                self.frame(seconds - (time.monotonic() - began))
        except Gone:
            return time.monotonic() - began
        except TimeoutError:
            return None

    def content(self):
        """Body of the message whose method has just been read."""
        _, _, payload = self.frame()
        size, _ = amqp.parse_header(payload)
        parts, got = [], 0
        while got < size:
            _, _, part = self.frame()
            parts.append(part)
            got += len(part)
        return b"".join(parts)

    def declare(self, queue, arguments=None, durable=False, passive=False, **more):
        """Declares a queue; gives (messages, consumers)."""
        got = self.call(1, "queue.declare", queue=queue, durable=durable, passive=passive,
                        arguments=arguments or {}, **more)
        return got["message-count"], got["consumer-count"]

    def publish(self, key, body, exchange="", props=b"\0\0", mandatory=False, channel=1):
        """Publishes one message."""
        self.send(publish_frames(channel, exchange, key, body, props, mandatory))

    def confirms(self, count, seconds=WAIT_S_MAX, channel=1):
        """Waits until `count` publishes are confirmed; none may be refused."""
        while self.confirmed < count:
            _, values = self.expect(["basic.ack"], channel, seconds)
            self.confirmed = values["delivery-tag"] if values["multiple"] else self.confirmed + 1

    def confirm_select(self, channel=1):
        """Asks for confirms."""
        self.call(channel, "confirm.select")
        self.confirmed = 0

    def get(self, queue, no_ack=True, channel=1):
        """The body of the next message, or None."""
        self.method(channel, "basic.get", queue=queue, no_ack=no_ack)
        name, _ = self.expect(["basic.get-ok", "basic.get-empty"], channel)
        return self.content() if name == "basic.get-ok" else None


class Node(lib.Broker):
    """A FerryMQ with settings of its own."""

    def __init__(self, *settings, folder=None, **doors):
        super().__init__("ferrymq", folder, **doors)
        self.settings = settings

    def command(self):
        command, env = super().command()
        return command + list(self.settings), env

    def client(self, **options):
        """Logs a client in."""
        return Client(self.port, **options)

    def raw(self, **options):
        """A socket to it."""
        return Client.raw(self.port, **options)

    def rss(self):
        """Resident memory in bytes."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def cpu_s(self):
        """Processor time that it has used."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def settles(self, limit, seconds=12.0):
        """Waits until the memory is at most `limit` bytes; fails if it does not get there."""
        deadline = time.monotonic() + seconds
        while self.rss() > limit:
            if time.monotonic() > deadline:
                raise AssertionError(f"RSS {self.rss() / MIB:.0f} MiB > {limit / MIB:.0f} MiB")
            time.sleep(0.1)

    def output(self):
        """All that it has printed."""
        return (self.folder / "output").read_bytes()


class Peak:
    """The most memory that a node takes meanwhile, against what it took before."""

    def __init__(self, node, most_mib):
        self.node, self.most = node, most_mib * MIB

    def __enter__(self):
        self.before = self.peak = self.node.rss()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self):
        while not self.over.wait(0.02):
            self.peak = max(self.peak, self.node.rss())

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        grown = self.peak - self.before
        if kind is None and grown > self.most:
            raise AssertionError(f"+{grown / MIB:.1f} MiB, allowed {self.most / MIB:.1f} MiB")


class Canary:
    """Another client: declares, publishes with a confirm, gets; again and again."""

    def __init__(self, node):
        self.node, self.worst, self.rounds, self.error = node, 0.0, 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _run(self):
        try:
            client = self.node.client()
            client.confirm_select()
            while not self.over.wait(0.02):
                self._round(client)
            client.close()
        except Exception as error:  # told by `check`
            self.error = error

    def _round(self, client):
        began = time.monotonic()
        body = f"{self.rounds} {random.random()}".encode()
        client.declare(f"canary-{self.rounds % 2}", durable=self.rounds % 2 == 0)
        client.publish(f"canary-{self.rounds % 2}", body, props=PERSISTENT)
        client.confirms(self.rounds + 1)
        assert client.get(f"canary-{self.rounds % 2}") == body, "the canary got another body"
        self.worst = max(self.worst, time.monotonic() - began)
        self.rounds += 1

    def check(self):
        """Fails if it is hurt, or was hurt since the last check; gives the worst round in s."""
        before = self.rounds
        deadline = time.monotonic() + CANARY_S_MAX + 1
        while self.rounds < before + 2 and time.monotonic() < deadline and self.error is None:
            time.sleep(0.005)
        if self.error is not None:
            raise AssertionError(f"the canary died: {self.error!r}")
        worst, self.worst = self.worst, 0.0
        if self.rounds < before + 2:
            raise AssertionError("the canary hangs")
        if worst > CANARY_S_MAX:
            raise AssertionError(f"the canary waited {worst:.2f} s")
        return worst
