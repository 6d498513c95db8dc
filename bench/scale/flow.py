#!/usr/bin/env python3
"""What consumers and a node's memory do while publishers are held: a long backlog, little memory.

    bench/scale/flow.py [--messages 5000000] [--body-bytes 4096] [--minutes 30] [--limit-mib 512]
                        [--connections 100] [--rate 5000]

A node in a memory cgroup gets a backlog of persistent messages (20 GB by default). Then
connections that publish and consume (`sharers.py`) take `--rate` messages a second together and
publish as many again. Once a minute clients come that do not read messages of 64 KiB that are
returned to them, until publishers are held, and go away 10 s later. Taken are, for each time:
milliseconds from the write of the message that was one too many to `connection.blocked` of each
connection; the consumers' rate in the 10 s before those clients came and in the 10 s of the hold,
of all together, in the worst second, and of the connection that got least; memory; and how long
another connection waits for a declaration and a `basic.get`. At the end every message is accounted
for. Takes half an hour, 25 GB of disk and, for the limit, root (`backlogs.py`). Tells each hold on
standard error, prints a table.
"""

import ctypes
import itertools
import multiprocessing
import re
import statistics
import sys
import threading
import time

from backlogs import limited_node, options
from node import PORT, rows_of
from sharers import DRAIN, QUEUE, Client, Frames, Shared, fill, publish_frames, work

TOO_MUCH = publish_frames(1, "", "no such queue", bytes(65536), mandatory=True)
# Of them, to one client: a node reads nothing more from one that has 16 MiB to take.
TOO_MUCH_EACH = 15 * 16
PROCESSES = 4
SAMPLE_S, CANARY_S, CANARY_TOLD_S = 0.2, 0.05, 0.1
PERIOD_S, HOLD_S, SETTLE_S = 60, 10, 15
NOTICE_MS_MAX, FALL_PERCENT_MAX, MEMORY_PART_MAX = 100, 10, 0.95
PAY_S_MAX = 300
HELD = re.compile(r"used_bytes=(\d+) high_bytes=(\d+)")


class Watch(threading.Thread):
    """Memory of the node and messages that came, five times a second."""

    def __init__(self, broker, shared):
        super().__init__(daemon=True)
        self.broker, self.shared, self.points = broker, shared, []
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(SAMPLE_S):
            took = time.monotonic(), sum(self.shared.delivered), self.broker.memory_mib()
            self.points.append(took)

    def rate(self, begin, end):
        """Messages in a second from one time to another: all of it, and the worst second."""
        part = [(at, count) for at, count, _ in self.points if begin <= at <= end]
        seconds, step = [], round(1 / SAMPLE_S)
        for (first_at, first), (last_at, last) in zip(part, part[step:]):
            seconds.append((last - first) / (last_at - first_at))
        return (part[-1][1] - part[0][1]) / (part[-1][0] - part[0][0]), min(seconds)


