//! Virtual hosts: made, described, and deleted with everything in them.
//!
//! Invariants
//! - One record deletes a virtual host with all that is in it, so a crash leaves it whole or not
//!   at all; nothing is declared in it from then on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferry_core::arguments::Value;
use ferry_core::limits::NAME_BYTES_MAX;
use ferry_core::routing::Topology;

use super::{AccessChange, AccessError, AccessSet, VhostSpec};
use crate::policies::Policies;
use crate::vhost::Definitions;
use crate::{Broker, DefinitionError, LimitsOf, Promise, QueueHandle, QueueSpec, Vhost};

/// The argument that says the type of a queue.
const QUEUE_TYPE: &str = "x-queue-type";
/// Types that a queue can have without saying so.
const QUEUE_TYPES: [&str; 3] = ["classic", "quorum", "stream"];
/// Longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 4096;

impl VhostSpec {
    pub(crate) fn check(&self) -> Result<(), AccessError> {
        let invalid = |why: String| Err(AccessError::Invalid(why));
        let bytes = self.name.len();
        if !(1..=NAME_BYTES_MAX).contains(&bytes) {
            return invalid(format!("a vhost has a name of 1 to {NAME_BYTES_MAX} bytes"));
        }
        if self.description.len() > DESCRIPTION_BYTES_MAX {
            return invalid(format!(
                "a description has {DESCRIPTION_BYTES_MAX} bytes at most"
            ));
        }
        super::account::check_tags(&self.tags)?;
        match &self.default_queue_type {
            Some(kind) if !QUEUE_TYPES.contains(&kind.as_str()) => {
                invalid(format!("default queue type '{kind}' is not supported"))
            }
            _ => Ok(()),
        }
    }
}

impl Broker {
    /// Makes a virtual host, or changes what is said of the one there is.
    pub fn set_vhost(&self, spec: VhostSpec) -> Result<AccessSet, AccessError> {
        spec.check()?;
        let _one_at_a_time = self.access.hold();
        let created = self.vhost(&spec.name).is_none();
        let durable_at = self.write_access(AccessChange::Vhost(spec.clone()))?;
        tracing::info!(vhost = ?spec.name, created, "vhost set");
        self.make_vhost(&spec.name).describe(spec);
        Ok(AccessSet {
            created,
            durable_at,
        })
    }

    /// Deletes a virtual host with everything in it: its clients are told and leave.
    pub fn delete_vhost(&self, name: &str) -> Result<Promise, AccessError> {
        let one_at_a_time = self.access.hold();
        let Some(vhost) = self.vhost(name) else {
            return Err(AccessError::NoSuchVhost(name.to_owned()));
        };
        let mut definitions = vhost.definitions.write();
        let limits = self.limits.hold();
        let name = Arc::clone(&vhost.name);
        let promise = self.write_access(AccessChange::VhostDeleted(Arc::clone(&name)))?;
        vhost.end();
        let queues = vhost.forget_all(&mut definitions);
        self.forget_vhost(&name);
        self.limits
            .forget(&LimitsOf::Vhost(Arc::clone(&name)), self.now());
        drop((limits, definitions));
        // Once more: who was told before could still find it.
        self.access.tell();
        tracing::info!(vhost = ?name, queues = queues.len(), "vhost deleted");
        for queue in &queues {
            self.dissolve(self.take_out(queue));
        }
        drop(one_at_a_time);
        self.after_act();
        Ok(promise)
    }
}

impl Vhost {
    /// What is said of it.
    pub fn spec(&self) -> VhostSpec {
        self.spec.read().clone()
    }

    pub(super) fn describe(&self, spec: VhostSpec) {
        *self.spec.write() = spec;
    }

    /// Whether it was deleted while somebody still had it.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::SeqCst)
    }

    /// It was deleted. To be called with its definitions locked.
    fn end(&self) {
        self.deleted.store(true, Ordering::SeqCst);
    }

    /// Empties it, and gives the queues that were in it.
    fn forget_all(&self, definitions: &mut Definitions) -> Vec<Arc<QueueHandle>> {
        definitions.topology = Topology::new(&*self.name);
        definitions.cares.clear();
        definitions.policies = Policies::default();
        definitions.queues.clear();
        self.changed();
        let mut queues: Vec<_> = definitions.by_id.drain().map(|(_, queue)| queue).collect();
        // In an order that a repetition has, too.
        queues.sort_unstable_by_key(|queue| queue.id);
        queues
    }

    /// Refuses what would make something in a virtual host that was deleted.
    pub(crate) fn check_alive(&self) -> Result<(), DefinitionError> {
        match self.is_deleted() {
            false => Ok(()),
            true => Err(DefinitionError::VhostDeleted(self.name.to_string())),
        }
    }

    /// A declaration with the default type, where it names none and the default fits.
    pub(crate) fn with_default_type(&self, mut spec: QueueSpec) -> QueueSpec {
        let described = self.spec();
        let Some(kind) = &described.default_queue_type else {
            return spec;
        };
        let fits = kind == "classic" || spec.durable && !spec.exclusive && !spec.auto_delete;
        if fits && spec.arguments.get(QUEUE_TYPE).is_none() {
            let kind = Value::Str(kind.clone().into_bytes());
            spec.arguments.push(QUEUE_TYPE, kind);
        }
        spec
    }
}
