"""Policies of exchanges and operators' policies: what is taken, how it is shown, what it does."""

from scenario import cases, scenario


def path(s, kind="policies", short="p"):
    """Where a policy of this conversation is; it is deleted afterwards."""
    place = f"{kind}/%2F/{s.name(short)}"
    s.later(lambda: s.ask("DELETE", place))
    return place


def pattern(s):
    """Matches all of this conversation and nothing else."""
    return "^" + s.prefix.replace(".", "\\.") + "\\."


def put(s, definition, kind="policies", short="p", **others):
    """Sets a policy for all of this conversation."""
    return s.http("PUT", path(s, kind, short),
                  {"pattern": pattern(s), "definition": definition, **others})


def in_force(s, queue, wanted):
    """Waits until the queue shows these; writes them down."""
    s.http("GET", f"queues/%2F/{queue}",
           show=("policy", "operator_policy", "effective_policy_definition"),
           until=lambda b: isinstance(b, dict) and b.get("effective_policy_definition") == wanted)


@cases({"all": "all", "queues": "queues", "exchanges": "exchanges", "classic": "classic_queues",
        "quorum": "quorum_queues", "streams": "streams", "unknown": "no-such", "empty": "",
        "number": 5, "null": None})
def apply_to(s, value):
    """What a policy may apply to."""
    put(s, {"message-ttl": 5000}, **{"apply-to": value})
    s.http("GET", path(s))


@cases({"text": {"alternate-exchange": "a"}, "number": {"alternate-exchange": 5},
        "null": {"alternate-exchange": None}, "with_queue_key": {
            "alternate-exchange": "a", "max-length": 5},
        "max_age": {"max-age": "1D"}, "max_age_bad": {"max-age": "1x"},
        "max_age_number": {"max-age": 5}, "segment": {"stream-max-segment-size-bytes": 5000},
        "segment_bad": {"stream-max-segment-size-bytes": "x"},
        "leader": {"queue-leader-locator": "client-local"},
        "unknown": {"no-such-key": 1}, "none": {}})
def definition(s, definition):
    """What a policy may say, for all kinds of things."""
    put(s, definition, **{"apply-to": "all"})


@cases({"exchange_key_for_queues": ({"alternate-exchange": "a"}, "queues"),
        "queue_key_for_exchanges": ({"max-length": 5}, "exchanges"),
        "age_for_classic": ({"max-age": "1D"}, "classic_queues"),
        "age_for_streams": ({"max-age": "1D"}, "streams"),
        "ttl_for_streams": ({"message-ttl": 5}, "streams"),
        "limit_for_streams": ({"delivery-limit": 5}, "streams")})
def definition_of_another_kind(s, definition, kind):
    """A key that can do nothing where the policy applies."""
    put(s, definition, **{"apply-to": kind})


@scenario
def statuses(s):
    """New, changed, asked for, deleted, gone."""
    place = path(s)
    content = {"pattern": "^none$", "definition": {"max-length": 1}}
    s.http("PUT", place, content)
    s.http("PUT", place, {**content, "priority": 3})
    s.http("GET", place)
    s.http("DELETE", place)
    s.http("GET", place)
    s.http("DELETE", place)


@cases({"no_pattern": {"definition": {"max-length": 1}}, "no_definition": {"pattern": "^none$"},
        "bad_pattern": {"pattern": "(", "definition": {"max-length": 1}},
        "empty": {}, "text": "this is no JSON",
        "other_vhost": {"pattern": "^none$", "definition": {"max-length": 1}, "vhost": "other"}})
def bodies(s, content):
    """Bodies of a PUT."""
    s.http("PUT", path(s), content)


@cases({"policies": "policies", "operator": "operator-policies"})
def unknown_vhost(s, kind):
    """A virtual host that is not there."""
    s.http("PUT", f"{kind}/none/p", {"pattern": "", "definition": {"max-length": 1}})
    s.http("GET", f"{kind}/none")
    s.http("DELETE", f"{kind}/none/p")


def behind(s, channel, **arguments):
    """(exchange, queue of its alternate exchange's name)."""
    other, queue = s.exchange(channel, "other", "fanout"), s.queue(channel)
    s.bind(channel, queue, other)
    return s.exchange(channel, "e", "direct", arguments=arguments), other, queue


@cases({"exchanges": "exchanges", "all": "all", "queues": "queues"})
def alternate(s, applies):
    """An exchange that is there gets an alternate exchange, and loses it again."""
    channel = s.channel()
    name, other, queue = behind(s, channel)
    channel.call("confirm.select")
    channel.publish("before", name, "k", mandatory=True)
    channel.expect(2)
    put(s, {"alternate-exchange": other}, **{"apply-to": applies})
    channel.publish("with", name, "k", mandatory=True)
    event = channel.expect()
    if event.name == "basic.return":
        channel.expect()
    channel.count(queue, 0 if applies == "queues" else 1)
    s.http("DELETE", path(s))
    channel.publish("after", name, "k", mandatory=True)
    channel.expect(2)


@scenario
def alternate_of_a_later_exchange(s):
    """An exchange that is declared after the policy."""
    channel = s.channel()
    put(s, {"alternate-exchange": s.name("other")}, **{"apply-to": "exchanges"})
    name, _, queue = behind(s, channel)
    channel.call("confirm.select")
    channel.publish("x", name, "k", mandatory=True)
    channel.expect()
    channel.count(queue, 1)


