"""Well-formed requests with values that are meant to hurt: arguments, loops, identities."""

import time

import amqp
from client import MIB, WAIT_S_MAX, Closed, Peak, publish_frames, scaled


def expect_closed(client, code, act):
    """`act` is answered with the closing of the channel, or of the connection, with this code."""
    try:
        act()
    except Closed as closed:
        assert closed.code == code, f"{closed}, not {code}"
        return
    raise AssertionError(f"served, not {code}")


def arguments(node):
    """Numbers that nobody can mean -> 406, and no memory for a number's sake."""
    with Peak(node, 8):
        for entries in (
                {"x-max-priority": 10**6}, {"x-max-priority": -1}, {"x-max-priority": 256},
                {"x-max-priority": ("l", 2**62)}, {"x-message-ttl": -1}, {"x-message-ttl": 2**40},
                {"x-expires": 0}, {"x-expires": -1}, {"x-max-length": -1},
                {"x-max-length-bytes": -5}, {"x-message-ttl": "1"}, {"x-max-length": 1.5},
                {"x-overflow": "explode"}, {"x-dead-letter-exchange": 7},
                {"x-dead-letter-routing-key": "x"}, {"x-queue-type": "teapot"}):
            with node.client() as client:
                expect_closed(client, 406, lambda: client.declare("arguments", entries))
        for exchange, entries in (("amq.headers", {"x-match": "some"}),):
            with node.client() as client:
                client.declare("arguments-ok", exclusive=True)
                expect_closed(client, 406, lambda: client.call(
                    1, "queue.bind", queue="arguments-ok", exchange=exchange, arguments=entries))
        for expiration in ("-1", "1e9", "x", "99999999999999999999", "", "1\0"):
            with node.client() as client:
                props = amqp.properties({"expiration": expiration})
                client.publish("x", b"x", props=props)
                level, code = client.ending(2)
                assert (level, code) == ("channel", 406), f"{expiration!r}: {level} {code}"


def huge_counts(node):
    """The largest numbers that a method can carry are taken as what they are: limits."""
    with Peak(node, 16), node.client() as client:
        client.declare("huge", {"x-max-length": ("l", 2**31 - 1), "x-max-priority": 255,
                                "x-message-ttl": 2**31 - 1, "x-expires": 600000})
        client.call(1, "basic.qos", prefetch_count=65535)
        client.call(1, "basic.consume", queue="huge")
        client.confirm_select()
        client.publish("huge", b"x", props=amqp.properties({"priority": 255}))
        client.confirms(1)
        for name, values in (("basic.ack", {"delivery_tag": 2**64 - 1}),
                             ("basic.nack", {"delivery_tag": 2**63, "multiple": True}),
                             ("basic.reject", {"delivery_tag": 2**32})):
            with node.client() as other:
                other.method(1, name, **values)
                assert other.ending(3) == ("channel", 406), name
        client.call(1, "queue.delete", queue="huge")


def max_length_zero(node):
    """A queue that may hold nothing: confirmed, dropped, and delivered to who is waiting."""
    with node.client(channels=2) as client:
        client.confirm_select()
        for overflow in ("drop-head", "reject-publish"):
            queue = f"zero-{overflow}"
            client.declare(queue, {"x-max-length": 0, "x-overflow": overflow}, exclusive=True)
            client.publish(queue, b"x")
            name, _ = client.expect(["basic.ack", "basic.nack"], 1)
            assert name == "basic.ack" or overflow == "reject-publish", f"{overflow}: {name}"
            assert client.declare(queue, passive=True)[0] == 0


def cycles(node):
    """Exchanges bound in a ring route once; a queue that expires to itself does not spin."""
    with node.client() as client:
        for number in range(4):
            client.call(1, "exchange.declare", exchange=f"ring-{number}", type="fanout")
        for number in range(4):
            for other in range(4):
                client.call(1, "exchange.bind", source=f"ring-{number}",
                            destination=f"ring-{other}")
        client.declare("ring", exclusive=True)
        for number in range(4):
            client.call(1, "queue.bind", queue="ring", exchange=f"ring-{number}")
        client.confirm_select()
        for number in range(4):
            client.publish("", b"once", f"ring-{number}")
        client.confirms(4)
        assert client.declare("ring", passive=True)[0] == 4, "routed more than once"
        for number in range(4):
            client.call(1, "exchange.delete", exchange=f"ring-{number}")
        itself = {"x-dead-letter-exchange": "", "x-message-ttl": 1}
        client.declare("itself", itself, exclusive=True)
        for first, second in (("a", "b"), ("b", "a")):
            client.declare(f"pair-{first}", dict(itself, **{
                "x-dead-letter-routing-key": f"pair-{second}"}), exclusive=True)
        client.declare("short", {"x-dead-letter-exchange": "", "x-max-length": 1,
                                 "x-dead-letter-routing-key": "short"}, exclusive=True)
        for queue in ("itself", "pair-a", "pair-b", "short", "short", "short"):
            for _ in range(50):
                client.publish(queue, b"round and round")
        client.confirms(304)
        time.sleep(0.5)
        before = node.cpu_s()
        time.sleep(1)
        spent = node.cpu_s() - before
        assert spent < 0.5, f"spins: {spent:.2f} s of processor time in 1 s"
        for queue in ("itself", "pair-a", "pair-b"):
            assert client.declare(queue, passive=True)[0] == 0, f"{queue} is not empty"


