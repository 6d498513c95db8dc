//! What is read, refused, and in force.

use ferry_core::arguments::{Arguments, Value};
use ferry_core::queue::QueueKind;

use super::*;

fn policy(name: &str, said: &[(&str, Value)]) -> Result<Policy, PolicyError> {
    let mut table = Arguments::from_iter([("pattern", Value::from("^q"))]);
    table.insert("definition", of("max-length", 5));
    for (name, value) in said {
        table.insert(*name, value.clone());
    }
    Policy::read("/", name, &table)
}

fn of(key: &str, value: impl Into<Value>) -> Value {
    Value::Table(Arguments::from_iter([(key, value.into())]))
}

fn refusal(said: &[(&str, Value)]) -> String {
    match policy("p", said).and_then(|policy| Rule::new(Tier::User, policy).map(|_| ())) {
        Ok(()) => String::new(),
        Err(PolicyError::Invalid(why)) => why,
        Err(other) => other.to_string(),
    }
}

#[test]
fn settings_are_refused_in_rabbitmqs_words() {
    let bytes = |text: &str| Value::from(text);
    for (key, value, why) in [
        (
            "max-length",
            Value::I64(-1),
            "-1 is not a valid maximum length",
        ),
        (
            "max-length",
            bytes("5"),
            "<<\"5\">> is not a valid maximum length",
        ),
        (
            "max-length",
            Value::F64(1.0),
            "1.0 is not a valid maximum length",
        ),
        (
            "max-length",
            Value::Void,
            "null is not a valid maximum length",
        ),
        (
            "message-ttl",
            Value::I64(-1),
            "-1 is not a valid message TTL",
        ),
        ("expires", Value::I64(0), "0 is not a valid queue expiry"),
        (
            "overflow",
            bytes("bad"),
            "<<\"bad\">> is not a valid overflow value",
        ),
        (
            "dead-letter-exchange",
            Value::I64(5),
            "5 is not a valid dead letter exchange name",
        ),
        (
            "delivery-limit",
            Value::I64(-2),
            "-2 is not a valid delivery limit",
        ),
        ("delivery-limit", Value::I64(-1), ""),
        ("queue-mode", bytes("lazy"), ""),
        (
            "queue-version",
            Value::I64(5),
            "5 is not a valid queue-version value",
        ),
    ] {
        assert_eq!(refusal(&[("definition", of(key, value))]), why, "{key}");
    }
}

#[test]
fn settings_of_ours_are_refused_with_their_range_and_unknown_ones_by_name() {
    for (key, value, why) in [
        (
            "retry-limit",
            Value::I64(0),
            "0 is not a valid retry limit: 0 is not in 1..4294967295",
        ),
        ("retry-factor", Value::F64(1.5), ""),
        (
            "bogus",
            Value::from("é"),
            "[{<<\"bogus\">>,<<\"é\">>}] are not recognised policy settings",
        ),
        (
            "max-priority",
            Value::I64(5),
            "[{<<\"max-priority\">>,5}] are not recognised policy settings",
        ),
        (
            "x-max-length",
            Value::I64(5),
            "[{<<\"x-max-length\">>,5}] are not recognised policy settings",
        ),
        (
            "t",
            Value::Array(vec![of("a", true), Value::Void]),
            "[{<<\"t\">>,[#{<<\"a\">> => true},null]}] are not recognised policy settings",
        ),
        ("alternate-exchange", "".into(), ""),
        (
            "alternate-exchange",
            Value::I64(5),
            "5 is not a valid alternate exchange name",
        ),
    ] {
        assert_eq!(refusal(&[("definition", of(key, value))]), why, "{key}");
    }
    let both = Arguments::from_iter([("retry-delay", 5), ("retry-max-delay", 4)]);
    assert_eq!(
        refusal(&[("definition", Value::Table(both))]),
        "retry-max-delay is not valid: 4 is not in 5..1099511627776"
    );
}

