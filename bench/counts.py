#!/usr/bin/env python3
"""Shows what one delivered message costs the broker in things that can be counted: allocations,
system calls by name, context switches, waits for a lock, bytes written to the log.

    bench/counts.py T1 T3 T5 K1 K1,shards=256 mqtt:T1 mqtt:T5 [--broker target/release/ferrymq]

Nothing is built into the broker for it: it is the program that is measured elsewhere, too. The
kernel counts (`perf stat`): system calls by tracepoints, allocations by probes at the entries of
the allocator. Probes slow the broker down, so they have a run of their own, and the CPU time is
that of the run without them. Counts are per 1,000 messages (of a fan-out: copies): the counted
window lies within the measured time of `bench run`, whose rate says how many messages went by.

Needs root, `perf`, and both programs built. Counting disturbs: a quiet machine, several seconds.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WARMUP_S, MARGIN_S = 1.0, 0.5
# Columns: system calls that do the same for us.
CALLS = {
    "recv": ["recvfrom", "read", "recvmsg"],
    "send": ["sendto", "sendmsg", "writev"],
    "epoll": ["epoll_wait", "epoll_pwait"],
    "futex": ["futex"],
    "log write": ["pwrite64", "pwritev", "pwritev2", "write"],
    "sync": ["fdatasync"],
    "pread": ["pread64"],
}
# Probed functions of the broker: a column, and what its symbol looks like.
PROBES = {
    "alloc": r"^mi_(malloc|zalloc)_aligned$",
    "realloc": r"^mi_realloc_aligned$",
    "free": r"^mi_free$",
    "lock wait": r"RawMutex\d+lock_slow|RawRwLock\d+lock_(shared|exclusive)_slow",
}


def run(command, **options):
    """A command that must succeed; its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


