//! How the broker may look into the properties of an MQTT message.
//!
//! Headers are what the broker added, then the user properties. What AMQP has a property for and
//! MQTT has not is found where the map of messages puts it.
//!
//! Invariants
//! - A name that the broker wrote is found before one of the publisher's.
//! - A rewrite keeps user properties that stay what they were byte for byte and in their order;
//!   whatever is new or another is the broker's.
//! - What is described is what an AMQP consumer would get.

use std::borrow::Cow;

use amqp091::RawTable;
use ferry_broker::{
    Amendment, Basics, MessageFormat, MessageId, Properties as Named, PropertyError,
};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Message;
use ferry_core::view::{MessageView, Operand, Property};
use hashbrown::HashMap;
use mqtt::{Properties, PropertyId, write_properties};

use super::block::Block;
use super::compose;
use crate::amqp091::{arguments, format as amqp, plain};
use crate::map::carried;
use crate::map::to_amqp::{self, number};

/// The header that names a message for de-duplication.
const DEDUPLICATION_HEADER: &str = "x-deduplication-header";

/// The header that names the group of a message, as clients of JMS do.
const GROUP_ID_HEADER: &str = "JMSXGroupID";

/// Milliseconds of a second.
const SECOND_MS: u64 = 1000;

/// The format of [`ferry_core::message::FORMAT_MQTT`].
#[derive(Debug, Clone, Copy, Default)]
pub struct MqttFormat;

impl MessageFormat for MqttFormat {
    fn basics(&self, properties: &[u8]) -> Option<Basics> {
        let block = Block::check(properties)?;
        Some(Basics {
            persistent: block.qos > 0,
            priority: priority(&block).unwrap_or(0),
            ttl_ms: expiry_ms(&block),
            message_id: user(&block, carried::MESSAGE_ID).map(str::to_owned),
        })
    }

    fn view(&self, message: &Message<'_>, look: &mut dyn FnMut(&dyn MessageView)) {
        if let Some(block) = Block::parse(message.properties()) {
            look(&View::of(&block, message.exchange(), message.routing_key()));
        }
    }

    fn headers(&self, properties: &[u8]) -> Arguments {
        let block = Block::parse(properties);
        block.as_ref().map(headers_of).unwrap_or_default()
    }

    fn rewrite(&self, properties: &[u8], headers: &Arguments, clear_expiration: bool) -> Vec<u8> {
        rewritten(properties, headers, clear_expiration, None)
    }

    /// The message id is there as a publisher by MQTT would have written it.
    fn amend(&self, properties: &[u8], amendment: &Amendment<'_>) -> Vec<u8> {
        let headers = amendment.apply(&self.headers(properties));
        rewritten(properties, &headers, false, amendment.message_id.as_deref())
    }

    fn identity(&self, properties: &[u8]) -> Option<MessageId> {
        let block = Block::parse(properties)?;
        match block.headers.get(DEDUPLICATION_HEADER.as_bytes()) {
            Some(value) => MessageId::of_value(&arguments::value_of(value)),
            None => {
                let id = user(&block, DEDUPLICATION_HEADER);
                let id = id.or_else(|| user(&block, carried::MESSAGE_ID))?;
                Some(MessageId::of_text(id.as_bytes()))
            }
        }
    }

    fn describe(&self, properties: &[u8]) -> Named {
        match Block::parse(properties) {
            Some(block) => plain::describe(&to_amqp::properties(&block, None, usize::MAX)),
            None => Named::default(),
        }
    }

    fn compose(&self, properties: &Named) -> Result<Vec<u8>, PropertyError> {
        compose::composed(properties)
    }

    fn expiration(&self, properties: &[u8]) -> Option<String> {
        Some(expiry_ms(&Block::parse(properties)?)?.to_string())
    }
}

/// The same properties with other headers, without the expiration if so wished, and with a message
/// id that they do not have yet.
fn rewritten(
    properties: &[u8],
    headers: &Arguments,
    clear_expiration: bool,
    message_id: Option<&str>,
) -> Vec<u8> {
    let Some(block) = Block::parse(properties) else {
        return properties.to_vec();
    };
    let (mut properties, added) = split(block.properties, headers, clear_expiration);
    if let Some(id) = message_id {
        write_properties(&mut properties, |writer| {
            writer.user(carried::MESSAGE_ID, id);
        });
    }
    let added = arguments::to_table(&added).to_bytes();
    let mut out = Vec::with_capacity(properties.len() + added.len() + 16);
    Block {
        properties: Properties::from_checked(&properties),
        headers: RawTable::new(&added),
        ..block
    }
    .write(&mut out);
    out
}

fn user<'a>(block: &Block<'a>, name: &str) -> Option<&'a str> {
    let mut found = block.properties.user_properties();
    found.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn priority(block: &Block<'_>) -> Option<u8> {
    number(user(block, carried::PRIORITY)?)
}

