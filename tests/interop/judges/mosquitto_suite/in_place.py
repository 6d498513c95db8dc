"""What takes the place of parts of the suite's `mosq_test`: our broker is started instead of
Mosquitto, with what it is configured to do (users and rights by `ferrymq import`), and what MQTT 5
leaves to a broker is passed over.

That is: properties of CONNACK that tell our limits; a reason in words; a DISCONNECT, or a CONNACK
that refuses, before the end of a connection; and PUBREC's word that nobody is subscribed.
"""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

# What Mosquitto tells its clients if nothing is configured.
LIMITS = {"FERRYMQ_MQTT_RECEIVE_MAX": "20", "FERRYMQ_MQTT_INFLIGHT_MAX": "20",
          "FERRYMQ_MQTT_TOPIC_ALIAS_MAX": "10"}
SETTINGS = {"max_inflight_messages": ("FERRYMQ_MQTT_INFLIGHT_MAX", "FERRYMQ_MQTT_RECEIVE_MAX"),
            "max_keepalive": ("FERRYMQ_MQTT_KEEP_ALIVE_MAX_S",)}
# What is the same without being asked for: each test has data of its own.
NOT_NEEDED = ("", "persistence", "per_listener_settings")
START_S_MAX = 20

CONNACK, PUBREC, DISCONNECT = 0x20, 0x50, 0xE0
NO_SUBSCRIBERS = 0x10
# By their bytes: reason string, receive maximum, topic alias maximum, maximum QoS, retained
# messages, packet size, wildcards, subscription identifiers, shared subscriptions.
OURS_TO_TELL = {0x1F, 0x21, 0x22, 0x24, 0x25, 0x27, 0x28, 0x29, 0x2A}
PROPERTY_BYTES = {0x24: 1, 0x25: 1, 0x28: 1, 0x29: 1, 0x2A: 1, 0x13: 2, 0x21: 2, 0x22: 2, 0x11: 4,
                  0x27: 4}


class Configured:
    """What a broker is to do, from the command line or the file of a test."""

    def __init__(self, filename, port, use_conf):
        self.file = pathlib.Path(filename).with_suffix(".conf")
        self.ports, self.anonymous, self.data, self.has_users = [], not use_conf, None, False
        self.env = dict(os.environ, FERRYMQ_AMQP="off", FERRYMQ_HTTP="off", FERRYMQ_LOG="warn",
                        FERRYMQ_PROMETHEUS="off", **LIMITS)
        if use_conf:
            for line in self.file.read_text().splitlines():
                self.set(*line.strip().partition(" ")[::2])
        self.ports = self.ports or [port]
        if self.anonymous and not self.has_users:
            self.env["FERRYMQ_MQTT_ANONYMOUS"] = "guest"

    def set(self, key, value):
        if key in ("port", "listener"):
            self.ports.append(int(value))
        elif key == "allow_anonymous":
            self.anonymous = value == "true"
        elif key == "persistence_file":
            self.data = value
        elif key in ("password_file", "acl_file"):
            self.has_users = True
        elif key in SETTINGS:
            self.env.update({name: value for name in SETTINGS[key]})
        elif key not in NOT_NEEDED:
            sys.exit(f"nothing here is like {key} {value}")

    def folder(self):
        """Where the data is. A test that wants none takes Mosquitto's file away."""
        scratch = pathlib.Path(os.environ["SCRATCH"])
        if self.data is None:
            return tempfile.mkdtemp(dir=scratch)
        folder, stands_for_it = scratch / self.data, pathlib.Path(self.data)
        if not stands_for_it.exists():
            shutil.rmtree(folder, ignore_errors=True)
            stands_for_it.touch()
        return str(folder)

    def move(self, folder):
        """Brings users and rights into the node whose data is there, as somebody does who moves
        from Mosquitto; gives the file of settings that comes of it."""
        port = int(os.environ["SPARE_PORT"])
        env = dict(self.env, FERRYMQ_HTTP=f"127.0.0.1:{port}", FERRYMQ_MQTT="off",
                   FERRYMQ_NODE=f"http://127.0.0.1:{port}", FERRYMQ_PASSWORD="guest")
        node = launch(["--data-dir", folder], env)
        wait_for(node, port)
        imports = [os.environ["FERRYMQ"], "import", str(self.file)]
        done = subprocess.run(imports, env=env, capture_output=True, text=True, check=False)
        node.terminate()
        if done.returncode != 0:
            sys.exit(f"it can not be imported: {done.stderr}{node.communicate()}")
        settings = pathlib.Path(tempfile.mkstemp(suffix=".toml", dir=os.environ["SCRATCH"])[1])
        settings.write_text(done.stdout)
        node.communicate()
        return str(settings)


