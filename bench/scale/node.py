#!/usr/bin/env python3
"""A node whose memory and times are taken: started, watched, stopped and killed by its pid.

    bench/scale/node.py FOLDER PORT    becomes the node; the other scripts start it so

Environment: FERRYMQ and BENCH, the programs (default: those of target/release); SCALE_DIR, where
data goes (default: target/scale); SCALE_PORT, the first of eight loopback ports (default 21970);
SCALE_CGROUP, a folder of the memory controller that the node enters (cgroup v1).
"""

import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FERRYMQ = os.path.abspath(os.environ.get("FERRYMQ", ROOT / "target/release/ferrymq"))
BENCH = os.path.abspath(os.environ.get("BENCH", ROOT / "target/release/bench"))
DIR = pathlib.Path(os.environ.get("SCALE_DIR", ROOT / "target/scale")).resolve()
PORT = int(os.environ.get("SCALE_PORT", "21970"))
# A second node has the ports behind those of the first.
SECOND_PORT = PORT + 4
READY_S_MAX = 300
STOP_S_MAX = 300

# Who is stopped takes its node along.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def become(folder, port):
    """Replaces this process by a node."""
    if cgroup := os.environ.get("SCALE_CGROUP"):
        (pathlib.Path(cgroup) / "cgroup.procs").write_text(str(os.getpid()))
    os.chdir(folder)
    pathlib.Path("pid").write_text(str(os.getpid()))
    address = [f"127.0.0.1:{port + n}" for n in range(4)]
    os.execv(FERRYMQ, [FERRYMQ, "serve", "--data-dir", "data", "--log", "warn",
                       "--amqp", address[0], "--http", address[1],
                       "--mqtt", address[2], "--prometheus", address[3]])


class Node:
    """One node with a folder of its own, empty at first."""

    def __init__(self, name, port=PORT):
        self.folder, self.port = DIR / name, port
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.process = None

    def command(self):
        return [sys.executable, os.path.abspath(__file__), str(self.folder), str(self.port)]

    def start(self):
        """Starts it and says after how many seconds it was ready."""
        begin = time.monotonic()
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=log)
        os.set_blocking(self.process.stdout.fileno(), False)
        while b"ready" not in (self.process.stdout.read() or b""):
            if self.process.poll() is not None or time.monotonic() > begin + READY_S_MAX:
                raise SystemExit(f"the node does not start: see {log.name}")
            time.sleep(0.005)
        return time.monotonic() - begin

    def end(self, how=signal.SIGTERM):
        """Stops or kills it and says how many seconds that took."""
        begin = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(STOP_S_MAX)
        return time.monotonic() - begin

    def close(self):
        """Leaves nothing behind."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self):
        return int((self.folder / "pid").read_text())

    def is_alive(self):
        return self.process.poll() is None

    def memory_mib(self, of="VmRSS"):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(of + ":"):
                return int(line.split()[1]) / 1024
        raise SystemExit(f"no {of} of {self.pid}")

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def idle_cpu_percent(self, seconds=15):
        before = self.cpu_s()
        time.sleep(seconds)
        return 100 * (self.cpu_s() - before) / seconds

    def get(self, path, port=1):
        """A GET: the seconds it took, and its body."""
        return self.ask("GET", path, port)

    def queue(self, name):
        """What the management API tells of a queue."""
        return json.loads(self.get(f"/api/queues/%2f/{name}")[1])

    def put(self, path, value):
        """A PUT of a value to the management API."""
        self.ask("PUT", path, 1, json.dumps(value).encode())

    def ask(self, method, path, port, data=None):
        """The seconds that a request took, and the body of its answer."""
        url = f"http://127.0.0.1:{self.port + port}{path}"
        request = urllib.request.Request(url, data, method=method)
        login = base64.b64encode(b"guest:guest").decode()
        request.add_header("Authorization", f"Basic {login}")
        request.add_header("Content-Type", "application/json")
        begin = time.monotonic()
        with urllib.request.urlopen(request, timeout=120) as answer:
            body = answer.read()
        return time.monotonic() - begin, body

    def bench_line(self, command, *options, proto="amqp"):
        """The command line of the load generator on it."""
        port = self.port + (2 if proto == "mqtt" else 0)
        user = ",user=guest" if proto == "mqtt" else ""
        target = f"node={proto}@127.0.0.1:{port}{user}"
        return [BENCH, *command.split(), target, *(str(option) for option in options)]

    def bench(self, command, *options, proto="amqp"):
        """Runs the load generator on it and gives its figures."""
        line = self.bench_line(command, *options, proto=proto)
        done = subprocess.run(line, stdout=subprocess.PIPE, text=True)
        rows = [json.loads(row) for row in done.stdout.splitlines() if row.startswith("{")]
        if done.returncode or not rows:
            raise SystemExit(f"`{' '.join(line)}` failed")
        return rows[-1]


def rows_of(title, rows):
    """A table for the page: what, figure, bar."""
    print(f"## {title}\n\n| what | figure | bar |\n|---|---:|---:|")
    for what, figure, bar in rows:
        print(f"| {what} | {figure} | {bar} |")
    print(flush=True)


if __name__ == "__main__":
    become(sys.argv[1], int(sys.argv[2]))
