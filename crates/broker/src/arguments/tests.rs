//! Tables of arguments, and what comes of them.

use ferry_core::limits::DELAY_MS_MAX;
use ferry_core::queue::{Deduplication, Overflow, Retry};

use super::*;

const FLAGS: Flags = Flags {
    durable: true,
    exclusive: false,
    auto_delete: false,
    sync_default: SyncPolicy::Sync,
};

fn read(pairs: &[(&str, Value)]) -> Result<Options, Refused> {
    let mut arguments = Arguments::new();
    for (name, value) in pairs {
        arguments.insert(*name, value.clone());
    }
    declared(&arguments, FLAGS).map(|declared| declared.options(None))
}

fn text(text: &str) -> Value {
    Value::Str(text.as_bytes().to_vec())
}

#[test]
fn bad_arguments_are_refused_by_name() {
    for (name, value, why) in [
        ("x-message-ttl", Value::I32(-1), "{value_negative,-1}"),
        (
            "x-message-ttl",
            text("5"),
            "\"expected integer, got longstr\"",
        ),
        (
            "x-message-ttl",
            Value::I64(1 << 40),
            "{value_too_large,1099511627776}",
        ),
        ("x-expires", Value::I32(0), "{value_zero,0}"),
        (
            "x-max-priority",
            Value::I32(1_000_000),
            "{max_value_exceeded,1000000}",
        ),
        (
            "x-max-length",
            Value::Bool(true),
            "\"expected integer, got bool\"",
        ),
        ("x-overflow", text("explode"), "invalid_overflow"),
        (
            "x-queue-mode",
            text("eager"),
            "\"unsupported queue mode 'eager'\"",
        ),
        (
            "x-dead-letter-routing-key",
            text("k"),
            "routing_key_but_no_dlx_defined",
        ),
        (
            "x-sync",
            text("later"),
            "'later' is none of sync, written, memory",
        ),
    ] {
        let refused = read(&[(name, value)]).unwrap_err();
        assert_eq!(refused, super::refused(name, why.to_owned()));
    }
}

#[test]
fn a_quorum_queue_limits_deliveries_unless_told_otherwise() {
    let quorum = ("x-queue-type", text("quorum"));
    assert_eq!(
        read(std::slice::from_ref(&quorum)).unwrap().delivery_limit,
        Some(20)
    );
    let unlimited = read(&[quorum, ("x-delivery-limit", Value::I32(-1))]).unwrap();
    assert_eq!(
        (unlimited.delivery_limit, unlimited.kind),
        (None, QueueKind::Quorum)
    );
}

#[test]
fn options_take_what_the_arguments_say() {
    let options = read(&[
        ("x-message-ttl", Value::I32(0)),
        ("x-max-length", Value::I64(5)),
        ("x-overflow", text("reject-publish")),
        ("x-dead-letter-exchange", text("dlx")),
        ("x-max-priority", Value::U8(10)),
        ("x-unknown", Value::Void),
    ])
    .unwrap();
    assert_eq!(options.message_ttl_ms, Some(0));
    assert_eq!((options.max_length, options.max_priority), (Some(5), 10));
    assert_eq!(options.overflow, Overflow::RejectPublish);
    assert_eq!(options.dead_letter.unwrap().exchange, "dlx");
}

fn are_refused(rows: &[(&str, Value, &str)]) {
    for (name, value, why) in rows {
        let refused = read(&[(name, value.clone())]).unwrap_err();
        assert_eq!(refused, super::refused(name, *why), "{name}");
    }
}

#[test]
fn bad_retries_are_refused_with_their_range() {
    are_refused(&[
        ("x-retry-limit", Value::I32(0), "0 is not in 1..4294967295"),
        (
            "x-retry-limit",
            Value::I64(1 << 32),
            "4294967296 is not in 1..4294967295",
        ),
        (
            "x-retry-limit",
            text("5"),
            "expected an integer in 1..4294967295, got longstr",
        ),
        (
            "x-retry-limit",
            Value::F64(1.0),
            "expected an integer in 1..4294967295, got double",
        ),
        (
            "x-retry-delay",
            Value::I64(-1),
            "-1 is not in 0..1099511627776",
        ),
        (
            "x-retry-delay",
            Value::U64(u64::MAX),
            "18446744073709551615 is not in 0..1099511627776",
        ),
        (
            "x-retry-max-delay",
            Value::I64((1 << 40) + 1),
            "1099511627777 is not in 0..1099511627776",
        ),
        ("x-retry-factor", Value::F64(0.99), "0.99 is not in 1..1000"),
        (
            "x-retry-factor",
            Value::F64(f64::NAN),
            "NaN is not in 1..1000",
        ),
        (
            "x-retry-factor",
            Value::F32(f32::INFINITY),
            "inf is not in 1..1000",
        ),
        (
            "x-retry-factor",
            Value::I32(1001),
            "1001.0 is not in 1..1000",
        ),
        (
            "x-retry-factor",
            Value::Decimal { scale: 9, value: 5 },
            "5e-9 is not in 1..1000",
        ),
        (
            "x-retry-factor",
            text("2"),
            "expected a number in 1..1000, got longstr",
        ),
    ]);
}