def tell(what):
    """A line on the way, with its time."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def canary(shared, worst):
    """Declares and gets on a connection of its own; the worst seconds free and held."""
    client = Client(PORT)
    client.declare("canary", durable=True)
    client.publish("canary", b"sings")
    while True:
        held, began = shared.held.value, time.monotonic()
        client.declare("canary", durable=True)
        client.method(1, "basic.get", queue="canary")
        tag = client.wait("basic.get-ok", 1)["delivery-tag"]
        client.content()
        client.method(1, "basic.reject", delivery_tag=tag, requeue=True)
        took = time.monotonic() - began
        worst[held] = max(worst[held], took)
        if took > CANARY_TOLD_S:
            tell(f"{'held' if held else 'free'}: a declaration and a get took {1e3 * took:.0f} ms")
        time.sleep(CANARY_S)


class Holds:
    """Holds publishers again and again, and keeps the figures of each time."""

    def __init__(self, shared, watch):
        self.shared, self.watch = shared, watch
        self.watcher = Client(PORT)
        self.watcher.confirm_select()
        self.notices_ms, self.freed_ms, self.falls, self.worst_seconds = [], [], [], []
        self.before, self.during, self.least, self.owed = [], [], [], []

    def once(self):
        """One time, from the first message that is too much to the last connection let go."""
        if any(told > freed for told, freed in zip(self.shared.blocked_at, self.shared.unblocked_at)):
            raise SystemExit("publishers are held already: the backlog alone is at the memory mark, take less")
        came = time.monotonic()
        fillers = []
        writes = self.until_held(fillers)
        self.shared.held.value, held = 1, time.monotonic()
        counts = self.shared.delivered[:]
        time.sleep(HOLD_S)
        late, counts = time.monotonic(), [
            now - then for now, then in zip(self.shared.delivered, counts)]
        # A client's message may have been the one too many, so before the last of ours.
        first = min((at for at in self.shared.blocked_at if at > came), default=held)
        written = max(at for at in writes if at < first)
        self.take_notices(self.shared.blocked_at, written, self.notices_ms, "blocked")
        self.owed.append(self.shared.owed())
        self.shared.held.value = 0
        let_go = time.monotonic()
        for filler in fillers:
            filler.drop()
        # The notice, and the confirm that was due.
        self.watcher.frame(), self.watcher.frame()
        time.sleep(1)
        self.take_notices(self.shared.unblocked_at, let_go, self.freed_ms, "unblocked")
        before, _ = self.watch.rate(came - HOLD_S, came)
        during, worst_second = self.watch.rate(held, late)
        self.before.append(before)
        self.during.append(during)
        self.falls.append(100 * (1 - during / before))
        self.worst_seconds.append(100 * (1 - worst_second / before))
        self.least.append(min(counts) / (late - held) / (before / len(counts)) * 100)
        tell(f"{len(fillers)} clients held publishers: told after {max(self.notices_ms[-1]):.1f} ms"
             f" at most, {before:,.0f}/s before, {during:,.0f}/s then")

    def until_held(self, fillers):
        """Adds one message after another; when each was written, up to the one too many."""
        writes = []
        for sent in itertools.count():
            if sent % TOO_MUCH_EACH == 0:
                fillers.append(Client.raw(PORT, receive_bytes=8192))
                fillers[-1].log_in()
            writes.append(time.monotonic())
            fillers[-1].send(TOO_MUCH)
            self.watcher.publish("nowhere", b"")
            # On channel 0 is the notice, on channel 1 would be the confirm.
            if self.watcher.frame()[1] == 0:
                return writes

    def take_notices(self, times, since, into, what):
        took = [1e3 * (at - since) for at in times]
        if min(took) < 0:
            missing = [n for n, ms in enumerate(took) if ms < 0]
            raise SystemExit(f"connections {missing} were not told {what}: {min(took):.1f} ms")
        into.append(took)


def told(values, form="{:.1f}"):
    """Median and worst (the largest) of some figures."""
    return " and ".join(form.format(value) for value in (statistics.median(values), max(values)))


def oom_kills(group):
    found = re.search(r"oom_kill (\d+)", (group / "memory.oom_control").read_text())
    return int(found[1]) if found else 0


def overshoots_kib(broker):
    """By how much memory was over the mark when the node held publishers, as its log tells."""
    log = (broker.folder / "log").read_text()
    lines = [HELD.search(line) for line in log.splitlines() if "publishers are held" in line]
    return [(int(line[1]) - int(line[2])) / 1024 for line in lines if line]


def finish(shared, workers, client):
    """Pays what is owed, and counts what came: rows of the table."""
    began, shared.phase.value = time.monotonic(), DRAIN
    for worker in workers:
        worker.join(max(1, began + PAY_S_MAX - time.monotonic()))
        if worker.exitcode != 0:
            raise SystemExit(f"a worker ended with {worker.exitcode}, {shared.owed()} are owed")
    due = shared.messages + sum(shared.published) - sum(shared.delivered)
    lost = due - client.declare(QUEUE, durable=True)[0]
    paid_s = time.monotonic() - began
    return [("all that was owed is paid and confirmed after", f"{paid_s:.1f} s", ""),
            ("messages through", f"{sum(shared.delivered):,}", ""),
            ("lost by count and by number, twice, out of order",
             f"{lost}, {shared.holes()}, {sum(shared.twice)}, {sum(shared.disorder)}",
             "0, 0, 0, 0")]


def load(broker, args, frames):
    """Everything but the fill: the rows of the table."""
    numbers = args.messages + int(args.rate * (60 * args.minutes + PAY_S_MAX) * 1.5)
    shared = Shared(args.messages, args.connections, numbers, frames)
    worst = multiprocessing.RawArray(ctypes.c_double, 2)
    start = multiprocessing.get_context("fork").Process
    processes = [start(target=work, args=(
        shared, range(part, args.connections, PROCESSES), args.rate / args.connections))
        for part in range(PROCESSES)]
    processes.append(start(target=canary, args=(shared, worst)))
    watch = Watch(broker, shared)
    try:
        for process in processes:
            process.start()
        watch.start()
        holds = Holds(shared, watch)
        hold_until(time.monotonic() + 60 * args.minutes, holds, processes)
        ended = finish(shared, processes[:PROCESSES], holds.watcher)
    finally:
        watch.over.set()
        for process in processes:
            process.terminate()
    return rows(args, broker, watch, holds, worst) + ended


def hold_until(ends, holds, processes):
    """Holds publishers once a minute, and leaves time to pay what is owed then."""
    due = time.monotonic() + SETTLE_S
    while due + HOLD_S < ends:
        time.sleep(max(0, due - time.monotonic()))
        holds.once()
        due = max(due + PERIOD_S, time.monotonic() + SETTLE_S)
        if not all(process.is_alive() for process in processes):
            raise SystemExit("a client has ended")
    time.sleep(max(0, ends - time.monotonic()))


def rows(args, broker, watch, holds, worst):
    memory = [mib for _, _, mib in watch.points]
    peak = max(*memory, broker.memory_mib("VmHWM"))
    count = len(holds.notices_ms)
    notices = [ms for times in holds.notices_ms for ms in times]
    freed = [ms for times in holds.freed_ms for ms in times]
    overshoots = overshoots_kib(broker)
    return [
        (f"times that publishers were held, {HOLD_S} s each", f"{count}", ""),
        ("memory of the process, median of it", f"{statistics.median(memory):.0f} MiB", ""),
        ("the most since its start, the fill too", f"{peak:.0f} MiB",
         f"{args.limit_mib * MEMORY_PART_MAX:.0f} MiB"),
        (f"blocked: notices to {args.connections} connections, median and most",
         f"{told(notices)} ms", f"{NOTICE_MS_MAX} ms"),
        ("of them later than that",
         f"{sum(ms > NOTICE_MS_MAX for ms in notices)} of {len(notices):,}", "0"),
        ("over the mark when they were held, median and most", f"{told(overshoots, '{:.0f}')} KiB",
         ""),
        ("unblocked: notices, median and most", f"{told(freed)} ms", ""),
        ("consumers before, median and least",
         f"{statistics.median(holds.before):,.0f} and {min(holds.before):,.0f}/s", ""),
        ("consumers in a hold, median and least",
         f"{statistics.median(holds.during):,.0f} and {min(holds.during):,.0f}/s", ""),
        ("consumers' rate falls by, median and most", f"{told(holds.falls)} %",
         f"{FALL_PERCENT_MAX} %"),
        ("in the worst second of a hold", f"{told(holds.worst_seconds)} %", ""),
        ("the connection that got least in a hold, of its part, median and least",
         f"{statistics.median(holds.least):.0f} and {min(holds.least):.0f} %", ""),
        ("longest wait of a connection for its next message, free and held",
         " and ".join(f"{1e3 * max(waits):.0f}" for waits in watch.shared.waits) + " ms", ""),
        ("another connection's declaration and get, worst free and held",
         f"{1e3 * worst[0]:.0f} and {1e3 * worst[1]:.0f} ms", ""),
        ("owed at the end of a hold, median and most", told(holds.owed, "{:,.0f}"), ""),
    ]


def main():
    parser = options(__doc__, 5_000_000, 512)
    parser.add_argument("--body-bytes", type=int, default=4096)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--rate", type=int, default=5000)
    args = parser.parse_args()
    frames = Frames(args.body_bytes)
    with limited_node("flow", args.limit_mib) as (broker, group):
        kills = oom_kills(group) if group else 0
        try:
            with Client(PORT) as filler:
                fill_s = fill(filler, args.messages, frames)
            table = [("backlog filled at", f"{args.messages / fill_s:,.0f}/s", "")]
            table += load(broker, args, frames)
        finally:
            if group:
                tell(f"{oom_kills(group) - kills} OOM kills")
        if group:
            table.append(("OOM kills", f"{oom_kills(group) - kills}", "0"))
            failures = (group / "memory.failcnt").read_text().strip()
            table.append(("times the cgroup was full, page cache included", failures, ""))
        rows_of(f"{args.connections} connections share {args.messages:,} messages of "
                f"{args.body_bytes:,} B in {args.limit_mib} MiB for {args.minutes:g} min", table)


main()
