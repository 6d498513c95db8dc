//! Policies: settings for all queues and exchanges of a virtual host whose names match a pattern.
//!
//! Invariants
//! - One policy at most is in force for a queue or an exchange: of those that match, the one of
//!   the highest priority, and of equals the first by name. For a queue the same holds of operator
//!   policies, beside it.
//! - A queue's handle and its partition have the options that follow from the queue's arguments
//!   and the policies, whenever the lock of definitions is free.
//! - A policy is written before it is in force.
//!
//! Not here: which of argument and policy counts (`arguments::Settings`), what an exchange does
//! with a message (`intercept`).

mod copies;
mod exchanges;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod policy;
mod rule;
mod term;
#[cfg(test)]
mod tests;
mod tier;

use std::sync::Arc;

use ferry_core::arguments::Arguments;

pub use copies::is_about_copies;
pub use policy::{ApplyTo, Policy, PolicyError};
pub(crate) use rule::{Ranked, Rule};
pub(crate) use term::Term;
pub(crate) use tier::{Policies, Tier};

use crate::arguments::{self, Declared};
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
        self.set_policy_of(Tier::User, policy)
    }

    /// Sets a policy of the operator, which a user's policy can not go beyond.
    pub fn set_operator_policy(&self, policy: Policy) -> Result<PolicySet, PolicyError> {
        self.set_policy_of(Tier::Operator, policy)
    }

    /// Clears a policy: all is as the arguments and the other policies say.
    pub fn clear_policy(&self, vhost: &str, name: &str) -> Result<Promise, PolicyError> {
        self.clear_policy_of(Tier::User, vhost, name)
    }

    /// Clears a policy of the operator.
    pub fn clear_operator_policy(&self, vhost: &str, name: &str) -> Result<Promise, PolicyError> {
        self.clear_policy_of(Tier::Operator, vhost, name)
    }

    /// The policies of a virtual host, in order of their names.
    pub fn policies(&self, vhost: &str) -> Result<Vec<Arc<Policy>>, PolicyError> {
        Ok(self.vhost_of_policy(vhost)?.policies())
    }

    fn set_policy_of(&self, tier: Tier, policy: Policy) -> Result<PolicySet, PolicyError> {
        let vhost = self.vhost_of_policy(&policy.vhost)?;
        let set = vhost.set_policy(self, tier, policy)?;
        self.after_act();
        Ok(set)
    }

    fn clear_policy_of(&self, tier: Tier, vhost: &str, name: &str) -> Result<Promise, PolicyError> {
        let vhost = self.vhost_of_policy(vhost)?;
        let cleared = vhost.clear_policy(self, tier, name)?;
        self.after_act();
        Ok(cleared)
    }

    fn vhost_of_policy(&self, name: &str) -> Result<Arc<Vhost>, PolicyError> {
        self.vhost(name)
            .ok_or_else(|| PolicyError::NoSuchVhost(name.to_owned()))
    }
}

impl Vhost {
    /// Its policies, in order of their names.
    pub fn policies(&self) -> Vec<Arc<Policy>> {
        self.policies_of(Tier::User)
    }

    /// Its operator policies, in order of their names.
    pub fn operator_policies(&self) -> Vec<Arc<Policy>> {
        self.policies_of(Tier::Operator)
    }

    fn policies_of(&self, tier: Tier) -> Vec<Arc<Policy>> {
        let definitions = self.definitions.read();
        let mut policies: Vec<_> = definitions.policies.of(tier).iter().cloned().collect();
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        policies
    }

    fn set_policy(
        &self,
        broker: &Broker,
        tier: Tier,
        policy: Policy,
    ) -> Result<PolicySet, PolicyError> {
        let rule = Rule::new(tier, policy)?;
        let mut definitions = self.definitions.write();
        self.check_alive()?;
        let policies = definitions.policies.of_mut(tier);
        let created = !policies.contains(&rule.policy.name);
        if created && policies.count() >= POLICIES_MAX {
            return Err(PolicyError::TooMany);
        }
        let definition = tier.set((*rule.policy).clone());
        let durable_at = self.write(broker, &[definition])?;
        tracing::info!(
            policy = ?rule.policy.name,
            vhost = &*self.name,
            created,
            "{} set",
            tier.name()
        );
        policies.set(rule);
        self.apply(broker, tier, &mut definitions);
        Ok(PolicySet {
            created,
            durable_at,
        })
    }

    fn clear_policy(
        &self,
        broker: &Broker,
        tier: Tier,
        name: &str,
    ) -> Result<Promise, PolicyError> {
        let mut definitions = self.definitions.write();
        let policies = definitions.policies.of_mut(tier);
        if !policies.contains(name) {
            return Err(PolicyError::NotFound {
                what: tier.name(),
                name: name.to_owned(),
                vhost: self.name.to_string(),
            });
        }
        let definition = tier.cleared(Arc::clone(&self.name), name.into());
        let promise = self.write(broker, &[definition])?;
        tracing::info!(policy = ?name, vhost = &*self.name, "{} cleared", tier.name());
        policies.remove(name);
        self.apply(broker, tier, &mut definitions);
        Ok(promise)
    }

    /// Has everything do what it should now.
    fn apply(&self, broker: &Broker, tier: Tier, definitions: &mut Definitions) {
        if tier == Tier::User {
            definitions.apply_to_exchanges();
        }
        apply_to_queues(broker, definitions);
        // A remembered route knows what its exchange and its queues want besides.
        self.changed();
    }
}

impl QueueHandle {
    /// What its policy and its operator policy say together.
    pub fn effective_policy_definition(&self) -> Arguments {
        let (policy, operator) = (self.policy(), self.operator_policy());
        tier::merged(policy.as_deref(), operator.as_deref())
    }
}

/// Gives every queue the options that it should have now.
fn apply_to_queues(broker: &Broker, definitions: &Definitions) {
    // In an order that a repetition has, too.
    let mut queues: Vec<_> = definitions.queues.values().collect();
    queues.sort_unstable_by_key(|queue| queue.id);
    let mut rates_changed = false;
    for queue in queues {
        let new = definitions
            .policies
            .effective(&queue.name, &declared(queue));
        let same = *new.options == *queue.options();
        let options = Arc::clone(&new.options);
        queue.set_effective(new);
        rates_changed |= queue.fit_meter(broker.now());
        if !same {
            broker.with_state(queue, |state, cx| {
                state.with_queue(cx, queue.place(), &[], |queue, context| {
                    queue.set_options(options, context);
                })
            });
        }
    }
    if rates_changed {
        broker.limits.changed();
    }
}

/// What a queue was declared with.
fn declared(queue: &QueueHandle) -> Declared {
    arguments::declared(&queue.arguments(), queue.flags())
        .expect("they were read when it was declared")
}
