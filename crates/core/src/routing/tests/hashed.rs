//! Hash exchanges: who gets a message, what is refused, and that history does not matter.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::view::{Operand, Property};

use ExchangeKind::{ConsistentHash, LocalRandom, ModulusHash, Random};

/// A message with some properties.
struct Sent(Arguments);

impl MessageView for Sent {
    fn headers(&self) -> std::borrow::Cow<'_, Arguments> {
        std::borrow::Cow::Borrowed(&self.0)
    }

    fn header(&self, name: &str) -> Option<Operand<'_>> {
        self.0.header(name)
    }

    fn property(&self, property: Property) -> Option<Operand<'_>> {
        let name = match property {
            Property::MessageId => "message id",
            Property::CorrelationId => "correlation id",
            Property::Timestamp => "timestamp",
            _ => return None,
        };
        self.0.header(name)
    }
}

fn spec<const N: usize>(kind: ExchangeKind, entries: [(&str, Value); N]) -> Exchange {
    Exchange {
        arguments: arguments(entries),
        ..Exchange::new("x", kind)
    }
}

/// Ten queues bound by the key `1`, or none where keys are not wanted.
fn ten(exchange: Exchange) -> Topology {
    let mut topology = Topology::new("/");
    let key = if exchange.kind == LocalRandom {
        ""
    } else {
        "1"
    };
    assert!(topology.declare_exchange(exchange).is_ok());
    for queue in 0..10 {
        bind(&mut topology, "x", &to_queue(queue), key);
    }
    topology
}

/// How often each queue gets one of as many messages.
fn spread(count: u64, mut route: impl FnMut(u64) -> Vec<u64>) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for message in 0..count {
        let queues = route(message);
        assert_eq!(queues.len(), 1, "message {message} went to {queues:?}");
        *counts.entry(queues[0]).or_default() += 1;
    }
    counts
}

#[test]
fn each_message_goes_to_one_queue_and_all_get_their_share() {
    for kind in [ConsistentHash, ModulusHash, Random, LocalRandom] {
        let topology = ten(spec(kind, []));
        let next = Cell::new(0);
        let chance = || next.replace(next.get() + 1);
        let counts = spread(20_000, |message| {
            let mut out = Vec::new();
            let key = format!("key {message}");
            let routed = topology.route("x", key.as_bytes(), &NoView, &chance, &mut out);
            let by_keys_alone = matches!(kind, ConsistentHash | ModulusHash);
            assert_eq!(routed, Ok(RouteInfo { by_keys_alone }), "{kind}");
            out.into_iter().map(|queue| queue.0).collect()
        });
        assert_eq!(counts.len(), 10, "{kind}");
        let fair = |count: &u64| (1800..=2200).contains(count);
        assert!(counts.values().all(fair), "{kind}: {counts:?}");
    }
}

#[test]
fn what_is_hashed_decides_alone() {
    let header = ("hash-header", Value::from("tenant"));
    let property = |name: &str| ("hash-property", Value::from(name));
    let values: [Value; 5] = ["a".into(), "b".into(), 7.into(), 0.5.into(), true.into()];
    for (exchange, name) in [
        (spec(ConsistentHash, [header.clone()]), "tenant"),
        (spec(ConsistentHash, [property("message_id")]), "message id"),
        (
            spec(ConsistentHash, [property("correlation_id")]),
            "correlation id",
        ),
        (spec(ConsistentHash, [property("timestamp")]), "timestamp"),
    ] {
        let topology = ten(exchange);
        let counts = spread(2000, |value| {
            let sent =
                |noise: &str| Sent(arguments([(name, Value::U64(value)), ("n", noise.into())]));
            let one = routed_with(&topology, "x", "k", &sent("1"));
            assert_eq!(one, routed_with(&topology, "x", "other", &sent("2")));
            one
        });
        assert_eq!(counts.len(), 10, "{name}");
        for value in &values {
            let narrow = Sent(arguments([(name, value.clone())]));
            assert_eq!(routed_with(&topology, "x", "", &narrow).len(), 1);
        }
        let (narrow, wide) = (Value::I8(7), Value::I64(7));
        assert_eq!(
            routed_with(&topology, "x", "", &Sent(arguments([(name, narrow)]))),
            routed_with(&topology, "x", "", &Sent(arguments([(name, wide)]))),
        );
        // What is not there is a value of its own: one queue gets all of those.
        let without = routed_with(&topology, "x", "1", &NoView);
        assert_eq!(without.len(), 1);
        for key in ["2", "3", "4", "5", "6"] {
            assert_eq!(routed_with(&topology, "x", key, &NoView), without);
        }
        let mut out = Vec::new();
        let info = topology.route("x", b"", &NoView, &|| 0, &mut out);
        let by_keys_alone = false;
        assert_eq!(info, Ok(RouteInfo { by_keys_alone }), "{name}");
    }
}

