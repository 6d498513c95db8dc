//! The fixed header: packet type, flags and remaining length.
//!
//! Invariants
//! - A packet over the limit is refused when its length is known, before its body is here.
//! - A frame's `size` is that of header and body; `body` is all of the body.
//!
//! Not here: whether the flags are right, which depends on the version (`packet`).

use crate::error::{DecodeError, ErrorKind, GENERAL};
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::wire::{self, VARINT_MAX, Varint};

/// Most bytes of a fixed header.
pub const FIXED_HEADER_BYTES_MAX: usize = 5;

/// The fifteen packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Client to server: who it is.
    Connect = 1,
    /// Server to client: whether it may.
    Connack = 2,
    /// A message.
    Publish = 3,
    /// Quality 1: it is taken.
    Puback = 4,
    /// Quality 2: it is taken.
    Pubrec = 5,
    /// Quality 2: its id may be forgotten.
    Pubrel = 6,
    /// Quality 2: its id is forgotten.
    Pubcomp = 7,
    /// Client to server: filters to be subscribed.
    Subscribe = 8,
    /// Server to client: what was granted.
    Suback = 9,
    /// Client to server: filters no longer wanted.
    Unsubscribe = 10,
    /// Server to client: what became of them.
    Unsuback = 11,
    /// Client to server: a sign of life.
    Pingreq = 12,
    /// Server to client: the answer.
    Pingresp = 13,
    /// The last packet.
    Disconnect = 14,
    /// MQTT 5: a step of authentication.
    Auth = 15,
}

impl PacketType {
    /// The type in the upper half of a packet's first byte; 0 is none.
    #[inline]
    #[must_use]
    pub const fn from_first_byte(first: u8) -> Option<Self> {
        Some(match first >> 4 {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The first byte of such a packet, with the flags that it must have; those of PUBLISH are
    /// its own.
    #[inline]
    #[must_use]
    pub const fn first_byte(self) -> u8 {
        let flags = match self {
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => 2,
            _ => 0,
        };
        (self as u8) << 4 | flags
    }

    /// The statement that fixes its flags.
    const fn flags_statement(self) -> &'static str {
        match self {
            Self::Pubrel => "MQTT-3.6.1-1",
            Self::Subscribe => "MQTT-3.8.1-1",
            Self::Unsubscribe => "MQTT-3.10.1-1",
            Self::Disconnect => "MQTT-3.14.1-1",
            Self::Auth => "MQTT-3.15.1-1",
            _ => "MQTT-2.1.3-1",
        }
    }
}

/// A packet whose bytes are all here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What packet it is.
    pub packet_type: PacketType,
    /// The lower half of the first byte.
    pub flags: u8,
    /// What follows the fixed header.
    pub body: &'a [u8],
    /// Bytes of header and body.
    pub size: usize,
    /// Whether the length took more bytes than it needs, which MQTT 5 forbids.
    pub is_length_padded: bool,
}

impl Frame<'_> {
    /// That flags and length are as this version wants them; the flags of PUBLISH are its own.
    ///
    /// In MQTT 3.1 the flags of other packets mean nothing, or (DUP) nothing of interest.
    pub(crate) const fn check(&self, version: Version) -> Result<(), DecodeError> {
        if self.is_length_padded && version.is_5() {
            return Err(DecodeError::malformed(ErrorKind::BadVarint, "MQTT-1.5.5-1"));
        }
        let fixed = !matches!(self.packet_type, PacketType::Publish);
        let expected = self.packet_type.first_byte() & 0x0F;
        if fixed && self.flags != expected && !matches!(version, Version::V3) {
            return Err(DecodeError::malformed(
                ErrorKind::BadFlags,
                self.packet_type.flags_statement(),
            ));
        }
        Ok(())
    }
}

/// How long the packet at the front of `bytes` will be, of which not all is here; what is here as
/// long as that is not known.
#[must_use]
pub fn announced_bytes(bytes: &[u8]) -> usize {
    match bytes.split_first().map(|(_, rest)| wire::varint(rest)) {
        Some(Varint::Value(length, size, _)) => 1 + size + length as usize,
        _ => bytes.len(),
    }
}

