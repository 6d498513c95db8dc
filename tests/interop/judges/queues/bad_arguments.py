"""Arguments that make no sense: 406 that names the argument, and good ones at their bounds."""

from decimal import Decimal

from kit import arguments, closed, equal, fresh, make, run

LONG, HUGE = 2**40, 2**40 + 1
TIME = {"text": "5", "bool": True, "fraction": Decimal("1.5"), "void": None, "list": [1],
        "table": {"a": 1}, "negative": -1, "huge": HUGE, "most": 2**63 - 1, "least": -2**63}
BAD = {
    "retry_limit": {**TIME, "zero": 0, "huge": 2**32},
    "retry_delay": TIME,
    "retry_max_delay": TIME,
    "retry_factor": {"text": "2", "bool": True, "void": None, "zero": 0, "negative": -2,
                     "below one": Decimal("0.9"), "huge": 10**6, "half": Decimal("0.5")},
    "retry_jitter": {**TIME, "over": 101},
    "lease_timeout": {**TIME, "zero": 0},
    "message_deduplication": {"text": "yes", "number": 1, "void": None, "list": [True]},
    "cache_size": {**TIME, "zero": 0},
    "cache_ttl": {**TIME, "zero": 0},
    "delivery_limit": {**{k: v for k, v in TIME.items() if k not in ("huge", "most")},
                       "negative": -2},
    "dead_letter_strategy": {"unknown": "sometimes", "number": 1, "bool": True, "void": None},
    "max_priority": {**TIME, "over": 256},
    "message_ttl": TIME, "expires": {**TIME, "zero": 0},
    "max_length": {k: v for k, v in TIME.items() if k not in ("huge", "most")},
    "max_length_bytes": {k: v for k, v in TIME.items() if k not in ("huge", "most")},
    "overflow": {"unknown": "explode", "number": 1},
    "sync": {"unknown": "later", "number": 1, "void": None},
}
NEEDED = {
    "retry_max_delay": {"retry_delay": 1}, "retry_factor": {"retry_delay": 1},
    "retry_jitter": {"retry_delay": 1}, "cache_size": {"message_deduplication": True},
    "cache_ttl": {"message_deduplication": True}, "dead_letter_strategy": {
        "dead_letter_exchange": ""}}
CONTRADICTIONS = {
    "retry_max_delay": {"retry_delay": 1000, "retry_max_delay": 999},
    "dead_letter_routing_key": {"dead_letter_routing_key": "k"},
    "retry_factor": {"retry_factor": 2}, "retry_jitter": {"retry_jitter": 5},
    "cache_size": {"cache_size": 5}, "cache_ttl": {"cache_ttl": 5},
}
GOOD = (
    {"retry_limit": 1}, {"retry_limit": 2**32 - 1}, {"retry_delay": 0}, {"retry_delay": LONG},
    {"retry_delay": 5, "retry_max_delay": 5}, {"retry_delay": 5, "retry_max_delay": LONG},
    {"retry_delay": 5, "retry_factor": 1}, {"retry_delay": 5, "retry_factor": Decimal("1.5")},
    {"retry_delay": 5, "retry_jitter": 0}, {"retry_delay": 5, "retry_jitter": 100},
    {"lease_timeout": 1}, {"lease_timeout": LONG},
    {"message_deduplication": True, "cache_size": 1, "cache_ttl": 1},
    {"message_deduplication": True, "cache_size": 2**28, "cache_ttl": LONG},
    {"message_deduplication": False}, {"delivery_limit": -1}, {"delivery_limit": 0},
    {"max_priority": 255}, {"dead_letter_exchange": "", "dead_letter_strategy": "at-most-once"},
    {"dead_letter_exchange": "", "dead_letter_strategy": "at-least-once"},
)
EXCHANGE_BAD = {
    "message_deduplication": {"text": "yes", "number": 1},
    "cache_size": {"text": "many", "zero": 0, "negative": -1, "huge": 2**40},
    "cache_ttl": {"text": "long", "zero": 0, "negative": -1, "huge": HUGE},
}