def start_broker(filename, cmd=None, port=0, use_conf=False, expect_fail=False):
    """Our broker, for one of the suite's tests."""
    configured = Configured(filename, port or 1888, use_conf)
    folder = configured.folder()
    options = ["--data-dir", folder]
    if configured.has_users:
        options += ["--config", configured.move(folder)]
    for number in configured.ports:
        options += ["--mqtt", f"127.0.0.1:{number}"]
    broker = launch(options, configured.env)
    if wait_for(broker, configured.ports[0]):
        return broker
    if expect_fail:
        return None
    raise OSError(broker.communicate()[1].decode())


def launch(options, env):
    return subprocess.Popen([os.environ["FERRYMQ"], "serve", *options], env=env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(broker, port):
    began = time.monotonic()
    while broker.poll() is None and time.monotonic() - began < START_S_MAX:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        except ConnectionRefusedError:
            time.sleep(0.02)
    return False


class Client(socket.socket):
    """A client's socket: what is said before a connection ends is its end."""

    def recv(self, size, *flags):
        found = super().recv(size, *flags)
        if found[:1] != bytes([DISCONNECT]):
            return found
        while super().recv(1000):
            pass
        return b""


def do_client_connect(connect_packet, connack_packet, hostname="localhost", port=1888, timeout=10,
                      connack_error="connack"):
    import mosq_test
    sock = Client(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect((hostname, port))
    return mosq_test.do_send_receive(sock, connect_packet, connack_packet, connack_error)


def expect_packet(sock, name, expected):
    """The suite's own, but for what MQTT 5 leaves to a broker."""
    import mosq_test
    kind = expected[0] if expected else None
    is_5 = kind in (PUBREC, DISCONNECT) or kind == CONNACK and len(expected) > 4
    if expected and not is_5:
        return mosq_test.suite_expects(sock, name, expected)
    found = whole(sock)
    if found == expected or are_alike(expected, found):
        return True
    print(f"FAIL: {name}: expected {expected.hex()}, found {found.hex()}")
    raise mosq_test.TestError


def are_alike(expected, found):
    if not found:
        return False
    if not expected:
        return is_refusal(found)
    if expected[0] != found[0]:
        return False
    if expected[0] == PUBREC:
        return len(found) == 5 and found[2:] == expected[2:4] + bytes([NO_SUBSCRIBERS])
    (wanted, wanted_properties), (said, properties) = parts(expected), parts(found)
    told = {key: value for key, value in properties.items()
            if key in wanted_properties or key not in OURS_TO_TELL}
    return (wanted, wanted_properties) == (said, told)


def is_refusal(packet):
    at = {CONNACK: 3, DISCONNECT: 2}.get(packet[0])
    return at is not None and len(packet) > at and packet[at] >= 0x80


def parts(packet):
    """What a CONNACK or DISCONNECT of version 5 says, and its properties."""
    at = 4 if packet[0] == CONNACK else 3
    return packet[2:at] or b"\0", properties_of(packet[at + 1:])


def properties_of(data):
    found, at = {}, 0
    while at < len(data):
        key, at = data[at], at + 1
        size = PROPERTY_BYTES.get(key) or 2 + int.from_bytes(data[at:at + 2], "big")
        found[key], at = data[at:at + size], at + size
    return found


def whole(sock):
    """One packet, or nothing at the end. None of those here is longer than a byte can tell."""
    raw = super(Client, sock).recv if isinstance(sock, Client) else sock.recv
    head = raw(2)
    if len(head) == 1:
        head += raw(1)
    body = b""
    while head and len(body) < head[1]:
        body += raw(head[1] - len(body))
    return head + body
