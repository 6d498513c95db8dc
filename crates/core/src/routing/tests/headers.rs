//! Headers bindings: modes, values, refusals, and the grouping that finds them.

use super::*;
use crate::view::{Operand, Property};

fn message() -> Arguments {
    arguments([
        ("format", "pdf".into()),
        ("pages", 3i32.into()),
        ("draft", false.into()),
        ("x-tag", "t".into()),
        ("empty", Value::Void),
    ])
}

fn matches(criteria: &Arguments, headers: &Arguments) -> bool {
    let mut topology = with_exchange(ExchangeKind::Headers);
    assert_eq!(
        topology.bind("x", &to_queue(1), b"ignored", criteria),
        Ok(true)
    );
    routed_with(&topology, "x", "any key", headers) == [1]
}

#[test]
fn criteria_match_by_mode_and_value() {
    let mode = |mode: &str| ("x-match", Value::from(mode));
    let (pdf, zip) = (
        ("format", Value::from("pdf")),
        ("format", Value::from("zip")),
    );
    let (tag, other_tag) = (("x-tag", Value::from("t")), ("x-tag", Value::from("u")));
    let cases: Vec<(Vec<(&str, Value)>, bool)> = vec![
        (vec![], true),
        (vec![mode("all")], true),
        (vec![mode("any")], false),
        (vec![pdf.clone()], true),
        (vec![pdf.clone(), ("pages", 3i32.into())], true),
        (vec![pdf.clone(), ("pages", 4i32.into())], false),
        (vec![mode("all"), pdf.clone(), ("gone", "x".into())], false),
        (vec![mode("any"), pdf.clone(), ("gone", "x".into())], true),
        (vec![mode("any"), zip.clone(), ("gone", "x".into())], false),
        (vec![mode("all"), ("pages", 3i64.into())], true),
        (vec![mode("all"), ("pages", 3.0f64.into())], false),
        (vec![mode("all"), ("pages", "3".into())], false),
        (vec![mode("all"), ("pages", Value::Void)], true),
        (vec![mode("all"), ("gone", Value::Void)], false),
        (
            vec![mode("any"), ("gone", Value::Void), ("format", Value::Void)],
            true,
        ),
        (vec![mode("all"), ("empty", Value::Void)], true),
        (vec![mode("all"), ("empty", "x".into())], false),
        (vec![mode("all"), ("draft", false.into())], true),
        (vec![mode("all"), ("draft", 0i32.into())], false),
        (
            vec![mode("all"), ("format", Value::Bytes(b"pdf".to_vec()))],
            true,
        ),
        (vec![mode("all"), pdf.clone(), other_tag.clone()], true),
        (
            vec![mode("all-with-x"), pdf.clone(), other_tag.clone()],
            false,
        ),
        (vec![mode("all-with-x"), pdf.clone(), tag.clone()], true),
        (vec![mode("any"), zip.clone(), tag.clone()], false),
        (vec![mode("any-with-x"), zip.clone(), tag], true),
        (vec![mode("any-with-x"), zip, other_tag], false),
        (vec![mode("all-with-x")], true),
        (vec![mode("any-with-x")], false),
    ];
    for (criteria, expected) in cases {
        let criteria: Arguments = criteria.into_iter().collect();
        assert_eq!(matches(&criteria, &message()), expected, "{criteria:?}");
    }
    assert!(!matches(&arguments([pdf]), &Arguments::new()));
}

#[test]
fn of_a_repeated_header_the_first_counts() {
    let mut headers = Arguments::new();
    headers.push("k", "first");
    headers.push("k", "second");
    assert!(matches(&arguments([("k", "first".into())]), &headers));
    assert!(!matches(&arguments([("k", "second".into())]), &headers));
}

#[test]
fn a_wrong_mode_is_refused_by_a_headers_exchange_only() {
    for (mode, expected) in [
        (
            Value::from("bogus"),
            "Invalid x-match field value <<\"bogus\">>; \
             expected all, any, all-with-x, or any-with-x",
        ),
        (
            Value::I8(1),
            "Invalid x-match field type byte (value 1); expected longstr",
        ),
    ] {
        let mut topology = with_exchange(ExchangeKind::Headers);
        let wrong = arguments([("x-match", mode)]);
        let refused = topology.bind("x", &to_queue(1), b"", &wrong);
        assert_eq!(
            refused.map_err(|refusal| refusal.to_string()),
            Err(expected.to_owned())
        );
        assert_eq!(topology.binding_count(), 0);
        assert_eq!(
            topology.bind("amq.direct", &to_queue(1), b"", &wrong),
            Ok(true)
        );
    }
}

#[test]
fn grouped_bindings_are_found_among_many_and_go_cleanly() {
    let mut topology = with_exchange(ExchangeKind::Headers);
    for id in 0..200u64 {
        let criteria = arguments([
            ("format", "pdf".into()),
            ("id", Value::U64(id)),
            ("x-match", "all".into()),
        ]);
        assert_eq!(topology.bind("x", &to_queue(id), b"", &criteria), Ok(true));
    }
    let headers = |id: u64| arguments([("id", Value::U64(id)), ("format", "pdf".into())]);
    for id in 0..200 {
        assert_eq!(routed_with(&topology, "x", "", &headers(id)), [id]);
    }
    for id in (0..200).step_by(2) {
        assert_eq!(topology.remove_queue(QueueId(id)).bindings.len(), 1);
    }
    for id in 0..200 {
        let expected = if id % 2 == 0 { vec![] } else { vec![id] };
        assert_eq!(routed_with(&topology, "x", "", &headers(id)), expected);
    }
}

#[test]
fn headers_are_decoded_only_for_a_headers_exchange() {
    struct Counted(std::cell::Cell<u32>);
    impl MessageView for Counted {
        fn headers(&self) -> std::borrow::Cow<'_, Arguments> {
            self.0.set(self.0.get() + 1);
            std::borrow::Cow::Owned(message())
        }

        fn header(&self, _: &str) -> Option<Operand<'_>> {
            None
        }

        fn property(&self, _: Property) -> Option<Operand<'_>> {
            None
        }
    }
    let mut topology = with_exchange(ExchangeKind::Headers);
    bind(&mut topology, "x", &to_exchange("amq.match"), "");
    bind(&mut topology, "amq.match", &to_queue(1), "");
    bind(&mut topology, "amq.direct", &to_queue(2), "k");
    for (exchange, decoded, queue) in [("amq.direct", 0, 2), ("x", 1, 1)] {
        let view = Counted(std::cell::Cell::new(0));
        let mut out = Vec::new();
        let info = topology.route(exchange, b"k", &view, &|| 0, &mut out);
        assert_eq!(
            info,
            Ok(RouteInfo {
                by_keys_alone: decoded == 0
            })
        );
        assert_eq!((view.0.get(), out), (decoded, vec![QueueId(queue)]));
    }
    assert_eq!(message().header("pages"), Some(Operand::Integer(3)));
}
