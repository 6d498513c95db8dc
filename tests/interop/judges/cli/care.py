"""Status, doctor, watch and bench."""

import json
import os
import signal
import unittest.mock

from kit import (Checks, FAILED, NODE, UNREACHABLE, as_json, code, name, ok, on_terminal, rows, run,
                 until)
from lib import Broker


def fields(*line, **more):
    """What a command shows of one thing, by the names of the fields."""
    return dict(line.split("\t", 1) for line in ok(*line, **more).splitlines())


def status_shows_the_node():
    found = as_json("status")
    assert found["overview"]["product_name"] == "FerryMQ" and found["nodes"][0]["running"] is True
    shown = fields("status")
    assert shown["version"].startswith("FerryMQ ") and "free" in shown["disk"], shown
    ok("status", "--ready", env={"FERRYMQ_PASSWORD": "no log-in is needed"})
    code(UNREACHABLE, "status", "--ready", "--node", "http://127.0.0.1:1")


def doctor_finds_a_node_well():
    findings = as_json("doctor")
    states = {finding["check"]: finding["state"] for finding in findings}
    for check in ("node", "listeners", "publish", "consume", "memory", "disk", "files", "clock"):
        assert states.get(check) in ("ok", "warn"), findings
    assert states["consume"] == "ok"
    until(lambda: not [row for row in rows("queues") if row["name"].startswith("ferrymq.doctor.")])


def doctor_warns_and_says_what_to_do():
    text = ok("doctor", "--disk-free-min", "1024TiB", "--confirm-ms-max", "0")
    for part in ("warn  disk", "Make room", "warn  publish", "warnings."):
        assert part in text, text
    findings = json.loads(ok("doctor", "--disk-free-min", "1024TiB", "--json"))
    assert [f["state"] for f in findings if f["check"] == "disk"] == ["warn"]
    assert all(f["advice"] for f in findings if f["state"] != "ok")


def doctor_ends_with_1_where_something_is_bad():
    user = name("user")
    ok("users", "add", user, "--tags", "monitoring", "--new-password-file", "-", stdin=b"x")
    ok("permissions", "set", user, "^$", "^$", "^$")
    done = run("doctor", "--user", user, env={"FERRYMQ_PASSWORD": "x"})
    text = done.stdout.decode()
    assert done.returncode == FAILED and "bad   declare" in text and "1 bad" in text, done
    ok("users", "delete", user)
    code(UNREACHABLE, "doctor", "--node", "http://127.0.0.1:1")


def a_weaker_promise_is_told():
    states = {finding["check"]: finding["state"] for finding in as_json("doctor")}
    assert states["sync"] == "ok" and fields("status")["sync"] == "sync"
    with unittest.mock.patch.dict(os.environ, FERRYMQ_SYNC="written"), \
            Broker("ferrymq", http=True) as weak:
        node = {"FERRYMQ_NODE": f"http://127.0.0.1:{weak.http}"}
        text = ok("doctor", env=node)
        assert "warn  sync       written: " in text and "was safe on the disk" in text, text
        assert fields("status", env=node)["sync"].startswith("written - WEAK: ")
        for queue, asked, wanted in (("unsaid", [], "written"), ("memory", ["memory"], "memory"),
                                     ("safe", ["sync"], "sync")):
            ok("declare", "queue", queue, *[f"--arg=x-sync={sync}" for sync in asked], env=node)
            assert fields("queues", queue, env=node)["sync"] == wanted, queue
        log = (weak.folder / "output").read_text()
        assert "WARN" in log and "a loss of power may lose confirmed messages" in log, log


def watch_writes_tables_where_no_terminal_is():
    queue = name("watched")
    ok("declare", "queue", queue)
    ok("publish", queue, "x", "--count", "5000")
    text = ok("watch", "--count", "2", "--interval-s", "1", "--rows", "5")
    assert text.count("in/s\tout/s") == 2 and queue in text, text
    assert "\x1b" not in text
    code(UNREACHABLE, "watch", "--node", "http://127.0.0.1:1")
    ok("delete", "queue", queue)


def watch_leaves_the_screen_as_it_was():
    for number in (signal.SIGINT, signal.SIGTERM):
        with on_terminal("watch", "--interval-s", "1") as (process, read):
            read("consumers")
            process.send_signal(number)
            text = read()
        assert process.returncode == 0, process.returncode
        assert text.startswith("\x1b[?1049h") and text.endswith("\x1b[?25h\x1b[?1049l"), text


def bench_measures_and_cleans_up():
    found = as_json("bench", "--seconds", "1", "--publishers", "2", "--consumers", "1")
    assert found["published"] > 0 and found["published_per_second"] > 0, found
    assert 0 < found["request_ms_median"] <= found["request_ms_p99"] <= found["request_ms_max"]
    until(lambda: not [row for row in rows("queues") if row["name"].startswith("ferrymq.bench.")])
    code(UNREACHABLE, "bench", "--seconds", "1", "--node", "http://127.0.0.1:1")
    code(2, "bench", "--seconds", "0")


def progress_is_shown_on_a_terminal_only():
    queue = name()
    ok("declare", "queue", queue)
    with on_terminal("publish", queue, "x" * 5000, "--count", "5000") as (process, read):
        text = read("5,000 messages")
    assert "published" in text
    done = run("publish", queue, "x", "--count", "100")
    assert done.stderr.decode().startswith("published 100 messages"), done.stderr
    assert NODE not in done.stderr.decode()
    ok("delete", "queue", queue)


def main():
    """All of them."""
    checks = Checks()
    for check in (status_shows_the_node, doctor_finds_a_node_well, doctor_warns_and_says_what_to_do,
                  doctor_ends_with_1_where_something_is_bad, a_weaker_promise_is_told,
                  watch_writes_tables_where_no_terminal_is, watch_leaves_the_screen_as_it_was,
                  bench_measures_and_cleans_up, progress_is_shown_on_a_terminal_only):
        checks.run("cli " + check.__name__.replace("_", " "), check)
    checks.finish()


if __name__ == "__main__":
    main()
