//! Both directions as tables, and there and back again.

use amqp091::properties::{Change, EMPTY, Edit, Properties as Basic};
use amqp091::{RawTable, ShortStr, Table, Value};
use ferry_core::message::{Draft, FORMAT_AMQP091, FORMAT_MQTT, Message};
use mqtt::{For, Properties, PropertiesWriter, write_properties};

use super::to_amqp::to_amqp091;
use super::to_mqtt::Outgoing;

use crate::mqtt::block::Block;

mod to_amqp;
mod to_mqtt;

const FRAME: u32 = 131_072;

type Writer<'w, 'o> = &'w mut PropertiesWriter<'o>;

/// A stored message: format, properties, body, whether it is persistent.
fn stored(format: u8, properties: &[u8], body: &[u8], persistent: bool, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Draft {
        format,
        persistent,
        dead_lettered: false,
        priority: 0,
        ttl_ms: None,
        published_ms: 1_000_000,
        deliver_at: None,
        id: None,
        exchange: b"amq.topic",
        routing_key: key,
        properties,
        body,
    }
    .encode(&mut out);
    out
}

fn mqtt_properties(write: impl for<'w, 'o> FnOnce(Writer<'w, 'o>) -> Writer<'w, 'o>) -> Vec<u8> {
    let mut out = Vec::new();
    write_properties(&mut out, |writer| {
        write(writer);
    });
    out
}

/// A publish by MQTT of that QoS, and headers of the broker.
fn block(qos: u8, retain: bool, properties: &[u8], headers: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Block {
        is_replay: false,
        retain,
        qos,
        v5: true,
        publisher: 7,
        properties: Properties::from_checked(properties),
        headers: RawTable::new(headers),
    }
    .write(&mut out);
    out
}

fn in_amqp(block: &[u8]) -> Vec<u8> {
    let message = stored(FORMAT_MQTT, block, b"x", true, b"a.b");
    to_amqp091(&Message::parse(&message).unwrap(), FRAME)
}

fn in_mqtt(basic: &[u8], body: &[u8]) -> Vec<u8> {
    let message = stored(FORMAT_AMQP091, basic, body, true, b"a.b");
    let properties = Outgoing::of(&Message::parse(&message).unwrap())
        .properties()
        .into_owned();
    assert!(Properties::parse(&properties, For::Delivery).is_ok());
    properties
}

fn table(entries: &[(&str, Value)]) -> Vec<u8> {
    let mut table = Table::new();
    for (name, value) in entries {
        table.push(ShortStr::clipped(name.as_bytes()), value.clone());
    }
    table.to_bytes()
}

fn long(bytes: &[u8]) -> Value {
    Value::LongStr(bytes.into())
}

fn headers_of(basic: &[u8]) -> Vec<(String, Value)> {
    let table = Basic::parse(basic).unwrap().headers().unwrap();
    let table = table.decode().unwrap();
    let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
    let entries = table.iter();
    entries
        .map(|(name, value)| (text(name), value.clone()))
        .collect()
}

fn set(text: &str) -> Change<ShortStr<'_>> {
    Change::Set(ShortStr::new(text.as_bytes()).unwrap())
}

#[test]
fn mqtt_through_amqp_comes_back_as_it_was() {
    let wide = "n".repeat(300);
    let properties = mqtt_properties(|w| {
        w.payload_format(true)
            .content_type(&wide)
            .response_topic("re/p.ly");
        w.correlation_data(&[0, 0xff])
            .user("x-amqp-message-id", "m")
            .user("x-amqp-priority", "3");
        w.user("b", "1")
            .user("a", "é")
            .user("b", "2")
            .user(&wide, "4")
    });
    let basic = in_amqp(&block(2, true, &properties, b""));
    let back = in_mqtt(&basic, b"x");
    let back = Properties::parse(&back, For::Delivery).unwrap();
    let sorted = |properties: Properties<'_>| {
        let users = properties.user_properties();
        let mut users: Vec<_> = users.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        users.sort_by(|left, right| left.0.cmp(&right.0)); // stable: the order within a name stays
        users
    };
    let before = Properties::from_checked(&properties);
    assert_eq!(sorted(back), sorted(before));
    assert_eq!(back.payload_format(), before.payload_format());
    assert_eq!(back.content_type(), before.content_type());
    assert_eq!(back.response_topic(), before.response_topic());
    assert_eq!(back.correlation_data(), before.correlation_data());
}

#[test]
fn amqp_through_mqtt_comes_back_but_for_types_and_the_user() {
    let headers = table(&[
        ("x-amqp-type", long(b"a header of that name")),
        ("text", long(b"v")),
        ("number", Value::I32(5)),
        ("x-reply-to-topic", long(b"a.b")),
    ]);
    let before = Edit {
        content_type: set("text/plain"),
        content_encoding: set("gzip"),
        headers: Change::Set(RawTable::new(&headers)),
        delivery_mode: Change::Set(2),
        priority: Change::Set(4),
        correlation_id: set("c"),
        reply_to: set("q"),
        message_id: set("m"),
        timestamp: Change::Set(5),
        type_: set("t"),
        user_id: set("guest"),
        app_id: set("a"),
        cluster_id: set("k"),
        ..Edit::default()
    };
    let properties = in_mqtt(&before.build(), b"x");
    let back = in_amqp(&block(1, false, &properties, b""));
    let headers = table(&[
        ("x-mqtt-publish-qos", Value::I8(1)),
        ("x-reply-to-topic", long(b"a.b")),
        ("x-amqp-user-id", long(b"guest")),
        ("x-amqp-type", long(b"a header of that name")),
        ("text", long(b"v")),
        ("number", long(b"5")),
    ]);
    let expected = Edit {
        headers: Change::Set(RawTable::new(&headers)),
        user_id: Change::Keep,
        ..before
    };
    assert_eq!(back, expected.build());
}

#[test]
fn no_bytes_make_it_panic() {
    let properties = mqtt_properties(|w| {
        w.content_type("t")
            .correlation_data(b"c")
            .user("a", "1")
            .message_expiry(9)
    });
    let nested = table(&[(
        "l",
        Value::from(vec![Value::from("x"), Table::new().into()]),
    )]);
    let seeds = [
        (FORMAT_MQTT, block(2, true, &properties, &nested)),
        (
            FORMAT_AMQP091,
            in_amqp(&block(2, true, &properties, &nested)),
        ),
        (9, vec![0; 40]),
    ];
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for (format, seed) in &seeds {
        for _ in 0..20_000 {
            let mut bytes = seed.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            bytes.truncate(random(bytes.len() + 1).max(1));
            let stored = stored(*format, &bytes, b"x", true, b"k");
            let message = Message::parse(&stored).unwrap();
            Outgoing::of(&message).properties();
            let basic = to_amqp091(&message, 4096);
            assert!(Basic::parse(&basic).unwrap().validate_headers().is_ok());
        }
    }
}
