"""Connections: greeting, login, tuning, opening, closing, heartbeats, misuse of channel 0."""

import time

import amqp
from scenario import cases, scenario

ABLE = {"capabilities": {"authentication_failure_close": True}}


def greeted(s):
    """A connection that has seen connection.start."""
    connection = s.socket()
    connection.write(b"AMQP\0\0\x09\x01")
    connection.take(0)
    return connection.bare()


def logged_in(s):
    """A connection that has seen connection.tune."""
    channel = greeted(s)
    channel.connection.put(0, "connection.start-ok", mechanism="PLAIN", locale="en_US",
                           client_properties=ABLE, response="\0guest\0guest")
    channel.connection.take(0)
    return channel


@cases({"0_9_1": b"AMQP\0\0\x09\x01", "0_9": b"AMQP\x01\x01\0\x09", "0_8": b"AMQP\x01\x01\x08\0",
        "wrong_minor": b"AMQP\0\0\x09\x02", "http": b"GET / HTTP/1.1\r\n\r\n",
        "nonsense": b"\0\1\2\3\4\5\6\7", "version_99": b"AMQP\0\x63\x63\x63"})
def header(s, data):
    """The protocol header and what answers it."""
    channel = s.socket().bare()
    channel.connection.say(0, ">", f"bytes {data!r}")
    channel.connection.write(data)
    event = channel.expect()
    if event and event.name != "connection.start":
        channel.connection.ended()


@scenario
def full_handshake(s):
    """All the steps, written down."""
    channel = s.socket().bare()
    channel.connection.write(b"AMQP\0\0\x09\x01")
    channel.expect()
    channel.call("connection.start-ok", mechanism="PLAIN", locale="en_US",
                 client_properties=ABLE, response="\0guest\0guest")
    channel.send("connection.tune-ok", channel_max=2047, frame_max=131072, heartbeat=60)
    channel.call("connection.open", virtual_host="/")
    channel.call("connection.close", reply_code=200, reply_text="bye")


@cases({"wrong_password": ("PLAIN", "\0guest\0no"), "unknown_user": ("PLAIN", "\0nobody\0x"),
        "empty": ("PLAIN", ""), "no_password": ("PLAIN", "\0guest"),
        "one_nul": ("PLAIN", "guest\0guest"), "authzid": ("PLAIN", "guest\0guest\0guest"),
        "unknown_mechanism": ("NO-SUCH", "x"), "external": ("EXTERNAL", ""),
        "anonymous": ("ANONYMOUS", ""), "amqplain_garbage": ("AMQPLAIN", b"\xff\xff\xff"),
        "amqplain_empty": ("AMQPLAIN", ""),
        "amqplain": ("AMQPLAIN", amqp.table({"LOGIN": "guest", "PASSWORD": "guest"})[4:]),
        "amqplain_wrong": ("AMQPLAIN", amqp.table({"LOGIN": "guest", "PASSWORD": "no"})[4:]),
        "lower_case": ("plain", "\0guest\0guest")})
def login(s, mechanism, response):
    """SASL, with a client that understands being refused."""
    greeted(s).call("connection.start-ok", mechanism=mechanism, locale="en_US",
                    client_properties=ABLE, response=response)


@scenario
def login_refused_plainly(s):
    """A client that does not say it understands just sees the end."""
    channel = greeted(s)
    channel.send("connection.start-ok", mechanism="PLAIN", locale="en_US", client_properties={},
                 response="\0guest\0no")
    channel.connection.ended()


@cases({"unknown": "no-such-vhost", "empty": "", "odd": "a/b"})
def vhost(s, name):
    """Virtual hosts that are not there."""
    channel = logged_in(s)
    channel.send("connection.tune-ok", channel_max=10, frame_max=131072, heartbeat=0)
    channel.call("connection.open", virtual_host=name)


@cases({"frame_small": (10, 100, 0), "frame_least": (10, 4096, 0), "frame_over": (10, 2**31, 0),
        "frame_unlimited": (10, 0, 0), "channels_over": (4000, 131072, 0),
        "channels_unlimited": (0, 131072, 0), "heartbeat_long": (10, 131072, 65535),
        "frame_just_over": (10, 131073, 0), "frame_4095": (10, 4095, 0)})
def tune(s, channels, frame_max, heartbeat):
    """What may be negotiated."""
    channel = logged_in(s)
    channel.send("connection.tune-ok", channel_max=channels, frame_max=frame_max,
                 heartbeat=heartbeat)
    channel.call("connection.open", virtual_host="/")


