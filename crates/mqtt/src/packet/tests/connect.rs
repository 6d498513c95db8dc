//! CONNECT.

use super::*;
use crate::properties::write_properties;
use crate::version::Qos;

fn plain(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive_seconds: 60,
        client_id: "c",
        properties: Properties::EMPTY,
        will: None,
        user_name: None,
        password: None,
    }
}

/// A CONNECT of MQTT 5 or 3.1.1 with these flags and payload.
fn connect(version: Version, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x04MQTT".to_vec();
    body.extend_from_slice(&[version.level(), flags, 0, 60]);
    if version.is_5() {
        body.push(0);
    }
    body.extend_from_slice(payload);
    packet(0x10, &body)
}

#[test]
fn connects_are_read() {
    for (bytes, expected) in [
        (
            &b"\x10\x0F\0\x06MQIsdp\x03\x02\0\x3C\0\x01c"[..],
            plain(Version::V3),
        ),
        (
            b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01c",
            plain(Version::V4),
        ),
        (
            b"\x10\x0E\0\x04MQTT\x05\x02\0\x3C\0\0\x01c",
            plain(Version::V5),
        ),
    ] {
        assert_same(client, bytes, Version::V4, Packet::Connect(expected));
        assert_eq!(Connect::version_of(&bytes[2..]), Ok(expected.version));
    }
}

#[test]
fn a_will_and_credentials_are_read() {
    let mut block = Vec::new();
    let properties = write_properties(&mut block, |w| {
        w.will_delay(5).content_type("x");
    });
    for version in [Version::V3, Version::V4, Version::V5] {
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let will = Will {
                qos,
                retain: qos == Qos::AtLeastOnce,
                topic: "gone/c",
                payload: b"\xFFbye",
                properties,
            };
            for (user_name, password) in [
                (None, None),
                (Some("u"), None),
                (Some("vhost:u"), Some(&b"\0\xFF"[..])),
                (Some(""), Some(b"")),
            ] {
                let written = Connect {
                    clean_start: false,
                    will: Some(will),
                    user_name,
                    password,
                    ..plain(version)
                };
                let mut out = Vec::new();
                written.write(&mut out);
                let mut expected = written;
                if !version.is_5() {
                    let properties = Properties::EMPTY;
                    expected.will = Some(Will { properties, ..will });
                }
                assert_eq!(client(&out, version), Ok(Packet::Connect(expected)));
            }
        }
    }
}

#[test]
fn a_password_without_a_user_is_of_mqtt_5() {
    let payload = b"\0\x01c\0\x01p";
    let bytes = connect(Version::V5, 0x42, payload);
    let Ok(Packet::Connect(found)) = client(&bytes, Version::V5) else {
        panic!("{:?}", client(&bytes, Version::V5));
    };
    assert_eq!((found.user_name, found.password), (None, Some(&b"p"[..])));
    let bytes = connect(Version::V4, 0x42, payload);
    let expected = (
        ErrorKind::BadConnectFlags,
        MALFORMED,
        "MQTT-3.1.2-22 (3.1.1)",
    );
    assert_refused(client(&bytes, Version::V4), expected, &bytes);
}

#[test]
fn unknown_protocols_are_refused_before_anything_else() {
    let unsupported = ReasonCode::UnsupportedProtocolVersion;
    let name = (ErrorKind::BadProtocolName, unsupported, "MQTT-3.1.2-1");
    let level = |level| {
        (
            ErrorKind::UnsupportedLevel(level),
            unsupported,
            "MQTT-3.1.2-2",
        )
    };
    for (body, expected) in [
        (&b"\0\x04mqtt\x04"[..], name),
        (b"\0\x05MQTT5\x05", name),
        (b"\0\0", name),
        (b"\0\x04MQTT\x03", level(3)), // 3.1 has another name
        (b"\0\x06MQIsdp\x04", level(4)),
        (b"\0\x04MQTT\x06", level(6)),
        (b"\0\x04MQTT\0rest", level(0)),
        (b"\0\x04MQTT\x84", level(0x84)),
    ] {
        let bytes = packet(0x10, body);
        assert_refused(client(&bytes, Version::V4), expected, &bytes);
        assert!(Connect::version_of(body).is_err());
    }
}

#[test]
fn contradicting_flags_are_refused() {
    let flags = |statement| (ErrorKind::BadConnectFlags, MALFORMED, statement);
    for (bits, expected) in [
        (0x01, flags("MQTT-3.1.2-3")),
        (0x08, flags("MQTT-3.1.2-11")),
        (0x10, flags("MQTT-3.1.2-11")),
        (0x20, flags("MQTT-3.1.2-13")),
        (0x1C, (ErrorKind::BadQos, MALFORMED, "MQTT-3.1.2-12")),
    ] {
        for version in [Version::V4, Version::V5] {
            let bytes = connect(version, bits | 2, b"\0\x01c\0\x01t\0\0");
            assert_refused(client(&bytes, version), expected, &bytes);
        }
    }
}

