"""Peers that do not read, do not ack, or come and go."""

import socket
import time

import amqp
from client import HEADER, MIB, Client, Gone, Peak, publish_frames, scaled


def unacked_drop(node):
    """20 000 messages delivered and not acked, then the socket is cut: all are back."""
    count, before = scaled(20000), node.rss()
    with node.client() as client:
        client.declare("unacked")
        client.confirm_select()
        for at in range(0, count, 1000):
            many = min(1000, count - at)
            client.send(b"".join(publish_frames(1, "", "unacked", b"u" * 100) for _ in range(many)))
            client.confirms(at + many)
        taker = node.client()
        taker.call(1, "basic.consume", queue="unacked")
        for _ in range(count):
            taker.wait("basic.deliver", 1)
            assert taker.content() == b"u" * 100
        assert client.declare("unacked", passive=True) == (0, 1)
        began = time.monotonic()
        taker.drop()
        while client.declare("unacked", passive=True) != (count, 0):
            assert time.monotonic() - began < 5, client.declare("unacked", passive=True)
            time.sleep(0.02)
        seconds = time.monotonic() - began
        client.call(1, "queue.delete", queue="unacked")
    node.settles(before + 48 * MIB)
    return f"back in {seconds * 1000:.0f} ms"


def deaf_consumer(node):
    """A consumer that never reads 40 MB: no memory for it, and another one gets the messages."""
    count, body = scaled(400), b"d" * 100000
    with node.client() as client:
        client.declare("deaf")
        client.confirm_select()
        for at in range(count):
            client.publish("deaf", body)
        client.confirms(count)
        with Peak(node, 16):
            deaf = Client.raw(node.port, receive_bytes=8192)
            deaf.log_in()
            deaf.method(1, "basic.consume", queue="deaf", no_ack=False)
            time.sleep(1)
        assert client.declare("deaf", passive=True)[0] > count // 2, "its outbox has no limit"
        got = 0
        while client.get("deaf") is not None:
            got += 1
        deaf.drop()
        deadline = time.monotonic() + 5
        while got < count and time.monotonic() < deadline:
            got += client.get("deaf") is not None
        assert got == count, f"{got} of {count} came"
        client.call(1, "queue.delete", queue="deaf")


def deaf_publisher(node):
    """200 MB of unroutable mandatory publishes whose returns are not read: bounded, none lost."""
    body, count, sent = b"r" * 65536, scaled(3200), 0
    data = publish_frames(1, "", "no such queue", body, mandatory=True)
    with Peak(node, 96), node.client() as client:
        client.confirm_select()
        client.socket.setblocking(False)
        left, moved = b"", time.monotonic()
        while sent < count and time.monotonic() - moved < 2:
            left = left or data
            try:
                went = client.socket.send(left)
            except BlockingIOError:
                time.sleep(0.005)
                continue
            left, moved = left[went:], time.monotonic()
            sent += not left
        returned = 0
        for _ in range(sent):
            client.wait("basic.return", 1)
            assert len(client.content()) == len(body)
            returned += 1
        if left:
            client.send(left)
            client.wait("basic.return", 1)
            client.content()
        client.declare("after-returns", exclusive=True)
    return f"{sent} taken before it stalled, {returned} returned"


def deaf_getter(node):
    """Requests without end whose answers are not read: the broker stops reading, keeps nothing."""
    request = amqp.frame(1, 1, amqp.method("queue.declare", queue="asked", passive=True)) * 2000
    with Peak(node, 96), node.client() as client:
        client.declare("asked", exclusive=True)
        client.socket.setblocking(False)
        sent, moved = 0, time.monotonic()
        while sent < scaled(100 * MIB) and time.monotonic() - moved < 1:
            try:
                sent += client.socket.send(request)
                moved = time.monotonic()
            except BlockingIOError:
                time.sleep(0.005)
    return f"{sent // MIB} MiB of requests taken"


def churn(node):
    """2 000 channels, 500 queues with 2 000 bindings, 200 connections, three times over."""
    with Peak(node, 96):
        for turn in range(3):
            with node.client(channels=0) as client:
                for number in range(1, 2001):
                    client.method(number, "channel.open")
                for number in range(1, 2001):
                    client.wait("channel.open-ok", number)
                for number in range(1, 2001):
                    client.method(number, "channel.close", reply_code=200)
                for number in range(1, 2001):
                    client.wait("channel.close-ok", number)
            with node.client() as client:
                for number in range(500):
                    client.method(1, "queue.declare", queue=f"churn-{number}", no_wait=True,
                                  exclusive=number % 2 == 0)
                    for key in range(4):
                        client.method(1, "queue.bind", queue=f"churn-{number}", no_wait=True,
                                      exchange=("amq.topic", "amq.direct")[key % 2],
                                      routing_key=f"churn.{number}.{key}.#")
                for number in range(1, 500, 2):
                    client.method(1, "queue.delete", queue=f"churn-{number}", no_wait=True)
                client.declare("churn-end", exclusive=True)
            clients = [node.client() for _ in range(scaled(200))]
            for number, client in enumerate(clients):
                client.close() if number % 2 else client.drop()
            if turn == 0:
                time.sleep(0.5)
                first = node.rss()
    node.settles(first + 16 * MIB)
    return f"RSS {node.rss() / MIB:.0f} MiB, {first / MIB:.0f} after the first round"


def reset_in_the_middle(node):
    """Connections that are reset (not closed) at every moment of a session."""
    for cut in range(scaled(300)):
        client = node.raw()
        try:
            client.send(HEADER)
            if cut % 5:
                client.start_ok()
            if cut % 5 > 1:
                client.wait("connection.tune")
                client.method(0, "connection.tune-ok", channel_max=10, frame_max=131072)
                client.call(0, "connection.open", virtual_host="/")
                client.call(1, "channel.open")
            if cut % 5 > 2:
                client.method(1, "queue.declare", queue="reset", auto_delete=True)
                client.method(1, "basic.consume", queue="reset")
                client.publish("reset", b"x" * 1000)
            if cut % 5 > 3:
                client.send(publish_frames(1, "", "reset", b"y" * 70000)[:cut * 200])
        except Gone:
            pass
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.drop()
    deadline = time.monotonic() + 5
    with node.client() as client:
        while client.declare("reset-look", exclusive=True)[1] and time.monotonic() < deadline:
            time.sleep(0.05)
        client.call(1, "queue.delete", queue="reset")


CASES = [unacked_drop, deaf_consumer, deaf_publisher, deaf_getter, churn, reset_in_the_middle]
