"""Runs the commands of `commands.py` by rabbitmqadmin against a node, and compares or records.

    session.py check|record SCRIPT PORT KIND [AMQP_PORT]

Owns: `recorded.json`, what RabbitMQ 3.10.8 answered. Invariants
- The script itself is RabbitMQ's; it is taken from its Debian package and not kept here.
- Lengths of queues in RabbitMQ lag behind by five seconds: recording waits for them.
"""

import json
import pathlib
import shlex
import subprocess
import sys
import time

import pika

from commands import COMMANDS, plain

RECORDED = pathlib.Path(__file__).with_name("recorded.json")
LAG_S = 6


def run(script, port, command):
    """One command; its exit code and all that it printed."""
    words = shlex.split(command.replace('"', '\\"'))
    done = subprocess.run([sys.executable, script, "-P", port, *words], text=True, timeout=30,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def hash_of(script, port):
    """The key of the binding with arguments, which the node makes."""
    _, keys = run(script, port, "--format=tsv list bindings properties_key")
    return next((key[2:] for key in keys.split() if key.startswith("x~")), "none")


def answers(script, port, kind):
    """Every command's answer by its place and name."""
    found = {}
    for number, (name, command) in enumerate(COMMANDS):
        if kind != "ferrymq" and ("messages" in command or "policy" in command):
            time.sleep(LAG_S)
        if "{hash}" in command:
            command = command.replace("{hash}", hash_of(script, port))
        code, output = run(script, port, command)
        found[f"{number:02} {name}"] = [code, *plain(output, kind)]
    return found


def closing(script, port, amqp_port):
    """A connection is closed by its name, and its client is told why."""
    client = pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", int(amqp_port), client_properties={"connection_name": "to be closed"}))
    client.channel()
    ask = "--format=tsv list connections name user_provided_name"
    for _ in range(40):
        _, lines = run(script, port, ask)
        names = [line.split("\t")[0] for line in lines.splitlines() if "to be closed" in line]
        if names:
            break
        time.sleep(0.25)
    code, output = run(script, port, f"close connection name='{names[0]}'")
    assert code == 0, output
    try:
        for _ in range(20):
            client.process_data_events(0.25)
    except pika.exceptions.ConnectionClosedByBroker as closed:
        assert closed.reply_code == 320, closed
        assert "CONNECTION_FORCED - Closed via management plugin" in closed.reply_text, closed
        return
    raise AssertionError("the client was not told")


def main():
    """Prints `ok` or `FAIL` for every command, and a total."""
    action, script, port, kind = sys.argv[1:5]
    found = answers(script, port, kind)
    if action == "record":
        RECORDED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        return
    good = bad = 0
    recorded = json.loads(RECORDED.read_text())
    for name, wanted in recorded.items():
        if found.get(name) == wanted:
            good += 1
            print(f"ok {name}")
        else:
            bad += 1
            print(f"FAIL {name}: wanted {wanted} found {found.get(name)}")
    try:
        closing(script, port, sys.argv[5])
        good += 1
        print("ok close a connection")
    except (AssertionError, IndexError) as error:
        bad += 1
        print(f"FAIL close a connection: {error}")
    print(f"{good} passed, {bad} failed")


main()
