"""The document against the server, what is refused at the door, the node's own state, alarms."""

import http.client
import json
import re
import threading

import tools
from lib import Broker, Checks
from tools import Api, checks_of, equal, queue

api = Api()
PLACES = {"vhost": "%2F", "queue": "no.such", "exchange": "amq.topic", "ref": "00", "job": "1",
          "message_id": "m"}


def check_every_documented_path_answers():
    document = api.ask("GET", "/openapi.json", headers={"Authorization": None}).json
    assert document["openapi"].startswith("3.1"), document["openapi"]
    schemas = document["components"]["schemas"]
    count = 0
    for template, methods in document["paths"].items():
        path = re.sub(r"\{(\w+)\}", lambda place: PLACES[place[1]], template).removeprefix("/api/ferry")
        if "/subscribe/" in path:
            continue
        for method, operation in methods.items():
            schema = next(iter(operation.get("requestBody", {}).get("content", {}).values()), {})
            named = schema.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]
            body = schemas[named]["example"] if named else (b"x" if schema else None)
            answer = api.ask(method.upper(), path, body)
            refused = answer.status in (405, 415) or b"Object Not Found" in answer.body
            assert not refused and answer.status < 500, (method, path, answer.status, answer.body)
            if template != "/api/ferry/openapi.json":
                bare = api.ask(method.upper(), path, body, {"Authorization": None})
                equal((path, bare.status), (path, 401))
            count += 1
    assert count > 25, count


def check_another_origin_changes_nothing():
    with queue() as (opened, name):
        for headers in ({"Origin": "https://elsewhere.example"}, {"Origin": "null"},
                        {"Sec-Fetch-Site": "cross-site"}):
            answer = api.ask("POST", f"/publish/%2F/amq.default?routing_key={name}", b"x", headers)
            equal((answer.status, answer.json["error"]), (403, "foreign_origin"))
            assert not any(header.lower().startswith("access-control") for header in answer.headers)
        equal(opened.basic_get(name)[0], None)
        own = {"Origin": f"http://{tools.HOST}:{tools.HTTP_PORT}"}
        answer = api.ask("POST", f"/publish/%2F/amq.default?routing_key={name}", b"x", own)
        equal(answer.status, 201)


def check_a_message_has_a_size_at_most():
    with queue() as (_, name):
        path = f"/publish/%2F/amq.default?routing_key={name}"
        equal(api.ask("POST", path, b"x" * (16 << 20)).status, 201)
        pieces = iter([b"x" * (1 << 20)] * 17)
        for body in (b"x" * ((16 << 20) + 1), pieces):
            headers = {"Transfer-Encoding": "chunked"} if body is pieces else {}
            try:
                equal(api_stream(path, body, headers), 413)
            except (ConnectionResetError, BrokenPipeError):
                pass  # It was cut before all of it was read.
        # Refused before anything of it came: who sends on may find the connection closed.
        equal(announced(path, (16 << 20) + 1), 413)
        equal(announced(f"/lease/%2F/{name}", 2 << 20), 413)


def announced(path, length):
    """The status of a POST whose body is announced and never sent."""
    connection = http.client.HTTPConnection(tools.HOST, tools.HTTP_PORT, timeout=20)
    try:
        connection.putrequest("POST", "/api/ferry" + path)
        connection.putheader("Authorization", tools.GUEST)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def api_stream(path, body, headers):
    """The status of a POST whose body may come in pieces."""
    connection = http.client.HTTPConnection(tools.HOST, tools.HTTP_PORT, timeout=20)
    try:
        connection.request("POST", "/api/ferry" + path, body,
                           {"Authorization": tools.GUEST, **headers},
                           encode_chunked=bool(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def check_what_is_done_is_noted():
    with queue() as (_, name):
        api.publish(name, b"x")
        page = api.get(f"/queues/%2F/{name}/messages")
        ref = page["items"][0]["ref"]
        api.ask("DELETE", f"/queues/%2F/{name}/messages/{ref}")
        act = api.get("/audit?limit=1")[0]
        equal((act["user"], act["method"], act["status"]), ("guest", "DELETE", 204))
        assert act["path"].endswith(ref) and act["address"].startswith("127.0.0.1:"), act
        assert not any("/publish/" in one["path"] for one in api.get("/audit")), "no data plane"


def check_the_node_shows_itself():
    log = api.get("/log")
    assert log["durable"] <= log["written"] <= log["end"] and log["segments"], log
    equal(len(api.get("/partitions")), 16)
    equal(api.get("/alarms"), [])


def check_a_held_publisher_is_told_when_to_come_again():
    broker = Broker("ferrymq", http=True)
    original = broker.command

    def small():
        command, env = original()
        return command + ["--memory-high", "1MiB"], env

    broker.command = small
    with broker:
        one = Api(broker.http)
        with queue(port=broker.port) as (_, name):
            path, held = f"/publish/%2F/amq.default?routing_key={name}", []

            def send():
                for _ in range(40):
                    answer = one.ask("POST", path, b"x" * 400_000, {"Delivery-Mode": "1"})
                    if answer.status == 429:
                        held.append(answer)
                        return
                    equal(answer.status, 201)

            threads = [threading.Thread(target=send) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert held, "messages beyond the mark, and nobody is held"
            equal(held[0].json["error"], "publishers_held")
            assert int(held[0].headers["Retry-After"]) >= 1


def check_json_says_where_it_is_wrong():
    answer = api.ask("POST", "/lease/%2F/q", b'{"max": 1,\n "max_ms": 5}',
                     {"Content-Type": "application/json"})
    equal(answer.status, 400)
    reason = json.loads(answer.body)["reason"]
    assert "max_ms" in reason and "line 2" in reason, reason


checks_of(Checks(), globals())
