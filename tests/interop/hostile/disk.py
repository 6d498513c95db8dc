"""A full disk, a directory in use, and a damaged one."""

import re
import subprocess
import threading
import time

import amqp
import lib
from client import MIB, PERSISTENT, Closed, Gone, Node, publish_frames
from pressure import with_node

# The broker holds publishers below 50 MB of free space: this leaves room for some.
MOUNT_MIB = 224
LOGGED = re.compile(rb"segment=(\d+) offset=(\d+)")


class Mounted:
    """A small file system of its own under a node's data directory."""

    def __init__(self, node, mib=MOUNT_MIB):
        self.data, self.mib = node.folder / "data", mib
        self.data.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.mib}m", "tmpfs",
                               str(self.data)], capture_output=True, text=True, check=False)
        self.works = done.returncode == 0
        self.why = done.stderr.strip()
        return self

    def free(self):
        """Bytes that are free on it."""
        found = subprocess.run(["stat", "-f", "-c", "%a %S", str(self.data)], text=True,
                               capture_output=True, check=True).stdout.split()
        return int(found[0]) * int(found[1])

    def leave(self, free):
        """Fills it up to so many bytes; gives the file that takes them."""
        filler = self.data / "filler"
        with open(filler, "wb") as file:
            file.write(b"\0" * max(0, self.free() - free))
        return filler

    def __exit__(self, *_):
        if self.works:
            subprocess.run(["umount", str(self.data)], check=False)


def fill_until_blocked(client, queue, seconds=30):
    """Publishes with confirms until the client is told to wait; how many were sent and acked."""
    sent, acked, deadline = 0, 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        body = b"%08d" % sent + b"\xd5" * 65536
        client.send(publish_frames(1, "", queue, body, PERSISTENT))
        sent += 1
        while acked < sent:
            name, values = next_word(client)
            if name == "connection.blocked":
                return sent, acked
            acked = values["delivery-tag"]
    raise AssertionError("the disk was never full")


def next_word(client):
    """The next confirm, or the word that publishers are held."""
    while True:
        kind, _, payload = client.frame()
        if kind == 1:
            name, values = amqp.parse_method(payload)
            if name in ("basic.ack", "connection.blocked"):
                return name, values
            if name.endswith(".close"):
                raise Closed(name, values["reply-code"], values["reply-text"])


def disk_full(_node=None):
    """Publishers wait, consumers and acks go on, all goes on within 2 s of space; 0 lost."""
    node = Node("--memory-high", "256MiB")
    with Mounted(node) as mounted:
        if not mounted.works:
            return f", skipped: a small file system can not be mounted here ({mounted.why})"

        def act(node):
            client, other = node.client(), node.client()
            other.declare("full", durable=True)
            client.confirm_select()
            filler = mounted.leave(70_000_000)
            sent, acked = fill_until_blocked(client, "full")
            began = time.monotonic()
            got = [other.get("full", no_ack=False) for _ in range(5)]
            other.method(1, "basic.ack", delivery_tag=5, multiple=True)
            assert [body[:8] for body in got] == [b"%08d" % n for n in range(5)]
            assert time.monotonic() - began < 2, "consumers wait for the disk"
            other.declare("full", passive=True, durable=True)
            filler.unlink()
            began = time.monotonic()
            while acked < sent or not any(n == "connection.unblocked" for _, n in client.others):
                kind, _, payload = client.frame(5)
                name, values = amqp.parse_method(payload)
                if name == "basic.ack":
                    acked = values["delivery-tag"]
                else:
                    client.others.append((0, name))
            resumed = time.monotonic() - began
            assert resumed < 2, f"went on after {resumed:.1f} s"
            client.confirmed = acked
            client.publish("full", b"%08d" % sent + b"after", props=PERSISTENT)
            client.confirms(sent + 1)
            node.kill()
            node.start()
            last = node.client()
            seen = set()
            while (body := last.get("full")) is not None:
                seen.add(int(body[:8]))
            missing = set(range(5, sent + 1)) - seen
            assert not missing, f"confirmed and lost: {sorted(missing)[:10]}"
            return f"{sent} messages, went on after {resumed:.2f} s"

        return run_on(node, act)


