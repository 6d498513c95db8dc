"""Shard groups: order per key, one holder at a time, and what moves when."""

from tools import (Team, equal, pair, publish, run, send, shards, take, team_of, until)


def order_and_one_holder(ch):
    """Thirty keys over three consumers that ack: each key whole and in order at one of them."""
    queue, team, _ = team_of(ch, 3, 5)
    team.on_message = lambda got: got.member.ack(got)
    send(ch, queue, *(f"k{key}.{n}" for n in range(15) for key in range(30)))
    team.wait(450)
    team.in_order()
    several = {key: who for key, who in team.holders().items() if len(who) > 1}
    equal((several, len(team.holders())), ({}, 30))
    team.close()


def backlog_in_order(ch):
    """The same from a backlog, with unlimited prefetch."""
    queue = shards(ch, 64)
    send(ch, queue, *(f"k{key}.{n}" for n in range(10) for key in range(30)))
    _, team, _ = team_of(ch, 2, queue=queue)
    team.wait(300)
    team.in_order()
    equal(len(team.got), 300)
    team.close()


def spread_over_consumers(ch):
    """Each of four has about its quarter of the keys."""
    queue, team = shards(ch, 256), Team()
    for _ in range(4):
        team.join(queue)
    send(ch, queue, *(f"k{key}.1" for key in range(600)))
    team.wait(600)
    counts = [len(member.got) for member in team.members]
    assert min(counts) >= 90 and max(counts) <= 220, f"keys at each: {counts}"
    team.close()


def held_up_to_the_prefetch(ch):
    """Several messages of a key go to its holder, and none to anybody else."""
    queue, team, members = team_of(ch, 2, 5)
    send(ch, queue, *(f"a.{n}" for n in range(8)))
    team.wait(5)
    team.quiet()
    equal(sorted(len(member.got) for member in members), [0, 5])
    team.close()


def given_back_pauses_the_key(ch):
    """Nothing more of it until all that is held is settled; then from there, in order."""
    queue, team, (one,) = team_of(ch, 1, 4)
    send(ch, queue, "a.1", "a.2", "a.3", "a.4", "a.5")
    first = list(team.wait(4))
    one.back(first[1])
    one.ack(first[0], first[2])
    send(ch, queue, "b.1")
    team.wait(5)
    team.quiet()
    equal(team.names()[4:], ["b.1"])
    one.ack(first[3], team.got[4])
    team.wait(7)
    equal(team.names()[5:], ["a.2", "a.5"])
    equal([got.redelivered for got in team.got[5:]], [True, False])
    team.close()


def several_given_back(ch):
    """Given back in any order, they come again in the first one."""
    queue, team, (one,) = team_of(ch, 1, 5)
    send(ch, queue, *(f"a.{n}" for n in range(7)))
    held = list(team.wait(5))
    for number in (3, 0, 2):
        one.back(held[number])
    team.quiet()
    one.ack(held[4])
    team.quiet()
    one.ack(held[1])
    team.wait(10)
    equal(team.names()[5:], ["a.0", "a.2", "a.3", "a.5", "a.6"])
    team.close()


def other_keys_go_on(ch):
    """A paused key stops nobody else."""
    queue, team, (one,) = team_of(ch, 1, 3)
    send(ch, queue, "a.1", "a.2", "a.3", "b.1", "c.1")
    held = list(team.wait(3))
    one.back(held[0])
    team.wait(4)
    one.back(held[1])
    team.wait(5)
    equal(team.names()[3:], ["b.1", "c.1"])
    one.ack(held[2], *team.got[3:5])
    team.wait(7)
    equal(team.names()[5:], ["a.1", "a.2"])
    team.close()


def killed_holder(ch):
    """What it held comes to the next one first, in order and marked."""
    queue, team, (one,) = team_of(ch, 1, 3)
    send(ch, queue, *(f"a.{n}" for n in range(5)))
    team.wait(3)
    two = team.join(queue, 10)
    team.quiet()
    one.kill()
    team.wait(8)
    equal((two.names(), [got.redelivered for got in two.got]),
          ([f"a.{n}" for n in range(5)], [True] * 3 + [False] * 2))
    team.close()


def joining_takes_nothing_that_is_held(ch):
    """Keys move only after what is held of them is settled."""
    queue, team, (one,) = team_of(ch, 1, 40)
    names = [f"k{key}.{n}" for n in range(4) for key in range(20)]
    send(ch, queue, *names)
    team.wait(40)
    two = team.join(queue, 80)
    team.quiet()
    equal(two.got, [])
    team.on_message = lambda got: got.member.ack(got)
    one.ack()
    team.wait(80)
    team.in_order()
    assert two.got, "the new one got no key"
    equal({key for key, who in team.holders().items() if who == {1}}, set())
    team.close()


