//! Filters of bindings: what they let through, what is refused, and what they cost.

use std::borrow::Cow;
use std::cell::Cell;

use super::*;
use crate::view::{Operand, Property};

fn filter(text: &str) -> Arguments {
    arguments([("x-filter", text.into())])
}

fn bind_with(topology: &mut Topology, queue: u64, key: &str, arguments: &Arguments) {
    let bound = topology.bind("x", &to_queue(queue), key.as_bytes(), arguments);
    assert_eq!(bound, Ok(true), "{queue} by {key:?} with {arguments:?}");
}

#[test]
fn a_binding_takes_what_matches_its_key_and_its_filter() {
    for (kind, hit, miss) in [
        (ExchangeKind::Direct, "a.b", "a.c"),
        (ExchangeKind::Topic, "a.b", "b"),
        (ExchangeKind::Fanout, "a.b", ""),
        (ExchangeKind::Headers, "", ""),
    ] {
        let mut topology = with_exchange(kind);
        let key = if kind == ExchangeKind::Topic {
            "a.*"
        } else {
            hit
        };
        bind(&mut topology, "x", &to_queue(0), key);
        for (queue, text) in [
            (1, "size > 10"),
            (2, "size = 20"),
            (3, "size = 20 AND color = 'red'"),
            (4, "color IS NULL"),
            (5, ""),
            (6, "  "),
        ] {
            bind_with(&mut topology, queue, key, &filter(text));
        }
        let size = |size: i32| ("size", Value::I32(size));
        let red = ("color", Value::from("red"));
        for (message, expected) in [
            (arguments([]), &[0, 4, 5, 6][..]),
            (arguments([size(10)]), &[0, 4, 5, 6]),
            (arguments([size(20)]), &[0, 1, 2, 4, 5, 6]),
            (arguments([size(20), red.clone()]), &[0, 1, 2, 3, 5, 6]),
            (arguments([size(11), red]), &[0, 1, 5, 6]),
        ] {
            let found = routed_with(&topology, "x", hit, &message);
            assert_eq!(found, expected, "{kind} {message:?}");
            let keyed = matches!(kind, ExchangeKind::Direct | ExchangeKind::Topic);
            if keyed {
                assert_eq!(
                    routed_with(&topology, "x", miss, &message),
                    [0; 0],
                    "{kind}"
                );
            }
        }
    }
}

#[test]
fn a_filter_is_no_criterion_on_headers() {
    for mode in ["all", "all-with-x", "any", "any-with-x"] {
        let mut topology = with_exchange(ExchangeKind::Headers);
        let criteria = arguments([
            ("x-match", mode.into()),
            ("format", "pdf".into()),
            ("x-filter", "pages > 3".into()),
        ]);
        bind_with(&mut topology, 1, "", &criteria);
        let message = |format: &str, pages: i32| {
            arguments([
                ("format", format.into()),
                ("pages", pages.into()),
                ("x-filter", "nothing".into()),
            ])
        };
        for (format, pages, expected) in [("pdf", 4, &[1][..]), ("pdf", 3, &[]), ("zip", 4, &[])] {
            let found = routed_with(&topology, "x", "", &message(format, pages));
            assert_eq!(found, expected, "{mode} {format} {pages}");
        }
    }
}

#[test]
fn a_filter_is_part_of_what_a_binding_is() {
    let mut topology = with_exchange(ExchangeKind::Fanout);
    bind_with(&mut topology, 1, "", &filter("a = 1"));
    bind_with(&mut topology, 1, "", &filter("a = 2"));
    let again = topology.bind("x", &to_queue(1), b"", &filter("a = 1"));
    assert_eq!(again, Ok(false));
    let has = |topology: &Topology, value: i32| {
        routed_with(topology, "x", "", &arguments([("a", value.into())])) == [1]
    };
    assert!(has(&topology, 1) && has(&topology, 2) && !has(&topology, 3));
    for (arguments, gone) in [
        (Arguments::new(), 0),
        (filter("a  = 1"), 0),
        (filter("a = 1"), 1),
        (filter("a = 1"), 0),
    ] {
        let removed = topology.unbind("x", &to_queue(1), b"", &arguments);
        assert_eq!(removed.bindings.len(), gone, "{arguments:?}");
    }
    assert!(!has(&topology, 1) && has(&topology, 2));
    topology.remove_queue(QueueId(1));
    assert!(!has(&topology, 2));
    assert_eq!(topology.binding_count(), 0);
}

#[test]
fn a_filter_that_makes_no_sense_is_refused_with_its_place() {
    let mut topology = with_exchange(ExchangeKind::Topic);
    for (value, expected) in [
        (
            Value::I32(1),
            "invalid arg 'x-filter' of binding: expected text, got signedint",
        ),
        (
            Value::Void,
            "invalid arg 'x-filter' of binding: expected text, got void",
        ),
        (
            Value::Bytes(b"a = 1".to_vec()),
            "invalid arg 'x-filter' of binding: expected text, got binary",
        ),
        (
            Value::Str(vec![b'a', 0xff]),
            "invalid arg 'x-filter' of binding: it is not UTF-8",
        ),
    ] {
        let wrong = arguments([("x-filter", value)]);
        let refused = topology.bind("x", &to_queue(1), b"", &wrong);
        assert_eq!(
            refused.map_err(|refused| refused.to_string()),
            Err(expected.to_owned())
        );
    }
    for exchange in ["x", "amq.direct", "amq.fanout", "amq.headers"] {
        let refused = topology.bind(exchange, &to_queue(1), b"", &filter("a = = 1"));
        let Err(BindError::Filter(InvalidFilter::Text(error))) = refused else {
            panic!("{exchange}: {refused:?}");
        };
        assert_eq!(error.at, 5, "{exchange}");
    }
    assert_eq!(topology.binding_count(), 0);
}

