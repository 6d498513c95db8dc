"""Publishing: properties and bodies, confirms, returns, refusals, default exchange, CC and BCC."""

import amqp
from scenario import cases, scenario

ALL = {"content-type": "text/plain", "content-encoding": "gzip", "delivery-mode": 2, "priority": 3,
       "correlation-id": "c", "reply-to": "r", "expiration": "60000", "message-id": "m",
       "timestamp": 1234567890, "type": "t", "user-id": "guest", "app-id": "a", "cluster-id": "u",
       "headers": {"s": "text", "i": 5, "l": 2**40, "t": True, "d": 1.5, "v": None,
                   "b": ("b", -5), "B": ("B", 200), "h": ("s", -300), "u": ("u", 60000),
                   "i32": ("i", 4000000000), "f": ("f", 0.5), "D": ("D", (2, 12345)),
                   "T": ("T", 1234567890), "x": ("x", "bytes"), "F": {"k": {"n": 1}},
                   "A": [1, "two", [3], {"four": 4}]}}


@scenario
def all_properties(s):
    """Every property and every kind of header value comes back."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.publish("body", key=queue, props=ALL)
    channel.count(queue, 1)
    event = channel.get(queue)
    s.note(f"header bytes unchanged: {event.raw == amqp.header(4, ALL)}")


@cases({"empty": b"", "one": b"x", "binary": bytes(range(256)), "frame": b"f" * 131064,
        "frame_and_one": b"f" * 131065, "two_frames": b"f" * 262128, "big": b"0123456789" * 100000})
def body(s, body):
    """Bodies of all sizes."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.publish(body, key=queue)
    channel.count(queue, 1)
    channel.get(queue)


@scenario
def signed_l_and_unknown(s):
    """The letters that differ between dialects."""
    channel = s.channel()
    queue = s.queue(channel)
    content = b"\x01LL" + b"\0" * 7 + b"\x05"
    channel.publish("x", key=queue, props={"headers": content})
    channel.connection.put(1, "basic.qos")
    channel.expect()


@cases({"text": "abc", "negative": "-1", "float": "1.5", "empty": "", "space": " 5", "plus": "+5",
        "huge": "99999999999999", "hex": "0x10", "most": "4294967295", "over": "4294967296",
        "trailing": "5 ", "ten_years": "315360000000"})
def expiration(s, text):
    """What the expiration property may hold."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.call("confirm.select")
    channel.publish("x", key=queue, props={"expiration": text})
    channel.confirms(1, 1)


@scenario
def expiration_zero(s):
    """Expiration 0: gone unless it can be delivered at once."""
    channel, consumer = s.channel(), s.channel()
    queue = s.queue(channel)
    channel.publish("x", key=queue, props={"expiration": "0"})
    channel.count(queue, 0)
    consumer.call("basic.consume", queue=queue, consumer_tag="t", no_ack=True)
    channel.publish("y", key=queue, props={"expiration": "0"})
    consumer.expect()


@cases({"own": "guest", "other": "root", "empty": ""})
def user_id(s, name):
    """The user-id must be one's own."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.call("confirm.select")
    channel.publish("x", key=queue, props={"user-id": name})
    channel.confirms(1, 1)


@cases({"unknown_exchange": {"exchange": "none"}, "immediate": {"immediate": True},
        "immediate_and_mandatory": {"immediate": True, "mandatory": True}})
def refused(s, values):
    """Publishes that end the channel or the connection."""
    channel = s.channel()
    channel.publish("x", **{"key": "k", **values})
    channel.expect()


@scenario
def refused_with_confirms(s):
    """An unknown exchange on a confirming channel."""
    channel = s.channel()
    channel.call("confirm.select")
    channel.publish("x", "none", "k")
    channel.expect()


