//! Who may do what: users, their permissions, and virtual hosts as they come and go.
//!
//! Invariants
//! - A change is written before it is in force, and changes are in force in the order in which
//!   they are written.
//! - A password is kept as a hash only, and never shown.
//! - Rights name users and virtual hosts that are there: with either they go, too.
//! - Who is connected hears of every change, so that nobody keeps a right that was taken.
//!
//! Not here: which right an operation needs (the doors know what was asked).

mod account;
mod attempts;
mod change;
mod declare;
mod foreign;
mod glob;
mod grants;
mod inclusion;
mod login;
mod password;
mod pattern;
mod rights;
mod scram;
mod scram_login;
mod start;
mod topics;
mod user;
mod vhosts;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

pub use account::{AccessError, AccessSet, Account, Permission, TopicPermission, VhostSpec};
pub use attempts::{LoginBy, LoginCount};
pub(crate) use change::AccessChange;
use change::{Changes, Tables};
pub use glob::Glob;
pub use grants::{Grants, Resource};
pub use inclusion::filter_is_within_globs;
pub use login::{Credentials, Login, PasswordCheck};
use parking_lot::{Mutex, MutexGuard, RwLock};
pub(crate) use pattern::{Pattern, TopicPattern};
pub use scram::ScramVerifier;
pub use scram_login::ScramLogin;
pub(crate) use start::RecoveredAccess;
pub use user::{AccessRefused, Right, User};

use crate::definitions::{self, Definition};
use crate::{Broker, LimitsOf, Promise};
use login::Logins;

/// The user that is there from the beginning, and may come from this machine only.
const GUEST: &str = "guest";

/// Most users of a node.
const USERS_MAX: usize = 100_000;
/// Most tags of one user or virtual host.
const TAGS_MAX: usize = 64;

/// Is told when rights were taken, or users or virtual hosts deleted.
pub trait AccessWaiter: Send + Sync {
    /// Something may be allowed no more.
    fn access_changed(&self);
}

/// All users and what they may do.
#[derive(Default)]
pub(crate) struct Access {
    tables: RwLock<Tables>,
    /// Held while a change is written and carried out, so that records and rights have one order.
    changing: Mutex<()>,
    waiters: Mutex<Vec<Weak<dyn AccessWaiter>>>,
    logins: Logins,
    /// Whether the first users were made at this start.
    new: AtomicBool,
}

impl Access {
    /// Keeps users, permissions and virtual hosts from changing.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    /// What brings back all users and permissions.
    pub fn definitions(&self) -> Vec<Definition> {
        self.tables.read().definitions().collect()
    }

    fn tell(&self) {
        let waiters = self.waiters.lock().clone();
        let waiters = waiters.iter().filter_map(Weak::upgrade);
        waiters.for_each(|waiter| waiter.access_changed());
    }
}

impl Broker {
    /// Tells `waiter` each time that something may be allowed no more, until it is gone.
    pub fn watch_access(&self, waiter: Weak<dyn AccessWaiter>) {
        let mut waiters = self.access.waiters.lock();
        waiters.retain(|one| one.strong_count() > 0);
        waiters.push(waiter);
    }

    /// Writes a change down and carries it out, if `check` finds that it makes sense; what that
    /// says is whether it changes anything.
    fn change_access(
        &self,
        change: AccessChange,
        check: impl FnOnce(&Tables) -> Result<bool, AccessError>,
    ) -> Result<Promise, AccessError> {
        let _one_at_a_time = self.access.hold();
        if !check(&self.access.tables.read())? {
            return Ok(Promise::Now);
        }
        self.write_access(change)
    }

    /// The same when changes are held already.
    fn write_access(&self, change: AccessChange) -> Result<Promise, AccessError> {
        let definition = Definition::from(change.clone());
        let promise = definitions::write(&self.durability, &[definition])?;
        let where_changed = change.changes_rights();
        self.access.tables.write().apply(change);
        // What publishers remember of their rights is in their routes.
        match where_changed {
            Changes::Nothing => return Ok(promise),
            Changes::Vhost(name) => self.vhost(&name).into_iter().for_each(|it| it.changed()),
            Changes::Everywhere => self.vhosts().iter().for_each(|vhost| vhost.changed()),
        }
        self.access.tell();
        Ok(promise)
    }

    pub(crate) fn has_user(&self, name: &str) -> bool {
        self.access.tables.read().accounts.contains_key(name)
    }

    /// A user by name.
    pub fn account(&self, name: &str) -> Option<Arc<Account>> {
        self.access.tables.read().accounts.get(name).cloned()
    }

    /// All users, in order of their names.
    pub fn users(&self) -> Vec<Arc<Account>> {
        let tables = self.access.tables.read();
        tables.accounts.values().cloned().collect()
    }

    /// Sets a user, in the place of one of the same name.
    pub fn set_user(&self, account: Account) -> Result<AccessSet, AccessError> {
        account.check()?;
        let name = Arc::clone(&account.name);
        let mut created = false;
        let durable_at = self.change_access(AccessChange::User(account), |tables| {
            created = !tables.accounts.contains_key(&name);
            match created && tables.accounts.len() >= USERS_MAX {
                true => Err(AccessError::Invalid(format!("{USERS_MAX} users are there"))),
                false => Ok(true),
            }
        })?;
        tracing::info!(user = ?name, created, "user set");
        Ok(AccessSet {
            created,
            durable_at,
        })
    }

