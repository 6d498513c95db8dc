//! MQTT packets as bytes: as much of both versions as a load needs.
//!
//! Invariants
//! - A packet is read only when it is whole; a body cut short is an error, never a panic.
//! - What version 5 adds is written empty, but for the expiry of a session that is kept.

use crate::Res;
use crate::target::Target;

pub const CONNACK: u8 = 2;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;
pub const SUBACK: u8 = 9;
pub const UNSUBACK: u8 = 11;
pub const PINGRESP: u8 = 13;

/// A whole PINGREQ.
pub const PING: [u8; 2] = [0xC0, 0];
/// The flag in the first octet of a PUBLISH that was sent before.
pub const DUP: u8 = 8;
/// The flag in the first octet of a PUBLISH that is or is to be retained.
pub const RETAIN: u8 = 1;
/// Reason codes from here on are refusals.
const REFUSED_MIN: u8 = 0x80;
/// Acknowledgements under way where the broker names no limit.
const RECEIVE_MAX_DEFAULT: u16 = u16::MAX;
/// Session expiry that means never.
const EXPIRY_NEVER: u32 = u32::MAX;

const SESSION_EXPIRY: u8 = 0x11;
const RECEIVE_MAXIMUM: u8 = 0x21;

/// The version spoken with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1.
    V4,
    /// 5.
    V5,
}

impl Version {
    /// The version that the target's `version` asks for; 3.1.1 if it does not.
    pub fn of(target: &Target) -> Res<Version> {
        match target.option("version", "3.1.1").as_str() {
            "3.1.1" => Ok(Version::V4),
            "5" => Ok(Version::V5),
            other => Err(format!("MQTT {other} is neither 3.1.1 nor 5")),
        }
    }

    /// Opens the place of properties, all of them left out.
    pub fn put_no_properties(self, out: &mut Vec<u8>) {
        if self == Version::V5 {
            out.push(0);
        }
    }

    /// `bytes` behind the properties that they begin with.
    #[inline]
    pub fn skip_properties(self, bytes: &[u8]) -> Res<&[u8]> {
        if self == Version::V4 {
            return Ok(bytes);
        }
        let (length, at) = length(bytes)?.ok_or_else(cut_short)?;
        bytes.get(at + length..).ok_or_else(cut_short)
    }
}

pub fn cut_short() -> String {
    "a packet is cut short".into()
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length % 128) as u8;
        length /= 128;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

/// Reads a variable length and how many octets it took.
#[inline]
fn length(bytes: &[u8]) -> Res<Option<(usize, usize)>> {
    let mut length = 0usize;
    for at in 0..4 {
        let Some(octet) = bytes.get(at) else {
            return Ok(None);
        };
        length |= ((octet & 0x7f) as usize) << (7 * at);
        if octet & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    Err("a length of more than four octets".into())
}

pub fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub fn put_packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    put_length(out, body.len());
    out.extend_from_slice(body);
}

/// A whole packet.
pub struct Packet<'a> {
    /// Type and flags.
    pub first: u8,
    /// What follows the length.
    pub body: &'a [u8],
    /// Octets of all of it.
    pub bytes: usize,
}

impl Packet<'_> {
    /// The type.
    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The quality of service of a PUBLISH.
    pub fn qos(&self) -> u8 {
        (self.first >> 1) & 3
    }

    /// The packet id at the start of an acknowledgement.
    pub fn id(&self) -> Res<[u8; 2]> {
        self.body.first_chunk().copied().ok_or_else(cut_short)
    }

    /// The packet id, if there is one, and the payload of a PUBLISH.
    #[inline]
    pub fn message(&self, version: Version) -> Res<(Option<[u8; 2]>, &[u8])> {
        let topic_end = 2 + u16::from_be_bytes(self.id()?) as usize;
        let rest = self.body.get(topic_end..).ok_or_else(cut_short)?;
        if self.qos() == 0 {
            return Ok((None, version.skip_properties(rest)?));
        }
        let (id, rest) = rest.split_first_chunk().ok_or_else(cut_short)?;
        Ok((Some(*id), version.skip_properties(rest)?))
    }

    /// Does an acknowledgement refuse what it answers? Only version 5 has a word for it.
    pub fn refuses(&self) -> bool {
        self.body.get(2).is_some_and(|code| *code >= REFUSED_MIN)
    }
}

