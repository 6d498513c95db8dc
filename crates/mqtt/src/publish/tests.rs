//! PUBLISH: good ones, bad ones, and what is written.

use super::*;
use crate::error::ErrorKind;
use crate::frame::frame;
use crate::properties::write_properties;
use crate::reason::ReasonCode;

fn decode(bytes: &[u8], version: Version) -> Result<Publish<'_>, DecodeError> {
    Publish::decode(frame(bytes, u32::MAX).unwrap().unwrap(), version)
}

/// First byte and body, with the length between them.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(body.len()).unwrap()], body].concat()
}

#[test]
fn messages_are_read() {
    let none = Publish {
        topic: b"a/b",
        qos: Qos::AtMostOnce,
        packet_id: 0,
        dup: false,
        retain: false,
        properties: Properties::EMPTY,
        payload: b"",
    };
    let one = Publish {
        qos: Qos::AtLeastOnce,
        packet_id: 258,
        dup: true,
        retain: true,
        payload: b"xyz",
        ..none
    };
    let two = Publish {
        qos: Qos::ExactlyOnce,
        packet_id: 65_535,
        ..none
    };
    for (first, body, body_5, expected) in [
        (0x30, &b"\0\x03a/b"[..], &b"\0\x03a/b\0"[..], none),
        (
            0x3B,
            b"\0\x03a/b\x01\x02xyz",
            b"\0\x03a/b\x01\x02\0xyz",
            one,
        ),
        (0x34, b"\0\x03a/b\xFF\xFF", b"\0\x03a/b\xFF\xFF\0", two),
    ] {
        for version in [Version::V3, Version::V4] {
            assert_eq!(decode(&packet(first, body), version), Ok(expected));
        }
        assert_eq!(decode(&packet(first, body_5), Version::V5), Ok(expected));
    }
}

#[test]
fn properties_of_a_message_are_read() {
    let body = b"\0\x01a\x05\x01\x01\x23\0\x07text";
    let bytes = packet(0x30, body);
    let found = decode(&bytes, Version::V5).unwrap();
    assert_eq!(found.properties.topic_alias(), Some(7));
    assert_eq!(found.payload, b"text");
    assert!(found.payload_is_as_said());
    let not_text = Publish {
        payload: b"\xFF",
        ..found
    };
    assert!(!not_text.payload_is_as_said());
    let unsaid = Publish {
        properties: Properties::EMPTY,
        ..not_text
    };
    assert!(unsaid.payload_is_as_said());
}

fn assert_refused(first: u8, body: &[u8], expected: DecodeError) {
    let bytes = packet(first, body);
    assert_eq!(decode(&bytes, Version::V5), Err(expected), "{bytes:02X?}");
}

#[test]
fn malformed_messages_are_refused() {
    use ErrorKind as Kind;
    const GENERAL: &str = "MQTT-4.13.1-1";
    for (first, body, kind, statement) in [
        (0x36, &b"\0\x01a\0\x01\0"[..], Kind::BadQos, "MQTT-3.3.1-4"),
        (0x38, b"\0\x01a\0", Kind::DuplicateQos0, "MQTT-3.3.1-2"),
        (0x30, b"", Kind::Truncated, GENERAL),
        (0x30, b"\0", Kind::Truncated, GENERAL),
        (0x30, b"\0\x05a", Kind::Truncated, GENERAL),
        (0x32, b"\0\x01a\0", Kind::Truncated, GENERAL),
        (0x32, b"\0\x01a\0\0\0", Kind::PacketIdZero, "MQTT-2.2.1-3"),
        (0x34, b"\0\x01a\0\0\0", Kind::PacketIdZero, "MQTT-2.2.1-3"),
        (0x30, b"\0\x01\0\0", Kind::BadText, "MQTT-4.7.3-2"),
        (0x30, b"\0\x01\xFF\0", Kind::BadText, "MQTT-1.5.4-1"),
        (0x30, b"\0\x01a", Kind::Truncated, GENERAL),
        (0x30, b"\0\x01a\x02\x01", Kind::Truncated, GENERAL),
        (0x30, b"\0\x01a\x80\0", Kind::BadVarint, "MQTT-1.5.5-1"),
    ] {
        assert_refused(first, body, DecodeError::malformed(kind, statement));
    }
}

#[test]
fn messages_without_a_good_topic_are_refused() {
    let reason = ReasonCode::TopicNameInvalid;
    let wildcard = DecodeError::new(ErrorKind::BadTopicName, reason, "MQTT-3.3.2-2");
    assert_refused(0x30, b"\0\x01+\0", wildcard);
    assert_refused(0x30, b"\0\x03a/#\0", wildcard);
    let missing = ErrorKind::PropertyMissing(PropertyId::TopicAlias);
    assert_refused(
        0x30,
        b"\0\0\0",
        DecodeError::protocol(missing, "MQTT-4.13.1-1"),
    );
    let kind = ErrorKind::PropertyValue(PropertyId::TopicAlias);
    let alias = DecodeError::new(kind, ReasonCode::TopicAliasInvalid, "MQTT-3.3.2-8");
    assert_refused(0x30, b"\0\x01a\x03\x23\0\0", alias);
}

#[test]
fn subscription_ids_from_a_client_are_refused() {
    let kind = ErrorKind::PropertyNotAllowed(PropertyId::SubscriptionIdentifier);
    let expected = DecodeError::protocol(kind, "MQTT-3.3.4-6");
    assert_refused(0x30, b"\0\x01a\x02\x0B\x01", expected);
}

