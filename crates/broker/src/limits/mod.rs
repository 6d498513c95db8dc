//! Limits of virtual hosts and users: how many connections, channels and queues, and which rates.
//!
//! Invariants
//! - A limit is written before it is in force, and changes are in force in the order in which
//!   they are written.
//! - What is there when a limit is set below it stays; only more is refused.
//! - A refusal has RabbitMQ's words.
//!
//! Not here: what a rate does (`rates`), limits of a queue (`arguments`).

mod name;
mod scope;

use std::sync::{Arc, Weak};

use ferry_core::Millis;
use ferry_core::arguments::Value;
use parking_lot::{Mutex, MutexGuard, RwLock};

pub(crate) use name::Direction;
pub use name::{LimitName, LimitsOf};
pub(crate) use scope::Scope;
pub use scope::Seat;

use crate::definitions::{self, Definition};
use crate::rates::{ConnectionLimits, RateWaiter, Throttled};
use crate::room::Newcomer;
use crate::vhost::Map;
use crate::{Broker, ConnectionId, ConnectionInfo, DefinitionError, NoRoom, Promise};

/// A limit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// There is no such virtual host.
    #[error("vhost '{0}' not found")]
    NoSuchVhost(String),
    /// There is no such user.
    #[error("user '{0}' not found")]
    NoSuchUser(String),
    /// There is no such limit, or not of that value.
    #[error("{0}")]
    Invalid(String),
    /// The log does not take it.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
}

impl LimitError {
    /// RabbitMQ frames what it refuses for a virtual host, not what it refuses for a user.
    fn invalid(of: &LimitsOf, why: String) -> LimitError {
        LimitError::Invalid(match of {
            LimitsOf::Vhost(_) => format!("Validation failed\n\n{why}\n"),
            LimitsOf::User(_) => why,
        })
    }
}

/// A connection was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The virtual host has as many as it may have.
    #[error(
        "access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) is reached"
    )]
    VhostFull {
        /// The virtual host.
        vhost: String,
        /// Who asked.
        user: String,
        /// How many it may have.
        limit: u64,
    },
    /// The user has as many as it may have.
    #[error("connection refused for user '{user}': user connection limit ({limit}) is reached")]
    UserFull {
        /// Who asked.
        user: String,
        /// How many it may have.
        limit: u64,
    },
    /// There is no memory for one more.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

/// A channel was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "number of channels opened for user '{user}' has reached the maximum allowed user limit of \
     ({limit})"
)]
pub struct ChannelLimit {
    /// Who asked.
    pub user: String,
    /// How many it may have.
    pub limit: u64,
}

/// A connection that was let in.
pub struct Admitted {
    /// Its number.
    pub id: ConnectionId,
    /// What bounds it.
    pub limits: Arc<ConnectionLimits>,
}

/// The limits that are set, of one virtual host or user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsSet {
    /// Whose they are.
    pub of: LimitsOf,
    /// Their values, as they were set: below 0 for none.
    pub values: Vec<(LimitName, i64)>,
}

/// All limits.
#[derive(Default)]
pub(crate) struct Limits {
    scopes: RwLock<Map<LimitsOf, Arc<Scope>>>,
    connections: Mutex<Vec<Weak<ConnectionLimits>>>,
    waiters: Mutex<Vec<Weak<dyn RateWaiter>>>,
    /// Held while a limit is written and set, so that records and limits have one order.
    changing: Mutex<()>,
    pub throttled: Arc<Throttled>,
}

impl Limits {
    /// Who has limits, or is counted for them.
    pub fn scope(&self, of: LimitsOf) -> Arc<Scope> {
        if let Some(scope) = self.scopes.read().get(&of) {
            return Arc::clone(scope);
        }
        let mut scopes = self.scopes.write();
        let scope = scopes
            .entry(of.clone())
            .or_insert_with(|| Arc::new(Scope::new(of)));
        Arc::clone(scope)
    }

    /// The limit of a virtual host, if it has one.
    pub fn of_vhost(&self, vhost: &Arc<str>, name: LimitName) -> Option<u64> {
        let scopes = self.scopes.read();
        scopes.get(&LimitsOf::Vhost(Arc::clone(vhost)))?.limit(name)
    }

    /// Everything that is set, in order.
    pub fn all(&self) -> Vec<LimitsSet> {
        let scopes = self.scopes.read();
        let sets = scopes.values().map(|scope| LimitsSet {
            of: scope.of.clone(),
            values: scope.all(),
        });
        let mut sets: Vec<_> = sets.filter(|set| !set.values.is_empty()).collect();
        sets.sort_by(|a, b| a.of.cmp(&b.of));
        sets
    }

    /// Keeps limits from changing.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    /// What brings back all that is set.
    pub fn definitions(&self) -> Vec<Definition> {
        let sets = self.all().into_iter();
        let definitions = sets.flat_map(|LimitsSet { of, values }| {
            values
                .into_iter()
                .map(move |(name, value)| Definition::Limit {
                    of: of.clone(),
                    name,
                    value: Some(value),
                })
        });
        definitions.collect()
    }

    /// Sets or clears a limit that has been written down.
    pub fn apply(&self, of: LimitsOf, name: LimitName, value: Option<i64>, now: Millis) {
        self.scope(of).set(name, value, now);
        if name.is_rate() {
            self.changed();
        }
    }

    /// Clears all limits of one that is no more.
    pub fn forget(&self, of: &LimitsOf, now: Millis) {
        let scope = self.scope(of.clone());
        for (name, _) in scope.all() {
            self.apply(of.clone(), name, None, now);
        }
    }

