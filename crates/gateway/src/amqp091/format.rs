//! How the broker may look into the properties of an AMQP 0-9-1 message.
//!
//! Invariants
//! - Headers were validated when they were published, so reading them again can not fail half way;
//!   what can not be read is treated as not there.
//! - A rewrite keeps every other property byte for byte.

use std::borrow::Cow;

use amqp091::properties::{Change, Edit, Properties, edit};
use amqp091::{RawTable, RawValue, ShortStr};
use ferry_broker::{Amendment, Basics, MessageFormat, MessageId, PropertyError};
use ferry_core::arguments::{Arguments, decimal};
use ferry_core::message::Message;
use ferry_core::view::{MessageView, Operand, Property};

use super::publish::PERSISTENT;
use super::{amend, arguments, expiration, plain};

/// The header that names a message for de-duplication.
const DEDUPLICATION_HEADER: &[u8] = b"x-deduplication-header";

/// The header that JMS clients of AMQP 0-9-1 name the group of a message with.
const GROUP_ID_HEADER: &str = "JMSXGroupID";

/// The format of [`ferry_core::message::FORMAT_AMQP091`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Amqp091Format;

impl MessageFormat for Amqp091Format {
    fn basics(&self, properties: &[u8]) -> Option<Basics> {
        let properties = Properties::parse(properties).ok()?;
        properties.validate_headers().ok()?;
        let ttl_ms = match properties.expiration() {
            Some(text) => Some(expiration::parse(text.as_bytes()).ok()?),
            None => None,
        };
        let message_id = properties.message_id();
        Some(Basics {
            persistent: properties.delivery_mode() == Some(PERSISTENT),
            priority: properties.priority().unwrap_or(0),
            ttl_ms,
            message_id: message_id.map(|id| id.as_str_lossy().into_owned()),
        })
    }

    fn view(&self, message: &Message<'_>, look: &mut dyn FnMut(&dyn MessageView)) {
        if let Ok(properties) = Properties::parse(message.properties()) {
            look(&View {
                properties: &properties,
                exchange: message.exchange(),
                routing_key: message.routing_key(),
            });
        }
    }

    fn headers(&self, properties: &[u8]) -> Arguments {
        let headers = Properties::parse(properties)
            .ok()
            .and_then(|found| found.headers());
        headers.map(arguments::read_valid).unwrap_or_default()
    }

    fn rewrite(&self, properties: &[u8], headers: &Arguments, clear_expiration: bool) -> Vec<u8> {
        let Ok(before) = Properties::parse(properties) else {
            return properties.to_vec();
        };
        let table = arguments::to_table(headers).to_bytes();
        let change = Edit {
            headers: Change::Set(RawTable::new(&table)),
            expiration: if clear_expiration {
                Change::Clear
            } else {
                Change::Keep
            },
            ..Edit::default()
        };
        let mut out = Vec::with_capacity(properties.len() + table.len());
        edit(&before, &change, &mut out);
        out
    }

    fn amend(&self, properties: &[u8], amendment: &Amendment<'_>) -> Vec<u8> {
        amend::amended(properties, amendment)
    }

    fn identity(&self, properties: &[u8]) -> Option<MessageId> {
        let properties = Properties::parse(properties).ok()?;
        let header = properties
            .headers()
            .and_then(|headers| headers.get(DEDUPLICATION_HEADER));
        match header.map(arguments::value_of) {
            Some(value) => MessageId::of_value(&value),
            None => {
                let id = properties.message_id()?;
                Some(MessageId::of_text(id.as_bytes()))
            }
        }
    }

    fn describe(&self, properties: &[u8]) -> ferry_broker::Properties {
        plain::describe(properties)
    }

    fn compose(&self, properties: &ferry_broker::Properties) -> Result<Vec<u8>, PropertyError> {
        plain::compose(properties)
    }

    fn expiration(&self, properties: &[u8]) -> Option<String> {
        let expiration = Properties::parse(properties).ok()?.expiration()?;
        Some(expiration.as_str_lossy().into_owned())
    }
}

/// A message, looked into where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) properties: &'a Properties<'a>,
    pub(crate) exchange: &'a [u8],
    pub(crate) routing_key: &'a [u8],
}

