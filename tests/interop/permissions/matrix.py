"""Every operation with every set of rights: what a broker lets pass, cell by cell.

A table is {section: {operation: {column: cell}}}, and is kept with equal cells together. A column is a user with certain rights or tags, a
cell is `ok`, or the code and the words of the refusal. Nothing here knows what is right: `record`
writes a table from RabbitMQ, the judge compares another broker's with it.

Invariants
- Each cell starts from the same objects: what the cell before has changed is put back.
- A refusal's words are kept whole, but for names of nodes.
"""

import base64
import json
import re
import urllib.error
import urllib.parse
import urllib.request

import pika

VHOST = "matrix"
MADE_UP = re.compile(r"amq\.gen-[\w-]+")
# configure, write, read
RIGHTS = {
    "none": ("", "", ""),
    "c": (".*", "", ""),
    "w": ("", ".*", ""),
    "r": ("", "", ".*"),
    "cw": (".*", ".*", ""),
    "cr": (".*", "", ".*"),
    "wr": ("", ".*", ".*"),
    "cwr": (".*", ".*", ".*"),
    "from x to q": ("", "^q$", "^x$"),
    "from q to x": ("", "^x$", "^q$"),
    "from x to y": ("", "^y$", "^x$"),
    "new alone": ("^new$", "^new$", "^new$"),
    "default exchange": ("", "^amq\\.default$", ""),
    "generated names": ("^amq\\.gen-.*", "^amq\\.gen-.*", "^amq\\.gen-.*"),
    "part of a name": ("e", "e", "e"),
}
TAGS = ["", "management", "policymaker", "monitoring", "administrator"]
QUORUM = {"x-queue-type": "quorum"}

AMQP = {
    "exchange.declare new": lambda c: c.exchange_declare("new", "fanout"),
    "exchange.declare as it is": lambda c: c.exchange_declare("x", "topic"),
    "exchange.declare otherwise": lambda c: c.exchange_declare("x", "fanout"),
    "exchange.declare passive": lambda c: c.exchange_declare("x", passive=True),
    "exchange.declare passive, missing": lambda c: c.exchange_declare("gone", passive=True),
    "exchange.declare with alternate": lambda c: c.exchange_declare(
        "new", "fanout", arguments={"alternate-exchange": "y"}),
    "exchange.declare reserved": lambda c: c.exchange_declare("amq.new", "fanout"),
    "exchange.declare default": lambda c: c.exchange_declare("", "direct"),
    "exchange.delete": lambda c: c.exchange_delete("x"),
    "exchange.delete missing": lambda c: c.exchange_delete("gone"),
    "exchange.delete of the broker": lambda c: c.exchange_delete("amq.topic"),
    "exchange.bind": lambda c: c.exchange_bind("y", "x", "k"),
    "exchange.bind from missing": lambda c: c.exchange_bind("y", "gone", "k"),
    "exchange.bind from default": lambda c: c.exchange_bind("y", "", "k"),
    "exchange.unbind": lambda c: c.exchange_unbind("y", "x", "k"),
    "queue.declare new": lambda c: c.queue_declare("new"),
    "queue.declare named by the broker": lambda c: c.queue_declare("", exclusive=True),
    "queue.declare as it is": lambda c: c.queue_declare("q"),
    "queue.declare otherwise": lambda c: c.queue_declare("q", durable=True),
    "queue.declare passive": lambda c: c.queue_declare("q", passive=True),
    "queue.declare passive, missing": lambda c: c.queue_declare("gone", passive=True),
    "queue.declare with dead letters": lambda c: c.queue_declare(
        "new", arguments={"x-dead-letter-exchange": "y"}),
    "queue.declare with dead letters to default": lambda c: c.queue_declare(
        "new", arguments={"x-dead-letter-exchange": ""}),
    "queue.declare quorum": lambda c: c.queue_declare("new", durable=True, arguments=QUORUM),
    "queue.declare reserved": lambda c: c.queue_declare("amq.new"),
    "queue.delete": lambda c: c.queue_delete("q"),
    "queue.delete missing": lambda c: c.queue_delete("gone"),
    "queue.purge": lambda c: c.queue_purge("q"),
    "queue.purge missing": lambda c: c.queue_purge("gone"),
    "queue.bind": lambda c: c.queue_bind("q", "x", "k"),
    "queue.bind missing queue": lambda c: c.queue_bind("gone", "x", "k"),
    "queue.bind missing exchange": lambda c: c.queue_bind("q", "gone", "k"),
    "queue.bind default": lambda c: c.queue_bind("q", "", "k"),
    "queue.unbind": lambda c: c.queue_unbind("q", "x", "k"),
    "basic.publish": lambda c: publish(c, "x", "k"),
    "basic.publish default": lambda c: publish(c, "", "q"),
    "basic.publish missing": lambda c: publish(c, "gone", "k"),
    "basic.publish in a transaction": lambda c: (c.tx_select(), publish(c, "x", "k", False)),
    "basic.get": lambda c: c.basic_get("q", auto_ack=True),
    "basic.get missing": lambda c: c.basic_get("gone", auto_ack=True),
    "basic.consume": lambda c: c.basic_consume("q", print),
    "basic.consume missing": lambda c: c.basic_consume("gone", print),
    "basic.consume replies": lambda c: c.basic_consume("amq.rabbitmq.reply-to", print, True),
}

