"""Q6, a lease is a lock, and Q8, one of many receivers gets the message.

`lease_is_a_lock`: 50 receivers with a prefetch of 1 to 10 on LOCKS messages. Most are acked at
once; some are given back, some are held by a receiver that is cut off, and some are kept until
their lease is over and another one has the message: whoever settles then by name is told 404, and
a plain ack then changes nothing. From the log of holds: no message is held by two at once, each is
accepted exactly once, and one that nobody failed is delivered once. RabbitMQ has no leases: there
it is the same without those.

A hold begins when the client sees the message, and ends before the client sends what ends it, or
when the lease ends. A lease can not have begun before the client sent what made room for its
delivery. So all bounds are exact, however busy the machine is, but for the broker's whole
milliseconds; and its clock is not the one of this program.

`equal_receivers`: 1, 4, 16 and 32 consumers that take 10 ms for a message, with a backlog and with
a quarter of the load that they could take: each message goes to one of them, and each gets its
share.

Environment: LOCKS (10000), LEASE_MS (3000), EARLY_MS (5), SHARES (60 messages for each consumer).
"""

import collections
import threading
import time

import ledger
from ledger import Hold, size
from parties import (BROKER, Consumer, Producer, connect, depart, fill, key_of, make, ready,
                     reset, settle, until)

LOCKS, LEASE_S = size("LOCKS", 10_000), size("LEASE_MS", 3000) / 1000
EARLY_S = size("EARLY_MS", 5) / 1000
RECEIVERS, CUT_EVERY = 50, 3
NACK_CHANCE, LATE_CHANCE = 0.03, 0.005
HANDLE_S_MAX, SECOND_S = 0.01, 0.05
SEEN_S_MAX, ALL_S_MAX = 60, 240 + LOCKS / 100
SHARES, TOLERANCE, ATTEMPTS_MAX = size("SHARES", 60), 0.2, 4
SHARES_S_MAX = 30 + SHARES / 10
# How many consumers, their prefetch, and whether the messages come as fast as a quarter of them
# could handle them, or all at once. With a backlog all are busy; without one the broker chooses.
HANDLE_S, LIGHT = 0.01, 0.25
SHARED = ((1, 1, False), (4, 2, False), (16, 1, False), (32, 2, False), (32, 1, False),
          (4, 1, True), (16, 2, True))
HAS_LEASES = BROKER == "ferrymq"


class Book:
    """What all receivers note."""

    def __init__(self):
        self.lock, self.holds, self.wrong = threading.Lock(), [], []
        self.deliveries, self.accepted = collections.Counter(), collections.Counter()
        self.again, self.told = set(), collections.Counter()

    def delivered(self, key, redelivered):
        """A receiver has it; perhaps another one had it before."""
        with self.lock:
            self.deliveries[key] += 1
            if redelivered:
                self.again.add(key)

    def close(self, hold):
        """The end of a hold."""
        with self.lock:
            self.holds.append(hold)
            self.told[hold.how] += 1
            if hold.how == "ack":
                self.accepted[hold.key] += 1


class Receiver(Consumer):
    """A consumer that sometimes fails, in one way or another; it comes back after a cut."""

    def __init__(self, queue, book, number):
        super().__init__(queue, 1 + number % 10, number=number)
        self.book, self.draw = book, ledger.draw(f"receiver {number}")
        self.cut_after = self.draw.randrange(20, 60) if number % CUT_EVERY == 0 else None

    def open(self):
        """Room for as many as the prefetch; each settle makes room for one more."""
        self.room = [time.monotonic()] * self.prefetch
        super().open()

    def note(self):
        """Tells the others what it has got."""
        before = self.seen
        super().note()
        for got in self.inbox.got[before:]:
            self.book.delivered(key_of(got.body), got.redelivered)

    def take(self):
        """Handles what has come; is cut off in the middle of it, once."""
        if self.cut_after and len(self.acked) >= self.cut_after:
            self.note()
            if len(self.inbox.got) > self.done:
                self.cut_off()
        super().take()

    def cut_off(self):
        """What it holds is somebody else's; it begins anew."""
        self.cut_after = None
        ready(self.channel, self.queue)
        self.note()
        now = time.monotonic()
        for at in range(self.done, len(self.inbox.got)):
            self.close(at, "cut", now)
        reset(self.connection)
        self.open()

    def close(self, at, how, now):
        """Writes down one hold, which a lease may have ended before."""
        got, since = self.inbox.got[at], self.room[at]
        end = min(now, since + LEASE_S) if HAS_LEASES else now
        if how == "lease":
            end = since + LEASE_S
        self.book.close(Hold(key_of(got.body), self.number, got.at, max(end, got.at), how, since,
                             got.redelivered))

    def handle(self, got):
        """One message: back, late, or done."""
        chance = self.draw.random()
        if chance < NACK_CHANCE:
            self.end(got, "nack")
        elif HAS_LEASES and not got.redelivered and chance < NACK_CHANCE + LATE_CHANCE:
            self.be_late(got)
        else:
            time.sleep(SECOND_S if got.redelivered else self.draw.random() * HANDLE_S_MAX)
            self.end(got, "ack")

    def end(self, got, how):
        """Ends a hold; by name, and so with an answer, where the lease may be over."""
        now, since = time.monotonic(), self.room[self.done]
        self.room.append(now)
        is_fresh = now - since < LEASE_S / 2 and not got.redelivered
        if how == "nack" and (is_fresh or not HAS_LEASES):
            self.channel.basic_nack(got.tag, requeue=True)
        elif is_fresh or not HAS_LEASES:
            self.channel.basic_ack(got.tag)
        else:
            outcome = {"ack": "accept", "nack": "requeue"}[how]
            answer = settle(self.channel, got.tag, outcome)
            if answer is not None:
                how = self.told_late(answer, since)
        self.close(self.done, how, now)
        self.acked.append(key_of(got.body))

    def told_late(self, answer, since):
        """The broker says that the lease is over: it must be, by now."""
        if answer[0] != 404 or time.monotonic() < since + LEASE_S - EARLY_S:
            self.book.wrong.append(f"{answer} {time.monotonic() - since:.3f} s after the begin")
        return "lease"

    def be_late(self, got):
        """Keeps the message until another receiver has it, and settles then."""
        key = key_of(got.body)
        until(lambda: key in self.book.again, SEEN_S_MAX, f"another receiver of {key}")
        self.room.append(time.monotonic())
        if self.draw.random() < 0.5:
            self.channel.basic_ack(got.tag)
            self.book.told["late ack"] += 1
        else:
            answer = settle(self.channel, got.tag, "accept")
            self.book.told["late by name"] += 1
            if answer is None or answer[0] != 404:
                self.book.wrong.append(f"{key}: {answer} for a lease that is over")
        self.close(self.done, "lease", self.room[-1])


