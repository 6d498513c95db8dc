//! Content: its header, and how a channel's frames become methods and messages.
//!
//! ```text
//! | class u16 | weight u16 | body size u64 | property flags and values |
//!
//! awaiting Method --method with content--> Header --header--> Body --body ...--+
//!      ^  ^---- empty body --------------------'                               |
//!      '------------------------- announced size is reached -------------------'
//! ```
//!
//! Invariants
//! - Between method and last body frame nothing else may come on the channel; errors are
//!   RabbitMQ's.
//! - A body buffer reserves at most twice what has come; the announced size is only compared.
//! - A body over `message_bytes_max` is counted and thrown away, so that the channel alone can be
//!   closed for it; one over `body_bytes_max` is refused when announced.

use crate::error::DecodeError;
use crate::frame::{Frame, FrameKind, Snippet};
use crate::method::{Method, carries_content};
use crate::reply::ReplyCode;
use crate::wire::Reader;

/// A content header frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// Class of the method it follows.
    pub class_id: u16,
    /// Always zero.
    pub weight: u16,
    /// Bytes of the body that follows.
    pub body_bytes: u64,
    /// Flags and values, not looked at.
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Reads the payload; `None` if it is too short.
    #[inline]
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let class_id = reader.u16()?;
        let weight = reader.u16()?;
        let body_bytes = reader.u64()?;
        Some(Self {
            class_id,
            weight,
            body_bytes,
            properties: reader.rest(),
        })
    }
}

/// How large a body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentLimits {
    /// The largest message that is kept; a larger one ends as [`Input::Oversized`].
    pub message_bytes_max: u64,
    /// The largest body that is read at all.
    pub body_bytes_max: u64,
}

/// What a frame has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// More frames are needed.
    Incomplete,
    /// A method without content.
    Method(Method<'a>),
    /// A method with all of its content.
    Message(Message),
    /// A method whose content was over `message_bytes_max`, and is gone.
    Oversized {
        /// Class and method id.
        class_method: (u16, u16),
        /// Bytes of the body.
        body_bytes: u64,
    },
}

/// A method and its content, put together from several frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    method_payload: Vec<u8>,
    /// Flags and values as on the wire, not looked at.
    pub properties: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// The method, which was decoded once already.
    ///
    /// # Errors
    /// None for a message that [`ChannelInput`] gave; an empty default one has no method.
    pub fn method(&self) -> Result<Method<'_>, DecodeError> {
        Method::decode(&self.method_payload)
    }
}

/// A frame that may not come here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The method cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A header or body with no method before it.
    #[error("expected method frame, got non method frame instead")]
    ExpectedMethod,
    /// Something else where the content header should be.
    #[error("expected content header for class {class_id}, got non content header frame instead")]
    ExpectedHeader {
        /// The class of the method.
        class_id: u16,
        /// The method that waits for its content.
        method_id: u16,
    },
    /// A content header of another class.
    #[error("expected content header for class {class_id}, got one for class {got} instead")]
    HeaderOfOtherClass {
        /// The class of the method.
        class_id: u16,
        /// The method that waits for its content.
        method_id: u16,
        /// The class in the header.
        got: u16,
    },
    /// Something else where a body frame should be.
    #[error("expected content body, got non content body frame instead")]
    ExpectedBody {
        /// The class of the method.
        class_id: u16,
        /// The method that waits for its content.
        method_id: u16,
    },
    /// A body longer than announced.
    #[error("content body frame exceeds remaining content size")]
    BodyTooLong {
        /// The class of the method.
        class_id: u16,
        /// The method that waits for its content.
        method_id: u16,
    },
    /// A body announced that is larger than any may be.
    #[error("content body size {body_bytes} exceeds maximum allowed size {body_bytes_max}")]
    BodyTooLarge {
        /// The class of the method.
        class_id: u16,
        /// The method that waits for its content.
        method_id: u16,
        /// What is announced.
        body_bytes: u64,
        /// What is allowed.
        body_bytes_max: u64,
    },
    /// A heartbeat on a channel other than 0.
    #[error("type {}, {snippet}", FrameKind::Heartbeat as u8)]
    Heartbeat {
        /// Its payload, of which there is none.
        snippet: Snippet,
    },
}

impl InputError {
    /// The code to close the connection with.
    #[must_use]
    pub const fn reply_code(&self) -> ReplyCode {
        match self {
            Self::Decode(error) => error.reply_code(),
            Self::BodyTooLong { .. } | Self::BodyTooLarge { .. } => ReplyCode::FrameError,
            Self::ExpectedMethod
            | Self::ExpectedHeader { .. }
            | Self::HeaderOfOtherClass { .. }
            | Self::ExpectedBody { .. }
            | Self::Heartbeat { .. } => ReplyCode::UnexpectedFrame,
        }
    }

    /// Class and method id for the close method, or zeros.
    #[must_use]
    pub const fn failed_method(&self) -> (u16, u16) {
        match self {
            Self::Decode(error) => error.failed_method(),
            Self::ExpectedMethod | Self::Heartbeat { .. } => (0, 0),
            Self::ExpectedHeader {
                class_id,
                method_id,
            }
            | Self::HeaderOfOtherClass {
                class_id,
                method_id,
                ..
            }
            | Self::ExpectedBody {
                class_id,
                method_id,
            }
            | Self::BodyTooLong {
                class_id,
                method_id,
            }
            | Self::BodyTooLarge {
                class_id,
                method_id,
                ..
            } => (*class_id, *method_id),
        }
    }
}

/// What the channel awaits.
#[derive(Debug, Default)]
enum State {
    #[default]
    Method,
    Header {
        class_id: u16,
        method_id: u16,
        method_payload: Vec<u8>,
    },
    Body {
        class_id: u16,
        method_id: u16,
        message: Message,
        body_bytes: u64,
        bytes_left: u64,
    },
}

