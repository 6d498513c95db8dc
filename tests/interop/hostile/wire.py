"""Bytes that should not be: before the login, in frames, bodies, tables, names and sequences."""

import random
import struct
import threading
import time

import amqp
from client import (FRAME_MAX, HEADER, MIB, Client, Closed, Gone, Peak, publish_frames, scaled)

HARD = {501, 502, 503, 504, 505, 530, 540}


def refused(client, codes):
    """The connection is closed with one of these codes, and then the socket ends."""
    told(client, codes)
    all_gone([client], "the socket stays open after close-ok")


def told(client, codes):
    """The connection is closed with one of these codes."""
    level, code = client.ending(5)
    if level != "connection" or code not in codes:
        raise AssertionError(f"{level} {code}, not {sorted(codes)}")


def all_gone(clients, what):
    """Every one of the sockets is ended by the broker."""
    for client in clients:
        assert client.gone(8) is not None, what
        client.drop()


def pre_login_memory(node):
    """1 MiB of garbage, 4 GiB announced, 40 half handshakes: bounded and ended."""
    garbage = random.Random(1).randbytes(MIB)
    table = struct.pack(">HHI", 10, 11, 0xFFFFFFF0) + b"x" * 64
    heads = [struct.pack(">BHI", 1, 0, size) for size in (0xFFFFFFFF, 0xFFFFFFF0, 1 << 31, 4097)]
    scripts = [garbage, HEADER + garbage, HEADER + amqp.frame(1, 0, table)]
    scripts += [HEADER + head + b"x" * 100 for head in heads]
    with Peak(node, 8):
        clients = [node.raw() for _ in scripts]
        for client, script in zip(clients, scripts):
            client.try_send(script)
        all_gone(clients, "what makes no sense is listened to")
    with Peak(node, 4):
        half = []
        for number in range(40):
            client = node.raw()
            client.send(HEADER + struct.pack(">BHI", 1, 0, 4088) + b"\0\x0a\0\x0b")
            client.send(b"x" * 100 * number)
            half.append(client)
        time.sleep(0.3)
    for client in half:
        client.drop()


def pre_login_bound(node):
    """400 connections before login take 64 KiB each at most."""
    with Peak(node, 400 * 64 / 1024):
        half = [node.raw() for _ in range(scaled(400))]
        for client in half:
            client.send(HEADER + struct.pack(">BHI", 1, 0, 4088) + b"y" * 4000)
        time.sleep(0.3)
    for client in half:
        client.drop()


def slowloris(node, kind, result):
    """Runs in a thread: how long the broker bears with one that is slow."""
    began = time.monotonic()
    with node.raw() as client:
        if kind == "three bytes":
            client.send(HEADER[:3])
        script = HEADER + struct.pack(">BHI", 1, 0, 400)
        while time.monotonic() - began < 16:
            if kind == "a byte each 2 s":
                at = int((time.monotonic() - began) / 2)
                if not client.try_send(script[at:at + 1]):
                    break
            if client.gone(2) is not None:
                break
    result[kind] = time.monotonic() - began


class Slowloris:
    """Starts the slow ones early; `check` looks at them at the end."""

    def __init__(self, node):
        self.result, self.threads = {}, []
        for kind in ("nothing", "three bytes", "a byte each 2 s"):
            thread = threading.Thread(target=slowloris, args=(node, kind, self.result), daemon=True)
            thread.start()
            self.threads.append(thread)

    def check(self, _node):
        """Each was ended after about 10 s."""
        for thread in self.threads:
            thread.join(20)
        for kind, seconds in sorted(self.result.items()):
            assert seconds < 13, f"{kind}: open for {seconds:.1f} s"
        assert len(self.result) == 3, "one of them hangs"


def negotiation(node):
    """Limits that were not offered -> 530."""
    for frame_max, channel_max in ((100, 10), (1 << 31, 10), (FRAME_MAX + 1, 10), (0, 10),
                                   (FRAME_MAX, 2048), (FRAME_MAX, 65535), (FRAME_MAX, 0)):
        client = node.raw()
        client.send(HEADER)
        client.start_ok()
        client.wait("connection.tune")
        client.method(0, "connection.tune-ok", channel_max=channel_max, frame_max=frame_max)
        client.try_send(amqp.frame(1, 0, amqp.method("connection.open", virtual_host="/")))
        refused(client, {530})