def rejected_round(node):
    """A message that is rejected to its own queue again and again: one step per rejection."""
    with node.client() as client:
        client.declare("rejected", {"x-dead-letter-exchange": "",
                                    "x-dead-letter-routing-key": "rejected"}, exclusive=True)
        client.publish("rejected", b"again")
        client.call(1, "basic.qos", prefetch_count=1)
        client.method(1, "basic.consume", queue="rejected")
        client.wait("basic.consume-ok", 1)
        for _ in range(scaled(200)):
            tag = client.wait("basic.deliver", 1)["delivery-tag"]
            assert client.content() == b"again"
            client.method(1, "basic.reject", delivery_tag=tag)
        client.wait("basic.deliver", 1)
        _, _, payload = client.frame()
        assert len(payload) < 2000, f"the history of deaths has {len(payload)} bytes"


def topic_explosion(node):
    """60 patterns `#.a.#.a...` against 127 words: 20 publishes confirmed in 1 s."""
    with node.client() as client:
        client.declare("patterns", exclusive=True)
        for number in range(60):
            pattern = ".".join(["#", "a"] * (8 + number % 50) + ["#"] + ["*"] * (number % 7))
            client.call(1, "queue.bind", queue="patterns", exchange="amq.topic",
                        routing_key=pattern[:254].rstrip("."))
        for words in (["#"] * 127, ["#", "*"] * 60, ["*"] * 127):
            client.call(1, "queue.bind", queue="patterns", exchange="amq.topic",
                        routing_key=".".join(words))
        client.confirm_select()
        keys = [".".join(["a"] * 126 + ["b"]), ".".join(["a"] * 127), ".".join("ab" * 63)]
        began = time.monotonic()
        for number in range(20):
            client.publish(keys[number % 3], b"x", "amq.topic")
        client.confirms(20, 5)
        seconds = time.monotonic() - began
        assert seconds < 1, f"{seconds:.1f} s"
        assert client.declare("patterns", passive=True)[0] == 20
    return f"{seconds * 1000:.0f} ms"


def unseen_words(node):
    """50 000 routing keys, header names and queue names that come once: nothing stays."""
    count, batch = scaled(50000), 500
    node.client().close()
    before = node.rss()
    with node.client() as client:
        client.declare("words", exclusive=True)
        client.call(1, "queue.bind", queue="words", exchange="amq.headers", arguments={"z": 1})
        client.confirm_select()
        for at in range(0, count, batch):
            client.send(b"".join(publish_frames(1, exchange, f"{at + i}.unseen.{i}", b"")
                                 for i in range(batch) for exchange in ("amq.topic", "amq.direct")))
            client.confirms(2 * (at + batch))
        confirmed = client.confirmed
        for at in range(0, count, batch):
            entries = {f"unseen-{at + i}": i for i in range(batch)}
            client.publish("", b"", "amq.headers", amqp.properties({"headers": entries}))
        client.confirms(confirmed + count // batch)
        for at in range(0, count, batch):
            for i in range(batch):
                name = f"unseen-queue-{at + i}"
                client.send(amqp.frame(1, 1, amqp.method("queue.declare", queue=name, no_wait=True))
                            + amqp.frame(1, 1, amqp.method("queue.bind", queue=name, no_wait=True,
                                                           exchange="amq.topic", routing_key=name))
                            + amqp.frame(1, 1, amqp.method("queue.delete", queue=name,
                                                           no_wait=True)))
            client.declare("words", passive=True)
    node.settles(before + 16 * MIB)
    return f"+{(node.rss() - before) / MIB:.0f} MiB"


def identities(node):
    """Another's user id -> 406; a forged reply-to reaches nobody and makes no queue."""
    with node.client() as client:
        client.publish("x", b"x", props=amqp.properties({"user-id": "admin"}))
        assert client.ending(3) == ("channel", 406)
    with node.client(channels=2) as victim, node.client() as client:
        victim.call(1, "basic.consume", queue="amq.rabbitmq.reply-to", no_ack=True)
        client.confirm_select()
        forged = ["amq.rabbitmq.reply-to." + text for text in (
            "x" * 180, "", "A" * 22, "g2dkABByZXBseUBub2RlAAAAAA==.abc", "\0\1\2", "../../1")]
        for key in forged:
            client.publish(key, b"forged")
        client.confirms(len(forged))
        for key in forged:
            with node.client() as other:
                expect_closed(other, 404, lambda: other.declare(key, passive=True))
        try:
            victim.wait("basic.deliver", 1, 0.3)
        except TimeoutError:
            return
        raise AssertionError("a forged reply was delivered")


def many_routes(node):
    """A message with thousands of CC routes, and one queue with thousands of bindings."""
    with node.client() as client:
        client.declare("routes", exclusive=True)
        for at in range(2000):
            client.method(1, "queue.bind", queue="routes", exchange="amq.direct",
                          routing_key=f"r{at}", no_wait=True)
        client.confirm_select()
        routes = [f"r{at}" for at in range(9000)]
        began = time.monotonic()
        for _ in range(10):
            client.publish("r0", b"x", "amq.direct", amqp.properties({"headers": {"CC": routes}}))
        client.confirms(10, WAIT_S_MAX)
        seconds = time.monotonic() - began
        assert seconds < 2, f"{seconds:.1f} s"
        assert client.declare("routes", passive=True)[0] == 10, "delivered once per route"


CASES = [arguments, huge_counts, max_length_zero, cycles, rejected_round, topic_explosion,
         unseen_words, identities, many_routes]
