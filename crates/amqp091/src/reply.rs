//! Reply codes: numbers, RabbitMQ's names, and which of them end the whole connection.
//!
//! Invariant: [`reply_text`] never gives more than 255 bytes, the room a short string has.

use crate::wire::SHORT_STR_BYTES_MAX;

macro_rules! reply_codes {
    ($($variant:ident = $code:literal, $name:literal, $hard:literal;)*) => {
        /// Why a channel or a connection is closed, or a message is returned.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum ReplyCode {
            $(
                #[doc = concat!("`", $name, "`, ", stringify!($code), ".")]
                $variant = $code,
            )*
        }

        impl ReplyCode {
            /// Every code, by number.
            pub const ALL: &[ReplyCode] = &[$(Self::$variant),*];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u16 {
                self as u16
            }

            /// The name that starts a reply text.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Whether RabbitMQ closes the connection (and not just the channel) for it.
            #[must_use]
            pub const fn is_hard(self) -> bool {
                match self { $(Self::$variant => $hard),* }
            }

            /// The code with this number.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

reply_codes! {
    ReplySuccess = 200, "REPLY_SUCCESS", false;
    ContentTooLarge = 311, "CONTENT_TOO_LARGE", false;
    NoRoute = 312, "NO_ROUTE", false;
    NoConsumers = 313, "NO_CONSUMERS", false;
    ConnectionForced = 320, "CONNECTION_FORCED", true;
    InvalidPath = 402, "INVALID_PATH", true;
    AccessRefused = 403, "ACCESS_REFUSED", false;
    NotFound = 404, "NOT_FOUND", false;
    ResourceLocked = 405, "RESOURCE_LOCKED", false;
    PreconditionFailed = 406, "PRECONDITION_FAILED", false;
    FrameError = 501, "FRAME_ERROR", true;
    SyntaxError = 502, "SYNTAX_ERROR", true;
    CommandInvalid = 503, "COMMAND_INVALID", true;
    ChannelError = 504, "CHANNEL_ERROR", true;
    UnexpectedFrame = 505, "UNEXPECTED_FRAME", true;
    ResourceError = 506, "RESOURCE_ERROR", true;
    NotAllowed = 530, "NOT_ALLOWED", true;
    NotImplemented = 540, "NOT_IMPLEMENTED", true;
    InternalError = 541, "INTERNAL_ERROR", true;
}

/// The reply text of a close: `NAME - explanation`, cut to 252 bytes and `...` when it is too long.
#[must_use]
pub fn reply_text(code: ReplyCode, explanation: &str) -> String {
    let mut text = format!("{} - {explanation}", code.name());
    if text.len() > SHORT_STR_BYTES_MAX {
        let mut end = SHORT_STR_BYTES_MAX - 3;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_go_both_ways() {
        for code in ReplyCode::ALL {
            assert_eq!(ReplyCode::from_code(code.code()), Some(*code));
        }
        assert_eq!(ReplyCode::from_code(999), None);
    }

    #[test]
    fn the_channel_survives_only_soft_errors() {
        for (code, hard) in [
            (ReplyCode::NotFound, false),
            (ReplyCode::AccessRefused, false),
            (ReplyCode::ResourceLocked, false),
            (ReplyCode::PreconditionFailed, false),
            (ReplyCode::InvalidPath, true),
            (ReplyCode::ConnectionForced, true),
            (ReplyCode::CommandInvalid, true),
            (ReplyCode::InternalError, true),
        ] {
            assert_eq!(code.is_hard(), hard, "{}", code.name());
        }
    }

    #[test]
    fn a_long_text_is_cut_at_255_bytes() {
        assert_eq!(
            reply_text(ReplyCode::NotFound, "no queue 'q'"),
            "NOT_FOUND - no queue 'q'"
        );
        let cut = reply_text(ReplyCode::NotFound, &"x".repeat(300));
        assert_eq!(cut.len(), 255);
        assert!(cut.ends_with("xxx..."));
        let wide = reply_text(ReplyCode::NotFound, &"é".repeat(300));
        assert!(wide.len() <= 255 && wide.ends_with("é..."));
    }
}
