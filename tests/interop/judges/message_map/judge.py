#!/usr/bin/env python3
"""paho-mqtt on one side, pika on the other: the rows of docs/message-map.md, both ways and back.

Needs HOST, PORT, MQTT_PORT, BROKER, and HTTP_PORT for what management shows. RabbitMQ 3 speaks no
MQTT 5; of RabbitMQ 4 only the rows are asked where it does the same (`everywhere`).
"""

import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from sides import Amqp, Mqtt, fresh, said, told  # noqa: E402

import lib  # noqa: E402

BROKER = os.environ.get("BROKER", "ferrymq")
FERRYMQ, RABBITMQ3 = BROKER == "ferrymq", BROKER == "rabbitmq"
HTTP_PORT = int(os.environ.get("HTTP_PORT", "0"))
LONG, ODD = "w" * 300, b"\xff\x00\x01"

# name, published by MQTT 5, properties in AMQP, headers in AMQP, whether RabbitMQ 4 does the same
TO_AMQP = [
    ("nothing", {}, {}, {}, True),
    ("payload format", {"PayloadFormatIndicator": 1}, {}, {"x-mqtt-payload-format": 1}, False),
    ("expiry", {"MessageExpiryInterval": 60}, {"expiration": "60000"}, {}, True),
    ("content type", {"ContentType": "text/plain"}, {"content_type": "text/plain"}, {}, True),
    ("content type with é", {"ContentType": "text/é"}, {"content_type": "text/é"}, {}, False),
    ("long content type", {"ContentType": LONG}, {}, {"x-content-type": LONG}, False),
    ("response topic", {"ResponseTopic": "a/b"}, {}, {"x-reply-to-topic": "a.b"}, True),
    ("dotted response topic", {"ResponseTopic": "a.b/c"}, {}, {"x-reply-to-topic": "a/b.c"}, False),
    ("correlation", {"CorrelationData": b"c-1"}, {"correlation_id": "c-1"}, {}, True),
    ("binary correlation", {"CorrelationData": ODD}, {}, {"x-correlation-id": ODD}, True),
    ("user properties", {"UserProperty": [("b", "1"), ("a", "é")]}, {}, {"a": "é", "b": "1"}, True),
    ("a name twice", {"UserProperty": [("a", "1"), ("a", "2")]}, {},
     {"a": "1", "x-mqtt-user-properties": [["a", "2"]]}, False),
    ("a long name", {"UserProperty": [(LONG, "1")]}, {},
     {"x-mqtt-user-properties": [[LONG, "1"]]}, False),
    ("AMQP's own", {"UserProperty": [
        ("x-amqp-message-id", "m"), ("x-amqp-priority", "9"), ("x-amqp-timestamp", "5"),
        ("x-amqp-type", "t"), ("x-amqp-app-id", "a"), ("x-amqp-reply-to", "r"),
        ("x-amqp-content-encoding", "gzip"), ("x-amqp-user-id", "root")]},
     {"message_id": "m", "priority": 9, "timestamp": 5, "type": "t", "app_id": "a",
      "reply_to": "r", "content_encoding": "gzip"}, {"x-amqp-user-id": "root"}, False),
]

# name, properties in AMQP, headers in AMQP, told to MQTT 5, whether RabbitMQ 4 does the same
TO_MQTT = [
    ("nothing", {}, {}, {}, True),
    ("content type", {"content_type": "text/plain"}, {}, {"ContentType": "text/plain"}, True),
    ("correlation", {"correlation_id": "c-1"}, {}, {"CorrelationData": b"c-1"}, True),
    ("binary correlation", {}, {"x-correlation-id": "c" * 300},
     {"CorrelationData": b"c" * 300}, True),
    ("expiry", {"expiration": "60000"}, {}, {"MessageExpiryInterval": (55, 60)}, False),
    ("topic for replies", {}, {"x-reply-to-topic": "a.b"}, {"ResponseTopic": "a/b"}, True),
    ("dotted topic for replies", {}, {"x-reply-to-topic": "a/b.c"}, {"ResponseTopic": "a.b/c"},
     False),
    ("payload format", {}, {"x-mqtt-payload-format": 1}, {"PayloadFormatIndicator": 1}, False),
    ("text", {}, {"h": "é"}, {"UserProperty": [("h", "é")]}, True),
    ("a number", {}, {"h": -7}, {"UserProperty": [("h", "-7")]}, True),
    ("a truth", {}, {"h": True}, {"UserProperty": [("h", "true")]}, True),
    ("a void", {}, {"h": None}, {"UserProperty": [("h", "")]}, True),
    ("a list and a table", {}, {"l": [1], "t": {"a": 1}}, {}, True),
    ("binary that is no text", {}, {"h": ODD}, {}, True),
    ("AMQP's own", {"message_id": "m", "priority": 9, "timestamp": 5, "type": "t", "app_id": "a",
                    "reply_to": "r", "content_encoding": "gzip", "user_id": "guest"}, {},
     {"UserProperty": [
         ("x-amqp-content-encoding", "gzip"), ("x-amqp-reply-to", "r"), ("x-amqp-message-id", "m"),
         ("x-amqp-type", "t"), ("x-amqp-user-id", "guest"), ("x-amqp-app-id", "a"),
         ("x-amqp-priority", "9"), ("x-amqp-timestamp", "5")]}, False),
]


