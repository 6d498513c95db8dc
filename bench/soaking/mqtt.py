"""Clients of MQTT, over TCP and WebSocket: qualities, kept sessions, take-over, wills, retained."""

import socket
import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from .worker import Worker

ANSWER_S_MAX = 15


def client_of(node, name, version=5, web=False, keep=False, on_message=None, will=None):
    """A connected client with its own thread. It does not reconnect by itself."""
    v5 = version == 5
    more = {} if v5 else {"clean_session": not keep}
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2, client_id=name, reconnect_on_failure=False,
        protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
        transport="websockets" if web else "tcp", **more)
    if web:
        client.ws_set_options(path="/ws/mqtt")
    client.username_pw_set("guest", "guest")
    client.max_inflight_messages_set(100)
    answered = threading.Event()
    refused = []

    def on_connect(_client, _data, _flags, code, _properties):
        if code.is_failure:
            refused.append(str(code))
        answered.set()

    client.on_connect = on_connect
    client.on_message = on_message
    if will is not None:
        client.will_set(will[0], will[1], qos=1)
    options = {}
    if v5:
        options["clean_start"] = not keep
        options["properties"] = Properties(PacketTypes.CONNECT)
        options["properties"].SessionExpiryInterval = 7200 if keep else 0
    client.connect("127.0.0.1", node.http if web else node.mqtt, 60, **options)
    client.loop_start()
    if not answered.wait(ANSWER_S_MAX) or refused:
        end(client)
        raise ConnectionError(f"{name}: {refused or 'no CONNACK'}")
    return client


def end(client):
    """Takes leave, and ends the thread."""
    if client is not None:
        client.disconnect()
        client.loop_stop()


def subscribe(client, topic, qos):
    """Subscribes, and waits for the answer."""
    granted = threading.Event()
    client.on_subscribe = lambda *_: granted.set()
    client.subscribe(topic, qos)
    if not granted.wait(ANSWER_S_MAX):
        raise ConnectionError(f"no SUBACK for {topic}")


def answered(info):
    """Waits for the answer to a publish; none comes if the connection has ended."""
    try:
        info.wait_for_publish(ANSWER_S_MAX)
        return info.is_published()
    except RuntimeError:  # paho's word for a connection that has ended
        return False


def forget(node, name, version):
    """Ends a session that is kept."""
    end(client_of(node, name, version))


class Pair(Worker):
    """A publisher, and a subscriber whose session is kept."""

    version, qos, web, batch = 5, 1, False, 3
    sub = pub = None

    @property
    def topic(self):
        """Where it publishes."""
        return f"soak/{self.title}/x"

    def subscriber(self):
        """The client that takes."""
        client = client_of(self.node, f"soak-{self.title}-sub", self.version, self.web,
                           keep=self.qos > 0, on_message=self.message)
        subscribe(client, f"soak/{self.title}/+", self.qos)
        return client

    def open(self):
        self.sub = self.subscriber()
        self.pub = client_of(self.node, f"soak-{self.title}-pub", self.version, self.web)

    def message(self, _client, _data, message):
        """A message has come."""
        self.came(message.payload)

    def step(self):
        if self.publishing:
            numbers = [self.number() for _ in range(self.batch)]
            sent = [self.pub.publish(self.topic, self.body(number, 200), self.qos)
                    for number in numbers]
            for number, info in zip(numbers, sent):
                if self.qos == 0:
                    continue
                if not answered(info):
                    self.unsure(number)
        for client in (self.sub, self.pub):
            if not client.is_connected():
                raise ConnectionError("the connection has ended")

    def close(self):
        for client in (self.sub, self.pub):
            if client is not None:
                end(client)
        self.sub = self.pub = None

    def clear(self):
        forget(self.node, f"soak-{self.title}-sub", self.version)


class Quality0(Pair):
    """At most once, so what a kill takes is not missed."""

    title, version, qos, transient = "mqtt 3.1.1 QoS 0", 4, 0, True


class Quality1(Pair):
    """At least once, version 3.1.1."""

    title, version = "mqtt 3.1.1 QoS 1", 4


class Quality1Web(Pair):
    """At least once, version 5, over WebSocket."""

    title, web = "mqtt 5 QoS 1, WebSocket", True


class Quality2(Pair):
    """Exactly once."""

    title, qos = "mqtt 5 QoS 2", 2


class TakeOver(Pair):
    """Now and then a second client with the same id takes the session over."""

    title = "mqtt take-over"

    def step(self):
        super().step()
        if self.steps % 20 == 19:
            old, self.sub = self.sub, self.subscriber()
            end(old)


class Wills(Pair):
    """Clients with a will whose sockets end without a word."""

    title, pause_s = "mqtt wills", 0.5

    def step(self):
        super().step()
        if not self.publishing:
            return
        number = self.number()
        try:
            mortal = client_of(self.node, f"soak-mortal-{number % 7}",
                               will=(f"soak/{self.title}/will", self.body(number)))
        except BaseException:
            self.unsure(number)
            raise
        mortal.socket().shutdown(socket.SHUT_RDWR)
        mortal.loop_stop()


class Retained(Pair):
    """Two hundred topics that are set again and again, and somebody who asks for them."""

    title, TOPICS = "mqtt retained", 200

    def open(self):
        super().open()
        self.set = set()

    def step(self):
        super().step()
        for at in range(self.steps * 5 % self.TOPICS, self.steps * 5 % self.TOPICS + 5):
            info = self.pub.publish(f"soak/kept/{at}", b"%d" % self.steps, 1, retain=True)
            if answered(info):
                self.set.add(at)
        if self.steps % 40 == 39:
            self.look()

    def look(self):
        """All that are set come to a new subscription."""
        found, all_there = set(), threading.Event()

        def on_message(_client, _data, message):
            found.add(int(message.topic.rpartition("/")[2]))
            if found >= self.set:
                all_there.set()

        client = client_of(self.node, "soak-look", on_message=on_message)
        subscribe(client, "soak/kept/+", 1)
        if not all_there.wait(ANSWER_S_MAX):
            self.wrong(f"{len(self.set - found)} retained messages did not come")
        end(client)

    def clear(self):
        super().clear()
        client = client_of(self.node, "soak-look")
        for at in range(self.TOPICS):
            client.publish(f"soak/kept/{at}", b"", 1, retain=True).wait_for_publish(ANSWER_S_MAX)
        end(client)


WORKERS = (Quality0, Quality1, Quality1Web, Quality2, TakeOver, Wills, Retained)
