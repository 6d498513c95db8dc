"""The twelve checks of the Celery judge; a worker for `tasks` must be running."""

import time

from celery import chain, group
from lib import Checks
from tasks import add, app, die_once, fail, flaky


def equal(found, wanted):
    """Raises unless both are the same."""
    assert found == wanted, f"{found!r} is not {wanted!r}"


def raises_value_error():
    """The task's exception arrives here."""
    try:
        fail.delay().get(timeout=20)
    except ValueError:
        return
    raise AssertionError("no exception")


def expired_never_runs():
    """A task past its time has no result, and the worker goes on."""
    result = add.apply_async((1, 2), expires=-1)
    equal(add.delay(1, 1).get(timeout=20), 2)
    assert result.state in ("PENDING", "REVOKED"), result.state


def main():
    """Waits for the worker, then checks."""
    deadline = time.monotonic() + 40
    while not app.control.ping(timeout=1) and time.monotonic() < deadline:
        pass
    checks = Checks()
    for name, check in {
        "a task and its result": lambda: equal(add.delay(2, 3).get(timeout=20), 5),
        "a group of 200": lambda: equal(
            sum(group(add.s(i, i) for i in range(200))().get(timeout=60)), 39800),
        "a chain": lambda: equal(
            chain(add.s(1, 1), add.s(2), add.s(3))().get(timeout=20), 7),
        "two retries": lambda: equal(flaky.delay(2).get(timeout=20), 2),
        "an exception comes back": raises_value_error,
        "a countdown": lambda: equal(
            add.apply_async((1, 1), countdown=1).get(timeout=20), 2),
        "a priority": lambda: equal(
            add.apply_async((1, 2), priority=9).get(timeout=20), 3),
        "an expired task does not run": expired_never_runs,
        "remote control: ping": lambda: equal(len(app.control.ping(timeout=3)), 1),
        "remote control: stats": lambda: equal(
            len(app.control.inspect(timeout=3).stats()), 1),
        "a killed child's task runs again": lambda: equal(
            die_once.delay("mark").get(timeout=40), "second life"),
        "purge": lambda: equal(app.control.purge() >= 0, True),
    }.items():
        checks.run(name, check)
    checks.finish()


if __name__ == "__main__":
    main()