def disk_really_full(_node=None):
    """No byte is free at all (somebody else took it): no promise is broken, and it goes on."""
    node = Node("--memory-high", "256MiB")
    with Mounted(node) as mounted:
        if not mounted.works:
            return f", skipped: a small file system can not be mounted here ({mounted.why})"
        filler = mounted.data / "filler"

        def act(node):
            client, confirmed, failures = node.client(), [0], []
            client.declare("full", durable=True)
            client.confirm_select()
            # However quick the publisher is: when this goes, there is room enough to go on.
            filler.write_bytes(b"\0" * (100 * MIB))
            over = threading.Event()

            def publish():
                try:
                    while not over.is_set():
                        body = b"%08d" % confirmed[0] + b"\xd5" * 100000
                        client.publish("full", body, props=PERSISTENT)
                        client.confirms(confirmed[0] + 1, 20)
                        confirmed[0] += 1
                except Exception as error:
                    failures.append(error)

            thread = threading.Thread(target=publish)
            thread.start()
            time.sleep(0.1)
            with open(filler, "ab", buffering=0) as file:
                try:
                    while True:
                        file.write(b"\0" * 65536)
                except OSError:
                    pass
            stalled = confirmed[0]
            for _ in range(20):
                time.sleep(0.1)
                stalled, before = confirmed[0], stalled
            assert stalled == before, "the disk is full and confirms go on"
            with node.client() as other:
                assert other.get("full")[:8] == b"%08d" % 0
            filler.unlink()
            began = time.monotonic()
            while confirmed[0] <= stalled and time.monotonic() - began < 5 and not failures:
                time.sleep(0.01)
            resumed = time.monotonic() - began
            over.set()
            thread.join(20)
            assert not failures, repr(failures[0])
            assert resumed < 2, f"went on after {resumed:.1f} s"
            node.kill()
            node.start()
            last, seen = node.client(), set()
            while (body := last.get("full")) is not None:
                assert len(body) == 100008
                seen.add(int(body[:8]))
            missing = set(range(1, confirmed[0])) - seen
            assert not missing, f"confirmed and lost: {sorted(missing)[:10]}"
            return f"{confirmed[0]} confirmed, went on after {resumed:.2f} s"

        return run_on(node, act)


def kept_segments_make_room(_node=None):
    """What the log keeps of its old files is given back before publishers have to wait."""
    node = Node("--memory-high", "256MiB")
    with Mounted(node, 1200) as mounted:
        if not mounted.works:
            return f", skipped: a small file system can not be mounted here ({mounted.why})"

        def kept():
            return len(list(mounted.data.rglob("spare-*")))

        def publish(client, count):
            for number in range(count):
                client.publish("room", b"%08d" % number + b"\xd5" * 65536, props=PERSISTENT)
            client.confirms(client.confirmed + count)

        def act(node):
            client = node.client()
            client.declare("room", durable=True)
            client.confirm_select()
            deadline = time.monotonic() + 30
            while kept() < 2 and time.monotonic() < deadline:
                publish(client, 500)
                client.call(1, "queue.purge", queue="room")
                time.sleep(0.2)  # They are kept when somebody has time for that.
            assert kept() == 2, f"{kept()} segments are kept"
            mounted.leave(30_000_000)
            publish(client, 300)
            assert kept() == 0, f"{kept()} segments are kept on a disk that is nearly full"
            assert (0, "connection.blocked") not in client.others, "publishers had to wait"
            return f"{mounted.free() / MIB:.0f} MiB are free in the end"

        return run_on(node, act)


def run_on(node, act):
    """Like `with_node`, for a node that is made already."""
    node.start()
    try:
        note = act(node)
        assert b"panicked" not in node.output(), "a thread panicked"
    finally:
        node.stop()
    return f", {note}"


def second_start(_node=None):
    """A data directory serves one process: a second start is refused, the first one lives on."""
    def act(node):
        command, env = node.command()
        command[command.index("--amqp") + 1] = f"127.0.0.1:{lib.free_port()}"
        second = subprocess.run(command, env=env, capture_output=True, text=True, timeout=10,
                                check=False)
        assert second.returncode != 0 and "ready" not in second.stdout, second
        text = (second.stderr + second.stdout).lower()
        assert "lock" in text or "use" in text, text
        node.client().close()

    return with_node((), act)


