//! What the arguments of an exchange ask for, and what is refused.
//!
//! Invariants
//! - An argument that is known here is checked on every exchange, whether or not it has an effect
//!   there, but for those of one type, which are checked there; one that is not known is kept, as
//!   in RabbitMQ.
//! - An exchange of a topology was checked: what is read from it later is what was asked for.

use super::hashed::{HashOn, Pick};
use super::{DeclareExchangeError, Exchange, ExchangeKind};
use crate::arguments::{Resource, Value};
use crate::limits::{
    DEDUPLICATION_IDS_DEFAULT, DEDUPLICATION_IDS_MAX, DEDUPLICATION_TTL_MS_DEFAULT, NAME_BYTES_MAX,
    TTL_MS_MAX,
};
use crate::queue::{DeadLetterTarget, Deduplication};
use crate::view::Property;

pub(super) const ALTERNATE_EXCHANGE: &str = "alternate-exchange";
pub(super) const DELAYED_TYPE: &str = "x-delayed-type";
pub(super) const HASH_HEADER: &str = "hash-header";
pub(super) const HASH_PROPERTY: &str = "hash-property";
const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
const DEAD_LETTER_ROUTING_KEY: &str = "x-dead-letter-routing-key";
const DEDUPLICATION: &str = "x-message-deduplication";
const CACHE_SIZE: &str = "x-cache-size";
const CACHE_TTL: &str = "x-cache-ttl";
const CACHE_PERSISTENCE: &str = "x-cache-persistence";

/// Arguments that two declarations of an exchange must agree on, whatever its type.
pub(super) const COMPARED: &[&str] = &[
    ALTERNATE_EXCHANGE,
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_ROUTING_KEY,
    DEDUPLICATION,
    CACHE_SIZE,
    CACHE_TTL,
];

/// How the bindings of an exchange are matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Direct,
    Fanout,
    Topic,
    Headers,
    Hashed(Pick),
}

/// An argument that makes no sense, in the words of RabbitMQ's plug-ins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid argument, '{argument}' must be {expected}")]
pub struct InvalidArgument {
    /// The argument.
    pub argument: String,
    /// What it may be.
    pub expected: String,
}

/// What a consistent hash exchange can not hash, in RabbitMQ's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// Both of a header and a property.
    #[error("{HASH_HEADER} and {HASH_PROPERTY} are mutually exclusive")]
    Both,
    /// A property that messages are not told apart by.
    #[error("Unsupported property: {0}")]
    Property(String),
}

fn refused(argument: &str, expected: impl Into<String>) -> InvalidArgument {
    InvalidArgument {
        argument: argument.to_owned(),
        expected: expected.into(),
    }
}

impl Exchange {
    /// The exchange that takes what this one routes nowhere.
    pub fn alternate(&self) -> Option<&str> {
        self.arguments
            .get(ALTERNATE_EXCHANGE)
            .and_then(Value::as_str)
    }

    /// Which messages count as one; none if each is its own.
    pub fn deduplication(&self) -> Option<Deduplication> {
        self.read_deduplication().ok().flatten()
    }

    /// Where a message goes that has no route; none if it is dropped.
    pub fn dead_letter(&self) -> Option<DeadLetterTarget> {
        self.read_dead_letter().ok().flatten()
    }

    /// Checks all arguments; gives the rule that they and the type ask for.
    pub(super) fn validate(&self, vhost: &str) -> Result<Rule, DeclareExchangeError> {
        let alternate = self.arguments.get(ALTERNATE_EXCHANGE);
        if let Some(value) = alternate.filter(|alternate| alternate.as_str().is_none()) {
            let resource = Resource {
                kind: "exchange",
                name: &self.name,
                vhost,
            };
            return Err(DeclareExchangeError::AlternateType {
                type_name: value.type_name(),
                resource: resource.to_string(),
            });
        }
        self.read_dead_letter()?;
        self.read_deduplication()?;
        self.rule()
    }

    fn rule(&self) -> Result<Rule, DeclareExchangeError> {
        match self.kind {
            ExchangeKind::Direct => Ok(Rule::Direct),
            ExchangeKind::Fanout | ExchangeKind::MessageDeduplication => Ok(Rule::Fanout),
            ExchangeKind::Topic => Ok(Rule::Topic),
            ExchangeKind::Headers => Ok(Rule::Headers),
            ExchangeKind::ConsistentHash => Ok(Rule::Hashed(Pick::Consistent(self.hash_on()?))),
            ExchangeKind::ModulusHash => Ok(Rule::Hashed(Pick::Modulus)),
            ExchangeKind::Random | ExchangeKind::LocalRandom => Ok(Rule::Hashed(Pick::Random)),
            ExchangeKind::DelayedMessage => {
                match self.arguments.get(DELAYED_TYPE).and_then(Value::as_bytes) {
                    Some(b"direct") => Ok(Rule::Direct),
                    Some(b"fanout") => Ok(Rule::Fanout),
                    Some(b"topic") => Ok(Rule::Topic),
                    Some(b"headers") => Ok(Rule::Headers),
                    _ => Err(refused(
                        DELAYED_TYPE,
                        "an existing exchange type: direct, fanout, topic or headers",
                    )
                    .into()),
                }
            }
        }
    }

