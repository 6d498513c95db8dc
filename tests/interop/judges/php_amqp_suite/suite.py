#!/usr/bin/env python3
"""Runs the suite of php-amqp, files in PHP's own form for tests (phpt), against HOST and PORT.

    suite.py FOLDER [NAME...]       FOLDER has the files; with names: shows what these print
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from known import Known

TEST_S_MAX = 60
# Lines that are shown of a test that fails.
LINES = 8
SECTION = re.compile(r"^--([A-Z_]+)--\s*$")
# What stands for something else in EXPECTF.
WILD = {"%e": "/", "%s": r"[^\r\n]+", "%S": r"[^\r\n]*", "%a": "(?s:.+)", "%A": "(?s:.*)", "%w": r"\s*",
        "%i": r"[+-]?\d+", "%d": r"\d+", "%x": "[0-9a-fA-F]+", "%c": ".",
        "%f": r"[+-]?\.?\d+\.?\d*(?:[Ee][+-]?\d+)?"}
SETTINGS = {"amqp.host": "localhost", "amqp.port": os.environ["PORT"], "error_reporting": "32767",
            "display_errors": "1", "html_errors": "0", "log_errors": "0"}


def sections(path):
    """The parts of a file, by their names."""
    found, name = {}, None
    for line in path.read_text(errors="surrogateescape").splitlines(keepends=True):
        if head := SECTION.match(line):
            name = head[1]
            found[name] = ""
        elif name:
            found[name] += line
    return found


def php(path, code, settings):
    """What a piece of PHP prints that lies beside the test."""
    file = path.with_suffix(".php")
    file.write_text(code, errors="surrogateescape")
    options = [part for name, value in settings.items() for part in ("-d", f"{name}={value}")]
    done = subprocess.run(["php", *options, file], cwd=path.parent, timeout=TEST_S_MAX, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode(errors="surrogateescape").replace("\r\n", "\n").strip()


def matches(test, printed):
    """Whether it is what the test says, with the port that we have."""
    if "EXPECT" in test:
        return printed == test["EXPECT"].strip().replace("5672", os.environ["PORT"])
    pattern = test["EXPECTF"].strip().replace("5672", os.environ["PORT"])
    parts = re.split(f"({'|'.join(WILD)})", pattern)
    pattern = "".join(WILD.get(part) or re.escape(part) for part in parts)
    return re.fullmatch(pattern, printed) is not None


def run(path, shows):
    """Why a test failed: nothing if it passed, none if it says that it can not be run here."""
    test = sections(path)
    lines = (line.partition("=") for line in test.get("INI", "").splitlines() if "=" in line)
    settings = SETTINGS | {name.strip(): value.strip() for name, _, value in lines}
    try:
        if php(path, test.get("SKIPIF", ""), settings).lower().startswith("skip"):
            return None
        printed = php(path, test["FILE"], settings)
    except subprocess.TimeoutExpired:
        return "it does not end"
    if matches(test, printed):
        return ""
    return "\n    ".join(printed.splitlines()[0 if shows else -LINES:]) or "it prints nothing"


def results(work, names, left_out):
    """Runs all but what is left out, or what is named; a name and why it failed, one by one."""
    for path in sorted(pathlib.Path(work).glob("*.phpt")):
        if path.stem in left_out or names and path.stem not in names:
            continue
        reason = run(path, shows=bool(names))
        if reason is not None:
            yield path.stem, reason


def main():
    """Runs a copy of the suite, beside which PHP finds what belongs to it."""
    folder, *names = sys.argv[1:]
    known = Known(__file__)
    with tempfile.TemporaryDirectory(prefix="php-amqp-") as work:
        shutil.copytree(folder, work, dirs_exist_ok=True)
        return known.report(results(work, names, known.left_out))


if __name__ == "__main__":
    sys.exit(not main())