@scenario
def alternate_of_its_own(s):
    """An exchange that has an alternate exchange of its own."""
    channel = s.channel()
    mine, queue = s.exchange(channel, "mine", "fanout"), s.queue(channel, "of_mine")
    s.bind(channel, queue, mine)
    name, other, unused = behind(s, channel, **{"alternate-exchange": mine})
    put(s, {"alternate-exchange": other}, **{"apply-to": "exchanges"})
    channel.call("confirm.select")
    channel.publish("x", name, "k", mandatory=True)
    channel.expect()
    channel.count(queue, 1)
    channel.count(unused, 0)


@scenario
def alternate_declares_the_same(s):
    """A policy is no part of what a redeclaration must agree with."""
    channel = s.channel()
    name, other, _ = behind(s, channel)
    put(s, {"alternate-exchange": other}, **{"apply-to": "exchanges"})
    channel.call("exchange.declare", exchange=name, type="direct")
    channel.call("exchange.declare", exchange=name, type="direct",
                 arguments={"alternate-exchange": other})


@scenario
def exchange_shows_its_policy(s):
    """The exchange names the policy that is in force."""
    channel = s.channel()
    name = s.exchange(channel, "e", "direct")
    put(s, {"alternate-exchange": "x"}, **{"apply-to": "exchanges"})
    s.http("GET", f"exchanges/%2F/{name}", show=("policy",),
           until=lambda b: isinstance(b, dict) and b.get("policy"))


@cases({"length": {"max-length": 5}, "bytes": {"max-length-bytes": 500},
        "ttl": {"message-ttl": 5000}, "expires": {"expires": 60000},
        "delivery_limit": {"delivery-limit": 3}, "memory": {"max-in-memory-length": 5},
        "group": {"target-group-size": 3},
        "overflow": {"overflow": "reject-publish"}, "dlx": {"dead-letter-exchange": "d"},
        "alternate": {"alternate-exchange": "a"}, "age": {"max-age": "1D"},
        "mode": {"queue-mode": "lazy"}, "negative": {"max-length": -1}, "text": {"max-length": "5"},
        "mixed": {"max-length": 5, "overflow": "drop-head"}, "none": {},
        "unknown": {"no-such-key": 1}})
def operator_definition(s, definition):
    """What an operator's policy may say."""
    put(s, definition, "operator-policies")


@cases({"all": "all", "queues": "queues", "exchanges": "exchanges", "classic": "classic_queues",
        "streams": "streams", "unknown": "no-such"})
def operator_apply_to(s, value):
    """What an operator's policy may apply to."""
    put(s, {"max-length": 5}, "operator-policies", **{"apply-to": value})
    s.http("GET", path(s, "operator-policies"))


@scenario
def operator_statuses(s):
    """New, changed, asked for, deleted, gone."""
    place = path(s, "operator-policies")
    content = {"pattern": "^none$", "definition": {"max-length": 1}}
    s.http("PUT", place, content)
    s.http("PUT", place, {**content, "priority": 3})
    s.http("GET", place)
    s.http("DELETE", place)
    s.http("GET", place)
    s.http("DELETE", place)


MERGES = {
    "operator_alone": (None, {"max-length": 2}, {}, {"max-length": 2}),
    "operator_lower": ({"max-length": 3}, {"max-length": 2}, {}, {"max-length": 2}),
    "operator_higher": ({"max-length": 2}, {"max-length": 3}, {}, {"max-length": 2}),
    "other_keys": ({"message-ttl": 60000}, {"max-length": 2}, {},
                   {"message-ttl": 60000, "max-length": 2}),
    "argument_lower": (None, {"max-length": 3}, {"x-max-length": 2}, {"max-length": 3}),
    "argument_higher": (None, {"max-length": 2}, {"x-max-length": 3}, {"max-length": 2}),
    "with_overflow": ({"overflow": "reject-publish"}, {"max-length": 2}, {},
                      {"overflow": "reject-publish", "max-length": 2}),
}


@cases(MERGES)
def operator_merge(s, users, operators, arguments, wanted):
    """Which of the two counts; four messages show it."""
    channel = s.channel()
    queue = s.queue(channel, arguments=arguments)
    if users:
        put(s, users)
    put(s, operators, "operator-policies", "o")
    in_force(s, queue, wanted)
    channel.call("confirm.select")
    for body in "abcd":
        channel.publish(body, key=queue)
    channel.confirms(1, 4)
    channel.count(queue, 2)


@scenario
def operator_is_lifted(s):
    """Without the operator's policy the user's is whole again."""
    channel = s.channel()
    queue = s.queue(channel)
    put(s, {"max-length": 3})
    put(s, {"max-length": 1}, "operator-policies", "o")
    in_force(s, queue, {"max-length": 1})
    s.http("DELETE", path(s, "operator-policies", "o"))
    in_force(s, queue, {"max-length": 3})
    channel.call("confirm.select")
    for body in "abcd":
        channel.publish(body, key=queue)
    channel.confirms(1, 4)
    channel.count(queue, 3)


@scenario
def operator_by_priority(s):
    """One operator's policy at a time: the highest."""
    channel = s.channel()
    queue = s.queue(channel)
    put(s, {"max-length": 1}, "operator-policies", "low", priority=1)
    put(s, {"max-length": 2}, "operator-policies", "high", priority=2)
    in_force(s, queue, {"max-length": 2})
