"""The memory alarm: publishers wait, and nothing else does."""

import threading
import time

from client import MIB, PERSISTENT, WAIT_S_MAX, Gone, Node, publish_frames, scaled

# Transient bodies of queues without a disk behind them: nothing to let go of, so the mark is met.
MEMORY_ONLY = ("--memory-high", "8MiB", "--sync", "memory")


def with_node(settings, act):
    """Runs `act` on a node of its own and looks at it afterwards."""
    node = Node(*settings)
    node.start()
    try:
        note = act(node)
        assert node.process.poll() is None, "the broker has ended"
        assert b"panicked" not in node.output(), "a thread panicked"
    except BaseException:
        node.stop()
        print(f"(the broker's output is in {node.folder})")
        raise
    node.remove()
    return f", {note}" if note else ""


def fill(client, node, queue="filler", body_bytes=4000, bytes_max=400 * MIB):
    """Publishes until the client is told that publishers are held; the number that went out."""
    body, sent = b"f" * body_bytes, 0
    while sent * body_bytes < bytes_max:
        client.send(b"".join(publish_frames(1, "", queue, body) for _ in range(20)))
        sent += 20
        try:
            client.expect(["connection.blocked"], 0, 0.001)
            return sent
        except TimeoutError:
            pass
    raise AssertionError(f"{sent * body_bytes / MIB:.0f} MiB went in and nobody was held")


def drain(client, queue="filler"):
    """Gets until the queue is empty."""
    got = 0
    while client.get(queue) is not None:
        got += 1
    return got


def wait_unblocked(client, seconds=5):
    """Waits for the word that publishers are free."""
    began = time.monotonic()
    client.expect(["connection.unblocked"], 0, seconds)
    return time.monotonic() - began


def alarm_holds_publishers_only(_node=None):
    """Held: publishes. Not held: acks, gets, heartbeats, declares, here and elsewhere."""
    def act(node):
        publisher, other = node.client(channels=3), node.client(channels=2)
        other.declare("filler", {"x-queue-mode": "default"})
        other.declare("side")
        for number in range(40):
            other.publish("side", b"side %d" % number)
        publisher.call(2, "basic.consume", queue="side")
        tags = []
        for _ in range(40):
            tags.append(publisher.wait("basic.deliver", 2)["delivery-tag"])
            publisher.content()
        sent = fill(publisher, node)
        began = time.monotonic()
        # The same connection: acks on the consuming channel, on the held channel's neighbour too.
        for tag in tags:
            publisher.method(2, "basic.ack", delivery_tag=tag)
        publisher.send(b"\x08\0\0\0\0\0\0\xce")
        assert publisher.get("filler", channel=3) is not None
        publisher.call(3, "basic.qos", prefetch_count=3)
        assert time.monotonic() - began < 1, "what is no publish was held"
        # Another connection: all but publishing goes on, held publishes are confirmed afterwards.
        other.confirm_select()
        other.call(2, "queue.declare", queue="while-held")
        other.publish("while-held", b"held")
        assert other.get("filler", channel=2) is not None
        try:
            other.confirms(1, 0.3)
            raise AssertionError("a held publish was confirmed")
        except TimeoutError:
            pass
        rss = node.rss()
        assert rss < 160 * MIB, f"RSS {rss / MIB:.0f} MiB at a mark of 8 MiB"
        getter, got, deadline = node.client(), 2, time.monotonic() + 10
        while got < sent and time.monotonic() < deadline:
            got += drain(getter)
        assert got == sent, f"{got} of {sent} came out"
        wait_unblocked(publisher)
        other.confirms(1)
        assert other.get("while-held", channel=2) == b"held"
        publisher.close()
        return f"held after {sent} messages"

    return with_node(MEMORY_ONLY, act)


def consumers_keep_their_rate(_node=None):
    """While publishers are held a consumer drains, and they go on once it is below the mark."""
    def act(node):
        consumer, publisher = node.client(), node.client()
        consumer.declare("filler")
        sent = fill(publisher, node)
        consumer.call(1, "basic.qos", prefetch_count=100)
        consumer.call(1, "basic.consume", queue="filler")
        began = time.monotonic()
        for _ in range(sent):
            tag = consumer.wait("basic.deliver", 1)["delivery-tag"]
            consumer.content()
            consumer.method(1, "basic.ack", delivery_tag=tag)
        seconds = time.monotonic() - began
        wait_unblocked(publisher)
        assert sent / seconds > 500, f"{sent / seconds:.0f} messages/s while held"
        return f"{sent / seconds:.0f}/s"

    return with_node(MEMORY_ONLY, act)