@cases({"last": 5, "over": 6, "far_over": 65535})
def channel_max(s, number):
    """Channel numbers up to the negotiated one."""
    connection = s.connect(tune=(5, 131072, 0))
    connection.bare(number).call("channel.open")


@cases({"open_before_start_ok": ("connection.open", {"virtual_host": "/"}),
        "tune_ok_before_start_ok": ("connection.tune-ok", {"frame_max": 131072}),
        "channel_open_on_zero": ("channel.open", {}), "server_method": ("connection.start", {})})
def before_login(s, name, values):
    """Methods out of order before login."""
    greeted(s).call(name, **values)


@cases({"open_before_tune_ok": ("connection.open", {"virtual_host": "/"}),
        "start_ok_twice": ("connection.start-ok", {"mechanism": "PLAIN", "locale": "en_US"}),
        "secure_ok": ("connection.secure-ok", {"response": "x"})})
def before_tune(s, name, values):
    """Methods out of order before tune-ok."""
    logged_in(s).call(name, **values)


@scenario
def channel_before_open(s):
    """A channel before connection.open."""
    channel = logged_in(s)
    channel.send("connection.tune-ok", channel_max=10, frame_max=131072, heartbeat=0)
    channel.connection.bare(1).call("channel.open")


@cases({"second_open": ("connection.open", {"virtual_host": "/"}),
        "start_ok": ("connection.start-ok", {"mechanism": "PLAIN"}),
        "tune_ok": ("connection.tune-ok", {"frame_max": 131072}),
        "channel_open": ("channel.open", {}), "basic_qos": ("basic.qos", {}),
        "queue_declare": ("queue.declare", {"queue": "q0"}),
        "open_ok_from_client": ("connection.open-ok", {}),
        "close_ok": ("connection.close-ok", {}),
        "blocked": ("connection.blocked", {"reason": "x"})})
def on_channel_zero(s, name, values):
    """Methods that do not belong on channel 0 of an open connection."""
    s.connect().bare(0).call(name, **values)


@cases({"close": ("connection.close", {"reply_code": 200}),
        "open": ("connection.open", {"virtual_host": "/"}),
        "update_secret": ("connection.update-secret", {"new_secret": "x", "reason": "y"})})
def on_channel_one(s, name, values):
    """Methods of the connection on another channel."""
    s.channel().call(name, **values)


@scenario
def update_secret(s):
    """A new secret for a password login."""
    s.connect().bare(0).call("connection.update-secret", new_secret="x", reason="y")


@scenario
def close_with_channels(s):
    """connection.close takes the channels along."""
    connection = s.connect()
    connection.channel(1)
    connection.channel(2)
    connection.bare(0).call("connection.close", reply_code=200, reply_text="bye")


@scenario
def frames_after_close(s):
    """What comes after connection.close is not answered."""
    connection = s.connect()
    channel = connection.channel(1)
    connection.bare(0).send("connection.close", reply_code=200, reply_text="bye")
    channel.send("basic.qos", prefetch_count=1)
    connection.bare(0).expect()


@scenario
def heartbeats_come(s):
    """With one second the broker sends at least one in three seconds."""
    connection = s.connect(tune=(10, 131072, 1))
    for _ in range(6):
        connection.take(0, 0.5)
        connection.write(amqp.frame(amqp.FRAME_HEARTBEAT, 0, b""))
    s.note(f"heartbeats: {'some' if connection.heartbeats else 'none'}, open: {connection.open}")


@scenario
def heartbeats_missed(s):
    """A silent client is cut off in some multiple of the interval."""
    connection = s.connect(tune=(10, 131072, 1))
    began = time.monotonic()
    while connection.open and time.monotonic() - began < 8:
        connection.take(0, 1)
    s.note(f"cut off: {not connection.open}, in good time: {time.monotonic() - began < 5}")


@scenario
def heartbeat_on_a_channel(s):
    """A heartbeat frame that names a channel."""
    channel = s.channel()
    channel.frame(amqp.FRAME_HEARTBEAT, b"")
    channel.expect(wait=1.0)


@scenario
def heartbeat_with_payload(s):
    """A heartbeat frame that has a payload."""
    channel = s.connect().bare(0)
    channel.frame(amqp.FRAME_HEARTBEAT, b"beat")
    channel.expect(wait=1.0)
