//! Names: what of a message a filter reads.
//!
//! Invariants
//! - A name stands for one header or one property; names of JMS and of AMQP that stand for nothing
//!   here are refused, so that a typing error is not a filter that never matches.

use crate::view::{MessageView, Operand, Property};

/// What a filter reads of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// The first header of that name.
    Header(Box<str>),
    /// A property.
    Property(Property),
}

/// The place of a name among the names of its filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u8);

impl Slot {
    /// The slot of that place; below [`super::NAMES_MAX`].
    pub fn new(index: usize) -> Slot {
        debug_assert!(index < super::NAMES_MAX);
        Slot(index as u8)
    }

    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

const JMS: [(&str, Property); 7] = [
    ("JMSDeliveryMode", Property::Persistent),
    ("JMSPriority", Property::Priority),
    ("JMSMessageID", Property::MessageId),
    ("JMSTimestamp", Property::Timestamp),
    ("JMSCorrelationID", Property::CorrelationId),
    ("JMSType", Property::Type),
    ("JMSXGroupID", Property::GroupId),
];

const AMQP: [(&str, Property); 8] = [
    ("content_type", Property::ContentType),
    ("content_encoding", Property::ContentEncoding),
    ("reply_to", Property::ReplyTo),
    ("app_id", Property::AppId),
    ("user_id", Property::UserId),
    ("expiration", Property::Expiration),
    ("exchange", Property::Exchange),
    ("routing_key", Property::RoutingKey),
];

impl Name {
    /// The name that a filter writes so, or why there is none.
    pub(super) fn of(text: &str) -> Result<Name, String> {
        if let Some(name) = text.strip_prefix("amqp.") {
            return property(&AMQP, name)
                .ok_or_else(|| format!("no such name; there are amqp.{}", list(&AMQP)));
        }
        if let Some(name) = property(&JMS, text) {
            return Ok(name);
        }
        if text.starts_with("JMS") && !text.starts_with("JMSX") {
            return Err(format!("no such name; there are {}", list(&JMS)));
        }
        if text.is_empty() {
            return Err("a name may not be empty".to_owned());
        }
        if text.len() > super::NAME_BYTES_MAX {
            let max = super::NAME_BYTES_MAX;
            return Err(format!("a name may not be longer than {max} bytes"));
        }
        Ok(Name::Header(text.into()))
    }

    /// What a message has under this name.
    #[inline]
    pub fn read<'a>(&self, message: &'a dyn MessageView) -> Option<Operand<'a>> {
        let found = match self {
            Name::Header(name) => message.header(name),
            Name::Property(property) => message.property(*property),
        };
        match found? {
            Operand::Bool(persistent) if self.is_delivery_mode() => {
                Some(Operand::Text(match persistent {
                    true => b"PERSISTENT",
                    false => b"NON_PERSISTENT",
                }))
            }
            Operand::Float(number) if number.is_nan() => None,
            operand => Some(operand),
        }
    }

    pub(super) fn is_delivery_mode(&self) -> bool {
        *self == Name::Property(Property::Persistent)
    }
}

fn property(names: &[(&str, Property)], text: &str) -> Option<Name> {
    let found = names.iter().find(|(name, _)| *name == text)?;
    Some(Name::Property(found.1))
}

fn list(names: &[(&str, Property)]) -> String {
    let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}