/// The first packet of `bytes`, if it is whole.
#[inline]
pub fn packet(bytes: &[u8]) -> Res<Option<Packet<'_>>> {
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let Some((length, at)) = length(rest)? else {
        return Ok(None);
    };
    let body = rest.get(at..at + length);
    Ok(body.map(|body| Packet {
        first: *first,
        body,
        bytes: 1 + at + length,
    }))
}

/// A CONNECT without a keep-alive. A session that is not clean is kept for ever.
pub fn put_connect(out: &mut Vec<u8>, target: &Target, id: &str, clean: bool) -> Res<()> {
    let version = Version::of(target)?;
    let user = target.option("user", "");
    let login = if user.is_empty() { 0 } else { 0xC0 };
    let mut body = Vec::new();
    put_text(&mut body, "MQTT");
    body.push(if version == Version::V5 { 5 } else { 4 });
    body.push(u8::from(clean) << 1 | login);
    body.extend_from_slice(&0u16.to_be_bytes());
    if version == Version::V5 && !clean {
        body.extend_from_slice(&[5, SESSION_EXPIRY]);
        body.extend_from_slice(&EXPIRY_NEVER.to_be_bytes());
    } else {
        version.put_no_properties(&mut body);
    }
    put_text(&mut body, id);
    if !user.is_empty() {
        put_text(&mut body, &user);
        put_text(&mut body, &target.option("pass", "guest"));
    }
    put_packet(out, 0x10, &body);
    Ok(())
}

/// What a CONNACK says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The broker had a session of this client.
    pub resumed: bool,
    /// Unacknowledged messages that the broker takes.
    pub receive_max: u16,
}

/// Reads the body of a CONNACK; one that refuses is an error.
pub fn welcome(version: Version, body: &[u8]) -> Res<Welcome> {
    let [flags, code, rest @ ..] = body else {
        return Err(cut_short());
    };
    if *code != 0 {
        return Err(format!("the connection is refused with {code}"));
    }
    let mut receive_max = RECEIVE_MAX_DEFAULT;
    if version == Version::V5 {
        let (length, at) = length(rest)?.ok_or_else(cut_short)?;
        let mut properties = rest.get(at..at + length).ok_or_else(cut_short)?;
        while let [id, value @ ..] = properties {
            let octets = property_octets(*id, value)?;
            if let (RECEIVE_MAXIMUM, [high, low, ..]) = (*id, value) {
                receive_max = u16::from_be_bytes([*high, *low]);
            }
            properties = value.get(octets..).ok_or_else(cut_short)?;
        }
    }
    let resumed = flags & 1 == 1;
    Ok(Welcome {
        resumed,
        receive_max,
    })
}

/// The octets that the value of a CONNACK's property takes.
fn property_octets(id: u8, value: &[u8]) -> Res<usize> {
    let text = |at: usize| {
        let octets = value.get(at..at + 2).ok_or_else(cut_short)?;
        Ok(2 + u16::from_be_bytes([octets[0], octets[1]]) as usize)
    };
    match id {
        0x24 | 0x25 | 0x28 | 0x29 | 0x2A => Ok(1),
        RECEIVE_MAXIMUM | 0x13 | 0x22 => Ok(2),
        SESSION_EXPIRY | 0x27 => Ok(4),
        0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => text(0),
        0x26 => {
            let name = text(0)?;
            Ok(name + text(name)?)
        }
        _ => Err(format!("a CONNACK with property {id:#x}")),
    }
}

/// A SUBSCRIBE to all of `filters`.
pub fn put_subscribe(out: &mut Vec<u8>, version: Version, id: u16, filters: &[String], qos: u8) {
    let mut body = id.to_be_bytes().to_vec();
    version.put_no_properties(&mut body);
    for filter in filters {
        put_text(&mut body, filter);
        body.push(qos);
    }
    put_packet(out, 0x82, &body);
}

/// An UNSUBSCRIBE from one filter.
pub fn put_unsubscribe(out: &mut Vec<u8>, version: Version, id: u16, filter: &str) {
    let mut body = id.to_be_bytes().to_vec();
    version.put_no_properties(&mut body);
    put_text(&mut body, filter);
    put_packet(out, 0xA2, &body);
}