def nothing_moves_without_reason(ch):
    """With the same consumers a key stays where it is."""
    queue, team, _ = team_of(ch, 3, 10)
    team.on_message = lambda got: got.member.ack(got)
    for number in range(5):
        send(ch, queue, *(f"k{key}.{number}" for key in range(40)))
        team.wait(40 * (number + 1))
    equal({key: who for key, who in team.holders().items() if len(who) > 1}, {})
    team.close()


def cancelled_holder(ch):
    """Its keys wait until it has settled what it holds; others move at once."""
    queue, team, (one, two) = team_of(ch, 2, 50)
    keys = [f"k{n}" for n in range(30)]
    send(ch, queue, *(f"{key}.1" for key in keys))
    team.wait(30)
    held = {got.key for got in one.got}
    assert held and len(held) < 30, f"{len(held)} keys at the first"
    one.cancel()
    send(ch, queue, *(f"{key}.2" for key in keys))
    send(ch, queue, "new.1")
    team.wait(30 + 30 - len(held) + 1)
    team.quiet()
    equal({got.key for got in two.got} & held, set())
    one.ack()
    team.wait(61)
    equal({got.key for got in two.got} >= held, True)
    team.in_order()
    team.close()


def closed_channel(ch):
    """What it held goes back, and the key goes to another, in order."""
    queue, team, (one,) = team_of(ch, 1, 2)
    send(ch, queue, "a.1", "a.2", "a.3")
    team.wait(2)
    one.ch.close()
    two = team.join(queue, 10)
    team.wait(5)
    equal(two.names(), ["a.1", "a.2", "a.3"])
    team.close()


def retry_delay_sets_the_key_aside(ch):
    """Others go on meanwhile; its later messages wait for it."""
    queue, team, (one,) = team_of(ch, 1, 1, retry_limit=5, retry_delay=1200, retry_jitter=0)
    send(ch, queue, "a.1", "a.2", "b.1", "b.2", "-.1")
    began = team.wait(1)[0].at
    one.back(team.got[0])
    team.on_message = lambda got: got.member.ack(got)
    team.wait(6)
    equal(team.names(), ["a.1", "b.1", "b.2", "-.1", "a.1", "a.2"])
    waited = team.got[4].at - began
    assert waited >= 1.19 and team.got[3].at - began < 1.0, f"{waited:.2f} s"
    team.close()


def dead_lettered_by_its_limit(ch):
    """The key goes on with its next message."""
    queue, dead = pair(ch, shards=8, retry_limit=2)
    team = Team()
    one = team.join(queue, 1)
    send(ch, queue, "a.1", "a.2")
    one.back(team.wait(1)[0])
    one.back(team.wait(2)[1])
    team.wait(3)
    equal((team.names(), take(ch, dead).body), (["a.1", "a.1", "a.2"], b"a.1"))
    team.close()


def rejected(ch):
    """A rejected message leaves; the rest of its key does not wait."""
    queue, dead = pair(ch, shards=8)
    team = Team()
    one = team.join(queue, 2)
    send(ch, queue, "a.1", "a.2", "a.3")
    one.ch.basic_reject(team.wait(2)[0].tag, requeue=False)
    team.wait(3)
    equal((team.names(), take(ch, dead).body), (["a.1", "a.2", "a.3"], b"a.1"))
    team.close()


def fails_for_ever(ch):
    """One bad key with retries stops no other."""
    queue, team, (one,) = team_of(ch, 1, 1, retry_limit=1000, retry_delay=100, retry_jitter=0)

    def handle(got):
        one.back(got) if got.key == "bad" else one.ack(got)

    team.on_message = handle
    send(ch, queue, "bad.1", "bad.2")
    for number in range(40):
        send(ch, queue, f"k{number % 4}.{number}")
    until(lambda: (team.serve(), sum(got.key != "bad" for got in team.got) == 40)[1])
    tries = [got.number for got in team.got if got.key == "bad"]
    equal(set(tries), {"1"})
    team.close()


