"""Atomic settle-and-publish over several queues: all at the commit, or nothing."""

import time

from kit import (SETTLE, Inbox, closed, connect, counted, cut, death, empty, equal, fresh, make,
                 pair, properties, publish, ready, run, take, waited)


def begin(ch):
    """A channel with a transaction, on a connection of its own."""
    own = connect().channel()
    own.tx_select()
    return own


def send(own, queue, body=b"x", headers=None, exchange="", **others):
    """A publish inside a transaction."""
    own.basic_publish(exchange, queue, body, properties(headers, **others))


def over_several_queues(ch):
    """Three publishes, two acks, a reject and a nack take effect together."""
    first, second = make(ch), make(ch)
    source, dead = pair(ch)
    targets = [make(ch) for _ in range(3)]
    for queue in (first, second, source, source):
        publish(ch, queue)
    own = begin(ch)
    tags = [take(own, queue).tag for queue in (first, second, source, source)]
    for target in targets:
        send(own, target)
    own.basic_ack(tags[0])
    own.basic_ack(tags[1])
    own.basic_reject(tags[2], requeue=False)
    own.basic_nack(tags[3], requeue=True)
    empty(ch, targets[0])
    equal([ready(ch, queue) for queue in (*targets, dead, source)], [0] * 5)
    own.tx_commit()
    equal([ready(ch, queue) for queue in targets], [1, 1, 1])
    death(take(ch, dead), "rejected", source)
    equal(take(ch, source).redelivered, True)
    own.connection.close()
    for queue in (first, second):
        counted(queue, "messages", 0)


def rolled_back(ch):
    """Publishes never were; what was acked is still held, and can be acked again."""
    queue, target = make(ch), make(ch)
    publish(ch, queue)
    own = begin(ch)
    tag = take(own, queue).tag
    send(own, target)
    own.basic_ack(tag)
    own.tx_rollback()
    own.tx_commit()
    empty(ch, target)
    own.basic_ack(tag)
    own.tx_commit()
    own.connection.close()
    counted(queue, "messages", 0)


def lost_before_the_commit(ch):
    """A connection that ends inside of a transaction leaves no trace but a redelivery."""
    queue, target = make(ch), make(ch)
    publish(ch, queue)
    own = begin(ch)
    tag = take(own, queue).tag
    send(own, target)
    own.basic_ack(tag)
    cut(own.connection)
    equal(take(ch, queue).redelivered, True)
    empty(ch, target)


def with_a_delay(ch):
    """A delayed publish waits from the commit's publish on, and only if there is a commit."""
    queue = make(ch)
    own = begin(ch)
    send(own, queue, b"never", {"x-delay": 10})
    own.tx_rollback()
    began = time.monotonic()
    send(own, queue, b"later", {"x-delay": 600})
    own.tx_commit()
    got = Inbox(ch, queue).next()
    equal(got.body, b"later")
    waited(got.at - began, 600)
    own.connection.close()


def with_outcomes(ch):
    """`ferry.settle` acts at the commit: accept, reject, delay, with publishes beside."""
    queue, dead = pair(ch)
    target = make(ch)
    for number in range(3):
        publish(ch, queue, b"%d" % number)
    own = begin(ch)
    for outcome in ("accept", "reject", "delay"):
        headers = {"delivery-tag": take(own, queue).tag, "outcome": outcome}
        if outcome == "delay":
            headers["delay"] = 500
        send(own, "", b"", headers, SETTLE)
    send(own, target)
    empty(ch, dead)
    began = time.monotonic()
    own.tx_commit()
    equal((ready(ch, target), ready(ch, queue)), (1, 0))
    equal(take(ch, dead).body, b"1")
    got = Inbox(ch, queue).next()
    equal((got.body, got.headers["x-delivery-count"]), (b"2", 1))
    waited(got.at - began, 500)
    own.connection.close()


def outcomes_rolled_back(ch):
    """A rollback forgets an outcome; the tag is held as before."""
    queue = make(ch)
    publish(ch, queue)
    own = begin(ch)
    tag = take(own, queue).tag
    send(own, "", b"", {"delivery-tag": tag, "outcome": "accept"}, SETTLE)
    own.tx_rollback()
    send(own, "", b"", {"delivery-tag": tag, "outcome": "requeue"}, SETTLE)
    own.tx_commit()
    equal(take(ch, queue).redelivered, True)
    own.connection.close()


def late_in_a_transaction(ch):
    """A lease that ended before the commit is returned with 404, before commit-ok."""
    queue, target = make(ch, lease_timeout=300), make(ch)
    publish(ch, queue)
    own, back = begin(ch), []
    own.add_on_return_callback(lambda _, method, __, ___: back.append(method.reply_code))
    tag = take(own, queue).tag
    send(own, "", b"", {"delivery-tag": tag, "outcome": "accept"}, SETTLE)
    send(own, target)
    taken = take(ch, queue)
    own.tx_commit()
    own.connection.process_data_events(0)
    equal((back, ready(ch, target)), ([404], 1))
    ch.basic_ack(taken.tag)
    own.connection.close()


def an_error_undoes_all(ch):
    """A publish that is refused ends the channel, and what came before it."""
    queue, target = make(ch), make(ch)
    publish(ch, queue)
    own = begin(ch)
    own.basic_ack(take(own, queue).tag)
    send(own, target)
    send(own, "x", b"x", exchange=fresh("none"))
    equal(closed(own.tx_commit)[0], 404)
    equal(take(ch, queue).redelivered, True)
    empty(ch, target)
    own.connection.close()


def moves_hundreds(ch):
    """Consume, publish the result, commit: a hundred times; each result once."""
    queue, target = make(ch), make(ch)
    for number in range(100):
        publish(ch, queue, b"%d" % number)
    own = begin(ch)
    for number in range(100):
        got = take(own, queue)
        send(own, target, b"done " + got.body)
        own.basic_ack(got.tag)
        if number % 10 == 9:
            own.tx_rollback()
            own.basic_nack(got.tag, requeue=True)
        own.tx_commit()
    equal((ready(ch, target), ready(ch, queue)), (90, 10))
    own.connection.close()


run("transactions", (
    over_several_queues, rolled_back, lost_before_the_commit, with_a_delay, with_outcomes,
    outcomes_rolled_back, late_in_a_transaction, an_error_undoes_all, moves_hundreds))
