//! Bytes that RabbitMQ 3.10.8 itself made, for every method, every table type and the properties.
//!
//! `golden/methods.txt` has a method a line: name, payload in hex, fields as `Debug` shows them.
//! Neighbouring fields differ, so that two of them cannot be mistaken for each other.
#![allow(clippy::unwrap_used)]

use amqp091::{Method, Properties, RawTable, RawValue, ShortStr, properties};

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes().chunks(2);
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(octet).collect()
}

#[test]
fn every_method_reads_and_writes_as_in_rabbitmq() {
    let mut count = 0;
    for line in include_str!("golden/methods.txt").lines() {
        let mut columns = line.splitn(3, ' ');
        let (name, hex) = (columns.next().unwrap(), columns.next().unwrap());
        let fields = columns.next().unwrap();
        let payload = from_hex(hex);
        let method = Method::decode(&payload).unwrap();
        assert_eq!(method.name(), name);
        let shown = format!("{method:?}");
        let shown_fields = shown
            .find(" {")
            .map_or("", |at| shown[at + 1..].trim_end_matches(')'));
        // A parenthesis that closes a table's Debug, not the variant's, ends in a brace anyway.
        assert_eq!(shown_fields, fields, "{name}");
        let mut encoded = Vec::new();
        method.encode(&mut encoded);
        assert_eq!(encoded, payload, "{name}");
        for end in 0..payload.len() {
            assert!(
                Method::decode(&payload[..end]).is_err(),
                "{name} cut at {end}"
            );
        }
        count += 1;
    }
    assert_eq!(count, 66);
}

#[test]
fn every_table_type_reads_and_writes_as_in_rabbitmq() {
    let bytes = from_hex(include_str!("golden/table.txt"));
    let raw = RawTable::new(&bytes);
    for (name, expected) in [
        ("bool", RawValue::Bool(true)),
        ("byte", RawValue::I8(-2)),
        ("ubyte", RawValue::U8(250)),
        ("short", RawValue::I16(-300)),
        ("ushort", RawValue::U16(65_000)),
        ("int", RawValue::I32(-70_000)),
        ("uint", RawValue::U32(4_000_000_000)),
        ("long", RawValue::I64(-5_000_000_000)),
        ("float", RawValue::F32(1.5)),
        ("double", RawValue::F64(-2.25)),
        (
            "decimal",
            RawValue::Decimal {
                scale: 2,
                value: 314,
            },
        ),
        ("time", RawValue::Timestamp(1_700_000_000)),
        ("str", RawValue::LongStr(b"text")),
        ("bin", RawValue::Bytes(&[0, 1, 2])),
        ("void", RawValue::Void),
        ("", RawValue::Bool(false)),
    ] {
        assert_eq!(raw.get(name.as_bytes()), Some(expected), "{name}");
    }
    let array = raw.get(b"arr").and_then(RawValue::as_array).unwrap();
    let values: Vec<_> = array.iter().map(Result::unwrap).collect();
    assert_eq!(values.len(), 4);
    assert_eq!(
        values[1].as_table().unwrap().get(b"k"),
        Some(RawValue::I64(1))
    );
    let table = raw.get(b"tab").and_then(RawValue::as_table).unwrap();
    assert_eq!(table.iter().count(), 2);
    assert_eq!(raw.decode().unwrap().to_bytes(), bytes);
    for end in 1..bytes.len() {
        let _ = RawTable::new(&bytes[..end]).decode();
    }
}

#[test]
fn properties_read_and_write_as_in_rabbitmq() {
    let text = |text| properties::Change::Set(ShortStr::lit(text));
    let full = properties::Edit {
        content_type: text("text/plain"),
        content_encoding: text("utf-8"),
        headers: properties::Change::Set(RawTable::new(b"\x01hI\0\0\0\x07")),
        delivery_mode: properties::Change::Set(2),
        priority: properties::Change::Set(5),
        correlation_id: text("corr"),
        reply_to: text("reply"),
        expiration: text("60000"),
        message_id: text("id"),
        timestamp: properties::Change::Set(1_700_000_000),
        type_: text("type"),
        user_id: text("guest"),
        app_id: text("app"),
        cluster_id: text("cluster"),
    };
    let some = properties::Edit {
        delivery_mode: properties::Change::Set(1),
        reply_to: text("back"),
        ..properties::Edit::default()
    };
    let mut lines = include_str!("golden/properties.txt").lines();
    for edit in [full, some, properties::Edit::default()] {
        let bytes = from_hex(lines.next().unwrap());
        assert_eq!(edit.build(), bytes);
        assert_eq!(Properties::parse(&bytes).unwrap().as_bytes(), bytes);
    }
}