def lease_is_a_lock(tell):
    """All receivers, until every message is accepted."""
    channel, book = connect(heartbeat=0).channel(), Book()
    settings = {"lease_timeout": int(LEASE_S * 1000)} if HAS_LEASES else {}
    queue = make(channel, **settings)
    fill(queue, LOCKS)
    began = time.monotonic()
    receivers = [Receiver(queue, book, number) for number in range(RECEIVERS)]
    for receiver in receivers:
        receiver.start()
    ledger.wait(lambda: len(book.accepted) >= LOCKS or any(one.errors for one in receivers),
                ALL_S_MAX)
    seconds = time.monotonic() - began
    depart(receivers)
    early = ledger.overlaps(book.holds, 0)
    print(f"{RECEIVERS} receivers: {LOCKS / seconds:.0f}/s; {dict(book.told)}, "
          f"{sum(book.deliveries.values())} deliveries; a lease ended "
          f"{max([0] + [one.end - two.start for one, two in early]) * 1000:.1f} ms early")
    failed = {hold.key for hold in book.holds if hold.how != "ack"}
    wanted = [(0, number) for number in range(LOCKS)]
    tell("lock: the receivers meet no error", [e for one in receivers for e in one.errors])
    tell("lock: nothing is lost", ledger.lost(wanted, book.accepted))
    tell("lock: nothing is accepted twice", ledger.twice(book.accepted.elements()))
    tell("lock: nothing is held by two at once", ledger.overlaps(book.holds, EARLY_S))
    tell("lock: what nobody failed is delivered once", [
        key for key, count in book.deliveries.items() if count > 1 and key not in failed])
    tell("lock: what comes again is marked", ledger.unmarked(
        (hold.key, hold.marked) for hold in book.holds))
    kinds = ("ack", "nack", "cut", "lease", "late ack", "late by name") if HAS_LEASES else (
        "ack", "nack", "cut")
    tell("lock: every way to fail was met", [kind for kind in kinds if not book.told[kind]])
    if HAS_LEASES:
        tell("lock: who is late is told, and nobody else", book.wrong)
    tell("lock: the queue is empty", [one for one in [ready(channel, queue)] if one])


def shared(count, prefetch, is_light):
    """Equal consumers on one queue: how many each acked, all that came, what went wrong."""
    queue, log = make(connect(heartbeat=0).channel()), []
    total = count * SHARES
    consumers = [Consumer(queue, prefetch, HANDLE_S, log, number) for number in range(count)]
    for consumer in consumers:
        consumer.start()
    for consumer in consumers:
        until(consumer.running.is_set, SHARES_S_MAX, "the consumers")
    if is_light:
        producer = Producer(0, queue, lambda s: int(s * count / HANDLE_S * LIGHT), total)
        producer.start()
        producer.finish(SHARES_S_MAX)
    else:
        fill(queue, total)
    ledger.wait(lambda: sum(len(one.acked) for one in consumers) >= total or any(
        one.errors for one in consumers), SHARES_S_MAX)
    depart(consumers)
    seconds = max(log[-1].at - log[0].at, 0.001)
    print(f"{count} consumers, prefetch {prefetch}, {'light load' if is_light else 'backlog'}: "
          f"{len(log) / seconds:.0f}/s")
    return [len(one.acked) for one in consumers], log, [e for one in consumers for e in one.errors]


def equal_receivers(tell):
    """Shares, for each number of consumers; a busy machine has some more attempts at the shares."""
    for count, prefetch, is_light in SHARED:
        name = f"{count} consumers, prefetch {prefetch}, {'light load' if is_light else 'backlog'}"
        wanted = [(0, number) for number in range(count * SHARES)]
        for left in reversed(range(ATTEMPTS_MAX)):
            counts, log, errors = shared(count, prefetch, is_light)
            wrong, keys = ledger.uneven(counts, TOLERANCE), [one.key for one in log]
            lost, twice = ledger.lost(wanted, keys), ledger.twice(keys)
            if not wrong or not left or errors or lost or twice:
                break
        tell(f"{name}: no errors", errors)
        tell(f"{name}: each message to one of them", twice)
        tell(f"{name}: nothing is lost", lost)
        tell(f"{name}: equal shares", [f"{wrong} of {counts}"] if wrong else [])


if __name__ == "__main__":
    ledger.play("receivers", lease_is_a_lock, equal_receivers,
                limit_s=ALL_S_MAX + 60 + 2 * SHARES)
