"""A broker that is killed with all of it under way: nothing early, nothing lost, counts kept."""

import os
import threading
import time

import pika
from kit import (Broker, Checks, Inbox, api, connect, counted, death, empty, equal, fresh, make,
                 pair, properties, publish, ready, settle, take, waited)

ID = "x-deduplication-header"
broker = Broker.attach(os.environ["BROKER_DIR"])
checks = Checks()


class Crash:
    """What is put in before the kill, and looked at after it."""

    def __init__(self):
        self.ch = connect().channel()
        self.now = int(time.time() * 1000)
        for prepare in (self.schedule, self.retries, self.held, self.windows, self.stuck,
                        self.levels, self.leases, self.policies):
            checks.run(f"crash before: {prepare.__name__}", prepare)

    def schedule(self):
        """Delayed, absolute, far away, and one that is ready by the time of the restart."""
        self.delayed, self.soon = make(self.ch), make(self.ch)
        self.sent = publish(self.ch, self.delayed, b"delay", {"x-delay": 9000})
        publish(self.ch, self.delayed, b"at", {"x-deliver-at": self.now + 7000})
        publish(self.ch, self.delayed, b"far", {"x-delay": 2**39})
        publish(self.ch, self.soon, b"soon", {"x-delay": 700})

    def retries(self):
        """One that waits for its next try, and one with two tries behind it."""
        self.waiting, self.waiting_dead = pair(self.ch, retry_limit=2, retry_delay=8000,
                                               retry_jitter=0)
        publish(self.ch, self.waiting)
        got, self.nacked = take(self.ch, self.waiting), time.monotonic()
        self.ch.basic_nack(got.tag, requeue=True)
        self.tried, self.tried_dead = pair(self.ch, retry_limit=4)
        publish(self.ch, self.tried)
        for _ in range(2):
            self.ch.basic_nack(take(self.ch, self.tried).tag, requeue=True)

    def held(self):
        """Messages that a consumer holds while the broker dies."""
        self.poison, self.poison_dead = pair(self.ch, retry_limit=2)
        publish(self.ch, self.poison)
        take(self.ch, self.poison)

    def windows(self):
        """Ids of a queue and of an exchange."""
        self.known = make(self.ch, message_deduplication=True)
        self.exchange, self.behind = fresh("exchange"), make(self.ch)
        self.ch.exchange_declare(self.exchange, "fanout", durable=True,
                                 arguments={"x-message-deduplication": True})
        self.ch.queue_bind(self.behind, self.exchange)
        for number in range(100):
            publish(self.ch, self.known, b"%d" % number, message_id=str(number))
            publish(self.ch, "", b"x", {ID: number}, self.exchange)
        self.ch.queue_purge(self.known)

    def stuck(self):
        """Dead letters that wait for room."""
        self.full = make(self.ch, max_length=1, overflow="reject-publish")
        self.source = make(self.ch, dead_letter_exchange="", dead_letter_routing_key=self.full)
        for number in range(5):
            publish(self.ch, self.source, b"%d" % number)
        for _ in range(5):
            self.ch.basic_reject(take(self.ch, self.source).tag, requeue=False)
        counted(self.source, "messages_dead_letter_pending", 4)

    def levels(self):
        """A priority queue with a given-back message."""
        self.prior = make(self.ch, max_priority=255)
        for value in (3, 200, 7):
            publish(self.ch, self.prior, b"%d" % value, priority=value)
        self.ch.basic_nack(take(self.ch, self.prior).tag, requeue=True)

    def leases(self):
        """A message that was accepted by name, and one under a long lease."""
        self.leased = make(self.ch, lease_timeout=3600000)
        for body in (b"done", b"held"):
            publish(self.ch, self.leased, body)
        equal(settle(self.ch, take(self.ch, self.leased).tag, "accept"), None)
        take(self.ch, self.leased)

    def policies(self):
        """A queue whose limit is a policy's."""
        self.limited = make(self.ch)
        status, _ = api("PUT", f"policies/%2F/{self.limited}", {
            "pattern": f"^{self.limited}$", "definition": {"max-length": 2}})
        equal(status, 201)

    def kill(self):
        """Everything has been confirmed or had time to be written."""
        time.sleep(1)
        broker.restart(kill=True)
        self.ch = connect().channel()


def delayed_ones_are_on_time(crash):
    """Not early, all there, and the far one still waits."""
    equal(ready(crash.ch, crash.delayed), 0)
    inbox = Inbox(crash.ch, crash.delayed)
    first, second = inbox.wait(2, 30)[:2]
    equal((first.body, second.body), (b"at", b"delay"))
    skew = time.time() - time.monotonic()
    assert (first.at + skew) * 1000 >= crash.now + 7000, "x-deliver-at came early"
    waited(second.at - crash.sent, 9000)
    counted(crash.delayed, "messages_delayed", 1)


def due_while_it_was_down(crash):
    """What became due while nobody was there comes at once."""
    equal(take(crash.ch, crash.soon).body, b"soon")


