"""An HTTP service that decides about log-ins, as RabbitMQ's plug-in asks it."""

import functools
import http.server
import threading
import time
import urllib.parse

import lib
import pika
from kit import Node, connect, equal, refused, round_trip

CHECKS = lib.Checks()
DENIED = (pika.exceptions.ProbableAuthenticationError, pika.exceptions.AMQPConnectionError)


class Service(http.server.BaseHTTPRequestHandler):
    """Knows alice, and bob who may not enter."""
    asked = []

    def do_POST(self):
        """One decision."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        kind = self.path.split("/")[-1]
        Service.asked.append((kind, form))
        if kind == "user" and form["username"] == "slow":
            time.sleep(3)
        answer = {
            "user": "allow administrator" if form.get("password") == "right" else "deny",
            "vhost": "deny" if form["username"] == "bob" else "allow",
        }.get(kind, "allow").encode()
        code = 500 if form["username"] == "broken" else 200
        self.send_response(code)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Says nothing."""


def log_in(node, user, password="right"):
    """A connection."""
    return connect(node.port, pika.PlainCredentials(user, password))


def who_gets_in(node):
    """Who is allowed, and nobody else."""
    with log_in(node, "alice") as connection:
        round_trip(connection)
    with log_in(node, "a&b=c ü") as connection:
        round_trip(connection)
    for user, password in (("alice", "wrong"), ("broken", "right"), ("alice", "")):
        refused(DENIED, lambda user=user, password=password: log_in(node, user, password))
    refused((pika.exceptions.ConnectionClosedByBroker, pika.exceptions.ProbableAccessDeniedError),
            lambda: log_in(node, "bob"))


def what_is_asked(node):
    """The fields, in RabbitMQ's words."""
    Service.asked.clear()
    with log_in(node, "carol"):
        pass
    kinds = dict(Service.asked)
    equal(kinds["user"], {"username": "carol", "password": "right"})
    equal(kinds["vhost"], {"username": "carol", "vhost": "/", "ip": "127.0.0.1",
                           "tags": "administrator"})


def decisions_are_remembered(node):
    """A right is asked for once; a password each time."""
    for _ in range(3):
        with log_in(node, "dave"):
            pass
    asked = [kind for kind, form in Service.asked if form["username"] == "dave"]
    equal((asked.count("user"), asked.count("vhost")), (3, 1))


def slow_service(node):
    """Who waits for the service keeps nobody waiting, and is refused when it takes too long."""
    def slow():
        refused(DENIED, lambda: log_in(node, "slow"))
    waiting = [threading.Thread(target=slow) for _ in range(20)]
    for thread in waiting:
        thread.start()
    time.sleep(0.3)
    began = time.monotonic()
    with connect(node.port) as connection:
        round_trip(connection)
    assert time.monotonic() - began < 1
    for thread in waiting:
        thread.join()


def main():
    """One service, one node; then the service is gone."""
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    flags = ["--auth-backends", "internal", "--auth-backends", "http", "--auth-http-timeout-ms", 2000]
    for kind in ("user", "vhost", "resource", "topic"):
        flags += [f"--auth-http-{kind}-path",
                  f"http://127.0.0.1:{service.server_address[1]}/auth/{kind}"]
    with Node(*flags) as node:
        for check in (who_gets_in, what_is_asked, decisions_are_remembered, slow_service):
            CHECKS.run(f"service {check.__name__}", functools.partial(check, node))
        service.shutdown()
        service.server_close()
        CHECKS.run("service gone", lambda: refused(DENIED, lambda: log_in(node, "alice")))
        log = node.log()
        assert "panicked" not in log
        CHECKS.run("service no_password_in_the_log", lambda: equal("right" in log, False))
    CHECKS.finish()


if __name__ == "__main__":
    main()
