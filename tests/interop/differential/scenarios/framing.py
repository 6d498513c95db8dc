"""Frames: unknown types and methods, content out of order or of the wrong size, bad tables."""

import struct

import amqp
from scenario import cases, scenario

PUBLISH = amqp.method("basic.publish", routing_key="framing.nowhere")


@cases({"unknown": 9, "zero": 0, "trace": 4, "high": 255})
def frame_type(s, kind):
    """A frame type that does not exist."""
    channel = s.channel()
    channel.frame(kind, b"abc")
    channel.expect()


@cases({"zero": 0, "heartbeat": 8, "ff": 255})
def frame_end(s, end):
    """A frame that ends with the wrong octet."""
    channel = s.channel()
    channel.frame(1, amqp.method("basic.qos"), end=end, note=f"end={end}")
    channel.expect()


@cases({"method_of_basic": (60, 99), "class": (99, 10), "method_of_queue": (50, 77),
        "zero": (0, 0), "class_basic_zero": (60, 0)})
def unknown_method(s, class_id, method_id):
    """A method that does not exist."""
    channel = s.channel()
    channel.frame(1, struct.pack(">HH", class_id, method_id))
    channel.expect()


@cases({"deliver": ("basic.deliver", {"consumer_tag": "t", "delivery_tag": 1}),
        "get_ok": ("basic.get-ok", {"delivery_tag": 1}), "get_empty": ("basic.get-empty", {}),
        "return": ("basic.return", {"reply_code": 1}), "declare_ok": ("queue.declare-ok", {}),
        "qos_ok": ("basic.qos-ok", {}), "consume_ok": ("basic.consume-ok", {}),
        "flow_ok": ("channel.flow-ok", {"active": True}), "open_ok": ("channel.open-ok", {}),
        "cancel_ok": ("basic.cancel-ok", {"consumer_tag": "t"}), "tx_ok": ("tx.select-ok", {}),
        "select_ok": ("confirm.select-ok", {}), "recover_ok": ("basic.recover-ok", {})})
def server_method(s, name, values):
    """Methods that only a broker sends."""
    channel = s.channel()
    channel.send(name, **values)
    channel.expect(wait=1.0)


@cases({"qos_cut": amqp.method("basic.qos")[:-3], "qos_long": amqp.method("basic.qos") + b"more",
        "only_class": b"\0\x3c", "empty": b"", "declare_cut": amqp.method("queue.declare")[:7],
        "string_over_end": struct.pack(">HHHB", 50, 10, 0, 200) + b"short",
        "table_over_end": amqp.method("queue.declare", queue="x")[:-4] + b"\0\0\0\xff",
        "open_long": amqp.method("channel.open") + b"x"})
def method_bytes(s, payload):
    """Arguments too short or too long."""
    channel = s.channel()
    channel.frame(1, payload)
    channel.connection.put(1, "basic.qos")
    channel.expect()


@cases({"unknown_type": b"\x01kZ\0\0\0\0", "cut_value": b"\x01kI\0\0", "cut_key": b"\x09k",
        "cut_array": b"\x01kA\0\0\0\x09S", "no_type": b"\x01k", "empty_key": b"\0S\0\0\0\x01v",
        "twice": b"\x01kI\0\0\0\x01\x01kI\0\0\0\x02",
        "bool_two": b"\x01kt\x02", "long_key": b"\xffk" + b"k" * 254 + b"V",
        "deep": amqp.field({"a": {"b": {"c": {"d": [[[{"e": 1}]]]}}}})[5:]})
def table_bytes(s, content):
    """Tables that are broken, or merely odd."""
    channel = s.channel()
    channel.send("queue.declare", queue=s.name("q"), arguments=content)
    channel.expect()


