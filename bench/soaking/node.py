"""The node under soak: started, killed, and looked at from outside once a second.

Invariants
- A sample is what the kernel and the file system tell, and the node's own gauges every few seconds.
- `same_life` says whether the node was killed since an epoch: only then may connections end.
"""

import os
import pathlib
import re
import threading
import time
import urllib.request

import lib

METRICS_EVERY = 5
GAUGES = {"connections": "rabbitmq_connections", "channels": "rabbitmq_channels",
          "queues": "rabbitmq_queues", "consumers": "rabbitmq_consumers",
          "exchanges": "ferrymq_exchanges", "messages": "rabbitmq_queue_messages",
          "delayed": "ferrymq_messages_delayed", "live_bytes": "ferrymq_log_live_bytes",
          "message_bytes": "ferrymq_message_memory_bytes"}


class Node(lib.Broker):
    """A FerryMQ with all its doors open."""

    def __init__(self, folder):
        super().__init__("ferrymq", folder, http=True, mqtt=True)
        self.up, self.epoch = threading.Event(), 0

    def begin(self):
        """Starts it."""
        self.start()
        self.up.set()

    def kill_and_start(self):
        """SIGKILL, and up again on the same data. Gives the seconds of the start."""
        self.up.clear()
        self.epoch += 1
        self.kill()
        seconds = self.start()
        self.up.set()
        return seconds

    def wait_up(self):
        """Waits until it serves; gives the epoch."""
        while True:
            self.up.wait()
            epoch = self.epoch
            if self.up.is_set():  # else it was killed between the two
                return epoch

    def same_life(self, epoch):
        """Was it not killed since?"""
        return epoch == self.epoch

    def gauges(self):
        """The node's own counts."""
        url = f"http://127.0.0.1:{self.http}/metrics"
        page = urllib.request.urlopen(url, timeout=20).read().decode()
        found = dict(re.findall(r"^(\w+) ([0-9.e+]+)$", page, re.M))
        return {name: float(found[metric]) for name, metric in GAUGES.items()}

    def descriptors(self):
        """Those of data files, of data files that are deleted, and all others."""
        counts = {"fds": 0, "data_fds": 0, "deleted_fds": 0}
        inside = str((self.folder / "data").resolve())
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                leads_to = os.readlink(f"/proc/{self.pid}/fd/{name}")
            except FileNotFoundError:
                continue  # closed while we looked
            kind = "fds"
            if leads_to.startswith(inside):
                kind = "deleted_fds" if leads_to.endswith(" (deleted)") else "data_fds"
            counts[kind] += 1
        return counts

    def look(self, with_gauges=True):
        """One sample."""
        proc = pathlib.Path(f"/proc/{self.pid}")
        status = (proc / "status").read_text()
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        files = disk = 0
        for at, _, names in os.walk(self.folder / "data"):
            for name in names:
                try:
                    disk += os.stat(os.path.join(at, name)).st_blocks * 512
                    files += 1
                except FileNotFoundError:
                    pass  # deleted while we looked
        return {"rss": int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024,
                "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
                **self.descriptors(), "files": files, "disk": disk, "cpu_s": cpu_s,
                **(self.gauges() if with_gauges else {})}


class Watch(threading.Thread):
    """Takes a sample a second until it is told to stop."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.samples, self.over = node, [], threading.Event()
        self.began = time.monotonic()

    def run(self):
        while not self.over.wait(1):
            epoch = self.node.wait_up()
            try:
                sample = self.node.look(len(self.samples) % METRICS_EVERY == 0)
            except (OSError, ValueError, TypeError):
                if self.node.same_life(epoch):
                    raise
                continue  # it was killed meanwhile
            self.samples.append(sample | {"at": time.monotonic() - self.began, "epoch": epoch})

    def end(self):
        """Stops; gives the samples."""
        self.over.set()
        self.join()
        return self.samples
