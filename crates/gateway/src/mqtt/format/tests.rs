//! What is seen of a block, and what is written into one.

use amqp091::{ShortStr, Table};
use ferry_core::message::{Draft, FORMAT_MQTT};
use mqtt::PropertiesWriter;

use super::*;

fn block(
    qos: u8,
    headers: &Arguments,
    write: impl for<'a, 'b> FnOnce(&'a mut PropertiesWriter<'b>) -> &'a mut PropertiesWriter<'b>,
) -> Vec<u8> {
    let mut properties = Vec::new();
    let properties = write_properties(&mut properties, |writer| {
        write(writer);
    });
    let headers = arguments::to_table(headers).to_bytes();
    let mut out = Vec::new();
    Block {
        is_replay: false,
        retain: true,
        qos,
        v5: true,
        publisher: 5,
        properties,
        headers: RawTable::new(&headers),
    }
    .write(&mut out);
    out
}

fn full() -> Vec<u8> {
    block(
        1,
        &[("x-first-death-queue", "q")].into_iter().collect(),
        |w| {
            w.message_expiry(60)
                .content_type("text/plain")
                .response_topic("re/ply");
            w.correlation_data(b"c")
                .user("a", "1")
                .user("x-amqp-message-id", "m");
            w.user("x-amqp-priority", "4")
                .user("x-amqp-timestamp", "7")
                .user("a", "2");
            w.user("x-amqp-type", "t")
                .user("x-amqp-user-id", "u")
                .user("JMSXGroupID", "g")
        },
    )
}

fn text(text: &str) -> Value {
    Value::Str(text.as_bytes().to_vec())
}

fn pairs(headers: &[(&str, &str)]) -> Arguments {
    headers
        .iter()
        .map(|(name, value)| (*name, text(value)))
        .collect()
}

#[test]
fn the_basics_are_what_a_publish_would_have_said() {
    let none = Arguments::new();
    let full_basics = Basics {
        persistent: true,
        priority: 4,
        ttl_ms: Some(60_000),
        message_id: Some("m".to_owned()),
    };
    for (bytes, expected) in [
        (full(), Some(full_basics)),
        (block(0, &none, |w| w), Some(Basics::default())),
        (block(0, &none, |w| w.server_keep_alive(5)), None),
        (full()[..20].to_vec(), None),
        (vec![], None),
    ] {
        assert_eq!(MqttFormat.basics(&bytes), expected, "{bytes:?}");
    }
}

#[test]
fn everything_can_be_looked_at() {
    let properties = full();
    let mut stored = Vec::new();
    Draft {
        format: FORMAT_MQTT,
        persistent: true,
        exchange: b"amq.topic",
        routing_key: b"a.b",
        properties: &properties,
        ..Draft::default()
    }
    .encode(&mut stored);
    let mut looked = false;
    MqttFormat.view(&Message::parse(&stored).unwrap(), &mut |view| {
        looked = true;
        for (property, expected) in [
            (Property::Persistent, Some(Operand::Bool(true))),
            (Property::Priority, Some(Operand::Integer(4))),
            (Property::MessageId, Some(Operand::Text(b"m"))),
            (Property::Timestamp, Some(Operand::Integer(7000))),
            (Property::CorrelationId, Some(Operand::Text(b"c"))),
            (Property::Type, Some(Operand::Text(b"t"))),
            (Property::ContentType, Some(Operand::Text(b"text/plain"))),
            (Property::ContentEncoding, None),
            (Property::ReplyTo, Some(Operand::Text(b"re/ply"))),
            (Property::AppId, None),
            (Property::UserId, None),
            (Property::Expiration, Some(Operand::Text(b"60000"))),
            (Property::Exchange, Some(Operand::Text(b"amq.topic"))),
            (Property::RoutingKey, Some(Operand::Text(b"a.b"))),
            (Property::GroupId, Some(Operand::Text(b"g"))),
        ] {
            assert_eq!(view.property(property), expected, "{property:?}");
            assert_eq!(view.has(property), expected.is_some(), "{property:?}");
        }
        assert_eq!(view.header("a"), Some(Operand::Text(b"1")));
        assert_eq!(
            view.header("x-first-death-queue"),
            Some(Operand::Text(b"q"))
        );
        assert!(view.has_header("a") && !view.has_header("z"));
        assert_eq!(*view.headers(), MqttFormat.headers(&properties));
    });
    assert!(looked);
}

