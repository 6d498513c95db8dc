#!/usr/bin/env python3
"""What the suite asks of `rabbitmqctl`, said to the management API; what has no words there fails."""

import json
import os
import sys
import urllib.parse
import urllib.request

BASE = f"http://127.0.0.1:{os.environ['HTTP_PORT']}/api/"


def call(method, path, body=None):
    """One request as guest; the answer as JSON, if there is any."""
    login = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    login.add_password(None, BASE, "guest", "guest")
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(login))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data, {"Content-Type": "application/json"},
                                     method=method)
    with opener.open(request, timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def quoted(*parts):
    """A path of these."""
    return "/".join(urllib.parse.quote(part, safe="") for part in parts)


def main():
    """`ctl.py -n NODE COMMAND ...`"""
    words = sys.argv[3:] if sys.argv[1:2] == ["-n"] else sys.argv[1:]
    vhost, priority, plain, rest = "/", 0, [], iter(words)
    for word in rest:
        if word == "-p":
            vhost = next(rest)
        elif word == "--priority":
            priority = int(next(rest))
        elif word != "-q":
            plain.append(word)
    if not plain:
        print("list_connections close_connection set_topic_permissions", file=sys.stderr)
        return 1
    command, *given = plain
    match command, given:
        case "add_user", [name, password]:
            call("PUT", quoted("users", name), {"password": password, "tags": ""})
        case "delete_user", [name]:
            call("DELETE", quoted("users", name))
        case "set_user_tags", [name, *tags]:
            call("PUT", quoted("users", name), {"password": name, "tags": ",".join(tags)})
        case "set_permissions", [name, configure, write, read]:
            call("PUT", quoted("permissions", vhost, name),
                 {"configure": configure, "write": write, "read": read})
        case "clear_permissions", [name]:
            call("DELETE", quoted("permissions", vhost, name))
        case "set_topic_permissions", [name, exchange, write, read]:
            call("PUT", quoted("topic-permissions", vhost, name),
                 {"exchange": exchange, "write": write, "read": read})
        case "clear_topic_permissions", [name]:
            call("DELETE", quoted("topic-permissions", vhost, name))
        case "add_vhost", [name]:
            call("PUT", quoted("vhosts", name), {})
        case "delete_vhost", [name]:
            call("DELETE", quoted("vhosts", name))
        case "set_policy", [name, pattern, definition]:
            call("PUT", quoted("policies", vhost, name),
                 {"pattern": pattern, "definition": json.loads(definition), "priority": priority})
        case "clear_policy", [name]:
            call("DELETE", quoted("policies", vhost, name))
        case "list_connections", ["pid", "peer_port"]:
            for connection in call("GET", "connections"):
                print(connection["name"], connection["peer_port"], sep="\t")
        case "close_connection", [name, _]:
            call("DELETE", quoted("connections", name))
        case _:
            print(f"no such command: {words}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