#[test]
fn of_several_keys_the_first_is_hashed_or_all_of_them() {
    for (kind, same) in [(ConsistentHash, true), (ModulusHash, false)] {
        let topology = ten(spec(kind, []));
        let route = |keys: &[&[u8]]| {
            let mut out = Vec::new();
            let routed = topology.route_many("x", keys, &NoView, &|| 0, &mut out);
            assert!(routed.is_ok());
            out
        };
        let alone = route(&[b"k"]);
        let others = ["a", "b", "c", "d", "e", "f"];
        let unmoved = others
            .iter()
            .all(|other| route(&[b"k", other.as_bytes()]) == alone);
        assert_eq!(unmoved, same, "{kind}");
        assert_eq!(route(&[]).len(), 1, "{kind} without a key");
    }
}

#[test]
fn equal_bindings_count_once_and_other_keys_again() {
    for (kind, first, again) in [
        (ConsistentHash, "1", "2"),
        (ModulusHash, "", "k"),
        (Random, "", "k"),
    ] {
        let mut topology = with_exchange(kind);
        let share = |topology: &Topology| {
            let next = Cell::new(0);
            let chance = || next.replace(next.get() + 1);
            let mut count = 0;
            for message in 0..10_000u32 {
                let mut out = Vec::new();
                let routed =
                    topology.route("x", &message.to_le_bytes(), &NoView, &chance, &mut out);
                assert!(routed.is_ok() && out.len() == 1);
                count += u32::from(out[0] == QueueId(1));
            }
            f64::from(count) / 10_000.0
        };
        bind(&mut topology, "x", &to_queue(1), first);
        bind(&mut topology, "x", &to_queue(2), first);
        let with = arguments([("n", 1.into())]);
        let bound = topology.bind("x", &to_queue(1), first.as_bytes(), &with);
        assert_eq!(bound, Ok(true));
        assert!((share(&topology) - 0.5).abs() < 0.06, "{kind}");
        // The weights of a destination add up: 1 and 2 of 4, or 2 of 3 bindings.
        bind(&mut topology, "x", &to_queue(1), again);
        let expected = if kind == ConsistentHash { 0.75 } else { 0.667 };
        assert!((share(&topology) - expected).abs() < 0.06, "{kind}");
        topology.unbind("x", &to_queue(1), first.as_bytes(), &Arguments::new());
        assert!((share(&topology) - expected).abs() < 0.06, "{kind}");
        topology.unbind("x", &to_queue(1), first.as_bytes(), &with);
        assert!((share(&topology) - if kind == ConsistentHash { 0.667 } else { 0.5 }).abs() < 0.06);
    }
}

#[test]
fn exchanges_are_members_and_alternates_take_over_from_none() {
    for kind in [ConsistentHash, ModulusHash, Random] {
        let mut topology = Topology::new("/");
        let alternate = spec(kind, [("alternate-exchange", "amq.fanout".into())]);
        assert!(topology.declare_exchange(alternate).is_ok());
        bind(&mut topology, "amq.fanout", &to_queue(9), "");
        assert_eq!(routed(&topology, "x", "k"), [9], "{kind}");
        bind(&mut topology, "x", &to_exchange("amq.topic"), "1");
        assert_eq!(routed(&topology, "x", "k"), [0; 0], "{kind}");
        bind(&mut topology, "amq.topic", &to_queue(3), "k");
        assert_eq!(routed(&topology, "x", "k"), [3], "{kind}");
        bind(&mut topology, "x", &to_exchange("x"), "7");
        let queues = routed(&topology, "x", "k");
        assert!(queues == [3] || queues.is_empty(), "{kind}: {queues:?}");
        assert!(topology.delete_exchange("amq.topic", false).is_ok());
        assert!(topology.delete_exchange("x", false).is_ok());
        assert_eq!(topology.binding_count(), 1);
    }
}

