#!/usr/bin/env python3
"""Makes the recorded files: `record.py HTTP_PORT VERSION` fills a fresh RabbitMQ and exports it.

It writes `rabbitmq-VERSION.json` beside this file. Start a RabbitMQ of your own with
`../lib.py start rabbitmq` and its management plug-in.
"""

import json
import pathlib
import sys

from judge import Node

ANY = {"configure": ".*", "write": ".*", "read": ".*"}
POLICY = {"pattern": "^x", "definition": {"max-length": 5}, "priority": 3, "apply-to": "queues"}
MADE = [
    ("PUT", "vhosts/v1", {"description": "d", "tags": "a,b", "default_queue_type": "quorum"}),
    ("PUT", "vhosts/v2", {"description": ""}),
    ("PUT", "users/u1", {"password": "x", "tags": "management,foo"}),
    ("PUT", "users/u2", {"password_hash": "", "tags": ""}),
    ("PUT", "permissions/v1/u1", {"configure": "a", "write": "b", "read": "c"}),
    ("PUT", "permissions/v1/guest", ANY),
    ("PUT", "topic-permissions/v1/u1", {"exchange": "amq.topic", "write": "b", "read": "c"}),
    ("PUT", "vhost-limits/v1/max-connections", {"value": 6}),
    ("PUT", "user-limits/u1/max-channels", {"value": 5}),
    ("PUT", "policies/v1/p1", POLICY),
    ("PUT", "operator-policies/v1/o1", POLICY),
    ("PUT", "global-parameters/mine", {"value": {"a": 1}}),
    ("PUT", "global-parameters/mine2", {"value": "x"}),
    ("PUT", "global-parameters/cluster_name", {"value": "cn"}),
    ("PUT", "queues/v1/q1", {"durable": True, "arguments": {"x-max-length": 5}}),
    ("PUT", "queues/v2/q1", {"durable": True, "arguments": {}}),
    ("PUT", "queues/v2/q2", {"durable": False, "auto_delete": True, "arguments": {}}),
    ("PUT", "exchanges/v1/e1",
     {"type": "topic", "durable": True, "arguments": {"alternate-exchange": "e2"}}),
    ("PUT", "exchanges/v1/e2", {"type": "fanout", "durable": True}),
    ("PUT", "exchanges/v1/e3", {"type": "fanout", "durable": False, "auto_delete": True}),
    ("POST", "bindings/v1/e/e1/q/q1", {"routing_key": "a.#", "arguments": {"x": 1}}),
    ("POST", "bindings/v1/e/e1/e/e2", {"routing_key": "b", "arguments": {}}),
    ("POST", "bindings/v2/e/amq.fanout/q/q2", {"routing_key": "b", "arguments": {}}),
]


def main():
    """Fills the node and writes what it exports."""
    node, version = Node(int(sys.argv[1])), sys.argv[2]
    for method, path, body in MADE:
        status, answer = node.ask(method, path, body)
        assert status < 300, (path, status, answer)
    path = pathlib.Path(__file__).resolve().parent / f"rabbitmq-{version}.json"
    path.write_text(json.dumps(node.export(), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