# With topic permissions for x: write ^a, read ^b.
TOPICS = {
    "publish allowed": lambda c: publish(c, "x", "a.1"),
    "publish refused": lambda c: publish(c, "x", "b.1"),
    "publish to another exchange": lambda c: publish(c, "y", "b.1"),
    "bind allowed": lambda c: c.queue_bind("q", "x", "b.#"),
    "bind refused": lambda c: c.queue_bind("q", "x", "a.#"),
    "unbind refused": lambda c: c.queue_unbind("q", "x", "a.#"),
    "exchange bind refused": lambda c: c.exchange_bind("y", "x", "a.#"),
    "bind to another exchange": lambda c: c.queue_bind("q", "y", "a.#"),
}

MESSAGE = {"properties": {}, "routing_key": "k", "payload": "p", "payload_encoding": "string"}
GET = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
ACTS = {
    "declare a queue": ("PUT", "queues/{v}/new", {"durable": True}),
    "delete a queue": ("DELETE", "queues/{v}/q", None),
    "purge a queue": ("DELETE", "queues/{v}/q/contents", None),
    "get messages": ("POST", "queues/{v}/q/get", GET),
    "declare an exchange": ("PUT", "exchanges/{v}/new", {"type": "fanout"}),
    "delete an exchange": ("DELETE", "exchanges/{v}/x", None),
    "publish": ("POST", "exchanges/{v}/x/publish", MESSAGE),
    "publish to default": ("POST", "exchanges/{v}/amq.default/publish", MESSAGE),
    "bind a queue": ("POST", "bindings/{v}/e/x/q/q", {"routing_key": "k"}),
    "bind an exchange": ("POST", "bindings/{v}/e/x/e/y", {"routing_key": "k"}),
    "see a queue": ("GET", "queues/{v}/q", None),
    "see an exchange": ("GET", "exchanges/{v}/x", None),
    "see queues": ("GET", "queues/{v}", None),
    "see bindings": ("GET", "bindings/{v}", None),
}

