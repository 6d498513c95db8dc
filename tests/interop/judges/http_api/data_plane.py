"""Publishing, leasing, settling and asking by HTTP, with pika on the other side."""

import socket
import threading
import time

import pika
from lib import Checks
from tools import (GUEST, HOST, HTTP_PORT, Api, channel, checks_of, equal, management, queue,
                   quoted, within)

api = Api()


def check_a_published_message_has_its_properties():
    with queue() as (opened, name):
        answer = api.publish(name, b"hello \xff", Content_Type="text/x", Content_Encoding="gzip",
                             Message_Id="m-1", Correlation_Id="c-1", Reply_To="r", Priority="3",
                             Expiration="60000", Type="order", App_Id="judge", Timestamp="7",
                             X_Header_Tenant="acme")
        equal((answer.status, answer.json), (201, {"routed": True, "durable": True}))
        method, found, body = opened.basic_get(name, auto_ack=True)
        equal((method.routing_key, body), (name, b"hello \xff"))
        equal((found.content_type, found.content_encoding, found.message_id, found.correlation_id),
              ("text/x", "gzip", "m-1", "c-1"))
        equal((found.reply_to, found.priority, found.expiration, found.type, found.app_id),
              ("r", 3, "60000", "order", "judge"))
        equal((found.delivery_mode, found.timestamp, found.headers), (2, 7, {"tenant": "acme"}))


def check_a_transient_message_is_not_durable():
    with queue() as (_, name):
        answer = api.publish(name, b"x", Delivery_Mode="1")
        equal(answer.json, {"routed": True, "durable": False})


def check_who_insists_hears_of_no_queue():
    equal(api.publish("no.such", b"x").json, {"routed": False, "durable": False})
    answer = api.publish("no.such", b"x", "&mandatory=true")
    equal((answer.status, answer.json["error"]), (404, "unroutable"))
    equal(api.ask("POST", "/publish/%2F/no.such.exchange", b"x").status, 404)


def check_a_full_queue_refuses():
    limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
    with queue(limits) as (_, name):
        equal(api.publish(name, b"1").status, 201)
        answer = api.publish(name, b"2")
        equal((answer.status, answer.json["error"]), (409, "refused"))
        body = {"messages": [{"routing_key": name, "payload": "3"}]}
        results = api.post("/publish-batch/%2F/amq.default", body)["results"]
        equal(results, [{"routed": True, "error": "refused"}])


def check_a_delay_by_header():
    with queue() as (opened, name):
        equal(api.publish(name, b"late", X_Delay="600").status, 201)
        equal(opened.basic_get(name)[0], None)
        count = api.get(f"/queues/%2F/{name}/schedule/count")
        equal(count, {"count": 1})
        within(lambda: opened.queue_declare(name, passive=True).method.message_count == 1)


def check_a_batch_is_one_burst_in_order():
    with queue() as (opened, name):
        messages = [{"routing_key": name, "payload": str(n), "properties": {"headers": {"n": n}}}
                    for n in range(1000)]
        messages.append({"routing_key": name, "payload": "AAEC", "payload_encoding": "base64"})
        results = api.post("/publish-batch/%2F/amq.default", {"messages": messages})["results"]
        equal(results, [{"routed": True}] * 1001)
        for n in range(1000):
            _, found, body = opened.basic_get(name, auto_ack=True)
            equal((body, found.headers, found.delivery_mode), (b"%d" % n, {"n": n}, 2))
        equal(opened.basic_get(name, auto_ack=True)[2], b"\0\1\2")


def check_a_batch_that_is_wrong_anywhere_publishes_nothing():
    with queue() as (opened, name):
        for bad in ({"payload": 5}, {"payload": "%", "payload_encoding": "base64"},
                    {"payload": "", "properties": {"expiration": "soon"}},
                    {"payload": "", "properties": {"color": "red"}}, {"payload": "", "priority": 1}):
            body = {"messages": [{"routing_key": name, "payload": "x"}, {"routing_key": name, **bad}]}
            answer = api.ask("POST", "/publish-batch/%2F/amq.default", body)
            equal((bad, answer.status, answer.json["error"]), (bad, 400, "bad_request"))
        equal(opened.basic_get(name)[0], None)


def check_bad_publishes_are_refused_by_name():
    for name, headers in {"priority": {"Priority": "high"}, "expiration": {"Expiration": "-1"},
                          "user_id": {"User_Id": "somebody"}, "x-delay": {"X_Delay": "soon"},
                          "message_id": {"Message_Id": "x" * 256}}.items():
        answer = api.publish("q", b"x", **headers)
        equal((answer.status, name in answer.json["reason"]), (400, True))
    equal(api.ask("POST", "/publish/%2F/amq.default?routing=x", b"x").status, 400)
    equal(api.publish("k" * 256, b"x").status, 400)


