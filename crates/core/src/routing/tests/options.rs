//! Arguments of exchanges: what they ask for, what is refused, and what counts for equivalence.

use super::*;
use crate::limits::{
    DEDUPLICATION_IDS_DEFAULT, DEDUPLICATION_IDS_MAX, DEDUPLICATION_TTL_MS_DEFAULT, TTL_MS_MAX,
};
use crate::queue::{DeadLetterTarget, Deduplication};

use ExchangeKind::{DelayedMessage, Direct, Fanout, Headers, MessageDeduplication, Topic};

fn spec<const N: usize>(kind: ExchangeKind, entries: [(&str, Value); N]) -> Exchange {
    Exchange {
        arguments: arguments(entries),
        ..Exchange::new("e", kind)
    }
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn refusal(spec: Exchange) -> String {
    let mut topology = Topology::new("/");
    let refused = topology.declare_exchange(spec).expect_err("refused");
    assert!(topology.exchange("e").is_none());
    refused.to_string()
}

#[test]
fn a_delayed_exchange_routes_as_the_type_that_it_names() {
    for (of, plain) in [
        (text("direct"), Direct),
        (text("fanout"), Fanout),
        (text("topic"), Topic),
        (text("headers"), Headers),
        (Value::Bytes(b"topic".to_vec()), Topic),
    ] {
        let mut topology = with_exchange(plain);
        let delayed = spec(DelayedMessage, [("x-delayed-type", of)]);
        let declared = topology.declare_exchange(delayed);
        assert_eq!(declared, Ok(Declared { created: true }));
        let h = |value| arguments([("h", Value::I32(value))]);
        for (queue, key, criteria) in [
            (1, "a.b", Arguments::new()),
            (2, "a.*", h(1)),
            (3, "", h(2)),
        ] {
            for exchange in ["x", "e"] {
                let queue = to_queue(queue);
                assert_eq!(
                    topology.bind(exchange, &queue, key.as_bytes(), &criteria),
                    Ok(true)
                );
            }
        }
        let mut routes = Vec::new();
        for key in ["a.b", "a.c", "", "b"] {
            for headers in [Arguments::new(), h(1), h(2)] {
                let as_delayed = routed_with(&topology, "e", key, &headers);
                assert_eq!(as_delayed, routed_with(&topology, "x", key, &headers));
                routes.push(as_delayed);
            }
        }
        routes.dedup();
        assert_eq!(
            routes.len() == 1,
            plain == Fanout,
            "{plain} tells them apart"
        );
    }
}

#[test]
fn a_delayed_exchange_of_headers_takes_no_binding_that_means_nothing() {
    let mut topology = Topology::new("/");
    let delayed = spec(DelayedMessage, [("x-delayed-type", text("headers"))]);
    assert!(topology.declare_exchange(delayed).is_ok());
    let bound = topology.bind(
        "e",
        &to_queue(1),
        b"",
        &arguments([("x-match", text("some"))]),
    );
    assert!(matches!(bound, Err(BindError::XMatch(_))), "{bound:?}");
}

#[test]
fn a_deduplicating_exchange_ignores_the_key() {
    let mut topology = with_exchange(MessageDeduplication);
    bind(&mut topology, "x", &to_queue(1), "k");
    bind(&mut topology, "x", &to_queue(2), "other");
    assert_eq!(routed(&topology, "x", "whatever"), [1, 2]);
}

#[test]
fn arguments_that_make_no_sense_are_refused_by_name() {
    let of = "'x-delayed-type' must be an existing exchange type: direct, fanout, topic or headers";
    let size = "'x-cache-size' must be an integer from 1 to 268435456";
    let ttl = "'x-cache-ttl' must be an integer from 1 to 315360000000";
    let flag = "'x-message-deduplication' must be true or false";
    let on = "'x-message-deduplication' must be true in an exchange of type \
              'x-message-deduplication'";
    let kept = "'x-cache-persistence' must be either 'disk' or 'memory'";
    let target = "'x-dead-letter-exchange' must be text of at most 255 bytes";
    let key = "'x-dead-letter-routing-key' must be text of at most 255 bytes";
    let alone = "'x-dead-letter-routing-key' must be given together with 'x-dead-letter-exchange'";
    let long = "k".repeat(256);
    let mut cases = vec![(spec(DelayedMessage, []), of)];
    for value in [
        text("no-such"),
        text("x-delayed-message"),
        text("x-message-deduplication"),
        text(""),
        Value::I32(1),
        Value::Void,
    ] {
        cases.push((spec(DelayedMessage, [("x-delayed-type", value)]), of));
    }
    for value in [
        Value::I32(0),
        Value::I64(-1),
        Value::I64(i64::MAX),
        Value::U64(u64::MAX),
        Value::F64(5.0),
        Value::Bool(true),
        Value::Void,
        text(""),
        text("0"),
        text("5 "),
        text("99999999999999999999999"),
    ] {
        let both = [("x-cache-size", value.clone())];
        cases.push((spec(MessageDeduplication, both.clone()), size));
        cases.push((spec(Direct, both), size));
        cases.push((spec(MessageDeduplication, [("x-cache-ttl", value)]), ttl));
    }
    for (name, value, expected) in [
        ("x-message-deduplication", text("true"), flag),
        ("x-message-deduplication", Value::I32(1), flag),
        ("x-cache-persistence", text("tape"), kept),
        ("x-cache-persistence", Value::Bool(true), kept),
        ("x-dead-letter-exchange", Value::I32(1), target),
        ("x-dead-letter-exchange", text(&long), target),
        ("x-dead-letter-exchange", Value::Str(vec![0xff]), target),
        ("x-dead-letter-routing-key", Value::Void, key),
        ("x-dead-letter-routing-key", text(&long), key),
        ("x-dead-letter-routing-key", text("k"), alone),
    ] {
        cases.push((spec(Topic, [(name, value)]), expected));
    }
    let off = [("x-message-deduplication", Value::Bool(false))];
    cases.push((spec(MessageDeduplication, off), on));
    for (spec, expected) in cases {
        let given = format!("{:?}", spec.arguments);
        let expected = format!("Invalid argument, {expected}");
        assert_eq!(refusal(spec), expected, "{given}");
    }
}

#[test]
fn de_duplication_is_what_the_type_or_the_arguments_ask_for() {
    let window = |ids_max, ttl_ms| {
        Some(Deduplication {
            ids_max,
            ttl_ms: Some(ttl_ms),
        })
    };
    let default = window(DEDUPLICATION_IDS_DEFAULT, DEDUPLICATION_TTL_MS_DEFAULT);
    let asked = |on| ("x-message-deduplication", Value::Bool(on));
    let sized = [
        asked(true),
        ("x-cache-size", Value::I64(DEDUPLICATION_IDS_MAX as i64)),
        ("x-cache-ttl", Value::I64(TTL_MS_MAX as i64)),
        ("x-cache-persistence", text("disk")),
    ];
    let largest = window(DEDUPLICATION_IDS_MAX, TTL_MS_MAX);
    let by_text = [("x-cache-size", text("5")), ("x-cache-ttl", text("1"))];
    for (spec, expected) in [
        (spec(Direct, []), None),
        (spec(Direct, [asked(false)]), None),
        (spec(Direct, [("x-cache-size", Value::U8(5))]), None),
        (spec(Headers, [asked(true)]), default),
        (spec(MessageDeduplication, []), default),
        (spec(MessageDeduplication, [asked(true)]), default),
        (spec(Topic, sized.clone()), largest),
        (spec(MessageDeduplication, sized), largest),
        (spec(MessageDeduplication, by_text), window(5, 1)),
    ] {
        assert_eq!(spec.deduplication(), expected, "{spec:?}");
        let mut topology = Topology::new("/");
        let declared = topology.declare_exchange(spec);
        assert_eq!(declared, Ok(Declared { created: true }));
    }
}

#[test]
fn dead_letters_of_an_exchange_go_where_it_says() {
    let to = ("x-dead-letter-exchange", text("dlx"));
    let by = ("x-dead-letter-routing-key", text("k"));
    let target = |exchange: &str, routing_key: Option<&str>| {
        Some(DeadLetterTarget {
            exchange: exchange.to_owned(),
            routing_key: routing_key.map(str::to_owned),
        })
    };
    let default = ("x-dead-letter-exchange", text(""));
    for (spec, expected) in [
        (spec(Fanout, []), None),
        (spec(Fanout, [to.clone()]), target("dlx", None)),
        (
            spec(Topic, [by.clone(), to.clone()]),
            target("dlx", Some("k")),
        ),
        (spec(Direct, [default, by]), target("", Some("k"))),
    ] {
        assert_eq!(spec.dead_letter(), expected);
    }
}

#[test]
fn arguments_that_have_an_effect_count_for_equivalence() {
    let all = [
        ("x-delayed-type", text("topic")),
        ("x-message-deduplication", Value::Bool(true)),
        ("x-cache-size", Value::I32(10)),
        ("x-cache-ttl", Value::I32(1000)),
        ("x-cache-persistence", text("disk")),
        ("x-dead-letter-exchange", text("dlx")),
        ("x-dead-letter-routing-key", text("k")),
    ];
    let current = spec(DelayedMessage, all);
    let mut topology = Topology::new("/");
    assert!(topology.declare_exchange(current.clone()).is_ok());
    let mut declare = |spec: Exchange| {
        let declared = topology.declare_exchange(spec);
        declared.map_err(|refused| refused.to_string())
    };
    for (argument, other, expected) in [
        (
            "x-delayed-type",
            text("direct"),
            "'direct' but current is 'topic'",
        ),
        (
            "x-message-deduplication",
            false.into(),
            "'false' but current is 'true'",
        ),
        ("x-cache-size", 11.into(), "'11' but current is '10'"),
        ("x-cache-ttl", 1001.into(), "'1001' but current is '1000'"),
        (
            "x-dead-letter-exchange",
            text("d"),
            "'d' but current is 'dlx'",
        ),
        (
            "x-dead-letter-routing-key",
            text("l"),
            "'l' but current is 'k'",
        ),
    ] {
        let refused =
            format!("inequivalent arg '{argument}' for exchange 'e' in vhost '/': received ");
        let mut changed = current.clone();
        changed.arguments.insert(argument, other);
        assert_eq!(declare(changed), Err(format!("{refused}{expected}")));
        let mut without = current.clone();
        without.arguments.remove(argument);
        let error = declare(without).expect_err(argument);
        assert!(error.starts_with(&format!("{refused}none but")), "{error}");
    }
    let mut same = current;
    same.arguments.insert("x-cache-size", 10i64);
    same.arguments.insert("x-cache-persistence", "memory");
    assert_eq!(declare(same), Ok(Declared { created: false }));
}

#[test]
fn an_argument_of_the_delayed_type_means_nothing_to_another() {
    let mut topology = Topology::new("/");
    for (value, created) in [("topic", true), ("no-such", false)] {
        let direct = spec(Direct, [("x-delayed-type", text(value))]);
        let declared = topology.declare_exchange(direct);
        assert_eq!(declared, Ok(Declared { created }));
    }
}
