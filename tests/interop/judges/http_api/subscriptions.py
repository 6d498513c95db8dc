"""Server-sent events: automatic and manual settling, prefetch, reconnecting, the end."""

import contextlib
import json
import socket
import time

from lib import Checks
from tools import (GUEST, HOST, HTTP_PORT, Api, checks_of, equal, management, queue, within)

api = Api()


class Events:
    """A subscription, read event by event from its socket."""

    def __init__(self, path, headers=""):
        self.socket = socket.create_connection((HOST, HTTP_PORT), 20)
        head = f"GET /api/ferry{path} HTTP/1.1\r\nHost: h\r\nAuthorization: {GUEST}\r\n{headers}\r\n"
        self.socket.sendall(head.encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.head = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(": ")
            self.head[name.lower()] = value
        self.text = b""

    def _more(self):
        size = int(self.file.readline(), 16)
        self.text += self.file.read(size)
        self.file.readline()
        return size

    def next(self):
        """The next event, as (type, id, data); comments are passed over."""
        while True:
            while b"\n\n" not in self.text:
                if not self._more():
                    return None
            event, self.text = self.text.split(b"\n\n", 1)
            fields = dict(line.split(": ", 1) for line in event.decode().splitlines()
                          if not line.startswith(":"))
            if "data" in fields:
                return fields["event"], fields.get("id"), json.loads(fields["data"])

    def close(self):
        """Goes without a word."""
        self.file.close()
        self.socket.close()


def subscribe(name, query="", headers=""):
    """A subscription that is closed at the end."""
    return contextlib.closing(Events(f"/subscribe/%2F/{name}?{query}", headers))


def depth(opened, name):
    """How many messages are ready."""
    return opened.queue_declare(name, passive=True).method.message_count


def leased(name):
    """How many messages somebody has."""
    return len(api.get(f"/queues/%2F/{name}/leases?limit=500")["items"])


def check_events_come_as_messages_do():
    with queue() as (opened, name), subscribe(name) as events:
        equal((events.status, events.head["content-type"]), (200, "text/event-stream"))
        for n in range(50):
            opened.basic_publish("", name, b"%d" % n)
        found = [events.next() for _ in range(50)]
        equal([(kind, data["payload"]) for kind, _, data in found],
              [("message", str(n)) for n in range(50)])
        equal(found[0][2]["lease"], None)
        within(lambda: leased(name) == 0)
        equal(depth(opened, name), 0)


def check_manual_events_are_settled_by_their_tokens():
    with queue() as (opened, name), subscribe(name, "ack=manual&prefetch=3") as events:
        for n in range(10):
            opened.basic_publish("", name, b"%d" % n)
        tokens = [events.next()[2]["lease"] for _ in range(3)]
        time.sleep(0.3)
        equal((leased(name), depth(opened, name)), (3, 7))
        results = api.settle(name, *((token, "accept") for token in tokens))
        equal([result["settled"] for result in results], [True] * 3)
        equal([events.next()[2]["payload"] for _ in range(3)], ["3", "4", "5"])
        equal((leased(name), depth(opened, name)), (3, 4))


def check_what_a_subscriber_held_goes_back_when_it_goes():
    with queue() as (opened, name):
        for n in range(5):
            opened.basic_publish("", name, b"%d" % n)
        with subscribe(name, "ack=manual&prefetch=4") as events:
            found = [events.next()[2] for _ in range(4)]
            api.settle(name, (found[0]["lease"], "accept"))
            equal(events.next()[2]["payload"], "4")
        within(lambda: depth(opened, name) == 4)
        equal(api.settle(name, (found[1]["lease"], "accept"))[0]["why"], "ended")
        with subscribe(name) as events:
            again = [events.next()[2] for _ in range(4)]
            equal(([one["payload"] for one in again], again[0]["redelivered"]),
                  (["1", "2", "3", "4"], True))


def check_a_filter_chooses():
    with queue() as (_, name), subscribe(name, "filter=color%20%3D%20%27red%27") as events:
        for color in ("blue", "red", "green", "red"):
            api.publish(name, color.encode(), X_Header_Color=color)
        equal([events.next()[2]["payload"] for _ in range(2)], ["red", "red"])


def check_a_stream_goes_on_where_it_was():
    with queue({"x-queue-type": "stream"}) as (opened, name):
        for n in range(20):
            opened.basic_publish("", name, b"%d" % n)
        with subscribe(name, "offset=first") as events:
            found = [events.next() for _ in range(8)]
            equal([int(seen) for _, seen, _ in found], list(range(8)))
        with subscribe(name, "offset=first", "Last-Event-ID: 7\r\n") as events:
            equal([events.next()[2]["payload"] for _ in range(3)], ["8", "9", "10"])


def check_the_end_of_the_queue_is_told():
    with queue() as (opened, name), subscribe(name) as events:
        opened.queue_delete(name)
        equal(events.next()[0], "end")
        equal(events.next(), None)


def check_a_slow_reader_holds_nobody_up():
    with queue() as (opened, name), subscribe(name, "prefetch=1000"):
        for _ in range(60):
            opened.basic_publish("", name, b"x" * 500_000)
        with queue() as (other, beside):
            other.basic_publish("", beside, b"y")
            equal(len(api.lease(beside, wait_ms=2000)), 1)
        assert depth(opened, name) + leased(name) > 10, "what is not read is not settled"


def check_a_rate_of_deliveries_holds_a_subscription():
    with queue() as (opened, name):
        for n in range(25):
            opened.basic_publish("", name, b"%d" % n)
        equal(management("PUT", "/user-limits/guest/deliver-rate", {"value": 10}), 204)
        try:
            with subscribe(name) as events:
                began = time.monotonic()
                found = [events.next()[2]["payload"] for _ in range(25)]
                took = time.monotonic() - began
        finally:
            equal(management("DELETE", "/user-limits/guest/deliver-rate"), 204)
        equal(found, [str(n) for n in range(25)])
        assert 1 < took < 8, took


def check_bad_subscriptions_are_refused():
    with queue() as (_, name):
        for query in ("prefetch=0", "prefetch=1001", "ack=never", "filter=n%20%3E", "offset=first",
                      "color=red"):
            equal((query, api.ask("GET", f"/subscribe/%2F/{name}?{query}").status), (query, 400))
    equal(api.ask("GET", "/subscribe/%2F/no.such").status, 404)


checks_of(Checks(), globals())