#[test]
fn mqtt_3_1_is_taken_generously() {
    for (bytes, user_name, password) in [
        // The reserved flag, and quality and retain of no will.
        (
            &b"\x10\x0F\0\x06MQIsdp\x03\x3B\0\x3C\0\x01c"[..],
            None,
            None,
        ),
        // User name and password announced, and one or both missing.
        (b"\x10\x0F\0\x06MQIsdp\x03\xC2\0\x3C\0\x01c", None, None),
        (
            b"\x10\x12\0\x06MQIsdp\x03\xC2\0\x3C\0\x01c\0\x01u",
            Some("u"),
            None,
        ),
        (
            b"\x10\x15\0\x06MQIsdp\x03\xC2\0\x3C\0\x01c\0\x01u\0\x01p",
            Some("u"),
            Some(&b"p"[..]),
        ),
    ] {
        let expected = Connect {
            user_name,
            password,
            ..plain(Version::V3)
        };
        assert_eq!(client(bytes, Version::V3), Ok(Packet::Connect(expected)));
    }
}

#[test]
fn an_empty_client_id_needs_a_clean_session() {
    let refused = (
        ErrorKind::EmptyClientId,
        ReasonCode::ClientIdentifierNotValid,
        "MQTT-3.1.3-8 (3.1.1)",
    );
    for (bytes, expected) in [
        (connect(Version::V4, 0, b"\0\0"), Some(refused)),
        (connect(Version::V4, 2, b"\0\0"), None),
        (connect(Version::V5, 0, b"\0\0"), None),
        (connect(Version::V5, 2, b"\0\0"), None),
        (
            packet(0x10, b"\0\x06MQIsdp\x03\x02\0\x3C\0\0"),
            Some(refused),
        ),
    ] {
        match expected {
            Some(expected) => assert_refused(client(&bytes, Version::V4), expected, &bytes),
            None => assert!(client(&bytes, Version::V4).is_ok(), "{bytes:02X?}"),
        }
    }
}

#[test]
fn fields_that_are_not_as_announced_are_refused() {
    let text = |statement| (ErrorKind::BadText, MALFORMED, statement);
    let short = |statement| (ErrorKind::Truncated, MALFORMED, statement);
    let topic = (
        ErrorKind::BadTopicName,
        ReasonCode::TopicNameInvalid,
        "MQTT-3.3.2-2",
    );
    let trailing = (ErrorKind::Trailing, MALFORMED, "MQTT-4.13.1-1");
    for (flags, payload, expected) in [
        (0x02, &b"\0\x01\xFF"[..], text("MQTT-3.1.3-4")),
        (0x02, b"\0\x01\0", text("MQTT-3.1.3-4")),
        (0x02, b"\0\x02c", short("MQTT-4.13.1-1")),
        (0x02, b"", short("MQTT-4.13.1-1")),
        (0x02, b"\0\x01c\0", trailing),
        (0x82, b"\0\x01c\0\x01\xC0", text("MQTT-3.1.3-12")),
        (0x82, b"\0\x01c", short("MQTT-4.13.1-1")),
        (0xC2, b"\0\x01c\0\x01u", short("MQTT-3.1.4-1")),
        (0xC2, b"\0\x01c\0\x01u\0\x02p", short("MQTT-3.1.4-1")),
    ] {
        for version in [Version::V4, Version::V5] {
            let bytes = connect(version, flags, payload);
            assert_refused(client(&bytes, version), expected, &bytes);
        }
    }
    for (payload, expected) in [
        (&b"\0\x01c\0\x01\xFF\0\0"[..], text("MQTT-3.1.3-11")),
        (b"\0\x01c\0\x01+\0\0", topic),
        (b"\0\x01c\0\x01t\0\x02p", short("MQTT-3.1.2-9")),
        (b"\0\x01c\0\x01t", short("MQTT-3.1.2-9")),
    ] {
        let bytes = connect(Version::V4, 6, payload);
        assert_refused(client(&bytes, Version::V4), expected, &bytes);
        let mut payload = payload.to_vec();
        payload.insert(3, 0); // no will properties
        let bytes = connect(Version::V5, 6, &payload);
        assert_refused(client(&bytes, Version::V5), expected, &bytes);
    }
}

#[test]
fn a_connect_cut_anywhere_is_refused() {
    let whole = connect(Version::V5, 0xC6, b"\0\x01c\0\0\x01t\0\x01p\0\x01u\0\x01w");
    assert!(client(&whole, Version::V5).is_ok());
    for end in 2..whole.len() {
        let bytes = packet(0x10, &whole[2..end]);
        let error = client(&bytes, Version::V5).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Truncated, "{end} bytes");
    }
}

#[test]
fn properties_of_a_connect_and_its_will_are_checked() {
    let mut body = b"\0\x04MQTT\x05\x06\0\x3C".to_vec();
    body.extend_from_slice(b"\x05\x11\0\0\0\x09\0\x01c\x05\x18\0\0\0\x07\0\x01t\0\x01p");
    let bytes = packet(0x10, &body);
    let Ok(Packet::Connect(found)) = client(&bytes, Version::V5) else {
        panic!("{:?}", client(&bytes, Version::V5));
    };
    assert_eq!(found.properties.session_expiry(), Some(9));
    assert_eq!(found.will.unwrap().properties.will_delay(), Some(7));
    // The two swapped: each is the other's only.
    for (at, id) in [(11, 0x18), (20, 0x11)] {
        let mut swapped = body.clone();
        swapped[at] = id;
        let bytes = packet(0x10, &swapped);
        let error = client(&bytes, Version::V5).unwrap_err();
        let kind = ErrorKind::PropertyNotAllowed(PropertyId::from_number(id.into()).unwrap());
        assert_eq!((error.kind, error.reason), (kind, MALFORMED));
    }
}
