"""Passports: where a message was, hop by hop, by its id."""

import time
import urllib.parse

from tools import (api, arguments, closed, equal, fresh, make, pair, policy, properties,
                   publish, run, take, until)


def path_of(message_id, wanted=(), seconds=3):
    """The hops, once these are among them, in this order."""
    place = f"ferry/passport/%2F/{urllib.parse.quote(message_id, safe='')}"
    found = []

    def there():
        nonlocal found
        status, found = api("GET", place)
        if status != 200:
            return False
        rest = iter(hop_text(hop) for hop in found)
        return all(any(words_in(word, hop) for hop in rest) for word in wanted)

    try:
        until(there, seconds)
    except AssertionError:
        raise AssertionError(f"wanted {wanted}, found {found}"[:900]) from None
    times = [time_of(hop) for hop in found]
    equal(times, sorted(times))
    return found


def hop_text(hop):
    """All of a hop as one text, in lower case."""
    return " ".join(str(value) for value in hop.values()).lower()


def words_in(words, text):
    """Whether one of `a|b` is in it."""
    return any(word in text for word in words.split("|"))


def time_of(hop):
    """Its time in milliseconds."""
    stamps = [hop[name] for name in ("time", "at", "timestamp", "time_ms", "at_ms") if name in hop]
    assert stamps, f"no time in {hop}"
    return stamps[0]


def identity():
    """A message id of its own."""
    return fresh("id")


def the_usual_way(ch):
    """Published, routed, delivered, acked."""
    exchange, queue, name = fresh("passport"), make(ch, passport=True), identity()
    ch.exchange_declare(exchange, "topic")
    ch.queue_bind(queue, exchange, "orders.*")
    publish(ch, "orders.new", b"x", exchange=exchange, message_id=name)
    hops = path_of(name, ("publish", "enter|queued|enqueue"))
    text = " ".join(map(hop_text, hops))
    for word in (exchange.lower(), queue.lower(), "orders.new", "orders.*", "guest"):
        assert word in text, f"no {word} in {hops}"
    assert abs(time_of(hops[0]) - time.time() * 1000) < 10000, hops[0]
    ch.basic_ack(take(ch, queue).tag)
    path_of(name, ("publish", "enter|queued|enqueue", "deliver|got", "ack"))


def given_back_and_dead(ch):
    """Every try, and where it died and went."""
    dead = make(ch, passport=True)
    queue = make(ch, passport=True, retry_limit=2, dead_letter_exchange="",
                 dead_letter_routing_key=dead)
    name = identity()
    publish(ch, queue, b"x", message_id=name)
    for _ in range(2):
        ch.basic_nack(take(ch, queue).tag, requeue=True)
    ch.basic_ack(take(ch, dead).tag)
    hops = path_of(name, ("publish", "deliver|got", "return|nack|requeue|back", "deliver|got",
                          "dead", "deliver|got", "ack"))
    assert any("delivery_limit" in hop_text(hop) for hop in hops), hops


def expired(ch):
    """That it expired, and where it went."""
    queue, dead = pair(ch, passport=True, message_ttl=100)
    name = identity()
    publish(ch, queue, b"x", message_id=name)
    take(ch, dead)
    path_of(name, ("publish", "expire|dead"))


def delayed(ch):
    """Until when it waited, and that it came."""
    queue, name = make(ch, passport=True), identity()
    publish(ch, queue, b"x", {"x-delay": 300}, message_id=name)
    path_of(name, ("publish", "delay"))
    take(ch, queue)
    path_of(name, ("delay", "awake|ready|due|wake", "deliver|got"))


def several_queues(ch):
    """A copy for each queue; the one that keeps no passport is not told of."""
    exchange, name = fresh("passport"), identity()
    ch.exchange_declare(exchange, "fanout")
    first, second, third = make(ch, passport=True), make(ch, passport=True), make(ch)
    for queue in (first, second, third):
        ch.queue_bind(queue, exchange)
    publish(ch, "", b"x", exchange=exchange, message_id=name)
    text = " ".join(map(hop_text, path_of(name, ("publish",))))
    equal([queue.lower() in text for queue in (first, second)], [True, True])


def by_policy(ch):
    """Switched on for queues that are there."""
    queue, before, after = make(ch), identity(), identity()
    publish(ch, queue, b"x", message_id=before)
    equal(api("GET", f"ferry/passport/%2F/{before}")[0], 404)
    off = policy(f"^{queue}$", {"passport": True})
    publish(ch, queue, b"x", message_id=after)
    path_of(after, ("publish",))
    off()
    last = identity()
    publish(ch, queue, b"x", message_id=last)
    time.sleep(0.2)
    equal(api("GET", f"ferry/passport/%2F/{last}")[0], 404)


def unknown(ch):
    """404, with a reason."""
    status, body = api("GET", "ferry/passport/%2F/no-such-message")
    equal((status, bool(body.get("reason"))), (404, True))
    equal(api("GET", "ferry/passport/none/x")[0], 404)
    queue = make(ch, passport=True)
    publish(ch, queue, b"x")


def odd_ids(ch):
    """Any text may be an id."""
    queue = make(ch, passport=True)
    for name in ("a/b c", "ü-ö", "%2F", "q?x=1&y", "x" * 255, '"<&>'):
        publish(ch, queue, b"x", message_id=name)
        path_of(name, ("publish",))


def trace_context(ch):
    """traceparent and tracestate travel as they are, also as a dead letter, and are in the hops."""
    queue, dead = pair(ch, passport=True)
    name, trace = identity(), "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "tracestate": "vendor=value"}
    publish(ch, queue, b"x", {**headers, "x-delay": 100}, message_id=name)
    got = take(ch, queue)
    equal({key: got.headers[key] for key in headers}, headers)
    ch.basic_reject(got.tag, requeue=False)
    got = take(ch, dead)
    equal({key: got.headers[key] for key in headers}, headers)
    assert any(trace in hop_text(hop) for hop in path_of(name, ("publish",)))


def found_quickly(ch):
    """Among five thousand others, in less than 100 ms."""
    queue, name = make(ch, passport=True), identity()
    publish(ch, queue, b"x", message_id=name)
    other = ch.connection.channel()
    other.tx_select()
    for number in range(5000):
        other.basic_publish("", queue, b"x", properties(delivery_mode=1, message_id=f"m{number}"))
    other.tx_commit()
    path_of(name, ("publish",))
    best = 1.0
    for _ in range(5):
        began = time.monotonic()
        equal(api("GET", f"ferry/passport/%2F/{name}")[0], 200)
        best = min(best, time.monotonic() - began)
    assert best < 0.1, f"{best * 1000:.0f} ms"


def bounded(ch):
    """A message that goes round for ever does not grow for ever."""
    queue, name = make(ch, passport=True), identity()
    publish(ch, queue, b"x", message_id=name)
    consumer = ch.connection.channel()
    for _ in range(400):
        consumer.basic_nack(take(consumer, queue).tag, requeue=True)
    hops = path_of(name, ("publish",))
    assert len(hops) <= 260, f"{len(hops)} hops"


def bad_argument(ch):
    """On or off."""
    for value in ("yes", 1, None):
        other = ch.connection.channel()
        equal((value, closed(lambda: other.queue_declare(
            fresh("bad"), arguments=arguments({"passport": value})))[0]), (value, 406))


run("passport", ours=(
    the_usual_way, given_back_and_dead, expired, delayed, several_queues, by_policy, unknown,
    odd_ids, trace_context, found_quickly, bounded, bad_argument))