impl MessageView for View<'_> {
    fn headers(&self) -> Cow<'_, Arguments> {
        let headers = self.properties.headers().map(arguments::read_valid);
        Cow::Owned(headers.unwrap_or_default())
    }

    fn header(&self, name: &str) -> Option<Operand<'_>> {
        operand(self.properties.headers()?.get(name.as_bytes())?)
    }

    fn property(&self, property: Property) -> Option<Operand<'_>> {
        let found = self.properties;
        let text = match property {
            Property::Persistent => {
                let persistent = found.delivery_mode() == Some(PERSISTENT);
                return Some(Operand::Bool(persistent));
            }
            Property::Priority => {
                let priority = found.priority().unwrap_or(0);
                return Some(Operand::Integer(i64::from(priority)));
            }
            Property::Timestamp => {
                let ms = i64::try_from(found.timestamp()?).ok()?.checked_mul(1000)?;
                return Some(Operand::Integer(ms));
            }
            Property::MessageId => short(found.message_id()),
            Property::CorrelationId => short(found.correlation_id()),
            Property::Type => short(found.type_()),
            Property::ContentType => short(found.content_type()),
            Property::ContentEncoding => short(found.content_encoding()),
            Property::ReplyTo => short(found.reply_to()),
            Property::AppId => short(found.app_id()),
            Property::UserId => short(found.user_id()),
            Property::Expiration => short(found.expiration()),
            Property::Exchange => Some(self.exchange),
            Property::RoutingKey => Some(self.routing_key),
            Property::GroupId => return self.header(GROUP_ID_HEADER),
        };
        text.map(Operand::Text)
    }

    fn has_header(&self, name: &str) -> bool {
        let headers = self.properties.headers();
        headers.is_some_and(|headers| headers.get(name.as_bytes()).is_some())
    }

    fn has(&self, property: Property) -> bool {
        match property {
            Property::Persistent => self.properties.delivery_mode().is_some(),
            Property::Priority => self.properties.priority().is_some(),
            Property::Timestamp => self.properties.timestamp().is_some(),
            given => self.property(given).is_some(),
        }
    }
}

fn short(text: Option<ShortStr<'_>>) -> Option<&[u8]> {
    text.map(ShortStr::as_bytes)
}

/// The operand that a header is.
pub(crate) fn operand(value: RawValue<'_>) -> Option<Operand<'_>> {
    Some(match value {
        RawValue::Bool(value) => Operand::Bool(value),
        RawValue::I8(value) => Operand::Integer(value.into()),
        RawValue::U8(value) => Operand::Integer(value.into()),
        RawValue::I16(value) => Operand::Integer(value.into()),
        RawValue::U16(value) => Operand::Integer(value.into()),
        RawValue::I32(value) => Operand::Integer(value.into()),
        RawValue::U32(value) => Operand::Integer(value.into()),
        RawValue::I64(value) => Operand::Integer(value),
        RawValue::F32(value) => Operand::Float(value.into()),
        RawValue::F64(value) => Operand::Float(value),
        RawValue::Decimal { scale, value } => Operand::Float(decimal(scale, value)),
        RawValue::Timestamp(seconds) => Operand::Integer(i64::try_from(seconds).ok()?),
        RawValue::LongStr(bytes) | RawValue::Bytes(bytes) => Operand::Text(bytes),
        RawValue::Array(_) | RawValue::Table(_) | RawValue::Void => return None,
    })
}

#[cfg(test)]
mod tests {
    use amqp091::Table;
    use ferry_core::arguments::Value;

    use super::*;

    fn block() -> Vec<u8> {
        let mut table = Table::new();
        table.push(ShortStr::lit("n"), 7i32);
        let headers = table.to_bytes();
        Edit {
            headers: Change::Set(RawTable::new(&headers)),
            delivery_mode: Change::Set(2),
            expiration: Change::Set(ShortStr::lit("500")),
            ..Edit::default()
        }
        .build()
    }

    #[test]
    fn headers_and_expiration_are_found() {
        let block = block();
        assert_eq!(Amqp091Format.headers(&block).get("n"), Some(&Value::I32(7)));
        assert_eq!(Amqp091Format.expiration(&block).as_deref(), Some("500"));
    }

    #[test]
    fn the_basics_are_what_a_publish_would_have_said() {
        let expected = Basics {
            persistent: true,
            ttl_ms: Some(500),
            ..Basics::default()
        };
        assert_eq!(Amqp091Format.basics(&block()), Some(expected));
        let named = Edit {
            message_id: Change::Set(ShortStr::lit("m-1")),
            priority: Change::Set(4),
            ..Edit::default()
        };
        let expected = Basics {
            priority: 4,
            message_id: Some("m-1".to_owned()),
            ..Basics::default()
        };
        assert_eq!(Amqp091Format.basics(&named.build()), Some(expected));
        let never = Edit {
            expiration: Change::Set(ShortStr::lit("soon")),
            ..Edit::default()
        };
        let cut = &block()[..4];
        let broken = Edit {
            headers: Change::Set(RawTable::new(b"\x09bad")),
            ..Edit::default()
        };
        for refused in [&never.build()[..], cut, &broken.build()] {
            assert_eq!(Amqp091Format.basics(refused), None);
        }
    }

    #[test]
    fn a_rewrite_replaces_headers_and_keeps_the_rest() {
        let headers: Arguments = [("x-death", Value::Array(vec![]))].into_iter().collect();
        let rewritten = Amqp091Format.rewrite(&block(), &headers, true);
        let properties = Properties::parse(&rewritten).unwrap();
        assert_eq!(properties.delivery_mode(), Some(2));
        assert_eq!(properties.expiration(), None);
        assert_eq!(Amqp091Format.headers(&rewritten), headers);
    }

    #[test]
    fn nothing_is_found_in_what_is_no_property_block() {
        assert!(Amqp091Format.headers(&[0xff]).is_empty());
        assert_eq!(
            Amqp091Format.rewrite(&[0xff], &Arguments::new(), true),
            [0xff]
        );
    }
}
