//! How deep stored values nest.
//!
//! Invariants
//! - Nothing is written that is not read again: both ways count alike.
//! - The count is back where it was after a value, whether that was read or refused.
//!
//! Not here: how deep a client's table nests (the codecs), or a request's body (the management
//! interface). Both bounds are lower.

use std::cell::Cell;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// How many arrays and tables may be in one another. Reading one takes stack, and what is read may
/// be damaged.
pub(super) const DEPTH_MAX: u32 = 64;

const TOO_DEEP: &str = "values nest too deep";

thread_local! {
    /// Serde hands no context down to a value, and one value is read on one thread.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// One more level, while it lives.
struct Level;

impl Level {
    fn enter() -> Option<Level> {
        let depth = DEPTH.get();
        (depth < DEPTH_MAX).then(|| {
            DEPTH.set(depth + 1);
            Level
        })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Reads what is within a value.
pub(super) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let _level = Level::enter().ok_or_else(|| de::Error::custom(TOO_DEEP))?;
    T::deserialize(deserializer)
}

/// Writes what is within a value.
pub(super) fn serialize<S: Serializer>(
    within: &impl Serialize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let _level = Level::enter().ok_or_else(|| ser::Error::custom(TOO_DEEP))?;
    within.serialize(serializer)
}