    /// Deletes a user and all its permissions and limits; its connections are closed.
    pub fn delete_user(&self, name: &str) -> Result<Promise, AccessError> {
        let _one_at_a_time = self.access.hold();
        let limits = self.limits.hold();
        let name: Arc<str> = name.into();
        if !self.has_user(&name) {
            return Err(AccessError::NoSuchUser(name.to_string()));
        }
        let promise = self.write_access(AccessChange::UserDeleted(Arc::clone(&name)))?;
        tracing::info!(user = ?name, "user deleted");
        self.limits.forget(&LimitsOf::User(name), self.now());
        drop(limits);
        Ok(promise)
    }

    /// All permissions, in order of virtual host and user.
    pub fn permissions(&self) -> Vec<Arc<Permission>> {
        let tables = self.access.tables.read();
        tables.permissions.values().cloned().collect()
    }

    /// Sets what a user may do in a virtual host.
    pub fn set_permission(&self, permission: Permission) -> Result<AccessSet, AccessError> {
        for pattern in [&permission.configure, &permission.write, &permission.read] {
            Pattern::new(pattern).map_err(|why| AccessError::invalid_regex(pattern, why))?;
        }
        let (user, vhost) = (Arc::clone(&permission.user), Arc::clone(&permission.vhost));
        let mut created = false;
        let durable_at = self.change_access(AccessChange::Permission(permission), |tables| {
            self.check_both(tables, &user, &vhost)?;
            let key = (Arc::clone(&vhost), Arc::clone(&user));
            created = !tables.permissions.contains_key(&key);
            Ok(true)
        })?;
        tracing::info!(?user, ?vhost, created, "permission set");
        Ok(AccessSet {
            created,
            durable_at,
        })
    }

    /// Takes all rights of a user in a virtual host away.
    pub fn clear_permission(&self, user: &str, vhost: &str) -> Result<Promise, AccessError> {
        let (user, vhost): (Arc<str>, Arc<str>) = (user.into(), vhost.into());
        let key = (Arc::clone(&vhost), Arc::clone(&user));
        let change = AccessChange::PermissionCleared { user, vhost };
        let promise = self.change_access(change, |tables| {
            match tables.permissions.contains_key(&key) {
                true => Ok(true),
                false => Err(AccessError::NoSuchPermission),
            }
        })?;
        tracing::info!(user = ?key.1, vhost = ?key.0, "permission cleared");
        Ok(promise)
    }

    /// All topic permissions, in order of virtual host, user and exchange.
    pub fn topic_permissions(&self) -> Vec<Arc<TopicPermission>> {
        let tables = self.access.tables.read();
        tables.topic_permissions.values().cloned().collect()
    }

    /// Sets which routing keys a user may use with an exchange.
    pub fn set_topic_permission(
        &self,
        permission: TopicPermission,
    ) -> Result<AccessSet, AccessError> {
        let (user, vhost) = (Arc::clone(&permission.user), Arc::clone(&permission.vhost));
        for pattern in [&permission.write, &permission.read] {
            TopicPattern::new(pattern, &user, &vhost)
                .map_err(|why| AccessError::invalid_regex(pattern, why))?;
        }
        let exchange = Arc::clone(&permission.exchange);
        let mut created = false;
        let change = AccessChange::TopicPermission(permission);
        let durable_at = self.change_access(change, |tables| {
            self.check_both(tables, &user, &vhost)?;
            let key = (Arc::clone(&vhost), Arc::clone(&user), Arc::clone(&exchange));
            created = !tables.topic_permissions.contains_key(&key);
            Ok(true)
        })?;
        tracing::info!(?user, ?vhost, ?exchange, created, "topic permission set");
        Ok(AccessSet {
            created,
            durable_at,
        })
    }

    /// Clears topic permissions of a user in a virtual host: of one exchange, or of all.
    pub fn clear_topic_permission(
        &self,
        user: &str,
        vhost: &str,
        exchange: Option<&str>,
    ) -> Result<Promise, AccessError> {
        let (user, vhost): (Arc<str>, Arc<str>) = (user.into(), vhost.into());
        let change = AccessChange::TopicPermissionCleared {
            user: Arc::clone(&user),
            vhost: Arc::clone(&vhost),
            exchange: exchange.map(Arc::from),
        };
        self.change_access(change, |tables| {
            let mut topics = tables.topics_of(&vhost, &user);
            match topics.any(|one| exchange.is_none_or(|name| *name == *one.exchange)) {
                true => Ok(true),
                false => Err(AccessError::NoSuchPermission),
            }
        })
    }

    fn check_both(&self, tables: &Tables, user: &str, vhost: &str) -> Result<(), AccessError> {
        if !tables.accounts.contains_key(user) {
            return Err(AccessError::NoSuchUser(user.to_owned()));
        }
        match self.vhost(vhost) {
            Some(_) => Ok(()),
            None => Err(AccessError::NoSuchVhost(vhost.to_owned())),
        }
    }
}
