//! Equalities and the index over them.

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;

#[test]
fn the_equality_that_a_filter_needs() {
    let header = |name: &str| Name::Header(name.into());
    let property = Name::Property;
    let word = |word: &str| Constant::Text(word.into());
    let cases = [
        ("a = 'x'", Some((header("a"), word("x")))),
        ("'x' = a", Some((header("a"), word("x")))),
        ("a = 5", Some((header("a"), Constant::Integer(5)))),
        ("a = 2 + 3", Some((header("a"), Constant::Integer(5)))),
        ("a = -.5", Some((header("a"), Constant::Float(-0.5)))),
        ("a IN ('x')", Some((header("a"), word("x")))),
        ("a IN ('x', 'x')", Some((header("a"), word("x")))),
        ("a", Some((header("a"), Constant::Bool(true)))),
        ("(a = 'x')", Some((header("a"), word("x")))),
        ("b > 1 AND (a = 'x' AND c)", None),
        ("b > 1 AND a = 'x' AND c", Some((header("a"), word("x")))),
        ("TRUE AND a = 'x'", Some((header("a"), word("x")))),
        ("a = 'x' AND b = 'y'", Some((header("a"), word("x")))),
        // One that tells more messages apart is better.
        ("a = TRUE AND b = 'y'", Some((header("b"), word("y")))),
        (
            "JMSDeliveryMode = 'PERSISTENT' AND JMSType = 'y'",
            Some((property(Property::Type), word("y"))),
        ),
        (
            "JMSDeliveryMode = 'PERSISTENT'",
            Some((property(Property::Persistent), word("PERSISTENT"))),
        ),
        ("a = 'x' OR b = 'y'", None),
        ("NOT a = 'x'", None),
        ("a <> 'x'", None),
        ("a = b", None),
        ("a + 0 = 5", None),
        ("a IN ('x', 'y')", None),
        ("a NOT IN ('x')", None),
        ("a LIKE 'x'", None),
        ("a IS NULL", None),
        ("TRUE", None),
    ];
    for (text, expected) in cases {
        let filter = compiled(text);
        let found = filter.equality();
        let expected = expected.as_ref().map(|(name, constant)| (name, constant));
        assert_eq!(found, expected, "{text}");
    }
}

const FILTERS: [&str; 14] = [
    "a = 1",
    "a = 1.0",
    "a = 'x'",
    "b = 'x' AND a > 1",
    "b = 'x'",
    "b = '' AND a = 'x'",
    "a",
    "a = 2.5",
    "a <> 1",
    "b LIKE 'x%'",
    "a IS NULL",
    "JMSType = 'x'",
    "JMSDeliveryMode = 'NON_PERSISTENT'",
    "amqp.exchange = 'x' OR a = 1",
];

fn value() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::I32(1))),
        Just(Some(Value::I64(2))),
        Just(Some(Value::F64(1.0))),
        Just(Some(Value::F64(2.5))),
        Just(Some(Value::F64(f64::NAN))),
        Just(Some(text("x"))),
        Just(Some(text(""))),
        Just(Some(Value::Bool(true))),
    ]
}

proptest! {
    /// Whatever was inserted and removed, what matches is what a list would say.
    #[test]
    fn an_index_finds_what_a_list_finds(
        changes in prop::collection::vec((any::<bool>(), 0..FILTERS.len(), 0..3u8), 0..60),
        a in value(),
        b in value(),
    ) {
        let mut index = FilterIndex::with_seed(7);
        let mut list: Vec<(usize, u8)> = Vec::new();
        for (insert, which, what) in changes {
            let filter = compiled(FILTERS[which]);
            if insert {
                index.insert(&filter, what);
                list.push((which, what));
                continue;
            }
            let place = list.iter().position(|entry| *entry == (which, what));
            prop_assert_eq!(index.remove(&filter, &what), place.is_some());
            place.map(|place| list.remove(place));
        }
        prop_assert_eq!((index.len(), index.is_empty()), (list.len(), list.is_empty()));
        let values = [("a", a), ("b", b)].into_iter();
        let message = Sample {
            headers: values.filter_map(|(name, value)| Some((name, value?))).collect(),
            texts: vec![(Property::Type, "x")],
            ..Sample::default()
        };
        let mut found = Vec::new();
        index.matching(&message, |what| found.push(*what));
        let matches = |(which, _): &&(usize, u8)| compiled(FILTERS[*which]).matches(&message);
        let mut expected: Vec<_> = list.iter().filter(matches).map(|(_, what)| *what).collect();
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn candidates_are_those_whose_equality_holds_and_those_without() {
    let mut index = FilterIndex::default();
    for (place, text) in FILTERS.iter().enumerate() {
        index.insert(&compiled(text), place);
    }
    let candidates = |message: &dyn MessageView| {
        let mut found = Vec::new();
        index.candidates(message, |filter, place| {
            assert_eq!(filter.text(), FILTERS[*place]);
            found.push(*place);
        });
        found
    };
    let one = headers([("a", Value::I8(1)), ("b", text("x"))]);
    assert_eq!(candidates(&one), [0, 1, 3, 4, 12, 8, 9, 10, 13]);
    let truth = headers([("a", Value::Bool(true)), ("b", text("y"))]);
    assert_eq!(candidates(&truth), [6, 12, 8, 9, 10, 13]);
    assert_eq!(candidates(&crate::view::NoView), [8, 9, 10, 13]);
}

#[test]
fn a_message_is_asked_for_each_name_once() {
    #[derive(Default)]
    struct Asked(RefCell<Vec<String>>);
    impl MessageView for Asked {
        fn headers(&self) -> Cow<'_, Arguments> {
            Cow::Owned(Arguments::new())
        }
        fn header(&self, name: &str) -> Option<Operand<'_>> {
            self.0.borrow_mut().push(name.to_owned());
            Some(Operand::Integer(7))
        }
        fn property(&self, _: Property) -> Option<Operand<'_>> {
            None
        }
    }
    let mut index = FilterIndex::default();
    for number in 0..1000 {
        let name = ["a", "b"][number % 2];
        index.insert(&compiled(&format!("{name} = {number}")), number);
    }
    let message = Asked::default();
    let mut found = Vec::new();
    index.candidates(&message, |_, number| found.push(*number));
    assert_eq!(found, [7]);
    assert_eq!(*message.0.borrow(), ["a", "b"]);
}
