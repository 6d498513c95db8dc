//! Amending the properties of a message as the rules of its exchange ask.
//!
//! Invariants
//! - What is not touched stays byte for byte, headers among themselves, too.
//! - A header that is set is there once.

use amqp091::properties::{Change, Edit, Properties, edit};
use amqp091::{RawTable, ShortStr, Table};
use ferry_broker::Amendment;
use ferry_core::arguments::Arguments;

use super::arguments;

/// A property block with an amendment made.
pub(super) fn amended(block: &[u8], amendment: &Amendment<'_>) -> Vec<u8> {
    let Ok(properties) = Properties::parse(block) else {
        return block.to_vec();
    };
    let headers = properties.headers().unwrap_or_default();
    let headers = amended_headers(headers, amendment);
    let none = headers.is_empty() && properties.headers().is_none();
    let message_id = amendment.message_id.as_deref().map(str::as_bytes);
    let message_id = message_id.and_then(ShortStr::new);
    let change = Edit {
        headers: match none {
            true => Change::Keep,
            false => Change::Set(RawTable::new(&headers)),
        },
        timestamp: amendment.timestamp.map_or(Change::Keep, Change::Set),
        message_id: message_id.map_or(Change::Keep, Change::Set),
        ..Edit::default()
    };
    let mut out = Vec::with_capacity(block.len() + headers.len());
    edit(&properties, &change, &mut out);
    out
}

fn amended_headers(headers: RawTable<'_>, amendment: &Amendment<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(headers.as_bytes().len());
    let mut entries = headers.iter();
    let mut before = entries.as_bytes();
    while let Some(Ok((name, _))) = entries.next() {
        let after = entries.as_bytes();
        if !touched(name, amendment) {
            out.extend_from_slice(&before[..before.len() - after.len()]);
        }
        before = after;
    }
    out.extend_from_slice(&added(amendment).to_bytes());
    out
}

fn touched(name: ShortStr<'_>, amendment: &Amendment<'_>) -> bool {
    std::str::from_utf8(name.as_bytes()).is_ok_and(|name| amendment.touches(name))
}

fn added(amendment: &Amendment<'_>) -> Table {
    let set = amendment.set.iter();
    let set: Arguments = set
        .map(|(name, value)| (*name, (**value).clone()))
        .collect();
    arguments::to_table(&set)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use ferry_core::arguments::Value;

    use super::*;

    fn block(headers: Option<&[u8]>, timestamp: Option<u64>) -> Vec<u8> {
        Edit {
            content_type: Change::Set(ShortStr::lit("text/plain")),
            headers: headers.map_or(Change::Keep, |bytes| Change::Set(RawTable::new(bytes))),
            timestamp: timestamp.map_or(Change::Keep, Change::Set),
            ..Edit::default()
        }
        .build()
    }

    /// Names with values that do not survive being read and written: `L` and bytes that are no
    /// UTF-8.
    const KEPT: &[u8] = b"\x01aL\0\0\0\0\0\0\0\x07\x02\xff\xfet\x02";
    const GONE: &[u8] = b"\x01bt\x01";
    const ADDED: &[u8] = b"\x01bS\0\0\0\x01x";

    fn set(value: &str) -> Amendment<'static> {
        Amendment {
            set: vec![("b", Cow::Owned(Value::from(value)))],
            ..Amendment::default()
        }
    }

    #[test]
    fn what_is_not_touched_stays_byte_for_byte() {
        let all = [GONE, KEPT, GONE].concat();
        let removed = Amendment {
            removed: vec!["b"],
            ..Amendment::default()
        };
        for (headers, amendment, expected) in [
            (Some(&all[..]), set("x"), Some([KEPT, ADDED].concat())),
            (Some(&all), removed.clone(), Some(KEPT.to_vec())),
            (Some(GONE), removed.clone(), Some(vec![])),
            (None, removed, None),
            (None, set("x"), Some(ADDED.to_vec())),
            (Some(KEPT), Amendment::default(), Some(KEPT.to_vec())),
        ] {
            let amended = amended(&block(headers, Some(5)), &amendment);
            assert_eq!(
                amended,
                block(expected.as_deref(), Some(5)),
                "{amendment:?}"
            );
        }
    }

    #[test]
    fn a_timestamp_is_set() {
        let stamp = Amendment {
            timestamp: Some(9),
            ..Amendment::default()
        };
        assert_eq!(amended(&block(None, None), &stamp), block(None, Some(9)));
    }

    #[test]
    fn an_id_is_set() {
        let stamp = Amendment {
            message_id: Some("7".to_owned()),
            ..Amendment::default()
        };
        let amended = amended(&block(Some(KEPT), Some(5)), &stamp);
        let properties = Properties::parse(&amended).unwrap();
        assert_eq!(properties.message_id(), ShortStr::new(b"7"));
        assert_eq!(properties.headers().unwrap().as_bytes(), KEPT);
    }

    #[test]
    fn what_is_no_property_block_stays() {
        assert_eq!(amended(&[0xff], &set("x")), [0xff]);
    }
}