def equal(found, wanted):
    """Raises unless both are the same; a pair of numbers is a range."""
    for name, value in wanted.items():
        if name == "MessageExpiryInterval" and isinstance(value, tuple):
            assert value[0] <= found.get(name, 0) <= value[1], f"{name}: {found}"
            found = {**found, name: value}
    assert found == wanted, f"found {found!r:.200}, wanted {wanted!r:.200}"


def to_amqp(published, wanted, headers):
    """What MQTT 5 published is this in AMQP."""
    topic = fresh()
    with Amqp(topic) as amqp, Mqtt() as mqtt:
        mqtt.publish(topic, b"body", **published)
        method, found, body = amqp.get()
        found = said(found)
        found_headers = found.pop("headers", None) or {}
        if "expiration" in wanted:
            assert abs(found.pop("timestamp") - time.time()) < 60
        if FERRYMQ:
            headers = {"x-mqtt-publish-qos": 1, **headers}
        equal(found_headers, headers)
        equal(found, {"delivery_mode": 2, **wanted})
        equal({"body": body, "exchange": method.exchange, "key": method.routing_key},
              {"body": b"body", "exchange": "amq.topic", "key": topic})


def to_mqtt(values, headers, wanted):
    """What AMQP published is this in MQTT 5."""
    topic = fresh()
    with Mqtt() as mqtt, Amqp() as amqp:
        mqtt.subscribe(topic)
        amqp.publish(topic, b"body", headers=headers or None, **values)
        message = mqtt.get()
        equal(told(message), wanted)
        equal({"body": message.payload, "qos": message.qos, "retain": message.retain},
              {"body": b"body", "qos": 1, "retain": False})


def qualities_to_amqp(version, qualities):
    """QoS and retain flag as delivery mode and headers."""
    topic = fresh()
    with Amqp(topic) as amqp, Mqtt(version) as mqtt:
        for qos in qualities:
            mqtt.publish(topic, qos=qos)
            found = amqp.get()[1]
            equal({"mode": found.delivery_mode}, {"mode": 2 if qos else 1})
            if FERRYMQ or RABBITMQ3:
                equal({"qos": found.headers["x-mqtt-publish-qos"]}, {"qos": qos})
        mqtt.publish(topic, b"kept", retain=True)
        headers = amqp.get()[1].headers or {}
        if FERRYMQ:
            equal({"retain": headers.get("x-mqtt-retain")}, {"retain": True})
        mqtt.publish(topic, b"", retain=True)


def modes_to_mqtt(version):
    """Delivery mode as QoS."""
    topic = fresh()
    with Mqtt(version) as mqtt, Amqp() as amqp:
        mqtt.subscribe(topic, 2 if FERRYMQ else 1)
        cases = [(2, None, 1), (1, None, 0)]
        if FERRYMQ:
            cases += [(2, {"x-mqtt-publish-qos": 2}, 2), (1, {"x-mqtt-publish-qos": 2}, 0)]
        for mode, headers, qos in cases if not RABBITMQ3 else []:
            amqp.publish(topic, delivery_mode=mode, headers=headers)
            equal({"qos": mqtt.get().qos}, {"qos": qos})
        amqp.publish(topic, b"last", content_type="text/plain", headers={"a": "b"})
        equal({"body": mqtt.get().payload}, {"body": b"last"})


def topics(version):
    """Separators change places, both ways."""
    begin = fresh()
    for name in (f"{begin}/b", f"{begin}/", f"{begin}/é/c d", f"/{begin}"):
        with Amqp(name) as amqp, Mqtt(version) as mqtt:
            mqtt.publish(name, b"there")
            equal({"key": amqp.get()[0].routing_key}, {"key": name.replace("/", ".")})
            mqtt.subscribe(name)
            amqp.publish(name, b"back")
            equal({"topic": mqtt.get().topic}, {"topic": name})


def there_and_back():
    """MQTT to AMQP, published again as it came, to MQTT: as it was."""
    there, back = fresh(), fresh()
    published = {"ContentType": "text/é", "ResponseTopic": "re/ply", "CorrelationData": ODD,
                 "PayloadFormatIndicator": 1,
                 "UserProperty": [("a", "1"), ("b", "2"), ("x-amqp-message-id", "m")]}
    with Amqp(there) as amqp, Mqtt() as mqtt:
        mqtt.subscribe(back, 2)
        mqtt.publish(there, "é".encode(), qos=2, **published)
        _, found, body = amqp.get()
        amqp.channel.basic_publish("amq.topic", back, body, found)
        message = mqtt.get()
        found = told(message)
        found["UserProperty"].sort()
        equal(found, published)
        equal({"body": message.payload, "qos": message.qos}, {"body": "é".encode(), "qos": 2})