#[test]
fn a_stored_filter_that_is_none_any_more_takes_nothing() {
    for kind in [ExchangeKind::Fanout, ExchangeKind::ModulusHash] {
        let mut topology = with_exchange(kind);
        let mut binding = Binding {
            source: "x".into(),
            destination: to_queue(1),
            routing_key: Vec::new(),
            arguments: filter("a = = 1"),
        };
        let restored = topology.restore_binding(&binding);
        assert!(
            matches!(restored, Ok(Some(InvalidFilter::Text(_)))),
            "{restored:?}"
        );
        let message = arguments([("a", 1.into())]);
        assert_eq!(routed_with(&topology, "x", "", &message), [0; 0]);
        assert_eq!(topology.bindings_of_queue(QueueId(1)).count(), 1);
        let removed = topology.unbind("x", &to_queue(1), b"", &binding.arguments);
        assert_eq!(removed.bindings, [binding.clone()]);
        binding.arguments = filter("a = 1");
        assert_eq!(topology.restore_binding(&binding), Ok(None));
        assert_eq!(routed_with(&topology, "x", "", &message), [1]);
    }
}

/// A message that counts how often it is looked at.
#[derive(Default)]
struct Counted {
    headers: Cell<u32>,
    looks: Cell<u32>,
    value: i64,
}

impl MessageView for Counted {
    fn headers(&self) -> Cow<'_, Arguments> {
        self.headers.set(self.headers.get() + 1);
        Cow::Owned(Arguments::new())
    }

    fn header(&self, _: &str) -> Option<Operand<'_>> {
        self.looks.set(self.looks.get() + 1);
        Some(Operand::Integer(self.value))
    }

    fn property(&self, _: Property) -> Option<Operand<'_>> {
        self.looks.set(self.looks.get() + 1);
        None
    }
}

fn routed_by(topology: &Topology, key: &str, view: &Counted) -> (bool, Vec<u64>) {
    let mut out = Vec::new();
    let info = topology.route("x", key.as_bytes(), view, &|| 0, &mut out);
    let queues = out.into_iter().map(|queue| queue.0).collect();
    (info.expect("the exchange exists").by_keys_alone, queues)
}

#[test]
fn of_ten_thousand_equalities_those_that_hold_are_tried() {
    let mut topology = with_exchange(ExchangeKind::Fanout);
    for queue in 0..10_000 {
        bind_with(
            &mut topology,
            queue,
            "",
            &filter(&format!("tenant = {queue}")),
        );
    }
    let view = Counted {
        value: 77,
        ..Counted::default()
    };
    assert_eq!(routed_by(&topology, "", &view), (false, vec![77]));
    // Once for the index, once for the one filter.
    assert_eq!((view.headers.get(), view.looks.get()), (0, 2));
    for queue in 0..10_000 {
        topology.remove_queue(QueueId(queue));
    }
    let view = Counted::default();
    assert_eq!(routed_by(&topology, "", &view), (true, vec![]));
    assert_eq!(view.looks.get(), 0);
}

#[test]
fn filters_are_tried_and_forbid_to_remember_a_route_only_where_the_key_matches() {
    for kind in [ExchangeKind::Direct, ExchangeKind::Topic] {
        let mut topology = with_exchange(kind);
        for queue in 0..100 {
            bind_with(
                &mut topology,
                queue,
                "filtered",
                &filter("a > 50 AND b < 60"),
            );
        }
        bind(&mut topology, "x", &to_queue(100), "plain");
        let view = Counted {
            value: 55,
            ..Counted::default()
        };
        assert_eq!(routed_by(&topology, "plain", &view), (true, vec![100]));
        assert_eq!(routed_by(&topology, "none", &view), (true, vec![]));
        assert_eq!((view.headers.get(), view.looks.get()), (0, 0), "{kind}");
        let (by_keys_alone, queues) = routed_by(&topology, "filtered", &view);
        assert_eq!((by_keys_alone, queues.len()), (false, 100), "{kind}");
    }
}

#[test]
fn an_alternate_takes_what_all_filters_refuse() {
    let mut topology = Topology::new("/");
    let exchange = Exchange {
        arguments: arguments([("alternate-exchange", "amq.fanout".into())]),
        ..Exchange::new("x", ExchangeKind::Direct)
    };
    assert!(topology.declare_exchange(exchange).is_ok());
    bind(&mut topology, "amq.fanout", &to_queue(9), "");
    bind_with(&mut topology, 1, "k", &filter("a = 1"));
    let to_topic = topology.bind("x", &to_exchange("amq.topic"), b"k", &filter("a = 2"));
    assert_eq!(to_topic, Ok(true));
    bind(&mut topology, "amq.topic", &to_queue(2), "#");
    for (value, expected) in [(1, [1]), (2, [2]), (3, [9])] {
        let message = arguments([("a", Value::I32(value))]);
        assert_eq!(routed_with(&topology, "x", "k", &message), expected);
    }
}
