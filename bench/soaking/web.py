"""Clients of HTTP and of JSON over WebSocket, and the churn of everything that can be declared."""

import base64
import http.client
import json
import random
import time

from websockets.sync.client import connect as websocket

from .amqp import connect
from .worker import Worker

LOGIN = "Basic " + base64.b64encode(b"guest:guest").decode()
IDLE_S_MAX = 5
PAGES = ("/api/overview", "/api/queues", "/api/connections", "/api/exchanges", "/metrics",
         "/metrics/per-object", "/api/definitions", "/api/ferry/alarms")


class Http:
    """A connection that is kept."""

    def __init__(self, node):
        self.connection = http.client.HTTPConnection("127.0.0.1", node.http, timeout=20)
        self.asked_at = time.monotonic()

    def ask(self, method, path, body=None, kind="application/json", may_be=()):
        """The answer's body; anything but 2xx is an error."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if time.monotonic() - self.asked_at > IDLE_S_MAX:
            self.connection.close()  # the node ends it after 10 s; the next request opens another
        self.asked_at = time.monotonic()
        head = {"Authorization": LOGIN} | ({"Content-Type": kind} if body is not None else {})
        self.connection.request(method, path, body, head)
        answer = self.connection.getresponse()
        data = answer.read()
        if not 200 <= answer.status < 300 and answer.status not in may_be:
            raise AssertionError(f"{method} {path}: {answer.status} {data[:200]}")
        return data

    def close(self):
        """Ends it."""
        self.connection.close()


class OverHttp(Worker):
    """Publishes and leases by HTTP, settles, and looks at the pages of the management."""

    title, pause_s = "HTTP publish, lease, get", 0.2
    http = None
    QUEUE = "soak.http"

    def open(self):
        self.http = Http(self.node)
        self.http.ask("PUT", f"/api/queues/%2F/{self.QUEUE}", {"durable": True})

    def step(self):
        if self.publishing:
            number = self.number()
            try:
                self.http.ask("POST", "/api/ferry/publish/%2F/amq.default?mandatory=true"
                              f"&routing_key={self.QUEUE}", self.body(number, 300), "text/plain")
            except BaseException:
                self.unsure(number)
                raise
        got = self.http.ask("POST", f"/api/ferry/lease/%2F/{self.QUEUE}", {"max": 20})
        leases = []
        for message in json.loads(got)["messages"]:
            outcome = "accept"
            if int(message["payload"][:12]) % 5 == 0 and not message.get("redelivered"):
                outcome = "requeue"
            else:
                self.came(message["payload"].encode())
            leases.append({"lease": message["lease"], "outcome": outcome})
        if leases:
            self.http.ask("POST", f"/api/ferry/settle/%2F/{self.QUEUE}", {"leases": leases})
        if self.steps % 10 == 0:
            self.http.ask("GET", PAGES[self.steps // 10 % len(PAGES)])

    def close(self):
        if self.http is not None:
            self.http.close()

    def clear(self):
        client = Http(self.node)
        client.ask("DELETE", f"/api/queues/%2F/{self.QUEUE}")
        client.close()


class OverJson(Worker):
    """Publishes and consumes as JSON over WebSocket."""

    title = "JSON over WebSocket"
    socket = None
    QUEUE = "soak.json"

    def open(self):
        client = Http(self.node)
        client.ask("PUT", f"/api/queues/%2F/{self.QUEUE}", {"durable": True})
        client.close()
        self.socket = websocket(f"ws://127.0.0.1:{self.node.http}/ws/json",
                                subprotocols=["ferrymq.json"])
        self.asked = {}
        self.say(op="login", user="guest", password="guest")
        self.say(op="subscribe", id=0, queue=self.QUEUE)

    def say(self, **what):
        """Sends a request."""
        self.socket.send(json.dumps(what))

    def step(self):
        if self.publishing:
            for _ in range(2):
                number = self.number()
                self.asked[number + 1] = number
                self.say(op="publish", id=number + 1, key=self.QUEUE,
                         body=self.body(number, 100).decode(), properties={"delivery_mode": 2})
        try:
            while True:
                self.hear(json.loads(self.socket.recv(timeout=0.02)))
        except TimeoutError:
            pass

    def hear(self, said):
        """An answer or a message."""
        if said["op"] == "message":
            self.came(said["body"].encode())
            self.say(op="ack", tag=said["tag"])
        elif said["op"] == "ok":
            self.asked.pop(said.get("id"), None)
        else:
            self.wrong(str(said))

    def close(self):
        if self.socket is not None:
            for number in self.asked.values():
                self.unsure(number)
            self.socket.close()
            self.socket = None

    def clear(self):
        client = Http(self.node)
        client.ask("DELETE", f"/api/queues/%2F/{self.QUEUE}")
        client.close()


class Churn(Worker):
    """Connections, channels, queues, bindings, policies and users that come and go."""

    title, pause_s = "churn", 0.5
    http = connection = None
    turns = 0

    def open(self):
        self.http = Http(self.node)

    def step(self):
        if not self.publishing:
            return
        turn = self.turns % 50
        self.turns += 1
        user, policy = f"soak-user-{turn}", f"soak-policy-{turn}"
        self.http.ask("PUT", f"/api/users/{user}", {"password": user, "tags": ""})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.http.ask("PUT", f"/api/permissions/%2F/{user}", everything)
        rule = {"pattern": f"^churn.{turn}.", "definition": {"max-length": 100 + turn},
                "apply-to": "queues"}
        self.http.ask("PUT", f"/api/policies/%2F/{policy}", rule)
        self.objects(user, turn)
        self.http.ask("DELETE", f"/api/policies/%2F/{policy}")
        self.http.ask("DELETE", f"/api/users/{user}")

    def objects(self, user, turn):
        """What a client declares, and how it goes: in order, or with its channels open."""
        connection = self.connection = connect(self.node, user)
        channels = [connection.channel() for _ in range(4)]
        exchange = f"churn.{turn}.x"
        channels[0].exchange_declare(exchange, random.choice(("topic", "direct", "headers")))
        for at, channel in enumerate(channels):
            queue = f"churn.{turn}.{at}"
            channel.queue_declare(queue, durable=at % 2 == 0, exclusive=at == 3,
                                  arguments={"x-expires": 60_000} if at == 1 else {})
            for key in range(5):
                channel.queue_bind(queue, exchange, f"k.{key}.{turn}")
            channel.basic_consume(queue, lambda *_: None)
            channel.basic_publish(exchange, f"k.1.{turn}", b"churned")
            self.delivered += 1
        connection.process_data_events(0)
        for at in range(3):
            channels[3].queue_delete(f"churn.{turn}.{at}")
        channels[3].exchange_delete(exchange)
        if turn % 3:
            connection.close()
        else:
            connection._impl._transport.abort()  # as when a process dies
            self.connection = None  # pika takes it for open
            time.sleep(0.05)

    def close(self):
        if self.connection is not None and self.connection.is_open:
            self.quietly(self.connection.close)
        if self.http is not None:
            self.http.close()

    def clear(self):
        client = Http(self.node)
        for turn in range(50):
            client.ask("DELETE", f"/api/policies/%2F/soak-policy-{turn}", may_be=(404,))
            client.ask("DELETE", f"/api/users/soak-user-{turn}", may_be=(404,))
        client.close()


WORKERS = (OverHttp, OverJson, Churn)
