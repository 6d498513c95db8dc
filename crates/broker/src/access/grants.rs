//! Rights that come with a log-in which somebody else has decided: a token, another back end.

use std::fmt::Debug;
use std::sync::Arc;

use ferry_core::Millis;

use super::{Right, User};

/// What such a user may do. Asked for each decision; who answers remembers.
pub trait Grants: Debug + Send + Sync {
    /// Whether the user may use a virtual host at all.
    fn may_enter(&self, vhost: &str) -> bool;
    /// Whether the user has a right to the queue or exchange of that name.
    fn may(&self, vhost: &str, right: Right, kind: Resource, name: &str) -> bool;
    /// Whether the user may use a routing key with a topic exchange.
    fn may_topic(&self, vhost: &str, right: Right, exchange: &str, routing_key: &str) -> bool;
    /// Whether the user may use every routing key that a binding key of a topic exchange lets
    /// through.
    fn may_filter(&self, vhost: &str, exchange: &str, binding_key: &[u8]) -> bool;
    /// When all of that ends.
    fn expires_at(&self) -> Option<Millis>;
    /// The same user with a new secret; none where a secret means nothing.
    fn renew(&self, _user: &str, _secret: &[u8]) -> Option<Result<Arc<User>, String>> {
        None
    }
}

/// What a right is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
}
