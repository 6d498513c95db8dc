#!/usr/bin/env python3
"""Runs the Python examples of the pages in docs/, each in a process of its own.

An example is a fenced block marked `python`. It is run as it stands, but for the addresses: port
5672 is PORT, 15672 is HTTP_PORT, 1883 is MQTT_PORT. A `print(...)` with a comment behind it must
print that comment, up to its first colon where it has one; a print without one may print anything.

    docs.py [PAGE...]       HOST, PORT and HTTP_PORT say where the broker is
"""

import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from lib import Checks  # noqa: E402

DOCS = HERE.parent.parent / "docs"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
PRINTED = re.compile(r"^print\((?:.*\n +)*.*\)(?: +# (.*))?$", re.M)
EXAMPLE_S_MAX = 60
PRELUDE = "import pika; pika.connection.Parameters.DEFAULT_PORT = {port}\n"


def examples(page):
    """(line of the page, code)."""
    text = page.read_text()
    return [(text.count("\n", 0, found.start()) + 2, found[1]) for found in EXAMPLE.finditer(text)]


def says(wanted, found):
    """Whether a printed line is what the comment behind the print says."""
    return wanted is None or found == wanted or found == wanted.split(":")[0]


def play(code):
    """Runs one example and compares what it prints."""
    local = code.replace("127.0.0.1:15672", f"127.0.0.1:{os.environ['HTTP_PORT']}")
    local = local.replace("1883", os.environ.get("MQTT_PORT", "1883"))
    local = PRELUDE.format(port=os.environ["PORT"]) + local
    done = subprocess.run([sys.executable, "-c", local], text=True, capture_output=True,
                          timeout=EXAMPLE_S_MAX)
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1:]
    wanted, found = [line[1] for line in PRINTED.finditer(code)], done.stdout.splitlines()
    assert wanted, "it prints nothing, so it shows nothing"
    assert len(wanted) == len(found) and all(map(says, wanted, found)), \
        f"printed {found}, wanted {wanted}"


def main():
    """All examples of the pages that are named, or of all pages."""
    checks = Checks()
    for page in sorted(DOCS.glob("*.md")):
        if len(sys.argv) > 1 and page.stem not in sys.argv[1:]:
            continue
        for line, code in examples(page):
            checks.run(f"docs {page.name}:{line}", lambda code=code: play(code))
    checks.finish()


if __name__ == "__main__":
    main()
