"""Cases that run beside each other: each has topics and client ids of its own.

A case is a function that takes a `Stage`; `run` plays them in threads, in the order given prints
`ok NAME` or `FAIL NAME: why`, and ends the program. `known` names what this broker (BROKER) is
known to fail: such a case must fail, and counts as passed.
"""

import concurrent.futures
import os
import secrets
import sys
import time

import packets as p
import peer

BROKER = os.environ.get("BROKER", "ferrymq")


class Stage:
    """What a case needs: a prefix, clients, and their end."""

    def __init__(self, name, version=p.V5):
        self.prefix, self.version = f"{name}-{secrets.token_hex(3)}", version
        self.clients, self.notes = [], []

    def topic(self, rest):
        """A topic or filter below this case's own level."""
        return f"{self.prefix}/{rest}"

    def topics(self, *rests):
        """Several."""
        return [self.topic(rest) for rest in rests]

    def client(self, name="a", **values):
        """A connected client; `name` None leaves the client identifier empty."""
        client_id = "" if name is None else f"{self.prefix}-{name}"
        values.setdefault("version", self.version)
        client = peer.Client(client_id, **values)
        self.clients.append(client)
        return client

    def peer(self, version=None):
        """A socket, not yet connected in MQTT's sense."""
        found = peer.Peer(version or self.version)
        self.clients.append(found)
        return found

    def note(self, text):
        """Something worth printing behind `ok`."""
        self.notes.append(text)

    def close(self):
        """Ends all connections."""
        for client in self.clients:
            client.cut()


def play(name, case, version=p.V5):
    """Runs one case; returns (name, error or None, note, seconds)."""
    stage, began, error = Stage(name, version), time.monotonic(), None
    try:
        case(stage)
    except Exception as problem:  # every way to fail is reported
        error = problem
    finally:
        stage.close()
    return name, error, "; ".join(stage.notes), time.monotonic() - began


def report(results, known=()):
    """Prints all results and gives how many passed and failed."""
    passed = failed = 0
    for name, error, note, seconds in results:
        tail = f" ({seconds:.1f} s{', ' + note if note else ''})"
        if name in known and error is not None:
            passed += 1
            print(f"ok {name}: fails here as known ({type(error).__name__} {str(error)[:120]})")
        elif name in known:
            failed += 1
            print(f"FAIL {name}: is known to fail here, and passed")
        elif error is not None:
            failed += 1
            print(f"FAIL {name}: {type(error).__name__} {str(error)[:300]}")
        else:
            passed += 1
            print(f"ok {name}{tail}")
        sys.stdout.flush()
    return passed, failed


def words():
    """The arguments that choose cases by a part of their name."""
    return [word for word in sys.argv[1:] if ":" not in word and not word.startswith("-")]


def run_parts(parts, known=None):
    """Plays parts one after the other: (cases, how many at a time). A case is (name, function) or
    (name, function, version); `known`: broker -> names that fail there."""
    asked, passed, failed = words(), 0, 0
    for cases, together in parts:
        chosen = [case for case in cases if not asked or any(word in case[0] for word in asked)]
        with concurrent.futures.ThreadPoolExecutor(together) as pool:
            results = pool.map(lambda case: play(*case), chosen)
            counts = report(results, (known or {}).get(BROKER, ()))
        passed, failed = passed + counts[0], failed + counts[1]
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)


def run(cases, known=None, together=16):
    """Plays `cases`, so many at a time."""
    run_parts([(cases, together)], known)
