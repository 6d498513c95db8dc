//! Which bytes are an MQTT string.
//!
//! Well-formed UTF-8 without NUL, as both versions demand. Control characters (U+0001 to U+001F,
//! U+007F to U+009F) and non-characters are refused, too: the specification lets a receiver do
//! that, Mosquitto does, and clients built on its library close the connection on a message that
//! has one, so a publisher could cut off the subscribers of others.
//!
//! Invariant: what [`check`] accepts is UTF-8, and is the same bytes whoever reads it (a byte
//! order mark is a character like any other).

/// Longest string, in bytes.
pub const TEXT_BYTES_MAX: usize = u16::MAX as usize;

/// Whether the bytes are a string that MQTT allows, length aside.
#[inline]
#[must_use]
pub fn check(bytes: &[u8]) -> bool {
    is_printable_ascii(bytes) || check_unicode(bytes)
}

/// The string, if the bytes are one that MQTT allows.
#[inline]
#[must_use]
pub fn read(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (is_printable_ascii(bytes) || text.chars().all(is_allowed)).then_some(text)
}

/// Every byte is looked at, without a branch, so that many are looked at together.
#[inline]
fn is_printable_ascii(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(true, |all, byte| all & (byte.wrapping_sub(b' ') < 0x5F))
}

#[cold]
fn check_unicode(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_allowed))
}

fn is_allowed(character: char) -> bool {
    let code = u32::from(character);
    let non_character = matches!(code, 0xFDD0..=0xFDEF) || code & 0xFFFE == 0xFFFE;
    !character.is_control() && !non_character
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_utf8_without_nul_control_and_non_characters() {
        for (bytes, allowed) in [
            (&b""[..], true),
            (b"sensor/1 ~", true),
            ("température/°C/日本/🦀".as_bytes(), true),
            (b"\xEF\xBB\xBFbom", true), // U+FEFF is a character like any other
            ("\u{E000}\u{FFFD}\u{A0}\u{10FFFD}".as_bytes(), true),
            (b"a\0b", false),
            (b"a\nb", false),
            (b"\x1F", false),
            (b"\x7F", false),
            ("\u{80}".as_bytes(), false),
            ("\u{9F}".as_bytes(), false),
            ("\u{FDD0}".as_bytes(), false),
            ("\u{FDEF}".as_bytes(), false),
            ("\u{FFFE}".as_bytes(), false),
            ("\u{FFFF}".as_bytes(), false),
            ("\u{1FFFE}".as_bytes(), false),
            ("\u{10FFFF}".as_bytes(), false),
            (b"\xED\xA0\x80", false),     // U+D800, a surrogate
            (b"\xED\xBF\xBF", false),     // U+DFFF
            (b"\xC0\x80", false),         // NUL in two bytes
            (b"\xC1\xBF", false),         // overlong
            (b"\xE0\x80\xAF", false),     // overlong
            (b"\xF4\x90\x80\x80", false), // above U+10FFFF
            (b"\x80", false),             // a continuation with nothing before it
            (b"\xE2\x82", false),         // cut
            (b"long enough for vectors, and then\x01", false),
        ] {
            assert_eq!(check(bytes), allowed, "{bytes:?}");
            assert_eq!(read(bytes).is_some(), allowed, "{bytes:?}");
        }
    }
}