#[test]
fn versions_differ_in_what_they_refuse() {
    for (first, body, version, statement) in [
        // MQTT 3.1 says nothing of a duplicate of quality 0.
        (0x38, &b"\0\x01a"[..], Version::V3, None),
        (0x38, b"\0\x01a", Version::V4, Some("MQTT-3.3.1-2")),
        // An alias stands for a topic in MQTT 5 only.
        (0x30, b"\0\0\x03\x23\0\x01", Version::V5, None),
        (
            0x30,
            b"\0\0\x03\x23\0\x01",
            Version::V4,
            Some("MQTT-4.7.3-1"),
        ),
        (0x30, b"\0\0", Version::V3, Some("MQTT-4.7.3-1")),
        (0x36, b"\0\x01a\0\x01", Version::V3, Some("MQTT-3.3.1-4")),
        (0x32, b"\0\x01a\0\0", Version::V4, Some("MQTT-2.2.1-3")),
        (0x30, b"\0\x01+", Version::V4, Some("MQTT-3.3.2-2")),
    ] {
        let bytes = packet(first, body);
        let found = decode(&bytes, version).err().map(|error| error.statement);
        assert_eq!(found, statement, "{bytes:02X?} in {version:?}");
    }
    // A server's message may tell which subscriptions it is for.
    let bytes = packet(0x30, b"\0\x01a\x04\x0B\x01\x0B\x02");
    let frame = frame(&bytes, u32::MAX).unwrap().unwrap();
    let found = Publish::decode_from_server(frame, Version::V5).unwrap();
    assert!(found.properties.subscription_identifiers().eq([1, 2]));
}

#[test]
fn a_delivery_has_its_own_expiry_alias_and_ids() {
    let mut block = Vec::new();
    let received = write_properties(&mut block, |w| {
        w.user("a", "1")
            .message_expiry(100)
            .topic_alias(4)
            .content_type("x")
            .subscription_identifier(5)
            .user("b", "2");
    });
    let head = PublishHead {
        topic: b"a/b",
        qos: Qos::AtLeastOnce,
        packet_id: 7,
        dup: true,
        retain: true,
    };
    let forward = Forward {
        message_expiry: Some(60),
        topic_alias: Some(2),
        subscription_ids: &[300, 1],
        ..Forward::of(received)
    };
    for (version, forward) in [
        (Version::V5, forward),
        (Version::V5, Forward::of(received)),
        (Version::V5, Forward::NONE),
        (Version::V4, forward),
    ] {
        for payload in [&b""[..], b"payload", &[7; 20_000]] {
            let mut out = b"before".to_vec();
            write_publish(&mut out, version, &head, &forward, payload, u32::MAX).unwrap();
            let bytes = &out[6..];
            assert_eq!(
                publish_bytes(version, &head, &forward, payload.len()),
                Some(bytes.len())
            );
            let frame = frame(bytes, u32::MAX).unwrap().unwrap();
            assert_eq!(frame.size, bytes.len());
            let found = Publish::decode_from_server(frame, version).unwrap();
            assert_eq!((found.topic, found.packet_id), (&b"a/b"[..], 7));
            assert!(found.dup && found.retain && found.qos == Qos::AtLeastOnce);
            assert_eq!(found.payload, payload);
            let properties = found.properties;
            let has_kept = version.is_5() && !forward.kept.is_empty();
            let user: Vec<_> = properties.user_properties().collect();
            let kept = [("a", "1"), ("b", "2")];
            assert_eq!(user, kept[..if has_kept { 2 } else { 0 }]);
            assert_eq!(properties.content_type().is_some(), has_kept);
            let own = if version.is_5() {
                forward
            } else {
                Forward::NONE
            };
            assert_eq!(properties.message_expiry(), own.message_expiry);
            assert_eq!(properties.topic_alias(), own.topic_alias);
            let ids: Vec<_> = properties.subscription_identifiers().collect();
            assert_eq!(ids, own.subscription_ids);
        }
    }
}

#[test]
fn a_message_over_a_limit_is_not_written() {
    let head = PublishHead {
        topic: b"abc",
        qos: Qos::AtMostOnce,
        packet_id: 0,
        dup: false,
        retain: false,
    };
    let mut out = Vec::new();
    // Two of header, five of topic, one of properties, ten of payload.
    for (max, fits) in [(18, true), (17, false), (0, false)] {
        out.clear();
        let found = write_publish(&mut out, Version::V5, &head, &Forward::NONE, &[0; 10], max);
        assert_eq!((found.is_ok(), out.is_empty()), (fits, !fits), "{max}");
    }
    let bytes =
        |head: &PublishHead<'_>, payload| publish_bytes(Version::V4, head, &Forward::NONE, payload);
    let most = VARINT_MAX as usize - 5;
    assert_eq!(bytes(&head, most), Some(VARINT_MAX as usize + 5));
    assert_eq!(bytes(&head, most + 1), None);
    let long = PublishHead {
        topic: &[b'a'; 65_536],
        ..head
    };
    assert_eq!(bytes(&long, 0), None);
    out.clear();
    let found = write_publish(&mut out, Version::V4, &long, &Forward::NONE, b"", u32::MAX);
    assert_eq!(found, Err(TooLarge));
}

#[test]
fn a_message_with_an_alias_has_no_topic() {
    let head = PublishHead {
        topic: b"",
        qos: Qos::AtMostOnce,
        packet_id: 0,
        dup: false,
        retain: false,
    };
    let mut forward = Forward::NONE;
    forward.topic_alias = Some(1);
    let mut out = Vec::new();
    write_publish(&mut out, Version::V5, &head, &forward, b"x", u32::MAX).unwrap();
    assert_eq!(out, [0x30, 7, 0, 0, 3, 0x23, 0, 1, b'x']);
}
