//! Primitive fields: big-endian integers, variable byte integers, strings and blobs.
//!
//! Invariants
//! - A reader that answers `None` has read past the end of its input, and nothing else.
//! - A length is compared with what is there before anything is done with it.

use crate::error::{DecodeError, ErrorKind};
use crate::text;

/// Largest variable byte integer, and so the largest remaining length.
pub const VARINT_MAX: u32 = 268_435_455;

/// A variable byte integer off the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Varint {
    /// The number, how many bytes it took, and whether fewer would have done.
    Value(u32, usize, bool),
    /// The bytes end within it.
    Short,
    /// It goes on after four bytes.
    Long,
}

#[inline]
pub(crate) fn varint(bytes: &[u8]) -> Varint {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Varint::Value(value, index + 1, index > 0 && *byte == 0);
        }
    }
    if bytes.len() < 4 {
        Varint::Short
    } else {
        Varint::Long
    }
}

/// How many bytes a variable byte integer takes.
#[inline]
pub(crate) const fn varint_bytes(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Appends a variable byte integer.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    debug_assert!(value <= VARINT_MAX);
    while value > 0x7F {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a string or blob: two bytes of length, then the bytes. What is too long is cut, which
/// callers prevent.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&bytes[..usize::from(length)]);
}

/// Reads fields off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// That nothing is left.
    pub(crate) const fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TRAILING)
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Two bytes of length, and as many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A number in as few bytes as it needs.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        match varint(self.rest) {
            Varint::Value(value, size, false) => {
                self.rest = &self.rest[size..];
                Ok(value)
            }
            Varint::Short => Err(DecodeError::TRUNCATED),
            Varint::Value(_, _, true) | Varint::Long => {
                Err(DecodeError::malformed(ErrorKind::BadVarint, "MQTT-1.5.5-1"))
            }
        }
    }

    /// A string; one that MQTT does not allow breaks `statement`.
    pub(crate) fn text(&mut self, statement: &'static str) -> Result<&'a str, DecodeError> {
        let bytes = self.bytes().ok_or(DecodeError::TRUNCATED)?;
        text::read(bytes).ok_or(DecodeError::malformed(ErrorKind::BadText, statement))
    }

    /// A packet id, which is never zero.
    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.u16() {
            None => Err(DecodeError::TRUNCATED),
            Some(0) => Err(DecodeError::malformed(
                ErrorKind::PacketIdZero,
                "MQTT-2.2.1-3",
            )),
            Some(packet_id) => Ok(packet_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_byte_integers_are_read_at_their_borders() {
        for (bytes, expected) in [
            (&[0][..], Varint::Value(0, 1, false)),
            (&[0x7F], Varint::Value(127, 1, false)),
            (&[0x80, 1], Varint::Value(128, 2, false)),
            (&[0xFF, 0x7F, 9], Varint::Value(16_383, 2, false)),
            (&[0x80, 0x80, 1], Varint::Value(16_384, 3, false)),
            (&[0xFF, 0xFF, 0x7F], Varint::Value(2_097_151, 3, false)),
            (&[0x80, 0x80, 0x80, 1], Varint::Value(2_097_152, 4, false)),
            (
                &[0xFF, 0xFF, 0xFF, 0x7F],
                Varint::Value(VARINT_MAX, 4, false),
            ),
            (&[0x80, 0], Varint::Value(0, 2, true)),
            (&[0x81, 0x80, 0], Varint::Value(1, 3, true)),
            (&[], Varint::Short),
            (&[0x80, 0x80, 0x80], Varint::Short),
            (&[0xFF, 0xFF, 0xFF, 0xFF], Varint::Long),
            (&[0x80, 0x80, 0x80, 0x80, 0], Varint::Long),
        ] {
            assert_eq!(varint(bytes), expected, "{bytes:?}");
            let Varint::Value(value, size, false) = expected else {
                assert!(Reader::new(bytes).varint().is_err());
                continue;
            };
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!((&out[..], size), (&bytes[..size], varint_bytes(value)));
        }
    }

    #[test]
    fn a_length_past_the_end_reads_nothing() {
        assert_eq!(Reader::new(&[0, 2, b'a']).bytes(), None);
        assert_eq!(Reader::new(&[0xFF, 0xFF, 1]).bytes(), None);
        assert_eq!(Reader::new(&[0]).u16(), None);
        assert_eq!(Reader::new(&[0, 0, 0]).u32(), None);
        assert_eq!(Reader::new(&[]).u8(), None);
        assert_eq!(Reader::new(&[0, 1, b'a']).bytes(), Some(&b"a"[..]));
    }
}
