#!/usr/bin/env python3
"""Definitions: files that RabbitMQ exported go in and come out again, whatever carries them.

Beside this file: what RabbitMQ 3.10.8 and 4.0.5 exported (`record.py` makes such files).
Environment: HTTP_PORT, BROKER; FERRYMQ and RABBITMQADMIN for the programs, where they are not found.
Invariants
- Lists are compared as sets: their order is each broker's own.
- Of guest's password nothing is compared: the judge logs in with it, which may hash it anew.
"""

import base64
import glob
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import lib

HERE = pathlib.Path(__file__).resolve().parent
FILES = sorted(HERE.glob("rabbitmq-*.json"))
SECTIONS = ("users", "vhosts", "permissions", "topic_permissions", "parameters",
            "global_parameters", "policies", "queues", "exchanges", "bindings")
# The script's home in Debian's package and in the package's source.
ADMIN_PATHS = ("/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbitmq_management-*/priv/www/cli/"
               "rabbitmqadmin",)


class Node:
    """A node's API."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=None, kind="application/json"):
        """(status, JSON or text)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
        login = base64.b64encode(b"guest:guest").decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}", method=method, data=data,
            headers={"Authorization": f"Basic {login}", "Content-Type": kind})
        try:
            with urllib.request.urlopen(request) as answer:
                text, status = answer.read().decode(), answer.status
        except urllib.error.HTTPError as error:
            text, status = error.read().decode(), error.code
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def export(self):
        """All definitions."""
        status, definitions = self.ask("GET", "definitions")
        assert status == 200, (status, definitions)
        return definitions


def fresh():
    """One more node, empty."""
    return lib.Broker(os.environ["BROKER"], http=True)


def compared(definitions):
    """What has to be the same, as sets."""
    found = {}
    for section in SECTIONS:
        items = [dict(item) for item in definitions.get(section, [])]
        for item in items:
            if section == "users" and item["name"] == "guest":
                item["password_hash"] = item["hashing_algorithm"] = None
            if section == "vhosts":
                # Older files have nothing but the name.
                item.setdefault("description", "")
                item.setdefault("tags", [])
                item.setdefault("metadata", {"description": "", "tags": []})
        found[section] = {json.dumps(item, sort_keys=True) for item in items}
    return found


def differences(wanted, found):
    """Where two exports differ."""
    wanted, found = compared(wanted), compared(found)
    return {section: (sorted(wanted[section] - found[section]), sorted(found[section] - wanted[section]))
            for section in SECTIONS if wanted[section] != found[section]}


def same(wanted, found):
    """Fails, naming what differs."""
    differing = differences(wanted, found)
    assert not differing, differing


def durable(definitions):
    """What is there after a restart."""
    kept = dict(definitions)
    gone = set()
    for section, kind in (("queues", "queue"), ("exchanges", "exchange")):
        gone |= {(kind, item["vhost"], item["name"]) for item in definitions[section]
                 if not item["durable"]}
        kept[section] = [item for item in definitions[section] if item["durable"]]
    kept["bindings"] = [
        item for item in definitions["bindings"]
        if ("exchange", item["vhost"], item["source"]) not in gone
        and (item["destination_type"], item["vhost"], item["destination"]) not in gone]
    return kept


def round_trip(path):
    """A recorded file, imported into an empty node, comes out as it was."""
    recorded = json.loads(path.read_text())
    with fresh() as broker:
        node = Node(broker.http)
        assert node.ask("POST", "definitions", recorded) == (204, ""), "import"
        exported = node.export()
        same(recorded, exported)
        assert node.ask("POST", "definitions", recorded) == (204, ""), "once more"
        same(exported, node.export())
        broker.restart()
        same(durable(exported), node.export())


def form():
    """A browser uploads a file."""
    with fresh() as broker:
        node = Node(broker.http)
        body = (b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n"
                b"Content-Type: application/json\r\n\r\n" + FILES[0].read_bytes() + b"\r\n--XX--\r\n")
        kind = "multipart/form-data; boundary=XX"
        assert node.ask("POST", "definitions", body, kind) == (204, ""), "import"
        same(json.loads(FILES[0].read_text()), node.export())


