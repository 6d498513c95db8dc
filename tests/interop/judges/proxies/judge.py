"""Clients of AMQP, MQTT, HTTP and WebSocket behind HAProxy and nginx."""

import asyncio
import concurrent.futures
import http.client
import json
import re
import time
import uuid

import lib
import paho.mqtt.client as paho
import pika
import websockets
from servers import EVENTS_QUIET_S, GUEST, HAPROXY, NGINX, QUIET_S, HaProxy, Nginx, Node, ask

CHECKS = lib.Checks()
# Elsewhere on this machine: no proxy has this address.
CLIENT = "127.0.0.9"
WAIT_S_MAX = 10


def equal(found, wanted):
    """Raises unless both are the same."""
    assert found == wanted, f"found {found!r:.300}, wanted {wanted!r:.300}"


def until(condition, seconds=WAIT_S_MAX):
    """Waits until something is so, and gives it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to be so"
        time.sleep(0.05)
    return found


class Behind:
    """The checks of one proxy."""

    def __init__(self, node, proxy):
        self.node, self.proxy = node, proxy

    def shown(self, key, name):
        """Where the client with this name comes from, as the node shows it: (host, port)."""
        def one():
            listed = lib.api(self.node.http, "GET", "connections")[1]
            return [(each["peer_host"], each["peer_port"]) for each in listed
                    if each["client_properties"].get(key) == name]
        return until(one)[0]

    def amqp(self, heartbeat=60):
        """A connection by AMQP with a name of its own: (connection, name)."""
        name = uuid.uuid4().hex
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.proxy.amqp, heartbeat=heartbeat, stack_timeout=WAIT_S_MAX,
            client_properties={"connection_name": name})), name

    def mqtt(self, keepalive=60, transport="tcp"):
        """A client of MQTT 5 that is connected, with an id of its own."""
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, uuid.uuid4().hex, transport=transport,
                             protocol=paho.MQTTv5)
        client.username_pw_set("guest", "guest")
        client.ws_set_options(path=f"{self.proxy.path}/ws/mqtt")
        port = self.proxy.mqtt if transport == "tcp" else self.proxy.http
        client.connect("127.0.0.1", port, keepalive)
        client.loop_start()
        until(client.is_connected)
        return client

    def over_amqp(self):
        """A message goes there and back; the client's address is the client's."""
        connection, name = self.amqp()
        # The client's own port is told nowhere else.
        own = connection._impl._transport._sock.getsockname()
        equal(self.shown("connection_name", name), own)
        round_trip(connection)
        connection.close()

    def over_mqtt(self, transport):
        """The same by MQTT; in a request for a WebSocket nginx tells no port."""
        client = self.mqtt(transport=transport)
        socket = client.socket()
        own = (socket if transport == "tcp" else socket._socket).getsockname()
        found = self.shown("client_id", client._client_id.decode())
        equal(found[0], own[0])
        if transport == "tcp" or self.proxy.name == "haproxy":
            equal(found, own)
        got = []
        client.on_message = lambda _client, _data, message: got.append(message.payload)
        client.subscribe(f"t/{transport}", 1)
        time.sleep(0.2)
        client.publish(f"t/{transport}", b"hello", 1).wait_for_publish(WAIT_S_MAX)
        equal(until(lambda: got), [b"hello"])
        client.disconnect()
        client.loop_stop()

    def over_http(self):
        """A virtual host with a slash, a large body, and the address of who asked."""
        queue = uuid.uuid4().hex
        status, _ = self.proxy.ask("PUT", f"/api/queues/%2F/{queue}", {}, source=CLIENT)
        equal(status, 201)
        path = f"/api/ferry/publish/%2F/amq.default?routing_key={queue}"
        equal(self.proxy.ask("POST", path, "x" * 3_000_000)[0], 201)
        _, acts = ask(self.node.http, "GET", "/api/ferry/audit?limit=20")
        addresses = re.findall(rf'"address":"([^"]*)"[^{{}}]*{queue}', acts)
        assert addresses, acts
        equal({address.rsplit(":", 1)[0] for address in addresses}, {CLIENT})

    def page(self):
        """The page is found where it says, whatever path it is below."""
        status, html = self.proxy.ask("GET", "/")
        equal(status, 200)
        files = [name for name in re.findall(r'(?:href|src)="([^"#]+)"', html)]
        assert len(files) > 3 and not any(name.startswith("/") for name in files), files
        for name in files:
            equal((name, self.proxy.ask("GET", f"/{name}")[0]), (name, 200))

    def claims(self):
        """What a client claims of others: a guest is one no more, or nobody listens."""
        claim = {"X-Forwarded-For": "192.0.2.1"}
        # nginx adds to it whom it speaks for, HAProxy leaves it as it is.
        wanted = {"nginx": 200, "haproxy": 401}[self.proxy.name]
        equal(self.proxy.ask("GET", "/api/whoami", headers=claim)[0], wanted)

    def json(self):
        """JSON over WebSocket."""
        async def said():
            url = f"ws://127.0.0.1:{self.proxy.http}{self.proxy.path}/ws/json"
            async with websockets.connect(url, subprotocols=["ferrymq.json"]) as socket:
                await socket.send(json.dumps(
                    {"op": "login", "id": 0, "user": "guest", "password": "guest"}))
                return json.loads(await asyncio.wait_for(socket.recv(), WAIT_S_MAX))
        equal(asyncio.run(said()), {"op": "ok", "id": 0})


def round_trip(connection):
    """A message through a queue of the connection's own."""
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, b"hello")
    equal(channel.basic_get(queue, auto_ack=True)[2], b"hello")