/// What has come on one channel: a state machine from frames to methods and messages.
#[derive(Debug, Default)]
pub struct ChannelInput {
    state: State,
}

impl ChannelInput {
    /// A channel on which nothing has come.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the next frame must be a method: only then may [`crate::parse_publish_fast`] be
    /// used.
    #[inline]
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Method)
    }

    /// Forgets content that is under way, as when the channel is closed.
    pub fn reset(&mut self) {
        self.state = State::Method;
    }

    /// Bytes held for content that is under way.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        match &self.state {
            State::Method => 0,
            State::Header { method_payload, .. } => method_payload.capacity(),
            State::Body { message, .. } => {
                message.method_payload.capacity()
                    + message.properties.capacity()
                    + message.body.capacity()
            }
        }
    }

    /// Bytes that content under way will take when all of it is here, by what it announces; one
    /// that is thrown away takes none for its body.
    #[must_use]
    pub fn announced_bytes(&self, limits: ContentLimits) -> u64 {
        match &self.state {
            State::Method => 0,
            State::Header { method_payload, .. } => method_payload.len() as u64,
            State::Body {
                message,
                body_bytes,
                ..
            } => {
                let is_kept = *body_bytes <= limits.message_bytes_max;
                let head = message.method_payload.len() + message.properties.len();
                head as u64 + if is_kept { *body_bytes } else { 0 }
            }
        }
    }

    /// Takes the next frame of the channel. After an error the channel awaits a method.
    ///
    /// # Errors
    /// A frame that may not come here; RabbitMQ closes the connection.
    pub fn accept<'a>(
        &mut self,
        frame: Frame<'a>,
        limits: ContentLimits,
    ) -> Result<Input<'a>, InputError> {
        if frame.kind == FrameKind::Heartbeat {
            self.state = State::Method;
            return Err(InputError::Heartbeat {
                snippet: Snippet::of(frame.payload),
            });
        }
        match std::mem::take(&mut self.state) {
            State::Method => self.on_method(frame),
            State::Header {
                class_id,
                method_id,
                method_payload,
            } => self.on_header(frame, limits, class_id, method_id, method_payload),
            State::Body {
                class_id,
                method_id,
                message,
                body_bytes,
                bytes_left,
            } => {
                if frame.kind != FrameKind::Body {
                    return Err(InputError::ExpectedBody {
                        class_id,
                        method_id,
                    });
                }
                let Some(bytes_left) = bytes_left.checked_sub(frame.payload.len() as u64) else {
                    return Err(InputError::BodyTooLong {
                        class_id,
                        method_id,
                    });
                };
                let next = State::Body {
                    class_id,
                    method_id,
                    message,
                    body_bytes,
                    bytes_left,
                };
                self.state = next;
                Ok(self.on_body(frame.payload, limits))
            }
        }
    }

    fn on_method<'a>(&mut self, frame: Frame<'a>) -> Result<Input<'a>, InputError> {
        if frame.kind != FrameKind::Method {
            return Err(InputError::ExpectedMethod);
        }
        let method = Method::decode(frame.payload)?;
        let (class_id, method_id) = method.class_method();
        if !carries_content(class_id, method_id) {
            return Ok(Input::Method(method));
        }
        let method_payload = frame.payload.to_vec();
        self.state = State::Header {
            class_id,
            method_id,
            method_payload,
        };
        Ok(Input::Incomplete)
    }

    fn on_header<'a>(
        &mut self,
        frame: Frame<'a>,
        limits: ContentLimits,
        class_id: u16,
        method_id: u16,
        method_payload: Vec<u8>,
    ) -> Result<Input<'a>, InputError> {
        let header = ContentHeader::parse(frame.payload)
            .filter(|header| frame.kind == FrameKind::Header && header.weight == 0);
        let Some(header) = header else {
            return Err(InputError::ExpectedHeader {
                class_id,
                method_id,
            });
        };
        if header.class_id != class_id {
            let got = header.class_id;
            return Err(InputError::HeaderOfOtherClass {
                class_id,
                method_id,
                got,
            });
        }
        let (body_bytes, body_bytes_max) = (header.body_bytes, limits.body_bytes_max);
        if body_bytes > body_bytes_max {
            let error = InputError::BodyTooLarge {
                class_id,
                method_id,
                body_bytes,
                body_bytes_max,
            };
            return Err(error);
        }
        let properties = header.properties.to_vec();
        let message = Message {
            method_payload,
            properties,
            body: Vec::new(),
        };
        let bytes_left = body_bytes;
        self.state = State::Body {
            class_id,
            method_id,
            message,
            body_bytes,
            bytes_left,
        };
        Ok(self.on_body(&[], limits))
    }

    /// Keeps a part of the body, already subtracted from what is left, and ends the message if it
    /// was the last.
    fn on_body(&mut self, part: &[u8], limits: ContentLimits) -> Input<'static> {
        let State::Body {
            message,
            body_bytes,
            bytes_left,
            ..
        } = &mut self.state
        else {
            return Input::Incomplete;
        };
        let is_kept = *body_bytes <= limits.message_bytes_max;
        if is_kept {
            message.body.extend_from_slice(part);
        }
        if *bytes_left > 0 {
            return Input::Incomplete;
        }
        let ended = std::mem::take(&mut self.state);
        let State::Body {
            class_id,
            method_id,
            message,
            body_bytes,
            ..
        } = ended
        else {
            return Input::Incomplete;
        };
        if is_kept {
            Input::Message(message)
        } else {
            Input::Oversized {
                class_method: (class_id, method_id),
                body_bytes,
            }
        }
    }
}

#[cfg(test)]
mod tests;
