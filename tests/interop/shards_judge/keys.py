"""What is known of every key while messages come and are settled, and the rules that must hold.

Invariants (of what clients see; each is checked when a delivery is looked at)
- A message is seen for the first time only when all before it of its key were.
- While one connection holds something of a key, no other is given anything of it.
- Until a message that was given back comes again, nothing behind it comes, except what was under
  way to its holder; when the broker is known to have the give-back, not even that.
- Within a run (from a give-back or cut to the next) numbers rise.
- A settled message comes back only if the connection that settled it was cut: acks have no reply.
"""

import collections
import threading
import time

ACKS_KEPT = 256


class Key:
    """One key. `held` and `acks` say who has a number, `back` whether the broker knows."""

    __slots__ = ("acks", "back", "cut_at", "held", "holder", "next", "paused", "run_last")

    def __init__(self):
        self.next, self.run_last, self.holder = 0, -1, None
        self.held, self.acks, self.back = {}, {}, {}
        self.paused, self.cut_at = False, None


class Ledger:
    """All keys. Everything is done under one lock, so there is one order of events."""

    def __init__(self, checked):
        self.lock, self.checked = threading.Lock(), checked
        self.keys = collections.defaultdict(Key)
        self.published, self.sent, self.settled = {}, 0, 0
        self.given_back = self.again = self.cuts = 0
        self.violations = collections.defaultdict(list)
        self.moves, self.waits, self.errors, self.seen_by = [], [], [], {}
        self.spreads = []

    def publish(self, key, number):
        """Before it is sent."""
        with self.lock:
            self.published[key] = number + 1
            self.sent += 1

    def delivered(self, connection, key, number, sent_at):
        """A message has come."""
        now = time.monotonic()
        with self.lock:
            state = self.keys[key]
            fresh = number >= state.next
            if number >= self.published.get(key, 0):
                self.broken("invented", key, number)
            self.judge(state, connection, key, number)
            if fresh:
                state.next = max(state.next, number + 1)
                self.waits.append((key, now - sent_at))
            else:
                self.again += 1
            if state.cut_at is not None and connection != state.holder:
                self.moves.append(now - state.cut_at)
                state.cut_at = None
            state.run_last, state.holder = number, connection
            state.held[number] = connection
            state.back.pop(number, None)
            self.seen_by.setdefault(connection, set()).add(key)

    def judge(self, state, connection, key, number):
        """The rules, one by one."""
        others = {who for who in state.held.values() if who != connection}
        if others:
            self.broken("two holders", key, number, connection, others)
        if number > state.next:
            self.broken("out of order", key, number, "first seen before", state.next)
        settled_by = state.acks.get(number)
        if settled_by is not None:
            if not settled_by.cut:
                self.broken("settled came back", key, number)
        elif number < state.next and number not in state.back and number not in state.held:
            self.broken("settled came back", key, number, "long ago")
        waiting = [one for one, sure in state.back.items() if one < number and sure[0]]
        if waiting:
            self.broken("out of order", key, number, "given back and not here", waiting[:3])
        if state.paused and state.held:
            self.broken("not paused", key, number, "held", sorted(state.held)[:3])
        if number <= state.run_last and number not in state.back:
            self.broken("out of order", key, number, "after", state.run_last)

    def broken(self, rule, *what):
        """Notes it, if the queue has shards; else looking is only for the same cost."""
        if self.checked:
            self.violations[rule].append(what)

    def ack(self, connection, key, number):
        """Before the ack is sent. False if the message is not this connection's (any more)."""
        with self.lock:
            state = self.keys[key]
            if state.held.get(number) is not connection:
                return False
            del state.held[number]
            self.settled += number not in state.acks
            state.acks[number] = connection
            if len(state.acks) > ACKS_KEPT:
                del state.acks[next(iter(state.acks))]
            self.resume(state)
            return True

    def nack(self, connection, key, number):
        """Before it is given back. What to tell `sure` later; None if it was not held."""
        with self.lock:
            state = self.keys[key]
            if state.held.get(number) is not connection:
                return None
            del state.held[number]
            state.back[number] = known = [False]
            self.given_back += 1
            self.resume(state)
            return key, number, known

    def resume(self, state):
        """Nothing is held any more: the pause is over, and what was given back comes again."""
        if not state.held:
            state.paused = False

    def sure(self, gone):
        """The broker has these give-backs: their keys are paused while something is held."""
        with self.lock:
            for key, number, known in gone:
                state = self.keys[key]
                if state.back.get(number) is known:
                    known[0] = True
                    state.paused = bool(state.held)

    def gone(self, connection, cut):
        """Before a connection ends: what it holds is given back, and acks may be lost."""
        now = time.monotonic()
        with self.lock:
            connection.cut = True
            self.cuts += cut
            for state in self.keys.values():
                if state.holder is not connection:
                    continue
                mine = [number for number, who in state.held.items() if who is connection]
                for number in mine:
                    del state.held[number]
                    state.back[number] = [True]
                state.run_last, state.paused = -1, False
                if mine and cut:
                    state.cut_at = now
            self.note_spread(connection)

    def note_spread(self, leaver):
        """How many keys each consumer has seen since the last change: the least and the most."""
        counts = [len(keys) for who, keys in self.seen_by.items() if not who.cut or who is leaver]
        if len(counts) >= 4 and sum(counts) >= 200 * len(counts) and min(counts) > 0:
            self.spreads.append((min(counts), max(counts)))
        self.seen_by = {}

    def spread(self):
        """All but what a newcomer makes uneven: the middle third of the findings."""
        ordered = sorted(self.spreads, key=lambda pair: pair[1] / pair[0])
        return ordered[:max(1, len(ordered) // 2)]

    def unsettled(self):
        """How many are not settled yet."""
        with self.lock:
            return self.sent - self.settled

    def missing(self):
        """Some that were never seen, or are still held or given back."""
        with self.lock:
            return [(key, state.next, self.published[key], sorted(state.held), sorted(state.back))
                    for key in self.published
                    if (state := self.keys[key]).next < self.published[key] or state.held
                    or state.back]
