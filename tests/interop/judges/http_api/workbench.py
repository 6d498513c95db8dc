"""Looking into queues and acting on messages: search, edit, move, leases, replay at a rate."""

import contextlib
import os
import time

import pika
from lib import Checks
from tools import Api, checks_of, equal, queue, quoted, within

api = Api()
DEAD = int(os.environ.get("DEAD", "10000"))
WANTED = DEAD * 1234 // 100_000
RATE = 500 if DEAD >= 100_000 else 200


def messages(name, query=""):
    """A page of messages."""
    return api.get(f"/queues/%2F/{quoted(name)}/messages?{query}")


def payloads(name, query=""):
    """The payloads of a page."""
    return [one["payload"] for one in messages(name, query)["items"]]


@contextlib.contextmanager
def shop():
    """A channel, a queue `work` and the queue of its dead letters."""
    with queue() as (_, dead):
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
        with queue(arguments) as (opened, work):
            yield opened, work, dead


def die(opened, work, dead, count):
    """Rejects all that is in `work`."""
    for method, _, _ in opened.consume(work, inactivity_timeout=5):
        opened.basic_reject(method.delivery_tag, requeue=False)
        count -= 1
        if count == 0:
            break
    opened.cancel()
    within(lambda: opened.queue_declare(work, passive=True).method.message_count == 0)
    return dead


def check_messages_are_looked_at_and_stay():
    with queue() as (opened, name):
        for n in range(3):
            opened.basic_publish("", name, b"body %d" % n, pika.BasicProperties(
                message_id=f"m-{n}", headers={"n": n, "t": {"x": [1]}}, delivery_mode=2))
        opened.basic_publish("", name, b"\xff" * 300)
        page = messages(name)
        equal((page["complete"], page["next"], page["scanned"]), (True, None, 4))
        first, last = page["items"][0], page["items"][3]
        equal((first["state"], first["message_id"], first["payload"], first["payload_encoding"]),
              ("ready", "m-0", "body 0", "string"))
        equal(first["properties"], {"message_id": "m-0", "delivery_mode": 2,
                                    "headers": {"n": 0, "t": {"x": [1]}}})
        equal((last["payload_encoding"], last["payload_bytes"], last["truncated"]),
              ("base64", 300, True))
        whole = api.get(f"/queues/%2F/{name}/messages/{last['ref']}")
        equal((whole["truncated"], len(whole["payload"])), (False, 400))
        for query, wanted in (("id=m-1", ["body 1"]), ("text=dy%202", ["body 2"]),
                              ("filter=n%20%3E%200", ["body 1", "body 2"]), ("id=none", []),
                              ("from=9999999999999", []), ("to=9999999999999&limit=1", ["body 0"])):
            equal((query, payloads(name, query)), (query, wanted))
        equal(opened.queue_declare(name, passive=True).method.message_count, 4)


def check_pages_follow_each_other():
    with queue() as (_, name):
        sent = [{"routing_key": name, "payload": str(n), "properties":
                 {"headers": {"x-delay": 60_000}} if n % 2 else {}} for n in range(100)]
        api.post("/publish-batch/%2F/amq.default", {"messages": sent})
        api.lease(name, max=10, lease_ms=60_000)
        found, cursor = [], ""
        while cursor is not None:
            page = messages(name, f"state=all&limit=7&cursor={cursor}")
            found += [(one["state"], int(one["payload"])) for one in page["items"]]
            cursor = page["next"]
        equal(len(found), 100)
        equal(sorted({state for state, _ in found}), ["delayed", "leased", "ready"])
        equal(sorted(n for _, n in found), list(range(100)))


def check_one_message_is_dropped_moved_and_given_another_time():
    with queue() as (_, name), queue() as (_, other):
        for n in range(4):
            api.publish(name, b"%d" % n, **({"X_Delay": "60000"} if n == 3 else {}))
        refs = [one["ref"] for one in messages(name, "state=all")["items"]]
        base = f"/queues/%2F/{name}/messages/"
        equal(api.ask("DELETE", base + refs[0]).status, 204)
        equal(api.ask("DELETE", base + refs[0]).status, 404)
        equal(api.ask("POST", base + refs[1] + "/move", {"queue": other}).status, 204)
        equal(api.ask("POST", base + refs[2] + "/due", {"due_at": 0}).status, 409)
        equal(api.ask("POST", base + refs[2] + "/move", {"queue": "no.such"}).status, 404)
        equal(api.ask("POST", base + refs[3] + "/due", {"due_at": 0}).status, 200)
        within(lambda: payloads(name) == ["2", "3"])
        equal(payloads(other), ["1"])


