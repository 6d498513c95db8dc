//! Why a definition was refused, in the words that clients of RabbitMQ know.
//!
//! Invariants
//! - The text is what stands after the code in a reply; the kind tells a door which code.

use std::fmt;

use ferry_core::arguments::Inequivalent;
use ferry_core::routing::{BindError, DeclareExchangeError, DeleteExchangeError};

use crate::NoRoom;

/// What a refusal is, for a door to choose its own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such thing.
    NotFound,
    /// It may not be done by anybody.
    AccessRefused,
    /// Another connection has it for itself.
    ResourceLocked,
    /// It contradicts what there is.
    PreconditionFailed,
    /// There is no way to do it.
    NotImplemented,
    /// The node can not do it now.
    Internal,
}

/// A definition was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// There is none of that name.
    #[error("no {what} '{name}' in vhost '{vhost}'")]
    NotFound {
        /// `queue` or `exchange`.
        what: &'static str,
        /// The name.
        name: String,
        /// The virtual host.
        vhost: String,
    },
    /// Another connection declared it as exclusive.
    #[error(
        "cannot obtain exclusive access to locked queue '{name}' in vhost '{vhost}'. It could be \
         originally declared on another connection or the exclusive property value does not match \
         that of the original declaration."
    )]
    Locked {
        /// The name.
        name: String,
        /// The virtual host.
        vhost: String,
    },
    /// The broker has it for itself.
    #[error("queue name '{name}' in vhost '{vhost}' is reserved for retained messages")]
    Reserved {
        /// The name.
        name: String,
        /// The virtual host.
        vhost: String,
    },
    /// The declaration differs from the one there is.
    #[error(transparent)]
    Inequivalent(#[from] Inequivalent),
    /// An argument makes no sense.
    #[error("invalid arg '{argument}' for queue '{name}' in vhost '{vhost}': {why}")]
    InvalidArgument {
        /// The argument.
        argument: String,
        /// The queue.
        name: String,
        /// The virtual host.
        vhost: String,
        /// What is wrong with it.
        why: String,
    },
    /// An argument makes no sense for this kind of queue.
    #[error("invalid arg '{argument}' for queue '{name}' in vhost '{vhost}' of queue type {kind}")]
    ArgumentOfKind {
        /// The argument.
        argument: String,
        /// The queue.
        name: String,
        /// The virtual host.
        vhost: String,
        /// The kind, as RabbitMQ names it.
        kind: &'static str,
    },
    /// A property makes no sense for this kind of queue.
    #[error("invalid property '{property}' for queue '{name}' in vhost '{vhost}'")]
    InvalidProperty {
        /// The property.
        property: &'static str,
        /// The queue.
        name: String,
        /// The virtual host.
        vhost: String,
    },
    /// A queue of this kind needs a name of its own.
    #[error("Cannot declare a server-named queue for type {kind}")]
    ServerNamed {
        /// The kind, as RabbitMQ names it.
        kind: &'static str,
    },
    /// The virtual host has as many queues as it may have.
    #[error("cannot declare queue '{name}': queue limit in vhost '{vhost}' ({limit}) is reached")]
    QueueLimit {
        /// The queue.
        name: String,
        /// The virtual host.
        vhost: String,
        /// How many it may have.
        limit: u64,
    },
    /// It was to be deleted only if nobody uses it.
    #[error("{what} '{name}' in vhost '{vhost}' in use")]
    InUse {
        /// `queue` or `exchange`.
        what: &'static str,
        /// The name.
        name: String,
        /// The virtual host.
        vhost: String,
    },
    /// It was to be deleted only if nothing is in it.
    #[error("queue '{name}' in vhost '{vhost}' not empty")]
    NotEmpty {
        /// The name.
        name: String,
        /// The virtual host.
        vhost: String,
    },
    /// A stream does not do that.
    #[error("{what} not supported by stream queues queue '{name}' in vhost '{vhost}'")]
    NotForStreams {
        /// What was asked for.
        what: &'static str,
        /// The queue.
        name: String,
        /// The virtual host.
        vhost: String,
    },
    /// An exchange was refused.
    #[error(transparent)]
    Exchange(#[from] DeclareExchangeError),
    /// A binding was refused.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There is no memory for one more.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Its virtual host was deleted meanwhile.
    #[error("vhost '{0}' is deleted")]
    VhostDeleted(String),
    /// The log does not take it.
    #[error("{0}")]
    Log(String),
}

impl DefinitionError {
    /// What it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            DefinitionError::NotFound { .. }
            | DefinitionError::VhostDeleted(_)
            | DefinitionError::Bind(BindError::NoSuchExchange { .. }) => ErrorKind::NotFound,
            DefinitionError::Locked { .. } => ErrorKind::ResourceLocked,
            DefinitionError::Reserved { .. } => ErrorKind::AccessRefused,
            DefinitionError::Inequivalent(_)
            | DefinitionError::InvalidArgument { .. }
            | DefinitionError::ArgumentOfKind { .. }
            | DefinitionError::InvalidProperty { .. }
            | DefinitionError::ServerNamed { .. }
            | DefinitionError::QueueLimit { .. }
            | DefinitionError::NoRoom(_)
            | DefinitionError::InUse { .. }
            | DefinitionError::NotEmpty { .. }
            | DefinitionError::Exchange(_)
            | DefinitionError::Bind(_) => ErrorKind::PreconditionFailed,
            DefinitionError::NotForStreams { .. } => ErrorKind::NotImplemented,
            DefinitionError::Log(_) => ErrorKind::Internal,
        }
    }

    pub(crate) fn log(error: impl fmt::Display) -> DefinitionError {
        DefinitionError::Log(error.to_string())
    }
}

impl From<DeleteExchangeError> for DefinitionError {
    fn from(error: DeleteExchangeError) -> DefinitionError {
        match error {
            DeleteExchangeError::NotFound { name, vhost } => DefinitionError::NotFound {
                what: "exchange",
                name,
                vhost: vhost.to_string(),
            },
            DeleteExchangeError::InUse { name, vhost } => DefinitionError::InUse {
                what: "exchange",
                name,
                vhost: vhost.to_string(),
            },
        }
    }
}
