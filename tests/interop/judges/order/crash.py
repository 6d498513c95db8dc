"""A broker that is killed in the middle: shards, filters, policies, streams, hashes as before."""

import os
import time

from tools import (Broker, Checks, Team, api, connect, equal, fresh, make, policy, publish, ready,
                   send, shards, take)

broker = Broker.attach(os.environ["BROKER_DIR"])
checks = Checks()


class Before:
    """What is put in before the kill, and looked at after it."""

    def __init__(self):
        self.ch = connect().channel()
        self.teams = []
        for prepare in (self.held_keys, self.aside, self.filters, self.operators, self.streams,
                        self.rules, self.hashes):
            checks.run(f"crash before: {prepare.__name__}", prepare)

    def held_keys(self):
        """Keys held by two consumers, with some of it given back and some settled."""
        self.queue = shards(self.ch, 16)
        team = Team()
        self.teams.append(team)
        for _ in range(2):
            team.join(self.queue, 30)
        send(self.ch, self.queue, *(f"k{key}.{n}" for n in range(6) for key in range(20)))
        team.wait(60)
        self.settled = set()
        for got in list(team.got):
            if got.number == "0":
                got.member.ack(got)
                self.settled.add((got.key, got.number))
            elif got.key in ("k1", "k2") and got.number == "1":
                got.member.back(got)
        for member in team.members:  # a round trip: the broker has read the verdicts
            member.ch.basic_qos(prefetch_count=30)

    def aside(self):
        """A key that waits for its retry."""
        self.retries = shards(self.ch, 8, retry_limit=9, retry_delay=6000, retry_jitter=0)
        send(self.ch, self.retries, "a.1", "a.2", "b.1")
        got, self.nacked = take(self.ch, self.retries), time.monotonic()
        equal(got.body, b"a.1")
        self.ch.basic_nack(got.tag, requeue=True)

    def filters(self):
        """A binding with a filter."""
        self.exchange, self.filtered = fresh("crash"), make(self.ch)
        self.ch.exchange_declare(self.exchange, "topic", durable=True)
        self.ch.queue_bind(self.filtered, self.exchange, "#", {"x-filter": "size > 5"})

    def operators(self):
        """An operator's policy, and one of an exchange."""
        self.bounded, self.behind = make(self.ch), make(self.ch)
        policy(f"^{self.bounded}$", {"max-length": 2}, "operator-policies")
        other = fresh("crash")
        self.open, self.other = fresh("crash"), other
        self.ch.exchange_declare(other, "fanout", durable=True)
        self.ch.exchange_declare(self.open, "direct", durable=True)
        self.ch.queue_bind(self.behind, other)
        policy(f"^{self.open}$", {"alternate-exchange": other}, **{"apply-to": "exchanges"})

    def streams(self):
        """Three messages, one reader in the middle."""
        self.stream = make(self.ch, queue_type="stream")
        for number in range(3):
            publish(self.ch, self.stream, b"s.%d" % number)

    def rules(self):
        """An interceptor."""
        self.ruled, self.behind_rules = fresh("crash"), make(self.ch)
        self.ch.exchange_declare(self.ruled, "fanout", durable=True)
        self.ch.queue_bind(self.behind_rules, self.ruled)
        policy(f"^{self.ruled}$", {"set-headers": {"by": "rule"}}, **{"apply-to": "exchanges"})

    def hashes(self):
        """Where keys go."""
        self.hash = fresh("crash")
        self.ch.exchange_declare(self.hash, "x-consistent-hash", durable=True)
        self.parts = [make(self.ch) for _ in range(3)]
        for part in self.parts:
            self.ch.queue_bind(part, self.hash, "7")
        self.places = self.pour()

    def pour(self):
        """{key: queue}, of forty keys."""
        for number in range(40):
            publish(self.ch, f"key-{number}", b"%d" % number, exchange=self.hash)
        found = {}
        for place, part in enumerate(self.parts):
            while (body := self.ch.basic_get(part, auto_ack=True)[2]) is not None:
                found[body] = place
        equal(len(found), 40)
        return found


class After(Before):
    """The same broker, started again."""

    def __init__(self, before):
        vars(self).update(vars(before))
        self.ch = connect().channel()
        for look in (self.keys_in_order, self.key_still_aside, self.filter_filters,
                     self.operators_hold, self.stream_is_whole, self.rule_rules, self.hash_hashes):
            checks.run(f"crash after: {look.__name__}", look)

    def keys_in_order(self):
        """Everything that was not settled comes again, each key in its first order."""
        team = Team(lambda got: got.member.ack(got))
        for _ in range(3):
            team.join(self.queue, 10)
        wanted = {(f"k{key}", str(n)) for key in range(20) for n in range(6)} - self.settled
        team.wait(len(wanted))
        team.quiet()
        team.in_order()
        found = {(got.key, got.number) for got in team.got}
        equal((wanted - found, found - wanted), (set(), set()))
        team.close()

    def key_still_aside(self):
        """The waiting message comes at its time, and its key waits for it."""
        team = Team(lambda got: got.member.ack(got))
        team.join(self.retries, 1)
        team.wait(3)
        names = team.names()
        equal((sorted(names), names.index("a.1") < names.index("a.2")),
              (["a.1", "a.2", "b.1"], True))
        when = next(got.at for got in team.got if got.number == "1" and got.key == "a")
        assert when - self.nacked >= 5.9, f"{when - self.nacked:.1f} s, wanted 6"
        team.close()

    def filter_filters(self):
        """The binding is there with its filter."""
        for size in (4, 6):
            publish(self.ch, "a", b"x", {"size": size}, self.exchange, mandatory=False)
        equal(ready(self.ch, self.filtered), 1)

    def operators_hold(self):
        """Both policies act, and are shown."""
        for _ in range(4):
            publish(self.ch, self.bounded)
        equal(ready(self.ch, self.bounded), 2)
        publish(self.ch, "k", exchange=self.open)
        equal(ready(self.ch, self.behind), 1)
        assert api("GET", "operator-policies/%2F")[1], "no operator's policy is shown"

    def stream_is_whole(self):
        """Same messages, same offsets; the next one goes on from there."""
        publish(self.ch, self.stream, b"s.3")
        team = Team()
        reader = team.join(self.stream, 10, arguments={"x-stream-offset": 1})
        team.wait(3)
        equal([(got.number, got.headers["x-stream-offset"]) for got in reader.got],
              [("1", 1), ("2", 2), ("3", 3)])
        team.close()

    def rule_rules(self):
        """Headers are added still."""
        publish(self.ch, "", b"x", exchange=self.ruled)
        equal(take(self.ch, self.behind_rules).headers, {"by": "rule"})

    def hash_hashes(self):
        """Each key goes where it went."""
        equal(self.pour(), self.places)


prepared = Before()
time.sleep(0.3)  # an ack has no reply: one just before a kill may be undone
checks.run("crash: killed and started", broker.restart)
After(prepared)
checks.finish()
