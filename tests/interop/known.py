"""Suites that others wrote, where a few tests are known not to fit.

A suite has a file `known.toml`: `[left_out]` names what is not run, `[different]` what FerryMQ does
otherwise and must therefore fail, both with the reason. Any other broker must pass all that is run.
"""

import os
import pathlib
import tomllib


class Known:
    """What is known of a suite whose program is `beside`."""

    def __init__(self, beside):
        known = tomllib.loads(pathlib.Path(beside).with_name("known.toml").read_text())
        self.left_out = tuple(known["left_out"])
        self.different = known["different"] if os.environ["BROKER"] == "ferrymq" else {}

    def report(self, results):
        """Prints a line for each name and why it failed (empty: it passed), then the totals; gives
        whether all was as it is known."""
        counts = {True: 0, False: 0}
        for name, reason in results:
            good = bool(reason) == (name in self.different)
            counts[good] += 1
            if good:
                print(f"ok {name}" + " (different)" * (name in self.different), flush=True)
            else:
                print(f"FAIL {name}: {reason or 'it passes: known.toml is out of date'}", flush=True)
        print(f"{counts[True]} passed, {counts[False]} failed")
        return counts[False] == 0
