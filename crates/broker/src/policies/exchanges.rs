//! What policies make of exchanges.
//!
//! Invariants
//! - Whenever the lock of definitions is free, an exchange's care and its alternate in the
//!   topology are what follows from its arguments and the policy in force.
//! - The default exchange has no alternate, as in RabbitMQ; everything else holds for it, too.

use std::sync::Arc;

use super::{Policy, Rule, Tier};
use crate::Vhost;
use crate::guard::Care;
use crate::vhost::Definitions;

impl Vhost {
    /// The policy in force for an exchange; the default one has the empty name.
    pub fn exchange_policy(&self, exchange: &str) -> Option<Arc<Policy>> {
        let definitions = self.definitions.read();
        let rule = definitions.exchange_rule(exchange)?;
        Some(Arc::clone(&rule.policy))
    }
}

impl Definitions {
    fn exchange_rule(&self, exchange: &str) -> Option<&Rule> {
        self.policies.of(Tier::User).in_force_for_exchange(exchange)
    }

    /// Gives every exchange what it should do now.
    pub fn apply_to_exchanges(&mut self) {
        let declared = self.topology.exchanges();
        let names = declared.map(|exchange| Arc::clone(&exchange.name));
        let names: Vec<Arc<str>> = names.chain([Arc::from("")]).collect();
        for name in names {
            let care = match self.cares.get(&name) {
                Some(care) => Care::clone(care),
                None => Care::default(),
            };
            self.take_care(&name, care);
        }
    }

    /// Notes what an exchange does besides routing, if anything, by itself and by its policy.
    pub fn take_care(&mut self, exchange: &Arc<str>, own: Care) {
        let by_policy = self
            .exchange_rule(exchange)
            .map(|rule| rule.exchange.clone());
        let by_policy = by_policy.unwrap_or_default();
        self.topology
            .set_policy_alternate(exchange, by_policy.alternate);
        let care = Care {
            interceptor: by_policy.interceptor,
            ..own
        };
        if care.is_needed() {
            self.cares.insert(Arc::clone(exchange), Arc::new(care));
        } else {
            self.cares.remove(exchange);
        }
    }
}
