//! Import: everything that a definitions file asks for, checked whole and then done.
//!
//! Invariants
//! - Nothing is changed before all of it was found possible; what is found wrong changes nothing.
//! - What is there already and can not be changed (queues, exchanges, bindings) stays as it is,
//!   whatever the file says of it, as in RabbitMQ; everything else becomes what the file says.
//! - Two imports never mix. Importing the same again changes nothing more.
//!
//! What can still fail on the way: the disk, which ends the node, and a client that deletes at
//! that very moment what the import builds on. The rest is done then by importing again.
//!
//! Not here: the format of the file (`ferry-admin`).

mod apply;
mod check;

use ferry_core::arguments::{Arguments, Value};
use ferry_core::routing::Exchange;
use serde_json::Value as Json;

use crate::parameters::ParameterError;
use crate::{
    AccessError, Account, Broker, DefinitionError, LimitError, Permission, Policy, PolicyError,
    Promise, QueueSpec, TopicPermission, VhostSpec,
};

/// A user with its limits.
#[derive(Debug, Clone)]
pub struct ImportedUser {
    /// The user.
    pub account: Account,
    /// Limits by name; others that the user has stay.
    pub limits: Vec<(String, Value)>,
}

/// A binding by the names of both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedBinding {
    /// The virtual host.
    pub vhost: String,
    /// The exchange that messages come from.
    pub source: String,
    /// Where they go.
    pub destination: String,
    /// Whether that is a queue, and no exchange.
    pub to_queue: bool,
    /// The routing key.
    pub routing_key: String,
    /// Everything else.
    pub arguments: Arguments,
}

/// Everything that is asked for.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// Virtual hosts.
    pub vhosts: Vec<VhostSpec>,
    /// Users.
    pub users: Vec<ImportedUser>,
    /// Permissions.
    pub permissions: Vec<Permission>,
    /// Topic permissions.
    pub topic_permissions: Vec<TopicPermission>,
    /// Limits of virtual hosts by name; others that they have are cleared.
    pub vhost_limits: Vec<(String, Vec<(String, Value)>)>,
    /// Global parameters.
    pub global_parameters: Vec<(String, Json)>,
    /// Policies of users.
    pub policies: Vec<Policy>,
    /// Policies of the operator.
    pub operator_policies: Vec<Policy>,
    /// Exchanges, each with its virtual host.
    pub exchanges: Vec<(String, Exchange)>,
    /// Queues, each with its virtual host.
    pub queues: Vec<(String, QueueSpec)>,
    /// Bindings.
    pub bindings: Vec<ImportedBinding>,
}

/// An import was refused, and has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Something is to be in a virtual host that is neither there nor in the file.
    #[error("Please create virtual host \"{0}\" prior to importing definitions.")]
    NoSuchVhost(String),
    /// A permission is for a user who is neither there nor in the file.
    #[error("{what}: no such user")]
    NoSuchUser {
        /// The permission.
        what: String,
    },
    /// A name is empty or too long.
    #[error("{what}: a name should have 1 to 255 bytes but has {bytes}")]
    Name {
        /// What is named.
        what: &'static str,
        /// How many bytes its name has.
        bytes: usize,
    },
    /// A pattern of a permission is no regular expression.
    #[error("{what}: '{pattern}' is not a regular expression: {why}")]
    Pattern {
        /// The permission.
        what: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// There would be more queues than the virtual host may have.
    #[error(
        "Adding {adding} queue(s) to virtual host \"{vhost}\" would exceed the limit of {limit} \
         queue(s).\n\nThis virtual host currently has {present} queue(s) defined.\n\nImport \
         aborted!"
    )]
    QueueLimit {
        /// The virtual host.
        vhost: String,
        /// Queues of the file that are not there.
        adding: u64,
        /// Queues that are there.
        present: u64,
        /// How many there may be.
        limit: u64,
    },
    /// A policy makes no sense.
    #[error("{error} ({vhost}/{name})")]
    Policy {
        /// Why it was refused.
        error: Box<PolicyError>,
        /// Its virtual host.
        vhost: String,
        /// Its name.
        name: String,
    },
    /// A limit makes no sense.
    #[error("{error} ({of})")]
    Limit {
        /// Why it was refused.
        error: Box<LimitError>,
        /// The virtual host or user.
        of: String,
    },
    /// A user, a permission or a virtual host makes no sense.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A global parameter makes no sense.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// An exchange, a queue or a binding makes no sense.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
}

impl Broker {
    /// Says what is wrong with an import, if anything.
    pub fn check_import(&self, import: &Import) -> Result<(), ImportError> {
        check::check(self, import)
    }

    /// Does all that an import asks for, or nothing. `user` gets all rights in each new virtual
    /// host that no permission is given in.
    ///
    /// # Errors
    /// If something is wrong with it. An error of the disk may leave a part of it done.
    pub fn import(&self, import: &Import, user: &str) -> Result<Promise, ImportError> {
        let _alone = self.parameters.importing.lock();
        check::check(self, import)?;
        apply::apply(self, import, user)
    }
}