#[test]
fn what_makes_no_policy_is_refused() {
    for (key, value, why) in [
        (
            "priority",
            Value::from("7"),
            "priority should be a number, actually was <<\"7\">>",
        ),
        (
            "priority",
            Value::F64(1.5),
            "priority should be an integer of 64 bits, actually was 1.5",
        ),
        ("priority", Value::I64(-5), ""),
        (
            "pattern",
            Value::I64(5),
            "pattern should be a binary but was 5",
        ),
        (
            "definition",
            Value::Table(Arguments::new()),
            "no policy provided",
        ),
        (
            "definition",
            Value::Void,
            "definition must be a dictionary: null",
        ),
        (
            "apply-to",
            Value::from("bogus"),
            "apply-to 'bogus' unrecognised; should be 'queues', 'classic_queues', \
             'quorum_queues', 'streams', 'exchanges' or 'all'",
        ),
        ("apply-to", Value::from("exchanges"), ""),
        ("unheard-of", Value::I64(5), ""),
    ] {
        assert_eq!(refusal(&[(key, value)]), why, "{key}");
    }
    let none = Policy::read("/", "p", &Arguments::new()).unwrap_err();
    assert_eq!(
        none.to_string(),
        "[{key_missing,pattern},{key_missing,definition}]"
    );
    let invalid = Rule::new(Tier::User, policy("", &[]).unwrap()).unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "Validation failed\n\nthe name should have 1 to 255 bytes but has 0\n"
    );
}

#[test]
fn a_pattern_that_is_wrong_or_would_take_much_is_refused() {
    let deep = "(".repeat(40) + &")".repeat(40);
    for pattern in [
        "(",
        "[",
        "*",
        r"(a)\1",
        "(?<=a)b",
        "(a{1000}){1000}",
        &deep,
        &"a".repeat(5000),
    ] {
        let refusal = refusal(&[("pattern", Value::from(pattern))]);
        let start = "pattern should be regular expression but is invalid: ";
        assert!(refusal.starts_with(start), "{pattern}: {refusal}");
    }
}

#[test]
fn names_and_kinds_match_as_a_policy_says() {
    let (classic, quorum) = (QueueKind::Classic, QueueKind::Quorum);
    for (pattern, apply_to, name, kind, expected) in [
        ("^q", "all", "q1", classic, true),
        ("^q", "all", "aq1", classic, false),
        ("q", "queues", "aq1", quorum, true),
        ("", "all", "anything", classic, true),
        ("^q$", "classic_queues", "q", classic, true),
        ("^q$", "classic_queues", "q", quorum, false),
        ("^q$", "quorum_queues", "q", quorum, true),
        ("^q$", "quorum_queues", "q", classic, false),
        (r"^\w+\.(eu|us)$", "all", "orders.eu", classic, true),
        ("é", "all", "café", classic, true),
        ("q", "exchanges", "q", classic, false),
        ("(?i)^Q", "all", "q", classic, true),
    ] {
        let said = [("pattern", pattern.into()), ("apply-to", apply_to.into())];
        let mut policies = Ranked::default();
        policies.set(Rule::new(Tier::User, policy("p", &said).unwrap()).unwrap());
        let found = policies.in_force(name, kind).is_some();
        assert_eq!(found, expected, "{pattern} {apply_to} {name}");
    }
}

#[test]
fn the_highest_priority_is_in_force_and_of_equals_the_first_by_name() {
    let mut policies = Ranked::default();
    let mut set = |name: &str, pattern: &str, priority: i64| {
        let said = [("pattern", pattern.into()), ("priority", priority.into())];
        policies.set(Rule::new(Tier::User, policy(name, &said).unwrap()).unwrap());
        let rule = policies.in_force("q", QueueKind::Classic);
        rule.map(|rule| rule.policy.name.clone())
    };
    for (name, pattern, priority, in_force) in [
        ("m", "q", 0, "m"),
        ("z", "q", 5, "z"),
        ("b", "q", 5, "b"),
        ("a", "other", 9, "b"),
        ("b", "q", -1, "z"),
        ("z", "other", 5, "m"),
    ] {
        assert_eq!(
            set(name, pattern, priority).as_deref(),
            Some(in_force),
            "{name}"
        );
    }
}

