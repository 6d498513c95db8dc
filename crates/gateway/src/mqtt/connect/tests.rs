//! CONNECT by bytes: what is read, and how what is wrong is answered, in each version.

use mqtt::{Properties, Qos, write_properties};

use super::*;

const PLAIN: Connect<'static> = Connect {
    version: Version::V5,
    clean_start: true,
    keep_alive_seconds: 60,
    client_id: "c1",
    properties: Properties::EMPTY,
    will: None,
    user_name: None,
    password: None,
};

fn bytes(connect: &Connect<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    connect.write(&mut out);
    out
}

fn hello(connect: &Connect<'_>) -> Hello {
    let bytes = bytes(connect);
    let (hello, used) = read(&bytes).unwrap().unwrap();
    assert_eq!(used, bytes.len());
    hello
}

fn refused(bytes: &[u8]) -> (Option<Version>, ReasonCode) {
    let refused = read(bytes).err().unwrap();
    (refused.version, refused.reason)
}

#[test]
fn what_is_not_said_has_its_default() {
    let hello = hello(&PLAIN);
    assert_eq!((hello.client_id.as_str(), hello.keep_alive_s), ("c1", 60));
    assert_eq!((hello.receive_max, hello.alias_max), (u16::MAX, 0));
    assert_eq!(hello.packet_bytes_max, u32::MAX);
    assert!(hello.problem_information);
    assert!(hello.user.is_none() && hello.password.is_none() && hello.method.is_none());
}

#[test]
fn what_is_said_is_read() {
    let (mut block, mut will_block) = (Vec::new(), Vec::new());
    let properties = write_properties(&mut block, |writer| {
        writer
            .session_expiry(30)
            .receive_maximum(7)
            .maximum_packet_size(2000)
            .topic_alias_maximum(5)
            .request_problem_information(false);
    });
    let will_properties = write_properties(&mut will_block, |writer| {
        writer.will_delay(9).content_type("text/plain");
    });
    let hello = hello(&Connect {
        properties,
        user_name: Some("ann"),
        password: Some(b"secret"),
        will: Some(mqtt::Will {
            qos: Qos::AtLeastOnce,
            retain: true,
            topic: "gone/c1",
            payload: b"bye",
            properties: will_properties,
        }),
        ..PLAIN
    });
    assert_eq!(hello.expiry_s, 30);
    assert_eq!((hello.receive_max, hello.alias_max), (7, 5));
    assert_eq!(hello.packet_bytes_max, 2000);
    assert!(!hello.problem_information);
    assert_eq!(hello.user.as_deref(), Some("ann"));
    assert_eq!(hello.password.as_deref(), Some(&b"secret"[..]));
    let will = hello.will.unwrap();
    assert_eq!((&*will.topic, will.delay_s), ("gone/c1", 9));
}

#[test]
fn how_long_a_session_lasts_is_said_in_two_ways() {
    for (version, clean_start, expected) in [
        (Version::V3, true, 0),
        (Version::V3, false, u32::MAX),
        (Version::V4, true, 0),
        (Version::V4, false, u32::MAX),
        (Version::V5, true, 0),
        (Version::V5, false, 0),
    ] {
        let hello = hello(&Connect {
            version,
            clean_start,
            ..PLAIN
        });
        assert_eq!(hello.expiry_s, expected, "{version:?} {clean_start}");
    }
}

#[test]
fn a_connect_is_read_when_its_last_byte_is_there() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let whole = bytes(&Connect { version, ..PLAIN });
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).unwrap().is_none(), "{version:?} {end}");
        }
        let more = [&whole[..], &[0xC0, 0]].concat();
        assert_eq!(read(&more).unwrap().unwrap().1, whole.len());
    }
}

#[test]
fn a_first_packet_that_is_no_connect_is_told_nothing() {
    for first in [0x00, 0x20, 0x30, 0x82, 0xC0, 0xE0, 0xF0, b'A', b'G'] {
        let expected = (None, ReasonCode::ProtocolError);
        assert_eq!(refused(&[first]), expected, "{first:#x}: by its first byte");
    }
}

#[test]
fn what_is_wrong_is_answered_as_the_version_wants_it() {
    use ReasonCode::{
        ClientIdentifierNotValid, MalformedPacket, PacketTooLarge, UnsupportedProtocolVersion,
    };
    let at = |version, change: fn(&mut Vec<u8>)| {
        let mut bytes = bytes(&Connect { version, ..PLAIN });
        change(&mut bytes);
        refused(&bytes)
    };
    let (v4, v5) = (Some(Version::V4), Some(Version::V5));
    // | 10 len | 0 4 M Q T T | level | flags | ...
    for (version, told) in [(Version::V5, v5), (Version::V4, None)] {
        let reserved = at(version, |bytes| bytes[9] |= 1);
        assert_eq!(reserved, (told, MalformedPacket), "{version:?}");
        let will_flags = at(version, |bytes| bytes[9] |= 0x20);
        assert_eq!(will_flags, (told, MalformedPacket), "{version:?}");
        let flags = at(version, |bytes| bytes[0] |= 2);
        assert_eq!(flags, (told, MalformedPacket), "{version:?}");
        let trailing = at(version, |bytes| {
            bytes[1] += 1;
            bytes.push(0);
        });
        assert_eq!(trailing, (told, MalformedPacket), "{version:?}");
        let large = at(version, |bytes| {
            bytes.splice(1..2, [0xFF, 0xFF, 0x7F]);
        });
        assert_eq!(large, (told, PacketTooLarge), "{version:?}: body or not");
    }
    for (level, told) in [(0, v4), (2, v4), (6, v5), (200, v5), (0x84, v5)] {
        let mut bytes = bytes(&PLAIN);
        bytes[8] = level;
        assert_eq!(
            refused(&bytes),
            (told, UnsupportedProtocolVersion),
            "{level}"
        );
    }
    let name = at(Version::V4, |bytes| bytes[4] = b'q');
    assert_eq!(name, (None, UnsupportedProtocolVersion));
    for (version, client_id, clean_start, told) in [
        (Version::V4, "", false, v4),
        (Version::V3, "", true, Some(Version::V3)),
        (Version::V4, &"x".repeat(1025), true, v4),
        (Version::V5, &"x".repeat(1025), true, v5),
    ] {
        let bytes = bytes(&Connect {
            version,
            client_id,
            clean_start,
            ..PLAIN
        });
        let expected = (told, ClientIdentifierNotValid);
        assert_eq!(refused(&bytes), expected, "{version:?} {}", client_id.len());
    }
}

#[test]
fn ids_of_every_allowed_length_are_taken() {
    for (version, client_id, clean_start) in [
        (Version::V5, "", true),
        (Version::V5, "", false),
        (Version::V4, "", true),
        (Version::V4, "é 日本/+#", true),
        (Version::V5, &"x".repeat(1024), false),
    ] {
        let hello = hello(&Connect {
            version,
            client_id,
            clean_start,
            ..PLAIN
        });
        assert_eq!(hello.client_id, client_id);
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut state = 7u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize
    };
    for version in [Version::V3, Version::V4, Version::V5] {
        let whole = bytes(&Connect { version, ..PLAIN });
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..=random() % 3 {
                let at = random() % bytes.len();
                bytes[at] = random() as u8;
            }
            bytes.truncate(random() % (bytes.len() + 1));
            if let Ok(Some((_, used))) = read(&bytes) {
                assert!(used <= bytes.len());
            }
        }
    }
}
