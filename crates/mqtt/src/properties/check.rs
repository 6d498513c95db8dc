//! What is refused in a property block.
//!
//! Invariant: a property that a packet can not have is malformed (0x81); one that is there twice
//! or has a value that it can not have is a protocol error (0x82), a topic alias of zero 0x94.

use super::id::{For, PropertyId, Shape};
use super::{Value, read};
use crate::error::{DecodeError, ErrorKind, GENERAL};
use crate::reason::ReasonCode;
use crate::text;
use crate::topic;
use crate::wire::Reader;

/// The property with this number.
#[inline]
pub(super) fn known(number: u32) -> Result<PropertyId, DecodeError> {
    let unknown = DecodeError::malformed(ErrorKind::UnknownProperty(number), GENERAL);
    PropertyId::from_number(number).ok_or(unknown)
}

/// Checks a block and says which properties it has.
pub(super) fn check(bytes: &[u8], place: For) -> Result<u64, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut present = 0;
    while !reader.is_empty() {
        let (id, value) = read(&mut reader)?;
        if !id.is_allowed(place) {
            return Err(not_allowed(id, place));
        }
        if present & id.bit() != 0 && !id.may_repeat(place) {
            return Err(DecodeError::protocol(ErrorKind::PropertyTwice(id), GENERAL));
        }
        present |= id.bit();
        check_value(id, value)?;
    }
    let method = PropertyId::AuthenticationMethod;
    let has_data = present & PropertyId::AuthenticationData.bit() != 0;
    if (has_data || place == For::Auth) && present & method.bit() == 0 {
        let kind = ErrorKind::PropertyMissing(method);
        return Err(DecodeError::protocol(kind, "MQTT-4.12.0-5"));
    }
    Ok(present)
}

/// Two are named by statements of their own; a client that sends the first one is against the
/// protocol, as the specification says.
#[cold]
fn not_allowed(id: PropertyId, place: For) -> DecodeError {
    let kind = ErrorKind::PropertyNotAllowed(id);
    match (id, place) {
        (PropertyId::SubscriptionIdentifier, For::Publish) => {
            DecodeError::protocol(kind, "MQTT-3.3.4-6")
        }
        (PropertyId::SessionExpiryInterval, For::ServerDisconnect) => {
            DecodeError::protocol(kind, "MQTT-3.14.2-2")
        }
        _ => DecodeError::malformed(kind, GENERAL),
    }
}

fn check_value(id: PropertyId, value: Value<'_>) -> Result<(), DecodeError> {
    let bad = |statement| DecodeError::protocol(ErrorKind::PropertyValue(id), statement);
    match value {
        Value::Number(number) => match id {
            PropertyId::TopicAlias if number == 0 => Err(DecodeError::new(
                ErrorKind::PropertyValue(id),
                ReasonCode::TopicAliasInvalid,
                "MQTT-3.3.2-8",
            )),
            PropertyId::ReceiveMaximum
            | PropertyId::MaximumPacketSize
            | PropertyId::SubscriptionIdentifier
                if number == 0 =>
            {
                Err(bad(GENERAL))
            }
            _ if matches!(id.shape(), Shape::Flag | Shape::Byte) && number > 1 => Err(bad(GENERAL)),
            _ => Ok(()),
        },
        Value::Bytes(bytes) if id.shape() == Shape::Text => {
            if !text::check(bytes) {
                let kind = ErrorKind::BadText;
                return Err(DecodeError::malformed(kind, text_statement(id)));
            }
            if id == PropertyId::ResponseTopic && topic::check_name(bytes).is_err() {
                return Err(bad("MQTT-3.3.2-14"));
            }
            Ok(())
        }
        Value::Bytes(_) => Ok(()),
        Value::Pair(name, value) if text::check(name) && text::check(value) => Ok(()),
        Value::Pair(..) => Err(DecodeError::malformed(ErrorKind::BadText, "MQTT-1.5.7-1")),
    }
}

/// The statement that wants the value to be UTF-8.
const fn text_statement(id: PropertyId) -> &'static str {
    match id {
        PropertyId::ResponseTopic => "MQTT-3.3.2-13",
        PropertyId::ContentType => "MQTT-3.3.2-19",
        _ => "MQTT-1.5.4-1",
    }
}
