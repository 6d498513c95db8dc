//! What lists are sorted by.
//!
//! Invariant: numbers come before flags, those before texts; what is missing counts as zero.

use std::cmp::Ordering;

use serde_json::Value;

use super::columns::find;

/// The value of a field.
#[derive(Debug)]
pub(in crate::api) enum SortKey<'a> {
    Number(u64),
    Real(f64),
    Flag(bool),
    Text(&'a str),
    Owned(String),
}

impl Default for SortKey<'_> {
    fn default() -> Self {
        SortKey::Number(0)
    }
}

impl SortKey<'_> {
    pub(super) fn into_owned(self) -> SortKey<'static> {
        match self {
            SortKey::Number(number) => SortKey::Number(number),
            SortKey::Real(number) => SortKey::Real(number),
            SortKey::Flag(flag) => SortKey::Flag(flag),
            SortKey::Text(text) => SortKey::Owned(text.to_owned()),
            SortKey::Owned(text) => SortKey::Owned(text),
        }
    }

    /// That of a field of an object; dots lead into it.
    pub(super) fn in_json(object: &Value, field: &str) -> SortKey<'static> {
        match find(object, field) {
            None => SortKey::default(),
            Some(Value::Number(number)) => SortKey::Real(number.as_f64().unwrap_or(0.0)),
            Some(Value::Bool(flag)) => SortKey::Flag(*flag),
            Some(Value::Null) => SortKey::Flag(false),
            Some(Value::String(text)) => SortKey::Owned(text.clone()),
            Some(other) => SortKey::Owned(other.to_string()),
        }
    }

    fn real(&self) -> Option<f64> {
        match self {
            SortKey::Number(number) => Some(*number as f64),
            SortKey::Real(number) => Some(*number),
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            SortKey::Text(text) => Some(text),
            SortKey::Owned(text) => Some(text),
            _ => None,
        }
    }
}

impl Ord for SortKey<'_> {
    fn cmp(&self, other: &SortKey<'_>) -> Ordering {
        match (self, other) {
            (SortKey::Number(a), SortKey::Number(b)) => return a.cmp(b),
            (SortKey::Flag(a), SortKey::Flag(b)) => return a.cmp(b),
            _ => {}
        }
        match (self.real(), other.real()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // A flag has no text, and none comes before some.
            (None, None) => self.text().cmp(&other.text()),
        }
    }
}

impl PartialOrd for SortKey<'_> {
    fn partial_cmp(&self, other: &SortKey<'_>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SortKey<'_> {
    fn eq(&self, other: &SortKey<'_>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for SortKey<'_> {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_of_any_type_have_an_order() {
        let objects = [
            json!({ "a": { "b": -1.5 } }),
            json!({}),
            json!({ "a": { "b": 2 } }),
            json!({ "a": { "b": 10 } }),
            json!({ "a": { "b": null } }),
            json!({ "a": { "b": true } }),
            json!({ "a": { "b": "10" } }),
            json!({ "a": { "b": "2" } }),
        ];
        let keys = objects
            .each_ref()
            .map(|object| SortKey::in_json(object, "a.b"));
        assert!(keys.is_sorted(), "{keys:?}");
        assert!(SortKey::Number(u64::MAX) > SortKey::Number(u64::MAX - 1));
        assert!(SortKey::Text("a") < SortKey::Owned("b".to_owned()));
    }
}
