//! From MQTT to AMQP.

use super::super::to_amqp::{Arrival, properties, to_amqp091};
use super::*;

/// Checks what an MQTT message of QoS 1 is in AMQP: properties, and headers behind the QoS.
fn check(
    name: &str,
    published: impl for<'w, 'o> FnOnce(Writer<'w, 'o>) -> Writer<'w, 'o>,
    said: Edit<'_>,
    headers: &[(&str, Value)],
) {
    let qos = ("x-mqtt-publish-qos", Value::I8(1));
    let headers = [&[qos], headers].concat();
    let bytes = table(&headers);
    let expected = Edit {
        headers: Change::Set(RawTable::new(&bytes)),
        delivery_mode: Change::Set(2),
        ..said
    };
    let published = mqtt_properties(published);
    let found = in_amqp(&block(1, false, &published, b""));
    assert_eq!(found, expected.build(), "{name}");
}

fn expires(text: &str) -> Edit<'_> {
    let expiration = set(text);
    Edit {
        expiration,
        timestamp: Change::Set(1000),
        ..Edit::default()
    }
}

fn correlated(text: &str) -> Edit<'_> {
    let correlation_id = set(text);
    Edit {
        correlation_id,
        ..Edit::default()
    }
}

#[test]
fn every_property_of_mqtt_has_its_place() {
    let none = Edit::default;
    let header = |name: &'static str, bytes: &[u8]| [(name, long(bytes))];
    let typed = Edit {
        content_type: set("text/plain"),
        ..none()
    };
    let wide = "w".repeat(256);
    let odd = [0xffu8, 0, 1];
    check("nothing", |w| w, none(), &[]);
    let format = [("x-mqtt-payload-format", Value::I8(1))];
    check(
        "payload format",
        |w| w.payload_format(true),
        none(),
        &format,
    );
    check("expiry", |w| w.message_expiry(60), expires("60000"), &[]);
    let never = expires("4294967295000");
    check("longest expiry", |w| w.message_expiry(u32::MAX), never, &[]);
    check("content type", |w| w.content_type("text/plain"), typed, &[]);
    let type_header = header("x-content-type", wide.as_bytes());
    check(
        "long content type",
        |w| w.content_type(&wide),
        none(),
        &type_header,
    );
    let topic = header("x-reply-to-topic", b"a.b/c");
    check(
        "response topic",
        |w| w.response_topic("a/b.c"),
        none(),
        &topic,
    );
    check(
        "correlation",
        |w| w.correlation_data("é".as_bytes()),
        correlated("é"),
        &[],
    );
    for data in [&odd[..], wide.as_bytes(), b"a\0b"] {
        let header = header("x-correlation-id", data);
        check(
            "odd correlation",
            |w| w.correlation_data(data),
            none(),
            &header,
        );
    }
    let users = [("b", long(b"1")), ("a", long(b"2"))];
    check(
        "user properties",
        |w| w.user("b", "1").user("a", "2"),
        none(),
        &users,
    );
}

fn users<'a, 'b>(
    writer: &'a mut PropertiesWriter<'b>,
    users: &[(&str, &str)],
) -> &'a mut PropertiesWriter<'b> {
    for (name, value) in users {
        writer.user(name, value);
    }
    writer
}

#[test]
fn what_amqp_has_a_property_for_comes_from_user_properties() {
    let carried = [
        ("x-amqp-message-id", "m"),
        ("x-amqp-priority", "9"),
        ("x-amqp-timestamp", "1700000000"),
        ("x-amqp-type", "t"),
        ("x-amqp-app-id", "a"),
        ("x-amqp-reply-to", "r"),
        ("x-amqp-content-encoding", "gzip"),
        ("x-amqp-cluster-id", "c"),
    ];
    let said = Edit {
        message_id: set("m"),
        priority: Change::Set(9),
        timestamp: Change::Set(1_700_000_000),
        type_: set("t"),
        app_id: set("a"),
        reply_to: set("r"),
        content_encoding: set("gzip"),
        cluster_id: set("c"),
        ..Edit::default()
    };
    check("all", |w| users(w, &carried), said, &[]);
    let wide = "w".repeat(256);
    let refused = [
        ("x-amqp-priority", "256"),
        ("x-amqp-timestamp", "+1"),
        ("x-amqp-type", &wide),
        ("x-amqp-user-id", "root"),
    ];
    let headers = refused.map(|(name, value)| (name, long(value.as_bytes())));
    check("none", |w| users(w, &refused), Edit::default(), &headers);
}

#[test]
fn names_that_can_not_be_headers_go_as_pairs() {
    let wide = "n".repeat(256);
    let properties = mqtt_properties(|w| {
        w.user("a", "1")
            .user("a", "2")
            .user(&wide, "3")
            .user("x-mqtt-publish-qos", "2");
        w.user("x-death", "forged").user("b", "4")
    });
    let dead = table(&[
        ("x-death", Value::from(vec![])),
        ("x-first-death-queue", long(b"q")),
    ]);
    let headers = headers_of(&in_amqp(&block(0, true, &properties, &dead)));
    let pair = |name: &str, value: &str| Value::from(vec![Value::from(name), Value::from(value)]);
    let expected = [
        ("x-death", Value::from(vec![])),
        ("x-first-death-queue", long(b"q")),
        ("x-mqtt-publish-qos", Value::I8(0)),
        ("x-mqtt-retain", Value::Bool(true)),
        ("a", long(b"1")),
        ("b", long(b"4")),
        (
            "x-mqtt-user-properties",
            Value::from(vec![
                pair("a", "2"),
                pair(&wide, "3"),
                pair("x-mqtt-publish-qos", "2"),
                pair("x-death", "forged"),
            ]),
        ),
    ];
    let expected: Vec<_> = expected
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    assert_eq!(headers, expected);
}

#[test]
fn headers_fit_the_frame_and_what_does_not_is_counted() {
    let big = "v".repeat(60_000);
    let properties = mqtt_properties(|w| {
        for index in 0..200 {
            w.user(&index.to_string(), &big);
        }
        w.user("small", "s")
    });
    let message = stored(
        FORMAT_MQTT,
        &block(1, false, &properties, b""),
        b"",
        true,
        b"k",
    );
    let message = Message::parse(&message).unwrap();
    for (frame, left_out) in [(4096, 200), (131_072, 198)] {
        let basic = to_amqp091(&message, frame);
        assert!(basic.len() + 256 < frame as usize, "{}", basic.len());
        let headers = headers_of(&basic);
        let last = headers.last().unwrap();
        assert_eq!(*last, ("x-mqtt-left-out".to_owned(), Value::I64(left_out)));
        assert!(headers.contains(&("small".to_owned(), long(b"s"))));
    }
}

#[test]
fn a_topic_that_is_too_long_for_a_routing_key_is_a_header() {
    let key = [b"a.b/", &b"k".repeat(60_000)[..]].concat();
    let block = block(0, false, b"", b"");
    let arrival = Arrival {
        routing_key: &key,
        published_ms: 5,
    };
    let block = Block::parse(&block).unwrap();
    let headers = headers_of(&properties(&block, Some(arrival), usize::MAX));
    let (name, topic) = headers.last().unwrap();
    assert_eq!(
        (name.as_str(), topic.as_bytes().unwrap().len()),
        ("x-mqtt-topic", key.len())
    );
    assert!(topic.as_str().unwrap().starts_with("a/b.kkk"));
}
