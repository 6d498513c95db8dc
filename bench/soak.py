#!/usr/bin/env python3
"""Soak: everything mixed against one node, then everything must be back where it began.

    bench/soak.py [--minutes 60] [--rate 1.0] [--kill-minutes N] [--out bench/results/DATE-soak.md]

AMQP (every kind of queue, transactions, gets), MQTT (every quality, kept sessions, take-over,
wills, retained messages), WebSocket and HTTP at once, with churn of connections, channels, queues,
bindings, policies and users. First a short warm-up with the same clients; then all stops, what they
declared is deleted, and the node is weighed ("before"). Then the soak, and the same again
("after"). Descriptors, threads, objects and messages must be what they were, memory, files and
disk nearly so; and no message that was confirmed may be missing. Exit code 1 if not.

Needs pika, paho-mqtt and websockets as in tests/interop/requirements.txt (bench/soak.sh has them).
Environment: FERRYMQ (the binary), INTEROP_PORTS (loopback ports, default 5900-5999).
"""

import argparse
import datetime
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/interop"), str(ROOT / "bench")]

from soaking import amqp, mqtt, page, web  # noqa: E402
from soaking.node import Node, Watch  # noqa: E402

WARM_UP_MINUTES = 1.5
SETTLE_S_MAX = 120
DRAIN_S_MAX = 90
WORKERS = amqp.WORKERS + mqtt.WORKERS + web.WORKERS


def load(node, arguments, minutes, kill_minutes=0):
    """All workers for so long. Gives them, the samples, and the seconds of each restart."""
    workers = [kind(node, arguments.rate) for kind in WORKERS]
    watch = Watch(node)
    watch.start()
    for worker in workers:
        worker.start()
    restarts = []
    end = time.monotonic() + minutes * 60
    while (left := end - time.monotonic()) > 0:
        if kill_minutes and left > 30:
            time.sleep(min(left, kill_minutes * 60))
            restarts.append(node.kill_and_start())
        else:
            time.sleep(min(left, 60))
            tell(node, workers)
    samples = watch.end()
    for worker in workers:
        if not worker.is_alive():
            worker.wrong("it ended before its time")
        worker.publishing = False
    until = time.monotonic() + DRAIN_S_MAX
    for worker in workers:
        worker.drain(until)
    for worker in workers:
        worker.end()
        for error in worker.errors:
            print(f"{worker.title}: {error}", flush=True)
    return workers, samples, restarts


def tell(node, workers):
    """A line of where it stands."""
    sample = node.look()
    errors = sum(len(worker.errors) for worker in workers)
    print(f"{datetime.datetime.now():%H:%M:%S} RSS {sample['rss'] / page.MIB:.0f} MiB, "
          f"{sample['fds']} descriptors, {sample['files']} files, "
          f"{sample['disk'] / page.MIB:.0f} MiB on disk, {sample['queues']:.0f} queues, "
          f"{sum(worker.delivered for worker in workers):,} taken, {errors} errors", flush=True)


def settled(node, limit_s, before):
    """Weighs the node when it has come to rest: when all is back, or after a long wait."""
    began = time.monotonic()
    while True:
        time.sleep(1)
        now = node.look()
        waited = time.monotonic() - began
        if waited > limit_s or before is not None and page.returned(before, now):
            return now, waited


def soak(node, arguments):
    """The whole course; gives the page and what failed."""
    node.begin()
    time.sleep(3)
    fresh = node.look()
    print(f"warm-up: {arguments.warm_up_minutes} minutes", flush=True)
    warm, _, _ = load(node, arguments, arguments.warm_up_minutes)
    before, _ = settled(node, arguments.settle_s / 2, None)
    print(f"soak: {arguments.minutes} minutes", flush=True)
    workers, samples, restarts = load(node, arguments, arguments.minutes, arguments.kill_minutes)
    after, waited = settled(node, arguments.settle_s, before)
    compared, failed = page.comparison(fresh, before, page.peaks(samples), after)
    account, wrong = page.account(workers)
    failed += wrong + page.account(warm)[1]
    facts = [("minutes", f"{arguments.minutes:g}"), ("date", f"{datetime.datetime.now():%F %H:%M}"),
             ("machine", f"{os.cpu_count()} cores, Linux {platform.release()}"),
             ("commit", commit()), ("command", "`bench/soak.py " + " ".join(sys.argv[1:]) + "`"),
             ("memory over the second half", f"{page.slope_mib_h(samples):+.1f} MiB an hour"),
             ("all was back after", f"{waited:.0f} s")]
    if restarts:
        facts.append(("kills", f"{len(restarts)}, up again after {max(restarts):.1f} s at most"))
    parts = [("Before and after", compared), ("Course", page.course(samples)),
             ("Account", account)]
    return page.render(arguments.out.stem, facts, parts, failed), failed


def commit():
    """Of the working folder."""
    got = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return got.stdout.strip() or "unknown"


def main():
    """Reads the command line, and ends with 1 if anything did not return."""
    today = datetime.date.today().isoformat()
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--warm-up-minutes", type=float, default=WARM_UP_MINUTES)
    parser.add_argument("--settle-s", type=float, default=SETTLE_S_MAX,
                        help="longest wait for the node to come to rest, in seconds")
    parser.add_argument("--rate", type=float, default=1.0, help="times the usual pace")
    parser.add_argument("--kill-minutes", type=float, default=0,
                        help="kill -9 the node each so many minutes")
    parser.add_argument("--out", type=pathlib.Path,
                        default=ROOT / f"bench/results/{today}-soak.md")
    arguments = parser.parse_args()
    folder = pathlib.Path(os.environ.get("BENCH_DIR", ROOT / "target/bench")) / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    node = Node(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        text, failed = soak(node, arguments)
    finally:
        node.stop()
    arguments.out.write_text(text)
    print(text)
    if failed:
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