#[test]
fn a_rewrite_keeps_what_stays_and_puts_the_rest_behind() {
    let user = [("a", "1"), ("b", "2"), ("a", "1")];
    let before = block(2, &pairs(&[("k", "v")]), |w| {
        w.message_expiry(5);
        for (name, value) in user {
            w.user(name, value);
        }
        w
    });
    let with_expiry = |users: &[(&str, &str)], added: &Arguments| {
        block(2, added, |w| {
            w.message_expiry(5);
            for (name, value) in users {
                w.user(name, value);
            }
            w
        })
    };
    let death = Value::Array(vec![]);
    let mut dead = MqttFormat.headers(&before);
    dead.insert("x-death", death.clone());
    let mut history = pairs(&[("k", "v")]);
    history.insert("x-death", death);
    for (headers, expected) in [
        (MqttFormat.headers(&before), before.clone()),
        (dead, with_expiry(&user, &history)),
        (pairs(&[]), with_expiry(&[], &pairs(&[]))),
        (
            pairs(&[("a", "1")]),
            with_expiry(&[("a", "1")], &pairs(&[])),
        ),
        (
            pairs(&[("b", "3"), ("a", "1")]),
            with_expiry(&[("a", "1")], &pairs(&[("b", "3")])),
        ),
    ] {
        assert_eq!(
            MqttFormat.rewrite(&before, &headers, false),
            expected,
            "{headers:?}"
        );
        // The properties before the user properties are copied; the order is the writer's.
        let read = MqttFormat.headers(&expected);
        assert_eq!(read.len(), headers.len());
    }
    let cleared = MqttFormat.rewrite(&before, &pairs(&[]), true);
    assert_eq!(MqttFormat.expiration(&cleared), None);
    assert_eq!(MqttFormat.expiration(&before).as_deref(), Some("5000"));
    assert_eq!(MqttFormat.rewrite(&[0xff], &pairs(&[]), true), [0xff]);
}

#[test]
fn a_made_up_history_does_not_outlive_a_death() {
    let forged = block(1, &Arguments::new(), |w| w.user("x-death", "forged"));
    let mut headers = MqttFormat.headers(&forged);
    headers.remove("x-death");
    headers.insert("x-death", Value::Array(vec![]));
    let dead = MqttFormat.rewrite(&forged, &headers, false);
    assert_eq!(MqttFormat.headers(&dead), headers);
}

#[test]
fn an_amendment_sets_and_removes_headers() {
    let before = block(1, &Arguments::new(), |w| w.user("a", "1").user("b", "2"));
    let amendment = ferry_broker::Amendment {
        removed: vec!["a"],
        set: vec![("tenant", Cow::Owned(text("acme")))],
        timestamp: Some(5),
        message_id: Some("1".to_owned()),
    };
    let amended = MqttFormat.amend(&before, &amendment);
    let expected = pairs(&[("tenant", "acme"), ("b", "2"), ("x-amqp-message-id", "1")]);
    assert_eq!(MqttFormat.headers(&amended), expected);
    let basics = MqttFormat.basics(&amended).unwrap();
    assert_eq!(basics.message_id.as_deref(), Some("1"));
}

#[test]
fn the_identity_is_a_header_else_a_message_id() {
    let none = Arguments::new();
    let id = |text: &str| Some(MessageId::of_text(text.as_bytes()));
    let number: Arguments = [(DEDUPLICATION_HEADER, Value::I8(5))].into_iter().collect();
    for (bytes, expected) in [
        (
            block(1, &none, |w| w.user(DEDUPLICATION_HEADER, "d")),
            id("d"),
        ),
        (
            block(1, &none, |w| w.user("x-amqp-message-id", "m")),
            id("m"),
        ),
        (
            block(1, &none, |w| {
                w.user("x-amqp-message-id", "m")
                    .user(DEDUPLICATION_HEADER, "d")
            }),
            id("d"),
        ),
        (block(1, &number, |w| w), MessageId::of_value(&Value::I8(5))),
        (block(1, &none, |w| w), None),
        (vec![], None),
    ] {
        assert_eq!(MqttFormat.identity(&bytes), expected, "{bytes:?}");
    }
}

