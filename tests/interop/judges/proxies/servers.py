"""A node behind HAProxy and nginx, configured by the examples of docs/behind-a-proxy.md.

Invariants
- The proxies' own addresses are 127.0.0.2 and 127.0.0.3, so that clients are nobody's proxy.
- What differs from the page are addresses, ports, and times, which are short.
"""

import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import lib

PAGE = (lib.ROOT / "docs/behind-a-proxy.md").read_text()
UNPACKED = pathlib.Path(os.environ["UNPACKED"])
HAPROXY, NGINX = "127.0.0.2", "127.0.0.3"
# How long the proxies let a connection be quiet; the node's events are never so for 15 s.
QUIET_S = 8
EVENTS_QUIET_S = 17
START_S_MAX = 10
GUEST = {"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q="}


def example(language):
    """The page's example in a language."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    assert len(found) == 1, f"there are {len(found)} examples in {language}"
    return found[0]


def replaced(text, *pairs):
    """The text with each of what must be there replaced."""
    for old, new in pairs:
        assert old in text, f"the example has no {old!r}"
        text = text.replace(old, new)
    return text


def ask(port, method, path, body=None, headers=(), source="127.0.0.1"):
    """Asks as guest from an address of this machine: (status, text)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, 40, (source, 0))
    try:
        headers = {**GUEST, **dict(headers)}
        if body is not None:
            headers["Content-Type"], body = "application/json", json.dumps(body)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Node(lib.Broker):
    """A node that believes the two."""

    def __init__(self):
        super().__init__("ferrymq", http=True, mqtt=True)

    def command(self):
        command, env = super().command()
        return command + ["--proxy-protocol-from", HAPROXY, "--proxy-protocol-from", NGINX,
                          "--x-forwarded-for-from", NGINX], env

    def ports(self):
        """Its ports by those of the examples."""
        return {5672: self.port, 1883: self.mqtt, 15672: self.http}


class Proxy:
    """A proxy in front of a node, with ports of its own and a folder."""

    path = ""

    def __init__(self, node):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="proxy-"))
        self.amqp, self.mqtt, self.http = (lib.free_port() for _ in range(3))
        config = self.folder / "config"
        config.write_text(self.configured(node))
        self.output = open(self.folder / "output", "wb")
        self.process = subprocess.Popen(self.command(config), stdout=self.output,
                                        stderr=self.output, stdin=subprocess.DEVNULL)

    def at_node(self, text, node):
        """The example with the node's addresses for the page's."""
        for port, real in node.ports().items():
            text = replaced(text, (f"10.0.0.11:{port}", f"127.0.0.1:{real}"))
        return text

    def wait(self):
        """Waits until it lets clients in."""
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                if self.ask("GET", "/api/whoami")[0] == 200:
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline and self.process.poll() is None, self.said()
            time.sleep(0.05)

    def ask(self, method, path, *more, **options):
        """Asks the node through it."""
        return ask(self.http, method, self.path + path, *more, **options)

    def said(self):
        """The end of what it has printed."""
        return (self.folder / "output").read_text(errors="replace")[-1000:]

    def stop(self):
        """Ends it, and forgets its folder."""
        self.process.terminate()
        self.process.wait(10)
        self.output.close()
        shutil.rmtree(self.folder)


class HaProxy(Proxy):
    """With PROXY headers, version 2, for everything."""

    name = "haproxy"

    def configured(self, node):
        text = example("haproxy")
        text = replaced(
            self.at_node(text, node), ("bind :5672", f"bind 127.0.0.1:{self.amqp}"),
            ("bind :1883", f"bind 127.0.0.1:{self.mqtt}"),
            ("bind :15672", f"bind 127.0.0.1:{self.http}"),
            ("check port 15672", f"check port {node.http}"),
            ("timeout client 3m", f"timeout client {QUIET_S}s"),
            ("timeout server 3m", f"timeout server {QUIET_S}s"),
            ("default-server inter 2s", f"default-server source {HAPROXY} inter 500ms"))
        # Events and what waits go through this one.
        return text.replace("mode http\n", f"mode http\n  timeout client {EVENTS_QUIET_S}s\n"
                                           f"  timeout server {EVENTS_QUIET_S}s\n")

    def command(self, config):
        os.environ["LD_LIBRARY_PATH"] = str(next(UNPACKED.glob("usr/lib/*-linux-gnu")))
        return [UNPACKED / "usr/sbin/haproxy", "-db", "-f", config]


class Nginx(Proxy):
    """With PROXY headers, version 1, for AMQP and MQTT; the rest below a path, by requests."""

    name = "nginx"
    path = "/ferrymq"

    def configured(self, node):
        text = self.at_node(example("nginx"), node)
        temporary = "".join(f"{what}_temp_path {self.folder};\n" for what in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        text = replaced(
            text, ("listen 5672", f"listen 127.0.0.1:{self.amqp}"),
            ("listen 1883", f"listen 127.0.0.1:{self.mqtt}"),
            ("listen 8080", f"listen 127.0.0.1:{self.http}"),
            ("proxy_timeout 3m", f"proxy_timeout {QUIET_S}s; proxy_bind {NGINX}"),
            ("proxy_read_timeout 3m", f"proxy_read_timeout {EVENTS_QUIET_S}s"),
            ("http {\n", f"http {{\naccess_log off;\nproxy_bind {NGINX};\n{temporary}"))
        stream = UNPACKED / "usr/lib/nginx/modules/ngx_stream_module.so"
        return (f"load_module {stream};\ndaemon off;\nmaster_process off;\npid {self.folder}/pid;\n"
                f"error_log stderr;\nevents {{}}\n{text}")

    def command(self, config):
        return [UNPACKED / "usr/sbin/nginx", "-e", "stderr", "-c", config]