def refusal(ch, settings, name, kind="queue"):
    """Why a declaration is refused; the words name the argument."""
    own, argument = ch.connection.channel(), "x-" + name.replace("_", "-")

    def declare():
        if kind == "queue":
            make(own, **settings)
        else:
            own.exchange_declare(fresh("exchange"), kind, durable=True,
                                 arguments=arguments(settings))
    try:
        code, text = closed(declare)
    except AssertionError:
        return f"{name}={settings[name]!r} was taken"
    if code != 406 or argument not in text:
        return f"{name}={settings[name]!r}: {code} {text}"
    return None


def all_refused(rows):
    """Fails with all that were not refused as they should be."""
    wrong = [row for row in rows if row]
    assert not wrong, "; ".join(wrong[:8])


def bad_values(ch):
    """Every wrong type and range of every argument."""
    all_refused(refusal(ch, {**NEEDED.get(name, {}), name: value}, name)
                for name, values in BAD.items() for value in values.values())


def bad_values_of_quorum(ch):
    """The same on a quorum queue, for what it may have."""
    all_refused(refusal(ch, {**NEEDED.get(name, {}), "queue_type": "quorum", name: value}, name)
                for name, values in BAD.items() for value in values.values()
                if name != "max_priority")


def contradictions(ch):
    """Arguments that can have no effect, or contradict each other."""
    all_refused(refusal(ch, settings, name) for name, settings in CONTRADICTIONS.items())


def ranges_are_told(ch):
    """The words of a refusal of ours say what is allowed."""
    for name, value, words in (
            ("retry_limit", 0, "1..4294967295"), ("lease_timeout", 0, "1..1099511627776"),
            ("retry_delay", -1, "0..1099511627776"), ("retry_jitter", 101, "0..100"),
            ("cache_size", 0, "1..268435456")):
        settings = {**NEEDED.get(name, {}), name: value}
        text = closed(lambda: make(ch.connection.channel(), **settings))[1]
        assert words in text.replace("..=", "..").replace(" to ", ".."), text


def good_values(ch):
    """The bounds themselves are taken, and agree with themselves."""
    for settings in GOOD:
        name = make(ch, **settings)
        equal(ch.queue_declare(name, durable=True,
                               arguments=arguments(settings)).method.message_count, 0)


def equivalence(ch):
    """Two declarations must agree on each of our arguments."""
    base = {"retry_limit": 3, "retry_delay": 10, "retry_factor": 3, "retry_max_delay": 100,
            "retry_jitter": 20, "lease_timeout": 1000, "message_deduplication": True,
            "cache_size": 10, "cache_ttl": 1000}
    name, wrong = make(ch, **base), []
    for setting, value in base.items():
        changed = {**base, setting: False if value is True else value + 1}
        own = ch.connection.channel()
        try:
            code, text = closed(lambda: own.queue_declare(name, durable=True,
                                                          arguments=arguments(changed)))
        except AssertionError:
            wrong.append(f"{setting} may differ")
            continue
        if code != 406 or setting.replace("_", "-") not in text and value is not True:
            wrong.append(f"{setting}: {code} {text}")
    assert not wrong, "; ".join(wrong)


def of_exchanges(ch):
    """The arguments of exchanges that de-duplicate or delay."""
    rows = [refusal(ch, {"message_deduplication": True, name: value}, name, "fanout")
            for name, values in EXCHANGE_BAD.items() for value in values.values()]
    rows += [refusal(ch, {"cache_size": 5, name: value}, name, "x-message-deduplication")
             for name in ("cache_size", "cache_ttl") for value in EXCHANGE_BAD[name].values()]
    rows += [refusal(ch, {"delayed_type": value}, "delayed_type", "x-delayed-message")
             for value in ("nonsense", 5, None, "x-delayed-message", "")]
    own = ch.connection.channel()
    code, text = closed(lambda: own.exchange_declare(fresh("exchange"), "x-delayed-message"))
    if code != 406 or "x-delayed-type" not in text:
        rows.append(f"no type: {code} {text}")
    all_refused(rows)


run("bad_arguments", (bad_values, bad_values_of_quorum, contradictions, ranges_are_told,
                      good_values, equivalence, of_exchanges))
