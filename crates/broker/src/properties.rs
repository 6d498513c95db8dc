//! Properties by name, for doors that do not speak the format that a message is stored in.
//!
//! Invariants
//! - What a format writes from properties reads back as the same properties.
//! - Text that is not UTF-8 is shown with replacement characters; the stored form keeps its bytes.

use ferry_core::arguments::Arguments;

/// The properties of a message, each if its publisher gave it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Properties {
    /// The type of its body.
    pub content_type: Option<String>,
    /// How its body is encoded.
    pub content_encoding: Option<String>,
    /// All headers; none for a message without any.
    pub headers: Option<Arguments>,
    /// 2 for a message that outlives the broker.
    pub delivery_mode: Option<u8>,
    /// Higher goes first, in a queue that has priorities.
    pub priority: Option<u8>,
    /// What request a reply belongs to.
    pub correlation_id: Option<String>,
    /// Where replies go.
    pub reply_to: Option<String>,
    /// Time to live: decimal milliseconds.
    pub expiration: Option<String>,
    /// The publisher's name for it.
    pub message_id: Option<String>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// The publisher's kind of message.
    pub kind: Option<String>,
    /// Who published it.
    pub user_id: Option<String>,
    /// What made it.
    pub app_id: Option<String>,
    /// Kept from older versions of AMQP.
    pub cluster_id: Option<String>,
}

/// Why properties can not be written down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// The format is only read.
    #[error("messages of this format are not made here")]
    Unsupported,
    /// A value is too long, or no valid one.
    #[error("{property} {why}")]
    Invalid {
        /// The property.
        property: &'static str,
        /// What is wrong with it.
        why: String,
    },
}
