//! What a user may do now, in the form in which it is looked up.
//!
//! Every connection of a user looks at the same [`Standing`], so that a change counts at once. A
//! look-up is one read lock and one regular expression; publishes remember the answer together
//! with their route, until the epoch of the virtual host says that something has changed.
//!
//! Invariants
//! - Nothing is allowed that no permission allows.
//! - A user who was deleted has no rights, even if one of the same name is made later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use super::pattern::{Pattern, TopicPattern};
use super::{Permission, Right, TopicPermission};
use crate::vhost::Map;

/// What one user may do, as of now.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    rights: RwLock<Map<Arc<str>, Arc<VhostRights>>>,
    ended: AtomicBool,
}

impl Standing {
    /// Sets or takes the rights in one virtual host.
    pub fn set(&self, vhost: &Arc<str>, rights: Option<VhostRights>) {
        let mut all = self.rights.write();
        match rights {
            Some(rights) => all.insert(Arc::clone(vhost), Arc::new(rights)),
            None => all.remove(vhost),
        };
    }

    /// The user was deleted.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.rights.write().clear();
    }

    fn of(&self, vhost: &str) -> Option<Arc<VhostRights>> {
        self.rights.read().get(vhost).cloned()
    }

    pub fn may_enter(&self, vhost: &str) -> bool {
        self.of(vhost)
            .is_some_and(|rights| rights.permission.is_some())
    }

    pub fn may(&self, vhost: &str, right: Right, name: &str) -> bool {
        let rights = self.of(vhost);
        let patterns = rights
            .as_ref()
            .and_then(|rights| rights.permission.as_ref());
        patterns.is_some_and(|patterns| patterns[right as usize].matches(name.as_bytes()))
    }

    /// Without a topic permission for an exchange all its routing keys may be used.
    pub fn may_topic(
        &self,
        vhost: &str,
        right: Right,
        exchange: &str,
        key: &[u8],
        client_id: Option<&str>,
    ) -> bool {
        let Some(rights) = self.of(vhost) else {
            return false;
        };
        let mut topics = rights.topics.iter();
        let Some(found) = topics.find(|one| *one.exchange == *exchange) else {
            return true;
        };
        match right {
            Right::Write => found.write.matches(key, client_id),
            Right::Read => found.read.matches(key, client_id),
            Right::Configure => true,
        }
    }

    /// Whether all keys that a binding key lets through may be read.
    pub fn may_filter(
        &self,
        vhost: &str,
        exchange: &str,
        binding_key: &[u8],
        client_id: Option<&str>,
    ) -> bool {
        let Some(rights) = self.of(vhost) else {
            return false;
        };
        let mut topics = rights.topics.iter();
        let found = topics.find(|one| *one.exchange == *exchange);
        found.is_none_or(|found| found.read.covers(binding_key, client_id))
    }

    /// Whether the user was deleted.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

/// What a user may do in one virtual host.
#[derive(Debug)]
pub(crate) struct VhostRights {
    /// By [`Right`].
    permission: Option<[Pattern; 3]>,
    topics: Vec<TopicRights>,
}

#[derive(Debug)]
struct TopicRights {
    exchange: Arc<str>,
    write: TopicPattern,
    read: TopicPattern,
}

impl VhostRights {
    /// None if there are none. Patterns were checked when they were set.
    pub fn new<'a>(
        permission: Option<&Permission>,
        topics: impl Iterator<Item = &'a TopicPermission>,
    ) -> Option<VhostRights> {
        let permission = permission.map(|one| {
            [&one.configure, &one.write, &one.read].map(|text| checked(Pattern::new(text)))
        });
        let topics: Vec<_> = topics.map(TopicRights::new).collect();
        if permission.is_none() && topics.is_empty() {
            return None;
        }
        Some(VhostRights { permission, topics })
    }
}

impl TopicRights {
    fn new(one: &TopicPermission) -> TopicRights {
        let compile = |text: &str| {
            let compiled = TopicPattern::new(text, &one.user, &one.vhost);
            compiled.unwrap_or_else(|why| TopicPattern::Fixed(checked(Err(why))))
        };
        TopicRights {
            exchange: Arc::clone(&one.exchange),
            write: compile(&one.write),
            read: compile(&one.read),
        }
    }
}

/// A pattern that an older version took and this one does not allows nothing.
fn checked(pattern: Result<Pattern, String>) -> Pattern {
    pattern.unwrap_or_else(|why| {
        tracing::warn!(%why, "a pattern of a permission is no pattern any more: it allows nothing");
        Pattern::Empty
    })
}
