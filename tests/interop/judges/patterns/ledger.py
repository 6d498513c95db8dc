"""What was sent, what came, who held it: each function lists what is wrong, if anything is.

Also here: how a program of this judge reads its sizes, draws its random numbers, waits, and tells
what it found.

Invariants
- A function that lists what is wrong looks at plain values, so `proof.py` can hand it wrong ones.
- All that is drawn at random follows from SEED, which is told with every failure.

Environment: SEED (drawn and printed if not given), ONLY (part of a scenario's name).
"""

import collections
import os
import random
import signal
import time

from lib import Checks

SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(2**32))
EXAMPLES = 4
# What waits for its own events has limits of its own; this one is for an answer that never comes.
SCENARIO_S_MAX = 300
# From `start` to `end` a receiver could rely on the message being its own. `how` it ended: "ack",
# "nack", "cut" or "lease"; `since`: a lease of it can not have begun earlier.
Hold = collections.namedtuple("Hold", "key receiver start end how since marked")


def size(name, default):
    """A number from the environment."""
    return type(default)(os.environ.get(name, default))


def draw(name):
    """Random numbers of this scenario's own."""
    return random.Random(f"{SEED} {name}")


def wait(condition, seconds):
    """Waits for a condition, but no longer: what did not come is told by the checks behind it."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def lost(wanted, found):
    """What should have come and did not."""
    return sorted(set(wanted) - set(found))


def invented(wanted, found):
    """What came and nobody sent."""
    return sorted(set(found) - set(wanted))


def twice(found):
    """What came more than once."""
    return sorted(key for key, count in collections.Counter(found).items() if count > 1)


def unmarked(deliveries):
    """Of (key, redelivered): what came a second time as if it were the first."""
    return twice(key for key, redelivered in deliveries if not redelivered)


def unexplained(deliveries, repeated):
    """Of (key, redelivered): what came late or again, though neither marked nor sent repeatedly."""
    highest, seen, wrong = {}, set(), []
    for key, redelivered in deliveries:
        producer, number = key
        is_repeated = redelivered or key in repeated
        if key in seen and not is_repeated:
            wrong.append(f"{key} came again, unmarked, and was sent once")
        if key not in seen and number < highest.get(producer, -1) and not is_repeated:
            wrong.append(f"{key} came after {highest[producer]}")
        highest[producer] = max(number, highest.get(producer, -1))
        seen.add(key)
    return wrong


def uneven(counts, tolerance):
    """The counts that are further than that part from the mean."""
    mean = sum(counts) / len(counts)
    return [count for count in counts if abs(count - mean) > mean * tolerance]


def different(found, wanted):
    """The first place where two sequences differ, with what stands around it."""
    for at, (one, other) in enumerate(zip(found, wanted)):
        if one != other:
            return [f"at {at}: found {found[at:at + 3]}, wanted {wanted[at:at + 3]}"]
    return [] if len(found) == len(wanted) else [f"{len(found)} came, wanted {len(wanted)}"]


def overlaps(holds, early_s):
    """Pairs of holds of the same message by two at once; a lease may end that much too early."""
    by_key, wrong = collections.defaultdict(list), []
    for hold in holds:
        if hold.how == "lease":
            hold = hold._replace(end=hold.end - early_s)
        if hold.end > hold.start:
            by_key[hold.key].append(hold)
    for same in by_key.values():
        same.sort(key=lambda hold: hold.start)
        wrong += [(one, two) for one, two in zip(same, same[1:])
                  if two.start < one.end]
    return wrong


def hangs(*_):
    """Interrupts the scenario, wherever it waits."""
    raise TimeoutError(f"no answer in all the time that it has (SEED={SEED})")


def play(program, *scenarios, limit_s=SCENARIO_S_MAX):
    """Runs scenarios, each with a function `tell(name, problems)`; prints the totals."""
    print(f"{program}: SEED={SEED}", flush=True)
    checks = Checks()
    signal.signal(signal.SIGALRM, hangs)

    def tell(name, problems):
        def none():
            problem = ", ".join(str(one) for one in list(problems)[:EXAMPLES])
            assert not problems, f"{len(problems)}: {problem} (SEED={SEED})"
        checks.run(f"{program} {name}", none)

    for scenario in scenarios:
        if os.environ.get("ONLY", "") in scenario.__name__:
            began = time.monotonic()
            signal.alarm(int(limit_s))
            checks.run(f"{program} {scenario.__name__} came to its end", lambda: scenario(tell))
            signal.alarm(0)
            print(f"{scenario.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    checks.finish()
