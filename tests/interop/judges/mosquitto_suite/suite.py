#!/usr/bin/env python3
"""Runs Mosquitto's suite against $BROKER: `ferrymq`, or `mosquitto` as Debian has it.

    suite.py FOLDER [PREFIX...]     FOLDER is the suite's, of the unpacked source

Each test is a program of its own that starts the brokers it needs; `in_place.py` starts ours.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import lib
from known import Known

HERE = pathlib.Path(__file__).resolve().parent
# Tests at a time: they wait for most of their time.
JOBS = 4
TEST_S_MAX = 120
# Lines that are shown of a test that fails.
LINES = 8
IN_PLACE = "\nsuite_expects = expect_packet\nfrom in_place import *\n"
LISTED = re.compile(r"^ *\((\d+), '\./(\S+)\.py'\)", re.M)


def prepare(suite, work):
    """A copy of the suite that starts our broker, or Debian's Mosquitto."""
    shutil.copytree(suite, work / "test")
    if os.environ["BROKER"] == "mosquitto":
        (work / "src").mkdir()
        (work / "src/mosquitto").symlink_to(lib.MOSQUITTO)
        # Started by root it is somebody else, who writes there.
        work.chmod(0o755)
        (work / "test/broker").chmod(0o777)
        return
    shutil.copy(HERE / "in_place.py", work / "test")
    with open(work / "test/mosq_test.py", "a") as module:
        module.write(IN_PLACE)


def run(work, name, ports):
    """Why a test failed; nothing if it passed."""
    scratch = work / "scratch" / name
    scratch.mkdir(parents=True)
    env = dict(os.environ, SCRATCH=str(scratch), FERRYMQ=lib.binary(), SPARE_PORT=str(lib.free_port()))
    command = [sys.executable, f"{name}.py", *(str(lib.free_port()) for _ in range(ports))]
    try:
        done = subprocess.run(command, cwd=work / "test/broker", env=env, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TEST_S_MAX)
    except subprocess.TimeoutExpired:
        return "it does not end"
    if done.returncode == 0:
        return ""
    return "\n    ".join(done.stdout.strip().splitlines()[-LINES:]) or "no reason is told"


def main():
    """Runs what is listed, but for what is left out."""
    suite, *wanted = sys.argv[1:]
    known = Known(__file__)
    with tempfile.TemporaryDirectory(prefix="mosquitto-") as work:
        work = pathlib.Path(work)
        prepare(suite, work)
        listed = LISTED.findall((work / "test/broker/test.py").read_text())
        chosen = [(int(ports), name) for ports, name in listed
                  if not name.startswith(known.left_out) and name.startswith(tuple(wanted) or "")]
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            return known.report(pool.map(lambda one: (one[1], run(work, one[1], one[0])), chosen))


if __name__ == "__main__":
    sys.exit(not main())