def limits(node):
    """A frame over frame-max -> 501, a channel over channel-max -> 504 or 530."""
    scripts = [struct.pack(">BHI", kind, 1, size) + b"x" * 1000
               for size in (FRAME_MAX + 1, 1 << 31, 0xFFFFFFFF) for kind in (1, 2, 3, 8)]
    scripts += [amqp.frame(kind, 1, b"x") for kind in (0, 4, 7, 255)]
    scripts += [amqp.frame(3, 1, b"x" * (FRAME_MAX + 1)),
                amqp.frame(1, 1, amqp.method("basic.qos"), end=0xCD)]
    with Peak(node, 8):
        clients = [node.client() for _ in scripts]
        for client, script in zip(clients, scripts):
            client.try_send(script)
        for client in clients:
            told(client, {501})
        all_gone(clients, "open after a frame that makes no sense")
    client = node.client(frame_max=4096)
    client.send(amqp.frame(3, 1, b"x" * 4097))
    refused(client, {501})
    client = node.client(channels=10, channel_max=10)
    client.method(11, "channel.open")
    refused(client, {504, 530})
    client = node.client()
    client.method(7, "queue.declare", queue="nowhere")
    refused(client, {504})


def heartbeat(node):
    """Silence with a heartbeat of 1 s is ended within 5 s; a talker lives on."""
    silent, talker = node.client(heartbeat=1), node.client(heartbeat=1)
    began, over = time.monotonic(), None
    while time.monotonic() - began < 5 and over is None:
        talker.send(amqp.frame(8, 0, b""))
        over = silent.gone(0.5)
    assert over is not None, "silent for 5 s and still connected"
    talker.declare("heartbeat-talker", exclusive=True)
    talker.close()


def body_assembly(node):
    """Bodies that are not what was announced, and announcements that nobody can mean."""
    publish = amqp.frame(1, 1, amqp.method("basic.publish", routing_key="nowhere"))

    def header(size, **more):
        return amqp.frame(2, 1, amqp.header(size, **more))

    def body(data):
        return amqp.frame(3, 1, data)

    for data, codes in (
            (publish + header(3) + body(b"four"), {501}),
            (publish + header(5) + body(b"four") + body(b"xx"), {501}),
            (publish + body(b"x"), {505}), (header(1), {505}), (body(b"x"), {505}),
            (publish + header(1) + header(1), {505}), (publish + publish, {505}),
            (publish + header(1, class_id=50) + body(b"x"), {501, 503, 505}),
            (publish + amqp.frame(2, 1, b"\0\x3c"), {501, 502, 505}),
            (publish + amqp.frame(2, 2, amqp.header(1)), {504, 505})):
        client = node.client()
        client.send(data)
        refused(client, codes)
    for size in (1 << 63, (1 << 64) - 1, 1 << 40):
        with Peak(node, 8), node.client() as client:
            client.send(publish + header(size))
            level, code = client.ending(3)
            assert (level, code) in (("connection", 501), ("channel", 311), ("channel", 406)), \
                f"{size}: {level} {code}"
    with Peak(node, 24), node.client(channels=2000) as client:
        for number in range(1, 2001):
            frames = [(1, amqp.method("basic.publish", routing_key="x")),
                      (2, amqp.header(100 * MIB)), (3, b"a")]
            client.send(b"".join(amqp.frame(kind, number, data) for kind, data in frames))
        time.sleep(0.3)
    with Peak(node, 8), node.client() as client:
        client.send(publish + header(10))
        for _ in range(50):
            client.send(body(b"") * 1000)
        client.send(body(b"0123456789"))
        client.declare("after-empty-frames", exclusive=True)


def deep_table(depth):
    """The entries of a table of tables."""
    entries = b""
    for _ in range(depth):
        entries = b"\x01kF" + struct.pack(">I", len(entries)) + entries
    return entries


def deep_array(depth):
    """A table's entries: an array of arrays."""
    items = b""
    for _ in range(depth):
        items = b"A" + struct.pack(">I", len(items)) + items
    return b"\x01k" + items


def nesting(node):
    """Tables 18 000 and arrays 24 000 deep are refused wherever a table may stand."""
    for entries in (deep_table(18000), deep_array(24000), deep_table(33), deep_array(34)):
        client = node.client()
        client.method(1, "queue.declare", queue="deep", arguments=entries)
        refused(client, {501, 502})
        client = node.client()
        client.method(1, "queue.bind", queue="deep", exchange="amq.headers", arguments=entries)
        refused(client, {501, 502})
        for exchange in ("", "amq.headers"):
            client = node.client()
            client.confirm_select()
            props = amqp.properties({"headers": entries})
            client.try_send(publish_frames(1, exchange, "x", b"body", props))
            refused(client, {501, 502})
    for entries in (deep_table(500), deep_array(700)):
        client = node.raw()
        client.send(HEADER)
        client.wait("connection.start")
        client.method(0, "connection.start-ok", client_properties=entries, mechanism="PLAIN",
                      response="\0guest\0guest", locale="en_US")
        try:
            client.wait("connection.tune")
        except (Closed, Gone):
            pass
        client.drop()
    with node.client() as client:
        client.declare("shallow", {"x": ("F", deep_table(20))}, exclusive=True)