def check_many_are_dropped_and_moved_by_what_they_are_like():
    with queue() as (_, name), queue() as (_, other):
        sent = [{"routing_key": name, "payload": f"n{n % 3}", "properties":
                 {"headers": {"n": n}}} for n in range(1500)]
        api.post("/publish-batch/%2F/amq.default", {"messages": sent})
        base = f"/queues/%2F/{name}/messages/"
        equal(api.post(base + "delete", {"text": "n0"}), {"done": 500, "gone": 0, "complete": True})
        moved = api.post(base + "move", {"filter": "n < 30", "queue": other})
        equal(moved, {"done": 20, "gone": 0, "complete": True})
        refs = [one["ref"] for one in messages(name, "limit=5")["items"]]
        equal(api.post(base + "delete", {"refs": refs + refs[:2]})["done"], 5)
        equal(api.post(base + "delete", {"refs": refs})["gone"], 5)
        for bad in ({}, {"refs": ["zz"]}, {"refs": refs, "text": "x"}, {"state": "leased"},
                    {"filter": "n <"}, {"reason": "age"}, {"color": 1}):
            equal((bad, api.ask("POST", base + "delete", bad).status), (bad, 400))
        equal(api.ask("POST", base + "move", {"state": "ready", "queue": name}).status, 400)
        equal(api.post(base + "delete", {"state": "ready"})["done"], 975)


def check_a_dead_letter_tells_its_death_and_is_edited_and_replayed():
    with shop() as (opened, work, dead):
        opened.basic_publish("", work, b"wrnog", pika.BasicProperties(
            message_id="m-1", headers={"tenant": "acme"}, delivery_mode=2))
        die(opened, work, dead, 1)
        found = messages(dead, "reason=rejected")["items"][0]
        death = found["death"]
        equal((death["reason"], death["queue"], death["count"]), ("rejected", work, 1))
        assert abs(death["first_at"] - time.time() * 1000) < 60_000, death
        equal(messages(dead, "reason=expired")["items"], [])
        path = f"/queues/%2F/{dead}/messages/{found['ref']}/edit"
        equal(api.ask("POST", path, {"properties": {"priority": "high"}}).status, 400)
        edit = {"payload": "right", "properties": {"message_id": "m-2", "delivery_mode": 2}}
        equal(api.ask("POST", path, edit).status, 204)
        equal(api.ask("POST", path, edit).status, 404)
        _, properties, body = opened.basic_get(work, auto_ack=True)
        equal((body, properties.message_id, properties.headers["tenant"]), (b"right", "m-2", "acme"))
        replay = properties.headers["x-ferry-replay"]
        equal((replay["edited"], replay["original-message-id"]), (True, "m-1"))


def check_leases_are_seen_extended_and_ended():
    with queue() as (opened, name):
        for n in range(2):
            api.publish(name, b"%d" % n)
        tag = opened.basic_get(name)[0].delivery_tag
        opened.basic_consume(name, lambda *_: None, consumer_tag="c-1")
        opened.connection.process_data_events(0.2)
        items = api.get(f"/queues/%2F/{name}/leases")["items"]
        by_holder = {one["holder"]: one for one in items}
        equal(sorted(by_holder), ["consumer", "get"])
        assert by_holder["consumer"]["connection"].startswith("127.0.0.1:"), by_holder
        equal(by_holder["consumer"]["consumer_tag"], "c-1")
        base = f"/queues/%2F/{name}/leases/{by_holder['get']['ref']}"
        equal(api.ask("POST", base + "/extend", {"ms": 60_000}).status, 204)
        assert api.get(f"/queues/%2F/{name}/leases")["items"][0]["until"], "it has a deadline"
        equal(api.ask("POST", base + "/end", {"outcome": "accept"}).status, 204)
        equal(api.ask("POST", base + "/end", {"outcome": "accept"}).status, 404)
        equal(api.ask("POST", base + "/end", {"outcome": "forget"}).status, 400)
        equal(api.ask("POST", base + "/extend", {"ms": 0}).status, 400)
        equal((tag, len(api.get(f"/queues/%2F/{name}/leases")["items"])), (1, 1))


