"""Libraries for RabbitMQ's management API against a node: pyrabbit2, and amqpstorm's client.

Environment: HTTP_PORT, PORT. Prints `ok` or `FAIL` for every check, and a total.
"""

import os
import time
import uuid

import amqpstorm
import requests
from amqpstorm.management import ManagementApi
from lib import Checks
from pyrabbit2.api import Client

HTTP = f"127.0.0.1:{os.environ['HTTP_PORT']}"
PORT = int(os.environ["PORT"])
GUEST = ("guest", "guest")
V, Q, X = "v" + uuid.uuid4().hex[:6], "q1", "x1"
rabbit, storm = Client(HTTP, *GUEST), ManagementApi(f"http://{HTTP}", *GUEST)
checks = Checks()


def check(name, probe):
    """A check holds if its probe gives nothing or something true."""
    def run():
        result = probe()
        assert result is None or result, result
    checks.run(f"client: {name}", run)


def eventually(probe, limit_s=12):
    """Whether a probe comes true within the limit."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        try:
            if probe():
                return True
        except Exception:  # it may come true yet
            pass
        time.sleep(0.25)
    raise AssertionError("never came true")


def http(method, path, **more):
    """One request as guest."""
    return requests.request(method, f"http://{HTTP}/api/{path}", auth=GUEST, timeout=10, **more)


def closed_by_name():
    """A connection is listed with its client's properties, and closed by its name."""
    client = amqpstorm.Connection("127.0.0.1", *GUEST, port=PORT)

    def mine():
        return [one for one in storm.connection.list()
                if "AMQPStorm" in str(one.get("client_properties"))]

    def gone():
        try:
            client.check_for_errors()
        except amqpstorm.AMQPError:
            return True
        return not client.is_open

    try:
        eventually(mine)
        storm.connection.close(mine()[0]["name"], "judge")
        eventually(gone)
    finally:
        try:
            client.close()
        except amqpstorm.AMQPError:
            pass


def cleanup():
    """Leaves nothing behind."""
    check("delete a queue", lambda: rabbit.delete_queue(V, Q) is not False)
    check("delete a virtual host", lambda: rabbit.delete_vhost(V) is not False)


def everything():
    """All checks, in order."""
    check("overview", lambda: storm.overview()["cluster_name"])
    check("whoami", lambda: rabbit.get_whoami()["name"] == "guest")
    check("nodes", lambda: storm.nodes()[0]["name"])
    check("create a virtual host", lambda: rabbit.create_vhost(V))
    check("permission", lambda: rabbit.set_vhost_permissions(V, "guest", ".*", ".*", ".*"))
    check("alive", lambda: rabbit.is_alive(V))
    check("create a queue", lambda: rabbit.create_queue(
        V, Q, durable=True, arguments={"x-max-priority": 5}))
    check("create an exchange", lambda: rabbit.create_exchange(V, X, "topic"))
    check("bind", lambda: rabbit.create_binding(V, X, Q, "a.*") is not False)
    check("bindings of a queue", lambda: len(rabbit.get_queue_bindings(V, Q)) == 2)
    check("publish is routed", lambda: rabbit.publish(V, X, "a.b", "hello"))
    check("publish to nobody says so", lambda: rabbit.publish(V, X, "zzz", "hello") is False)
    check("get and requeue",
          lambda: rabbit.get_messages(V, Q, 1, True)[0]["payload"] == "hello")
    check("depth", lambda: eventually(lambda: rabbit.get_queue_depth(V, Q) == 1))
    check("get and take", lambda: storm.basic.get(Q, V, requeue=False)[0].body == "hello")
    check("declare by the other", lambda: storm.queue.declare("q2", V, durable=True) is not False)
    check("bind by the other", lambda: storm.queue.bind("q2", X, "b", V) is not False)
    check("publish by the other", lambda: storm.basic.publish("b", "b", X, V)["routed"])
    check("unbind by the other", lambda: storm.queue.unbind("q2", X, "b", V) is not False)
    check("bindings by the other", lambda: len(storm.queue.bindings("q2", V)) == 1)
    check("purge by the other", lambda: storm.queue.purge("q2", V) is not False)
    check("delete by the other", lambda: storm.queue.delete("q2", V) is not False)
    check("purge", lambda: rabbit.purge_queue(V, Q) is not False)
    policy = {"pattern": "^q", "definition": {"max-length": 5}, "apply-to": "queues"}
    check("policy", lambda: http("PUT", f"policies/{V}/p1", json=policy).status_code in (201, 204))
    check("user", lambda: (storm.user.create("u" + V, "pw", tags="monitoring"),
                           storm.user.delete("u" + V))[0] is not False)
    check("health", lambda: http("GET", "health/checks/alarms").json()["status"] == "ok")
    check("definitions", lambda: "queues" in http("GET", "definitions").json())
    check("a connection is closed", closed_by_name)
    check("channels and connections", lambda: storm.channel.list() is not None
          and rabbit.get_connections() is not None)
    check("a wrong password", lambda: requests.get(
        f"http://{HTTP}/api/whoami", auth=("guest", "no"), timeout=10).status_code == 401)
    check("an unknown queue", lambda: http("GET", "queues/%2F/none-such").status_code == 404)
    # KEDA's scaler and others like it ask for these, and find nothing where nothing happened.
    scaled = "queues/%2F?page=1&use_regex=true&pagination=false&name=none&page_size=100"
    check("what scalers ask for", lambda: http("GET", scaled).json()["items"] == [])
    cleanup()


everything()
checks.finish()
