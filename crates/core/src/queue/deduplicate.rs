//! The window of message ids that a queue or an exchange has seen: bounded by count and by time.
//!
//! ```text
//!  image: | count | id (16) | ms since the one before | id (16) | ...
//! ```
//!
//! Invariants
//! - An id is in at most once, and counts while `now < time + ttl`; a duplicate does not start its
//!   time again.
//! - Never more than `ids_max` ids; the oldest goes first. Times never fall: where the clock did,
//!   an id takes the time of the one before.
//! - Memory follows what is in, at most 40 bytes an id for a thousand ids and more, also while it
//!   grows; an option allocates nothing.
//! - The history and the index hold the same ids.
//! - What is under way has been taken, by a transaction that is not applied yet.
//!
//! Not here: which header or property is the id, what becomes of a duplicate.

mod bucket;
mod history;
mod id;
mod index;
#[cfg(test)]
mod tests;

pub use id::MessageId;

use super::Deduplication;
use crate::Millis;
use crate::wire::{Cursor, Truncated, put_varint};
use hashbrown::HashSet;
use history::History;
use index::Index;

/// Removed ids whose slots are kept, whatever the number of ids.
const DEAD_SLOTS_MAX: u64 = 64;

/// The ids of the last so many messages, or of the last so many milliseconds.
#[derive(Debug)]
pub struct Window {
    options: Deduplication,
    history: History,
    index: Index,
    /// Nobody can tell yet whether these will be stored.
    under_way: HashSet<MessageId, foldhash::fast::FixedState>,
}

impl Window {
    /// A window that has seen nothing.
    pub fn new(options: Deduplication) -> Window {
        Window {
            options,
            history: History::default(),
            index: Index::default(),
            under_way: HashSet::default(),
        }
    }

    /// Other bounds from now on. What is too many goes at once, what is too old at the next call
    /// that tells the time.
    pub fn set_options(&mut self, options: Deduplication) {
        self.options = options;
        while self.len() > self.ids_max() {
            self.evict_oldest();
        }
    }

    /// Whether the id counts now.
    pub fn contains(&mut self, id: MessageId, now: Millis) -> bool {
        self.expire(now);
        self.index.find(id, &self.history).is_some()
    }

    /// Takes an id. False if it counts already; its time does not start again.
    pub fn insert(&mut self, id: MessageId, now: Millis) -> bool {
        self.expire(now);
        self.take(id, now)
    }

    /// Forgets an id: its message was refused after all. False if it was not there.
    pub fn remove(&mut self, id: MessageId) -> bool {
        let Some(number) = self.index.find(id, &self.history) else {
            return false;
        };
        self.index.remove(id, number);
        self.history.remove(number);
        if self.history.dead() > self.len() / 8 + DEAD_SLOTS_MAX {
            self.compact();
        }
        true
    }

    /// Takes an id for a message whose fate is known when `end` is called.
    pub fn begin(&mut self, id: MessageId, now: Millis) {
        self.insert(id, now);
        self.under_way.insert(id);
    }

    /// The fate of a message is known.
    pub fn end(&mut self, id: MessageId) {
        self.under_way.remove(&id);
    }

    /// Whether the fate of the message of that id is not known yet.
    pub fn is_under_way(&self, id: MessageId) -> bool {
        self.under_way.contains(&id)
    }

    /// How many ids are in, those included whose time has passed since the last call that told it.
    pub fn len(&self) -> u64 {
        self.history.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory of it all, unused capacity included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Window>() + self.history.heap_bytes() + self.index.heap_bytes()
    }

    /// When `expire` is due, if an id can age.
    pub fn next_expiry(&self) -> Option<Millis> {
        let ttl_ms = self.options.ttl_ms?;
        let oldest = self.history.oldest()?;
        Some(oldest.at.saturating_add(ttl_ms))
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: Millis) {
        let Some(ttl_ms) = self.options.ttl_ms else {
            return;
        };
        let is_over = |at: Millis| at.saturating_add(ttl_ms) <= now;
        if self.history.newest_at().is_some_and(is_over) {
            self.history = History::default();
            self.index = Index::default();
        }
        while self
            .history
            .oldest()
            .is_some_and(|oldest| is_over(oldest.at))
        {
            self.evict_oldest();
        }
    }

    /// Appends the window to a checkpoint.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len());
        let mut last = 0;
        for (id, at) in self.history.iter() {
            out.extend_from_slice(&id.to_bytes());
            put_varint(out, at - last);
            last = at;
        }
    }

    /// The window that a checkpoint holds, within the bounds that `options` has now.
    pub fn read(cursor: &mut Cursor<'_>, options: Deduplication) -> Result<Window, Truncated> {
        let mut window = Window::new(options);
        let mut at: Millis = 0;
        for _ in 0..cursor.varint()? {
            let id = cursor.bytes(16)?.first_chunk().ok_or(Truncated)?;
            at = at.saturating_add(cursor.varint()?);
            window.take(MessageId::from_bytes(*id), at);
        }
        Ok(window)
    }

    fn ids_max(&self) -> u64 {
        self.options.ids_max.max(1)
    }

    fn take(&mut self, id: MessageId, now: Millis) -> bool {
        if self.index.find(id, &self.history).is_some() {
            return false;
        }
        while self.len() >= self.ids_max() || self.history.is_full() {
            self.evict_oldest();
        }
        let number = self.history.push(id, now);
        self.index.insert(id, number);
        true
    }

    fn evict_oldest(&mut self) {
        if let Some(oldest) = self.history.pop_oldest() {
            self.index.remove(oldest.id, oldest.number);
        }
    }

    /// Closes the gaps that removed ids left.
    fn compact(&mut self) {
        let mut old = std::mem::take(&mut self.history);
        self.index.clear();
        while let Some(oldest) = old.pop_oldest() {
            let number = self.history.push(oldest.id, oldest.at);
            self.index.insert(oldest.id, number);
        }
    }
}