fn named() -> Named {
    let text = |text: &str| Some(text.to_owned());
    let headers = [
        ("a", self::text("1")),
        ("n", Value::I64(7)),
        ("list", Value::Array(vec![Value::Bool(true)])),
        ("binary", Value::Bytes(vec![0xff])),
        ("lines", self::text("a\nb")),
        ("x-mqtt-publish-qos", Value::I8(2)),
        ("x-mqtt-retain", Value::Bool(true)),
        ("x-reply-to-topic", self::text("re.ply")),
    ];
    Named {
        content_type: text("text/plain"),
        content_encoding: text("gzip"),
        headers: Some(headers.into_iter().collect()),
        delivery_mode: Some(2),
        priority: Some(9),
        correlation_id: text("c"),
        reply_to: text("r"),
        expiration: text("60000"),
        message_id: text("é"),
        timestamp: Some(1_700_000_000),
        kind: text("order"),
        user_id: None,
        app_id: text("app"),
        cluster_id: text(""),
    }
}

#[test]
fn what_is_composed_is_described_the_same() {
    let composed = MqttFormat.compose(&named()).unwrap();
    let sorted = |properties: Named| {
        let mut headers = properties.headers.clone().unwrap();
        headers.sort_by_name();
        Named {
            headers: Some(headers),
            ..properties
        }
    };
    assert_eq!(sorted(MqttFormat.describe(&composed)), sorted(named()));
    let block = Block::check(&composed).unwrap();
    assert!(block.retain && block.qos == 2 && block.v5 && block.publisher == 0);
    assert_eq!(block.properties.response_topic(), Some("re/ply"));
    let plain = MqttFormat.compose(&Named::default()).unwrap();
    assert_eq!(Block::check(&plain).map(|block| block.qos), Some(0));
    assert_eq!(MqttFormat.describe(&[0xff]), Named::default());
}

#[test]
fn the_quality_is_composed_from_the_delivery_mode_else_a_header() {
    for (delivery_mode, said, expected) in [
        (None, None, 0),
        (None, Some(1), 1),
        (None, Some(2), 2),
        (Some(2), None, 1),
        (Some(2), Some(2), 2),
        (Some(2), Some(0), 1),
        (Some(1), Some(2), 0),
    ] {
        let said = said.map(|qos| ("x-mqtt-publish-qos", Value::I64(qos)));
        let properties = Named {
            delivery_mode,
            headers: Some(said.clone().into_iter().collect()),
            ..Named::default()
        };
        let composed = MqttFormat.compose(&properties).unwrap();
        let qos = Block::check(&composed).unwrap().qos;
        assert_eq!(qos, expected, "{delivery_mode:?} {said:?}");
    }
}

#[test]
fn what_mqtt_can_not_say_is_refused_by_name() {
    let text = |text: &str| Some(text.to_owned());
    let headers = |name: &str, value: Value| Named {
        headers: Some([(name, value)].into_iter().collect()),
        ..Named::default()
    };
    for (properties, named) in [
        (
            Named {
                user_id: text("u"),
                ..named()
            },
            "user_id",
        ),
        (
            Named {
                expiration: text("1500"),
                ..named()
            },
            "expiration",
        ),
        (
            Named {
                expiration: text("soon"),
                ..named()
            },
            "expiration",
        ),
        (
            Named {
                content_type: text("a\nb"),
                ..named()
            },
            "content_type",
        ),
        (
            Named {
                kind: text("a\0b"),
                ..named()
            },
            "type",
        ),
        (
            Named {
                delivery_mode: Some(7),
                ..named()
            },
            "delivery_mode",
        ),
        (headers("x-mqtt-publish-qos", Value::I8(3)), "headers"),
        (headers("x-mqtt-publish-qos", self::text("1")), "headers"),
        (headers("x-reply-to-topic", self::text("a.#")), "headers"),
        (headers("x-mqtt-topic", self::text("a")), "headers"),
    ] {
        match MqttFormat.compose(&properties) {
            Err(PropertyError::Invalid { property, .. }) => assert_eq!(property, named),
            other => panic!("{named}: {other:?}"),
        }
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let seed = full();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut table = Table::new();
    table.push(ShortStr::lit("k"), 5i32);
    let headers = arguments::read_valid(RawTable::new(&table.to_bytes()));
    for _ in 0..20_000 {
        let mut bytes = seed.clone();
        for _ in 0..=random(5) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(random(bytes.len() + 1));
        MqttFormat.basics(&bytes);
        MqttFormat.headers(&bytes);
        MqttFormat.identity(&bytes);
        MqttFormat.describe(&bytes);
        MqttFormat.expiration(&bytes);
        MqttFormat.rewrite(&bytes, &headers, true);
    }
}