def waits_go_on(crash):
    """A wait for the next try is no shorter for a restart, and the count is kept."""
    got = Inbox(crash.ch, crash.waiting).next(30)
    waited(got.at - crash.nacked, 8000)
    equal(got.headers["x-delivery-count"], 1)
    crash.ch.basic_nack(got.tag, requeue=True)
    death(take(crash.ch.connection.channel(), crash.waiting_dead), "delivery_limit", crash.waiting)


def tries_are_counted_on(crash):
    """Two tries before, two after, and no more."""
    for count in (2, 3):
        got = take(crash.ch, crash.tried)
        equal((got.redelivered, got.headers["x-delivery-count"]), (True, count))
        crash.ch.basic_nack(got.tag, requeue=True)
    death(take(crash.ch, crash.tried_dead), "delivery_limit", crash.tried)


def held_at_the_crash_is_a_try(crash):
    """A message that takes the broker along is poison like any other."""
    got = take(crash.ch, crash.poison)
    equal((got.redelivered, got.headers["x-delivery-count"]), (True, 1))
    crash.ch.basic_nack(got.tag, requeue=True)
    death(take(crash.ch, crash.poison_dead), "delivery_limit", crash.poison)


def ids_are_known(crash):
    """Of the queue and of the exchange; new ones are taken."""
    for number in range(100):
        publish(crash.ch, crash.known, b"again", message_id=str(number))
        publish(crash.ch, "", b"again", {ID: number}, crash.exchange)
    equal((ready(crash.ch, crash.known), ready(crash.ch, crash.behind)), (0, 100))
    publish(crash.ch, crash.known, b"new", message_id="100")
    publish(crash.ch, "", b"new", {ID: 100}, crash.exchange)
    equal((ready(crash.ch, crash.known), ready(crash.ch, crash.behind)), (1, 101))


def stuck_ones_follow(crash):
    """They are dead letters still, not ready again, and arrive in order."""
    counted(crash.source, "messages_dead_letter_pending", 4)
    equal(ready(crash.ch, crash.source), 0)
    inbox = Inbox(crash.ch.connection.channel(), crash.full, prefetch=1, auto_ack=True)
    equal([got.body for got in inbox.wait(5)], [b"%d" % number for number in range(5)])
    inbox.quiet(0.5)


def levels_are_kept(crash):
    """Highest first, as before."""
    equal([take(crash.ch, crash.prior).body for _ in range(3)], [b"200", b"7", b"3"])


def leases_are_over(crash):
    """What was held is ready; what was accepted is gone."""
    got = take(crash.ch, crash.leased)
    equal((got.body, got.redelivered), (b"held", True))
    equal(ready(crash.ch, crash.leased), 0)


def policies_are_kept(crash):
    """The limit holds."""
    for _ in range(3):
        publish(crash.ch, crash.limited)
    equal(ready(crash.ch, crash.limited), 2)


def moves(own, source, targets, dead, done, stop):
    """Consume, publish to all targets, ack or reject, commit: until the broker is gone."""
    try:
        own.tx_select()
        while not stop.is_set():
            method, _, body = own.basic_get(source)
            if method is None:
                return
            for target in targets:
                own.basic_publish("", target, body, properties())
            if int(body) % 5:
                own.basic_ack(method.delivery_tag)
            else:
                own.basic_reject(method.delivery_tag, requeue=False)
            own.tx_commit()
            done.append(int(body))
    except (pika.exceptions.AMQPError, OSError):
        pass


def drained(ch, queue):
    """All bodies of a queue, as numbers."""
    found = []
    while (got := ch.basic_get(queue, auto_ack=True))[0] is not None:
        found.append(int(got[2]))
    return sorted(found)


def transactions_are_whole(_):
    """Five kills amid transactions over four queues: each message moved entirely or not at all."""
    ch = connect().channel()
    source, dead = pair(ch)
    targets, count, done = [make(ch), make(ch)], 4000, []
    for number in range(count):
        ch.basic_publish("", source, b"%d" % number, properties())
    publish(ch, make(ch))
    for _ in range(5):
        stop = threading.Event()
        thread = threading.Thread(target=moves, daemon=True, args=(
            connect().channel(), source, targets, dead, done, stop))
        thread.start()
        time.sleep(0.35)
        broker.kill()
        stop.set()
        thread.join(20)
        broker.start()
    ch = connect().channel()
    counted(dead, "messages_ready", ready(ch, dead))
    left, letters = drained(ch, source), drained(ch, dead)
    one, two = (drained(ch, target) for target in targets)
    assert len(done) > 20 and left, f"{len(done)} moved, {len(left)} left: no kill hit its mark"
    equal(one, two)
    equal(sorted(one + left), list(range(count)))
    equal(set(done) - set(one), set())
    equal(sorted(set(letters)), [number for number in one if number % 5 == 0])
    empty(ch, source, 0)


def main():
    """One kill for all, then kills of its own for the last."""
    crash = Crash()
    crash.kill()
    for test in (held_at_the_crash_is_a_try, due_while_it_was_down, ids_are_known,
                 stuck_ones_follow, tries_are_counted_on, levels_are_kept, leases_are_over,
                 policies_are_kept, delayed_ones_are_on_time, waits_go_on, transactions_are_whole):
        checks.run(f"crash {test.__name__}", lambda test=test: test(crash))
    checks.finish()


main()