fn expiry_ms(block: &Block<'_>) -> Option<u64> {
    let seconds = block.properties.message_expiry()?;
    Some(u64::from(seconds) * SECOND_MS)
}

fn headers_of(block: &Block<'_>) -> Arguments {
    let text = |value: &str| Value::Str(value.as_bytes().to_vec());
    let users = block.properties.user_properties();
    let users = users.map(|(name, value)| (name.to_owned(), text(value)));
    let added = arguments::read_valid(block.headers);
    added.into_iter().chain(users).collect()
}

/// How often each text header is there.
type Counts<'a> = HashMap<(&'a str, &'a [u8]), usize, foldhash::fast::RandomState>;

/// Whether one more of these is to be had.
fn takes<'a>(counts: &mut Counts<'a>, name: &'a str, text: &'a [u8]) -> bool {
    match counts.get_mut(&(name, text)) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

/// The properties with those user properties that are still among the headers, and the headers
/// that are none of these.
fn split(
    properties: Properties<'_>,
    headers: &Arguments,
    clear_expiration: bool,
) -> (Vec<u8>, Arguments) {
    let mut counts = Counts::default();
    for (name, value) in headers.iter() {
        if let Value::Str(text) = value {
            *counts.entry((name, text)).or_default() += 1;
        }
    }
    let mut kept = Vec::with_capacity(properties.as_bytes().len());
    write_properties(&mut kept, |writer| {
        let gone: &[PropertyId] = match clear_expiration {
            true => &[PropertyId::UserProperty, PropertyId::MessageExpiryInterval],
            false => &[PropertyId::UserProperty],
        };
        writer.copy(properties, gone);
        for (name, value) in properties.user_properties() {
            if takes(&mut counts, name, value.as_bytes()) {
                writer.user(name, value);
            }
        }
    });
    let others = headers.iter().filter(|(name, value)| match value {
        Value::Str(text) => takes(&mut counts, name, text),
        _ => true,
    });
    let others = others.map(|(name, value)| (name, value.clone()));
    (kept, others.collect())
}

/// A message, looked into where it lies.
pub(crate) struct View<'a> {
    block: &'a Block<'a>,
    exchange: &'a [u8],
    routing_key: &'a [u8],
    expiration: Option<String>,
}

impl<'a> View<'a> {
    pub(crate) fn of(block: &'a Block<'a>, exchange: &'a [u8], routing_key: &'a [u8]) -> View<'a> {
        View {
            block,
            exchange,
            routing_key,
            expiration: expiry_ms(block).map(|ms| ms.to_string()),
        }
    }
}

impl MessageView for View<'_> {
    fn headers(&self) -> Cow<'_, Arguments> {
        Cow::Owned(headers_of(self.block))
    }

    fn header(&self, name: &str) -> Option<Operand<'_>> {
        match self.block.headers.get(name.as_bytes()) {
            Some(value) => amqp::operand(value),
            None => user(self.block, name).map(|value| Operand::Text(value.as_bytes())),
        }
    }

    fn property(&self, property: Property) -> Option<Operand<'_>> {
        let from = self.block.properties;
        let carried = |name| user(self.block, name).map(str::as_bytes);
        let text = match property {
            Property::Persistent => return Some(Operand::Bool(self.block.qos > 0)),
            Property::Priority => {
                let priority = priority(self.block).unwrap_or(0);
                return Some(Operand::Integer(i64::from(priority)));
            }
            Property::Timestamp => {
                let seconds: i64 = number(user(self.block, carried::TIMESTAMP)?)?;
                return seconds.checked_mul(1000).map(Operand::Integer);
            }
            Property::GroupId => return self.header(GROUP_ID_HEADER),
            Property::CorrelationId => from.correlation_data(),
            Property::ContentType => from.content_type().map(str::as_bytes),
            Property::ReplyTo => {
                let topic = from.response_topic();
                let topic = topic.map(str::as_bytes);
                topic.or_else(|| carried(carried::REPLY_TO))
            }
            Property::Expiration => self.expiration.as_deref().map(str::as_bytes),
            Property::Exchange => Some(self.exchange),
            Property::RoutingKey => Some(self.routing_key),
            // Nobody has checked what a client says of its user.
            Property::UserId => None,
            Property::MessageId => carried(carried::MESSAGE_ID),
            Property::Type => carried(carried::TYPE),
            Property::ContentEncoding => carried(carried::CONTENT_ENCODING),
            Property::AppId => carried(carried::APP_ID),
        };
        text.map(Operand::Text)
    }

    fn has_header(&self, name: &str) -> bool {
        self.block.headers.get(name.as_bytes()).is_some() || user(self.block, name).is_some()
    }

    fn has(&self, property: Property) -> bool {
        match property {
            Property::Priority => priority(self.block).is_some(),
            given => self.property(given).is_some(),
        }
    }
}

#[cfg(test)]
mod tests;