def alarm_cycles(_node=None):
    """The alarm goes on and off again and again under publishers and consumers: no deadlock."""
    rounds = scaled(1000)

    def act(node):
        over, failures, confirmed = threading.Event(), [], [0, 0]
        consumer, counter = node.client(), [0]
        consumer.declare("filler")
        consumer.call(1, "basic.qos", prefetch_count=200)
        consumer.call(1, "basic.consume", queue="filler")
        body = b"c" * 30000

        def publish(index):
            try:
                client = node.client()
                client.confirm_select()
                while not over.is_set():
                    for _ in range(50):
                        client.publish("filler", body)
                    client.confirms(confirmed[index] + 50, 20)
                    confirmed[index] += 50
                client.close()
            except Exception as error:
                failures.append(f"publisher {index}: {error!r}")

        def consume():
            try:
                while not over.is_set() or counter[0] < sum(confirmed):
                    tag = consumer.wait("basic.deliver", 1)["delivery-tag"]
                    consumer.content()
                    counter[0] += 1
                    if tag % 100 == 0 or over.is_set():
                        consumer.method(1, "basic.ack", delivery_tag=tag, multiple=True)
                    if tag % 400 == 0:
                        time.sleep(0.002)
            except Exception as error:
                failures.append(f"consumer: {error!r}")

        threads = [threading.Thread(target=publish, args=(index,)) for index in (0, 1)]
        threads.append(threading.Thread(target=consume))
        for thread in threads:
            thread.start()
        deadline, alarms = time.monotonic() + 45 * max(1, rounds / 1000), 0
        while time.monotonic() < deadline and alarms < rounds and not failures:
            time.sleep(0.2)
            alarms = node.output().count(b"publishers are held")
        over.set()
        for thread in threads[:2]:
            thread.join(30)
        threads[2].join(30)
        assert not failures, failures[0]
        assert not any(thread.is_alive() for thread in threads), "somebody hangs"
        assert alarms > 5, f"only {alarms} alarms"
        return f"{alarms} alarms, {sum(confirmed)} confirmed"

    return with_node(("--memory-high", "1MiB", "--sync", "memory"), act)


def held_bytes_are_bounded(_node=None):
    """Publishers that go on sending while they are held: the broker stops reading them."""
    def act(node):
        first = node.client()
        first.declare("filler")
        fill(first, node)
        before, clients = node.rss(), []
        data = publish_frames(1, "", "filler", b"h" * 100000)
        for _ in range(10):
            client = node.client()
            client.socket.setblocking(False)
            clients.append(client)
        sent, moved = 0, time.monotonic()
        while time.monotonic() - moved < 1 and sent < 400 * MIB:
            for client in clients:
                try:
                    sent += client.socket.send(data)
                    moved = time.monotonic()
                except BlockingIOError:
                    pass
            time.sleep(0.001)
        grown = node.rss() - before
        assert grown < 64 * MIB, f"+{grown / MIB:.0f} MiB for 10 held publishers"
        for client in clients:
            client.drop()
        drain(node.client())
        wait_unblocked(first)
        return f"{sent // MIB} MiB taken, +{grown // MIB} MiB"

    return with_node(MEMORY_ONLY, act)


def durable_backlog_is_let_go(_node=None):
    """Durable bodies over the mark go to the disk: publishers go on, the memory stays."""
    def act(node):
        client = node.client()
        client.confirm_select()
        client.declare("deep", durable=True)
        count, body = scaled(6000), b"b" * 16384
        for at in range(0, count, 100):
            client.send(b"".join(publish_frames(1, "", "deep", b"%08d" % (at + i) + body,
                                                PERSISTENT) for i in range(100)))
            client.confirms(at + 100, WAIT_S_MAX)
        rss = node.rss()
        assert rss < 160 * MIB, f"RSS {rss / MIB:.0f} MiB with a mark of 16 MiB"
        for number in range(count):
            got = client.get("deep")
            assert got == b"%08d" % number + body, f"message {number} is another"
        try:
            client.close()
        except Gone:
            pass
        return f"{count * len(body) // MIB} MiB, RSS {rss // MIB} MiB"

    return with_node(("--memory-high", "16MiB"), act)


CASES = [alarm_holds_publishers_only, consumers_keep_their_rate, alarm_cycles,
         held_bytes_are_bounded, durable_backlog_is_let_go]
