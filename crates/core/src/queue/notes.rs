//! Notes: numbers that a queue remembers for its door, for example what a client has received and
//! not let go of yet.
//!
//! ```text
//!  image: | count | key | key - key before | ...                              (varints)
//! ```
//!
//! Invariants
//! - A key is below `NOTE_KEYS`, so that is the most that a queue remembers.
//! - A queue that remembers nothing has nothing but an empty pointer.
//! - Every change of a durable queue's notes is written down, also one that changes nothing: who
//!   makes it may be promised that it is safe.
//! - Notes outlive their messages and end with the queue.
//!
//! Not here: what a key means.

use std::collections::BTreeSet;

use super::Queue;
use super::effect::Context;
use crate::facts::{Change, Facts};
use crate::limits::NOTE_KEYS;
use crate::wire::{Cursor, Truncated, put_varint};

/// What one queue remembers.
#[derive(Debug, Default)]
#[expect(
    clippy::box_collection,
    reason = "most queues have none, and an empty pointer is less than an empty set"
)]
pub(super) struct Notes(Option<Box<BTreeSet<u32>>>);

impl Notes {
    /// Adds a key, or takes it away. A key that can not be is left out.
    pub fn set(&mut self, key: u32, on: bool) {
        if on && key < NOTE_KEYS {
            self.0.get_or_insert_default().insert(key);
            return;
        }
        let Some(keys) = &mut self.0 else {
            return;
        };
        keys.remove(&key);
        if keys.is_empty() {
            self.0 = None;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The keys, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|keys| keys.iter().copied())
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.iter().count() as u64);
        let mut last = 0;
        for key in self.iter() {
            put_varint(out, u64::from(key - last));
            last = key;
        }
    }

    pub fn read(cursor: &mut Cursor<'_>) -> Result<Notes, Truncated> {
        let mut notes = Notes::default();
        let mut key: u64 = 0;
        for _ in 0..cursor.varint()? {
            key = key.saturating_add(cursor.varint()?);
            let known = u32::try_from(key).ok().filter(|key| *key < NOTE_KEYS);
            notes.set(known.ok_or(Truncated)?, true);
        }
        Ok(notes)
    }
}

impl Queue {
    /// Remembers a number below `NOTE_KEYS` from now on, or not any more. `recorded` if a
    /// transaction has written it down already.
    pub fn set_note(&mut self, key: u32, on: bool, recorded: bool, cx: &mut Context<'_>) {
        self.notes.set(key, on);
        if !recorded {
            self.prepare_note(key, on, cx.facts);
        }
    }

    /// Writes down, as part of a transaction, what `set_note` will do.
    pub fn prepare_note(&self, key: u32, on: bool, facts: &mut Facts) {
        if self.options.durable {
            facts.changes.push(Change::Noted(self.id, key, on));
        }
    }

    /// The numbers that it remembers, in ascending order.
    pub fn notes(&self) -> impl Iterator<Item = u32> {
        self.notes.iter()
    }
}
