"""The two sides of the judge `message-map`: a client of MQTT by paho, one of AMQP by pika.

Invariants
- A subscription or binding stands before anything is published.
- Waits end with what came; who wanted more finds too little.
"""

import itertools
import os
import queue
import time

import paho.mqtt.client as paho
import pika
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "5672"))
MQTT_PORT = int(os.environ.get("MQTT_PORT", "1883"))
WAIT_S_MAX = 10
_numbers = itertools.count()


def fresh():
    """A topic of one level that nobody used."""
    return f"map{os.getpid()}n{next(_numbers)}"


def key_of(topic):
    """The routing key of a topic name."""
    return topic.translate({ord("/"): ".", ord("."): "/"})


def properties(**values):
    """Properties of a PUBLISH; `UserProperty` is a list of pairs."""
    made = Properties(PacketTypes.PUBLISH)
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Mqtt:
    """A connected client that keeps what it gets."""

    def __init__(self, version=5):
        protocol = paho.MQTTv5 if version == 5 else paho.MQTTv311
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, f"map-{fresh()}",
                                  protocol=protocol)
        self.client.username_pw_set("guest", "guest")
        self.got, self.done = queue.Queue(), queue.Queue()
        self.client.on_message = lambda _c, _u, message: self.got.put(message)
        self.client.on_subscribe = lambda *said: self.done.put(said[3])
        self.client.connect(HOST, MQTT_PORT)
        self.client.loop_start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()

    def subscribe(self, topic, qos=1):
        """Subscribes, and waits for the answer."""
        self.client.subscribe(topic, qos)
        assert not self.done.get(timeout=WAIT_S_MAX)[0].is_failure

    def publish(self, topic, body=b"x", qos=1, retain=False, **values):
        """Publishes, and waits until the broker has it."""
        made = properties(**values) if self.client.protocol == paho.MQTTv5 else None
        self.client.publish(topic, body, qos, retain, made).wait_for_publish(WAIT_S_MAX)

    def get(self):
        """The next message."""
        return self.got.get(timeout=WAIT_S_MAX)


class Amqp:
    """A channel with a queue of its own."""

    def __init__(self, topic=None, exclusive=True, **arguments):
        self.connection = pika.BlockingConnection(pika.ConnectionParameters(HOST, PORT))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        declared = self.channel.queue_declare("", exclusive=exclusive, auto_delete=True,
                                              arguments=arguments or None)
        self.queue = declared.method.queue
        if topic is not None:
            self.channel.queue_bind(self.queue, "amq.topic", key_of(topic))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.connection.is_open:
            self.connection.close()

    def publish(self, topic, body=b"x", **values):
        """Publishes to a topic."""
        made = pika.BasicProperties(**{"delivery_mode": 2, **values})
        self.channel.basic_publish("amq.topic", key_of(topic), body, made)

    def get(self):
        """The next message: (method, properties, body)."""
        deadline = time.monotonic() + WAIT_S_MAX
        while time.monotonic() < deadline:
            found = self.channel.basic_get(self.queue, auto_ack=True)
            if found[0] is not None:
                return found
            time.sleep(0.02)
        raise AssertionError("nothing came")


def told(message):
    """The properties of a message that a client of MQTT 5 got, by name; pairs as a list."""
    values = dict(vars(message.properties)) if message.properties else {}
    kept = {name: value for name, value in values.items() if name[0].isupper()}
    return {name: value for name, value in kept.items() if name != "SubscriptionIdentifier"}


def said(found):
    """The properties of a message that pika got, by name, without what is not there."""
    values = vars(found)
    return {name: value for name, value in values.items() if value is not None}
