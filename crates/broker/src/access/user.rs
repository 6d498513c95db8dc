//! A user who is logged in, and what that user may do now.
//!
//! Invariants
//! - Every question is answered by how things are now, not by how they were at the log-in.

use std::fmt;
use std::sync::Arc;

use ferry_core::Millis;

use super::rights::Standing;
use super::{Grants, Resource};

/// How the default exchange is called where rights are about it.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// What is to be done with a queue or an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Declare or delete it.
    Configure,
    /// Put something into it.
    Write,
    /// Take something from it.
    Read,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Configure => "configure",
            Right::Write => "write",
            Right::Read => "read",
        })
    }
}

/// Somebody may not do that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AccessRefused(Box<str>);

/// Where the rights of a user come from.
#[derive(Debug, Clone)]
enum Source {
    /// A user of this node.
    Account(Arc<Standing>),
    /// Somebody else's decision.
    Granted(Arc<dyn Grants>),
}

/// Who is logged in.
#[derive(Debug, Clone)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The user's tags at the time of the log-in.
    pub tags: Arc<[String]>,
    source: Source,
    /// The name of the client, in protocols that have such names.
    client_id: Option<Arc<str>>,
}

impl User {
    /// A user whom somebody else has logged in, with the rights that came with that.
    pub fn granted(name: String, tags: Arc<[String]>, grants: Arc<dyn Grants>) -> User {
        User {
            name,
            tags,
            source: Source::Granted(grants),
            client_id: None,
        }
    }

    /// A user of this node.
    pub(super) fn of_account(name: &str, tags: &[String], standing: Arc<Standing>) -> User {
        User {
            name: name.to_owned(),
            tags: tags.into(),
            source: Source::Account(standing),
            client_id: None,
        }
    }

    /// The same user as a client with a name, which topic permissions can refer to.
    #[must_use]
    pub fn as_client(&self, client_id: &str) -> User {
        User {
            client_id: Some(client_id.into()),
            ..self.clone()
        }
    }

    /// Whether the user has a tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|one| one == tag)
    }

    /// When the log-in ends by itself.
    pub fn expires_at(&self) -> Option<Millis> {
        match &self.source {
            Source::Account(_) => None,
            Source::Granted(grants) => grants.expires_at(),
        }
    }

    /// The same user with a new secret, if the log-in is one that a secret renews.
    pub fn renew(&self, secret: &[u8]) -> Option<Result<Arc<User>, String>> {
        match &self.source {
            Source::Account(_) => None,
            Source::Granted(grants) => grants.renew(&self.name, secret),
        }
    }

    /// Whether the user was deleted.
    pub fn is_deleted(&self) -> bool {
        matches!(&self.source, Source::Account(standing) if standing.is_ended())
    }

    /// Whether the user may see and use a virtual host at all.
    pub fn may_enter(&self, vhost: &str) -> bool {
        match &self.source {
            Source::Account(standing) => standing.may_enter(vhost),
            Source::Granted(grants) => grants.may_enter(vhost),
        }
    }

    /// Whether the user has a right to the queue or exchange of that name.
    pub fn may(&self, vhost: &str, right: Right, kind: Resource, name: &str) -> bool {
        let name = full_name(name);
        match &self.source {
            Source::Account(standing) => standing.may(vhost, right, name),
            Source::Granted(grants) => grants.may(vhost, right, kind, name),
        }
    }

    /// Whether the user may use a routing key with a topic exchange.
    pub fn may_topic(&self, vhost: &str, right: Right, exchange: &str, key: &[u8]) -> bool {
        match &self.source {
            Source::Account(standing) => {
                standing.may_topic(vhost, right, exchange, key, self.client_id.as_deref())
            }
            Source::Granted(grants) => {
                grants.may_topic(vhost, right, exchange, &String::from_utf8_lossy(key))
            }
        }
    }

    /// Whether the user may read every routing key that a binding key of a topic exchange lets
    /// through.
    pub(super) fn may_filter(&self, vhost: &str, exchange: &str, binding_key: &[u8]) -> bool {
        match &self.source {
            Source::Account(standing) => {
                standing.may_filter(vhost, exchange, binding_key, self.client_id.as_deref())
            }
            Source::Granted(grants) => grants.may_filter(vhost, exchange, binding_key),
        }
    }

    /// Refuses what the user has no right to, in RabbitMQ's words.
    pub fn check(
        &self,
        vhost: &str,
        right: Right,
        kind: Resource,
        name: &str,
    ) -> Result<(), AccessRefused> {
        if self.may(vhost, right, kind, name) {
            return Ok(());
        }
        let (name, user) = (full_name(name), &self.name);
        let kind = match kind {
            Resource::Queue => "queue",
            Resource::Exchange => "exchange",
        };
        let text = format!(
            "{right} access to {kind} '{name}' in vhost '{vhost}' refused for user '{user}'"
        );
        Err(AccessRefused(text.into()))
    }

    /// Refuses a routing key that the user may not use with a topic exchange.
    pub fn check_topic(
        &self,
        vhost: &str,
        right: Right,
        exchange: &str,
        key: &[u8],
    ) -> Result<(), AccessRefused> {
        if self.may_topic(vhost, right, exchange, key) {
            return Ok(());
        }
        let (key, user) = (String::from_utf8_lossy(key), &self.name);
        let text = format!(
            "{right} access to topic '{key}' in exchange '{exchange}' in vhost '{vhost}' refused \
             for user '{user}'"
        );
        Err(AccessRefused(text.into()))
    }
}

/// The name by which rights know a queue or an exchange.
fn full_name(name: &str) -> &str {
    if name.is_empty() {
        DEFAULT_EXCHANGE
    } else {
        name
    }
}
