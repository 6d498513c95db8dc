//! PUBACK, PUBREC, PUBREL, PUBCOMP.

use super::*;

type Make = fn(u16, ReasonCode) -> Packet<'static>;

/// First byte, how to make one, a failure that it can have, and the statement of its codes.
const ACKS: [(u8, Make, ReasonCode, &str); 4] = [
    (
        0x40,
        |id, reason| Packet::Puback(Puback::new(id, reason)),
        ReasonCode::QuotaExceeded,
        "MQTT-3.4.2-1",
    ),
    (
        0x50,
        |id, reason| Packet::Pubrec(Pubrec::new(id, reason)),
        ReasonCode::NotAuthorized,
        "MQTT-3.5.2-1",
    ),
    (
        0x62,
        |id, reason| Packet::Pubrel(Pubrel::new(id, reason)),
        ReasonCode::PacketIdentifierNotFound,
        "MQTT-3.6.2-1",
    ),
    (
        0x70,
        |id, reason| Packet::Pubcomp(Pubcomp::new(id, reason)),
        ReasonCode::PacketIdentifierNotFound,
        "MQTT-3.7.2-1",
    ),
];

#[test]
fn acknowledgements_are_read_from_both_sides() {
    for (first, make, failure, _) in ACKS {
        for read in [client, server] {
            for version in [Version::V3, Version::V4, Version::V5] {
                let success = make(513, ReasonCode::Success);
                assert_same(read, &[first, 2, 2, 1], version, success);
            }
            let failed = make(1, failure);
            assert_same(read, &[first, 3, 0, 1, failure.byte()], Version::V5, failed);
            // What says nothing may be written out.
            for bytes in [&[first, 3, 0, 1, 0][..], &[first, 4, 0, 1, 0, 0]] {
                let success = make(1, ReasonCode::Success);
                assert_eq!(read(bytes, Version::V5), Ok(success));
            }
        }
    }
}

#[test]
fn properties_of_acknowledgements_are_read() {
    let properties = Properties::from_checked(b"\x1F\0\x03why\x26\0\x01a\0\x01b");
    let puback = Puback {
        properties,
        ..Puback::success(1)
    };
    let bytes = packet(0x40, b"\0\x01\0\x0D\x1F\0\x03why\x26\0\x01a\0\x01b");
    assert_same(client, &bytes, Version::V5, Packet::Puback(puback));
    let mut out = Vec::new();
    puback.write(&mut out, Version::V4);
    assert_eq!(out, [0x40, 2, 0, 1]);
}

#[test]
fn bad_acknowledgements_are_refused() {
    for (first, _, _, statement) in ACKS {
        let code = |byte| (ErrorKind::BadReason(byte), PROTOCOL, statement);
        let short = (ErrorKind::Truncated, MALFORMED, "MQTT-4.13.1-1");
        let trailing = (ErrorKind::Trailing, MALFORMED, "MQTT-4.13.1-1");
        for (body, version, expected) in [
            (&[][..], Version::V4, short),
            (&[0], Version::V5, short),
            (
                &[0, 0],
                Version::V4,
                (ErrorKind::PacketIdZero, MALFORMED, "MQTT-2.2.1-3"),
            ),
            (&[0, 1, 0], Version::V4, trailing),
            (&[0, 1, 1], Version::V5, code(1)),
            (&[0, 1, 0x81], Version::V5, code(0x81)),
            (&[0, 1, 0xFF], Version::V5, code(0xFF)),
            (&[0, 1, 0, 1], Version::V5, short),
            (&[0, 1, 0, 0, 0], Version::V5, trailing),
            (
                &[0, 1, 0, 3, 0x23, 0, 1],
                Version::V5,
                (
                    ErrorKind::PropertyNotAllowed(PropertyId::TopicAlias),
                    MALFORMED,
                    "MQTT-4.13.1-1",
                ),
            ),
        ] {
            let bytes = packet(first, body);
            assert_refused(client(&bytes, version), expected, &bytes);
            assert_refused(server(&bytes, version), expected, &bytes);
        }
    }
}
