//! Why a method or a property block could not be decoded.
//!
//! Invariant: an error's text is what RabbitMQ puts after the code's name, so that a reply text
//! made by [`crate::reply::reply_text`] reads alike; an error holds at most [`SHOWN_BYTES_MAX`]
//! of the peer's bytes.

use std::fmt;

use crate::reply::ReplyCode;

/// How many bytes of a refused payload an error keeps for its text; a reply text has no room for
/// more.
pub const SHOWN_BYTES_MAX: usize = 128;

/// A payload that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No method has these ids.
    #[error("unknown method ({class_id},{method_id})")]
    UnknownMethod {
        /// Class id in the payload.
        class_id: u16,
        /// Method id in the payload.
        method_id: u16,
    },
    /// The fields end too early, or go on after the last one.
    #[error("cannot decode {}", ErlangBinary { bytes: fields, as_text: false })]
    Malformed {
        /// Class id in the payload.
        class_id: u16,
        /// Method id in the payload.
        method_id: u16,
        /// The first bytes of the fields.
        fields: Box<[u8]>,
    },
    /// A short string that must be UTF-8 is not.
    #[error("Malformed UTF-8 in shortstr")]
    NotUtf8 {
        /// Class id in the payload.
        class_id: u16,
        /// Method id in the payload.
        method_id: u16,
    },
    /// A property block ends too early, goes on after the last value, or has a second flag word.
    #[error("malformed content properties: {0}")]
    Properties(&'static str),
}

impl DecodeError {
    /// The code to close the connection with.
    #[must_use]
    pub const fn reply_code(&self) -> ReplyCode {
        match self {
            Self::UnknownMethod { .. } => ReplyCode::NotImplemented,
            Self::Malformed { .. } | Self::NotUtf8 { .. } => ReplyCode::FrameError,
            Self::Properties(_) => ReplyCode::SyntaxError,
        }
    }

    /// Class and method id for the close method: of the method that failed, or zeros.
    #[must_use]
    pub const fn failed_method(&self) -> (u16, u16) {
        match self {
            Self::UnknownMethod {
                class_id,
                method_id,
            }
            | Self::Malformed {
                class_id,
                method_id,
                ..
            }
            | Self::NotUtf8 {
                class_id,
                method_id,
            } => (*class_id, *method_id),
            Self::Properties(_) => (0, 0),
        }
    }

    #[cold]
    pub(crate) fn malformed(class_id: u16, method_id: u16, fields: &[u8]) -> Self {
        let shown = &fields[..fields.len().min(SHOWN_BYTES_MAX)];
        Self::Malformed {
            class_id,
            method_id,
            fields: shown.into(),
        }
    }
}

/// Bytes shown the way RabbitMQ's error texts show them: `<<1,2,3>>`, or `<<"text">>` if printable.
#[derive(Clone, Copy, Debug)]
pub struct ErlangBinary<'a> {
    /// What to show.
    pub bytes: &'a [u8],
    /// Whether printable bytes are shown as text.
    pub as_text: bool,
}

impl fmt::Display for ErlangBinary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printable = |byte: &u8| matches!(byte, 0x20..=0x7E);
        if self.as_text && !self.bytes.is_empty() && self.bytes.iter().all(printable) {
            let text = std::str::from_utf8(self.bytes).map_err(|_| fmt::Error)?;
            return write!(f, "<<{text:?}>>");
        }
        f.write_str("<<")?;
        for (index, byte) in self.bytes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{byte}")?;
        }
        f.write_str(">>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_erlang_prints_them() {
        for (bytes, as_text, expected) in [
            (&b""[..], true, "<<>>"),
            (b"GET /", true, "<<\"GET /\">>"),
            (b"a\"b", true, "<<\"a\\\"b\">>"),
            (b"GET /", false, "<<71,69,84,32,47>>"),
            (&[0, 200], true, "<<0,200>>"),
        ] {
            assert_eq!(ErlangBinary { bytes, as_text }.to_string(), expected);
        }
    }

    #[test]
    fn an_error_keeps_a_bounded_part_of_the_input() {
        let error = DecodeError::malformed(50, 10, &[9; 100_000]);
        let DecodeError::Malformed { fields, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(fields.len(), SHOWN_BYTES_MAX);
        assert_eq!(error.reply_code(), ReplyCode::FrameError);
        assert_eq!(error.failed_method(), (50, 10));
    }
}
