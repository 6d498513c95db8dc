//! Changes of access as they are written down, and the tables that they make.
//!
//! Invariants
//! - What is written and what is in force are the same: both are made by [`Tables::apply`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rights::{Standing, VhostRights};
use super::{Account, Permission, TopicPermission, VhostSpec};
use crate::definitions::Definition;

/// A change of who may do what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum AccessChange {
    User(Account),
    UserDeleted(Arc<str>),
    Permission(Permission),
    PermissionCleared {
        user: Arc<str>,
        vhost: Arc<str>,
    },
    TopicPermission(TopicPermission),
    TopicPermissionCleared {
        user: Arc<str>,
        vhost: Arc<str>,
        /// None for all exchanges.
        exchange: Option<Arc<str>>,
    },
    Vhost(VhostSpec),
    /// With everything in it, and all rights to it.
    VhostDeleted(Arc<str>),
    /// What answers are made up from for users that are not there.
    Secret([u8; 32]),
}

/// Where a change gives or takes rights.
pub(super) enum Changes {
    Nothing,
    Vhost(Arc<str>),
    Everywhere,
}

impl AccessChange {
    pub(super) fn changes_rights(&self) -> Changes {
        match self {
            AccessChange::User(_) | AccessChange::Vhost(_) | AccessChange::Secret(_) => {
                Changes::Nothing
            }
            AccessChange::Permission(Permission { vhost, .. })
            | AccessChange::TopicPermission(TopicPermission { vhost, .. })
            | AccessChange::PermissionCleared { vhost, .. }
            | AccessChange::TopicPermissionCleared { vhost, .. }
            | AccessChange::VhostDeleted(vhost) => Changes::Vhost(Arc::clone(vhost)),
            AccessChange::UserDeleted(_) => Changes::Everywhere,
        }
    }
}

impl From<AccessChange> for Definition {
    fn from(change: AccessChange) -> Definition {
        Definition::Access(change)
    }
}

/// Virtual host, user and exchange.
type TopicPlace = (Arc<str>, Arc<str>, Arc<str>);

/// Users and what they may do.
#[derive(Default)]
pub(crate) struct Tables {
    pub accounts: BTreeMap<Arc<str>, Arc<Account>>,
    /// By virtual host and user.
    pub permissions: BTreeMap<(Arc<str>, Arc<str>), Arc<Permission>>,
    pub topic_permissions: BTreeMap<TopicPlace, Arc<TopicPermission>>,
    /// What the users who are logged in look at.
    pub standings: BTreeMap<Arc<str>, Arc<Standing>>,
    /// What answers are made up from for users that are not there, once one was asked for.
    pub secret: Option<[u8; 32]>,
}

impl Tables {
    /// Carries a change out. Virtual hosts are the broker's: of theirs only the rights go here.
    pub fn apply(&mut self, change: AccessChange) {
        match change {
            AccessChange::User(account) => {
                let name = Arc::clone(&account.name);
                self.standings.entry(Arc::clone(&name)).or_default();
                self.accounts.insert(name, Arc::new(account));
            }
            AccessChange::UserDeleted(name) => self.delete_user(&name),
            AccessChange::Permission(permission) => {
                let (user, vhost) = (Arc::clone(&permission.user), Arc::clone(&permission.vhost));
                let key = (Arc::clone(&vhost), Arc::clone(&user));
                self.permissions.insert(key, Arc::new(permission));
                self.renew(&user, &vhost);
            }
            AccessChange::PermissionCleared { user, vhost } => {
                self.permissions
                    .remove(&(Arc::clone(&vhost), Arc::clone(&user)));
                self.renew(&user, &vhost);
            }
            AccessChange::TopicPermission(permission) => {
                let (user, vhost) = (Arc::clone(&permission.user), Arc::clone(&permission.vhost));
                let exchange = Arc::clone(&permission.exchange);
                let key = (Arc::clone(&vhost), Arc::clone(&user), exchange);
                self.topic_permissions.insert(key, Arc::new(permission));
                self.renew(&user, &vhost);
            }
            AccessChange::TopicPermissionCleared {
                user,
                vhost,
                exchange,
            } => {
                self.topic_permissions.retain(|_, one| {
                    let meant = exchange.as_ref().is_none_or(|name| *name == one.exchange);
                    one.user != user || one.vhost != vhost || !meant
                });
                self.renew(&user, &vhost);
            }
            AccessChange::VhostDeleted(vhost) => self.delete_vhost(&vhost),
            AccessChange::Secret(secret) => self.secret = Some(secret),
            AccessChange::Vhost(_) => {}
        }
    }

    fn delete_user(&mut self, name: &Arc<str>) {
        self.accounts.remove(name);
        self.permissions.retain(|(_, user), _| user != name);
        self.topic_permissions
            .retain(|(_, user, _), _| user != name);
        if let Some(standing) = self.standings.remove(name) {
            standing.end();
        }
    }

    fn delete_vhost(&mut self, name: &Arc<str>) {
        self.permissions.retain(|(vhost, _), _| vhost != name);
        self.topic_permissions
            .retain(|(vhost, _, _), _| vhost != name);
        for standing in self.standings.values() {
            standing.set(name, None);
        }
    }

    /// Makes what a user may do in a virtual host anew.
    fn renew(&self, user: &Arc<str>, vhost: &Arc<str>) {
        let Some(standing) = self.standings.get(user) else {
            return;
        };
        let permission = self.permissions.get(&(Arc::clone(vhost), Arc::clone(user)));
        let topics = self.topics_of(vhost, user);
        let rights = VhostRights::new(permission.map(|one| &**one), topics);
        standing.set(vhost, rights);
    }

    /// The topic permissions of a user in a virtual host.
    pub fn topics_of(
        &self,
        vhost: &Arc<str>,
        user: &Arc<str>,
    ) -> impl Iterator<Item = &TopicPermission> {
        let first = (Arc::clone(vhost), Arc::clone(user), Arc::from(""));
        let all = self.topic_permissions.range(first..);
        all.map(|(_, one)| &**one)
            .take_while(move |one| one.vhost == *vhost && one.user == *user)
    }

    /// What brings all of this back.
    pub fn definitions(&self) -> impl Iterator<Item = Definition> {
        let users = self.accounts.values();
        let users = users.map(|one| AccessChange::User((**one).clone()));
        let permissions = self.permissions.values();
        let permissions = permissions.map(|one| AccessChange::Permission((**one).clone()));
        let topics = self.topic_permissions.values();
        let topics = topics.map(|one| AccessChange::TopicPermission((**one).clone()));
        let secret = self.secret.map(AccessChange::Secret);
        let rights = permissions.chain(topics);
        users.chain(rights).chain(secret).map(Definition::from)
    }
}
