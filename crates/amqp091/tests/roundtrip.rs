//! Round trips of generated tables, properties and bodies, and tables against another
//! implementation.
#![allow(clippy::unwrap_used)]

use amq_protocol_types::FieldTable;
use amq_protocol_types::parsing::parse_field_table;
use amqp091::content::{ContentLimits, Input};
use amqp091::properties::{self, Change, Edit};
use amqp091::{ChannelInput, Method, Properties, RawTable, ShortStr, Table, Value, frame, method};
use proptest::prelude::*;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::num::f32::NORMAL.prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        any::<(u8, u32)>().prop_map(|(scale, value)| Value::Decimal { scale, value }),
        any::<u64>().prop_map(Value::Timestamp),
        ".{0,20}".prop_map(|text: String| Value::from(text.as_str())),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|b| Value::Bytes(b[..].into())),
        Just(Value::Void),
    ]
}

fn table_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Table> {
    prop::collection::vec(("[a-z]{0,12}", value), 0..6).prop_map(|entries| {
        let mut table = Table::new();
        for (name, value) in entries {
            table.push(ShortStr::new(name.as_bytes()).unwrap(), value);
        }
        table
    })
}

fn table() -> impl Strategy<Value = Table> {
    let value = scalar().prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            table_of(inner).prop_map(Value::from),
        ]
    });
    table_of(value)
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[ -~]{0,40}")
}

fn set(text: Option<&String>) -> Change<ShortStr<'_>> {
    text.map_or(Change::Clear, |text| {
        Change::Set(ShortStr::new(text.as_bytes()).unwrap())
    })
}

proptest! {
    #[test]
    fn tables_survive_the_wire(table in table()) {
        let bytes = table.to_bytes();
        prop_assert_eq!(RawTable::new(&bytes).decode(), Ok(table));
    }

    #[test]
    fn tables_cut_short_are_refused_or_shorter(
        table in table(),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = table.to_bytes();
        prop_assume!(!bytes.is_empty());
        let end = cut.index(bytes.len());
        if let Ok(shorter) = RawTable::new(&bytes[..end]).decode() {
            prop_assert!(shorter.len() < table.len());
        }
    }

    #[test]
    fn tables_are_what_another_implementation_reads(table in table()) {
        let entries = table.to_bytes();
        let sized = [&(entries.len() as u32).to_be_bytes()[..], &entries].concat();
        let (rest, theirs) = parse_field_table(&sized[..]).unwrap();
        prop_assert!(rest.is_empty());
        // Theirs is a map: a name that repeats is there once, with its last value.
        let names: std::collections::BTreeSet<_> = table.iter().map(|(name, _)| name).collect();
        prop_assert_eq!(theirs.inner().len(), names.len());
        for (name, value) in table.iter() {
            let key = std::str::from_utf8(name).unwrap();
            let last = table.iter().filter(|entry| entry.0 == name).last().unwrap().1;
            let found = &theirs.inner()[key];
            prop_assert!(same(last, found), "{:?}: {:?} and {:?}", key, value, found);
        }
    }

    #[test]
    fn properties_survive_the_wire_and_edits(
        texts in prop::array::uniform10(text()),
        delivery_mode in prop::option::of(any::<u8>()),
        priority in prop::option::of(any::<u8>()),
        timestamp in prop::option::of(any::<u64>()),
        headers in prop::option::of(table()),
    ) {
        let headers = headers.map(|table| table.to_bytes());
        let edit = Edit {
            content_type: set(texts[0].as_ref()),
            content_encoding: set(texts[1].as_ref()),
            headers: headers.as_ref().map_or(Change::Keep, |h| Change::Set(RawTable::new(h))),
            delivery_mode: delivery_mode.map_or(Change::Keep, Change::Set),
            priority: priority.map_or(Change::Keep, Change::Set),
            correlation_id: set(texts[2].as_ref()),
            reply_to: set(texts[3].as_ref()),
            expiration: set(texts[4].as_ref()),
            message_id: set(texts[5].as_ref()),
            timestamp: timestamp.map_or(Change::Keep, Change::Set),
            type_: set(texts[6].as_ref()),
            user_id: set(texts[7].as_ref()),
            app_id: set(texts[8].as_ref()),
            cluster_id: set(texts[9].as_ref()),
        };
        let raw = edit.build();
        let parsed = Properties::parse(&raw).unwrap();
        let found = [
            parsed.content_type(), parsed.content_encoding(), parsed.correlation_id(),
            parsed.reply_to(), parsed.expiration(), parsed.message_id(), parsed.type_(),
            parsed.user_id(), parsed.app_id(), parsed.cluster_id(),
        ];
        let found = found.map(|text| text.map(|text| text.as_str_lossy().into_owned()));
        prop_assert_eq!(found, texts);
        prop_assert_eq!(parsed.delivery_mode(), delivery_mode);
        prop_assert_eq!(parsed.priority(), priority);
        prop_assert_eq!(parsed.timestamp(), timestamp);
        prop_assert_eq!(parsed.headers().map(RawTable::as_bytes), headers.as_deref());
        let mut same = Vec::new();
        properties::edit(&parsed, &Edit::default(), &mut same);
        prop_assert_eq!(same, raw);
    }

    #[test]
    fn a_body_is_put_together_as_it_was(
        body in prop::collection::vec(any::<u8>(), 0..20_000),
        frame_bytes_max in 4096u32..10_000,
    ) {
        let mut bytes = Vec::new();
        Method::from(method::basic::Publish::default()).write_frame(&mut bytes, 1);
        frame::write_header(&mut bytes, 1, 60, body.len() as u64, &properties::EMPTY);
        frame::write_body(&mut bytes, 1, &body, frame_bytes_max);
        let limits = ContentLimits { message_bytes_max: 20_000, body_bytes_max: 20_000 };
        let (mut input, mut rest, mut ended) = (ChannelInput::new(), &bytes[..], None);
        while let Some(found) = frame::parse(rest, frame_bytes_max).unwrap() {
            prop_assert!(ended.is_none());
            rest = &rest[found.size..];
            match input.accept(found, limits).unwrap() {
                Input::Message(message) => ended = Some(message.body),
                other => prop_assert_eq!(other, Input::Incomplete),
            }
        }
        prop_assert_eq!(ended, Some(body));
    }
}