def check_search_and_replay_at_a_rate():
    with shop() as (opened, work, dead):
        wanted_at = max(1, DEAD // WANTED)
        for first in range(0, DEAD, 5000):
            sent = [{"routing_key": work, "payload": "x" * 100, "properties":
                     {"headers": {"wanted": "yes" if wanted(n, wanted_at) else "no", "n": n}}}
                    for n in range(first, min(first + 5000, DEAD))]
            api.post("/publish-batch/%2F/amq.default", {"messages": sent})
        opened.basic_qos(prefetch_count=2000)
        die(opened, work, dead, DEAD)
        within(lambda: opened.queue_declare(dead, passive=True).method.message_count == DEAD, 60)
        expected = sum(wanted(n, wanted_at) for n in range(DEAD))
        began, cursor, found = time.monotonic(), "", 0
        while cursor is not None:
            page = messages(dead, f"text=nowhere&limit=500&cursor={cursor}")
            found, cursor = found + page["scanned"], page["next"]
        took = time.monotonic() - began
        equal(found, DEAD)
        print(f"# {DEAD} dead letters were searched in {took:.2f} s")
        selection = {"filter": "wanted = 'yes'", "reason": "rejected", "to": "origin", "rate": RATE}
        began = time.monotonic()
        job = finished(dead, selection)
        took = time.monotonic() - began
        print(f"# {expected} of them were replayed in {took:.2f} s at {RATE}/s")
        equal((job["state"], job["matched"], job["replayed"], job["failed"]),
              ("done", expected, expected, 0))
        assert took > expected / RATE - 1.2, took
        again = finished(dead, selection)
        equal((again["matched"], again["replayed"], again["skipped"]), (0, 0, 0))
        equal(opened.queue_declare(work, passive=True).method.message_count, expected)
        numbers = set()
        for method, properties, _ in opened.consume(work, auto_ack=True, inactivity_timeout=5):
            numbers.add(properties.headers["n"])
            if len(numbers) == expected:
                break
        opened.cancel()
        equal(numbers, {n for n in range(DEAD) if wanted(n, wanted_at)})


def wanted(number, every):
    """Whether a dead letter is one of those that are replayed."""
    return number % every == 0 and number // every < WANTED


def finished(name, selection):
    """Replays, and waits for the end of the job."""
    answer = api.ask("POST", f"/queues/%2F/{name}/replay", selection)
    equal(answer.status, 202)
    number = answer.json["job"]
    within(lambda: api.get(f"/replays/{number}")["state"] != "running", 60)
    return api.get(f"/replays/{number}")


def check_a_replay_is_stopped_and_bad_ones_are_refused():
    with shop() as (opened, work, dead):
        for n in range(50):
            opened.basic_publish("", work, b"%d" % n)
        die(opened, work, dead, 50)
        job = api.post(f"/queues/%2F/{dead}/replay", {"rate": 1})["job"]
        equal(any(one["job"] == job for one in api.get("/replays")), True)
        equal(api.ask("DELETE", f"/replays/{job}").status, 204)
        equal(api.get(f"/replays/{job}")["state"], "stopped")
        for bad, status in (({"to": "nowhere"}, 400), ({"rate": 0}, 400), ({"x": 1}, 400),
                            ({"to": {"queue": "no.such"}}, 404), ({"state": "leased"}, 400),
                            ({"to": {"exchange": "no.such"}}, 404)):
            equal((bad, api.ask("POST", f"/queues/%2F/{dead}/replay", bad).status), (bad, status))
        equal(api.ask("GET", "/replays/9999").status, 404)
        equal(api.ask("GET", "/replays/x").status, 400)
        left = finished(dead, {"to": {"queue": work}})
        equal((left["state"], left["failed"]), ("done", 0))


def check_bad_looks_are_refused():
    with queue() as (_, name):
        for query in ("state=dead", "cursor=x", "limit=0", "limit=501", "filter=%20n%20%3E",
                      "reason=age", "from=x", "color=red", "cursor=ready.zz"):
            answer = api.ask("GET", f"/queues/%2F/{name}/messages?{query}")
            equal((query, answer.status), (query, 400))
        equal(api.ask("GET", f"/queues/%2F/{name}/messages/zz").status, 400)
    equal(api.ask("GET", "/queues/%2F/no.such/messages").status, 404)


checks_of(Checks(), globals())