def check_a_lease_lives_until_it_is_settled():
    with queue() as (opened, name):
        for n in range(4):
            api.publish(name, b"%d" % n)
        taken = api.lease(name, max=10, lease_ms=60_000)
        equal([one["payload"] for one in taken], ["0", "1", "2", "3"])
        assert all(one["until"] > time.time() * 1000 + 50_000 for one in taken), taken
        equal(opened.basic_get(name)[0], None)
        tokens = [one["lease"] for one in taken]
        outcomes = zip(tokens, ("accept", "requeue", "reject", "delay"), (None, None, None, 300))
        results = api.settle(name, *(tuple(x for x in one if x is not None) for one in outcomes))
        equal([result["settled"] for result in results], [True] * 4)
        method, _, body = opened.basic_get(name, auto_ack=True)
        equal((body, method.redelivered), (b"1", True))
        within(lambda: opened.basic_get(name, auto_ack=True)[2] == b"3")


def check_settling_again_and_too_late():
    with queue() as (_, name):
        for n in range(2):
            api.publish(name, b"%d" % n)
        one, other = (found["lease"] for found in api.lease(name, max=2, lease_ms=700))
        equal(api.settle(name, (one, "accept")), [{"lease": one, "settled": True}])
        equal(api.settle(name, (one, "accept")), [{"lease": one, "settled": True}])
        equal(api.settle(name, (one, "requeue"))[0]["why"], "settled")
        again = api.lease(name, wait_ms=5000)
        equal((again[0]["payload"], again[0]["delivery_count"]), ("1", 1))
        equal(api.settle(name, (other, "accept"))[0]["why"], "ended")
        forged = one[:-4] + ("AAAA" if one[-4:] != "AAAA" else "BBBB")
        for token in ("", "x", forged, one[:20]):
            equal(api.settle(name, (token, "accept"))[0]["why"], "unknown")
        with queue() as (_, elsewhere):
            equal(api.settle(elsewhere, (again[0]["lease"], "accept"))[0]["why"], "unknown")


def check_a_lease_is_extended():
    with queue() as (_, name):
        api.publish(name, b"x")
        found = api.lease(name, lease_ms=800)[0]
        body = {"leases": [found["lease"], "x"], "lease_ms": 60_000}
        first, second = api.post(f"/extend/%2F/{name}", body)["results"]
        assert first["until"] > found["until"] + 30_000 and "why" not in first, first
        equal(second, {"lease": "x", "why": "unknown"})
        time.sleep(1)
        equal(api.settle(name, (found["lease"], "accept"))[0]["settled"], True)


def check_the_lease_time_of_the_queue_counts():
    with queue({"x-lease-timeout": 5000}) as (_, name):
        api.publish(name, b"x")
        until = api.lease(name)[0]["until"] - time.time() * 1000
        assert 3000 < until <= 5100, until


def check_a_hundred_wait_and_each_message_wakes_one():
    with queue() as (_, name):
        found, lock = [], threading.Lock()

        def wait():
            messages = api.lease(name, wait_ms=20_000)
            with lock:
                found.extend(one["payload"] for one in messages)

        threads = [threading.Thread(target=wait) for _ in range(100)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        began = time.monotonic()
        messages = [{"routing_key": name, "payload": str(n)} for n in range(100)]
        api.post("/publish-batch/%2F/amq.default", {"messages": messages})
        for thread in threads:
            thread.join()
        equal(sorted(map(int, found)), list(range(100)))
        assert time.monotonic() - began < 10, "who waits is woken"


def check_a_wait_ends_in_time_and_empty():
    with queue() as (_, name):
        began = time.monotonic()
        equal(api.lease(name, wait_ms=700), [])
        assert 0.6 < time.monotonic() - began < 5
        equal(api.lease(name), [])


def check_who_went_while_it_waited_takes_nothing():
    with queue() as (_, name):
        gone = socket.create_connection((HOST, HTTP_PORT))
        body = b'{"wait_ms": 20000}'
        gone.sendall(f"POST /api/ferry/lease/%2F/{name} HTTP/1.1\r\nHost: h\r\n"
                     f"Authorization: {GUEST}\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(0.3)
        gone.close()
        time.sleep(0.3)
        api.publish(name, b"x")
        equal(len(api.lease(name, wait_ms=500)), 1)


def check_a_wait_ends_with_its_queue():
    with queue() as (opened, name):
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            api.ask("POST", f"/lease/%2F/{name}", {"wait_ms": 20_000})))
        thread.start()
        time.sleep(0.3)
        opened.queue_delete(name)
        thread.join(5)
        equal([answer.status for answer in answers], [404])


