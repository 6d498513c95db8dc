//! Users, permissions and virtual hosts as they are kept and shown.

use std::sync::Arc;

use ferry_core::limits::NAME_BYTES_MAX;
use serde::{Deserialize, Serialize};

use super::{TAGS_MAX, password};
use crate::{DefinitionError, Promise};

/// A user as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The name.
    pub name: Arc<str>,
    /// The hash of the password, its algorithm first: `argon2id`'s PHC text, or
    /// `rabbit_password_hashing_sha256:BASE64` and its kin; none if no password is right.
    pub password_hash: Option<String>,
    /// What the user may do with the management API: `administrator`, `monitoring`,
    /// `policymaker`, `management`, or words of the operator's own.
    pub tags: Vec<String>,
}

impl Account {
    /// A hash of a password as RabbitMQ's API names it, in the form in which it is kept; none for
    /// an empty one.
    pub fn imported_hash(algorithm: &str, hash: &str) -> Result<Option<String>, AccessError> {
        password::import(algorithm, hash)
    }

    /// The algorithm and the hash of the password, as RabbitMQ's API names them.
    pub fn exported_hash(&self) -> Option<(&str, &str)> {
        self.password_hash.as_deref().map(password::export)
    }

    pub(crate) fn check(&self) -> Result<(), AccessError> {
        if !(1..=NAME_BYTES_MAX).contains(&self.name.len()) {
            let why = format!("a user has a name of 1 to {NAME_BYTES_MAX} bytes");
            return Err(AccessError::Invalid(why));
        }
        check_tags(&self.tags)?;
        self.password_hash
            .as_deref()
            .map_or(Ok(()), password::check)
    }
}

/// Refuses more tags, and longer ones, than anybody needs.
pub(super) fn check_tags(tags: &[String]) -> Result<(), AccessError> {
    let too_long = tags.iter().any(|tag| tag.len() > NAME_BYTES_MAX);
    if too_long || tags.len() > TAGS_MAX {
        let why = format!("{TAGS_MAX} tags of {NAME_BYTES_MAX} bytes are the most");
        return Err(AccessError::Invalid(why));
    }
    Ok(())
}

/// What a user may do in a virtual host: regular expressions over names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The user.
    pub user: Arc<str>,
    /// The virtual host.
    pub vhost: Arc<str>,
    /// What may be declared and deleted.
    pub configure: String,
    /// What may be published to, and bound to.
    pub write: String,
    /// What may be consumed, purged, and bound from.
    pub read: String,
}

/// Which routing keys a user may use with a topic exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPermission {
    /// The user.
    pub user: Arc<str>,
    /// The virtual host.
    pub vhost: Arc<str>,
    /// The exchange.
    pub exchange: Arc<str>,
    /// Keys that may be published with.
    pub write: String,
    /// Keys that may be bound with.
    pub read: String,
}

/// A virtual host as it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VhostSpec {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Words of the operator's own.
    pub tags: Vec<String>,
    /// The type of queues that are declared without one.
    pub default_queue_type: Option<String>,
}

/// Something that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessSet {
    /// Whether there was none before.
    pub created: bool,
    /// When it may be reported.
    pub durable_at: Promise,
}

/// Why a user, a permission or a virtual host was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// There is no such user.
    #[error("user '{0}' not found")]
    NoSuchUser(String),
    /// There is no such virtual host.
    #[error("vhost '{0}' not found")]
    NoSuchVhost(String),
    /// There is no such permission.
    #[error("not found")]
    NoSuchPermission,
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A hash of a password is no base64.
    #[error("the password hash is not base64")]
    NotBase64(String),
    /// A pattern is no regular expression.
    #[error("'{pattern}' is not a regular expression: {why}")]
    InvalidRegex {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// The log does not take it.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
}

impl AccessError {
    pub(super) fn invalid_regex(pattern: &str, why: String) -> AccessError {
        let pattern = pattern.to_owned();
        AccessError::InvalidRegex { pattern, why }
    }
}