def tool(node, name):
    """Runs `ferrymq NAME` on a node's data; (exit code, output)."""
    done = subprocess.run([lib.binary(), name, "--data-dir", str(node.folder / "data")],
                          capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def find_segment(node, needle):
    """The file and the offset of some bytes."""
    for path in sorted((node.folder / "data").rglob("*")):
        if path.is_file() and path.stat().st_size > len(needle):
            at = path.read_bytes().find(needle)
            if at >= 0:
                return path, at
    raise AssertionError("the message is in no file")


def damaged_directory(_node=None):
    """A flipped byte of a body: named by queue and place, the rest is served, no wrong body."""
    def act(node):
        client = node.client()
        client.declare("precious", durable=True)
        client.confirm_select()
        for number in range(300):
            body = b"precious-%05d-" % number + bytes([number % 251]) * 2000
            client.publish("precious", body, props=PERSISTENT)
        client.confirms(300)
        client.drop()
        # What was synced is claimed in a quiet moment; without a claim it could be a torn write.
        time.sleep(1)
        node.kill()
        path, at = find_segment(node, b"precious-%05d-" % 100)
        flip(path, at + 500)
        node.start()
        number, offset = (int(part) for part in LOGGED.search(node.output()).groups())
        assert f"{number:010}" in path.name and 0 <= at - offset < 200, f"{path} {at}: {number} {offset}"
        served(node, {100})
        node.stop()
        code, report = tool(node, "verify")
        named = f'of queue "precious" in "/", at {number}:{offset}'
        assert code == 1 and f"segment {number}" in report and named in report, report
        code, report = tool(node, "repair")
        assert code == 0 and named in report, report
        code, report = tool(node, "verify")
        assert code == 0 and "set aside earlier" in report, report
        node.start()
        served(node, {100})
        # After a clean stop a start reads no old bodies: the damage shows when one is served.
        node.stop()
        flip(*find_segment(node, b"precious-%05d-" % 200))
        code, report = tool(node, "verify")
        assert code != 0 and "damage" in report.lower(), report
        node.start()
        served(node, {100, 200})
        assert b"can not be read back" in node.output() and b"precious" in node.output()

    return with_node((), act)


def served(node, missing_ones):
    """All messages but these come, each with its own body; they go back afterwards."""
    with node.client() as client:
        seen = set()
        while (body := client.get("precious", no_ack=False)) is not None:
            number = int(body[9:14])
            assert body == b"precious-%05d-" % number + bytes([number % 251]) * 2000, "wrong body"
            seen.add(number)
        missing = set(range(300)) - seen
        assert missing == missing_ones, f"not served: {sorted(missing)[:20]}"


def flip(path, at):
    """Flips a bit of a file, in place."""
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def cut_segment(_node=None):
    """A file that ends too early looks like a torn write: said so, and only the end is missing."""
    def act(node):
        client = node.client()
        client.declare("cut", durable=True)
        client.confirm_select()
        for number in range(50):
            client.publish("cut", b"%05d" % number + b"c" * 1000, props=PERSISTENT)
        client.confirms(50)
        client.drop()
        node.kill()
        path, at = find_segment(node, b"%05d" % 30 + b"c" * 1000)
        with open(path, "r+b") as file:
            file.truncate(at + 100)
        node.start()
        assert re.search(rb"torn_bytes=[1-9]", node.output()), "the cut is not reported"
        with node.client() as client:
            got = 0
            while (body := client.get("cut")) is not None:
                assert body == b"%05d" % got + b"c" * 1000, f"message {got} is another"
                got += 1
        # A body counts once its step is written down: the last before the cut may have lost that.
        assert 0 < got <= 30, got

    return with_node((), act)


def missing_segment(_node=None):
    """A segment in the middle is gone: the start is refused by name, and works when it is back."""
    def act(node):
        client, count, body = node.client(), 2200, b"m" * 65536
        client.declare("missing", durable=True)
        client.confirm_select()
        for at in range(0, count, 20):
            client.send(b"".join(publish_frames(1, "", "missing", b"%05d" % (at + i) + body,
                                                PERSISTENT) for i in range(20)))
            client.confirms(at + 20)
        client.drop()
        node.kill()
        segments = sorted((node.folder / "data").glob("seg-*"))
        assert len(segments) > 2, segments
        away = node.folder / "away"
        segments[1].rename(away)
        try:
            node.start()
            raise AssertionError("started without a segment")
        except RuntimeError as refused:
            assert "segment 2" in str(refused) and "panicked" not in str(refused), refused
        away.rename(segments[1])
        node.start()
        with node.client() as client:
            got = 0
            while (message := client.get("missing")) is not None:
                assert message == b"%05d" % got + body, f"message {got} is another"
                got += 1
        assert got == count, f"{got} of {count}"
        return f"{got} of {count} served"

    return with_node((), act)


CASES = [disk_full, disk_really_full, kept_segments_make_room, second_start,
         damaged_directory, cut_segment, missing_segment]
