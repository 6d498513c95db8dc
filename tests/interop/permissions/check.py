"""The judge: the table of a broker against those that were recorded from RabbitMQ.

Paths that a broker does not have at all, not even for an administrator, are named and left out.
"""

import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import matrix  # noqa: E402
from different import on_purpose  # noqa: E402

RIGHT_NAMED = re.compile(r"(configure|write|read) access to ")


def plain(cell, version):
    """A cell as it is compared: RabbitMQ before 3.11 did not say which right was missing."""
    return RIGHT_NAMED.sub("access to ", cell) if version.startswith("3.10") else cell


def absent(cells):
    """Whether a path is not there for anybody, or not with that method."""
    return "405" in cells.values() or all(c.startswith("404 Not Found") for c in cells.values())


def main():
    """Compares, and prints a line for each operation."""
    found = matrix.Matrix(os.environ["HOST"], int(os.environ["PORT"]),
                          int(os.environ["HTTP_PORT"])).table()
    good = bad = 0
    for path in sorted(HERE.glob("rabbitmq*.json")):
        version, recorded = matrix.read(path)
        for section, operations in recorded.items():
            for name, cells in operations.items():
                ours = found[section].get(name, {})
                if section.startswith("http") and absent(ours) and not absent(cells):
                    print(f"skip {version} {section}: {name}: not there")
                    continue
                wrong = []
                for column, cell in cells.items():
                    got, want = plain(ours.get(column, "none"), version), plain(cell, version)
                    if got != want and not on_purpose(section, name, want, got):
                        wrong.append(f"{column}: {got!r}, not {want!r}")
                good += not wrong
                bad += bool(wrong)
                mark = "FAIL" if wrong else "ok"
                print(f"{mark} {version} {section}: {name}" + "".join(f"\n    {w}" for w in wrong))
    print(f"{good} passed, {bad} failed")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
