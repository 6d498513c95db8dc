"""The memory alarm: publishers wait, and nothing else does."""

import base64
import http.client
import socket
import threading
import time

import lib
from client import MIB, PERSISTENT, WAIT_S_MAX, Client, Node, publish_frames, scaled

MARK = ("--memory-high", "8MiB")


def with_node(settings, act, **doors):
    """Runs `act` on a node of its own and looks at it afterwards."""
    node = Node(*settings, **doors)
    node.start()
    try:
        note = act(node)
        assert node.process.poll() is None, "the broker has ended"
        assert b"panicked" not in node.output(), "a thread panicked"
    except BaseException:
        node.stop()
        print(f"(the broker's output is in {node.folder})")
        raise
    node.remove()
    return f", {note}" if note else ""


class Weight:
    """A client that keeps the alarm on: it does not read the messages that it has returned.

    Bodies in queues would be let go to the disk; what waits for a socket can not be.
    """

    def __init__(self, node):
        self.client = Client.raw(node.port, receive_bytes=8192)
        self.client.log_in()
        data = publish_frames(1, "", "no such queue", b"w" * 65536, mandatory=True)
        self.client.socket.setblocking(False)
        left, moved = data, time.monotonic()
        while time.monotonic() - moved < 0.5:
            try:
                left, moved = left[self.client.socket.send(left):] or data, time.monotonic()
            except BlockingIOError:
                time.sleep(0.005)

    def drop(self):
        """Takes the weight away."""
        self.client.drop()


def wait_blocked(client):
    """Publishes one message; the client is told that it is held."""
    client.publish("nowhere", b"")
    client.expect(["connection.blocked"], 0, 5)


def alarm_holds_publishers_only(_node=None):
    """Held: publishes. Not held: acks, gets, heartbeats, declares, here and elsewhere."""
    def act(node):
        publisher, other = node.client(channels=3), node.client(channels=2)
        for queue in ("side", "work", "while-held"):
            other.declare(queue)
        for number in range(40):
            other.publish("side", b"side %d" % number)
            other.publish("work", b"work %d" % number)
        publisher.call(2, "basic.consume", queue="side")
        tags = []
        for _ in range(40):
            tags.append(publisher.wait("basic.deliver", 2)["delivery-tag"])
            publisher.content()
        weight = Weight(node)
        publisher.confirm_select()
        wait_blocked(publisher)
        began = time.monotonic()
        for tag in tags:
            publisher.method(2, "basic.ack", delivery_tag=tag)
        publisher.send(b"\x08\0\0\0\0\0\0\xce")
        assert publisher.get("work", channel=3) == b"work 0"
        publisher.call(3, "basic.qos", prefetch_count=3)
        publisher.call(2, "queue.declare", queue="side", passive=True)
        other.call(2, "queue.declare", queue="declared-meanwhile", exclusive=True)
        assert other.get("work", channel=2) == b"work 1"
        assert time.monotonic() - began < 1, "what is no publish was held"
        other.confirm_select()
        other.publish("while-held", b"held")
        for client in (publisher, other):
            try:
                client.confirms(1, 0.3)
                raise AssertionError("a held publish was confirmed")
            except TimeoutError:
                pass
        assert other.call(2, "queue.declare", queue="while-held", passive=True)[
            "message-count"] == 0, "a held publish was taken"
        weight.drop()
        began = time.monotonic()
        publisher.confirms(1)
        other.confirms(1)
        assert time.monotonic() - began < 1, "publishers went on late"
        assert (0, "connection.unblocked") in publisher.others, publisher.others
        assert other.get("while-held", channel=2) == b"held"
        publisher.close()
        with node.client() as last:
            assert last.declare("side", passive=True)[0] == 0, "acks were lost"
        return f"went on after {(time.monotonic() - began) * 1000:.0f} ms"

    return with_node(MARK, act)


def mqtt_client(node):
    """A client of MQTT 3.1.1, let in."""
    client = socket.create_connection(("127.0.0.1", node.mqtt), timeout=WAIT_S_MAX)
    hears_mqtt(client, lib.MQTT_CONNECT, b"\x20\x02\0\0")
    return client