#[test]
fn bad_leases_windows_and_targets_are_refused_with_their_range() {
    let long = Value::Str(vec![b'k'; 256]);
    are_refused(&[
        ("x-retry-jitter", Value::U8(101), "101 is not in 0..100"),
        (
            "x-lease-timeout",
            Value::I32(0),
            "0 is not in 1..1099511627776",
        ),
        (
            "x-message-deduplication",
            Value::I32(1),
            "expected true or false, got signedint",
        ),
        (
            "x-cache-size",
            Value::I64(1 << 40),
            "1099511627776 is not in 1..268435456",
        ),
        ("x-cache-ttl", Value::I32(0), "0 is not in 1..1099511627776"),
        ("x-delivery-limit", Value::I32(-2), "{value_negative,-2}"),
        (
            "x-dead-letter-strategy",
            text("twice"),
            "invalid_dlx_strategy",
        ),
        (
            "x-dead-letter-exchange",
            long.clone(),
            "its 256 bytes are not in 0..255",
        ),
        (
            "x-dead-letter-routing-key",
            long,
            "its 256 bytes are not in 0..255",
        ),
    ]);
}

#[test]
fn what_contradicts_or_can_have_no_effect_is_refused() {
    let delay = ("x-retry-delay", Value::I32(500));
    let off = ("x-message-deduplication", Value::Bool(false));
    for (pairs, name, why) in [
        (
            vec![delay, ("x-retry-max-delay", Value::I32(499))],
            "x-retry-max-delay",
            "499 is not in 500..1099511627776",
        ),
        (
            vec![("x-retry-max-delay", Value::I32(5))],
            "x-retry-max-delay",
            "it needs x-retry-delay",
        ),
        (
            vec![("x-retry-factor", Value::I32(5))],
            "x-retry-factor",
            "it needs x-retry-delay",
        ),
        (
            vec![("x-retry-jitter", Value::I32(5))],
            "x-retry-jitter",
            "it needs x-retry-delay",
        ),
        (
            vec![("x-cache-size", Value::I32(5))],
            "x-cache-size",
            "it needs x-message-deduplication",
        ),
        (
            vec![off, ("x-cache-ttl", Value::I32(5))],
            "x-cache-ttl",
            "it needs x-message-deduplication",
        ),
    ] {
        assert_eq!(read(&pairs).unwrap_err(), super::refused(name, why));
    }
}

#[test]
fn a_queue_that_is_not_durable_loses_dead_letters_and_can_not_ask_for_more() {
    let strategy = |durable, exclusive, strategy: Option<&str>| {
        let flags = Flags {
            durable,
            exclusive,
            ..FLAGS
        };
        let arguments: Arguments = strategy
            .map(|name| ("x-dead-letter-strategy", name))
            .into_iter()
            .collect();
        declared(&arguments, flags).map(|declared| declared.options(None).dead_letter_strategy)
    };
    let (once, least) = (Some("at-most-once"), Some("at-least-once"));
    let of_kind = Refused::ArgumentOfKind {
        argument: "x-dead-letter-strategy".to_owned(),
        kind: QueueKind::Classic,
    };
    let lasting = refused(
        "x-dead-letter-strategy",
        "'at-least-once' is for durable queues",
    );
    for (durable, exclusive, said, expected) in [
        (true, false, None, Ok(DeadLetterStrategy::UntilTaken)),
        (true, false, once, Ok(DeadLetterStrategy::AtMostOnce)),
        (true, false, least, Ok(DeadLetterStrategy::AtLeastOnce)),
        (false, false, None, Ok(DeadLetterStrategy::AtMostOnce)),
        (true, true, None, Ok(DeadLetterStrategy::AtMostOnce)),
        (true, true, once, Ok(DeadLetterStrategy::AtMostOnce)),
        (true, true, least, Err(lasting)),
        (false, false, least, Err(of_kind)),
    ] {
        let found = strategy(durable, exclusive, said);
        assert_eq!(found, expected, "{durable} {exclusive} {said:?}");
    }
}

#[test]
fn retries_leases_and_deduplication_take_what_is_said_and_defaults_for_the_rest() {
    let plain = read(&[]).unwrap();
    let retry = Retry {
        limit: None,
        delay_ms: 0,
        factor_milli: 2000,
        max_delay_ms: None,
        jitter_percent: 10,
    };
    assert_eq!((plain.retry, plain.lease_timeout_ms), (retry, None));
    assert_eq!(plain.deduplication, None);
    let decimal = |scale, value| Value::Decimal { scale, value };
    for (factor, factor_milli) in [
        (decimal(2, 150), 1500),
        (Value::I32(1), 1000),
        (Value::F32(1.5), 1500),
        (Value::F64(999.9996), 1_000_000),
    ] {
        let options = read(&[
            ("x-retry-limit", Value::U32(u32::MAX)),
            ("x-retry-delay", Value::I32(500)),
            ("x-retry-factor", factor),
            ("x-retry-max-delay", Value::U64(DELAY_MS_MAX)),
            ("x-retry-jitter", Value::U8(0)),
        ]);
        let retry = Retry {
            limit: Some(u32::MAX),
            delay_ms: 500,
            factor_milli,
            max_delay_ms: Some(DELAY_MS_MAX),
            jitter_percent: 0,
        };
        assert_eq!(options.unwrap().retry, retry);
    }
    let on = ("x-message-deduplication", Value::Bool(true));
    let found = |pairs: &[_]| read(pairs).unwrap().deduplication;
    let window = |ids_max, ttl_ms| {
        Some(Deduplication {
            ids_max,
            ttl_ms: Some(ttl_ms),
        })
    };
    assert_eq!(found(std::slice::from_ref(&on)), window(100_000, 600_000));
    let (size, ttl) = (
        ("x-cache-size", Value::I32(7)),
        ("x-cache-ttl", Value::I32(9)),
    );
    assert_eq!(found(&[on, size, ttl]), window(7, 9));
}