class Probes:
    """Probes at functions of a program, for as long as the block lasts."""

    LIST = pathlib.Path("/sys/kernel/tracing/uprobe_events")

    def __init__(self, program):
        self.program, self.events = pathlib.Path(program).resolve(), {}

    def places(self):
        """Columns, and where in the file their functions begin."""
        loads = [line.split() for line in run(["readelf", "-lW", self.program]).splitlines()
                 if line.split()[:1] == ["LOAD"]]
        segments = [[int(field, 16) for field in (load[2], load[1], load[4])] for load in loads]
        for line in run(["nm", "--defined-only", self.program]).splitlines():
            address, _, symbol = line.split(maxsplit=2)
            for column, pattern in PROBES.items():
                if re.search(pattern, symbol):
                    start, offset = next((start, offset) for start, offset, size in segments
                                         if start <= int(address, 16) < start + size)
                    yield column, int(address, 16) - start + offset

    def tell(self, line):
        """One change to the kernel's list of probes, which can be appended to and not sought."""
        probes = os.open(self.LIST, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(probes, f"{line}\n".encode())
        finally:
            os.close(probes)

    def __enter__(self):
        for column, offset in self.places():
            events = self.events.setdefault(column, [])
            event = f"counts/{column.replace(' ', '_')}_{len(events)}"
            self.tell(f"p:{event} {self.program}:{offset:#x}")
            events.append(event.replace("/", ":"))
        assert set(self.events) == set(PROBES), "the program has no such functions"
        return self

    def __exit__(self, *_):
        for event in (event for events in self.events.values() for event in events):
            self.tell(f"-:{event.replace(':', '/')}")


def free_port():
    """A loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Broker:
    """A broker on an empty folder."""

    def __init__(self, program):
        self.folder = tempfile.TemporaryDirectory(prefix="counts-")
        self.ports = {"amqp": free_port(), "mqtt": free_port()}
        command = [program, "serve", "--data-dir", f"{self.folder.name}/data", "--http", "off",
                   "--prometheus", "off"]
        for door, port in self.ports.items():
            command += [f"--{door}", f"127.0.0.1:{port}"]
        log = open(f"{self.folder.name}/log", "w", encoding="utf-8")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        while self.process.stdout.readline().strip() != "ready":
            if self.process.poll() is not None:
                raise SystemExit(f"{program} did not start")

    def file_bytes(self):
        """Bytes that it has written to files."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["wchar"])

    def stop(self):
        """Ends it in order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.folder.cleanup()


def counted(options, broker, scenario, events):
    """Runs a scenario and counts in its middle: events by name, CPU time, messages."""
    door, _, name = scenario.rpartition(":")
    name, *keys = name.split(",")
    door = door or "amqp"
    user = ["user=guest"] if door == "mqtt" else []
    target = ",".join([f"ferrymq={door}@127.0.0.1:{broker.ports[door]}", *user, *keys])
    seconds = options.seconds + 2 * MARGIN_S
    bench = subprocess.Popen(
        [options.bench, "run", target, "--scenario", name, "--secs", str(seconds), "--warmup",
         str(WARMUP_S), "--no-retry"], stdout=subprocess.PIPE, text=True)
    time.sleep(WARMUP_S + MARGIN_S)
    before, began = broker.file_bytes(), time.monotonic()
    pid = str(broker.process.pid)
    said = subprocess.run(["perf", "stat", "-x", ";", "-p", pid, "-e", ",".join(events), "--",
                           "sleep", str(options.seconds)], capture_output=True, text=True)
    after, window_s = broker.file_bytes(), time.monotonic() - began
    lines = [json.loads(line) for line in bench.communicate()[0].splitlines() if line[:1] == "{"]
    results = [line for line in lines if "broker_cpu_us_per_message" in line]
    if said.returncode != 0 or not results:
        raise SystemExit(f"{scenario}: {said.stderr.strip()} {lines[-1:]}")
    rows = (line.split(";") for line in said.stderr.splitlines())
    counts = {row[2]: int(row[0]) for row in rows if len(row) > 2 and row[0].isdigit()}
    result = results[-1]
    messages = result["msgs_s"] * window_s
    counts["log KB"] = (after - before) // 1000
    return counts, messages, result["broker_cpu_us_per_message"]


def row_of(options, scenario, probes):
    """The figures of one scenario, per 1,000 messages."""
    calls = {name: f"syscalls:sys_enter_{name}" for names in CALLS.values() for name in names}
    figures = {}

    def add(column, count, messages):
        figures[column] = 1000 * count / messages

    broker = Broker(options.broker)
    try:
        events = ["raw_syscalls:sys_enter", "context-switches", *calls.values()]
        counts, messages, cpu_us = counted(options, broker, scenario, events)
        figures["CPU us"] = cpu_us
        add("calls", counts.get("raw_syscalls:sys_enter", 0), messages)
        for column, names in CALLS.items():
            add(column, sum(counts.get(calls[name], 0) for name in names), messages)
        add("switches", counts.get("context-switches", 0), messages)
        add("log KB", counts["log KB"], messages)
        events = [event for events in probes.events.values() for event in events]
        counts, messages, _ = counted(options, broker, scenario, events)
        for column, names in probes.events.items():
            add(column, sum(counts.get(name, 0) for name in names), messages)
    finally:
        broker.stop()
    return figures


def shown(value):
    """Three digits that matter."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def main():
    """One table for all scenarios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="+", help="[mqtt:]NAME[,key=value]..., of bench")
    parser.add_argument("--broker", default=ROOT / "target/release/ferrymq")
    parser.add_argument("--bench", default=ROOT / "target/release/bench")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long is counted")
    options = parser.parse_args()
    head = None
    with Probes(str(options.broker)) as probes:
        for scenario in options.scenarios:
            figures = row_of(options, scenario, probes)
            if head is None:
                head = list(figures)
                print("| scenario | " + " | ".join(head) + " |")
                print("|---|" + "---:|" * len(head), flush=True)
            cells = " | ".join(shown(figures[column]) for column in head)
            print(f"| {scenario} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
