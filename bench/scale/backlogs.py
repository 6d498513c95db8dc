"""A node in a memory cgroup that is filled, stopped, started and drained.

The limit is a memory cgroup (version 1, root); without that controller it says so and runs without.
"""

import argparse
import contextlib
import os
import pathlib
import shlex
import subprocess
import sys
import time

from node import Node

MEMORY = pathlib.Path("/sys/fs/cgroup/memory")
# The end of its process, not of its listeners: then another one may have the data.
STOP = "pid=$(cat {pid}); kill $pid 2> /dev/null; while readlink /proc/$pid/exe; do sleep 0.01; done > /dev/null"


def options(about, messages, limit_mib):
    """A parser of the arguments that all take, with their defaults."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--messages", type=int, default=messages)
    parser.add_argument("--limit-mib", type=int, default=limit_mib)
    return parser


@contextlib.contextmanager
def limited_node(name, mib):
    """A started node that may have so much memory, and its cgroup or none where there can be none;
    leaves neither behind."""
    group = limited(mib)
    node = Node(name)
    try:
        touch(mib)
        node.start()
        yield node, group
    finally:
        # The node that was started last may be no child of ours.
        os.system(STOP.format(pid=shlex.quote(str(node.folder / "pid"))) + " 2> /dev/null")
        node.close()
        if group:
            time.sleep(1)
            group.rmdir()


def limited(mib):
    """A cgroup for nodes to come, with that limit, or none."""
    group = MEMORY / "ferrymq-scale"
    try:
        group.mkdir(exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(str(mib << 20))
    except OSError as error:
        print(f"no memory cgroup, so no limit: {error}", file=sys.stderr)
        return None
    os.environ["SCALE_CGROUP"] = str(group)
    return group


def touch(mib):
    """Uses so much memory once. A host takes back what its guest left alone, and gives it again
    slowly (0.3 GB a second instead of 2.9, seen here): that would count against whoever needs it."""
    uses = f"import mmap; m = mmap.mmap(-1, {mib} << 20); [m.write(bytes(1 << 20)) for _ in range({mib})]"
    subprocess.run([sys.executable, "-c", uses], check=True)


def fill_and_drain(broker, messages):
    """So many persistent messages of 128 B in and, after a restart, out again: what `bench` tells."""
    start = " ".join(shlex.quote(word) for word in broker.command())
    log = shlex.quote(str(broker.folder / "log"))
    stop = STOP.format(pid=shlex.quote(str(broker.folder / "pid")))
    return broker.bench("backlog", "--messages", messages, "--limit", 300,
                        "--start-cmd", f"{start} >> {log} 2>&1", "--stop-cmd", stop)