/// Whether the two say the same.
fn same(ours: &Value, theirs: &amq_protocol_types::AMQPValue) -> bool {
    use amq_protocol_types::AMQPValue as Theirs;
    match (ours, theirs) {
        (Value::Bool(a), Theirs::Boolean(b)) => a == b,
        (Value::I8(a), Theirs::ShortShortInt(b)) => a == b,
        (Value::U8(a), Theirs::ShortShortUInt(b)) => a == b,
        (Value::I16(a), Theirs::ShortInt(b)) => a == b,
        (Value::U16(a), Theirs::ShortUInt(b)) => a == b,
        (Value::I32(a), Theirs::LongInt(b)) => a == b,
        (Value::U32(a), Theirs::LongUInt(b)) => a == b,
        (Value::I64(a), Theirs::LongLongInt(b)) => a == b,
        (Value::F32(a), Theirs::Float(b)) => a == b,
        (Value::F64(a), Theirs::Double(b)) => a == b,
        (Value::Decimal { scale, value }, Theirs::DecimalValue(b)) => {
            (*scale, *value) == (b.scale, b.value)
        }
        (Value::Timestamp(a), Theirs::Timestamp(b)) => a == b,
        (Value::LongStr(a), Theirs::LongString(b)) => **a == *b.as_bytes(),
        (Value::Bytes(a), Theirs::ByteArray(b)) => **a == *b.as_slice(),
        (Value::Void, Theirs::Void) => true,
        (Value::Array(a), Theirs::FieldArray(b)) => {
            let b = b.as_slice();
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Table(a), Theirs::FieldTable(b)) => same_table(a, b),
        _ => false,
    }
}

fn same_table(ours: &Table, theirs: &FieldTable) -> bool {
    theirs.inner().iter().all(|(name, value)| {
        let last = ours
            .iter()
            .filter(|entry| entry.0 == name.as_str().as_bytes())
            .last();
        last.is_some_and(|(_, ours)| same(ours, value))
    })
}