def many_headers(node):
    """12 000 headers are served or refused within 1 s; odd field values are refused."""
    entries = b"".join(amqp.short_string(f"h{at}") + b"t\1" for at in range(12000))
    with node.client() as client:
        client.confirm_select()
        client.declare("headers", exclusive=True)
        client.call(1, "queue.bind", queue="headers", exchange="amq.headers",
                    arguments={"x-match": "all", "h11999": True})
        began = time.monotonic()
        client.publish("", b"many", "amq.headers", amqp.properties({"headers": entries}))
        client.confirms(1)
        assert client.get("headers") == b"many"
        assert time.monotonic() - began < 1, "12 000 headers took a second"
    for entries in (b"\x01kS\xff\xff\xff\xff", b"\x01kQ", b"\x05k", b"\x01k", b"\x01kF\0\0\0\x09a",
                    b"\x01kA\0\0\0\x01S", b"\x01kD\x01\0", b"\x01kx\x7f\xff\xff\xffab"):
        client = node.client()
        client.method(1, "queue.declare", queue="odd", arguments=entries)
        refused(client, {501, 502})


def flag_words(node):
    """Property flags without an end, and flags of values that are not there."""
    for props in (b"\xff\xff" * 60000, b"\xff\xff" * 3, b"\0\1", b"\xff\xfe", b"\xff\xfc\x05ab",
                  b"\x20\0\xff\xff\xff\xff", b"\0\0extra", b""):
        client = node.client()
        client.try_send(publish_frames(1, "", "x", b"body", props))
        refused(client, {501, 502, 505})


def names(node):
    """Bad UTF-8, NUL and control characters in every name: answered, and nobody else is hurt."""
    odd = [b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"a\0b", b"\x1b[31mred", b"a\r\nb", b"\x7f",
           "\u202e\u0000".encode(), b"\xf4\x90\x80\x80", b"x" * 255]
    for name in odd:
        for method, arguments in (
                ("queue.declare", {"queue": name}), ("basic.consume", {"queue": name}),
                ("exchange.declare", {"exchange": name, "type": "direct"}),
                ("exchange.declare", {"exchange": "typed", "type": name}),
                ("queue.bind", {"queue": "names", "exchange": "amq.topic", "routing_key": name}),
                ("basic.consume", {"queue": "names", "consumer_tag": name})):
            client = node.client()
            client.declare("names", exclusive=True)
            client.method(1, method, **arguments)
            try:
                client.expect([method + "-ok"], 1, 5)
            except Closed as closed:
                assert closed.code in HARD | {403, 404, 406}, f"{method} {name}: {closed}"
            client.drop()
        with node.client() as client:
            client.declare("names", exclusive=True)
            client.confirm_select()
            client.publish(name, b"x", "amq.topic")
            try:
                client.confirms(1, 5)
            except Closed as closed:
                assert closed.code in HARD, f"publish {name}: {closed}"


def log_injection(node):
    """A line break in a name makes no line of its own in the log, and no escape gets through."""
    fake = "\r\n1999-01-01T00:00:00Z ERROR intruder: all is lost\x1b[2J"
    before = len(node.output())
    with node.client() as client:
        client.method(1, "queue.declare", queue="q" + fake, passive=True)
        assert client.ending(3) == ("channel", 404)
    for options in ({"user": "u" + fake}, {"vhost": "v" + fake},
                    {"properties": {"connection_name": "n" + fake}}):
        try:
            node.client(**options).drop()
        except (Closed, Gone, TimeoutError):
            pass
    client = node.raw()
    client.send(b"GET /" + fake.encode() + b" HTTP/1.1\r\n\r\n")
    client.gone(5)
    time.sleep(0.2)
    new = node.output()[before:]
    assert b"intruder" in new, "nothing was logged"
    assert b"\n1999" not in new and b"\r" not in new, "a log line was forged"
    assert b"\x1b[2J" not in new, "an escape sequence got into the log"


