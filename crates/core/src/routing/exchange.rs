//! Exchanges: what is declared, and how a second declaration is compared with it.
//!
//! Invariants
//! - Of the arguments those count for equivalence that change what the exchange does.
//!
//! Not here: what each argument asks for (`options`).

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::options::{
    ALTERNATE_EXCHANGE, COMPARED, DELAYED_TYPE, HASH_HEADER, HASH_PROPERTY, InvalidArgument,
    InvalidHash,
};
use crate::arguments::{
    Arguments, Inequivalent, Resource, assert_equivalent, assert_field_equivalent,
};

/// The type of an exchange, as declared.
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
    /// As the type that its argument `x-delayed-type` names.
    DelayedMessage,
    /// Always, and each message id once.
    MessageDeduplication,
    /// To one destination, by a value of the message; binding keys are weights.
    ConsistentHash,
    /// To one destination, by the routing key modulo the number of bindings.
    ModulusHash,
    /// To one destination, by chance.
    Random,
    /// To one queue of this node, by chance.
    LocalRandom,
}

impl ExchangeKind {
    /// All of them.
    pub const ALL: [ExchangeKind; 10] = [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Topic,
        ExchangeKind::Headers,
        ExchangeKind::DelayedMessage,
        ExchangeKind::MessageDeduplication,
        ExchangeKind::ConsistentHash,
        ExchangeKind::ModulusHash,
        ExchangeKind::Random,
        ExchangeKind::LocalRandom,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Headers => "headers",
            ExchangeKind::DelayedMessage => "x-delayed-message",
            ExchangeKind::MessageDeduplication => "x-message-deduplication",
            ExchangeKind::ConsistentHash => "x-consistent-hash",
            ExchangeKind::ModulusHash => "x-modulus-hash",
            ExchangeKind::Random => "x-random",
            ExchangeKind::LocalRandom => "x-local-random",
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
        let kind = ExchangeKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name);
        kind.ok_or_else(|| UnknownExchangeKind(name.to_owned()))
    }
}

/// An exchange as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Unique within the virtual host.
    pub name: Arc<str>,
    /// Its type.
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
        let own: &[&str] = match self.kind {
            ExchangeKind::DelayedMessage => &[DELAYED_TYPE],
            ExchangeKind::ConsistentHash => &[HASH_HEADER, HASH_PROPERTY],
            _ => &[],
        };
        assert_equivalent(resource, &self.arguments, &received.arguments, own)?;
        assert_equivalent(resource, &self.arguments, &received.arguments, COMPARED)
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
    /// Another argument makes no sense.
    #[error(transparent)]
    Argument(#[from] InvalidArgument),
    /// What is to be hashed makes no sense.
    #[error(transparent)]
    Hash(#[from] InvalidHash),
}
