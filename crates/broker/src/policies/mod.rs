//! Policies: settings for all queues of a virtual host whose names match a pattern.
//!
//! Invariants
//! - One policy at most is in force for a queue: of those that match, the one of the highest
//!   priority, and of equals the first by name.
//! - A queue's handle and its partition have the options that follow from the queue's arguments
//!   and the policies, whenever the lock of definitions is free.
//! - A policy is written before it is in force.
//!
//! Not here: which of argument and policy counts (`arguments::Settings`).

mod policy;
mod rule;
mod term;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use policy::{ApplyTo, Policy, PolicyError};
pub(crate) use rule::{Policies, Rule};

use crate::arguments::{self, Declared, Flags};
use crate::definitions::Definition;
use crate::handle::Effective;
use crate::vhost::Definitions;
use crate::{Broker, Promise, QueueHandle, Vhost};

/// Most policies of one virtual host.
pub(crate) const POLICIES_MAX: usize = 1000;

/// A policy that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicySet {
    /// Whether there was none of that name.
    pub created: bool,
    /// When it may be reported.
    pub durable_at: Promise,
}

impl Broker {
    /// Sets a policy, in the place of one of the same name.
    pub fn set_policy(&self, policy: Policy) -> Result<PolicySet, PolicyError> {
        let vhost = self.vhost_of_policy(&policy.vhost)?;
        let set = vhost.set_policy(self, policy)?;
        self.after_act();
        Ok(set)
    }

    /// Clears a policy: the queues are as their arguments and the other policies say.
    pub fn clear_policy(&self, vhost: &str, name: &str) -> Result<Promise, PolicyError> {
        let vhost = self.vhost_of_policy(vhost)?;
        let cleared = vhost.clear_policy(self, name)?;
        self.after_act();
        Ok(cleared)
    }

    /// The policies of a virtual host, in order of their names.
    pub fn policies(&self, vhost: &str) -> Result<Vec<Arc<Policy>>, PolicyError> {
        Ok(self.vhost_of_policy(vhost)?.policies())
    }

    fn vhost_of_policy(&self, name: &str) -> Result<Arc<Vhost>, PolicyError> {
        self.vhost(name)
            .ok_or_else(|| PolicyError::NoSuchVhost(name.to_owned()))
    }
}

impl Vhost {
    /// Its policies, in order of their names.
    pub fn policies(&self) -> Vec<Arc<Policy>> {
        let definitions = self.definitions.read();
        let mut policies: Vec<_> = definitions.policies.iter().cloned().collect();
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        policies
    }

    fn set_policy(&self, broker: &Broker, policy: Policy) -> Result<PolicySet, PolicyError> {
        let rule = Rule::new(policy)?;
        let mut definitions = self.definitions.write();
        let created = !definitions.policies.contains(&rule.policy.name);
        if created && definitions.policies.count() >= POLICIES_MAX {
            return Err(PolicyError::TooMany);
        }
        let definition = Definition::Policy((*rule.policy).clone());
        let durable_at = self.write(broker, &[definition])?;
        tracing::info!(
            policy = ?rule.policy.name,
            vhost = &*self.name,
            created,
            "policy set"
        );
        definitions.policies.set(rule);
        apply(broker, &definitions);
        Ok(PolicySet {
            created,
            durable_at,
        })
    }

    fn clear_policy(&self, broker: &Broker, name: &str) -> Result<Promise, PolicyError> {
        let mut definitions = self.definitions.write();
        if !definitions.policies.contains(name) {
            return Err(PolicyError::NotFound {
                name: name.to_owned(),
                vhost: self.name.to_string(),
            });
        }
        let definition = Definition::PolicyDeleted {
            vhost: Arc::clone(&self.name),
            name: name.into(),
        };
        let promise = self.write(broker, &[definition])?;
        tracing::info!(policy = ?name, vhost = &*self.name, "policy cleared");
        definitions.policies.remove(name);
        apply(broker, &definitions);
        Ok(promise)
    }
}

/// Gives every queue the options that it should have now.
fn apply(broker: &Broker, definitions: &Definitions) {
    let cx = broker.context();
    // In an order that a repetition has, too.
    let mut queues: Vec<_> = definitions.queues.values().collect();
    queues.sort_unstable_by_key(|queue| queue.id);
    for queue in queues {
        let new = definitions
            .policies
            .effective(&queue.name, &declared(queue));
        let same = *new.options == *queue.options();
        let options = Arc::clone(&new.options);
        queue.set_effective(new);
        if !same {
            broker.partition(queue).call(&cx, |state| {
                state.with_queue(&cx, queue.place(), &[], |queue, context| {
                    queue.set_options(options, context);
                })
            });
        }
    }
}

/// What a queue was declared with.
fn declared(queue: &QueueHandle) -> Declared {
    let flags = Flags {
        durable: queue.declared_durable,
        exclusive: queue.owner.is_some(),
        auto_delete: queue.auto_delete,
        sync_default: queue.sync,
    };
    arguments::declared(&queue.arguments, flags).expect("they were read when it was declared")
}

impl Policies {
    /// What a queue of that name does.
    pub fn effective(&self, name: &str, declared: &Declared) -> Effective {
        let rule = self.in_force(name, declared.kind());
        Effective {
            options: Arc::new(declared.options(rule.map(|rule| &rule.settings))),
            policy: rule.map(|rule| Arc::clone(&rule.policy)),
        }
    }
}
