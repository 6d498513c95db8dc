//! The headers that a publish is looked through for.
//!
//! Invariants
//! - One pass over the table finds them all, and none is made for a message without headers.
//! - Of two headers of one name the first counts.

use amqp091::properties::{Change, Edit, Properties, edit, push_header};
use amqp091::{RawTable, RawValue, ShortStr, Table, Value};
use ferry_core::limits::NAME_BYTES_MAX;

use super::delay::{DELAY, DELIVER_AT};
use super::errors::{Refusal, precondition_failed};
use super::gather::{COUNT, TIMEOUT};

const CC: &str = "CC";
const BCC: &str = "BCC";

/// What a publish has of the headers that mean something to the broker.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Noticed<'a> {
    /// `CC`
    pub(crate) cc: Option<RawValue<'a>>,
    /// `BCC`
    pub(crate) bcc: Option<RawValue<'a>>,
    /// `x-delay`
    pub(crate) delay: Option<RawValue<'a>>,
    /// `x-deliver-at`
    pub(crate) deliver_at: Option<RawValue<'a>>,
    /// `x-gather-count`
    pub(crate) gather_count: Option<RawValue<'a>>,
    /// `x-gather-timeout`
    pub(crate) gather_timeout: Option<RawValue<'a>>,
}

/// Routing keys beside the one in the method.
#[derive(Debug, Default)]
pub(crate) struct Keys<'a> {
    /// The keys.
    pub(crate) keys: Vec<&'a [u8]>,
    /// Whether some must not be shown to consumers.
    pub(crate) has_bcc: bool,
}

impl<'a> Noticed<'a> {
    /// Looks through headers that were validated.
    pub(crate) fn of(headers: RawTable<'a>) -> Noticed<'a> {
        let mut found = Noticed::default();
        for (name, value) in headers.iter().map_while(Result::ok) {
            let name = name.as_bytes();
            let place = if name == CC.as_bytes() {
                &mut found.cc
            } else if name == BCC.as_bytes() {
                &mut found.bcc
            } else if name == DELAY.as_bytes() {
                &mut found.delay
            } else if name == DELIVER_AT.as_bytes() {
                &mut found.deliver_at
            } else if name == COUNT.as_bytes() {
                &mut found.gather_count
            } else if name == TIMEOUT.as_bytes() {
                &mut found.gather_timeout
            } else {
                continue;
            };
            place.get_or_insert(value);
        }
        found
    }

    /// Whether replies are to be gathered.
    pub(crate) fn gathers(&self) -> bool {
        self.gather_count.is_some() || self.gather_timeout.is_some()
    }

    /// The routing keys among them.
    pub(crate) fn keys(&self) -> Result<Keys<'a>, Refusal> {
        let mut found = Keys {
            keys: Vec::new(),
            has_bcc: self.bcc.is_some(),
        };
        for (name, value) in [(CC, self.cc), (BCC, self.bcc)] {
            match value {
                None => {}
                Some(RawValue::Array(routes)) => {
                    let routes = routes.iter().map_while(Result::ok);
                    found.keys.extend(routes.filter_map(|route| match route {
                        // No binding has a longer key than a short string holds.
                        RawValue::LongStr(key) if key.len() <= NAME_BYTES_MAX => Some(key),
                        _ => None,
                    }));
                }
                Some(other) => {
                    let kind = super::arguments::type_name(other);
                    return Err(precondition_failed(format!(
                        "invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}"
                    )));
                }
            }
        }
        Ok(found)
    }
}

/// A property block without `BCC`.
pub(crate) fn without_bcc(block: &[u8]) -> Vec<u8> {
    with_headers(block, |headers| {
        headers.remove(BCC.as_bytes());
    })
}

/// A property block with one header set.
pub(crate) fn with_header(block: &[u8], name: ShortStr<'_>, value: Value) -> Vec<u8> {
    let is_there = |headers: RawTable<'_>| headers.get(name.as_bytes()).is_some();
    match Properties::parse(block) {
        Ok(properties) if !properties.headers().is_some_and(is_there) => {
            let mut out = Vec::with_capacity(block.len() + name.as_bytes().len() + 16);
            push_header(&properties, name, &value, &mut out);
            out
        }
        _ => with_headers(block, |headers| headers.set(name, value)),
    }
}

/// A property block with its headers changed.
pub(crate) fn with_headers(block: &[u8], change: impl FnOnce(&mut Table)) -> Vec<u8> {
    let Ok(properties) = Properties::parse(block) else {
        return block.to_vec();
    };
    let headers = properties.headers().and_then(|table| table.decode().ok());
    let mut headers = headers.unwrap_or_else(Table::new);
    change(&mut headers);
    let bytes = headers.to_bytes();
    let edited = Edit {
        headers: Change::Set(RawTable::new(&bytes)),
        ..Edit::default()
    };
    let mut out = Vec::with_capacity(block.len() + bytes.len());
    edit(&properties, &edited, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(keys: &[&str]) -> Value {
        Value::from(keys.iter().map(|key| Value::from(*key)).collect::<Vec<_>>())
    }

    #[test]
    fn every_name_is_found_wherever_it_stands_and_the_first_counts() {
        let mut table = Table::new();
        table.push(ShortStr::lit("cc"), "another name");
        table.push(ShortStr::lit(DELIVER_AT), 5i64);
        table.push(ShortStr::lit(BCC), routes(&["b"]));
        table.push(ShortStr::lit(DELAY), 7i32);
        table.push(ShortStr::lit(DELAY), 8i32);
        table.push(ShortStr::lit(CC), routes(&["c", "d"]));
        let bytes = table.to_bytes();
        let found = Noticed::of(RawTable::new(&bytes));
        assert_eq!(found.deliver_at, Some(RawValue::I64(5)));
        assert_eq!(found.delay, Some(RawValue::I32(7)));
        let keys = found.keys().unwrap();
        assert_eq!(keys.keys, [b"c", b"d", b"b"]);
        assert!(keys.has_bcc);
        let nothing = Noticed::of(RawTable::EMPTY).keys().unwrap();
        assert!(nothing.keys.is_empty() && !nothing.has_bcc);
    }

    #[test]
    fn keys_of_another_type_are_refused_by_name() {
        for name in [CC, BCC] {
            let mut table = Table::new();
            table.push(ShortStr::lit(name), 7i32);
            let bytes = table.to_bytes();
            let refusal = Noticed::of(RawTable::new(&bytes)).keys().unwrap_err();
            assert!(refusal.text().contains(name), "{refusal}");
        }
    }
}
