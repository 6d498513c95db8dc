//! Primitive fields: big-endian integers, packed bits, short and long strings.
//!
//! Invariants
//! - A [`ShortStr`] holds at most 255 bytes, a [`LongStr`] at most `u32::MAX`.
//! - Neighbouring bits share an octet, lowest bit first; any other field starts a new octet.
//! - A reader that answers `None` has read past the end of its input, and nothing else.

use std::borrow::Cow;
use std::fmt;

use crate::table::RawTable;

/// Longest short string, in bytes.
pub const SHORT_STR_BYTES_MAX: usize = 255;

/// A string of up to 255 bytes, in whatever encoding the peer chose.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortStr<'a>(&'a [u8]);

impl<'a> ShortStr<'a> {
    /// The empty string.
    pub const EMPTY: ShortStr<'static> = ShortStr(&[]);

    /// Takes the bytes if they are few enough.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() <= SHORT_STR_BYTES_MAX {
            Some(Self(bytes))
        } else {
            None
        }
    }

    /// Takes the first 255 bytes, less what would cut a UTF-8 character in two.
    #[must_use]
    pub fn clipped(bytes: &'a [u8]) -> Self {
        let Some(mut end) = bytes.get(SHORT_STR_BYTES_MAX).map(|_| SHORT_STR_BYTES_MAX) else {
            return Self(bytes);
        };
        let lowest = end - 3;
        while end > lowest && bytes[end] & 0xC0 == 0x80 {
            end -= 1;
        }
        Self(&bytes[..end])
    }

    /// A string known when we are compiled.
    ///
    /// # Panics
    /// When the text is longer than 255 bytes.
    #[must_use]
    pub const fn lit(text: &'a str) -> Self {
        assert!(text.len() <= SHORT_STR_BYTES_MAX);
        Self(text.as_bytes())
    }

    /// The bytes as they are on the wire.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text, if it is UTF-8.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }

    /// The text, with what is not UTF-8 replaced.
    #[must_use]
    pub fn as_str_lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for ShortStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str_lossy())
    }
}

/// A string or blob with a four-byte length.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LongStr<'a>(&'a [u8]);

impl<'a> LongStr<'a> {
    /// The empty string.
    pub const EMPTY: LongStr<'static> = LongStr(&[]);

    /// Takes the bytes.
    ///
    /// # Panics
    /// When there are more than `u32::MAX`; frames end long before that.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        assert!(bytes.len() <= u32::MAX as usize);
        Self(bytes)
    }

    /// The bytes as they are on the wire.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text, with what is not UTF-8 replaced.
    #[must_use]
    pub fn as_str_lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}

impl fmt::Debug for LongStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str_lossy())
    }
}

/// Reads fields off the front of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    bits: u8,
    bits_left: u8,
    checks_utf8: bool,
    utf8_ok: bool,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            bits: 0,
            bits_left: 0,
            checks_utf8: false,
            utf8_ok: true,
        }
    }

    /// From here on, remembers whether a short string was not UTF-8.
    #[inline]
    pub(crate) const fn check_utf8(&mut self) {
        self.checks_utf8 = true;
    }

    pub(crate) const fn utf8_ok(&self) -> bool {
        self.utf8_ok
    }

    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        self.bits_left = 0;
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bits_left = 0;
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    #[inline]
    pub(crate) fn bit(&mut self) -> Option<bool> {
        if self.bits_left == 0 {
            self.bits = self.u8()?;
            self.bits_left = 8;
        }
        let bit = self.bits & 1 != 0;
        self.bits >>= 1;
        self.bits_left -= 1;
        Some(bit)
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

    #[inline]
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    #[inline]
    pub(crate) fn short_bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    #[inline]
    pub(crate) fn long_bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }

    #[inline]
    pub(crate) fn short_str(&mut self) -> Option<ShortStr<'a>> {
        let bytes = self.short_bytes()?;
        if self.checks_utf8 && std::str::from_utf8(bytes).is_err() {
            self.utf8_ok = false;
        }
        Some(ShortStr(bytes))
    }
}

