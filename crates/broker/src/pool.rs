//! Values of which many are the same, each kept once: a million queues that were declared alike
//! share their arguments and their options.
//!
//! Invariants
//! - Two values that are equal and both in use are one.
//! - What nobody uses any more is let go when the pool has doubled since the last look through it.

use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashSet;
use parking_lot::Mutex;

/// Values up to which nothing is looked through.
const UNSWEPT_MAX: usize = 64;

/// The values that are shared.
#[derive(Debug)]
pub(crate) struct Pool<T>(Mutex<Kept<T>>);

#[derive(Debug)]
struct Kept<T> {
    all: HashSet<Arc<T>, foldhash::fast::RandomState>,
    /// How many there may be before it is looked which of them are still used.
    swept_at: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Pool<T> {
        Pool(Mutex::new(Kept {
            all: HashSet::default(),
            swept_at: UNSWEPT_MAX,
        }))
    }
}

impl<T: Eq + Hash> Pool<T> {
    /// The one that is equal to `value`.
    pub fn share(&self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        let mut kept = self.0.lock();
        if let Some(known) = kept.all.get(&value) {
            return Arc::clone(known);
        }
        if kept.all.len() >= kept.swept_at {
            kept.all.retain(|one| Arc::strong_count(one) > 1);
            kept.swept_at = UNSWEPT_MAX.max(2 * kept.all.len());
        }
        kept.all.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_unused_ones_are_let_go() {
        let pool = Pool::<String>::default();
        let first = pool.share("a".to_owned());
        assert!(Arc::ptr_eq(&first, &pool.share("a".to_owned())));
        assert!(!Arc::ptr_eq(&first, &pool.share("b".to_owned())));
        for number in 0..100_000 {
            pool.share(number.to_string());
        }
        assert!(pool.0.lock().all.len() <= UNSWEPT_MAX);
        assert!(Arc::ptr_eq(&first, &pool.share("a".to_owned())));
        let used: Vec<_> = (0..1_000)
            .map(|number| pool.share(number.to_string()))
            .collect();
        let again = pool.share("7".to_owned());
        assert!(Arc::ptr_eq(&used[7], &again));
    }
}
