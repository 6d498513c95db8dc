#!/usr/bin/env python3
"""The case list of Eclipse's interoperability suites: 10 for MQTT 3.1.1 and 27 for 5; then what
else the specification's statements say of a server (names with `s5-` and `s4-`).

    conformance.py [HOST:PORT] [WORD...]     all cases, or those whose name contains a word

What the broker must be told: that the longest keep-alive is 60 seconds. A user `LIMITED_USER`
(password the same) that may not read `test/nosubscribe` is made by the management API (HTTP_PORT).
"""

import base64
import json
import os
import urllib.parse
import urllib.request

import lib
import stage
import statements_connection
import statements_exchange
import statements_messages
import web
from cases_v4 import CASES as V4_CASES, LIMITED_USER
from cases_v5 import CASES as V5_CASES

# Mosquitto 2.0.11, as Debian has it: its answer to a filter that may not be read is "granted", and
# it then never delivers; it sends one message of the lower QoS to a 3.1.1 client with overlapping
# subscriptions; the others are features that it has not. Of the statements: it takes any password
# here and has no users, ends a connection that is taken over without a word, does not change the
# options of a subscription, sends retained messages to groups, overruns the window by one, ends a
# connection that repeats a QoS 2 PUBLISH two times, does not look at payloads, takes any frame of
# a WebSocket on any path, lets what it has sent expire, keeps what a member of a group left, and
# stops at a message that is too large for a client with a window of 1.
KNOWN = {
    "mosquitto": (
        "v4-overlapping-subscriptions", "v4-subscribe-failure", "v5-subscribe-failure",
        "v5-server-keep-alive", "v5-server-topic-alias", "v5-subscribe-identifiers",
        "v5-will-delay", "v5-flow-control-past-maximum", "s5-take-over",
        "s5-nothing-after-a-refusal", "s5-no-reasons-unasked", "s5-publish-not-authorized",
        "s5-scram-sha-256", "s5-subscription-is-replaced", "s5-nothing-retained-for-a-group",
        "s5-window-is-kept", "s5-twice-is-once", "s5-unknown-identifiers",
        "s5-payload-is-checked", "s5-web-refusals", "s5-web-text-frame", "s5-web-bad-frames",
        "s5-free-after-a-refusal", "s5-under-way-does-not-expire", "s5-group-member-leaves",
        "s5-authentication-again", "s5-large-ones-are-dropped", "s4-publish-not-allowed"),
}


PAGE = lib.ROOT / "docs/mqtt-conformance.md"
CASES = (V4_CASES + V5_CASES + statements_connection.CASES + statements_messages.CASES
         + statements_exchange.CASES + web.CASES)


def call(method, path, body):
    """One request to the management API."""
    port = os.environ["HTTP_PORT"]
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api{path}", method=method,
                                     data=json.dumps(body).encode())
    request.add_header("authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
    request.add_header("content-type", "application/json")
    urllib.request.urlopen(request, timeout=10).close()


def page(s):
    """The page of statements names cases that are there, and one for each statement."""
    import statements

    wrong = statements.check(PAGE)
    assert not wrong, wrong
    s.note("checked")


def make_limited_user():
    """A user that may read and write only topics below `allowed/` of `amq.topic`."""
    if os.environ.get("HTTP_PORT", "0") == "0":
        return
    vhost = urllib.parse.quote("/", "")
    call("PUT", f"/users/{LIMITED_USER}", {"password": LIMITED_USER, "tags": ""})
    call("PUT", f"/permissions/{vhost}/{LIMITED_USER}",
         {"configure": ".*", "write": ".*", "read": ".*"})
    call("PUT", f"/topic-permissions/{vhost}/{LIMITED_USER}",
         {"exchange": "amq.topic", "write": r"^allowed\.", "read": r"^allowed\."})


if __name__ == "__main__":
    make_limited_user()
    chosen = [case for case in CASES if web.URL.hostname or case not in web.CASES]
    if PAGE.exists():
        chosen.append(("page", page))
    stage.run(chosen, KNOWN, together=30)