SEEN = [
    "whoami", "overview", "cluster-name", "nodes", "nodes/{n}", "extensions", "connections",
    "channels", "consumers", "exchanges", "exchanges/{v}", "exchanges/gone", "queues", "queues/{v}",
    "queues/gone", "queues/{v}/q", "queues/{v}/q/bindings", "bindings", "bindings/{v}",
    "bindings/{v}/e/x/q/q", "exchanges/{v}/x/bindings/source", "vhosts", "vhosts/{v}", "vhosts/gone",
    "vhosts/{v}/permissions", "vhosts/{v}/topic-permissions", "users", "users/u", "users/gone",
    "users/without-permissions", "users/u/permissions", "users/u/topic-permissions", "permissions",
    "permissions/{v}/u", "topic-permissions", "topic-permissions/{v}/u", "policies", "policies/{v}",
    "policies/{v}/gone", "operator-policies", "operator-policies/{v}", "operator-policies/{v}/gone",
    "vhost-limits", "vhost-limits/{v}", "user-limits", "user-limits/u", "auth", "auth/attempts/{n}",
    "definitions", "definitions/{v}", "parameters", "global-parameters", "feature-flags",
    "health/checks/alarms", "health/checks/virtual-hosts",
]
POLICY = {"pattern": "^never$", "definition": {"max-length": 5}}
WRITTEN = {
    "policy": ("PUT", "policies/{v}/p", POLICY),
    "no policy": ("DELETE", "policies/{v}/gone", None),
    "operator policy": ("PUT", "operator-policies/{v}/p", POLICY),
    "user": ("PUT", "users/new", {"password": "p", "tags": ""}),
    "no user": ("DELETE", "users/gone", None),
    "users": ("POST", "users/bulk-delete", {"users": []}),
    "permission": ("PUT", "permissions/{v}/new", {"configure": "", "write": "", "read": ""}),
    "no permission": ("DELETE", "permissions/{v}/gone", None),
    "topic permission": ("PUT", "topic-permissions/{v}/new",
                         {"exchange": "x", "write": "", "read": ""}),
    "vhost": ("PUT", "vhosts/new", {}),
    "no vhost": ("DELETE", "vhosts/gone", None),
    "vhost limit": ("PUT", "vhost-limits/{v}/max-queues", {"value": 1000}),
    "no vhost limit": ("DELETE", "vhost-limits/{v}/max-queues", None),
    "user limit": ("PUT", "user-limits/u/max-channels", {"value": 1000}),
    "no user limit": ("DELETE", "user-limits/u/max-channels", None),
}
# What those may have changed, to be put back.
CHANGED = ["vhosts/new", "policies/{v}/p", "operator-policies/{v}/p", "vhost-limits/{v}/max-queues",
           "user-limits/u/max-channels"]


def publish(channel, exchange, key, confirm=True):
    """A publish whose refusal is waited for."""
    if confirm:
        channel.confirm_delivery()
    channel.basic_publish(exchange, key, b"p")
    if not confirm:
        channel.tx_commit()


