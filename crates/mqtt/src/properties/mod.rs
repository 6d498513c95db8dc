//! The property block of MQTT 5: a length, then ids and values.
//!
//! ```text
//! | length varint | id u8 | value | id u8 | value | ...
//! ```
//!
//! Invariants
//! - [`Properties::parse`] accepts a block only if every property exists, may be where it is, is
//!   there once (user properties and the subscription ids of a delivery aside) and has a value
//!   that it can have.
//! - The block stays bytes; a getter of a property that is not there looks at one bit.
//! - A getter never panics, whatever the bytes.
//!
//! Layout: `id.rs` says which properties there are, `check.rs` what is refused, `write.rs` makes
//! blocks.

mod check;
mod id;
mod write;

pub use id::{For, PropertyId};
pub use write::{PropertiesWriter, write_properties};
pub(crate) use write::{bytes_without, put_without};

use crate::error::DecodeError;
use crate::wire::{Reader, Varint, varint, varint_bytes};
use id::Shape;

/// A block of properties, without its length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Properties<'a> {
    raw: &'a [u8],
    /// A bit for each id that is there.
    present: u64,
}

/// Two are equal when their bytes are.
impl PartialEq for Properties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Properties<'_> {}

/// The value of a property as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// One, two or four bytes, or a variable byte integer.
    Number(u32),
    /// A string or blob.
    Bytes(&'a [u8]),
    /// Two strings.
    Pair(&'a [u8], &'a [u8]),
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Properties<'static> = Properties {
        raw: &[],
        present: 0,
    };

    /// Checks a block, which is without its length.
    ///
    /// # Errors
    /// A property that does not exist, is not one of this packet, is there twice, or has a value
    /// that it can not have.
    #[inline]
    pub fn parse(bytes: &'a [u8], place: For) -> Result<Self, DecodeError> {
        if bytes.is_empty() && !matches!(place, For::Auth) {
            return Ok(Self::EMPTY);
        }
        let present = check::check(bytes, place)?;
        Ok(Self {
            raw: bytes,
            present,
        })
    }

    /// Takes a block that [`Self::parse`] accepted, or [`write_properties`] made, some time ago.
    /// Of other bytes it shows what comes before the first that is wrong.
    #[must_use]
    #[inline]
    pub fn from_checked(bytes: &'a [u8]) -> Self {
        match bytes.is_empty() {
            true => Self::EMPTY,
            false => Self::read_again(bytes),
        }
    }

    fn read_again(bytes: &'a [u8]) -> Self {
        let mut properties = Self {
            raw: bytes,
            present: 0,
        };
        properties.present = properties
            .entries()
            .fold(0, |present, (id, _, _)| present | id.bit());
        properties
    }

    /// The block, without its length.
    #[inline]
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.raw
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// Whether there is such a property.
    #[inline]
    #[must_use]
    pub const fn has(self, id: PropertyId) -> bool {
        self.present & id.bit() != 0
    }

    /// Whether there is one of the properties whose bits are set.
    #[inline]
    pub(crate) const fn has_any(self, bits: u64) -> bool {
        self.present & bits != 0
    }

    /// Each property: id, value, and all its bytes.
    #[inline]
    pub(crate) fn entries(self) -> impl Iterator<Item = (PropertyId, Value<'a>, &'a [u8])> {
        let mut reader = Reader::new(self.raw);
        std::iter::from_fn(move || {
            let before = reader.rest();
            let (id, value) = read(&mut reader).ok()?;
            let size = before.len() - reader.rest().len();
            Some((id, value, &before[..size]))
        })
    }

    fn find(self, id: PropertyId) -> Option<Value<'a>> {
        if !self.has(id) {
            return None;
        }
        let mut entries = self.entries();
        entries
            .find(|entry| entry.0 == id)
            .map(|(_, value, _)| value)
    }

    fn number(self, id: PropertyId) -> Option<u32> {
        match self.find(id)? {
            Value::Number(number) => Some(number),
            Value::Bytes(_) | Value::Pair(..) => None,
        }
    }

    fn number_u16(self, id: PropertyId) -> Option<u16> {
        self.number(id).and_then(|number| number.try_into().ok())
    }

    fn flag(self, id: PropertyId) -> Option<bool> {
        self.number(id).map(|number| number != 0)
    }

    fn blob(self, id: PropertyId) -> Option<&'a [u8]> {
        match self.find(id)? {
            Value::Bytes(bytes) => Some(bytes),
            Value::Number(_) | Value::Pair(..) => None,
        }
    }

    fn text(self, id: PropertyId) -> Option<&'a str> {
        std::str::from_utf8(self.blob(id)?).ok()
    }

    /// User properties, in their order.
    pub fn user_properties(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let raw = if self.has(PropertyId::UserProperty) {
            self
        } else {
            Self::EMPTY
        };
        raw.entries().filter_map(|(_, value, _)| match value {
            Value::Pair(name, value) => Some((
                std::str::from_utf8(name).ok()?,
                std::str::from_utf8(value).ok()?,
            )),
            Value::Number(_) | Value::Bytes(_) => None,
        })
    }

    /// Subscription identifiers, in their order.
    pub fn subscription_identifiers(self) -> impl Iterator<Item = u32> {
        let raw = if self.has(PropertyId::SubscriptionIdentifier) {
            self
        } else {
            Self::EMPTY
        };
        raw.entries().filter_map(|(id, value, _)| match value {
            Value::Number(number) if id == PropertyId::SubscriptionIdentifier => Some(number),
            _ => None,
        })
    }
}

