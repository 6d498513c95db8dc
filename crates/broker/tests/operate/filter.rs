//! Messages that are looked for.

use std::sync::atomic::Ordering;

use ferry_broker::{Browse, Filter};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::filter::Filter as Selector;
use ferry_core::queue::DeadLetterReason;

use crate::common::Node;
use crate::common::properties::Full;
use crate::support::*;

/// Three orders and a message that came directly.
fn filled() -> Node {
    let mut node = Node::new();
    node.declare("q", &[]);
    bind(&node, "orders", "q", "paid");
    for (id, kind, at) in [
        ("a", 1, 1_000_000),
        ("b", 2, 1_000_500),
        ("c", 2, 1_001_000),
    ] {
        node.clock.0.store(at, Ordering::Relaxed);
        let headers = [("kind", Value::I64(kind)), ("city", Value::from("Bonn"))];
        let order = Post {
            exchange: "orders",
            full: Full::new(id, &headers),
            ..post("paid", "the text of it")
        };
        order.send(&mut node);
    }
    post("q", "direct").send(&mut node);
    node
}

fn kind(kind: i32) -> Arguments {
    [("kind", Value::I32(kind))].into_iter().collect()
}

fn selector(text: &str) -> Option<Selector> {
    Selector::compile(text).unwrap()
}

fn filter(set: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    set(&mut filter);
    filter
}

#[test]
fn all_conditions_must_hold() {
    let node = filled();
    let orders = &["a", "b", "c"][..];
    let cases = [
        (filter(|_| ()), &["a", "b", "c", "direct"][..]),
        (filter(|f| f.message_id = Some("b".into())), &["b"]),
        (filter(|f| f.headers = kind(2)), &["b", "c"]),
        (filter(|f| f.headers = kind(3)), &[]),
        (filter(|f| f.exchange = Some(String::new())), &["direct"]),
        (filter(|f| f.exchange = Some("orders".into())), orders),
        (filter(|f| f.routing_key = Some(b"q".to_vec())), &["direct"]),
        (filter(|f| f.body = Some(b"text of".to_vec())), orders),
        (filter(|f| f.body = Some(b"Text".to_vec())), &[]),
        (
            filter(|f| f.published_ms = Some(1_000_500..=1_000_999)),
            &["b"],
        ),
        (filter(|f| f.death = Some(DeadLetterReason::Rejected)), &[]),
        (filter(|f| f.selector = selector("kind > 1")), &["b", "c"]),
        (
            filter(|f| {
                f.selector = selector("city = 'Bonn' AND kind < 3");
                f.message_id = Some("c".into());
            }),
            &["c"],
        ),
        (filter(|f| f.selector = selector("none IS NOT NULL")), &[]),
        (
            filter(|f| (f.headers, f.message_id) = (kind(2), Some("a".into()))),
            &[],
        ),
        (
            filter(|f| (f.headers, f.published_ms) = (kind(2), Some(0..=1_000_600))),
            &["b"],
        ),
    ];
    for (filter, expected) in cases {
        let browse = Browse {
            filter,
            ..Browse::default()
        };
        let found = node.broker.browse(&node.queue("q"), &browse).unwrap();
        let id = |properties: &[u8]| Full::read(properties).unwrap().message_id.unwrap();
        let ids: Vec<_> = found
            .messages
            .iter()
            .map(|one| id(&one.properties))
            .collect();
        assert_eq!(ids, expected, "{:?}", browse.filter);
    }
}

#[test]
fn dead_letters_are_found_by_the_reason_of_their_last_death() {
    let mut node = Node::new();
    shop(&node);
    die(&mut node, &["a"]);
    let made_up = Value::Array(vec![Value::Table(
        [("reason", Value::from("rejected"))].into_iter().collect(),
    )]);
    let lie = Post {
        full: Full::new("lie", &[("x-death", made_up)]),
        ..post("dead", "lie")
    };
    lie.send(&mut node);
    for (reason, expected) in [
        (DeadLetterReason::Rejected, &["a"][..]),
        (DeadLetterReason::Expired, &[]),
    ] {
        let browse = Browse {
            filter: Filter {
                death: Some(reason),
                ..Filter::default()
            },
            ..Browse::default()
        };
        let page = node.broker.browse(&node.queue("dead"), &browse).unwrap();
        let found: Vec<_> = page.messages.iter().map(|one| one.body.clone()).collect();
        assert_eq!(
            found,
            expected
                .iter()
                .map(|text| text.as_bytes())
                .collect::<Vec<_>>()
        );
    }
}
