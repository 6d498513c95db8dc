//! From AMQP to MQTT.

use super::super::to_mqtt::{expiry_left_s, written};
use super::*;

/// Checks what an AMQP message is in MQTT.
fn check(
    name: &str,
    said: Edit<'_>,
    headers: &[(&str, Value)],
    expected: impl for<'w, 'o> FnOnce(Writer<'w, 'o>) -> Writer<'w, 'o>,
) {
    let bytes = table(headers);
    let headers = Change::Set(RawTable::new(&bytes));
    let basic = Edit { headers, ..said }.build();
    assert_eq!(
        in_mqtt(&basic, b"text"),
        mqtt_properties(expected),
        "{name}"
    );
}

#[test]
fn what_mqtt_has_a_property_for_goes_there() {
    let none = Edit::default;
    let odd = [0xffu8, 0];
    let typed = Edit {
        content_type: set("text/plain"),
        ..none()
    };
    let correlated = Edit {
        correlation_id: set("c"),
        ..none()
    };
    let header = |name: &'static str, bytes: &[u8]| [(name, long(bytes))];
    check("nothing", none(), &[], |w| w);
    let other = header("x-content-type", b"text/other");
    check("content type", typed, &other, |w| {
        w.content_type("text/plain")
    });
    check("its header", none(), &other, |w| {
        w.content_type("text/other")
    });
    let binary = header("x-correlation-id", &odd);
    check("correlation", correlated, &binary, |w| {
        w.correlation_data(b"c")
    });
    check("its header", none(), &binary, |w| w.correlation_data(&odd));
    let topic = header("x-reply-to-topic", b"a.b/c");
    check("topic", none(), &topic, |w| w.response_topic("a/b.c"));
    let topics = [
        ("x-reply-to-topic", long(b"a.#")),
        ("x-opt-reply-to-topic", long(b"a.b")),
    ];
    check("its other name", none(), &topics, |w| {
        w.response_topic("a/b")
    });
    let format = [("x-mqtt-payload-format", Value::U8(1))];
    check("format", none(), &format, |w| w.payload_format(true));
    let headers = table(&format);
    let headers = Change::Set(RawTable::new(&headers));
    let says_text = Edit { headers, ..none() }.build();
    assert!(
        in_mqtt(&says_text, &odd).is_empty(),
        "no text is called text"
    );
}

#[test]
fn what_mqtt_has_no_property_for_goes_as_user_properties() {
    let said = Edit {
        content_encoding: set("gzip"),
        priority: Change::Set(9),
        reply_to: set("r"),
        message_id: set("m"),
        timestamp: Change::Set(5),
        type_: set("t"),
        user_id: set("u"),
        app_id: set("a"),
        cluster_id: set("c"),
        ..Edit::default()
    };
    check("properties", said, &[], |w| {
        w.user("x-amqp-content-encoding", "gzip");
        w.user("x-amqp-reply-to", "r");
        w.user("x-amqp-message-id", "m").user("x-amqp-type", "t");
        w.user("x-amqp-user-id", "u").user("x-amqp-app-id", "a");
        w.user("x-amqp-cluster-id", "c");
        w.user("x-amqp-priority", "9").user("x-amqp-timestamp", "5")
    });
    let binary = |bytes: &[u8]| Value::Bytes(bytes.into());
    for (value, expected) in [
        (long(b"v"), Some("v")),
        (binary(b"v"), Some("v")),
        (Value::I64(-5), Some("-5")),
        (Value::Bool(true), Some("true")),
        (Value::Void, Some("")),
        (long(&[0xff]), None),
        (binary(&[0xff]), None),
        (long(b"a\nb"), None),
        (Value::from(vec![Value::from(1i32)]), None),
        (Table::new().into(), None),
    ] {
        let name = format!("{value:?}");
        let headers = [("h", value), ("x-mqtt-retain", Value::Bool(true))];
        check(&name, Edit::default(), &headers, |w| match expected {
            Some(text) => w.user("h", text),
            None => w,
        });
    }
}

