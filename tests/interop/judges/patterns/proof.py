"""The checks themselves: each is handed something that is wrong, and must say so.

A check that sees nothing would let every broker pass. `broken.py` tries the same with a real one.
"""

import ledger
from ledger import Hold
from lib import Checks

GOOD = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]


def hold(receiver, start, end, how="ack"):
    """A message in the hand of one receiver."""
    return Hold((0, 0), receiver, start, end, how, start, False)


# What is checked: (the check, what is well, what is wrong).
ROWS = {
    "one is lost": (ledger.lost, (GOOD, GOOD), (GOOD, GOOD[1:])),
    "one is invented": (ledger.invented, (GOOD, GOOD), (GOOD, [*GOOD, (7, 7)])),
    "one comes twice": (ledger.twice, (GOOD,), ([*GOOD, (1, 0)],)),
    "two change places": (ledger.different, (GOOD, GOOD), ([*GOOD[:3], GOOD[4], GOOD[3]], GOOD)),
    "the end is missing": (ledger.different, (GOOD, GOOD), (GOOD[:-1], GOOD)),
    "there is more than wanted": (ledger.different, (GOOD, GOOD), ([*GOOD, (1, 2)], GOOD)),
    "one comes again unmarked": (
        ledger.unmarked, ([(1, False), (1, True)],), ([(1, False), (1, False)],)),
    "one has more than its share": (ledger.uneven, ([10, 11, 9], 0.2), ([10, 13, 7], 0.2)),
    "one has nothing": (ledger.uneven, ([10] * 32, 0.2), ([0] + [10] * 31, 0.2)),
    "two hold the same": (
        ledger.overlaps, ([hold(1, 0, 1), hold(2, 1, 2)], 0.1),
        ([hold(1, 0, 1), hold(2, 0.95, 2)], 0.1)),
    "a lease ends too early": (
        ledger.overlaps, ([hold(1, 0, 1, "lease"), hold(2, 0.95, 2)], 0.1),
        ([hold(1, 0, 1, "lease"), hold(2, 0.85, 2)], 0.1)),
    "a lease is heard of when it is nearly over": (
        ledger.overlaps, ([hold(1, 0.95, 1, "lease"), hold(2, 0.94, 2)], 0.1),
        ([hold(1, 0.85, 1, "lease"), hold(2, 0.84, 2)], 0.1)),
    "one holds it inside of another's time": (
        ledger.overlaps, ([hold(1, 0, 1), hold(2, 1, 2)], 0.1),
        ([hold(1, 0, 9), hold(2, 3, 4)], 0.1)),
    "order without a repetition": (
        ledger.unexplained, ([((0, 1), False), ((0, 0), True)], set()),
        ([((0, 1), False), ((0, 0), False)], set())),
    "twice without a repetition": (
        ledger.unexplained, ([((0, 0), False), ((0, 0), False)], {(0, 0)}),
        ([((0, 0), False), ((0, 0), False)], {(0, 1)})),
}


def main():
    """Each row: nothing to say of what is well, something of what is wrong."""
    checks = Checks()
    for name, (check, well, wrong) in ROWS.items():
        def told(check=check, well=well, wrong=wrong):
            assert not check(*well), f"{check(*well)} of what is well"
            assert check(*wrong), "nothing is told"
        checks.run(f"proof {name}", told)
    checks.finish()


if __name__ == "__main__":
    main()