def hears_mqtt(client, says, hears, seconds=WAIT_S_MAX):
    """Says something; that, and nothing else, is the answer."""
    client.sendall(says)
    client.settimeout(seconds)
    got = b""
    while len(got) < len(hears):
        got += client.recv(len(hears) - len(got)) or b"(the end)"
    assert got == hears, f"{got!r} in place of {hears!r}"


def ask_http(node, path, body):
    """Posts to the data plane; the answer, read."""
    connection = http.client.HTTPConnection("127.0.0.1", node.http, timeout=WAIT_S_MAX)
    login = base64.b64encode(b"guest:guest").decode()
    connection.request("POST", f"/api/ferry/{path}", body,
                       {"Authorization": f"Basic {login}", "Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.text = answer.read().decode()
    connection.close()
    return answer


def alarm_holds_every_door(_node=None):
    """MQTT: a publish waits without an answer, all else goes on. HTTP: 429, and when to come again."""
    publish_path = "publish/%2F/amq.default?routing_key=work"

    def act(node):
        with node.client() as client:
            client.declare("work")
        assert ask_http(node, publish_path, "{}").status == 201
        publisher, subscriber = mqtt_client(node), mqtt_client(node)
        hears_mqtt(subscriber, b"\x82\x06\0\x01\0\x01t\0", b"\x90\x03\0\x01\0")
        weight, other = Weight(node), node.client()
        wait_blocked(other)
        publisher.sendall(b"\x32\x06\0\x01t\0\x07x")
        hears_mqtt(publisher, b"\xc0\0", b"\xd0\0")
        hears_mqtt(publisher, b"\x82\x06\0\x02\0\x01u\0", b"\x90\x03\0\x02\0")
        hears_mqtt(subscriber, b"\xc0\0", b"\xd0\0")
        refused = ask_http(node, publish_path, "{}")
        assert refused.status == 429, f"{refused.status} {refused.text}"
        assert int(refused.headers["Retry-After"]) >= 1, refused.headers
        leased = ask_http(node, "lease/%2F/work", '{"max": 5}')
        assert leased.text.count('"lease":') == 1, leased.text
        weight.drop()
        hears_mqtt(publisher, b"", b"\x40\x02\0\x07", 2)
        hears_mqtt(subscriber, b"", b"\x30\x04\0\x01tx", 2)
        other.expect(["connection.unblocked"], 0, 2)
        assert ask_http(node, publish_path, "{}").status == 201

    return with_node(MARK, act, http=True, mqtt=True)


def consumers_keep_their_rate(_node=None):
    """While publishers are held a consumer drains and acks a backlog at its speed."""
    def act(node):
        consumer, publisher, count = node.client(), node.client(), scaled(20000)
        consumer.declare("backlog")
        consumer.confirm_select()
        for at in range(0, count, 1000):
            consumer.send(publish_frames(1, "", "backlog", b"b" * 100) * 1000)
            consumer.confirms(at + 1000)
        weight = Weight(node)
        wait_blocked(publisher)
        consumer.call(1, "basic.qos", prefetch_count=100)
        consumer.call(1, "basic.consume", queue="backlog")
        began = time.monotonic()
        for _ in range(count):
            tag = consumer.wait("basic.deliver", 1)["delivery-tag"]
            consumer.content()
            consumer.method(1, "basic.ack", delivery_tag=tag)
        rate = count / (time.monotonic() - began)
        assert (0, "connection.unblocked") not in publisher.others
        weight.drop()
        publisher.expect(["connection.unblocked"], 0, 2)
        assert rate > 1000, f"{rate:.0f} messages/s while publishers are held"
        return f"{rate:.0f}/s"

    return with_node(MARK, act)


class Crowd:
    """Two confirming publishers and an acking consumer, until `over` is set."""

    def __init__(self, node):
        self.node, self.over, self.failures = node, threading.Event(), []
        self.confirmed, self.consumed = [0, 0], 0
        self.consumer = node.client()
        self.consumer.declare("crowd")
        self.consumer.call(1, "basic.qos", prefetch_count=20)
        self.consumer.call(1, "basic.consume", queue="crowd")
        acts = [lambda: self.publish(0), lambda: self.publish(1), self.consume]
        self.threads = [threading.Thread(target=self.guard, args=(act,)) for act in acts]
        for thread in self.threads:
            thread.start()

    def guard(self, act):
        """Keeps what went wrong."""
        try:
            act()
        except Exception as error:  # told by `end`
            self.failures.append(error)

    def publish(self, index):
        """Bursts of large messages, each confirmed (counted when sent, so that none is missed)."""
        with self.node.client() as client:
            client.confirm_select()
            while not self.over.is_set():
                self.confirmed[index] += 40
                client.send(publish_frames(1, "", "crowd", b"c" * 30000) * 40)
                client.confirms(self.confirmed[index], 20)

    def consume(self):
        """Acks each message."""
        publishers = self.threads[:2]
        while any(p.is_alive() for p in publishers) or self.consumed < sum(self.confirmed):
            if self.consumed == sum(self.confirmed):
                time.sleep(0.001)
                continue
            tag = self.consumer.wait("basic.deliver", 1, 20)["delivery-tag"]
            self.consumer.content()
            self.consumed += 1
            self.consumer.method(1, "basic.ack", delivery_tag=tag)

    def end(self):
        """Lets all come to their end, which they must."""
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.failures, repr(self.failures[0])
        assert not any(thread.is_alive() for thread in self.threads), "somebody hangs"


def alarm_cycles(_node=None):
    """1 000 times on and off under publishers and consumers: nobody hangs, nothing is lost."""
    rounds = scaled(1000)

    def act(node):
        crowd, alarms, began = Crowd(node), 0, time.monotonic()
        while alarms < rounds and time.monotonic() - began < 60 and not crowd.failures:
            time.sleep(0.2)
            alarms = node.output().count(b"publishers are held")
        crowd.end()
        assert alarms >= min(rounds, 100), f"only {alarms} alarms in a minute"
        assert crowd.consumed == sum(crowd.confirmed), f"{crowd.consumed} of {crowd.confirmed}"
        return f"{alarms} alarms, {crowd.consumed} messages"

    return with_node(("--memory-high", "1MiB"), act)


def held_bytes_are_bounded(_node=None):
    """Publishers that go on sending while they are held: the broker stops reading them."""
    def act(node):
        weight, first = Weight(node), node.client()
        wait_blocked(first)
        before, clients = node.rss(), [node.client() for _ in range(20)]
        data = publish_frames(1, "", "nowhere", b"h" * 100000)
        for client in clients:
            client.socket.setblocking(False)
        sent, moved = 0, time.monotonic()
        while time.monotonic() - moved < 1 and sent < 1000 * MIB:
            for client in clients:
                try:
                    sent += client.socket.send(data)
                    moved = time.monotonic()
                except BlockingIOError:
                    pass
            time.sleep(0.001)
        grown = node.rss() - before
        assert grown < 64 * MIB, f"+{grown / MIB:.0f} MiB for 20 held publishers"
        for client in clients:
            client.drop()
        weight.drop()
        first.expect(["connection.unblocked"], 0, 5)
        return f"{sent // MIB} MiB taken, mostly by the sockets, +{grown // MIB} MiB"

    return with_node(MARK, act)


def durable_backlog_is_let_go(_node=None):
    """Durable bodies over the mark go to the disk: publishers go on, the memory stays."""
    def act(node):
        client = node.client()
        client.confirm_select()
        client.declare("deep", durable=True)
        count, body = scaled(6000), b"b" * 16384
        for at in range(0, count, 100):
            client.send(b"".join(publish_frames(1, "", "deep", b"%08d" % (at + i) + body,
                                                PERSISTENT) for i in range(100)))
            client.confirms(at + 100, WAIT_S_MAX)
        rss = node.rss()
        assert rss < 160 * MIB, f"RSS {rss / MIB:.0f} MiB with a mark of 16 MiB"
        for number in range(count):
            got = client.get("deep")
            assert got == b"%08d" % number + body, f"message {number} is another"
        client.close()
        return f"{count * len(body) // MIB} MiB, RSS {rss // MIB} MiB"

    return with_node(("--memory-high", "16MiB"), act)


CASES = [alarm_holds_publishers_only, alarm_holds_every_door, consumers_keep_their_rate,
         alarm_cycles, held_bytes_are_bounded, durable_backlog_is_let_go]
