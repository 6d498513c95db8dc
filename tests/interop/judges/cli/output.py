"""What is written: tables that fit, tabs for scripts, hostile names, help, completions, the manual."""

import shutil
import subprocess
import tempfile

from kit import (Checks, ESCAPES, as_json, binary, channel, environment, name, ok, pika, quote,
                 rows, run, terminal_text)

HOSTILE = ["a\x1b[2J\x1b]0;owned\x07b", "tab\there", "vertical\x0btab", "\x9b31mred", "\u202egnp.exe",
           "zero\u200bwidth", "Aufträge 中文 \U0001f4e6", "../../etc", "a/b?c#d%2F", "-rf", "x" * 255,
           "' OR 1=1 --", '"quoted"', "\x00nul", "\x7f"]


def hostile_names_are_harmless_and_reachable():
    names = [hostile for hostile in HOSTILE]
    with channel() as opened:
        for hostile in names:
            opened.queue_declare(hostile, durable=True)
            opened.queue_bind(hostile, "amq.topic", hostile[:200])
            opened.basic_publish("", hostile, hostile.encode(),
                                 pika.BasicProperties(headers={hostile[:100]: hostile}))
    try:
        for line in (("queues",), ("bindings",), ("queues", "--columns", "name,vhost"),
                     ("queues", "--json"), ("bindings", "--json")):
            done = run(*line)
            text = done.stdout.decode()
            assert done.returncode == 0, done.stderr
            bad = [c for c in text if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160
                   or c in "\u202e\u200b"]
            assert not bad, f"{line} {bad[:3]!r}"
        listed = {item["name"] for item in as_json("queues")}
        assert listed.issuperset(names)
        for hostile in names:
            if "\x00" in hostile:
                continue  # no argument of a program can hold it
            assert as_json("queues", "--", hostile)["name"] == hostile
            assert as_json("peek", "--", hostile)[0]["payload"] == hostile
            assert run("get", "--", hostile).stdout == hostile.encode() + b"\n"
            text = ESCAPES.sub("", terminal_text("queues", "--", hostile))
            assert "\x1b" not in text and "\x07" not in text and "\x9b" not in text, hostile
            ok("delete", "queue", "--", hostile)
    finally:
        with channel() as opened:
            for hostile in names:
                opened.queue_delete(hostile)


def a_hostile_body_is_shown_escaped_on_a_terminal():
    queue = name()
    ok("declare", "queue", queue)
    for _ in range(3):
        ok("publish", queue, stdin=b"a\x1b[2Jb\n\tc\xff")
    for line in (("peek", queue, "--raw", "--limit", "1"), ("get", queue), ("peek", queue)):
        assert "\x1b[2J" not in terminal_text(*line), line
    assert "\\u{1b}[2J" in terminal_text("get", queue)
    assert run("get", queue).stdout == b"a\x1b[2Jb\n\tc\xff\n"


def tables_fit_their_terminal():
    with channel() as opened:
        opened.queue_declare("wide-" + "w" * 200, durable=True)
    for columns in (60, 100, 200):
        text = ESCAPES.sub("", terminal_text("queues", "--name", "wide-", columns=columns))
        widest = max(len(line) for line in text.splitlines())
        assert widest <= columns, f"{widest} in {columns}:\n{text}"
    assert "wide-" + "w" * 200 in [row["name"] for row in rows("queues", "--name", "wide-")]
    ok("delete", "queue", "wide-" + "w" * 200)


def colours_are_for_terminals_that_want_them():
    assert "\x1b[32m" in terminal_text("doctor", env={"TERM": "xterm"})
    assert "\x1b" not in terminal_text("doctor", env={"TERM": "xterm", "NO_COLOR": "1"})
    assert "\x1b" not in ok("doctor")


def a_reader_that_goes_away_is_no_failure():
    line = f"'{binary()}' exchanges | head -1"
    done = subprocess.run(["bash", "-c", f"{line}; echo ${{PIPESTATUS[0]}}"], text=True,
                          capture_output=True, env=environment())
    assert done.stdout.splitlines()[-1] == "0" and done.stderr == "", done


def the_help_teaches():
    text = ok("--help")
    for part in ("Usage:", "Examples:", "Messages:\n", "What is there:\n", "--amqp"):
        assert part in text, part
    for command in ("queues", "publish", "doctor", "users"):
        assert "Usage: ferrymq " + command in ok(command, "--help")


def shells_take_the_completions():
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
        script.write(ok("completions", "bash"))
        script.flush()
        done = subprocess.run(["bash", "-c", f"set -e; . {script.name}; complete -p ferrymq; "
                               "COMP_WORDS=(ferrymq que); COMP_CWORD=1; "
                               "_ferrymq ferrymq que ferrymq; echo ${COMPREPLY[@]}"],
                              text=True, capture_output=True)
    assert done.returncode == 0 and "queues" in done.stdout, done
    assert "#compdef ferrymq" in ok("completions", "zsh")
    assert "complete -c ferrymq" in ok("completions", "fish")


def the_manual_page_is_sound():
    page = ok("man")
    assert page.count(".SH") > 40
    if shutil.which("man"):
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-"], input=page, text=True,
                              capture_output=True, env=environment({"MANWIDTH": "100"}))
        assert done.returncode == 0 and done.stderr == "", done.stderr[:300]
        assert "FERRYMQ" in done.stdout and "dead-letter" in done.stdout


def names_in_paths_stay_names():
    for hostile in ("..", ".", "a/../b", "%2e%2e", "?page=2"):
        with channel() as opened:
            opened.queue_declare(hostile, durable=True)
        assert as_json("queues", hostile)["name"] == hostile, quote(hostile)
        ok("delete", "queue", hostile)


def main():
    """All of them."""
    checks = Checks()
    for check in (hostile_names_are_harmless_and_reachable,
                  a_hostile_body_is_shown_escaped_on_a_terminal, tables_fit_their_terminal,
                  colours_are_for_terminals_that_want_them, a_reader_that_goes_away_is_no_failure,
                  the_help_teaches, shells_take_the_completions, the_manual_page_is_sound,
                  names_in_paths_stay_names):
        checks.run("cli " + check.__name__.replace("_", " "), check)
    checks.finish()


if __name__ == "__main__":
    main()
