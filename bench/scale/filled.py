"""A durable queue with as many persistent messages of 128 B as wanted."""

import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/interop"), str(ROOT / "tests/interop/differential")]

from crash_loop import PERSISTENT, Client, publish  # noqa: E402

__all__ = ["PERSISTENT", "PUBLISH", "QUEUE", "Client", "declare", "fill", "publish"]

QUEUE = "long"
PUBLISH = publish(QUEUE, bytes(128), PERSISTENT)
CHUNK = 1000


def declare(client, arguments=None):
    """Makes the queue if it is not there; how many messages are."""
    client.call("queue.declare", queue=QUEUE, durable=True, arguments=arguments or {})
    return client.expect("queue.declare-ok")["message-count"]


def fill(client, messages, arguments=None):
    """Publishes so many to the queue, which is there and empty, and waits until it has them."""
    for _ in range(messages // CHUNK):
        client.write(PUBLISH * CHUNK)
    while (found := declare(client, arguments)) < messages:
        time.sleep(0.1)
    assert found == messages, f"{found} are there"
