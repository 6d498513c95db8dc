"""A scripted conversation with a broker, written down line by line.

Owns: sockets, the handshake, content assembly, calls of the management API, and the transcript with
its normal form.
Invariants
- A line is written when the script looks at an event, never when bytes happen to arrive, so a
  transcript does not depend on timing.
- What the script never looked at is written at the end as a line that starts with `left over`.
- Server-made names, fresh timestamps and the product's own strings have one fixed spelling.
"""

import base64
import hashlib
import http.client
import json
import re
import socket
import struct
import time

import amqp

WAIT_S_MAX = 5.0
# RabbitMQ gathers what it shows every five seconds.
HTTP_S_MAX = 15.0
HIDDEN = {"ticket", "reserved-1", "reserved-2"}
PRODUCT = {"product", "version", "platform", "copyright", "information", "cluster_name"}
GENERATED = [(re.compile(r"amq\.gen-[\w-]{10,}"), "amq.gen-*"),
             (re.compile(r"amq\.ctag-[\w-]{10,}"), "amq.ctag-*"),
             (re.compile(r"amq\.rabbitmq\.reply-to\.[\w+/=.-]+"), "amq.rabbitmq.reply-to.*"),
             (re.compile(r"'interop\d+@localhost'"), "'NODE'")]


def show_field(pair):
    """A field value with its type letter, e.g. `I:5`; long strings are just quoted."""
    letter, value = amqp.typed(pair)
    if letter == "F":
        return show_table(value)
    if letter == "A":
        return "[" + ", ".join(show_field(item) for item in value) + "]"
    if letter == "S":
        return show_text(value)
    if letter == "T" and abs(value - time.time()) < 86400:
        return "T:now"
    return f"{letter}:{json.dumps(value)}"


def show_table(entries):
    """A table with sorted keys."""
    if isinstance(entries, bytes):
        return f"<{entries[:40].hex()}>"
    items = (f"{key}={show_field(entries[key])}" for key in sorted(entries))
    return "{" + ", ".join(items) + "}"


def show_text(text):
    """Quoted; long text by its length and digest."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if len(text) > 300:
        return f"<{len(text)} characters, {hashlib.sha1(text.encode()).hexdigest()[:12]}>"
    return json.dumps(text, ensure_ascii=False)


def show_value(name, value):
    """An argument of a method or a property."""
    if name == "server-properties":
        return show_table({k: v for k, v in value.items() if k not in PRODUCT})
    if isinstance(value, (dict, bytes)) and not name.endswith("response"):
        return show_table(value)
    return show_text(value) if isinstance(value, (str, bytes)) else json.dumps(value)


def show_arguments(values):
    """All arguments but the reserved ones and the false bits."""
    return "".join(f" {name.replace('_', '-')}={show_value(name, value)}"
                   for name, value in values.items()
                   if name.replace("_", "-") not in HIDDEN and value is not False)


def show_body(body):
    """Short bodies as text, others by length and digest."""
    if len(body) > 60:
        return f"<{len(body)} bytes, {hashlib.sha1(body).hexdigest()[:12]}>"
    return show_text(body)


def show_json(value):
    """With sorted keys; a text is shown as it is, a long one by its length and digest."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 600 else show_text(text)


class Event:
    """Something the broker did: a method (with its content), or the end of the connection."""

    def __init__(self, name, values=None):
        self.name, self.values = name, values or {}
        self.size, self.props, self.body, self.raw = 0, {}, b"", b""

    def __getitem__(self, key):
        return self.values[key]

    def show(self):
        """The line without its place."""
        line = self.name + show_arguments(self.values)
        if self.name in amqp.CONTENT:
            line += f" | {show_table_of(self.props)} | {show_body(self.body)}"
        return line


def show_table_of(props):
    """Properties, in their order."""
    return " ".join(f"{name}={show_value(name, value)}" for name, value in props.items()) or "-"


