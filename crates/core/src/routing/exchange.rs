//! Exchanges: what is declared, and how a second declaration is compared with it.
//!
//! Invariants
//! - Of the arguments only `alternate-exchange` counts for equivalence, as in RabbitMQ.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::arguments::{
    Arguments, Inequivalent, Resource, Value, assert_equivalent, assert_field_equivalent,
};

const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

/// How an exchange matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExchangeKind {
    /// By the exact routing key.
    Direct,
    /// Always.
    Fanout,
    /// By a pattern over the words of the routing key.
    Topic,
    /// By the message's headers.
    Headers,
}

impl ExchangeKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Headers => "headers",
        }
    }
}

impl Display for ExchangeKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A type of exchange that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown exchange type '{0}'")]
pub struct UnknownExchangeKind(pub String);

impl FromStr for ExchangeKind {
    type Err = UnknownExchangeKind;

    fn from_str(name: &str) -> Result<ExchangeKind, UnknownExchangeKind> {
        match name {
            "direct" => Ok(ExchangeKind::Direct),
            "fanout" => Ok(ExchangeKind::Fanout),
            "topic" => Ok(ExchangeKind::Topic),
            "headers" => Ok(ExchangeKind::Headers),
            _ => Err(UnknownExchangeKind(name.to_owned())),
        }
    }
}

/// An exchange as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Unique within the virtual host.
    pub name: Arc<str>,
    /// How it matches.
    pub kind: ExchangeKind,
    /// Survives a restart.
    pub durable: bool,
    /// Goes when the last binding from it goes.
    pub auto_delete: bool,
    /// Takes messages from exchanges only, never from a publisher.
    pub internal: bool,
    /// Everything else that was asked for.
    pub arguments: Arguments,
}

impl Exchange {
    /// A durable exchange with no arguments.
    pub fn new(name: impl Into<Arc<str>>, kind: ExchangeKind) -> Exchange {
        Exchange {
            name: name.into(),
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Arguments::new(),
        }
    }

    /// The exchange that takes what this one routes nowhere.
    pub fn alternate(&self) -> Option<&str> {
        self.arguments
            .get(ALTERNATE_EXCHANGE)
            .and_then(Value::as_str)
    }

    /// Whether declaring `received` asks for this very exchange.
    pub fn assert_equivalent(&self, received: &Exchange, vhost: &str) -> Result<(), Inequivalent> {
        let resource = Resource {
            kind: "exchange",
            name: &self.name,
            vhost,
        };
        assert_field_equivalent(resource, "type", self.kind, received.kind)?;
        for (field, current, received) in [
            ("durable", self.durable, received.durable),
            ("auto_delete", self.auto_delete, received.auto_delete),
            ("internal", self.internal, received.internal),
        ] {
            assert_field_equivalent(resource, field, current, received)?;
        }
        let keys = [ALTERNATE_EXCHANGE];
        assert_equivalent(resource, &self.arguments, &received.arguments, &keys)
    }

    pub(super) fn validate(&self, vhost: &str) -> Result<(), DeclareExchangeError> {
        match self.arguments.get(ALTERNATE_EXCHANGE) {
            None | Some(Value::Str(_)) => Ok(()),
            Some(value) => {
                let resource = Resource {
                    kind: "exchange",
                    name: &self.name,
                    vhost,
                };
                Err(DeclareExchangeError::AlternateType {
                    type_name: value.type_name(),
                    resource: resource.to_string(),
                })
            }
        }
    }
}

/// The outcome of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// False when an equivalent exchange was there already.
    pub created: bool,
}

/// Why an exchange was not declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclareExchangeError {
    /// There is one of that name that differs.
    #[error(transparent)]
    Inequivalent(#[from] Inequivalent),
    /// The alternate exchange is not named by text.
    #[error("invalid type '{type_name}' for arg '{ALTERNATE_EXCHANGE}' in {resource}")]
    AlternateType {
        /// The type that was received.
        type_name: &'static str,
        /// The exchange, as printed.
        resource: String,
    },
}
