"""WebSocket at both doors: clients of MQTT and AMQP for browsers, and JSON with `websockets`."""

import asyncio
import json
import os
import pathlib
import ssl
import subprocess

import lib
import websockets
from kit import Authority, Node, connect, equal

HERE = pathlib.Path(__file__).resolve().parent
CHECKS = lib.Checks()
CA = Authority()


def free_ports(count):
    """So many that are not the same."""
    found = set()
    while len(found) < count:
        found.add(lib.free_port())
    return found


HTTPS, OWN, SEALED = free_ports(3)
NODE = Node("--tls-cert", CA.folder / "server.pem", "--tls-key", CA.folder / "server.key",
            "--https", f"127.0.0.1:{HTTPS}", "--websocket", f"127.0.0.1:{OWN}",
            "--websockets", f"127.0.0.1:{SEALED}")
TRUSTED = ssl.create_default_context(cafile=str(CA.pem))


def program(name, *arguments):
    """One of the programs beside this one; its last word is `ok`."""
    env = dict(os.environ, NODE_EXTRA_CA_CERTS=str(CA.pem))
    done = subprocess.run(["node", HERE / name, *arguments], text=True, timeout=60, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.stdout.splitlines()[-1:] == ["ok"], done.stdout[-300:]


def opened(url, **options):
    """A socket with the log-in said."""
    options.setdefault("ssl", TRUSTED if url.startswith("wss") else None)
    return websockets.connect(url, subprotocols=["ferrymq.json"], max_size=None, **options)


async def ask(socket, **request):
    """Says something, and gives what comes next."""
    await socket.send(json.dumps(request))
    return json.loads(await asyncio.wait_for(socket.recv(), 10))


async def log_in(socket):
    """As guest."""
    said = await ask(socket, op="login", id=0, user="guest", password="guest")
    equal(said, {"op": "ok", "id": 0})


def with_json(url):
    """A queue that pika fills, and a topic, large and not UTF-8."""
    with connect(NODE.port) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", auto_delete=False).method.queue
        channel.basic_publish("", queue, b"\xff\0")
        asyncio.run(_with_json(url, queue))
        equal(channel.queue_delete(queue).method.message_count, 0)


async def _with_json(url, queue):
    async with opened(url) as socket:
        equal(socket.subprotocol, "ferrymq.json")
        await log_in(socket)
        equal(await ask(socket, op="subscribe", id=1, queue=queue), {"op": "ok", "id": 1})
        message = json.loads(await asyncio.wait_for(socket.recv(), 10))
        equal((message["body_base64"], message["tag"]), ("/wA=", 1))
        equal(await ask(socket, op="ack", id=2, tag=1), {"op": "ok", "id": 2})
        equal(await ask(socket, op="subscribe", id=3, topic="judge/#"), {"op": "ok", "id": 3})
        body = "\u00e4\u0000" * 300_000
        message = await ask(socket, op="publish", topic="judge/x", body=body)
        equal((message["topic"], message["body"] == body), ("judge/x", True))
        await asyncio.wait_for(await socket.ping(), 10)


async def _foreign():
    page = f"ws://127.0.0.1:{NODE.http}/ws/json"
    async with opened(page, origin="http://localhost:3000") as socket:
        await log_in(socket)
    async with opened(page, origin="http://elsewhere.example") as socket:
        said = await ask(socket, op="login", id=1, user="guest", password="guest")
        equal((said["op"], said["code"]), ("error", "access_refused"))
        try:
            await socket.recv()
            raise AssertionError("it goes on")
        except websockets.ConnectionClosed as closed:
            equal(closed.rcvd.code, 1008)


async def _stopped():
    async with opened(f"ws://127.0.0.1:{NODE.http}/ws/json") as socket:
        await log_in(socket)
        loop = asyncio.get_running_loop()
        stopped = loop.run_in_executor(None, NODE.stop)
        try:
            await asyncio.wait_for(socket.recv(), 10)
            raise AssertionError("it goes on")
        except websockets.ConnectionClosed as closed:
            equal(closed.rcvd.code, 1001)
        assert await stopped, "it had to be killed"


def main():
    """Every client at every door."""
    NODE.start()
    doors = [f"ws://127.0.0.1:{NODE.http}", f"wss://localhost:{HTTPS}",
             f"ws://127.0.0.1:{OWN}", f"wss://localhost:{SEALED}"]
    for door in doors:
        for version in ("3", "4", "5"):
            CHECKS.run(f"MQTT.js, version {version}: {door}",
                       lambda: program("mqttjs.js", f"{door}/mqtt", version))
        CHECKS.run(f"amqp-client: {door}", lambda: program("amqp.js", f"{door}/ws/amqp"))
        CHECKS.run(f"JSON: {door}", lambda: with_json(f"{door}/ws/json"))
    CHECKS.run("a page from elsewhere is no guest of this machine", lambda: asyncio.run(_foreign()))
    CHECKS.run("a node that stops says so", lambda: asyncio.run(_stopped()))
    NODE.remove()
    CHECKS.finish()


main()
