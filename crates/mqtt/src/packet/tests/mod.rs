//! Packets in tables: good ones with what they are read as, bad ones with how they are refused.

mod acks;
mod connack;
mod connect;
mod end;
mod lists;
mod within;

use super::*;
use crate::frame::frame;
use crate::reason::ReasonCode;

pub(super) const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
pub(super) const PROTOCOL: ReasonCode = ReasonCode::ProtocolError;

/// First byte and body, with the length between them.
pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(body.len()).unwrap()], body].concat()
}

fn frame_of(bytes: &[u8]) -> Frame<'_> {
    let found = frame(bytes, u32::MAX).unwrap().unwrap();
    assert_eq!(found.size, bytes.len());
    found
}

/// As a server reads it.
pub(super) fn client(bytes: &[u8], version: Version) -> Result<Packet<'_>, DecodeError> {
    Packet::decode(frame_of(bytes), version)
}

/// As a client reads it.
pub(super) fn server(bytes: &[u8], version: Version) -> Result<Packet<'_>, DecodeError> {
    Packet::decode_from_server(frame_of(bytes), version)
}

/// The packet is read from these bytes and written as them.
pub(super) fn assert_same(
    read: fn(&[u8], Version) -> Result<Packet<'_>, DecodeError>,
    bytes: &[u8],
    version: Version,
    expected: Packet<'_>,
) {
    assert_eq!(read(bytes, version), Ok(expected), "{bytes:02X?}");
    let mut out = b"before".to_vec();
    expected.write(&mut out, version).unwrap();
    assert_eq!(&out[6..], bytes, "{expected:?}");
}

/// The packet is refused like this.
pub(super) fn assert_refused(
    found: Result<Packet<'_>, DecodeError>,
    expected: (ErrorKind, ReasonCode, &'static str),
    bytes: &[u8],
) {
    let error = found.expect_err(&format!("{bytes:02X?}"));
    let found = (error.kind, error.reason, error.statement);
    assert_eq!(found, expected, "{bytes:02X?}");
    assert!(error.to_string().contains(expected.2));
}

#[test]
fn a_ping_is_two_bytes() {
    for version in [Version::V3, Version::V4, Version::V5] {
        assert_same(client, &[0xC0, 0], version, Packet::Pingreq);
        assert_same(server, &[0xD0, 0], version, Packet::Pingresp);
        for (bytes, read) in [
            (&[0xC0, 1, 0], client as fn(&'static [u8], _) -> _),
            (&[0xD0, 1, 0], server),
        ] {
            let expected = (ErrorKind::Trailing, MALFORMED, "MQTT-4.13.1-1");
            assert_refused(read(bytes, version), expected, bytes);
        }
    }
}

#[test]
fn packets_of_the_other_side_are_refused() {
    let wrong_side = (ErrorKind::WrongSide, PROTOCOL, "MQTT-4.13.1-1");
    for first in [0x20, 0x90, 0xB0, 0xD0] {
        let bytes = packet(first, &[0, 0]);
        assert_refused(client(&bytes, Version::V5), wrong_side, &bytes);
    }
    for first in [0x10, 0x82, 0xA2, 0xC0] {
        let bytes = packet(first, &[0, 0]);
        assert_refused(server(&bytes, Version::V5), wrong_side, &bytes);
    }
    let disconnect = packet(0xE0, &[]);
    assert_refused(server(&disconnect, Version::V4), wrong_side, &disconnect);
}

#[test]
fn reserved_flags_are_refused_but_in_mqtt_3_1() {
    for (first, body, statement) in [
        (0x41, &[0, 1][..], "MQTT-2.1.3-1"),
        (0x58, &[0, 1], "MQTT-2.1.3-1"),
        (0x60, &[0, 1], "MQTT-3.6.1-1"),
        (0x6A, &[0, 1], "MQTT-3.6.1-1"),
        (0x74, &[0, 1], "MQTT-2.1.3-1"),
        (0x80, b"\0\x01\0\x01a\0", "MQTT-3.8.1-1"),
        (0x8A, b"\0\x01\0\x01a\0", "MQTT-3.8.1-1"),
        (0xA0, b"\0\x01\0\x01a", "MQTT-3.10.1-1"),
        (0xC1, &[], "MQTT-2.1.3-1"),
        (0xE1, &[], "MQTT-3.14.1-1"),
        (0xF8, &[], "MQTT-3.15.1-1"),
    ] {
        let bytes = packet(first, body);
        let expected = (ErrorKind::BadFlags, MALFORMED, statement);
        assert_refused(client(&bytes, Version::V4), expected, &bytes);
        assert_refused(client(&bytes, Version::V5), expected, &bytes);
        let found = client(&bytes, Version::V3);
        assert_eq!(found.is_ok(), first != 0xF8, "{bytes:02X?}: {found:?}");
    }
    for (first, body) in [(0x21, &[0, 0][..]), (0x92, b"\0\x01\0"), (0xB1, b"\0\x01")] {
        let bytes = packet(first, body);
        let expected = (ErrorKind::BadFlags, MALFORMED, "MQTT-2.1.3-1");
        assert_refused(server(&bytes, Version::V4), expected, &bytes);
    }
}

#[test]
fn an_error_says_what_and_where() {
    let error = client(&[0xC1, 0], Version::V5).unwrap_err();
    let text = "reserved flags of the fixed header are not as they must be [MQTT-2.1.3-1]";
    assert_eq!(error.to_string(), text);
}