#[test]
fn exchanges_match_as_a_policy_says_the_default_one_by_the_empty_name() {
    for (pattern, apply_to, name, expected) in [
        ("^orders", "exchanges", "orders.eu", true),
        ("^orders", "all", "orders.eu", true),
        ("^orders", "queues", "orders.eu", false),
        ("^orders", "classic_queues", "orders.eu", false),
        ("^orders", "exchanges", "", false),
        ("^$", "exchanges", "", true),
        (".*", "all", "", true),
        ("^$", "all", "amq.topic", false),
    ] {
        let said = [("pattern", pattern.into()), ("apply-to", apply_to.into())];
        let mut policies = Ranked::default();
        policies.set(Rule::new(Tier::User, policy("p", &said).unwrap()).unwrap());
        let found = policies.in_force_for_exchange(name).is_some();
        assert_eq!(found, expected, "{pattern} {apply_to} '{name}'");
    }
}

#[test]
fn an_operator_policy_takes_limits_alone() {
    let limits = [
        "expires",
        "message-ttl",
        "max-length",
        "max-length-bytes",
        "delivery-limit",
        "retry-limit",
        "lease-timeout",
        "publish-rate",
        "publish-byte-rate",
        "deliver-rate",
        "deliver-byte-rate",
    ];
    let others = [
        "dead-letter-exchange",
        "dead-letter-strategy",
        "queue-mode",
        "max-age",
        "alternate-exchange",
        "set-headers",
        "kind-strict",
        "bogus",
    ];
    let refusal = |key: &str, value: i64| {
        let said = [("definition", of(key, value))];
        let rule = Rule::new(Tier::Operator, policy("p", &said).unwrap());
        rule.err().map(|error| error.to_string())
    };
    for key in limits {
        assert_eq!(refusal(key, 5), None, "{key}");
    }
    for key in others {
        let why = format!("[{{<<\"{key}\">>,5}}] are not recognised policy settings");
        let expected = format!("Validation failed\n\n{why}\n");
        assert_eq!(refusal(key, 5), Some(expected), "{key}");
    }
}

#[test]
fn of_the_limits_of_user_and_operator_the_lower_one_is_shown() {
    let definition = |settings: &[(&str, i32)]| Policy {
        definition: settings.iter().copied().collect(),
        ..policy("p", &[]).unwrap()
    };
    for (user, operator, expected) in [
        (
            Some(&[("max-length", 5)][..]),
            None,
            &[("max-length", 5)][..],
        ),
        (None, Some(&[("max-length", 4)][..]), &[("max-length", 4)]),
        (
            Some(&[("max-length", 5), ("expires", 1)]),
            Some(&[("max-length", 4), ("expires", 2)]),
            &[("max-length", 4), ("expires", 1)],
        ),
        (
            Some(&[("retry-delay", 5)]),
            Some(&[("max-length", 4)]),
            &[("retry-delay", 5), ("max-length", 4)],
        ),
        (
            Some(&[("delivery-limit", -1)]),
            Some(&[("delivery-limit", 7)]),
            &[("delivery-limit", 7)],
        ),
        (
            Some(&[("delivery-limit", 7)]),
            Some(&[("delivery-limit", -1)]),
            &[("delivery-limit", 7)],
        ),
        (None, None, &[]),
    ] {
        let (user, operator) = (user.map(definition), operator.map(definition));
        let merged = tier::merged(user.as_ref(), operator.as_ref());
        assert_eq!(merged, Arguments::from_iter(expected.iter().copied()));
    }
}
