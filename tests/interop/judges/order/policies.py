"""Policies of exchanges and operators' policies, on things that are there and live."""

from tools import api, equal, fresh, make, policy, publish, ready, refused, returned, run, until


def alternate(ch):
    """An alternate exchange that comes, changes and goes."""
    exchange, one, two = fresh("policies"), fresh("policies"), fresh("policies")
    ch.exchange_declare(exchange, "direct")
    queues = []
    for name in (one, two):
        ch.exchange_declare(name, "fanout")
        queues.append(make(ch))
        ch.queue_bind(queues[-1], name)
    equal(returned(lambda: publish(ch, "k", exchange=exchange))[0], 312)
    for name in (one, two):
        off = policy(f"^{exchange}$", {"alternate-exchange": name}, name="alt-" + exchange,
                     **{"apply-to": "exchanges"})
        publish(ch, "k", exchange=exchange)
    off()
    equal(returned(lambda: publish(ch, "k", exchange=exchange))[0], 312)
    equal([ready(ch, queue) for queue in queues], [1, 1])


def own_alternate_counts(ch):
    """The exchange's own argument comes first."""
    exchange, mine, other = fresh("policies"), fresh("policies"), fresh("policies")
    queue = make(ch)
    for name in (mine, other):
        ch.exchange_declare(name, "fanout")
    ch.queue_bind(queue, mine)
    ch.exchange_declare(exchange, "direct", arguments={"alternate-exchange": mine})
    policy(f"^{exchange}$", {"alternate-exchange": other}, **{"apply-to": "exchanges"})
    publish(ch, "k", exchange=exchange)
    equal(ready(ch, queue), 1)


def for_both_kinds(ch):
    """A policy for all: each takes what is its own."""
    prefix, behind = fresh("both"), make(ch)
    exchange, alternative, queue = prefix + ".e", fresh("alt"), prefix + ".q"
    ch.exchange_declare(exchange, "direct")
    ch.exchange_declare(alternative, "fanout")
    ch.queue_bind(behind, alternative)
    ch.queue_declare(queue, durable=True)
    policy(f"^{prefix}\\.", {"alternate-exchange": alternative, "max-length": 1},
           **{"apply-to": "all"})
    publish(ch, "k", exchange=exchange)
    until(lambda: effective(queue) == {"alternate-exchange": alternative, "max-length": 1}
          or effective(queue) == {"max-length": 1})
    for _ in range(3):
        publish(ch, queue)
    equal((ready(ch, behind), ready(ch, queue)), (1, 1))


def effective(queue):
    """What is in force, as the management API shows it."""
    return api("GET", f"queues/%2F/{queue}")[1].get("effective_policy_definition")


def operator(ch):
    """The lower of two limits counts, whoever said it; the other settings are added."""
    queue = make(ch)
    policy(f"^{queue}$", {"max-length": 5, "overflow": "reject-publish"})
    off = policy(f"^{queue}$", {"max-length": 2}, "operator-policies")
    until(lambda: effective(queue) == {"max-length": 2, "overflow": "reject-publish"})
    for _ in range(2):
        publish(ch, queue)
    refused(lambda: publish(ch, queue))
    off()
    until(lambda: effective(queue) == {"max-length": 5, "overflow": "reject-publish"})
    publish(ch, queue)
    equal(ready(ch, queue), 3)


def operator_against_an_argument(ch):
    """A queue can not ask for more than the operator allows."""
    queue = make(ch, max_length=10)
    policy(f"^{queue}$", {"max-length": 1}, "operator-policies")
    until(lambda: effective(queue) == {"max-length": 1})
    for _ in range(3):
        publish(ch, queue)
    equal(ready(ch, queue), 1)


def operator_shortens_at_once(ch):
    """What is too much leaves when the policy comes."""
    queue = make(ch)
    for _ in range(5):
        publish(ch, queue)
    policy(f"^{queue}$", {"max-length": 2}, "operator-policies")
    until(lambda: ready(ch, queue) == 2)


def operator_time_to_live(ch):
    """The lower time counts for what comes from then on."""
    queue = make(ch)
    policy(f"^{queue}$", {"message-ttl": 60000})
    policy(f"^{queue}$", {"message-ttl": 200}, "operator-policies")
    until(lambda: effective(queue) == {"message-ttl": 200})
    publish(ch, queue)
    until(lambda: ready(ch, queue) == 0, 5)


def shown(ch):
    """A queue names both of its policies."""
    queue = make(ch)
    user, master = fresh("user"), fresh("master")
    policy(f"^{queue}$", {"max-length": 5}, name=user)
    policy(f"^{queue}$", {"max-length": 2}, "operator-policies", master)
    found = {}

    def both():
        found.update(api("GET", f"queues/%2F/{queue}")[1])
        return (found.get("policy"), found.get("operator_policy")) == (user, master)

    until(both)
    equal(found["effective_policy_definition"], {"max-length": 2})
    listed = [item["name"] for item in api("GET", "operator-policies/%2F")[1]]
    equal((master in listed, user in listed), (True, False))


def operator_refusals(ch):
    """Only limits, and only good ones."""
    for definition in ({"dead-letter-exchange": "x"}, {"alternate-exchange": "x"}, {"no-such": 1},
                       {"max-length": -1}, {"max-length": "5"}, {}, {"queue-mode": "lazy"}):
        status, answer = api("PUT", f"operator-policies/%2F/{fresh('bad')}",
                             {"pattern": "^none$", "definition": definition})
        assert status == 400, f"{definition}: {status} {answer}"


run("policies", (alternate, own_alternate_counts, for_both_kinds, operator,
                 operator_against_an_argument, operator_shortens_at_once, operator_time_to_live,
                 shown, operator_refusals))