def check_bad_leases_are_refused():
    with queue() as (_, name):
        path = f"/lease/%2F/{name}"
        for bad in ({"max": 0}, {"max": 101}, {"wait_ms": 60_001}, {"lease_ms": 0}, {"x": 1},
                    {"lease_ms": 43_200_001}, {"max": "1"}, {"max": -1}, [], "x"):
            equal((bad, api.ask("POST", path, bad).status), (bad, 400))
        equal(api.ask("POST", "/lease/%2F/no.such", {}).status, 404)
        equal(api.ask("POST", "/lease/none/q", {}).status // 100, 4)
        equal(api.ask("POST", path, b"{}", {"Content-Type": "text/plain"}).status, 415)
        equal(api.ask("POST", path, b"{", {"Content-Type": "application/json"}).status, 400)
    with queue({"x-queue-type": "stream"}) as (_, name):
        equal(api.ask("POST", f"/lease/%2F/{name}", {}).status, 409)


def check_a_request_gets_its_reply():
    with queue() as (_, name):
        def serve():
            with channel() as opened:
                for method, asked, body in opened.consume(name, inactivity_timeout=10):
                    reply = pika.BasicProperties(content_type="text/plain", message_id="r-1",
                                                 headers={"n": 5, "t": "x"})
                    opened.basic_publish("", asked.reply_to, body.upper(), reply)
                    opened.basic_ack(method.delivery_tag)
                    opened.cancel()
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        answer = api.ask("POST", f"/request/%2F/amq.default?routing_key={name}", b"ahoy")
        thread.join()
        equal((answer.status, answer.body), (200, b"AHOY"))
        found = {name: answer.headers[name] for name in
                 ("Content-Type", "Message-Id", "X-Header-N", "X-Header-T", "Content-Disposition")}
        equal(list(found.values()), ["text/plain", "r-1", "5", "x", "attachment"])


def check_a_request_without_a_reply_ends_in_time():
    with queue() as (_, name):
        path = f"/request/%2F/amq.default?routing_key={name}&wait_ms=300"
        answer = api.ask("POST", path, b"ahoy")
        equal((answer.status, answer.json["error"]), (504, "no_reply"))
    answer = api.ask("POST", "/request/%2F/amq.default?routing_key=no.such", b"x")
    equal((answer.status, answer.json["error"]), (404, "unroutable"))
    answer = api.ask("POST", f"/request/%2F/amq.default?routing_key=x&wait_ms=60001", b"x")
    equal(answer.status, 400)


def check_a_rate_is_told_with_the_time_to_come_again():
    with queue({"x-publish-rate": 2}) as (_, name):
        statuses = [api.publish(name, b"x") for _ in range(8)]
        held = [answer for answer in statuses if answer.status == 429]
        assert held, [answer.status for answer in statuses]
        assert int(held[0].headers["Retry-After"]) >= 1, held[0].headers
        equal(held[0].json["error"], "rate_limited")
        assert name in held[0].json["reason"], held[0].json
        equal(api.publish("no.such", b"elsewhere").status, 201)
        time.sleep(int(held[-1].headers["Retry-After"]))
        equal(api.publish(name, b"x").status, 201)


def check_a_rate_of_deliveries_counts_here_too():
    path = "/user-limits/guest/deliver-rate"
    with queue() as (_, name):
        sent = [{"routing_key": name, "payload": "x"}] * 25
        api.post("/publish-batch/%2F/amq.default", {"messages": sent})
        equal(management("PUT", path, {"value": 10}), 204)
        try:
            began, found = time.monotonic(), 0
            while found < 25:
                found += len(api.lease(name, max=100, wait_ms=5000))
            took = time.monotonic() - began
        finally:
            equal(management("DELETE", path), 204)
        assert 1 < took < 8, took


def check_names_of_all_kinds():
    for name in ("a b/c", "é%2F", "<script>", "x" * 255):
        with channel() as opened:
            opened.queue_declare(name)
            equal(api.publish(name, b"x").json["routed"], True)
            equal(len(api.lease(name)), 1)
            opened.queue_delete(name)
    equal(quoted("a/b"), "a%2Fb")


checks_of(Checks(), globals())
