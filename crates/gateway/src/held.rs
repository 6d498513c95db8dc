//! How much of one connection waits until publishers are free.
//!
//! Invariants
//! - All connections together have a part of the broker's memory for it; while they take that,
//!   what waits of each is little.
//!
//! Not here: what waits, and when (the protocols).

use ferry_broker::Kept;

/// What waits of one connection before its socket is left alone, in bytes.
pub(crate) const HELD_BYTES_MAX: usize = 1 << 20;

/// The same while all together keep as much as they may, in bytes: enough for who stops when it is
/// told to.
const HELD_CROWDED_BYTES_MAX: usize = 16 << 10;

/// How much may wait before the socket is left alone, in bytes, as things are.
pub(crate) fn held_bytes_max(kept: &Kept) -> usize {
    match kept.is_crowded() {
        true => HELD_CROWDED_BYTES_MAX,
        false => HELD_BYTES_MAX,
    }
}
