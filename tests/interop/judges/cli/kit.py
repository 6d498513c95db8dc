"""What the judges of the command line share: running it, with and without a terminal."""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import pty
import re
import secrets
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import lib  # noqa: E402
import pika  # noqa: E402
from lib import Checks, binary  # noqa: E402,F401

HOST, PORT, HTTP = os.environ["HOST"], int(os.environ["PORT"]), int(os.environ["HTTP_PORT"])
NODE = f"http://{HOST}:{HTTP}"
RUN_S_MAX = 40
WAIT_S_MAX = 15
DONE, FAILED, USAGE, UNREACHABLE, REFUSED = 0, 1, 2, 3, 4


def environment(more=None):
    """That of this process without settings of ours, with the node of this run."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("FERRYMQ")}
    return env | {"FERRYMQ_NODE": NODE} | (more or {})


def run(*line, stdin=b"", env=None):
    """Runs a command without a terminal."""
    return subprocess.run([binary(), *line], input=stdin, capture_output=True, timeout=RUN_S_MAX,
                          env=environment(env))


def code(wanted, *line, **more):
    """Runs a command that must end with this code; returns its standard output as text."""
    done = run(*line, **more)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == wanted, f"{line[:4]} ended with {done.returncode}: {said[:300]}"
    assert "panicked" not in said, said
    return done.stdout.decode()


def ok(*line, **more):
    """Runs a command that must work."""
    return code(DONE, *line, **more)


def as_json(*line):
    """The JSON of a command that shows something."""
    return json.loads(ok(line[0], "--json", *line[1:]))


def rows(*line):
    """The rows of a table, each by its heads."""
    heads, *lines = ok(*line).splitlines()
    heads = heads.split("\t")
    return [dict(zip(heads, line.split("\t"), strict=True)) for line in lines]


@contextlib.contextmanager
def on_terminal(*line, columns=80, height=24, env=None):
    """Runs a command on a terminal of that size; gives (process, read), where read() is all it
    wrote up to now, and read(text) waits for text."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", height, columns, 0, 0))
    process = subprocess.Popen([binary(), *line], stdin=side, stdout=side, stderr=side,
                               env=environment(env), start_new_session=True)
    os.close(side)
    written = bytearray()

    def read(wanted=None):
        deadline = time.monotonic() + WAIT_S_MAX
        while time.monotonic() < deadline:
            if wanted is not None and wanted in written.decode(errors="replace"):
                break
            if not select.select([main], [], [], 0.05)[0]:
                if wanted is None and process.poll() is not None:
                    break
                continue
            try:
                more = os.read(main, 65536)
            except OSError as error:
                assert error.errno == errno.EIO
                break
            if not more:
                break
            written.extend(more)
        text = written.decode(errors="replace")
        assert wanted is None or wanted in text, f"{wanted!r} never came: {text[-300:]!r}"
        return text

    try:
        yield process, read
        process.wait(WAIT_S_MAX)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(main)


def terminal_text(*line, **more):
    """All that a command writes to a terminal."""
    with on_terminal(*line, **more) as (_, read):
        return read()


def api(method, path, body=None, **login):
    """(status, JSON) of the management API."""
    return lib.api(HTTP, method, path, body, timeout_s=20, **login)


def quote(name):
    """A name as a segment of a path."""
    return urllib.parse.quote(name, safe="")


def connect(user="guest", password="guest", vhost="/"):
    """A connection of pika."""
    login = pika.PlainCredentials(user, password)
    return pika.BlockingConnection(
        pika.ConnectionParameters(HOST, PORT, vhost, login, connection_attempts=1))


@contextlib.contextmanager
def channel(**more):
    """A channel of pika with confirms."""
    connection = connect(**more)
    try:
        opened = connection.channel()
        opened.confirm_delivery()
        yield opened
    finally:
        if connection.is_open:
            connection.close()


def name(what="q"):
    """A name that nobody else has."""
    return f"cli-{what}-{secrets.token_hex(4)}"


def until(check, seconds=WAIT_S_MAX):
    """Waits for something to be true."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def count_of(queue):
    """How many messages are ready, by a passive declare."""
    with channel() as opened:
        return opened.queue_declare(queue, passive=True).method.message_count


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