/// Reads the body of a SUBACK; a filter that is refused, or granted less than `qos`, is an error.
pub fn granted(version: Version, body: &[u8], filters: usize, qos: u8) -> Res<()> {
    let codes = version.skip_properties(body.get(2..).ok_or_else(cut_short)?)?;
    if codes.len() != filters {
        return Err(format!("{} answers for {filters} filters", codes.len()));
    }
    match codes.iter().find(|code| **code != qos) {
        None => Ok(()),
        Some(code) => Err(format!("a subscription was answered with {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(options: &str) -> Target {
        Target::parse(&format!("a=mqtt@127.0.0.1:1{options}")).expect("well formed")
    }

    #[test]
    fn lengths_are_read_back() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 2_097_152] {
            let mut bytes = Vec::new();
            put_packet(&mut bytes, 0x30, &vec![0; length]);
            let got = packet(&bytes).expect("well formed").expect("whole");
            assert_eq!((got.body.len(), got.bytes), (length, bytes.len()));
            let cut = packet(&bytes[..bytes.len() - 1]).expect("well formed");
            assert!(cut.is_none(), "{length}");
        }
        assert!(packet(&[0x30, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert!(packet(&[]).is_ok_and(|packet| packet.is_none()));
    }

    #[test]
    fn a_connect_says_version_session_and_login() {
        let cases: [(&str, bool, &[u8]); 4] = [
            ("", true, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01i"),
            (
                ",user=u,pass=p",
                false,
                b"\x10\x13\x00\x04MQTT\x04\xc0\x00\x00\x00\x01i\x00\x01u\x00\x01p",
            ),
            (
                ",version=5",
                true,
                b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01i",
            ),
            (
                ",version=5",
                false,
                b"\x10\x13\x00\x04MQTT\x05\x00\x00\x00\x05\x11\xff\xff\xff\xff\x00\x01i",
            ),
        ];
        for (options, clean, expected) in cases {
            let mut out = Vec::new();
            put_connect(&mut out, &target(options), "i", clean).expect("a known version");
            assert_eq!(out, expected, "{options} {clean}");
        }
        assert!(put_connect(&mut Vec::new(), &target(",version=3.1"), "i", true).is_err());
    }

    #[test]
    fn a_welcome_tells_the_session_and_how_much_may_be_under_way() {
        let welcomed = |resumed, receive_max| {
            Some(Welcome {
                resumed,
                receive_max,
            })
        };
        let cases: [(Version, &[u8], Option<Welcome>); 9] = [
            (Version::V4, &[0, 0], welcomed(false, u16::MAX)),
            (Version::V4, &[1, 0], welcomed(true, u16::MAX)),
            (Version::V4, &[0, 5], None),
            (Version::V4, &[0], None),
            (Version::V5, &[0, 0, 0], welcomed(false, u16::MAX)),
            (
                Version::V5,
                b"\x01\x00\x0b\x1f\x00\x01x\x27\x00\x00\x00\x09\x24\x01",
                welcomed(true, u16::MAX),
            ),
            (
                Version::V5,
                b"\x01\x00\x0d\x26\x00\x01a\x00\x01b\x24\x01\x21\x01\x00",
                None,
            ),
            (
                Version::V5,
                b"\x01\x00\x0c\x26\x00\x01a\x00\x01b\x24\x01\x21\x01\x00",
                welcomed(true, 256),
            ),
            (Version::V5, b"\x00\x00\x02\x7f\x00", None),
        ];
        for (version, body, expected) in cases {
            assert_eq!(welcome(version, body).ok(), expected, "{body:?}");
        }
    }

    #[test]
    fn a_subscription_that_is_not_granted_in_full_is_an_error() {
        for (version, body, expected) in [
            (Version::V4, &[0, 1, 1][..], true),
            (Version::V5, &[0, 1, 0, 1][..], true),
            (Version::V4, &[0, 1, 0][..], false),
            (Version::V4, &[0, 1, 0x80][..], false),
            (Version::V4, &[0, 1, 1, 1][..], false),
            (Version::V4, &[0][..], false),
            (Version::V5, &[0, 1, 9, 1][..], false),
        ] {
            assert_eq!(granted(version, body, 1, 1).is_ok(), expected, "{body:?}");
        }
    }
}
