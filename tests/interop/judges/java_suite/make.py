#!/usr/bin/env python3
"""What the suite asks of the broker's `make`: to stop and to start the node at $BROKER_DIR."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
import lib  # noqa: E402

ACTIONS = {"stop-rabbit-on-node": "stop", "start-rabbit-on-node": "start"}


def main():
    """`make.py -C DIR NAME=VALUE... TARGET...`"""
    targets = [word for word in sys.argv[3:] if "=" not in word]
    unknown = [target for target in targets if target not in ACTIONS]
    if unknown or not targets:
        print(f"no such targets: {unknown}", file=sys.stderr)
        return 1
    for target in targets:
        getattr(lib.Broker.attach(os.environ["BROKER_DIR"]), ACTIONS[target])()
    return 0


if __name__ == "__main__":
    sys.exit(main())