def without_a_key(ch):
    """To anyone who has room, also beside a held key."""
    queue, team, (one, two) = team_of(ch, 2, 2)
    send(ch, queue, "a.1", "a.2", "-.1", "-.2")
    team.wait(4)
    holder, other = (one, two) if one.got[0].key == "a" else (two, one)
    equal((sorted(holder.names()), sorted(other.names())), (["a.1", "a.2"], ["-.1", "-.2"]))
    team.close()


def named_header(ch):
    """The queue's own header counts where x-shard-key is missing."""
    queue, team, (one,) = team_of(ch, 1, 10, shard_key_header="customer")
    for body, headers in ((b"a.1", {"customer": "c"}), (b"a.2", {"customer": "c"}),
                          (b"b.1", {"customer": "c", "x-shard-key": "other"})):
        publish(ch, queue, body, headers)
    held = list(team.wait(3))
    for body, headers in ((b"a.3", {"customer": "c"}), (b"b.2", {"x-shard-key": "other"})):
        publish(ch, queue, body, headers)
    team.wait(5)
    one.back(held[0])
    team.quiet(0.2)
    publish(ch, queue, b"a.4", {"customer": "c"})
    publish(ch, queue, b"b.3", {"x-shard-key": "other"})
    team.wait(6)
    team.quiet()
    equal(team.names()[5:], ["b.3"])
    team.close()


def message_group(ch):
    """Without one of these headers the message group id of JMS is the key."""
    queue, team, (one,) = team_of(ch, 1, 2)
    for number in range(3):
        publish(ch, queue, b"a.%d" % number, {"JMSXGroupID": "g"})
    held = list(team.wait(2))
    one.back(held[0])
    team.quiet()
    one.ack(held[1])
    team.wait(4)
    equal(team.names(), ["a.0", "a.1", "a.0", "a.2"])
    team.close()


def kinds_of_keys(ch):
    """Numbers and truths are keys, too; equal numbers are one key."""
    queue, team, (one,) = team_of(ch, 1, 10)
    for key, again in ((5, 5), (2**40, 2**40), (-1, -1), (True, True), ("", ""), ("ü", "ü")):
        publish(ch, queue, b"x.1", {"x-shard-key": key})
        got = team.wait(len(team.got) + 1)[-1]
        publish(ch, queue, b"x.2", {"x-shard-key": again})
        held = team.wait(len(team.got) + 1)[-1]
        one.back(got)
        team.quiet(0.1)
        one.ack(held)
        one.ack(team.wait(len(team.got) + 1)[-1])
    for key in ({"a": 1}, [1], None, 1.5):
        publish(ch, queue, b"odd.1", {"x-shard-key": key})
    team.wait(len(team.got) + 4)
    team.close()


def get_passes_over_held_keys(ch):
    """basic.get takes what nobody holds."""
    queue, team, (one,) = team_of(ch, 1, 1)
    send(ch, queue, "a.1", "a.2", "b.1", "a.3")
    team.wait(1)
    got = take(ch, queue)
    equal(got.body, b"b.1")
    equal(ch.basic_get(queue)[0], None)
    one.cancel()
    one.ack()
    equal(take(ch, queue).body, b"a.2")
    team.close()


def get_takes_the_key(ch):
    """What is got and not settled holds its key."""
    queue = shards(ch)
    send(ch, queue, "a.1", "a.2", "b.1")
    first = take(ch, queue)
    team = Team()
    team.join(queue, 10)
    team.wait(1)
    team.quiet()
    equal((first.body, team.names()), (b"a.1", ["b.1"]))
    ch.basic_ack(first.tag)
    team.wait(2)
    equal(team.names(), ["b.1", "a.2"])
    team.close()


def without_acks(ch):
    """Consumers that do not ack: in order, each key at one of them."""
    queue, team = shards(ch, 64), Team()
    for _ in range(2):
        team.join(queue, auto_ack=True)
    send(ch, queue, *(f"k{key}.{n}" for n in range(10) for key in range(20)))
    team.wait(200)
    team.in_order()
    equal(max(map(len, team.holders().values())), 1)
    team.close()


run("shards", ours=(
    order_and_one_holder, backlog_in_order, spread_over_consumers, held_up_to_the_prefetch,
    given_back_pauses_the_key, several_given_back, other_keys_go_on, killed_holder,
    joining_takes_nothing_that_is_held, nothing_moves_without_reason, cancelled_holder,
    closed_channel, retry_delay_sets_the_key_aside, dead_lettered_by_its_limit, rejected,
    fails_for_ever, without_a_key, named_header, message_group, kinds_of_keys,
    get_passes_over_held_keys, get_takes_the_key, without_acks))
