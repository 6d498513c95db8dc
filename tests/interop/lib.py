"""One broker under test: started, killed and stopped by process id.

Owns: the life of a broker process (`ferrymq`, `rabbitmq`: the Debian package of this machine, or
`rabbitmq4`: a newer one in a root folder of its own; `mosquitto`, for MQTT only) and the folder
that describes it.
Invariants
- Nothing is found by name: only the process group that `start` made is ever signalled.
- A broker folder says all that another program needs to restart it (`Broker.attach`).
- Only loopback addresses are used; HTTP is off unless a port for it was given.

Environment: FERRYMQ (path to the binary), INTEROP_CACHE (default: `.cache` beside this file),
INTEROP_PORTS (default 5900-5999), RABBITMQ4_ROOT.
"""

import base64
import collections
import fcntl
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("INTEROP_CACHE", HERE / ".cache")).resolve()
# A root folder with RabbitMQ 4 in it (debootstrap trixie), for checks against the newer line.
MOSQUITTO = "/usr/sbin/mosquitto"
RABBITMQ4_ROOT = pathlib.Path(os.environ.get("RABBITMQ4_ROOT", CACHE / "rabbitmq4"))
READY_S_MAX = 90
STOP_S_MAX = 20

RABBITMQ_CONF = """listeners.tcp.1 = 127.0.0.1:{port}
log.file.level = warning
vm_memory_high_watermark.relative = 0.4
vm_memory_calculation_strategy = allocated
disk_free_limit.absolute = 50MB
"""
RABBITMQ_HTTP = """management.tcp.ip = 127.0.0.1
management.tcp.port = {http}
"""
RABBITMQ_MQTT = """mqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}
mqtt.subscription_ttl = 86400000
"""
# Mosquitto speaks no AMQP: that port is its WebSocket.
MOSQUITTO_CONF = """listener {mqtt} 127.0.0.1
listener {port} 127.0.0.1
protocol websockets
user root
allow_anonymous true
persistence true
persistence_location {data}/
max_queued_messages 0
"""
MQTT_CONNECT = b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x00\x00\x00\x00\x05guest\x00\x05guest"
# What FerryMQ has built in and RabbitMQ as plug-ins that come with it.
RABBITMQ_PLUGINS = ("rabbitmq_consistent_hash_exchange", "rabbitmq_random_exchange",
                    "rabbitmq_sharding")


def binary():
    """The FerryMQ program: $FERRYMQ, else a build in the target folder."""
    if "FERRYMQ" in os.environ:
        return os.environ["FERRYMQ"]
    for profile in ("release", "quick", "debug"):
        path = ROOT / "target" / profile / "ferrymq"
        if path.exists():
            return str(path)
    sys.exit("no ferrymq binary: build one or set FERRYMQ")


# Locks on the ports given last, which hold for every process: who has a port may not listen on it
# for seconds yet.
GIVEN = collections.deque(maxlen=12)


def reserved(port):
    """A lock on the port, for as long as it is kept; none if another one has it."""
    folder = CACHE / "ports"
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / str(port), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def free_port(first=None, last=None, skip=()):
    """A loopback port nobody listens on, from INTEROP_PORTS (default 5900-5999)."""
    low, high = os.environ.get("INTEROP_PORTS", "5900-5999").split("-")
    ports = [port for port in range(first or int(low), (last or int(high)) + 1)
             if port not in skip]
    start = secrets.randbelow(len(ports))
    for port in ports[start:] + ports[:start]:
        lock = reserved(port)
        if not lock:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                GIVEN.append(lock)
                return port
            except OSError:
                lock.close()
    sys.exit("no free port")


def api(port, method, path, content=None, user="guest", password="guest", timeout_s=10):
    """Asks the management API for a path below `/api/`: (status, what the answer's JSON says)."""
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/{path}", data, method=method,
        headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            text, status = answer.read(), answer.status
    except urllib.error.HTTPError as error:
        text, status = error.read(), error.code
    return status, json.loads(text) if text else None


