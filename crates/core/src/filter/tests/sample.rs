//! One message that has about everything, and what filters are of it.

use super::*;

pub const T: Option<bool> = Some(true);
pub const F: Option<bool> = Some(false);
/// Unknown.
pub const U: Option<bool> = None;

pub type Row = (&'static str, Option<bool>);

pub fn sample() -> Sample {
    let mut sample = headers([
        ("i", Value::I32(5)),
        ("neg", Value::I8(-7)),
        ("zero", Value::I64(0)),
        ("big", Value::I64(i64::MAX)),
        ("small", Value::I64(i64::MIN)),
        ("beyond", Value::U64(u64::MAX)),
        ("f", Value::F64(2.5)),
        ("fzero", Value::F64(-0.0)),
        ("single", Value::F32(0.1)),
        ("nan", Value::F64(f64::NAN)),
        ("inf", Value::F64(f64::INFINITY)),
        (
            "dec",
            Value::Decimal {
                scale: 2,
                value: 314,
            },
        ),
        ("stamp", Value::Timestamp(1_700_000_000)),
        ("t", text("abc")),
        ("digits", text("5")),
        ("empty", text("")),
        ("quote", text("it's")),
        ("percent", text("100%_\\")),
        ("uni", text("Zoë 🦀")),
        ("größe", text("groß")),
        ("raw", Value::Str(vec![0xff, b'a', 0xc3])),
        ("bin", Value::Bytes(b"abc".to_vec())),
        ("yes", Value::Bool(true)),
        ("no", Value::Bool(false)),
        ("void", Value::Void),
        ("list", Value::Array(vec![Value::I8(1)])),
        ("table", Value::Table(Arguments::new())),
        ("x-kind", text("event")),
        ("a b", text("spaced")),
        ("say \"hi\"", Value::I32(1)),
        ("and", text("keyword")),
        ("_u", Value::I32(1)),
        ("$d.e.f9", Value::I32(2)),
        ("twice", Value::I32(1)),
        ("twice", Value::I32(2)),
        ("JMSXDeliveryCount", Value::I32(3)),
        ("notable", Value::I32(4)),
    ]);
    sample.texts = vec![
        (Property::MessageId, "id-1"),
        (Property::CorrelationId, "c-1"),
        (Property::Type, "order"),
        (Property::ContentType, "text/plain"),
        (Property::ContentEncoding, "gzip"),
        (Property::ReplyTo, "answers"),
        (Property::AppId, "shop"),
        (Property::UserId, "guest"),
        (Property::Expiration, "60000"),
        (Property::Exchange, "orders"),
        (Property::RoutingKey, "order.paid.eu"),
        (Property::GroupId, "g"),
    ];
    sample.integers = vec![
        (Property::Priority, 4),
        (Property::Timestamp, 1_700_000_000_000),
    ];
    sample.persistent = true;
    sample
}

pub fn check(rows: &[Row]) {
    let sample = sample();
    for (text, expected) in rows {
        assert_eq!(truth(text, &sample), *expected, "{text}");
    }
}
