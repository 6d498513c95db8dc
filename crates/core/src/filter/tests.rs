//! Filters against messages.

mod bounds;
mod index;
mod like;
mod model;

mod refusals;
mod sample;
mod table;
mod writing;

use std::borrow::Cow;

use super::*;
use crate::arguments::{Arguments, Value};
use crate::view::{Operand, Property};

/// A message with properties.
#[derive(Default, Debug)]
struct Sample {
    headers: Arguments,
    texts: Vec<(Property, &'static str)>,
    integers: Vec<(Property, i64)>,
    persistent: bool,
}

impl MessageView for Sample {
    fn headers(&self) -> Cow<'_, Arguments> {
        Cow::Borrowed(&self.headers)
    }

    fn header(&self, name: &str) -> Option<Operand<'_>> {
        self.headers.get(name).and_then(Operand::of)
    }

    fn property(&self, property: Property) -> Option<Operand<'_>> {
        if property == Property::Persistent {
            return Some(Operand::Bool(self.persistent));
        }
        let text = self.texts.iter().find(|(known, _)| *known == property);
        let integer = self.integers.iter().find(|(known, _)| *known == property);
        text.map(|(_, text)| Operand::Text(text.as_bytes()))
            .or(integer.map(|(_, integer)| Operand::Integer(*integer)))
    }
}

fn headers<const N: usize>(headers: [(&str, Value); N]) -> Sample {
    Sample {
        headers: headers.into_iter().collect(),
        ..Sample::default()
    }
}

fn text(text: &str) -> Value {
    Value::Str(text.as_bytes().to_vec())
}

fn compiled(text: &str) -> Filter {
    match Filter::compile(text) {
        Ok(filter) => filter.unwrap_or_else(|| panic!("{text:?} is no filter")),
        Err(error) => panic!("{text}: {error}"),
    }
}

/// True, false or unknown: of the latter neither the filter nor its contrary is true.
fn truth(text: &str, message: &dyn MessageView) -> Option<bool> {
    let truth = compiled(text).matches(message);
    let contrary = compiled(&format!("NOT ({text})")).matches(message);
    assert!(!(truth && contrary), "{text}");
    (truth || contrary).then_some(truth)
}

#[test]
fn empty_text_is_no_filter() {
    for text in ["", " ", "\t\r\n", "\u{a0}"] {
        assert_eq!(Filter::compile(text), Ok(None), "{text:?}");
    }
}

#[test]
fn a_filter_keeps_its_text() {
    let text = "  a = 1\n and b is null ";
    let filter = compiled(text);
    assert_eq!(filter.text(), text);
    assert_eq!(format!("{filter:?}"), format!("Filter({text:?})"));
    assert_eq!(filter, compiled(text));
    assert_ne!(filter, compiled("a = 1 AND b IS NULL"));
}

#[test]
fn a_name_is_read_once_a_match_and_only_if_it_is_needed() {
    struct Counting(std::cell::Cell<usize>);
    impl MessageView for Counting {
        fn headers(&self) -> Cow<'_, Arguments> {
            Cow::Owned(Arguments::new())
        }
        fn header(&self, _: &str) -> Option<Operand<'_>> {
            self.0.set(self.0.get() + 1);
            Some(Operand::Integer(7))
        }
        fn property(&self, _: Property) -> Option<Operand<'_>> {
            None
        }
    }
    for (text, reads) in [
        ("a = 1 OR a = 2 OR a + a = 3 OR a IN (4) OR a IS NULL", 1),
        ("a = 1 AND b = 2", 1),
        ("a = 7 AND b = 7 AND b = a", 2),
        ("TRUE OR a = 1", 0),
        ("a = 1 OR b = 1 OR c = 1 OR d = 1 OR e = 1 OR a = 2", 5),
    ] {
        let counting = Counting(std::cell::Cell::new(0));
        compiled(text).matches(&counting);
        assert_eq!(counting.0.get(), reads, "{text}");
    }
}