def sequences(node):
    """Methods that only a server sends, twice opened, out of order: a code, never a hang."""
    servers = [name for name in amqp.METHODS if name.endswith("-ok") and name not in (
        "connection.start-ok", "connection.tune-ok", "connection.close-ok", "connection.secure-ok",
        "channel.flow-ok", "channel.close-ok")]
    servers += ["connection.start", "connection.tune", "connection.secure", "connection.blocked",
                "connection.unblocked", "basic.deliver", "basic.return", "basic.get-empty"]
    for name in servers:
        channel = 0 if name.startswith("connection") else 1
        client = node.client()
        payload = amqp.method(name)
        client.send(amqp.frame(1, channel, payload))
        if name in ("basic.deliver", "basic.return", "basic.get-ok"):
            client.try_send(amqp.frame(2, channel, amqp.header(0)))
        refused(client, HARD)
    for channel, name, codes in ((0, "connection.open", {503, 504}), (1, "channel.open", {504}),
                                 (0, "connection.tune-ok", {503, 504}),
                                 (0, "connection.start-ok", {503, 504}),
                                 (0, "queue.declare", {503, 504}), (1, "connection.open", HARD),
                                 (0, "channel.open", {503, 504, 505})):
        client = node.client()
        client.method(channel, name)
        refused(client, codes)
    early = []
    for script in (amqp.frame(1, 0, amqp.method("connection.tune-ok")),
                   amqp.frame(1, 0, amqp.method("connection.open", virtual_host="/")),
                   publish_frames(1, "", "canary-0", b"x"), amqp.frame(8, 1, b""),
                   amqp.frame(1, 0, amqp.method("connection.close-ok")), HEADER):
        early.append(node.raw())
        early[-1].send(HEADER + script)
    all_gone(early, "accepted before the login")


def session(random_source):
    """A whole session's bytes from the login on, a little different each time."""
    queue, out = f"mutated-{random_source.randrange(4)}", [HEADER]

    def add(channel, name, **values):
        out.append(amqp.frame(1, channel, amqp.method(name, **values)))

    add(0, "connection.start-ok", client_properties=b"", mechanism="PLAIN",
        response="\0guest\0guest", locale="en_US")
    add(0, "connection.tune-ok", channel_max=20, frame_max=8192, heartbeat=10)
    add(0, "connection.open", virtual_host="/")
    for number in (1, 2):
        add(number, "channel.open")
    add(1, "queue.declare", queue=queue, arguments={"x-max-length": 100, "x-message-ttl": 5000})
    add(1, "queue.bind", queue=queue, exchange="amq.topic", routing_key="a.*.#")
    add(1, "confirm.select")
    out.append(publish_frames(1, "amq.topic", "a.b.c", b"body" * 20, amqp.properties(
        {"headers": {"n": 1, "l": [1, "x"]}, "expiration": "9000", "priority": 3}), True))
    add(2, "basic.qos", prefetch_count=3)
    add(2, "basic.consume", queue=queue, consumer_tag="tag")
    out.append(publish_frames(2, "", queue, b"x" * 300))
    for name, values in (("basic.ack", {"delivery_tag": 1}), ("basic.nack", {"delivery_tag": 2}),
                         ("basic.get", {"queue": queue}), ("basic.recover", {"requeue": True}),
                         ("tx.select", {}), ("basic.cancel", {"consumer_tag": "tag"}),
                         ("queue.purge", {"queue": queue}), ("channel.close", {})):
        add(2, name, **values)
    return b"".join(out)


def mutate(data, source):
    """One to four changes behind the protocol header."""
    data = bytearray(data)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(8, len(data))
        kind = source.randrange(6)
        if kind == 0:
            data[at] = source.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << source.randrange(8)
        elif kind == 2:
            del data[at:at + source.randrange(1, 30)]
        elif kind == 3:
            data[at:at] = data[at:at + source.randrange(1, 60)]
        elif kind == 4:
            data[at:at + 4] = struct.pack(">I", source.choice((0, 1, 0xFFFFFFFF, 1 << 31, 4096)))
        else:
            data[at:at] = source.randbytes(source.randrange(1, 12))
    return bytes(data)


def mutations(node):
    """600 seeded mutations of a valid session: nobody else notices, nothing is left behind."""
    before = node.rss()
    open_ones = []
    for seed in range(scaled(600)):
        source = random.Random(seed)
        client = Client.raw(node.port)
        client.try_send(mutate(session(source), source))
        open_ones.append(client)
        if len(open_ones) > 40:
            open_ones.pop(0).drop()
    for client in open_ones:
        client.drop()
    node.settles(before + 32 * MIB)
    with node.client() as client:
        for number in range(4):  # a mutation may have declared it with other arguments
            client.call(1, "queue.delete", queue=f"mutated-{number}")
            client.declare(f"mutated-{number}", {"x-max-length": 100, "x-message-ttl": 5000})
            client.call(1, "queue.delete", queue=f"mutated-{number}")


CASES = [pre_login_memory, pre_login_bound, negotiation, limits, heartbeat, body_assembly, nesting,
         many_headers, flag_words, names, log_injection, sequences, mutations]