class Matrix:
    """One broker, asked for all cells."""

    def __init__(self, host, port, http):
        self.host, self.port, self.url = host, port, f"http://{host}:{http}/api/"
        self.node = ""
        self.node = self.call("GET", "overview")[1]["node"]

    def call(self, method, path, body=None, user="guest", password="guest"):
        """A request; gives its status, and its answer as JSON if it is that."""
        path = path.format(v=urllib.parse.quote(VHOST, safe=""), n=self.node)
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method, headers={
            "Authorization": f"Basic {token}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text) if text else None
        except ValueError:
            return status, None

    def must(self, method, path, body=None):
        """A request of an administrator that succeeds."""
        status, answer = self.call(method, path, body)
        assert status < 300, (method, path, status, answer)

    def connect(self, user="guest", vhost=VHOST):
        """A connection; guest's password is guest, everybody else's is the name."""
        credentials = pika.PlainCredentials(user, user)
        return pika.BlockingConnection(pika.ConnectionParameters(
            self.host, self.port, vhost, credentials, connection_attempts=1,
            socket_timeout=10, blocked_connection_timeout=10))

    def prepare(self):
        """Users, a virtual host, and a connection that puts things back."""
        self.must("PUT", f"vhosts/{VHOST}")
        self.must("PUT", "permissions/{v}/guest", everything())
        for user in ("u", "h"):
            tags = "management" if user == "h" else ""
            self.must("PUT", f"users/{user}", {"password": user, "tags": tags})
        for tag in TAGS:
            for user in (f"t-{tag}", f"p-{tag}"):
                self.must("PUT", f"users/{user}", {"password": user, "tags": tag})
            self.must("PUT", "permissions/{v}/" + f"p-{tag}", everything())
        self.keeper = self.connect().channel()

    def restore(self):
        """The objects that every cell starts from."""
        keeper = self.keeper
        for name in ("new", "gone", "q"):
            keeper.queue_delete(name)
        for name in ("new", "gone", "x", "y"):
            keeper.exchange_delete(name)
        keeper.exchange_declare("x", "topic")
        keeper.exchange_declare("y", "fanout")
        keeper.queue_declare("q")

    def refusal(self, user, act):
        """What an act of AMQP comes to on a channel of its own."""
        self.restore()
        try:
            if self.connections.get(user) is None or self.connections[user].is_closed:
                self.connections[user] = self.connect(user)
            channel = self.connections[user].channel()
            act(channel)
            channel.close()
            return "ok"
        except (pika.exceptions.ChannelClosedByBroker,
                pika.exceptions.ConnectionClosedByBroker) as closed:
            return f"{closed.reply_code} {MADE_UP.sub('amq.gen-*', closed.reply_text)}"

    def answer(self, user, method, path, body):
        """What a request comes to: its status, and why or how many."""
        status, answer = self.call(method, path, body, user, user)
        if isinstance(answer, list):
            return f"{status} [{len(answer)}]" if counted(path) else f"{status} [..]"
        reason = answer.get("reason") if isinstance(answer, dict) and status >= 400 else None
        text = str(status) if reason is None else f"{status} {reason}"
        return text.replace(self.node, "NODE")

    def table(self):
        """All cells."""
        self.prepare()
        self.connections = {}
        table = {"amqp": {}, "topics": {}, "http acts": {}, "http seen": {}, "http written": {}}
        for column, rights in RIGHTS.items():
            names = ("configure", "write", "read")
            for user in ("u", "h"):
                self.must("PUT", "permissions/{v}/" + user, dict(zip(names, rights)))
            for name, act in AMQP.items():
                table["amqp"].setdefault(name, {})[column] = self.refusal("u", act)
            for name, request in ACTS.items():
                self.restore()
                table["http acts"].setdefault(name, {})[column] = self.answer("h", *request)
        self.must("PUT", "permissions/{v}/u", everything())
        self.must("PUT", "topic-permissions/{v}/u",
                  {"exchange": "x", "write": "^a", "read": "^b"})
        for name, act in TOPICS.items():
            table["topics"].setdefault(name, {})["u"] = self.refusal("u", act)
        self.must("DELETE", "topic-permissions/{v}/u")
        table["amqp"]["connection.open"] = {
            "none": self.opened("t-"), "cwr": self.opened("p-"), "missing": self.opened("p-", "gone")}
        self.restore()
        for tag in TAGS:
            for user in (f"t-{tag}", f"p-{tag}"):
                column = f"{tag or 'no tag'}, {'all' if user[0] == 'p' else 'no'} rights"
                for path in SEEN:
                    cell = self.answer(user, "GET", path, None)
                    table["http seen"].setdefault(path, {})[column] = cell
                for name, request in WRITTEN.items():
                    self.must("PUT", "users/new", {"password": "p", "tags": ""})
                    cell = self.answer(user, *request)
                    table["http written"].setdefault(name, {})[column] = cell
                    for changed in CHANGED:
                        self.call("DELETE", changed)
        return table

    def opened(self, user, vhost=VHOST):
        """What `connection.open` comes to."""
        try:
            self.connect(user, vhost).close()
            return "ok"
        except pika.exceptions.ConnectionClosedByBroker as closed:
            return f"{closed.reply_code} {closed.reply_text}"
        except pika.exceptions.AMQPConnectionError as error:
            return f"{type(error).__name__}"


def folded(table):
    """A table for people: {section: {operation: {cell: [column...]}}}."""
    out = {}
    for section, operations in table.items():
        for name, cells in operations.items():
            fold = out.setdefault(section, {}).setdefault(name, {})
            for column, cell in cells.items():
                fold.setdefault(cell, []).append(column)
    return out


def written(version, table):
    """The text of a recorded table, one line for each operation and cell."""
    text = json.dumps({"version": version, "table": folded(table)}, indent=1)
    return re.sub(r"\[\s+(.*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text, flags=re.S) + "\n"


def read(path):
    """A recorded table: its version, and {section: {operation: {column: cell}}}."""
    recorded = json.loads(path.read_text())
    unfold = {section: {name: {column: cell for cell, columns in cells.items() for column in columns}
                        for name, cells in operations.items()}
              for section, operations in recorded["table"].items()}
    return recorded["version"], unfold


def everything():
    """All rights."""
    return {"configure": ".*", "write": ".*", "read": ".*"}


def counted(path):
    """Whether a list has as many objects with every broker."""
    return not path.startswith(("nodes", "exchanges", "extensions", "feature", "global", "auth",
                                "channels", "connections"))