macro_rules! getters {
    ($($(#[doc = $doc:literal])+ $getter:ident: $how:ident -> $type:ty = $id:ident;)+) => {
        impl<'a> Properties<'a> {
            $(
                $(#[doc = $doc])+
                #[must_use]
                pub fn $getter(self) -> Option<$type> {
                    self.$how(PropertyId::$id)
                }
            )+
        }
    };
}

getters! {
    /// Whether the payload is said to be UTF-8; `Some(false)` says that it is just bytes.
    payload_format: flag -> bool = PayloadFormatIndicator;
    /// Seconds until the message is of no use.
    message_expiry: number -> u32 = MessageExpiryInterval;
    /// What the payload is, a media type for instance.
    content_type: text -> &'a str = ContentType;
    /// The topic for an answer.
    response_topic: text -> &'a str = ResponseTopic;
    /// What tells answers apart.
    correlation_data: blob -> &'a [u8] = CorrelationData;
    /// Seconds that the session outlives the connection; `u32::MAX` is for ever.
    session_expiry: number -> u32 = SessionExpiryInterval;
    /// CONNACK: the client id that the server chose.
    assigned_client_identifier: text -> &'a str = AssignedClientIdentifier;
    /// CONNACK: the keep-alive in seconds that holds instead of the client's.
    server_keep_alive: number_u16 -> u16 = ServerKeepAlive;
    /// Name of the authentication method.
    authentication_method: text -> &'a str = AuthenticationMethod;
    /// What the method says.
    authentication_data: blob -> &'a [u8] = AuthenticationData;
    /// CONNECT: whether reason strings and user properties are wanted; absent is yes.
    request_problem_information: flag -> bool = RequestProblemInformation;
    /// Seconds from the connection's end to the will.
    will_delay: number -> u32 = WillDelayInterval;
    /// CONNECT: whether response information is wanted; absent is no.
    request_response_information: flag -> bool = RequestResponseInformation;
    /// CONNACK: what response topics may be made of.
    response_information: text -> &'a str = ResponseInformation;
    /// Another server.
    server_reference: text -> &'a str = ServerReference;
    /// Why, for people.
    reason_string: text -> &'a str = ReasonString;
    /// How many messages of quality 1 and 2 may be under way to who sends this.
    receive_maximum: number_u16 -> u16 = ReceiveMaximum;
    /// How many topic aliases who sends this takes.
    topic_alias_maximum: number_u16 -> u16 = TopicAliasMaximum;
    /// The number that stands for the topic.
    topic_alias: number_u16 -> u16 = TopicAlias;
    /// CONNACK: whether quality 1 is the highest (`true`), or 0.
    maximum_qos: flag -> bool = MaximumQos;
    /// CONNACK: whether messages are retained; absent is yes.
    retain_available: flag -> bool = RetainAvailable;
    /// Largest packet that who sends this takes, in bytes.
    maximum_packet_size: number -> u32 = MaximumPacketSize;
    /// CONNACK: whether filters may have wildcards; absent is yes.
    wildcard_subscription_available: flag -> bool = WildcardSubscriptionAvailable;
    /// CONNACK: whether subscriptions may have identifiers; absent is yes.
    subscription_identifier_available: flag -> bool = SubscriptionIdentifierAvailable;
    /// CONNACK: whether subscriptions may be shared; absent is yes.
    shared_subscription_available: flag -> bool = SharedSubscriptionAvailable;
}

/// Reads one property. Whether it may be there, and its text, is not looked at.
#[inline]
fn read<'a>(reader: &mut Reader<'a>) -> Result<(PropertyId, Value<'a>), DecodeError> {
    let id = check::known(reader.varint()?)?;
    let value = match id.shape() {
        Shape::Byte | Shape::Flag => reader.u8().map(|byte| Value::Number(byte.into())),
        Shape::Two => reader.u16().map(|number| Value::Number(number.into())),
        Shape::Four => reader.u32().map(Value::Number),
        Shape::Varint => Some(Value::Number(reader.varint()?)),
        Shape::Text | Shape::Blob => reader.bytes().map(Value::Bytes),
        Shape::Pair => match (reader.bytes(), reader.bytes()) {
            (Some(name), Some(value)) => Some(Value::Pair(name, value)),
            _ => None,
        },
    };
    value.map(|value| (id, value)).ok_or(DecodeError::TRUNCATED)
}

/// Reads a block with its length off the front of a packet.
#[inline]
pub(crate) fn read_block<'a>(
    reader: &mut Reader<'a>,
    place: For,
) -> Result<Properties<'a>, DecodeError> {
    // Nearly all blocks of messages are empty.
    if let Varint::Value(0, 1, _) = varint(reader.rest()) {
        reader.take(1);
        return Properties::parse(&[], place);
    }
    let length = reader.varint()?;
    let block = reader.take(length as usize).ok_or(DecodeError::TRUNCATED)?;
    Properties::parse(block, place)
}

/// Bytes that a block takes with its length.
#[inline]
pub(crate) fn block_bytes(properties: Properties<'_>) -> usize {
    let length = properties.raw.len();
    length + u32::try_from(length).map_or(4, varint_bytes)
}

/// Appends a block with its length.
#[inline]
pub(crate) fn put_block(out: &mut Vec<u8>, properties: Properties<'_>) {
    let length = u32::try_from(properties.raw.len());
    crate::wire::put_varint(out, length.expect("a block is a part of a packet"));
    out.extend_from_slice(properties.raw);
}

#[cfg(test)]
mod tests;