def refused():
    """A file whose last object is wrong changes nothing."""
    with fresh() as broker:
        node = Node(broker.http)
        before = node.export()
        bad = json.loads(FILES[-1].read_text())
        bad["bindings"].append({"source": "none", "vhost": "v1", "destination": "q1",
                                "destination_type": "queue", "routing_key": "", "arguments": {}})
        status, answer = node.ask("POST", "definitions", bad)
        assert (status, answer["reason"]) == (400, "no exchange 'none' in vhost 'v1'"), answer
        assert node.export() == before


def admin_program():
    """RabbitMQ's own command line in Python, if it is on this machine."""
    given = os.environ.get("RABBITMQADMIN")
    found = [given] if given else [path for home in ADMIN_PATHS for path in glob.glob(home)]
    return found[0] if found else None


def rabbitmqadmin():
    """`rabbitmqadmin import` and `export`."""
    program = admin_program()
    with fresh() as broker, tempfile.TemporaryDirectory() as folder:
        def run(*arguments):
            done = subprocess.run([sys.executable, program, "-P", str(broker.http), *arguments],
                                  text=True, capture_output=True, timeout=60)
            assert done.returncode == 0, done.stderr + done.stdout
            return done.stdout
        out = pathlib.Path(folder) / "out.json"
        said = run("import", str(FILES[-1])).replace("Uploaded", "Imported")
        assert "Imported definitions" in said, said
        assert "Exported definitions" in run("export", str(out))
        same(json.loads(FILES[-1].read_text()), json.loads(out.read_text()))


def commands():
    """`ferrymq plan`, `import`, `apply` and `lint`, with their exit codes."""
    with fresh() as broker, tempfile.TemporaryDirectory() as folder:
        node = Node(broker.http)

        def ferrymq(*arguments, code=0):
            env = dict(os.environ, FERRYMQ_PASSWORD="guest")
            done = subprocess.run([lib.binary(), *arguments], text=True, capture_output=True,
                                  env=env, timeout=60)
            assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
            return done.stdout

        def to(command, *arguments, code=0):
            at = ["--node", f"http://127.0.0.1:{broker.http}", "--user", "guest"]
            return ferrymq(command, *arguments, *at, code=code)

        file = str(FILES[-1])
        planned = json.loads(to("plan", file, "--json", code=2))
        assert {change["op"] for change in planned} <= {"add", "change", "remove"}, planned
        to("import", file)
        assert json.loads(to("plan", file, "--json")) == []
        to("apply", file)
        # One thing less in the file, one changed, and one that can not be changed.
        less = json.loads(FILES[-1].read_text())
        less["policies"][0]["priority"] = 9
        gone = less["queues"].pop()
        less["bindings"] = [one for one in less["bindings"]
                            if (one["vhost"], one["destination"]) != (gone["vhost"], gone["name"])]
        less["exchanges"][0]["type"] = "headers"
        other = pathlib.Path(folder) / "less.json"
        other.write_text(json.dumps(less))
        ops = sorted({change["op"] for change in json.loads(to("plan", str(other), "--json", code=2))})
        assert ops == ["change", "differ", "remove"], ops
        to("apply", str(other), "--prune", code=1)
        left = json.loads(to("plan", str(other), "--json", code=2))
        assert [change["op"] for change in left] == ["differ"], left
        queues = [(one["vhost"], one["name"]) for one in node.export()["queues"]]
        assert (gone["vhost"], gone["name"]) not in queues, queues
        findings = json.loads(ferrymq("lint", file, "--json", code=1))
        rules = {finding["rule"] for finding in findings}
        assert {"guest", "no-dead-letters", "unbounded-queue"} <= rules, rules
        (pathlib.Path(folder) / "bad.json").write_text('{ "queues": [')
        to("import", str(pathlib.Path(folder) / "bad.json"), code=2)
        ferrymq("lint", str(pathlib.Path(folder) / "none.json"), code=2)
        ferrymq("plan", file, "--node", "http://127.0.0.1:1", "--user", "guest", code=3)


def main():
    """All checks."""
    checks = lib.Checks()
    for path in FILES:
        checks.run(f"{path.stem} in and out again", lambda path=path: round_trip(path))
    checks.run("a file from a browser", form)
    if admin_program():
        checks.run("rabbitmqadmin import and export", rabbitmqadmin)
    else:
        print("rabbitmqadmin is not on this machine: not tried (RABBITMQADMIN=path to it)")
    if os.environ["BROKER"] == "ferrymq":
        checks.run("a file that is refused", refused)
        checks.run("plan, import, apply and lint", commands)
    checks.finish()


if __name__ == "__main__":
    main()
