//! Bindings as the caller sees them.
//!
//! Invariants
//! - Source, destination, routing key and arguments together are a binding's identity; the order
//!   of the arguments is not part of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    BINDINGS_COUNT_MAX, InvalidFilter, InvalidWeight, InvalidXMatch, QueueId, ROUTING_KEY_BYTES_MAX,
};
use crate::arguments::Arguments;

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Destination {
    /// A queue.
    Queue(QueueId),
    /// Another exchange, by name.
    Exchange(Arc<str>),
}

/// A binding on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: Arc<str>,
    /// Where they go.
    pub destination: Destination,
    /// The key or pattern.
    pub routing_key: Vec<u8>,
    /// The arguments, sorted by name.
    pub arguments: Arguments,
}

/// A binding inside a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingView<'a> {
    /// The exchange that messages come from.
    pub source: &'a Arc<str>,
    /// Where they go.
    pub destination: Destination,
    /// The key or pattern.
    pub routing_key: &'a [u8],
    /// The arguments, sorted by name.
    pub arguments: &'a Arguments,
}

impl BindingView<'_> {
    /// Copies it out of the topology.
    pub fn to_binding(&self) -> Binding {
        Binding {
            source: Arc::clone(self.source),
            destination: self.destination.clone(),
            routing_key: self.routing_key.to_vec(),
            arguments: self.arguments.clone(),
        }
    }
}

/// Why a binding was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The source or the destination exchange does not exist.
    #[error("no exchange '{name}' in vhost '{vhost}'")]
    NoSuchExchange {
        /// The missing exchange.
        name: String,
        /// Where it was looked for.
        vhost: Arc<str>,
    },
    /// The arguments are not what a headers exchange understands.
    #[error(transparent)]
    XMatch(#[from] InvalidXMatch),
    /// The filter makes no sense.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
    /// The key is not what a consistent hash exchange understands.
    #[error(transparent)]
    Weight(#[from] InvalidWeight),
    /// A local random exchange has no use for keys.
    #[error("Non empty binding '{0}' key not permitted")]
    KeyNotEmpty(String),
    /// A local random exchange leads to queues alone.
    #[error("Destination not found")]
    NotToQueue,
    /// The key is too long.
    #[error("routing key of {0} bytes is over the limit of {ROUTING_KEY_BYTES_MAX}")]
    RoutingKeyTooLong(usize),
    /// The virtual host has as many bindings as it may have.
    #[error("cannot bind: binding limit of {BINDINGS_COUNT_MAX} is reached")]
    TooManyBindings,
}
