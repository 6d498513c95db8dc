#!/usr/bin/env python3
"""Fills a queue with delayed messages, restarts the broker, and measures how late due ones come.

    bench/schedule.py path/to/ferrymq [--pending 10000000] [--due 100000] [--over 60]

Prints one line of JSON. Raw frames, so that the client costs little beside the broker.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

PORT, HTTP = 21990, 21991
QUEUE = b"later"


def short(text):
    return bytes([len(text)]) + text


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel, class_id, method_id, arguments):
    return frame(1, channel, struct.pack(">HH", class_id, method_id) + arguments)


class Client:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", PORT))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.send(b"AMQP\x00\x00\x09\x01")
        self.expect(10, 10)
        login = b"\x00guest\x00guest"
        start_ok = struct.pack(">I", 0) + short(b"PLAIN") + struct.pack(">I", len(login)) + login
        self.send(method(0, 10, 11, start_ok + short(b"en_US")))
        self.expect(10, 30)
        self.send(method(0, 10, 31, struct.pack(">HIH", 2047, 131072, 0)))
        self.send(method(0, 10, 40, short(b"/") + short(b"") + b"\x00"))
        self.expect(10, 41)
        self.send(method(1, 20, 10, short(b"")))
        self.expect(20, 11)

    def send(self, data):
        self.socket.sendall(data)

    def frames(self):
        while True:
            while len(self.buffer) >= 7:
                kind, channel, size = struct.unpack_from(">BHI", self.buffer)
                if len(self.buffer) < size + 8:
                    break
                payload, self.buffer = self.buffer[7 : 7 + size], self.buffer[size + 8 :]
                yield kind, payload
            data = self.socket.recv(1 << 20)
            if not data:
                raise SystemExit("the broker closed the connection")
            self.buffer += data

    def expect(self, class_id, method_id):
        for kind, payload in self.frames():
            if kind == 1:
                got = struct.unpack_from(">HH", payload)
                if got == (class_id, method_id):
                    return payload[4:]
                if got in ((10, 50), (20, 40)):
                    raise SystemExit(f"closed: {payload!r}")

    def declare(self):
        self.send(method(1, 50, 10, struct.pack(">H", 0) + short(QUEUE) + b"\x02" + struct.pack(">I", 0)))
        return struct.unpack(">II", self.expect(50, 11)[1 + len(QUEUE) :])


def template(body):
    """One persistent publish with an x-delay, and where the delay and the body stand in it."""
    table = short(b"x-delay") + b"l" + b"\x00" * 8
    properties = struct.pack(">H", 0x2000 | 0x1000) + struct.pack(">I", len(table)) + table + b"\x02"
    publish = method(1, 60, 40, struct.pack(">H", 0) + short(b"") + short(QUEUE) + b"\x00")
    header = frame(2, 1, struct.pack(">HHQ", 60, 0, len(body)) + properties)
    whole = publish + header + frame(3, 1, body)
    return whole, whole.index(b"x-delayl") + 8, len(publish) + len(header) + 7


def publish(client, delays, stamp=False):
    one, at, body_at = template(b"\x00" * 16)
    batch = 2000
    client.send(method(1, 85, 10, b"\x00"))
    client.expect(85, 11)
    for start in range(0, len(delays), batch):
        part = delays[start : start + batch]
        block = bytearray(one * len(part))
        now = time.time()
        for index, delay in enumerate(part):
            struct.pack_into(">q", block, index * len(one) + at, delay)
            if stamp:
                struct.pack_into(">d", block, index * len(one) + body_at, now + delay / 1000)
        client.send(block)
    wanted = len(delays)
    for kind, payload in client.frames():
        if kind == 1 and struct.unpack_from(">HH", payload) == (60, 80):
            tag, multiple = struct.unpack_from(">QB", payload, 4)
            if tag == wanted and multiple or tag == wanted:
                return


class Broker:
    def __init__(self, path, data):
        self.path, self.data, self.process = path, data, None

    def start(self):
        began = time.time()
        self.process = subprocess.Popen(
            [self.path, "--data-dir", self.data, "--amqp", f"127.0.0.1:{PORT}", "--http", f"127.0.0.1:{HTTP}",
             "--prometheus", "off", "--mqtt", "off"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", PORT)).close()
                return time.time() - began
            except OSError:
                time.sleep(0.01)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def status(self, name):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lateness(client, count):
    """Consumes until `count` have come; milliseconds after their time, sorted."""
    client.send(method(1, 60, 20, struct.pack(">H", 0) + short(QUEUE) + short(b"") + b"\x02" + struct.pack(">I", 0)))
    late = []
    for kind, payload in client.frames():
        if kind == 3:
            late.append((time.time() - struct.unpack_from(">d", payload)[0]) * 1000)
            if len(late) == count:
                return sorted(late)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("broker")
    parser.add_argument("--pending", type=int, default=10_000_000)
    parser.add_argument("--due", type=int, default=100_000)
    parser.add_argument("--over", type=float, default=60, help="seconds")
    arguments = parser.parse_args()
    data = tempfile.mkdtemp(prefix="schedule-", dir=os.environ.get("BENCH_DIR"))
    broker = Broker(arguments.broker, data)
    result = {"pending": arguments.pending, "due": arguments.due, "over_s": arguments.over}
    try:
        broker.start()
        client = Client()
        client.declare()
        before, cpu, began = broker.status("VmRSS"), broker.cpu(), time.time()
        hour = 3_600_000
        step = 0x9E3779B97F4A7C15
        delays = [hour + (n * step >> 20) % (24 * hour) for n in range(arguments.pending)]
        publish(client, delays)
        del delays
        result["fill_s"] = round(time.time() - began, 1)
        result["fill_cpu_us_each"] = round((broker.cpu() - cpu) * 1e6 / arguments.pending, 2)
        result["more_memory_mib"] = round(broker.status("VmRSS") - before)
        result["peak_mib"] = round(broker.status("VmHWM"))
        broker.kill()
        result["restart_s"] = round(broker.start(), 2)
        client = Client()
        assert client.declare() == (0, 0), "delayed messages are not ready"
        result["after_restart_mib"] = round(broker.status("VmRSS"))
        cpu = broker.cpu()
        lead = 5000
        over = int(arguments.over * 1000)
        publish(client, [lead + n * over // arguments.due for n in range(arguments.due)], stamp=True)
        late = lateness(Client(), arguments.due)
        result["early"] = sum(1 for ms in late if ms < -1)
        for name, place in [("p50", 0.5), ("p99", 0.99), ("max", 1)]:
            result[f"late_{name}_ms"] = round(late[min(int(len(late) * place), len(late) - 1)], 2)
        result["due_cpu_us_each"] = round((broker.cpu() - cpu) * 1e6 / arguments.due, 2)
        print(json.dumps(result))
    finally:
        if broker.process:
            broker.kill()
        shutil.rmtree(data)


if __name__ == "__main__":
    main()