class Broker:
    """A broker process with its own folder, port and data."""

    def __init__(self, kind, folder=None, port=None, http=None, mqtt=None, plugins=()):
        self.kind = kind
        self.plugins = tuple(plugins)
        self.port = port or free_port()
        self.http = free_port(skip=(self.port,)) if http is True else http
        self.mqtt = free_port(skip=(self.port, self.http)) if mqtt is True else mqtt
        name = f"{kind}-{self.port}-{secrets.token_hex(3)}"
        home = RABBITMQ4_ROOT / "var/interop" if kind == "rabbitmq4" else CACHE / "brokers"
        self.folder = pathlib.Path(folder or home / name)
        self.process = None

    @classmethod
    def attach(cls, folder):
        """A broker that another process started, e.g. `$BROKER_DIR`."""
        saved = json.loads((pathlib.Path(folder) / "broker.json").read_text())
        return cls(saved["kind"], folder, saved["port"], saved.get("http"), saved.get("mqtt"),
                   saved["plugins"])

    @property
    def mqtt_url(self):
        """Where MQTT is spoken over WebSocket; empty where it is not."""
        port = {"ferrymq": self.http, "mosquitto": self.port}.get(self.kind)
        return f"ws://127.0.0.1:{port}/mqtt" if port and self.mqtt else ""

    @property
    def pid(self):
        """The process group leader's id."""
        return int((self.folder / "group").read_text())

    def command(self):
        """What to run, and the environment to run it in."""
        env, data = dict(os.environ), self.folder / "data"
        if self.kind == "ferrymq":
            env.setdefault("FERRYMQ_PROMETHEUS", "off")
            http = f"127.0.0.1:{self.http}" if self.http else "off"
            mqtt = f"127.0.0.1:{self.mqtt}" if self.mqtt else "off"
            if self.mqtt:
                env.setdefault("FERRYMQ_MQTT_KEEP_ALIVE_MAX_S", "60")
                # As the two others do: RabbitMQ of itself, Mosquitto by its configuration here.
                env.setdefault("FERRYMQ_MQTT_ANONYMOUS", "guest")
            return [binary(), "serve", "--data-dir", str(data), "--amqp", f"127.0.0.1:{self.port}",
                    "--http", http, "--mqtt", mqtt], env
        if self.kind == "mosquitto":
            conf = self.folder / "mosquitto.conf"
            conf.write_text(MOSQUITTO_CONF.format(mqtt=self.mqtt, port=self.port, data=data))
            return [MOSQUITTO, "-c", str(conf)], env
        conf, plugins = RABBITMQ_CONF.format(port=self.port), RABBITMQ_PLUGINS + self.plugins
        if self.mqtt:
            conf += RABBITMQ_MQTT.format(mqtt=self.mqtt)
            plugins += ("rabbitmq_mqtt",)
        if self.http:
            conf += RABBITMQ_HTTP.format(http=self.http)
            plugins += ("rabbitmq_management",)
        (self.folder / "rabbitmq.conf").write_text(conf)
        (self.folder / "plugins").write_text(f"[{','.join(plugins)}].")
        program = ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
        inside = self.folder
        if self.kind == "rabbitmq4":
            inside = pathlib.Path("/") / self.folder.relative_to(RABBITMQ4_ROOT)
            program = ["chroot", str(RABBITMQ4_ROOT)] + program
        env.update(
            HOME=str(inside), RABBITMQ_NODENAME=f"interop{self.port}@localhost",
            RABBITMQ_MNESIA_BASE=str(inside / "data"), RABBITMQ_LOG_BASE=str(inside / "log"),
            RABBITMQ_PID_FILE=str(inside / "beam.pid"),
            RABBITMQ_CONFIG_FILE=str(inside / "rabbitmq.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(inside / "plugins"),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
            RABBITMQ_DIST_PORT=str(self.port + (20000 if self.port < 45000 else -20000)),
            ERL_EPMD_ADDRESS="127.0.0.1", LANG="C.UTF-8")
        return program, env

    def start(self):
        """Starts it and waits until it serves. Returns the seconds that took."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        command, env = self.command()
        output = open(self.folder / "output", "ab")
        before = output.tell()
        began = time.monotonic()
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL,
                                        stdout=output, stderr=output, start_new_session=True)
        (self.folder / "group").write_text(str(self.process.pid))
        (self.folder / "broker.json").write_text(
            json.dumps({"kind": self.kind, "port": self.port, "http": self.http,
                        "mqtt": self.mqtt, "plugins": self.plugins}))
        while time.monotonic() - began < READY_S_MAX:
            if self.process.poll() is not None:
                break
            if self._says_ready(before) and self._answers():
                return time.monotonic() - began
            time.sleep(0.02)
        tail = (self.folder / "output").read_text(errors="replace")[before:][-2000:]
        self.kill()
        raise RuntimeError(f"{self.kind} did not start:\n{tail}")

    def _says_ready(self, offset):
        if self.kind != "ferrymq":
            return True
        with open(self.folder / "output", "rb") as output:
            output.seek(offset)
            return b"ready" in output.read().split()

    def _answers(self):
        """Speaks one header: an accepting socket alone is no proof of a running broker."""
        port, hello, answer = self.port, b"AMQP\0\0\x09\x01", b"\x01"
        if self.kind == "mosquitto":
            port, hello, answer = self.mqtt, MQTT_CONNECT, b"\x20"
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                probe.settimeout(3)
                probe.sendall(hello)
                return probe.recv(1) == answer
        except OSError:
            return False

    def kill(self):
        """SIGKILL, at once, to the whole group."""
        self._signal(signal.SIGKILL)
        self._wait(STOP_S_MAX)

    def stop(self):
        """SIGTERM; SIGKILL after a while. Returns whether it went by itself."""
        self._signal(signal.SIGTERM, group=not self.kind.startswith("rabbitmq"))
        clean = self._wait(STOP_S_MAX)
        if not clean:
            self.kill()
        return clean

    def _signal(self, number, group=True):
        try:
            if group:
                os.killpg(self.pid, number)
            else:
                os.kill(int((self.folder / "beam.pid").read_text()), number)
        except (ProcessLookupError, FileNotFoundError):
            pass

    def _wait(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is not None:
                self.process.poll()
            try:
                os.killpg(self.pid, 0)
            except ProcessLookupError:
                return True
            if self.process is None and self._zombie():
                return True
            time.sleep(0.01)
        return False

    def _zombie(self):
        """Killed, but its parent (another process) has not collected it yet. Its first thread may be
        dead while others still hold its files."""
        process = pathlib.Path(f"/proc/{self.pid}")
        try:
            threads = len(list((process / "task").iterdir()))
            return threads == 1 and "\nState:\tZ" in (process / "status").read_text()
        except OSError:
            return True

    def restart(self, kill=True):
        """Stops it, by force unless told otherwise, and starts it on the same data."""
        if kill:
            self.kill()
        else:
            self.stop()
        return self.start()

    def remove(self):
        """Stops it and forgets its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.remove()
        else:
            self.stop()


class Checks:
    """Counts named checks: prints `ok name` or `FAIL name: why`, and the closing line."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def run(self, name, check):
        """Runs one check; an exception is its failure."""
        try:
            check()
        except Exception as error:  # a judge reports every way to fail
            self.failed += 1
            print(f"FAIL {name}: {type(error).__name__} {str(error)[:300]}", flush=True)
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)

    def finish(self):
        """Prints the totals and ends the program."""
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(self.failed != 0)


def main():
    """`lib.py start KIND [PORT] [--http]` prints the folder; `lib.py kill|stop|restart|remove FOLDER`."""
    action, argument = sys.argv[1], sys.argv[2]
    if action == "start":
        ports = [int(word) for word in sys.argv[3:] if word != "--http"]
        broker = Broker(argument, port=ports[0] if ports else None, http="--http" in sys.argv)
        broker.start()
        print(broker.folder)
    else:
        getattr(Broker.attach(argument), action)()


if __name__ == "__main__":
    main()
