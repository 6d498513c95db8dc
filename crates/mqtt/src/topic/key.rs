//! Topics as routing keys, filters as binding keys.
//!
//! `/` and `.` are swapped, so that levels become words and dots in a level survive: `a/b.c` is
//! the key `a.b/c`. In a filter `+` becomes `*`; `#` means the same on both sides.
//!
//! Invariants
//! - `from_key(to_key(name))` is the name.
//! - The binding of a filter lets through every name that the filter matches, and some more: a
//!   level that is a literal `*` is a wildcard in a key, and `#` and `*` at the front match `$`.

use super::{TOPIC_BYTES_MAX, check_name};

#[inline]
const fn swapped(byte: u8) -> u8 {
    // The two differ in their lowest bit.
    byte ^ ((byte | 1 == b'/') as u8)
}

const _: () = assert!(swapped(b'/') == b'.' && swapped(b'.') == b'/' && swapped(b'-') == b'-');

/// Appends the routing key of a topic name.
#[inline]
pub fn to_key(name: &[u8], key: &mut Vec<u8>) {
    key.extend(name.iter().map(|byte| swapped(*byte)));
}

/// Appends the binding key of a filter, which is one that [`super::check_filter`] accepts; of a
/// shared subscription, the part after the group.
pub fn filter_to_key(filter: &[u8], key: &mut Vec<u8>) {
    key.extend(filter.iter().map(|byte| match byte {
        b'+' => b'*',
        _ => swapped(*byte),
    }));
}

/// Appends the topic name of a routing key; says `false` and appends nothing if the key makes no
/// valid name (empty, too long, no MQTT string, or with `+` or `#`).
#[must_use]
#[inline]
pub fn from_key(key: &[u8], name: &mut Vec<u8>) -> bool {
    let start = name.len();
    name.extend_from_slice(key);
    // In one pass without a branch, which most keys pass: printable ASCII without wildcards.
    let mut odd = key.is_empty() | (key.len() > TOPIC_BYTES_MAX);
    for byte in &mut name[start..] {
        let is_wild = (*byte == b'+') | (*byte == b'#');
        odd |= !matches!(*byte, b' '..=b'~') | is_wild;
        *byte = swapped(*byte);
    }
    // What is swapped is allowed in a name, so the key is as good as the name.
    if odd && check_name(key).is_err() {
        name.truncate(start);
        return false;
    }
    true
}
