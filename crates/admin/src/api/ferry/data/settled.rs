//! How leases were settled lately, for those who ask again because they did not hear the answer.
//!
//! Invariants
//! - The last `SETTLED_MAX` are remembered; a lease that ended otherwise is not among them.

use std::collections::{HashMap, VecDeque};

use ferry_broker::{Lease, QueueHandle};
use parking_lot::Mutex;

/// Settlements that are remembered.
const SETTLED_MAX: usize = 65_536;

type Key = (u64, u64);

#[derive(Default)]
struct Known<T> {
    outcomes: HashMap<Key, T>,
    order: VecDeque<Key>,
}

/// The last settlements, by queue and lease.
pub(super) struct Settlements<T = super::settle::Outcome>(Mutex<Known<T>>);

impl<T> Default for Settlements<T> {
    fn default() -> Settlements<T> {
        Settlements(Mutex::new(Known {
            outcomes: HashMap::new(),
            order: VecDeque::new(),
        }))
    }
}

impl<T: Copy> Settlements<T> {
    pub fn add(&self, queue: &QueueHandle, lease: Lease, outcome: T) {
        self.note((queue.id().0, lease.to_u64()), outcome);
    }

    pub fn find(&self, queue: &QueueHandle, lease: Lease) -> Option<T> {
        let key = (queue.id().0, lease.to_u64());
        self.0.lock().outcomes.get(&key).copied()
    }

    fn note(&self, key: Key, outcome: T) {
        let mut known = self.0.lock();
        if known.outcomes.insert(key, outcome).is_none() {
            known.order.push_back(key);
        }
        if known.order.len() > SETTLED_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.outcomes.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered() {
        let settlements = Settlements::<u8>::default();
        for lease in 0..SETTLED_MAX as u64 + 3 {
            settlements.note((1, lease), 7);
        }
        settlements.note((1, 5), 8);
        let known = settlements.0.lock();
        assert_eq!(
            (known.outcomes.len(), known.order.len()),
            (SETTLED_MAX, SETTLED_MAX)
        );
        assert_eq!(known.outcomes.get(&(1, 2)), None);
        assert_eq!(known.outcomes.get(&(1, 5)), Some(&8));
    }
}