@cases({"confirm": True, "plain": False})
def mandatory(s, confirm):
    """A return comes before the confirm, with all properties and the body."""
    channel = s.channel()
    if confirm:
        channel.call("confirm.select")
    channel.publish("first", key=s.name("none"), props=ALL, mandatory=True)
    channel.expect(2 if confirm else 1)
    channel.publish("x" * 200000, "amq.direct", s.name("none"), mandatory=True)
    channel.expect(2 if confirm else 1)
    channel.publish("dropped", "amq.direct", s.name("none"))
    channel.expect(1) if confirm else channel.quiet()


@scenario
def mandatory_and_routed(s):
    """No return when one queue takes it."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.call("confirm.select")
    channel.publish("x", key=queue, mandatory=True)
    channel.expect()
    channel.quiet()


@scenario
def confirm_many(s):
    """Confirms cover every tag once, persistent or not, routed or not."""
    channel = s.channel()
    queue = s.queue(channel, durable=True)
    channel.call("confirm.select")
    for number in range(1, 31):
        mode = {"delivery-mode": 1 + number % 2}
        channel.publish(str(number), key=queue if number % 3 else s.name("none"), props=mode)
    channel.confirms(1, 30)
    channel.count(queue, 20)


@scenario
def confirm_twice(s):
    """A second confirm.select changes nothing; no-wait is not answered."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.call("confirm.select")
    channel.publish("x", key=queue)
    channel.confirms(1, 1)
    channel.call("confirm.select")
    channel.send("confirm.select", no_wait=True)
    channel.publish("x", key=queue)
    channel.confirms(2, 2)


@scenario
def confirm_counts_from_select(s):
    """Tags count from confirm.select, per channel."""
    connection = s.connect()
    one, two = connection.channel(1), connection.channel(2)
    queue = s.queue(one)
    one.publish("before", key=queue)
    one.call("confirm.select")
    two.call("confirm.select")
    one.publish("x", key=queue)
    one.confirms(1, 1)
    two.publish("x", key=queue)
    two.confirms(1, 1)


@cases({"fanout": "amq.fanout", "direct": "amq.direct", "topic": "amq.topic",
        "headers": "amq.headers", "default": ""})
def unroutable(s, exchange):
    """Nothing bound: dropped, and confirmed."""
    channel = s.channel()
    channel.call("confirm.select")
    channel.publish("x", exchange, s.name("none"))
    channel.confirms(1, 1)


@cases({"cc": {"CC": ["B", "C"]}, "bcc": {"BCC": ["B"]}, "both": {"CC": ["B"], "BCC": ["C"]},
        "twice": {"CC": ["B", "B", "A"]}, "text": {"CC": "B"}, "number": {"CC": [5]},
        "empty": {"CC": []}, "bcc_text": {"BCC": "B"}, "with_others": {"BCC": ["B"], "own": 1}})
def carbon_copies(s, headers):
    """CC and BCC route to more keys; BCC is taken out of the headers."""
    channel = s.channel()
    names = {short: s.queue(channel, short) for short in "ABC"}
    for key, value in headers.items():
        if key in ("CC", "BCC"):
            swap = [names.get(v, v) for v in value] if isinstance(value, list) else names[value]
            headers = {**headers, key: swap}
    channel.call("confirm.select")
    channel.publish("x", key=names["A"], props={"headers": headers})
    if channel.confirms(1, 1):
        for queue in names.values():
            channel.get(queue)


@scenario
def to_default_exchange(s):
    """The default exchange knows each queue by its name."""
    channel = s.channel()
    queue = s.queue(channel)
    channel.publish("x", "", queue)
    channel.count(queue, 1)
    channel.get(queue)


@scenario
def over_largest(s):
    """A body over the largest size that is taken."""
    channel = s.channel()
    channel.publish(b"x" * (16 * 1024 * 1024 + 1), key="nowhere.at.all")
    channel.connection.put(1, "basic.qos")
    channel.expect()


@cases({"over": 16777217, "far_over": 134217729})
def announced_size(s, size):
    """Bodies over the largest size: what their header alone brings about."""
    channel = s.channel()
    channel.frame(1, amqp.method("basic.publish", routing_key="nowhere.at.all"))
    channel.frame(2, amqp.header(size))
    channel.expect(wait=1.0)