class Connection:
    """One socket and its channels."""

    def __init__(self, session, label):
        self.session, self.label = session, label
        self.socket = socket.create_connection(("127.0.0.1", session.port), WAIT_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.open, self.inbox, self.partial = b"", True, {}, {}
        self.frame_max, self.heartbeats = 131072, 0

    def write(self, data):
        """Raw bytes."""
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # the reader sees the end of the connection and writes it down

    def say(self, channel, arrow, text):
        """Adds a line to the transcript."""
        for pattern, replacement in GENERATED:
            text = pattern.sub(replacement, text)
        self.session.lines.append(f"{self.label}.{channel} {arrow} {text}")

    def handshake(self, vhost="/", user="guest", password="guest", capabilities=None,
                  tune=(2047, 131072, 0)):
        """Header to open-ok, not written down."""
        self.write(b"AMQP\0\0\x09\x01")
        assert self.take(0) is not None, "no greeting"
        able = dict.fromkeys(("publisher_confirms", "consumer_cancel_notify", "basic.nack",
                              "exchange_exchange_bindings", "connection.blocked",
                              "authentication_failure_close"), True)
        properties = {"capabilities": able if capabilities is None else capabilities}
        self.put(0, "connection.start-ok", mechanism="PLAIN", locale="en_US",
                 client_properties=properties, response=f"\0{user}\0{password}")
        self.take(0)
        channels, frame_max, heartbeat = tune
        self.put(0, "connection.tune-ok", channel_max=channels, frame_max=frame_max,
                 heartbeat=heartbeat)
        self.put(0, "connection.open", virtual_host=vhost)
        event = self.take(0)
        assert event.name == "connection.open-ok", event.show()
        return self

    def channel(self, number=1):
        """An open channel; the opening is not written down."""
        self.put(number, "channel.open")
        event = self.take(number)
        assert event.name == "channel.open-ok", event.show()
        return Channel(self, number)

    def bare(self, number=0):
        """A channel that was not opened."""
        return Channel(self, number)

    def put(self, channel, name, **values):
        """Sends a method without writing it down."""
        self.write(amqp.frame(amqp.FRAME_METHOD, channel, amqp.method(name, **values)))

    def take(self, channel, wait=WAIT_S_MAX):
        """The next event of a channel; one of channel 0 ends the wait for any other."""
        deadline = time.monotonic() + wait
        while True:
            for number in (channel, 0):
                if self.inbox.get(number):
                    event = self.inbox[number].pop(0)
                    event.channel = number
                    return event
            if not self.open:
                return None
            if not self._read(deadline - time.monotonic()):
                return None

    def _read(self, wait):
        """Reads at least one frame into the inboxes; False when time is up."""
        self.socket.settimeout(max(wait, 0.001))
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        if not data:
            self.open = False
            self.inbox.setdefault(0, []).append(Event("(connection ended)"))
            return True
        self.buffer += data
        while len(self.buffer) >= 8:
            if self.buffer[:4] == b"AMQP":
                text = "header " + self.buffer[:8].hex()
                self.inbox.setdefault(0, []).append(Event(text))
                self.buffer = self.buffer[8:]
                continue
            kind, channel, size = struct.unpack(">BHI", self.buffer[:7])
            if len(self.buffer) < size + 8:
                break
            payload, self.buffer = self.buffer[7:7 + size], self.buffer[8 + size:]
            self._frame(kind, channel, payload)
        return True

    def _frame(self, kind, channel, payload):
        inbox = self.inbox.setdefault(channel, [])
        if kind == amqp.FRAME_HEARTBEAT:
            self.heartbeats += 1
            return
        if kind == amqp.FRAME_METHOD:
            event = Event(*amqp.parse_method(payload))
            if event.name in amqp.CONTENT:
                self.partial[channel] = event
                return
            if event.name == "connection.close":
                self.put(0, "connection.close-ok")
            if event.name == "channel.close":
                self.put(channel, "channel.close-ok")
            inbox.append(event)
            return
        event = self.partial[channel]
        if kind == amqp.FRAME_HEADER:
            event.size, event.props = amqp.parse_header(payload)
            event.raw = payload
        else:
            assert len(payload) + 8 <= self.frame_max, "frame over frame-max"
            event.body += payload
        if len(event.body) >= event.size:
            inbox.append(self.partial.pop(channel))

    def ended(self):
        """Waits for the end of the connection and writes down what comes before it."""
        while self.open or self.inbox.get(0):
            event = self.take(0)
            self.say(0, "<", event.show() if event else "(nothing)")
            if event is None:
                return

    def drop(self):
        """Closes the socket without a word."""
        self.open = False
        self.socket.close()

    def finish(self):
        """Says goodbye and writes down what nobody looked at."""
        if self.open:
            self.put(0, "connection.close", reply_code=200, reply_text="bye")
            while True:
                event = self.take(0)
                if event is None or event.name == "connection.close-ok":
                    break
        for number in sorted(self.inbox):
            for event in self.inbox[number]:
                if event.name != "(connection ended)":
                    self.say(number, "left over", event.show())
        self.inbox = {}
        self.drop()


class Channel:
    """One channel of a connection; every step is written down."""

    def __init__(self, connection, number):
        self.connection, self.number = connection, number

    def send(self, name, **values):
        """Sends a method."""
        self.connection.say(self.number, ">", name + show_arguments(values))
        self.connection.put(self.number, name, **values)

    def frame(self, kind, payload, end=amqp.FRAME_END, note=""):
        """Sends any frame at all."""
        text = f"frame type={kind} {payload[:40].hex()} {note}".rstrip()
        self.connection.say(self.number, ">", text)
        self.connection.write(amqp.frame(kind, self.number, payload, end))

    def call(self, name, **values):
        """Sends a method and takes what comes back."""
        self.send(name, **values)
        return self.expect()

    def expect(self, count=1, wait=WAIT_S_MAX):
        """Takes `count` events and writes them down; returns the last."""
        event = None
        for _ in range(count):
            event = self.connection.take(self.number, wait)
            place = event.channel if event else self.number
            self.connection.say(place, "<", event.show() if event else "(nothing)")
            if event is None or not self.connection.open:
                break
        if event and event.name == "connection.close":
            self.connection.ended()
        return event

    def quiet(self, wait=0.25):
        """Writes down that nothing comes, or what does."""
        event = self.connection.take(self.number, wait)
        self.connection.say(self.number, "<", event.show() if event else "(quiet)")

    def publish(self, body=b"", exchange="", key="", props=None, **flags):
        """Publishes a message, in as many body frames as frame-max asks for."""
        body, props = amqp.raw(body), props or {}
        values = {"exchange": exchange, "routing_key": key, **flags}
        line = f"basic.publish{show_arguments(values)} | {show_table_of(props)} | "
        self.connection.say(self.number, ">", line + show_body(body))
        step = self.connection.frame_max - 8
        frames = [amqp.frame(1, self.number, amqp.method("basic.publish", **values)),
                  amqp.frame(2, self.number, amqp.header(len(body), props))]
        frames += [amqp.frame(3, self.number, body[at:at + step])
                   for at in range(0, len(body), step)]
        self.connection.write(b"".join(frames))

    def confirms(self, first, last):
        """Waits until each of these tags has its verdict; batches are taken apart."""
        open_tags, verdict = set(range(first, last + 1)), {}
        while open_tags:
            event = self.connection.take(self.number)
            if event is None or event.name not in ("basic.ack", "basic.nack"):
                text = event.show() if event else "(nothing)"
                self.connection.say(self.number, "<", text)
                if event is None or event.channel == 0 or event.name == "channel.close":
                    break
                continue
            tag = event["delivery-tag"]
            done = {t for t in open_tags if t <= tag} if event["multiple"] else {tag}
            open_tags -= done
            verdict.update(dict.fromkeys(done, event.name[6:]))
        text = " ".join(f"{tag}:{verdict[tag]}" for tag in sorted(verdict))
        self.connection.say(self.number, "<", f"confirms {text}")
        return not open_tags

    def count(self, queue, messages, consumers=None):
        """Waits until a queue holds so many ready messages, and writes down what it holds."""
        deadline = time.monotonic() + WAIT_S_MAX
        while True:
            self.connection.put(self.number, "queue.declare", queue=queue, passive=True)
            event = self.connection.take(self.number)
            if event is None or event.name != "queue.declare-ok":
                break
            found = event["message-count"], event["consumer-count"]
            if found == (messages, found[1] if consumers is None else consumers):
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        self.connection.say(self.number, "=", event.show() if event else "(nothing)")

    def gone(self, queue):
        """Waits until a queue does not exist; uses up this channel."""
        deadline = time.monotonic() + WAIT_S_MAX
        while True:
            self.connection.put(self.number, "queue.declare", queue=queue, passive=True)
            event = self.connection.take(self.number)
            if event is None or time.monotonic() > deadline:
                break
            if event.name == "channel.close":
                if event["reply-code"] != 405:
                    break
                self.connection.channel(self.number)
            time.sleep(0.02)
        self.connection.say(self.number, "=", event.show() if event else "(nothing)")

    def get(self, queue, no_ack=True):
        """basic.get."""
        return self.call("basic.get", queue=queue, no_ack=no_ack)

    def close(self):
        """Closes the channel, unrecorded."""
        self.connection.put(self.number, "channel.close", reply_code=200, reply_text="")
        return self.connection.take(self.number)


class Session:
    """One scenario's run: its connections and its transcript."""

    def __init__(self, port, name, http_port=None):
        self.port, self.prefix, self.http_port = port, name, http_port
        self.lines, self.connections, self.after = [], [], []

    def name(self, short):
        """A name no other scenario uses."""
        return f"{self.prefix}.{short}"

    def socket(self):
        """A connection before any byte is sent."""
        label = "abcdefghijklmnopqrstuvwxyz"[len(self.connections) % 26]
        connection = Connection(self, label)
        self.connections.append(connection)
        return connection

    def connect(self, **options):
        """An open connection."""
        return self.socket().handshake(**options)

    def channel(self, number=1, **options):
        """An open channel on a connection of its own."""
        return self.connect(**options).channel(number)

    def queue(self, channel, short="q", **values):
        """Declares a queue, not written down; returns its name."""
        return self._quietly(channel, "queue.declare", queue=self.name(short), **values)

    def exchange(self, channel, short, kind, **values):
        """Declares an exchange, not written down; returns its name."""
        return self._quietly(channel, "exchange.declare", exchange=self.name(short), type=kind,
                             **values)

    def bind(self, channel, queue, exchange, key="", **values):
        """Binds a queue, not written down."""
        self._quietly(channel, "queue.bind", queue=queue, exchange=exchange, routing_key=key,
                      **values)

    def link(self, channel, destination, source, key="", **values):
        """Binds an exchange to another, not written down."""
        self._quietly(channel, "exchange.bind", destination=destination, source=source,
                      routing_key=key, **values)

    def _quietly(self, channel, name, **values):
        channel.connection.put(channel.number, name, **values)
        event = channel.connection.take(channel.number)
        if event is None or event.name != name + "-ok":
            text = event.show() if event else "(nothing)"
            channel.connection.say(channel.number, "<", f"{name} refused: {text}")
        return values.get("exchange") if name.startswith("exchange") else values.get("queue")

    def http(self, method, path, content=None, show=True, until=None):
        """A call of the management API, written down; returns (status, decoded body).

        `show`: True for the whole body, a tuple for some fields, False for none of it.
        `until`: asks again until this says yes to the body, or time is up.
        """
        deadline = time.monotonic() + HTTP_S_MAX
        while True:
            status, body = self.ask(method, path, content)
            if until is None or until(body) or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        said = "" if content is None else " " + show_json(content)
        self.note(f"h > {method} {path}{said}")
        if isinstance(show, tuple) and isinstance(body, dict) and status == 200:
            body = {name: body.get(name) for name in show}
        shown = " " + show_json(body) if show and body is not None else ""
        self.note(f"h < {status}{shown}")
        return status, body

    def ask(self, method, path, content=None):
        """The same, not written down."""
        link = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=HTTP_S_MAX)
        data = content if content is None or isinstance(content, str) else json.dumps(content)
        login = base64.b64encode(b"guest:guest").decode()
        link.request(method, "/api/" + path, data, {
            "Authorization": f"Basic {login}", "Content-Type": "application/json"})
        answer = link.getresponse()
        text, status = answer.read(), answer.status
        link.close()
        try:
            return status, json.loads(text) if text else None
        except ValueError:
            return status, text.decode("utf-8", "backslashreplace")

    def note(self, text):
        """Writes down a finding."""
        self.lines.append(text)

    def later(self, action):
        """What is to be done, unrecorded, when the conversation is over."""
        self.after.append(action)

    def finish(self):
        """Ends all connections, and undoes what others would notice."""
        for connection in self.connections:
            connection.finish()
        self.clean()

    def clean(self):
        """Does what was left for later, each thing once."""
        while self.after:
            self.after.pop()()