#[test]
fn a_retry_limit_takes_the_place_of_a_quorum_queues_default_limit() {
    let limits = |pairs: &[(&str, Value)]| {
        let mut all = vec![("x-queue-type", text("quorum"))];
        all.extend_from_slice(pairs);
        let options = read(&all).unwrap();
        (options.delivery_limit, options.retry.limit)
    };
    let (retry, delivery) = (
        ("x-retry-limit", Value::I32(50)),
        ("x-delivery-limit", Value::I32(3)),
    );
    assert_eq!(limits(std::slice::from_ref(&retry)), (None, Some(50)));
    assert_eq!(limits(&[retry, delivery]), (Some(3), Some(50)));
}

fn settings(pairs: &[(&str, Value)]) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in pairs {
        let key = KEYS.iter().find(|key| key.argument == *name).unwrap();
        key.read(&mut settings, value).unwrap();
    }
    settings
}

#[test]
fn of_two_limits_the_lower_counts_and_otherwise_the_queues_own() {
    let integer = |value: i64| Value::I64(value);
    for (name, own, policy, both) in [
        ("x-message-ttl", integer(5), integer(9), integer(5)),
        ("x-message-ttl", integer(9), integer(0), integer(0)),
        ("x-expires", integer(9), integer(5), integer(5)),
        ("x-max-length", integer(9), integer(5), integer(5)),
        ("x-max-length-bytes", integer(5), integer(9), integer(5)),
        ("x-delivery-limit", integer(5), integer(9), integer(5)),
        ("x-delivery-limit", integer(-1), integer(9), integer(9)),
        ("x-delivery-limit", integer(5), integer(-1), integer(5)),
        ("x-retry-limit", integer(9), integer(5), integer(5)),
        ("x-lease-timeout", integer(9), integer(5), integer(5)),
        ("x-retry-delay", integer(9), integer(5), integer(9)),
        ("x-retry-factor", integer(9), integer(5), integer(9)),
        ("x-retry-jitter", integer(9), integer(5), integer(9)),
        ("x-cache-size", integer(9), integer(5), integer(9)),
        ("x-cache-ttl", integer(9), integer(5), integer(9)),
        (
            "x-message-deduplication",
            Value::Bool(false),
            Value::Bool(true),
            Value::Bool(false),
        ),
        (
            "x-overflow",
            text("drop-head"),
            text("reject-publish"),
            text("drop-head"),
        ),
        (
            "x-dead-letter-exchange",
            text("own"),
            text("policy"),
            text("own"),
        ),
        (
            "x-dead-letter-routing-key",
            text("own"),
            text("policy"),
            text("own"),
        ),
        (
            "x-dead-letter-strategy",
            text("at-most-once"),
            text("at-least-once"),
            text("at-most-once"),
        ),
    ] {
        let own = settings(&[(name, own)]);
        let policy = settings(&[(name, policy)]);
        assert_eq!(own.over(&policy), settings(&[(name, both)]), "{name}");
        let none = Settings::default();
        assert_eq!(
            (none.over(&policy), policy.over(&none)),
            (policy.clone(), policy),
            "{name}"
        );
    }
}

#[test]
fn where_own_and_policy_settings_contradict_the_policys_gives_way() {
    let delay = |ms| settings(&[("x-retry-delay", Value::I32(ms))]);
    let longest = |ms| settings(&[("x-retry-max-delay", Value::I32(ms))]);
    for (own, policy, expected) in [
        (delay(500), longest(100), (500, Some(500))),
        (longest(100), delay(500), (100, Some(100))),
        (delay(500), longest(900), (500, Some(900))),
    ] {
        let retry = own.over(&policy).fill(Options::default()).retry;
        assert_eq!((retry.delay_ms, retry.max_delay_ms), expected);
    }
}

#[test]
fn every_setting_is_compared_when_a_queue_is_declared_again() {
    for key in KEYS {
        // Both versions are one here, and RabbitMQ does not compare them either.
        let compared = key.argument != "x-queue-version";
        assert_eq!(
            COMPARED.contains(&key.argument),
            compared,
            "{}",
            key.argument
        );
    }
}