    /// Rates may have changed: whoever is held looks again.
    pub fn changed(&self) {
        let connections = self.connections.lock().clone();
        let connections = connections.iter().filter_map(Weak::upgrade);
        connections.for_each(|connection| connection.refresh());
        let waiters = self.waiters.lock().clone();
        let waiters = waiters.iter().filter_map(Weak::upgrade);
        waiters.for_each(|waiter| waiter.rates_changed());
    }

    fn add(&self, connection: &Arc<ConnectionLimits>) {
        push_weak(&mut self.connections.lock(), Arc::downgrade(connection));
        connection.refresh();
    }
}

/// Adds to a list that is cleaned of the dead each time that it would grow.
fn push_weak<T: ?Sized>(list: &mut Vec<Weak<T>>, new: Weak<T>) {
    if list.len() == list.capacity() {
        list.retain(|one| one.strong_count() > 0);
    }
    list.push(new);
}

/// Says what is wrong with a limit, if anything, also of who is not there yet.
pub(crate) fn check(of: &LimitsOf, name: &str, value: &Value) -> Result<(), LimitError> {
    name::read(of, name, value).map(drop)
}

impl Broker {
    /// Sets a limit of a virtual host or user by its name; below 0 it means none.
    pub fn set_limit(
        &self,
        of: LimitsOf,
        name: &str,
        value: &Value,
    ) -> Result<Promise, LimitError> {
        self.find(&of)?;
        let (name, value) = name::read(&of, name, value)?;
        self.change_limit(of, name, Some(value))
    }

    /// Clears a limit; one that is not set or not known is cleared already.
    pub fn clear_limit(&self, of: LimitsOf, name: &str) -> Result<Promise, LimitError> {
        self.find(&of)?;
        match LimitName::find(&of, name) {
            Some(name) => self.change_limit(of, name, None),
            None => Ok(Promise::Now),
        }
    }

    /// The limits of all virtual hosts and users that have any.
    pub fn limits(&self) -> Vec<LimitsSet> {
        self.limits.all()
    }

    /// The limits of one virtual host or user; none if none is set.
    pub fn limits_of(&self, of: &LimitsOf) -> Result<Option<LimitsSet>, LimitError> {
        self.find(of)?;
        Ok(self.limits.all().into_iter().find(|set| set.of == *of))
    }

    /// Tells `waiter` each time that rates have changed, until it is gone.
    pub fn watch_rates(&self, waiter: Weak<dyn RateWaiter>) {
        push_weak(&mut self.limits.waiters.lock(), waiter);
    }

    /// A connection has logged in: lets it in, if its virtual host and its user may have one more.
    pub fn admit_connection(&self, info: ConnectionInfo) -> Result<Admitted, ConnectError> {
        self.admit(Newcomer::Client)?;
        let (vhost, user) = self.scopes_of(&info);
        let seats = [
            Some(vhost.open_connection(&info.user)?),
            Some(user.open_connection(&info.user)?),
        ];
        let throttled = Arc::clone(&self.limits.throttled);
        let limits = Arc::new(ConnectionLimits::new(
            Arc::clone(&self.clock),
            vhost,
            user,
            throttled,
        ));
        self.limits.add(&limits);
        let id = self.open_connection(info, seats);
        Ok(Admitted { id, limits })
    }

    /// The rates of a user in a virtual host, for who publishes without a connection of its own.
    pub fn rates_for(&self, user: &str, vhost: &str) -> Arc<ConnectionLimits> {
        let vhost = self.limits.scope(LimitsOf::Vhost(vhost.into()));
        let user = self.limits.scope(LimitsOf::User(user.into()));
        let throttled = Arc::clone(&self.limits.throttled);
        let clock = Arc::clone(&self.clock);
        let limits = Arc::new(ConnectionLimits::new(clock, vhost, user, throttled));
        self.limits.add(&limits);
        limits
    }

    /// The seats of a connection that is let in whatever the limits.
    pub(crate) fn count_connection(&self, info: &ConnectionInfo) -> [Option<Seat>; 2] {
        let (vhost, user) = self.scopes_of(info);
        [vhost.count_connection(), user.count_connection()]
    }

    fn scopes_of(&self, info: &ConnectionInfo) -> (Arc<Scope>, Arc<Scope>) {
        let vhost = LimitsOf::Vhost(info.vhost.as_str().into());
        let user = LimitsOf::User(info.user.as_str().into());
        (self.limits.scope(vhost), self.limits.scope(user))
    }

    fn find(&self, of: &LimitsOf) -> Result<(), LimitError> {
        match of {
            LimitsOf::Vhost(name) if self.vhost(name).is_none() => {
                Err(LimitError::NoSuchVhost(name.to_string()))
            }
            LimitsOf::User(name) if !self.has_user(name) => {
                Err(LimitError::NoSuchUser(name.to_string()))
            }
            LimitsOf::Vhost(_) | LimitsOf::User(_) => Ok(()),
        }
    }

    fn change_limit(
        &self,
        of: LimitsOf,
        name: LimitName,
        value: Option<i64>,
    ) -> Result<Promise, LimitError> {
        let changing = self.limits.hold();
        self.find(&of)?;
        let definition = Definition::Limit {
            of: of.clone(),
            name,
            value,
        };
        let promise = definitions::write(&self.durability, &[definition])?;
        tracing::info!(?of, limit = name.name(), ?value, "limit changed");
        self.limits.apply(of, name, value, self.now());
        drop(changing);
        self.after_work();
        Ok(promise)
    }
}