/// Appends fields to a buffer, packing neighbouring bits.
pub(crate) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    bits_used: u8,
}

impl<'o> Writer<'o> {
    #[inline]
    pub(crate) const fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, bits_used: 0 }
    }

    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.bits_used = 0;
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    pub(crate) fn bit(&mut self, bit: bool) {
        if self.bits_used == 0 || self.bits_used == 8 {
            self.out.push(0);
            self.bits_used = 0;
        }
        if let Some(octet) = self.out.last_mut() {
            *octet |= u8::from(bit) << self.bits_used;
        }
        self.bits_used += 1;
    }
}

/// Appends a short string: one length byte, then the bytes.
#[inline]
pub(crate) fn put_short(out: &mut Vec<u8>, text: ShortStr<'_>) {
    let length = u8::try_from(text.0.len()).expect("a ShortStr holds at most 255 bytes");
    out.push(length);
    out.extend_from_slice(text.0);
}

/// Appends a blob: four length bytes, then the bytes.
#[inline]
pub(crate) fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length_u32(bytes.len()).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A length of something of ours, for a four-byte length field.
#[inline]
pub(crate) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("what we encode is bounded by the frame size, far below 4 GiB")
}

/// One field of a method: how it is read and written.
pub(crate) trait Field<'a>: Sized {
    fn read(reader: &mut Reader<'a>) -> Option<Self>;
    fn write(&self, writer: &mut Writer<'_>);
}

macro_rules! integer_field {
    ($($integer:ident),*) => {$(
        impl<'a> Field<'a> for $integer {
            #[inline]
            fn read(reader: &mut Reader<'a>) -> Option<Self> {
                reader.$integer()
            }
            #[inline]
            fn write(&self, writer: &mut Writer<'_>) {
                writer.bytes(&self.to_be_bytes());
            }
        }
    )*};
}
integer_field!(u8, u16, u32, u64);

impl<'a> Field<'a> for bool {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        reader.bit()
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bit(*self);
    }
}

impl<'a> Field<'a> for ShortStr<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        reader.short_str()
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bits_used = 0;
        put_short(writer.out, *self);
    }
}

impl<'a> Field<'a> for LongStr<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        reader.long_bytes().map(LongStr)
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bits_used = 0;
        put_long(writer.out, self.0);
    }
}

impl<'a> Field<'a> for RawTable<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        reader.long_bytes().map(RawTable::new)
    }
    #[inline]
    fn write(&self, writer: &mut Writer<'_>) {
        writer.bits_used = 0;
        put_long(writer.out, self.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_share_an_octet_until_another_field_starts() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        for index in 0..9 {
            writer.bit(index % 2 == 0);
        }
        7u16.write(&mut writer);
        writer.bit(true);
        assert_eq!(out, [0b0101_0101, 1, 0, 7, 1]);

        let mut reader = Reader::new(&out);
        for index in 0..9 {
            assert_eq!(reader.bit(), Some(index % 2 == 0), "bit {index}");
        }
        assert_eq!(reader.u16(), Some(7));
        assert_eq!(reader.bit(), Some(true));
        assert!(reader.is_empty());
    }

    #[test]
    fn clipping_keeps_255_bytes_and_whole_characters() {
        let long = "a".repeat(300);
        let wide = format!("{}é", "a".repeat(254));
        for (text, expected) in [
            ("short", 5),
            (&long[..255], 255),
            (&long[..], 255),
            (&wide[..], 254), // the two bytes of é would straddle the limit
        ] {
            assert_eq!(
                ShortStr::clipped(text.as_bytes()).as_bytes().len(),
                expected
            );
        }
        assert_eq!(ShortStr::clipped(&[0x80; 300]).as_bytes().len(), 252);
        assert!(ShortStr::new(&[0; 256]).is_none());
    }

    #[test]
    fn a_length_past_the_end_reads_nothing() {
        assert_eq!(Reader::new(&[2, b'a']).short_bytes(), None);
        assert_eq!(Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 1]).long_bytes(), None);
        assert_eq!(Reader::new(&[0, 0, 0]).u32(), None);
    }
}