class Events:
    """Server-sent events of a queue, through a proxy."""

    def __init__(self, proxy, queue):
        self.connection = http.client.HTTPConnection("127.0.0.1", proxy.http, 3 * EVENTS_QUIET_S)
        path = f"{proxy.path}/api/ferry/subscribe/%2F/{queue}"
        self.connection.request("GET", path, headers=GUEST)
        self.answer = self.connection.getresponse()
        equal(self.answer.status, 200)

    def until(self, wanted):
        """Reads up to a line that has this in it."""
        while line := self.answer.readline():
            if wanted in line:
                return
        raise AssertionError(f"the events ended before {wanted!r}")


def quiet(behind):
    """Nothing is said for longer than the proxy allows, but what keeps connections alive."""
    connection, _ = behind.amqp(heartbeat=QUIET_S // 2)
    client = behind.mqtt(keepalive=QUIET_S // 2)
    ended = []
    client.on_disconnect = lambda *_: ended.append(time.monotonic())
    queue = uuid.uuid4().hex
    equal(behind.proxy.ask("PUT", f"/api/queues/%2F/{queue}", {})[0], 201)
    events = Events(behind.proxy, queue)
    events.until(b": subscribed")
    connection.process_data_events(EVENTS_QUIET_S + 4)
    round_trip(connection)
    connection.channel().basic_publish("", queue, b"a word at last")
    events.until(b"a word at last")
    events.connection.close()
    connection.close()
    equal(ended, [])
    client.disconnect()
    client.loop_stop()


def unnamed(node):
    """A proxy that nobody has named: its clients are not of this machine; others are."""
    equal(ask(node.http, "GET", "/api/whoami")[0], 200)
    for mark in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        status, _ = ask(node.http, "GET", "/api/whoami", headers={mark: "127.0.0.1"})
        equal((mark, status), (mark, 401))


def named(node):
    """Who is named tells the client, or is none; a PROXY header is wanted from the other one."""
    for claim, status in (("127.0.0.1", 200), ("192.0.2.1", 401), ("127.0.0.1, 192.0.2.1", 401),
                          ("192.0.2.1, 127.0.0.1", 200), ("nobody", 401)):
        headers = {"X-Forwarded-For": claim}
        found, _ = ask(node.http, "GET", "/api/whoami", headers=headers, source=NGINX)
        equal((claim, found), (claim, status))
    equal(ask(node.http, "GET", "/api/whoami", source=NGINX)[0], 200)
    try:
        found = ask(node.http, "GET", "/api/whoami", source=HAPROXY)
    except (OSError, http.client.HTTPException):
        return
    raise AssertionError(f"answered without a header: {found}")


def stopped(node, proxy):
    """HAProxy sends nobody to a node that stops, and everybody to one that is back."""
    node.stop()
    until(lambda: proxy.ask("GET", "/api/whoami")[0] == 503)
    node.start()
    until(lambda: proxy.ask("GET", "/api/whoami")[0] == 200)


def judge(node, proxies):
    """All checks."""
    for proxy in proxies:
        behind, name = Behind(node, proxy), f"proxies: {proxy.name}"
        CHECKS.run(f"{name} AMQP", behind.over_amqp)
        CHECKS.run(f"{name} MQTT", lambda behind=behind: behind.over_mqtt("tcp"))
        CHECKS.run(f"{name} MQTT over WebSocket",
                   lambda behind=behind: behind.over_mqtt("websockets"))
        CHECKS.run(f"{name} JSON over WebSocket", behind.json)
        CHECKS.run(f"{name} HTTP", behind.over_http)
        CHECKS.run(f"{name} page", behind.page)
        CHECKS.run(f"{name} claims", behind.claims)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waits = [(proxy.name, pool.submit(quiet, Behind(node, proxy))) for proxy in proxies]
        for name, wait in waits:
            CHECKS.run(f"proxies: {name} quiet", wait.result)
    CHECKS.run("proxies: a proxy without a name", lambda: unnamed(node))
    CHECKS.run("proxies: whom a named one tells", lambda: named(node))
    assert "panicked" not in (node.folder / "output").read_text(errors="replace")
    CHECKS.run("proxies: a node that stops", lambda: stopped(node, proxies[0]))


def main():
    """A node, both in front of it."""
    with Node() as node:
        proxies = []
        try:
            for kind in (HaProxy, Nginx):
                proxies.append(kind(node))
                proxies[-1].wait()
            judge(node, proxies)
        finally:
            for proxy in proxies:
                proxy.stop()
    CHECKS.finish()


if __name__ == "__main__":
    main()