#[test]
fn the_quality_follows_the_delivery_mode() {
    let two = table(&[("x-mqtt-publish-qos", Value::I8(2))]);
    let one = table(&[("x-mqtt-publish-qos", Value::I8(1))]);
    for (persistent, headers, expected) in [
        (false, None, 0),
        (true, None, 1),
        (true, Some(&two), 2),
        (true, Some(&one), 1),
        (false, Some(&two), 0),
    ] {
        let headers = headers.map_or(Change::Keep, |bytes| Change::Set(RawTable::new(bytes)));
        let basic = Edit {
            headers,
            ..Edit::default()
        }
        .build();
        let message = stored(FORMAT_AMQP091, &basic, b"", persistent, b"k");
        let found = Outgoing::of(&Message::parse(&message).unwrap());
        let found = (found.qos, found.retain, found.publisher);
        assert_eq!(found, (expected, false, 0), "{persistent} {headers:?}");
    }
    let message = stored(FORMAT_MQTT, &block(2, true, b"", b""), b"", true, b"k");
    let found = Outgoing::of(&Message::parse(&message).unwrap());
    assert_eq!((found.qos, found.retain, found.publisher), (2, true, 7));
}

#[test]
fn values_are_written_as_text() {
    for (value, expected) in [
        (Value::I8(-8), Some("-8")),
        (Value::U8(200), Some("200")),
        (Value::I64(i64::MIN), Some("-9223372036854775808")),
        (Value::F32(0.5), Some("0.5")),
        (Value::F64(-2.75), Some("-2.75")),
        (Value::Timestamp(u64::MAX), Some("18446744073709551615")),
        (
            Value::Decimal {
                scale: 0,
                value: 314,
            },
            Some("314"),
        ),
        (
            Value::Decimal {
                scale: 2,
                value: 314,
            },
            Some("3.14"),
        ),
        (
            Value::Decimal {
                scale: 4,
                value: 314,
            },
            Some("0.0314"),
        ),
        (
            Value::Decimal {
                scale: 255,
                value: 0,
            },
            Some(""),
        ),
        (Value::from(vec![]), None),
    ] {
        let mut bytes = vec![1, b'v'];
        value.encode(&mut bytes);
        let found = written(RawTable::new(&bytes).get(b"v").unwrap());
        match expected {
            Some("") => assert_eq!(found.unwrap().len(), 257, "{value:?}"),
            expected => assert_eq!(found.as_deref(), expected, "{value:?}"),
        }
    }
}

#[test]
fn what_is_left_of_a_life_is_told_in_whole_seconds() {
    for (ttl_ms, waited_ms, expected) in [
        (None, 5, None),
        (Some(60_000), 0, Some(60)),
        (Some(60_000), 1, Some(60)),
        (Some(60_000), 59_000, Some(1)),
        (Some(60_000), 70_000, Some(1)),
        (Some(500), 0, Some(1)),
        (Some(u64::MAX - 1), 0, Some(u32::MAX)),
    ] {
        let stored = stored(FORMAT_AMQP091, &EMPTY, b"", true, b"k");
        let draft = Message::parse(&stored).unwrap().draft();
        let mut bytes = Vec::new();
        Draft { ttl_ms, ..draft }.encode(&mut bytes);
        let message = Message::parse(&bytes).unwrap();
        let left = expiry_left_s(&message, message.published_ms() + waited_ms);
        assert_eq!(left, expected, "{ttl_ms:?} {waited_ms}");
    }
}

#[test]
fn what_the_broker_added_goes_out_behind_what_was_published() {
    let published = mqtt_properties(|w| w.message_expiry(5).user("a", "1"));
    let added = table(&[
        ("x-death", Value::from(vec![])),
        ("x-first-death-queue", long(b"q")),
    ]);
    for (headers, expected) in [
        (&b""[..], published.clone()),
        (
            &added,
            mqtt_properties(|w| {
                w.message_expiry(5)
                    .user("a", "1")
                    .user("x-first-death-queue", "q")
            }),
        ),
    ] {
        let message = stored(
            FORMAT_MQTT,
            &block(1, false, &published, headers),
            b"",
            true,
            b"k",
        );
        let found = Outgoing::of(&Message::parse(&message).unwrap()).properties();
        assert_eq!(*found, expected);
    }
}