/// Reads a packet off the front of `bytes`; `None` while more is needed. `packet_bytes_max` holds
/// for header and body together.
///
/// # Errors
/// The first byte is of no packet, the length is no number, or the packet is over the limit.
#[inline]
pub fn frame(bytes: &[u8], packet_bytes_max: u32) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let Some(packet_type) = PacketType::from_first_byte(*first) else {
        let kind = ErrorKind::UnknownType(0);
        return Err(DecodeError::malformed(kind, GENERAL));
    };
    let (length, header_bytes, is_length_padded) = match wire::varint(rest) {
        Varint::Value(length, size, padded) => (length, 1 + size, padded),
        Varint::Short => return Ok(None),
        Varint::Long => {
            return Err(DecodeError::malformed(ErrorKind::BadVarint, "MQTT-1.5.5-1"));
        }
    };
    // Neither the cast nor the sum can overflow: a length is below 2^28.
    let packet_bytes = length + header_bytes as u32;
    if packet_bytes > packet_bytes_max {
        return Err(too_large(packet_bytes, packet_bytes_max));
    }
    let size = packet_bytes as usize;
    let Some(body) = bytes.get(header_bytes..size) else {
        return Ok(None);
    };
    Ok(Some(Frame {
        packet_type,
        flags: first & 0x0F,
        body,
        size,
        is_length_padded,
    }))
}

#[cold]
const fn too_large(packet_bytes: u32, packet_bytes_max: u32) -> DecodeError {
    DecodeError::new(
        ErrorKind::TooLarge {
            packet_bytes,
            packet_bytes_max,
        },
        ReasonCode::PacketTooLarge,
        "MQTT-3.2.2-15",
    )
}

/// Appends a fixed header; what `body_bytes` says must follow.
#[inline]
pub(crate) fn put_header(out: &mut Vec<u8>, packet_type: PacketType, body_bytes: usize) {
    out.push(packet_type.first_byte());
    let length = u32::try_from(body_bytes).ok();
    let length = length.filter(|length| *length <= VARINT_MAX);
    wire::put_varint(
        out,
        length.expect("who writes a packet keeps it below the limit of MQTT"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_there_when_its_last_byte_is() {
        let bytes = [0x30, 3, b'a', b'b', b'c', 0xC0, 0];
        for end in 0..5 {
            assert_eq!(frame(&bytes[..end], 100), Ok(None), "{end} bytes");
        }
        let first = frame(&bytes, 100).unwrap().unwrap();
        let expected = Frame {
            packet_type: PacketType::Publish,
            flags: 0,
            body: b"abc",
            size: 5,
            is_length_padded: false,
        };
        assert_eq!(first, expected);
        let second = frame(&bytes[5..], 100).unwrap().unwrap();
        assert_eq!((second.packet_type, second.size), (PacketType::Pingreq, 2));
    }

    #[test]
    fn bad_headers_are_refused_at_once() {
        for (bytes, max, reason) in [
            (&[0x00][..], 100, ReasonCode::MalformedPacket),
            (&[0x0F, 0], 100, ReasonCode::MalformedPacket),
            (&[0x30, 99], 100, ReasonCode::PacketTooLarge),
            (
                &[0x30, 0xFF, 0xFF, 0xFF, 0x7F],
                1 << 20,
                ReasonCode::PacketTooLarge,
            ),
            (
                &[0x30, 0x80, 0x80, 0x80, 0x80],
                u32::MAX,
                ReasonCode::MalformedPacket,
            ),
        ] {
            assert_eq!(frame(bytes, max).unwrap_err().reason, reason, "{bytes:?}");
        }
        assert_eq!(frame(&[0x30, 98], 100), Ok(None), "exactly the limit");
        assert_eq!(frame(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], u32::MAX), Ok(None));
    }

    #[test]
    fn a_padded_length_is_a_matter_of_the_version() {
        let padded = frame(&[0xC0, 0x80, 0], 100).unwrap().unwrap();
        assert!(padded.is_length_padded);
        assert_eq!((padded.size, padded.body), (3, &[][..]));
        assert_eq!(padded.check(Version::V3), Ok(()));
        assert_eq!(padded.check(Version::V4), Ok(()));
        let error = padded.check(Version::V5).unwrap_err();
        assert_eq!(error.statement, "MQTT-1.5.5-1");
    }
}