    fn hash_on(&self) -> Result<HashOn, DeclareExchangeError> {
        let header = self.arguments.get(HASH_HEADER);
        let property = self.arguments.get(HASH_PROPERTY);
        match (header, property) {
            (None, None) => Ok(HashOn::RoutingKey),
            (Some(name), None) => match name.as_str() {
                Some(name) => Ok(HashOn::Header(name.into())),
                None => Err(refused(HASH_HEADER, "text").into()),
            },
            (None, Some(property)) => match property.as_str() {
                Some("correlation_id") => Ok(HashOn::Property(Property::CorrelationId)),
                Some("message_id") => Ok(HashOn::Property(Property::MessageId)),
                Some("timestamp") => Ok(HashOn::Property(Property::Timestamp)),
                Some(other) => Err(InvalidHash::Property(other.to_owned()).into()),
                None => Err(refused(HASH_PROPERTY, "text").into()),
            },
            (Some(_), Some(_)) => Err(InvalidHash::Both.into()),
        }
    }

    fn read_deduplication(&self) -> Result<Option<Deduplication>, InvalidArgument> {
        let asked = match self.arguments.get(DEDUPLICATION) {
            None => None,
            Some(Value::Bool(asked)) => Some(*asked),
            Some(_) => return Err(refused(DEDUPLICATION, "true or false")),
        };
        let by_type = self.kind == ExchangeKind::MessageDeduplication;
        if by_type && asked == Some(false) {
            let expected = format!("true in an exchange of type '{}'", self.kind);
            return Err(refused(DEDUPLICATION, expected));
        }
        let ids_max = self.count(CACHE_SIZE, DEDUPLICATION_IDS_MAX)?;
        let ttl_ms = self.count(CACHE_TTL, TTL_MS_MAX)?;
        // The window is as durable as its exchange, which both words allow.
        match self.arguments.get(CACHE_PERSISTENCE).map(Value::as_str) {
            None | Some(Some("disk" | "memory")) => {}
            Some(_) => return Err(refused(CACHE_PERSISTENCE, "either 'disk' or 'memory'")),
        }
        Ok((by_type || asked == Some(true)).then(|| Deduplication {
            ids_max: ids_max.unwrap_or(DEDUPLICATION_IDS_DEFAULT),
            ttl_ms: Some(ttl_ms.unwrap_or(DEDUPLICATION_TTL_MS_DEFAULT)),
        }))
    }

    /// A count of at least 1; digits are taken as well, as the plug-in does.
    fn count(&self, argument: &str, max: u64) -> Result<Option<u64>, InvalidArgument> {
        let Some(value) = self.arguments.get(argument) else {
            return Ok(None);
        };
        let count = match value.as_str() {
            Some(digits) => digits.parse().ok(),
            None => value.as_integer().and_then(|count| count.try_into().ok()),
        };
        let count = count.filter(|count| (1..=max).contains(count));
        count
            .map(Some)
            .ok_or_else(|| refused(argument, format!("an integer from 1 to {max}")))
    }

    fn read_dead_letter(&self) -> Result<Option<DeadLetterTarget>, InvalidArgument> {
        let exchange = self.short_text(DEAD_LETTER_EXCHANGE)?;
        let routing_key = self.short_text(DEAD_LETTER_ROUTING_KEY)?;
        match (exchange, routing_key) {
            (Some(exchange), routing_key) => Ok(Some(DeadLetterTarget {
                exchange,
                routing_key,
            })),
            (None, Some(_)) => Err(refused(
                DEAD_LETTER_ROUTING_KEY,
                format!("given together with '{DEAD_LETTER_EXCHANGE}'"),
            )),
            (None, None) => Ok(None),
        }
    }

    fn short_text(&self, argument: &str) -> Result<Option<String>, InvalidArgument> {
        let Some(value) = self.arguments.get(argument) else {
            return Ok(None);
        };
        let text = value.as_str().filter(|text| text.len() <= NAME_BYTES_MAX);
        text.map(|text| Some(text.to_owned())).ok_or_else(|| {
            let expected = format!("text of at most {NAME_BYTES_MAX} bytes");
            refused(argument, expected)
        })
    }
}
