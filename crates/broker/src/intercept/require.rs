//! Fields that a message has to have.

use std::fmt::{self, Display, Formatter};

use ferry_core::limits::NAME_BYTES_MAX;
use ferry_core::view::{MessageView, Property};

/// What a header's name stands behind.
const HEADERS: &str = "headers.";

/// Properties by the names that AMQP 0-9-1 gives them.
const PROPERTIES: &[(&str, Property)] = &[
    ("message_id", Property::MessageId),
    ("correlation_id", Property::CorrelationId),
    ("content_type", Property::ContentType),
    ("content_encoding", Property::ContentEncoding),
    ("type", Property::Type),
    ("app_id", Property::AppId),
    ("reply_to", Property::ReplyTo),
    ("timestamp", Property::Timestamp),
    ("user_id", Property::UserId),
    ("expiration", Property::Expiration),
    ("priority", Property::Priority),
];

/// A property or a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Property(&'static str, Property),
    Header(String),
}

impl Field {
    /// A field by its name; none if there can be no such field.
    pub fn from_name(name: &str) -> Option<Field> {
        if let Some(header) = name.strip_prefix(HEADERS) {
            let named = (1..=NAME_BYTES_MAX).contains(&header.len());
            return named.then(|| Field::Header(header.to_owned()));
        }
        let found = PROPERTIES.iter().find(|(known, _)| *known == name);
        found.map(|(name, property)| Field::Property(name, *property))
    }

    pub fn is_in(&self, view: &dyn MessageView) -> bool {
        match self {
            Field::Property(_, property) => view.has(*property),
            Field::Header(name) => view.has_header(name),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Field::Property(name, _) => f.write_str(name),
            Field::Header(name) => write!(f, "{HEADERS}{name}"),
        }
    }
}
