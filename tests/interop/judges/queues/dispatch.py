"""Who gets which message when: priorities of messages and consumers, the least loaded first."""

import random
import threading
import time

import pika
from kit import Inbox, TooSlow, connect, equal, make, publish, ready, run, serve, take


def all_levels(ch):
    """256 levels in any order come out highest first, equals by age."""
    queue, draw = make(ch, max_priority=255), random.Random(3)
    values = [*range(256), *range(0, 256, 5)]
    draw.shuffle(values)
    for at, value in enumerate(values):
        publish(ch, queue, b"%d:%d" % (value, at), priority=value)
    found = [take(ch, queue).body for _ in values]
    wanted = sorted(((value, at) for at, value in enumerate(values)),
                    key=lambda pair: (-pair[0], pair[1]))
    equal(found, [b"%d:%d" % pair for pair in wanted])


def over_the_most_and_none(ch):
    """What is over the queue's most counts as that; none is 0."""
    queue = make(ch, max_priority=10)
    for body, value in ((b"a", 200), (b"b", 10), (b"c", None), (b"d", 0), (b"e", 11)):
        publish(ch, queue, body, priority=value)
    equal([take(ch, queue).body for _ in range(5)], [b"a", b"b", b"e", b"c", b"d"])


def without_levels(ch):
    """A queue that was not declared with levels keeps the order of arrival."""
    queue = make(ch)
    for value in (1, 9, 5):
        publish(ch, queue, b"%d" % value, priority=value)
    equal([take(ch, queue).body for _ in range(3)], [b"1", b"9", b"5"])


def an_urgent_one_overtakes_a_backlog(ch):
    """It is next, whatever waits."""
    queue = make(ch, max_priority=255)
    for number in range(2000):
        ch.basic_publish("", queue, b"x", pika.BasicProperties(priority=number % 200))
    publish(ch, queue, b"urgent", priority=255)
    equal(take(ch, queue).body, b"urgent")


def by_rank_of_consumers(ch):
    """The higher rank gets all until it is full, then the next."""
    queue = make(ch)
    inboxes = [Inbox(connect().channel(), queue, prefetch=3, arguments={"x-priority": rank})
               for rank in (-1, 5, 0)]
    for number in range(9):
        publish(ch, queue, b"%d" % number)
    found = [[int(got.body) for got in inbox.wait(3)] for inbox in inboxes]
    equal(found, [[6, 7, 8], [0, 1, 2], [3, 4, 5]])
    inboxes[1].ch.basic_ack(inboxes[1].got[0].tag)
    inboxes[1].ch.connection.process_data_events(0.1)
    publish(ch, queue, b"9")
    equal(inboxes[1].wait(4)[3].body, b"9")
    for inbox in inboxes:
        inbox.ch.connection.close()


def given_back_goes_to_another(ch):
    """What one consumer gave back is offered to another first."""
    queue = make(ch)
    inboxes = [Inbox(connect().channel(), queue, prefetch=10) for _ in range(2)]
    for _ in range(20):
        publish(ch, queue, b"x")
        serve(inboxes[0].ch.connection, 0.05, lambda: inboxes[0].got)
        serve(inboxes[1].ch.connection, 0.05, lambda: inboxes[1].got)
        holder = 0 if inboxes[0].got else 1
        got = inboxes[holder].got.pop()
        inboxes[holder].ch.basic_nack(got.tag, requeue=True)
        inboxes[holder].ch.connection.process_data_events(0)
        other = inboxes[1 - holder]
        serve(other.ch.connection, 5, lambda: other.got)
        equal((len(other.got), len(inboxes[holder].got)), (1, 0))
        other.ch.basic_ack(other.got.pop().tag)
        other.ch.connection.process_data_events(0.02)
    for inbox in inboxes:
        inbox.ch.connection.close()


def given_back_with_nobody_else(ch):
    """The only consumer gets it again."""
    queue = make(ch)
    inbox = Inbox(ch.connection.channel(), queue, prefetch=1)
    publish(ch, queue)
    for count in (None, 1, 2):
        got = inbox.next()
        equal(got.headers.get("x-delivery-count"), count)
        inbox.ch.basic_nack(got.tag, requeue=True)


class Worker(threading.Thread):
    """A consumer that takes so long for each message."""

    def __init__(self, queue, seconds, prefetch):
        super().__init__(daemon=True)
        self.queue, self.seconds, self.prefetch = queue, seconds, prefetch
        self.done, self.slowest, self.running = 0, 0.0, True

    def run(self):
        """Until told to stop."""
        connection = connect()
        channel = connection.channel()
        channel.basic_qos(prefetch_count=self.prefetch)
        channel.basic_consume(self.queue, self.handle)
        while self.running:
            connection.process_data_events(0.02)
        connection.close()

    def handle(self, channel, method, _, body):
        """One message, whose body says when it was sent."""
        time.sleep(self.seconds)
        channel.basic_ack(method.delivery_tag)
        self.slowest = max(self.slowest, time.monotonic() - float(body))
        self.done += 1


def share(ch, seconds, prefetch, count, pause):
    """How many messages each worker handled, and the longest way of one."""
    queue = make(ch)
    workers = [Worker(queue, wait, prefetch) for wait in seconds]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 10
    while ch.queue_declare(queue, passive=True).method.consumer_count < len(workers):
        assert time.monotonic() < deadline, "no consumers"
        time.sleep(0.02)
    for _ in range(count):
        ch.basic_publish("", queue, repr(time.monotonic()).encode())
        time.sleep(pause)
    deadline = time.monotonic() + 60
    while sum(worker.done for worker in workers) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    for worker in workers:
        worker.running = False
        worker.join(20)
    equal(sum(worker.done for worker in workers), count)
    return [worker.done for worker in workers], max(worker.slowest for worker in workers)


def ten_times_slower(ch):
    """With room in both prefetches the slow one of two gets what it can do, not half."""
    (quick, slow), longest = share(ch, (0.01, 0.1), 50, 300, 0.012)
    if slow > 75:
        raise TooSlow(f"the slow one got {slow} of 300")
    if longest > 3:
        raise TooSlow(f"a message took {longest:.1f} s: it waited behind the slow one")


def equals_share_evenly(ch):
    """Four equal workers get about the same."""
    found, _ = share(ch, (0.02,) * 4, 10, 200, 0.006)
    if min(found) < 30:
        raise TooSlow(f"{found} of 200")


def no_ack_takes_turns(ch):
    """Consumers that settle nothing are never loaded: they take turns."""
    queue = make(ch)
    inboxes = [Inbox(connect().channel(), queue, auto_ack=True) for _ in range(3)]
    for number in range(30):
        publish(ch, queue, b"%d" % number)
    equal([len(inbox.wait(10)) for inbox in inboxes], [10, 10, 10])
    equal(ready(ch, queue), 0)
    for inbox in inboxes:
        inbox.ch.connection.close()


run("dispatch", (
    all_levels, over_the_most_and_none, without_levels, an_urgent_one_overtakes_a_backlog,
    by_rank_of_consumers, given_back_goes_to_another, given_back_with_nobody_else,
    ten_times_slower, equals_share_evenly, no_ack_takes_turns))