def dead_letters():
    """A death is told in headers, user properties stay."""
    topic = fresh()
    with Amqp() as dead, Amqp(topic, **{"x-dead-letter-exchange": "", "x-message-ttl": 50,
                                        "x-dead-letter-routing-key": dead.queue}) as first:
        with Mqtt() as mqtt:
            mqtt.publish(topic, b"body", UserProperty=[("a", "1"), ("x-death", "made up")],
                         MessageExpiryInterval=60)
        _, found, body = dead.get()
        death = found.headers["x-death"][0]
        equal({"reason": death["reason"], "queue": death["queue"], "a": found.headers["a"],
               "original": death["original-expiration"], "left": found.expiration, "body": body},
              {"reason": "expired", "queue": first.queue, "a": "1",
               "original": "60000", "left": None, "body": b"body"})


def header_exchange():
    """User properties route like headers."""
    name, topic = fresh(), fresh()
    with Amqp() as amqp, Mqtt() as mqtt:
        amqp.channel.exchange_declare(name, "headers", auto_delete=True)
        amqp.channel.exchange_bind(name, "amq.topic", topic)
        amqp.channel.queue_bind(amqp.queue, name, "", {"kind": "wanted", "x-match": "all"})
        mqtt.publish(topic, b"no", UserProperty=[("kind", "other")])
        mqtt.publish(topic, b"yes", UserProperty=[("kind", "wanted")])
        equal({"body": amqp.get()[2]}, {"body": b"yes"})


def ask(method, path, body=None):
    """What the management API answers to what it accepts."""
    status, answer = lib.api(HTTP_PORT, method, path, body)
    assert status < 400, (method, path, status, answer)
    return answer


def edited():
    """The workbench edits a message of MQTT, and refuses what MQTT can not say."""
    topic, values = fresh(), {"content_type": "text/html", "expiration": "60000"}
    with Amqp(topic, exclusive=False) as amqp, Mqtt() as mqtt:
        mqtt.publish(topic, b"wrong", ResponseTopic="re/ply", UserProperty=[("a", "1")])
        path = f"ferry/queues/%2F/{amqp.queue}/messages"
        path = f"{path}/{ask('GET', path)['items'][0]['ref']}/edit"
        unsaid = {"properties": {"expiration": "1500"}}
        equal({"status": lib.api(HTTP_PORT, "POST", path, unsaid)[0]}, {"status": 400})
        ask("POST", path, {"payload": "right", "properties": values})
        _, found, body = amqp.get()
        equal({"body": body, "type": found.content_type, "left": found.expiration,
               "mode": found.delivery_mode, "a": found.headers["a"],
               "topic": found.headers["x-reply-to-topic"]},
              {"body": b"right", "type": "text/html", "left": "60000", "mode": 2, "a": "1",
               "topic": "re.ply"})


def management():
    """Management shows what an AMQP consumer would get."""
    topic = fresh()
    with Amqp(topic, exclusive=False) as amqp, Mqtt() as mqtt:
        mqtt.publish(topic, "é".encode(), ContentType="text/plain", UserProperty=[("a", "1")])
        mqtt.publish(topic, ODD)
        asked = {"count": 2, "ackmode": "ack_requeue_true", "encoding": "auto"}
        shown = ask("POST", f"queues/%2F/{amqp.queue}/get", asked)
        text, binary = shown[0], shown[1]
        equal({"payload": text["payload"], "type": text["properties"]["content_type"],
               "a": text["properties"]["headers"]["a"], "coded": binary["payload_encoding"]},
              {"payload": "é", "type": "text/plain", "a": "1", "coded": "base64"})


def main():
    """All rows that the broker can be asked."""
    checks = lib.Checks()
    for version in (4,) if RABBITMQ3 else (4, 5):
        qualities = (0, 1, 2) if FERRYMQ else (0, 1)
        checks.run(f"message-map: QoS and retain of version {version} in AMQP",
                   lambda v=version, q=qualities: qualities_to_amqp(v, q))
        checks.run(f"message-map: delivery mode in version {version}",
                   lambda v=version: modes_to_mqtt(v))
        checks.run(f"message-map: topics and keys of version {version}",
                   lambda v=version: topics(v))
    if not RABBITMQ3:
        for name, published, wanted, headers, everywhere in TO_AMQP:
            if FERRYMQ or everywhere:
                checks.run(f"message-map: MQTT to AMQP: {name}",
                           lambda row=(published, wanted, headers): to_amqp(*row))
        for name, values, headers, wanted, everywhere in TO_MQTT:
            if FERRYMQ or everywhere:
                checks.run(f"message-map: AMQP to MQTT: {name}",
                           lambda row=(values, headers, wanted): to_mqtt(*row))
        checks.run("message-map: user properties route", header_exchange)
        if HTTP_PORT:
            checks.run("message-map: management", management)
    if FERRYMQ:
        checks.run("message-map: there and back", there_and_back)
        checks.run("message-map: dead letters", dead_letters)
        if HTTP_PORT:
            checks.run("message-map: a message is edited", edited)
    checks.finish()


if __name__ == "__main__":
    main()
