//! States that change entry by entry.
//!
//! Invariants
//! - An entry by itself is never half changed.

use std::collections::BTreeMap;

/// Whether each entry is one of the two that it has before and after; what is in neither is not
/// there.
pub(super) fn is_between<K: Ord, V: PartialEq>(
    found: &BTreeMap<K, V>,
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> bool {
    let keys = found.keys().chain(before.keys()).chain(after.keys());
    keys.into_iter().all(|key| {
        let value = found.get(key);
        value == before.get(key) || value == after.get(key)
    })
}
