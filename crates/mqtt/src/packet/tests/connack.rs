//! CONNACK.

use super::*;

#[test]
fn connacks_are_read() {
    let accepted = Connack {
        session_present: true,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    };
    let clean = Connack {
        session_present: false,
        ..accepted
    };
    for (bytes, version, expected) in [
        (&[0x20, 2, 0, 0][..], Version::V3, clean),
        (&[0x20, 2, 1, 0], Version::V4, accepted),
        (
            &[0x20, 2, 0, 5],
            Version::V4,
            Connack::refusal(ReasonCode::NotAuthorized),
        ),
        (&[0x20, 3, 1, 0, 0], Version::V5, accepted),
        (
            &[0x20, 3, 0, 0x97, 0],
            Version::V5,
            Connack::refusal(ReasonCode::QuotaExceeded),
        ),
    ] {
        assert_same(server, bytes, version, Packet::Connack(expected));
    }
    let bytes = [0x20, 6, 0, 0, 3, 0x13, 0, 9];
    let Ok(Packet::Connack(found)) = server(&bytes, Version::V5) else {
        panic!("{:?}", server(&bytes, Version::V5));
    };
    assert_eq!(found.properties.server_keep_alive(), Some(9));
}

#[test]
fn bad_connacks_are_refused() {
    let flags = ErrorKind::BadConnackFlags;
    for (body, version, expected) in [
        (&[2, 0][..], Version::V4, (flags, MALFORMED, "MQTT-3.2.2-1")),
        (
            &[0x80, 0, 0],
            Version::V5,
            (flags, MALFORMED, "MQTT-3.2.2-1"),
        ),
        (&[1, 5], Version::V4, (flags, PROTOCOL, "MQTT-3.2.2-6")),
        (
            &[1, 0x80, 0],
            Version::V5,
            (flags, PROTOCOL, "MQTT-3.2.2-6"),
        ),
        (
            &[0, 6],
            Version::V4,
            (ErrorKind::BadReason(6), PROTOCOL, "MQTT-3.2.2-8"),
        ),
        (
            &[0, 0x8B, 0],
            Version::V5,
            (ErrorKind::BadReason(0x8B), PROTOCOL, "MQTT-3.2.2-8"),
        ),
        (
            &[0, 1, 0],
            Version::V5,
            (ErrorKind::BadReason(1), PROTOCOL, "MQTT-3.2.2-8"),
        ),
        (
            &[0],
            Version::V4,
            (ErrorKind::Truncated, MALFORMED, "MQTT-4.13.1-1"),
        ),
        (
            &[0, 0],
            Version::V5,
            (ErrorKind::Truncated, MALFORMED, "MQTT-4.13.1-1"),
        ),
        (
            &[0, 0, 0],
            Version::V4,
            (ErrorKind::Trailing, MALFORMED, "MQTT-4.13.1-1"),
        ),
    ] {
        let bytes = packet(0x20, body);
        assert_refused(server(&bytes, version), expected, &bytes);
    }
}

#[test]
fn what_is_written_is_right_for_the_version() {
    let refused = Connack {
        session_present: true,
        ..Connack::refusal(ReasonCode::QuotaExceeded)
    };
    let accepted = Connack {
        reason: ReasonCode::Success,
        ..refused
    };
    for (connack, version, expected) in [
        (refused, Version::V3, &[0x20, 2, 0, 3][..]),
        (refused, Version::V4, &[0x20, 2, 0, 3]),
        (refused, Version::V5, &[0x20, 3, 0, 0x97, 0]),
        (accepted, Version::V3, &[0x20, 2, 0, 0]), // 3.1 does not know session present
        (accepted, Version::V4, &[0x20, 2, 1, 0]),
        (accepted, Version::V5, &[0x20, 3, 1, 0, 0]),
    ] {
        let mut out = Vec::new();
        connack.write(&mut out, version);
        assert_eq!(out, expected, "{version:?}");
    }
}
