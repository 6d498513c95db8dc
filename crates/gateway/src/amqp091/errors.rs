//! Refusals: a reply code, RabbitMQ's words for it, and the method that met it.
//!
//! Invariant: whether the channel or the whole connection ends follows from the code alone.
//!
//! Not here: what a broker error means (each adapter module maps its own).

use std::fmt;

use amqp091::method;
use amqp091::reply::reply_text;
use amqp091::{DecodeError, FrameError, Method, ReplyCode, ShortStr};

/// Why a method is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The code.
    pub(crate) code: ReplyCode,
    /// What comes after `CODE - `.
    pub(crate) explanation: String,
    /// Class and method id of the method that met it; zeros for none.
    pub(crate) method: (u16, u16),
}

impl Refusal {
    /// A refusal that names no method yet.
    pub(crate) fn new(code: ReplyCode, explanation: impl Into<String>) -> Refusal {
        Refusal {
            code,
            explanation: explanation.into(),
            method: (0, 0),
        }
    }

    /// The same, met by this method, unless it names one already.
    pub(crate) fn by(mut self, method: (u16, u16)) -> Refusal {
        if self.method == (0, 0) {
            self.method = method;
        }
        self
    }

    /// The text of the close method.
    pub(crate) fn text(&self) -> String {
        reply_text(self.code, &self.explanation)
    }

    /// Appends `connection.close`.
    pub(crate) fn write_connection_close(&self, out: &mut Vec<u8>) {
        let text = self.text();
        Method::ConnectionClose(method::connection::Close {
            reply_code: self.code.code(),
            reply_text: ShortStr::clipped(text.as_bytes()),
            class_id: self.method.0,
            method_id: self.method.1,
        })
        .write_frame(out, 0);
    }

    /// Appends `channel.close`.
    pub(crate) fn write_channel_close(&self, out: &mut Vec<u8>, channel: u16) {
        let text = self.text();
        Method::ChannelClose(method::channel::Close {
            reply_code: self.code.code(),
            reply_text: ShortStr::clipped(text.as_bytes()),
            class_id: self.method.0,
            method_id: self.method.1,
        })
        .write_frame(out, channel);
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl From<FrameError> for Refusal {
    fn from(error: FrameError) -> Refusal {
        Refusal::new(error.reply_code(), error.to_string())
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Refusal {
        Refusal::new(error.reply_code(), error.to_string()).by(error.failed_method())
    }
}

/// Short forms for the codes that are used most.
pub(crate) fn precondition_failed(explanation: impl Into<String>) -> Refusal {
    Refusal::new(ReplyCode::PreconditionFailed, explanation)
}

/// 404.
pub(crate) fn not_found(explanation: impl Into<String>) -> Refusal {
    Refusal::new(ReplyCode::NotFound, explanation)
}

/// 403.
pub(crate) fn access_refused(explanation: impl Into<String>) -> Refusal {
    Refusal::new(ReplyCode::AccessRefused, explanation)
}

/// 530.
pub(crate) fn not_allowed(explanation: impl Into<String>) -> Refusal {
    Refusal::new(ReplyCode::NotAllowed, explanation)
}

/// 506.
pub(crate) fn resource_error(explanation: impl Into<String>) -> Refusal {
    Refusal::new(ReplyCode::ResourceError, explanation)
}

/// 540.
pub(crate) fn not_implemented(explanation: impl Into<String>) -> Refusal {
    Refusal::new(ReplyCode::NotImplemented, explanation)
}

/// 504.
pub(crate) fn channel_error(explanation: impl Into<String>) -> Refusal {
    Refusal::new(ReplyCode::ChannelError, explanation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_carries_code_text_and_method() {
        let refusal = not_found("no queue 'q' in vhost '/'")
            .by((50, 10))
            .by((60, 40));
        let mut out = Vec::new();
        refusal.write_channel_close(&mut out, 7);
        let frame = amqp091::frame::parse(&out, 4096).unwrap().unwrap();
        assert_eq!(frame.channel, 7);
        let Method::ChannelClose(close) = Method::decode(frame.payload).unwrap() else {
            panic!("a channel.close");
        };
        assert_eq!(close.reply_code, 404);
        assert_eq!(
            close.reply_text.as_bytes(),
            b"NOT_FOUND - no queue 'q' in vhost '/'"
        );
        assert_eq!((close.class_id, close.method_id), (50, 10));
    }
}
