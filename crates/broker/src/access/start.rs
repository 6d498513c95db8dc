//! Users and virtual hosts at the start: found again, or made for the first time.
//!
//! Invariants
//! - The first ones are made once in the life of a data directory: who deletes `guest` does not
//!   meet it again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{AccessChange, AccessError, Account, GUEST, Permission, Tables, VhostSpec, password};
use crate::definitions::{self, Definition};
use crate::{Broker, DefinitionError};

/// The virtual host that is there from the beginning.
const DEFAULT_VHOST: &str = "/";
/// Who is made when a new node can be reached from elsewhere.
const ADMIN: &str = "admin";
const ADMINISTRATOR: &str = "administrator";

/// What the log tells of users and virtual hosts.
#[derive(Default)]
pub(crate) struct RecoveredAccess {
    /// Whether the first ones were made before.
    pub made: bool,
    tables: Tables,
    vhosts: BTreeMap<Arc<str>, VhostSpec>,
}

impl RecoveredAccess {
    pub fn apply(&mut self, change: AccessChange) {
        self.made = true;
        match &change {
            AccessChange::Vhost(spec) => {
                self.vhosts.insert(spec.name.as_str().into(), spec.clone());
            }
            AccessChange::VhostDeleted(name) => {
                self.vhosts.remove(name);
            }
            _ => {}
        }
        self.tables.apply(change);
    }

    /// Makes it part of `broker`.
    pub fn install(self, broker: &Broker) {
        for (name, spec) in self.vhosts {
            broker.make_vhost(&name).describe(spec);
        }
        *broker.access.tables.write() = self.tables;
    }
}

fn full_permission(user: &str, vhost: &str) -> Permission {
    let all = || ".*".to_owned();
    Permission {
        user: user.into(),
        vhost: vhost.into(),
        configure: all(),
        write: all(),
        read: all(),
    }
}

impl Broker {
    /// The first users and virtual hosts of a new data directory. A start that ends before they
    /// are durable is followed by one that makes them.
    pub(crate) fn make_first_access(&self) -> Result<(), DefinitionError> {
        let vhost = VhostSpec {
            name: DEFAULT_VHOST.to_owned(),
            description: "Default virtual host".to_owned(),
            ..VhostSpec::default()
        };
        let guest = Account {
            name: GUEST.into(),
            password_hash: Some(password::GUEST.to_owned()),
            tags: vec![ADMINISTRATOR.to_owned()],
        };
        let changes = [
            AccessChange::Vhost(vhost.clone()),
            AccessChange::User(guest),
            AccessChange::Permission(full_permission(GUEST, DEFAULT_VHOST)),
        ];
        let definitions = changes.each_ref().map(|one| Definition::from(one.clone()));
        definitions::write(&self.durability, &definitions)?;
        self.make_vhost(DEFAULT_VHOST).describe(vhost);
        let mut tables = self.access.tables.write();
        changes.into_iter().for_each(|change| tables.apply(change));
        self.access.new.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// For a node that can be reached from elsewhere, from where `guest` may not come: makes an
    /// administrator at the first start of a data directory. Gives the name and the password.
    pub fn make_first_administrator(&self) -> Result<Option<(String, String)>, AccessError> {
        if !self.access.new.swap(false, Ordering::Relaxed) {
            return Ok(None);
        }
        let password = password::made_up();
        self.set_user(Account {
            name: ADMIN.into(),
            password_hash: Some(self.hash_password(password.as_bytes())?),
            tags: vec![ADMINISTRATOR.to_owned()],
        })?;
        if self.vhost(DEFAULT_VHOST).is_some() {
            self.set_permission(full_permission(ADMIN, DEFAULT_VHOST))?;
        }
        Ok(Some((ADMIN.to_owned(), password)))
    }
}