#[test]
fn a_filter_may_refuse_who_was_picked_and_nobody_else_gets_the_message() {
    for kind in [ConsistentHash, ModulusHash, Random] {
        let mut topology = ten(spec(kind, []));
        let filter = arguments([("x-filter", "size > 10".into())]);
        for queue in 0..10 {
            topology.remove_queue(QueueId(queue));
            let bound = topology.bind("x", &to_queue(queue), b"1", &filter);
            assert_eq!(bound, Ok(true));
        }
        let size = |size: i32| arguments([("size", size.into())]);
        assert_eq!(routed_with(&topology, "x", "k", &size(11)).len(), 1);
        assert_eq!(routed_with(&topology, "x", "k", &size(10)), [0; 0]);
        let mut out = Vec::new();
        let info = topology.route("x", b"k", &size(11), &|| 0, &mut out);
        assert_eq!(info.map(|info| info.by_keys_alone), Ok(false));
    }
}

#[test]
fn arguments_and_keys_that_make_no_sense_are_refused() {
    let both = [
        ("hash-header", "h".into()),
        ("hash-property", "timestamp".into()),
    ];
    let mut topology = Topology::new("/");
    for (exchange, expected) in [
        (
            spec(ConsistentHash, both),
            "hash-header and hash-property are mutually exclusive",
        ),
        (
            spec(ConsistentHash, [("hash-property", "user_id".into())]),
            "Unsupported property: user_id",
        ),
        (
            spec(ConsistentHash, [("hash-property", 1.into())]),
            "Invalid argument, 'hash-property' must be text",
        ),
        (
            spec(ConsistentHash, [("hash-header", Value::Void)]),
            "Invalid argument, 'hash-header' must be text",
        ),
    ] {
        let refused = topology.declare_exchange(exchange);
        assert_eq!(
            refused.map_err(|refused| refused.to_string()),
            Err(expected.to_owned())
        );
        assert!(topology.exchange("x").is_none());
    }
    for (name, kind) in [("c", ConsistentHash), ("l", LocalRandom)] {
        declare(&mut topology, name, kind);
    }
    for (exchange, to, key, expected) in [
        (
            "c",
            to_queue(1),
            "k",
            "The binding key must be an integer: <<\"k\">>",
        ),
        (
            "c",
            to_exchange("l"),
            "0",
            "The binding key must be greater than 0",
        ),
        (
            "c",
            to_queue(1),
            "1048576",
            "The binding key must be at most 1048575",
        ),
        (
            "l",
            to_queue(1),
            "k",
            "Non empty binding 'k' key not permitted",
        ),
        ("l", to_exchange("c"), "", "Destination not found"),
    ] {
        let refused = topology.bind(exchange, &to, key.as_bytes(), &Arguments::new());
        assert_eq!(
            refused.map_err(|refused| refused.to_string()),
            Err(expected.to_owned())
        );
    }
    assert_eq!(topology.binding_count(), 0);
}

#[test]
fn what_is_hashed_counts_for_equivalence() {
    let header = |name: &str| spec(ConsistentHash, [("hash-header", name.into())]);
    let mut topology = Topology::new("/");
    assert!(topology.declare_exchange(header("a")).is_ok());
    let mut declare = |exchange| {
        let declared = topology.declare_exchange(exchange);
        declared.map_err(|refused| refused.to_string())
    };
    let refused = |argument: &str, received: &str, current: &str| {
        Err(format!(
            "inequivalent arg '{argument}' for exchange 'x' in vhost '/': \
             received {received} but current is {current}"
        ))
    };
    assert_eq!(declare(header("a")), Ok(Declared { created: false }));
    assert_eq!(declare(header("b")), refused("hash-header", "'b'", "'a'"));
    let none = "the value 'a' of type 'longstr'";
    assert_eq!(
        declare(spec(ConsistentHash, [])),
        refused("hash-header", "none", none)
    );
    let more = spec(
        ConsistentHash,
        [
            ("hash-header", "a".into()),
            ("hash-property", "timestamp".into()),
        ],
    );
    let received = "the value 'timestamp' of type 'longstr'";
    assert_eq!(declare(more), refused("hash-property", received, "none"));
}

#[test]
fn ten_thousand_bindings_come_and_go() {
    for kind in [ConsistentHash, ModulusHash, Random] {
        let mut topology = with_exchange(kind);
        for queue in 0..10_000 {
            bind(&mut topology, "x", &to_queue(queue), "1");
        }
        assert_eq!(routed(&topology, "x", "k").len(), 1);
        for queue in 0..9_999 {
            assert_eq!(topology.remove_queue(QueueId(queue)).bindings.len(), 1);
        }
        assert_eq!(routed(&topology, "x", "k"), [9_999], "{kind}");
        topology.remove_queue(QueueId(9_999));
        assert_eq!(routed(&topology, "x", "k"), [0; 0], "{kind}");
    }
}
