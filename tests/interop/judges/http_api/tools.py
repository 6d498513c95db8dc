"""A client of few lines for the HTTP API, queues of pika's, and the words of a check.

Owns: how a request is written and an answer read; nothing is retried.
"""

import base64
import contextlib
import http.client
import json
import os
import secrets
import time
import urllib.parse

import pika

HOST, PORT = os.environ["HOST"], int(os.environ["PORT"])
HTTP_PORT = int(os.environ.get("HTTP_PORT", "0"))
GUEST = "Basic " + base64.b64encode(b"guest:guest").decode()


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read()

    @property
    def json(self):
        """The body as JSON."""
        return json.loads(self.body)


class Api:
    """Asks one node, each time on a new connection."""

    def __init__(self, port=None):
        self.port = port or HTTP_PORT

    def ask(self, method, path, body=None, headers=None, timeout=70):
        """One request; a body that is no bytes goes as JSON."""
        all_headers = {"Authorization": GUEST, **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            all_headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout)
        try:
            sent = {name: value for name, value in all_headers.items() if value is not None}
            connection.request(method, "/api/ferry" + path, body, sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **more):
        """GET, which has to work."""
        return fine(self.ask("GET", path, **more)).json

    def post(self, path, body=None, **more):
        """POST, which has to work."""
        return fine(self.ask("POST", path, body, **more)).json

    def publish(self, queue, body, query="", **headers):
        """Publishes to a queue by its name."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        path = f"/publish/%2F/amq.default?routing_key={quoted(queue)}{query}"
        return self.ask("POST", path, body, headers)

    def lease(self, queue, **asked):
        """Leases messages."""
        return self.post(f"/lease/%2F/{quoted(queue)}", asked)["messages"]

    def settle(self, queue, *leases):
        """Settles `(token, outcome)` or `(token, outcome, delay_ms)`."""
        fields = ("lease", "outcome", "delay_ms")
        body = {"leases": [dict(zip(fields, one)) for one in leases]}
        return self.post(f"/settle/%2F/{quoted(queue)}", body)["results"]


def management(method, path, body=None):
    """The status of a request to the rest of the API."""
    connection = http.client.HTTPConnection(HOST, HTTP_PORT, timeout=20)
    head = {"Authorization": GUEST, "Content-Type": "application/json"}
    connection.request(method, "/api" + path, json.dumps(body) if body else None, head)
    status = connection.getresponse().status
    connection.close()
    return status


def quoted(name):
    """A name as a part of a path."""
    return urllib.parse.quote(name, safe="")


def fine(answer):
    """The answer, if it is no refusal."""
    assert answer.status < 300, f"{answer.status} {answer.body[:200]}"
    return answer


def equal(found, wanted):
    """Raises unless both are the same."""
    assert found == wanted, f"found {found!r:.200}, wanted {wanted!r:.200}"


def within(what, seconds=10):
    """Waits until `what()` is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextlib.contextmanager
def channel(port=None):
    """A channel of pika's, with confirms."""
    connection = pika.BlockingConnection(pika.ConnectionParameters(HOST, port or PORT))
    try:
        opened = connection.channel()
        opened.confirm_delivery()
        yield opened
    finally:
        with contextlib.suppress(pika.exceptions.AMQPError):
            connection.close()


@contextlib.contextmanager
def queue(arguments=None, port=None):
    """A channel and a new durable queue, which goes at the end."""
    name = "http-" + secrets.token_hex(4)
    with channel(port) as opened:
        opened.queue_declare(name, durable=True, arguments=arguments)
        try:
            yield opened, name
        finally:
            opened.queue_delete(name)


def checks_of(checks, names):
    """Runs the functions of a module that are named `check_...`."""
    for name, function in list(names.items()):
        if name.startswith("check_"):
            checks.run(f"http-api: {name[6:].replace('_', ' ')}", function)
    checks.finish()
