//! DISCONNECT and AUTH.

use super::*;

#[test]
fn disconnects_are_read() {
    let normal = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
    for version in [Version::V3, Version::V4, Version::V5] {
        assert_same(client, &[0xE0, 0], version, normal);
    }
    for bytes in [&[0xE0, 1, 0][..], &[0xE0, 2, 0, 0]] {
        assert_eq!(client(bytes, Version::V5), Ok(normal));
    }
    let with_will = Packet::Disconnect(Disconnect::new(ReasonCode::DisconnectWithWill));
    assert_same(client, &[0xE0, 1, 4], Version::V5, with_will);
    let taken = Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver));
    assert_same(server, &[0xE0, 1, 0x8E], Version::V5, taken);
    let expiring = Disconnect {
        properties: Properties::from_checked(&[0x11, 0, 0, 0, 9]),
        ..Disconnect::new(ReasonCode::Success)
    };
    let bytes = packet(0xE0, &[0, 5, 0x11, 0, 0, 0, 9]);
    assert_same(client, &bytes, Version::V5, Packet::Disconnect(expiring));
}

#[test]
fn bad_disconnects_are_refused() {
    use ErrorKind as Kind;
    type Read = fn(&[u8], Version) -> Result<Packet<'_>, DecodeError>;
    let (from_client, from_server): (Read, Read) = (client, server);
    let code = |byte| (Kind::BadReason(byte), PROTOCOL, "MQTT-3.14.2-1");
    let expiry = Kind::PropertyNotAllowed(PropertyId::SessionExpiryInterval);
    let trailing = (Kind::Trailing, MALFORMED, "MQTT-4.13.1-1");
    for (body, version, read, expected) in [
        (&[0][..], Version::V4, from_client, trailing),
        (&[1], Version::V5, from_client, code(1)),
        (&[0x8E], Version::V5, from_client, code(0x8E)),
        (&[0x84], Version::V5, from_client, code(0x84)),
        (&[4], Version::V5, from_server, code(4)),
        (
            &[0, 1],
            Version::V5,
            from_client,
            (Kind::Truncated, MALFORMED, "MQTT-4.13.1-1"),
        ),
        (&[0, 0, 0], Version::V5, from_client, trailing),
        (
            &[0, 5, 0x11, 0, 0, 0, 9],
            Version::V5,
            from_server,
            (expiry, PROTOCOL, "MQTT-3.14.2-2"),
        ),
    ] {
        let bytes = packet(0xE0, body);
        assert_refused(read(&bytes, version), expected, &bytes);
    }
}

#[test]
fn steps_of_authentication_are_read() {
    let properties = Properties::from_checked(b"\x15\0\x01M\x16\0\x01d");
    for (reason, read) in [
        (
            ReasonCode::ContinueAuthentication,
            client as fn(&'static [u8], _) -> _,
        ),
        (ReasonCode::ReAuthenticate, client),
        (ReasonCode::ContinueAuthentication, server),
        (ReasonCode::Success, server),
    ] {
        let auth = Packet::Auth(Auth { reason, properties });
        let mut body = vec![reason.byte()];
        body.extend_from_slice(b"\x08\x15\0\x01M\x16\0\x01d");
        let bytes: &'static [u8] = packet(0xF0, &body).leak();
        assert_eq!(read(bytes, Version::V5), Ok(auth));
        let mut out = Vec::new();
        auth.write(&mut out, Version::V5).unwrap();
        assert_eq!(out, bytes);
    }
}

#[test]
fn bad_steps_of_authentication_are_refused() {
    use ErrorKind as Kind;
    let code = |byte| (Kind::BadReason(byte), PROTOCOL, "MQTT-3.15.2-1");
    let missing = Kind::PropertyMissing(PropertyId::AuthenticationMethod);
    let missing = (missing, PROTOCOL, "MQTT-4.12.0-5");
    for (body, version, expected) in [
        (&[][..], Version::V5, code(0)), // success is the server's
        (&[0x80], Version::V5, code(0x80)),
        (&[0x18], Version::V5, missing),
        (&[0x18, 0], Version::V5, missing),
        (&[0x18, 3, 0x16, 0, 0], Version::V5, missing),
        (
            &[],
            Version::V4,
            (Kind::UnknownType(15), MALFORMED, "MQTT-4.13.1-1"),
        ),
        (
            &[],
            Version::V3,
            (Kind::UnknownType(15), MALFORMED, "MQTT-4.13.1-1"),
        ),
    ] {
        let bytes = packet(0xF0, body);
        assert_refused(client(&bytes, version), expected, &bytes);
    }
    let bytes = packet(0xF0, &[0x19]);
    assert_refused(server(&bytes, Version::V5), code(0x19), &bytes);
}
