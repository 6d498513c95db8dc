//! Exchanges that do more than match: one with rules for messages, one that chooses by a hash.
//!
//! The rules are set once, before everything else, and are safe from then on.
//!
//! Invariants
//! - A message that breaks a rule goes nowhere; what is routed is the message as it was amended.
//! - A hash chooses one of the queues that are bound, and the same one for a key while the bindings
//!   are the same, whatever happened in between. Filters are asked after the choice.

use std::collections::BTreeSet;

use ferry_broker::{ApplyTo, Policy};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::view::MessageView;

use crate::format::Dress;
use crate::model::Sent;
use crate::world::World;
use crate::{Checked, Violation, violated};

/// The exchange with rules.
pub const STRICT: &str = "strict";

/// The exchange that chooses by a hash; its binding keys are weights.
pub const HASH: &str = "hash";

/// Weights of bindings.
pub const WEIGHTS: [&str; 3] = ["1", "2", "3"];

/// Longest body that the rules let pass, in bytes.
const STRICT_BYTES_MAX: u32 = 200;

/// The weight that the rules give to every message.
const STRICT_WEIGHT: i64 = 3;

/// Sets the rules; what is durable is safe afterwards.
pub(crate) fn set_rules(world: &World) -> Checked {
    let names = |names: &[&str]| {
        Value::Array(
            names
                .iter()
                .map(|name| Value::Str(name.as_bytes().to_vec()))
                .collect(),
        )
    };
    let mut weight = Arguments::new();
    weight.insert("weight", Value::I64(STRICT_WEIGHT));
    let mut definition = Arguments::new();
    definition.insert("require", names(&["headers.color"]));
    definition.insert("remove-headers", names(&["x-shard-key"]));
    definition.insert("set-headers", Value::Table(weight));
    definition.insert("max-message-bytes", Value::I64(STRICT_BYTES_MAX.into()));
    let set = world.broker.set_policy(Policy {
        vhost: "/".to_owned(),
        name: STRICT.to_owned(),
        pattern: format!("^{STRICT}$"),
        apply_to: ApplyTo::Exchanges,
        priority: 0,
        definition,
    });
    set.map_err(|error| Violation(format!("the rules: {error}")))?;
    let safe = world.broker.commit_log();
    safe.map_err(|error| Violation(format!("the rules are not safe: {error}")))
}

/// What the rules make of a message; none if they refuse it.
pub(crate) fn amended(sent: &Sent) -> Option<Sent> {
    let fits = sent.size <= STRICT_BYTES_MAX && sent.dress.color.is_some();
    let mut sent = sent.clone();
    sent.dress.key = None;
    sent.dress.weight = Some(STRICT_WEIGHT);
    fits.then_some(sent)
}

impl World {
    /// The queue that the hash of a message's key chooses now, if its filters take the message.
    pub(crate) fn chosen_by_hash(
        &mut self,
        key: &str,
        dress: &Dress,
        headers: &dyn MessageView,
    ) -> Checked<BTreeSet<u64>> {
        let chosen = self.vhost.queues_of(HASH, key.as_bytes(), headers);
        let chosen: BTreeSet<u64> = chosen.into_iter().map(|queue| queue.0).collect();
        let routing = &mut self.model.routing;
        routing.check_hash(HASH, (key, dress), &chosen)?;
        if chosen.len() > 1 {
            return violated!("the hash of {key} chooses {chosen:?}");
        }
        Ok(chosen)
    }
}
