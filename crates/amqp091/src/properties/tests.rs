//! Property blocks: read, edited, cut short.

use super::*;
use crate::table::Table;

fn full() -> Edit<'static> {
    let text = |text| Change::Set(ShortStr::lit(text));
    Edit {
        content_type: text("text/plain"),
        content_encoding: text("gzip"),
        headers: Change::Set(RawTable::new(b"\x01kt\x01")),
        delivery_mode: Change::Set(2),
        priority: Change::Set(9),
        correlation_id: text("c"),
        reply_to: text("r"),
        expiration: text("60000"),
        message_id: text("m"),
        timestamp: Change::Set(1_700_000_000),
        type_: text("t"),
        user_id: text("u"),
        app_id: text("a"),
        cluster_id: text(""),
    }
}

#[test]
fn a_header_is_added_behind_the_others_and_nothing_else_changes() {
    let cases = [
        Edit::default(),
        full(),
        Edit {
            headers: Change::Clear,
            ..full()
        },
        Edit {
            cluster_id: Change::Set(ShortStr::lit("c")),
            ..Edit::default()
        },
        Edit {
            content_type: Change::Set(ShortStr::lit("text/plain")),
            ..Edit::default()
        },
        Edit {
            headers: Change::Set(RawTable::new(b"\x01kt\x01")),
            ..Edit::default()
        },
    ];
    for before in cases {
        let raw = before.build();
        let properties = Properties::parse(&raw).unwrap();
        let mut table = properties.headers().map_or_else(Table::new, |headers| {
            headers.decode().expect("the case is well formed")
        });
        table.push(ShortStr::lit("new"), 7_i64);
        let bytes = table.to_bytes();
        let expected = Edit {
            headers: Change::Set(RawTable::new(&bytes)),
            ..before
        };
        let mut out = b"before".to_vec();
        push_header(&properties, ShortStr::lit("new"), &Value::I64(7), &mut out);
        assert_eq!(out, [b"before", &expected.build()[..]].concat());
    }
}

#[test]
fn every_property_is_found_where_it_was_put() {
    let raw = full().build();
    let properties = Properties::parse(&raw).unwrap();
    let text = |value: Option<ShortStr<'_>>| value.unwrap().as_str().unwrap().to_owned();
    assert_eq!(text(properties.content_type()), "text/plain");
    assert_eq!(text(properties.content_encoding()), "gzip");
    assert_eq!(properties.headers().unwrap().as_bytes(), b"\x01kt\x01");
    assert_eq!(properties.delivery_mode(), Some(2));
    assert_eq!(properties.priority(), Some(9));
    assert_eq!(text(properties.correlation_id()), "c");
    assert_eq!(text(properties.reply_to()), "r");
    assert_eq!(text(properties.expiration()), "60000");
    assert_eq!(text(properties.message_id()), "m");
    assert_eq!(properties.timestamp(), Some(1_700_000_000));
    assert_eq!(text(properties.type_()), "t");
    assert_eq!(text(properties.user_id()), "u");
    assert_eq!(text(properties.app_id()), "a");
    assert_eq!(text(properties.cluster_id()), "");
    assert_eq!(properties.validate_headers(), Ok(()));
    assert_eq!(Properties::parse(&EMPTY).unwrap().content_type(), None);
}

#[test]
fn a_block_cut_anywhere_or_with_more_is_refused() {
    let raw = full().build();
    for end in 0..raw.len() {
        assert!(Properties::parse(&raw[..end]).is_err(), "{end} bytes");
    }
    let longer = [&raw[..], &[0]].concat();
    for (block, expected) in [
        (&longer[..], "bytes after the last value"),
        (
            &[0, 1, 0, 1, 0, 1, 0, 1],
            "more flags than there are properties",
        ),
        (&[], "no flags"),
        (&[0x20, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1], "cut short"),
    ] {
        assert_eq!(
            Properties::parse(block),
            Err(DecodeError::Properties(expected))
        );
    }
}

#[test]
fn headers_are_looked_into_only_when_asked() {
    let raw = Edit {
        headers: Change::Set(RawTable::new(b"\x09bad")),
        ..Edit::default()
    };
    let raw = raw.build();
    let properties = Properties::parse(&raw).unwrap();
    assert_eq!(properties.validate_headers(), Err(TableError::Truncated));
}

#[test]
fn an_edit_leaves_the_rest_byte_for_byte() {
    let raw = full().build();
    let properties = Properties::parse(&raw).unwrap();
    let mut same = Vec::new();
    edit(&properties, &Edit::default(), &mut same);
    assert_eq!(same, raw);

    let mut edited = Vec::new();
    let change = Edit {
        headers: Change::Set(RawTable::new(b"\x01zV")),
        expiration: Change::Clear,
        reply_to: Change::Set(ShortStr::lit("elsewhere")),
        ..Edit::default()
    };
    edit(&properties, &change, &mut edited);
    let after = Properties::parse(&edited).unwrap();
    assert_eq!(after.headers().unwrap().as_bytes(), b"\x01zV");
    assert_eq!(after.expiration(), None);
    assert_eq!(after.reply_to(), Some(ShortStr::lit("elsewhere")));
    for property in Property::ALL {
        use Property::{Expiration, Headers, ReplyTo};
        if !matches!(property, Headers | Expiration | ReplyTo) {
            assert_eq!(
                after.value_bytes(property),
                properties.value_bytes(property)
            );
        }
    }
}
