"""One second in the life of a node, with a call of the disk that fails somewhere in it.

A template directory (`make_template`) has queues with messages on the disk, a checkpoint and a log
behind it that was cut off. A `Run` starts a node on a copy of it: messages are published with
confirms, some so large that the log rolls and a checkpoint is due, old ones are read back from the
disk and acked, which frees segments, and the node is stopped. `finish` cuts the power, starts it on
a disk without faults, and takes everything out.

Invariants
- A body is a function of its name: what comes back is compared byte for byte.
- `promised` has a message from its confirm to its ack; what is promised must be in the end there.
"""

import hashlib
import shutil
import socket
import threading
import time

import node as nodes
from crash_loop import Client, Gone
from load import confirming, declare, publish

OLD, NEW, BIG, CANARY = "old", "new", "big", "canary"
BATCHES, BATCH, BIG_COUNT, BIG_BYTES = 20, 10, 5, 14_000_000
OLD_COUNT, CANARY_COUNT = 60, 20
IDLE_S, STALLED_S = 1.5, 0.6
STOP_S_MAX, WAIT_S_MAX = 15, 20


def body_of(queue, number):
    """The body of a message: name, and bytes that follow from it."""
    name = f"{queue} {number} ".encode()
    size = BIG_BYTES if queue == BIG else (20, 5000)[number % 4 == 0]
    block = hashlib.sha256(name).digest() * 1024
    return name + (block * (size // len(block) + 1))[:size]


def name_of(body):
    """(queue, number) of a body that is right, else None."""
    queue, number = body[:40].split(b" ", 2)[:2] if body.count(b" ", 0, 40) >= 2 else ("", 0)
    try:
        name = (queue.decode(), int(number))
    except (AttributeError, ValueError):
        return None
    return name if body == body_of(*name) else None


def confirmed_batch(client, names):
    """Publishes these and waits for all confirms."""
    for queue, number in names:
        publish(client, "", queue, body_of(queue, number))
    left = len(names)
    while left:
        name, values, _ = client.event()
        if name == "basic.nack":
            raise Gone("nack")
        if name == "basic.ack":
            left = len(names) - (values["delivery-tag"] - client.tag)
    client.tag += len(names)


def publisher(port):
    """A client in confirm mode that counts its tags; waits as long as a full disk may last."""
    client = confirming(port)
    client.tag = 0
    client.socket.settimeout(WAIT_S_MAX)
    client.reader = client.socket.makefile("rb", 1 << 18)
    return client


def make_template(folder):
    """A directory of two lives: one that was stopped, one that was cut off. Returns what it has."""
    node = nodes.Node(sync="skip")
    node.start()
    client = publisher(node.port)
    for queue in (OLD, NEW, BIG, CANARY):
        declare(client, queue)
    names = [(OLD, number) for number in range(OLD_COUNT)]
    names += [(CANARY, number) for number in range(CANARY_COUNT)]
    confirmed_batch(client, names[:OLD_COUNT // 2])
    client.socket.shutdown(socket.SHUT_RDWR)
    node.stop()
    node.start()
    confirmed_batch(publisher(node.port), names[OLD_COUNT // 2:])
    time.sleep(0.2)
    node.cut(0)
    shutil.copytree(node.data, folder)
    node.remove()
    return set(names)


class Run:
    """One node with one failing call."""

    def __init__(self, template, promised, fail):
        self.node, self.promised = nodes.Node(sync="skip"), set(promised)
        self.node.data.rmdir()
        shutil.copytree(template, self.node.data)
        self.node.fail, self.acked, self.wrong = fail, set(), []
        self.clients, self.late, self.ended = [], 0, ""
        self.stalled, self.resumed_s, self.failed_at_start = False, None, False
        self.is_over = threading.Event()

    def life(self):
        """All of the scenario. `ended` says how: refused, gone, or stopped."""
        watch = threading.Thread(target=self.watch, daemon=True)
        watch.start()
        try:
            self.node.start()
        except RuntimeError:
            self.ended = "refused"
        else:
            self.failed_at_start = bool(self.node.failed())
            try:
                self.load()
                self.hang_up()
                self.node.process.terminate()
                self.ended = "stopped"
            except (Gone, RuntimeError) as error:
                self.ended = f"gone: {error}"
            self.wait()
        self.is_over.set()
        watch.join()

    def hang_up(self):
        """A stop then waits for nobody."""
        for client in self.clients:
            client.socket.shutdown(socket.SHUT_RDWR)
            client.socket.close()

    def wait(self):
        """For the node's own end."""
        try:
            self.node.process.wait(STOP_S_MAX)
        except nodes.subprocess.TimeoutExpired:
            self.wrong.append("the node does not end")
            self.node.kill()

    def batch(self, client, names):
        """Publishes and remembers what was promised, and whether that was after the failure."""
        is_late = bool(self.node.failed())
        confirmed_batch(client, names)
        self.promised.update(names)
        self.late += is_late

    def load(self):
        """The middle part."""
        client = publisher(self.node.port)
        self.clients.append(client)
        declare(client, "declared")
        for at in range(BATCHES):
            self.batch(client, [(NEW, at * BATCH + n) for n in range(BATCH)])
        for number in range(BIG_COUNT):
            self.batch(client, [(BIG, number)])
        self.take(OLD, OLD_COUNT)
        self.get(CANARY, CANARY_COUNT // 2)
        self.take(BIG, BIG_COUNT)
        time.sleep(0.15)
        self.batch(client, [(NEW, BATCHES * BATCH)])

    def take(self, queue, count):
        """Takes and acks so many messages, or as many as come."""
        client = Client(self.node.port)
        self.clients.append(client)
        client.call("basic.consume", queue=queue, consumer_tag="c")
        client.expect("basic.consume-ok")
        client.socket.settimeout(IDLE_S)
        for _ in range(count):
            name, values, body = client.event()
            if name is None:
                break
            self.check(queue, body)
            client.call("basic.ack", delivery_tag=values["delivery-tag"])
            self.acked.add((queue, name_of(body)[1]) if name_of(body) else None)
        client.socket.settimeout(WAIT_S_MAX)
        client.reader = client.socket.makefile("rb", 1 << 18)
        client.call("channel.close", reply_code=200)
        while client.event()[0] != "channel.close-ok":
            pass

    def get(self, queue, count):
        """Takes so many messages one by one, without acks."""
        client = Client(self.node.port)
        self.clients.append(client)
        for _ in range(count):
            client.call("basic.get", queue=queue, no_ack=True)
            name, _, body = client.event()
            if name != "basic.get-ok":
                break
            self.check(queue, body)
            self.acked.add(name_of(body))

    def check(self, queue, body):
        """A body must be one that was published to this queue."""
        name = name_of(body)
        if name is None or name[0] != queue:
            self.wrong.append(f"a wrong body in {queue}: {body[:40]}")

    def watch(self):
        """On a full disk: publishers wait, consumers do not; then there is space again."""
        while not self.node.failed():
            if self.is_over.wait(0.01):
                return
        if not self.node.fail.endswith("ENOSPC"):
            return
        time.sleep(0.2)
        before = len(self.promised)
        self.is_over.wait(STALLED_S)
        self.stalled = len(self.promised) == before and not self.is_over.is_set()
        if self.stalled:
            self.canary()
        self.node.space()
        began, before = time.monotonic(), len(self.promised)
        while self.stalled and not self.is_over.is_set() and time.monotonic() - began < 10:
            if len(self.promised) > before:
                self.resumed_s = time.monotonic() - began
                return
            time.sleep(0.01)

    def canary(self):
        """A consumer gets what is there while publishers wait."""
        began = time.monotonic()
        try:
            client = Client(self.node.port)
            client.call("basic.get", queue=CANARY, no_ack=True)
            name, _, body = client.event()
        except Gone:
            return
        took = time.monotonic() - began
        if name != "basic.get-ok" or took > 2:
            self.wrong.append(f"on a full disk a consumer gets {name} after {took:.1f} s")
        elif name_of(body):
            self.acked.add(name_of(body))

    def finish(self, seed):
        """Power cut, a start without faults, and everything that was promised."""
        self.node.cut(seed)
        self.node.fail = ""
        self.node.start()
        client, found = Client(self.node.port), set()
        client.socket.settimeout(5)
        for queue in (OLD, NEW, BIG, CANARY):
            while True:
                client.call("basic.get", queue=queue, no_ack=True)
                name, _, body = client.event()
                if name != "basic.get-ok":
                    break
                self.check(queue, body)
                found.add(name_of(body))
        missing = self.promised - self.acked - found
        if missing:
            self.wrong.append(f"{len(missing)} confirmed and lost, e.g. {min(missing)}")
        self.node.kill()
