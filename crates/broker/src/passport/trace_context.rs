//! The trace that a message belongs to: W3C trace context, header `traceparent`.
//!
//! ```text
//!  00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//!  version-trace id-parent id-flags, in lower-case hexadecimal
//! ```
//!
//! Invariants
//! - What is not a valid `traceparent` is no trace; the header itself is never changed.

/// The header, as it stands in a message.
pub(super) const HEADER: &str = "traceparent";

/// Length of a header of version 00, in bytes; later versions may have more behind it.
const HEADER_BYTES: usize = 55;

/// A trace, and the span in it that published the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The publisher's span.
    pub parent_id: [u8; 8],
    /// Whether the publisher records it.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a header.
    pub fn parse(text: &[u8]) -> Option<TraceContext> {
        let (head, rest) = text.split_at_checked(HEADER_BYTES)?;
        if head[2] != b'-' || head[35] != b'-' || head[52] != b'-' {
            return None;
        }
        let [version] = hex(&head[..2])?;
        let ends_well = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        let [flags] = hex(&head[53..])?;
        let (trace_id, parent_id): ([u8; 16], [u8; 8]) = (hex(&head[3..35])?, hex(&head[36..52])?);
        let context = TraceContext {
            trace_id,
            parent_id,
            sampled: flags & 1 != 0,
        };
        (ends_well && trace_id != [0; 16] && parent_id != [0; 8]).then_some(context)
    }
}

/// Bytes from lower-case hexadecimal digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_standard_says_or_not_at_all() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let zeros = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        for (text, is_trace) in [
            (good, true),
            (&good.replace("-01", "-00"), true),
            (&format!("01{}-more", &good[2..]), true),
            (&format!("01{}more", &good[2..]), false),
            (&format!("ff{}", &good[2..]), false),
            (&format!("{good}-more"), false),
            (&good.to_uppercase(), false),
            (&good[..54], false),
            (&good.replace('-', "_"), false),
            (&good.replace("b7ad6b7169203331", "0000000000000000"), false),
            (zeros, false),
            ("", false),
            ("00-é", false),
        ] {
            let found = TraceContext::parse(text.as_bytes());
            assert_eq!(found.is_some(), is_trace, "{text}");
        }
        let found = TraceContext::parse(good.as_bytes()).unwrap();
        assert_eq!((found.trace_id[0], found.parent_id[7]), (0x0a, 0x31));
        assert!(found.sampled);
    }
}
