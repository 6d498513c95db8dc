//! The policies of users and those of the operator, and what both say of a queue together.
//!
//! Invariants
//! - An operator policy says nothing but limits; of two limits the lower one counts.

use std::borrow::Cow;
use std::sync::Arc;

use ferry_core::arguments::{Arguments, Value};
use ferry_core::queue::Options;

use super::{Policy, Ranked};
use crate::RETAINED_QUEUE;
use crate::arguments::Declared;
use crate::definitions::Definition;
use crate::handle::Effective;
use crate::pool::Pool;

/// Whose policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    User,
    Operator,
}

/// What an operator policy may say: RabbitMQ's limits, and those that only we have.
const OPERATOR_KEYS: &[&str] = &[
    "expires",
    "message-ttl",
    "max-length",
    "max-length-bytes",
    "delivery-limit",
    "overflow",
    "retry-limit",
    "lease-timeout",
    "publish-rate",
    "publish-byte-rate",
    "deliver-rate",
    "deliver-byte-rate",
];

impl Tier {
    pub fn name(self) -> &'static str {
        match self {
            Tier::User => "policy",
            Tier::Operator => "operator policy",
        }
    }

    /// Whether such a policy may have that setting.
    pub fn allows(self, key: &str) -> bool {
        self == Tier::User || OPERATOR_KEYS.contains(&key)
    }

    pub fn set(self, policy: Policy) -> Definition {
        match self {
            Tier::User => Definition::Policy(policy),
            Tier::Operator => Definition::OperatorPolicy(policy),
        }
    }

    pub fn cleared(self, vhost: Arc<str>, name: Arc<str>) -> Definition {
        match self {
            Tier::User => Definition::PolicyDeleted { vhost, name },
            Tier::Operator => Definition::OperatorPolicyDeleted { vhost, name },
        }
    }
}

/// All policies of a virtual host.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    user: Ranked,
    operator: Ranked,
    /// What queues do.
    options: Pool<Options>,
}

impl Policies {
    pub fn of(&self, tier: Tier) -> &Ranked {
        match tier {
            Tier::User => &self.user,
            Tier::Operator => &self.operator,
        }
    }

    pub fn of_mut(&mut self, tier: Tier) -> &mut Ranked {
        match tier {
            Tier::User => &mut self.user,
            Tier::Operator => &mut self.operator,
        }
    }

    /// What sets all of them.
    pub fn definitions(&self) -> impl Iterator<Item = Definition> {
        [Tier::User, Tier::Operator].into_iter().flat_map(|tier| {
            let policies = self.of(tier).iter();
            policies.map(move |policy| tier.set((**policy).clone()))
        })
    }

    /// What a queue of that name does.
    pub fn effective(&self, name: &str, declared: &Declared) -> Effective {
        let [user, operator] = [&self.user, &self.operator].map(|ranked| match name {
            RETAINED_QUEUE => None,
            name => ranked.in_force(name, declared.kind()),
        });
        let settings = match (user, operator) {
            (Some(user), Some(operator)) => {
                let mut both = user.settings.over(&operator.settings);
                both.overflow = operator.settings.overflow.or(both.overflow);
                Some(Cow::Owned(both))
            }
            (one, other) => one.or(other).map(|rule| Cow::Borrowed(&rule.settings)),
        };
        let policy = |rule: &super::Rule| Arc::clone(&rule.policy);
        Effective {
            options: self.options.share(declared.options(settings.as_deref())),
            policy: user.map(policy),
            operator_policy: operator.map(policy),
        }
    }
}

/// The settings of both policies of a queue.
pub(super) fn merged(policy: Option<&Policy>, operator: Option<&Policy>) -> Arguments {
    let mut merged = policy.map_or_else(Arguments::new, |policy| policy.definition.clone());
    for (name, value) in operator.iter().flat_map(|policy| policy.definition.iter()) {
        let lower = match merged.get(name) {
            Some(_) if name == "overflow" => true,
            Some(current) => limit(value) < limit(current),
            None => true,
        };
        if lower {
            merged.insert(name, value.clone());
        }
    }
    merged
}

/// A limit; one below 0 stands for none.
fn limit(value: &Value) -> i128 {
    match value.as_integer() {
        Some(limit) if limit >= 0 => limit,
        _ => i128::MAX,
    }
}