@cases({"body_first": [(3, b"abc")], "header_first": [(2, amqp.header(3))],
        "method_for_header": [(1, PUBLISH), (1, amqp.method("basic.qos"))],
        "body_for_header": [(1, PUBLISH), (3, b"abc")],
        "method_for_body": [(1, PUBLISH), (2, amqp.header(3)), (1, amqp.method("basic.qos"))],
        "header_for_body": [(1, PUBLISH), (2, amqp.header(3)), (2, amqp.header(3))],
        "body_too_long": [(1, PUBLISH), (2, amqp.header(3)), (3, b"abcdef")],
        "body_after_empty": [(1, PUBLISH), (2, amqp.header(0)), (3, b"abc")],
        "header_other_class": [(1, PUBLISH), (2, amqp.header(0, class_id=50))],
        "header_weight": [(1, PUBLISH), (2, amqp.header(0, weight=7))],
        "header_cut": [(1, PUBLISH), (2, b"\0\x3c\0\0\0\0")],
        "header_flags_cut": [(1, PUBLISH), (2, amqp.header(0, b"\xff"))],
        "property_cut": [(1, PUBLISH), (2, amqp.header(0, b"\x80\x00\x09ab"))],
        "property_more": [(1, PUBLISH), (2, amqp.header(0, b"\x80\x00\x02abcd"))],
        "unknown_flag": [(1, PUBLISH), (2, amqp.header(0, b"\x00\x02"))],
        "flags_continue": [(1, PUBLISH), (2, amqp.header(0, b"\x00\x01\x00\x00"))],
        "flags_for_ever": [(1, PUBLISH), (2, amqp.header(0, b"\x00\x01" * 50))],
        "empty_body_frame": [(1, PUBLISH), (2, amqp.header(3)), (3, b""), (3, b"abc")],
        "in_pieces": [(1, PUBLISH), (2, amqp.header(3)), (3, b"a"), (3, b"b"), (3, b"c")],
        "heartbeat_inside": [(1, PUBLISH), (8, b""), (2, amqp.header(3)), (3, b"abc")],
        "announced_2_63": [(1, PUBLISH), (2, amqp.header(2**63)), (3, b"abc")],
        "announced_2_40": [(1, PUBLISH), (2, amqp.header(2**40)), (3, b"abc")]})
def content(s, frames):
    """Content frames out of order or of the wrong size; then one more method."""
    channel = s.channel()
    for kind, payload in frames:
        channel.frame(kind, payload)
    channel.connection.put(1, "basic.qos", prefetch_count=1)
    channel.expect(wait=1.5)


@cases({"qos": ("basic.qos", {}), "publish": ("basic.publish", {}), "close": (
    "channel.close", {"reply_code": 200}), "close_ok": ("channel.close-ok", {})})
def channel_not_open(s, name, values):
    """A channel that was never opened."""
    channel = s.connect().bare(3)
    channel.send(name, **values)
    channel.expect(wait=1.0)


@scenario
def content_on_zero(s):
    """Content on channel 0."""
    channel = s.connect().bare(0)
    channel.frame(3, b"abc")
    channel.expect()


@scenario
def frame_over_limit(s):
    """A frame over frame-max."""
    connection = s.connect(tune=(10, 4096, 0))
    channel = connection.channel()
    channel.frame(1, PUBLISH)
    channel.frame(2, amqp.header(5000))
    channel.frame(3, b"x" * 5000)
    channel.expect()


@scenario
def frame_at_limit(s):
    """A body frame that fills frame-max to the last byte; deliveries keep to it, too."""
    connection = s.connect(tune=(10, 4096, 0))
    connection.frame_max = 4096
    channel = connection.channel()
    queue = s.queue(channel)
    for size in (4087, 4088, 4089, 8176, 8177):
        channel.publish("y" * size, key=queue)
    channel.count(queue, 5)
    for _ in range(5):
        channel.get(queue)


@scenario
def two_channels_mixed(s):
    """Content frames of two channels may mix."""
    connection = s.connect()
    one, two = connection.channel(1), connection.channel(2)
    queues = s.queue(one, "one"), s.queue(two, "two")
    methods = [amqp.method("basic.publish", routing_key=queue) for queue in queues]
    for channel, payload in zip((one, two), methods):
        channel.frame(1, payload)
    for kind, first, second in ((2, amqp.header(2), amqp.header(3)), (3, b"ab", b"ABC")):
        one.frame(kind, first)
        two.frame(kind, second)
    for channel, queue in zip((one, two), queues):
        channel.count(queue, 1)
        channel.get(queue)


@scenario
def byte_by_byte(s):
    """A method that arrives in single bytes."""
    channel = s.channel()
    for byte in amqp.frame(1, 1, amqp.method("basic.qos", prefetch_count=3)):
        channel.connection.write(bytes([byte]))
    channel.expect()
