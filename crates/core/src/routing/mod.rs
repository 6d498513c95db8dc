//! Routing: exchanges, bindings, and which queues a message goes to.
//!
//! Invariants
//! - A route's outcome depends on the topology, the routing keys, the message as it is seen, and
//!   the chance that the caller hands in; queues come out once each, in ascending order of id.
//! - The cost of a match does not grow with the number of bindings that do not match, but for those
//!   that only their filter keeps from matching.
//! - No pattern, key or chain of exchanges makes a match cost more than
//!   (trie nodes reached) x (words of the key).
//!
//! Not here: the default exchange (a queue's name is its key, so the caller knows it), direct
//! reply-to, reserved names, permissions, what is durable.

mod alternate;
mod arena;
mod binding;
mod direct;
mod exchange;
mod filtered;
mod hashed;
mod headers;
mod ids;
mod inline;
mod listing;
mod matcher;
mod options;
mod removal;
mod route;
mod selection;
mod topic;
mod topology;
mod trace;

#[cfg(test)]
mod tests;

pub use binding::{BindError, Binding, BindingView, Destination};
pub use exchange::{DeclareExchangeError, Declared, Exchange, ExchangeKind, UnknownExchangeKind};
pub use hashed::{InvalidWeight, WEIGHT_MAX};
pub use headers::InvalidXMatch;
pub use ids::QueueId;
pub use options::{InvalidArgument, InvalidHash};
pub use removal::{DeleteExchangeError, Removed};
pub use route::{NoSuchExchange, RouteInfo};
pub use selection::InvalidFilter;
pub use topic::matches as topic_matches;
pub use topology::Topology;
pub use trace::Leg;

/// The longest routing or binding key: a topic of MQTT may be that long. AMQP 0-9-1 carries 255
/// bytes of it.
pub const ROUTING_KEY_BYTES_MAX: usize = u16::MAX as usize;

/// The most bindings of one virtual host.
pub const BINDINGS_COUNT_MAX: usize = 1 << 24;

/// The exchange of every virtual host that takes what a consumer says beyond ack, nack and reject.
pub const SETTLE_EXCHANGE: &str = "ferry.settle";
