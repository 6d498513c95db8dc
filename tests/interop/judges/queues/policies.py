"""Policies by HTTP: they change queues that are there, and give back what they changed."""

import time
import urllib.parse

from kit import (Inbox, api, counted, death, equal, fresh, make, publish, ready, refused,
                 run, settle, take, waited)


def put(name, pattern, definition, priority=0, apply_to="queues"):
    """Sets a policy; the status."""
    return api("PUT", f"policies/%2F/{name}", {
        "pattern": pattern, "definition": definition, "priority": priority,
        "apply-to": apply_to})


def on(queue, definition, **options):
    """A policy for one queue that is there; its name."""
    name = fresh("policy")
    status, text = put(name, f"^{queue}$", definition, **options)
    assert status == 201, f"{status} {text}"
    return name


def off(name):
    """Deletes a policy."""
    equal(api("DELETE", f"policies/%2F/{name}")[0], 204)


def statuses(ch):
    """201 for a new one, 204 for a changed one, 404 for none."""
    name = fresh("policy")
    equal(put(name, "^none$", {"max-length": 5})[0], 201)
    equal(put(name, "^none$", {"max-length": 6})[0], 204)
    status, shown = api("GET", f"policies/%2F/{name}")
    equal((status, shown["definition"], shown["pattern"]), (200, {"max-length": 6}, "^none$"))
    off(name)
    equal([api(method, f"policies/%2F/{name}")[0] for method in ("GET", "DELETE")], [404, 404])


def shown_at_the_queue(ch):
    """The queue says which policy is in force and what it does."""
    queue = make(ch)
    name = on(queue, {"retry-limit": 3})
    shown = api("GET", f"queues/%2F/{urllib.parse.quote(queue)}")[1]
    equal((shown["policy"], shown["effective_policy_definition"]), (name, {"retry-limit": 3}))


def length(ch):
    """A shorter queue drops its oldest at once; without the policy it takes all again."""
    queue = make(ch)
    for number in range(5):
        publish(ch, queue, b"%d" % number)
    name = on(queue, {"max-length": 2})
    counted(queue, "messages_ready", 2)
    publish(ch, queue, b"5")
    equal(ready(ch, queue), 2)
    off(name)
    publish(ch, queue, b"6")
    equal([take(ch, queue).body for _ in range(3)], [b"4", b"5", b"6"])


def overflow(ch):
    """Publishers are refused from one moment to the next."""
    queue = make(ch)
    publish(ch, queue)
    name = on(queue, {"max-length": 1, "overflow": "reject-publish"})
    refused(lambda: publish(ch, queue))
    off(name)
    publish(ch, queue)


def retry(ch):
    """Tries and waits of messages that are in the queue already."""
    dead, queue = make(ch), make(ch)
    publish(ch, queue)
    on(queue, {"retry-limit": 2, "retry-delay": 400, "retry-jitter": 0,
               "dead-letter-exchange": "", "dead-letter-routing-key": dead})
    inbox = Inbox(ch, queue)
    got, began = inbox.next(), time.monotonic()
    ch.basic_nack(got.tag, requeue=True)
    got = inbox.next()
    waited(got.at - began, 400)
    ch.basic_nack(got.tag, requeue=True)
    death(take(ch.connection.channel(), dead), "delivery_limit", queue)


def lease(ch):
    """Leases opened from then on have the time."""
    queue = make(ch)
    publish(ch, queue)
    on(queue, {"lease-timeout": 400})
    began = time.monotonic()
    take(ch, queue)
    waited(Inbox(ch.connection.channel(), queue).next().at - began, 400)


def time_to_live(ch):
    """Messages that come from then on."""
    queue = make(ch)
    publish(ch, queue, b"before")
    name = on(queue, {"message-ttl": 200})
    publish(ch, queue, b"after")
    time.sleep(0.8)
    equal([take(ch, queue).body for _ in range(ready(ch, queue))], [b"before"])
    off(name)
    publish(ch, queue, b"stays")
    time.sleep(0.5)
    equal(ready(ch, queue), 1)


def deduplication(ch):
    """On, and off again."""
    queue = make(ch)
    name = on(queue, {"message-deduplication": True, "cache-size": 100, "cache-ttl": 60000})
    for _ in range(2):
        publish(ch, queue, message_id="a")
    equal(ready(ch, queue), 1)
    off(name)
    publish(ch, queue, message_id="a")
    equal(ready(ch, queue), 2)


def strategy(ch):
    """Dead letters of a queue that was told at-most-once by policy."""
    dead = make(ch, max_length=1, overflow="reject-publish")
    queue = make(ch, dead_letter_exchange="", dead_letter_routing_key=dead)
    on(queue, {"dead-letter-strategy": "at-most-once"})
    for _ in range(3):
        publish(ch, queue)
        settle(ch, take(ch, queue).tag, "reject")
    counted(queue, "messages", 0)
    equal(ready(ch, dead), 1)


def later_queues(ch):
    """A queue declared after the policy has it, and agrees with its own declaration."""
    prefix = fresh("later")
    put(prefix, f"^{prefix}", {"max-length": 1})
    queue = prefix + ".queue"
    for _ in range(2):
        ch.queue_declare(queue, durable=True)
        publish(ch, queue)
    equal(ready(ch, queue), 1)


def highest_priority(ch):
    """One policy at a time: the highest; when it goes, the next."""
    queue = make(ch)
    on(queue, {"max-length": 1}, priority=1)
    high = on(queue, {"max-length": 3}, priority=9)
    for _ in range(5):
        publish(ch, queue)
    equal(ready(ch, queue), 3)
    off(high)
    counted(queue, "messages_ready", 1)


def own_argument(ch):
    """The lower of two limits; of other settings the queue's own."""
    queue = make(ch, max_length=2, overflow="reject-publish")
    on(queue, {"max-length": 5, "overflow": "drop-head"})
    for _ in range(2):
        publish(ch, queue)
    refused(lambda: publish(ch, queue))


def bad_ones(ch):
    """400, and nothing changes."""
    queue = make(ch)
    for definition in (
            {"max-length": -1}, {"retry-limit": 0}, {"retry-jitter": 101}, {"lease-timeout": 0},
            {"cache-size": 0}, {"retry-delay": "5"}, {"retry-max-delay": 2**41},
            {"overflow": "explode"}, {"dead-letter-strategy": "sometimes"}, {"no-such-key": 1},
            {"max-priority": 5}, {"sync": "memory"}, {}):
        status, answer = put(fresh("policy"), f"^{queue}$", definition)
        assert status == 400, f"{definition}: {status} {answer}"
    for pattern in ("(", "*", "a{9999999}"):
        equal((pattern, put(fresh("policy"), pattern, {"max-length": 1})[0]), (pattern, 400))
    publish(ch, queue)
    publish(ch, queue)
    equal(ready(ch, queue), 2)


run("policies", (
    statuses, shown_at_the_queue, length, overflow, retry, lease, time_to_live, deduplication,
    strategy, later_queues, highest_priority, own_argument, bad_ones))
