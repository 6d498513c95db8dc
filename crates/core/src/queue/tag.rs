//! Tags: a number that a message keeps while it is in its queue, whoever has it.
//!
//! ```text
//!  image: | count | seq - seq before | tag | ...                              (varints)
//! ```
//!
//! Invariants
//! - A message has one tag at most; a tag that it gets takes the place of the one before.
//! - Every tag is of a message that is in the queue, and goes with it.
//! - A queue without tags has nothing but an empty pointer: looking for one costs a look at that.
//! - A message with a tag does not expire: somebody knows of it by that number.
//! - The tag of a durable message of a durable queue is written down; others are in memory only.
//!
//! Not here: what a tag means.

use std::collections::BTreeMap;

use super::Queue;
use super::effect::{Context, Settled};
use super::entry::Entry;
use super::lease::LeaseId;
use super::recover::Retag;
use crate::facts::{Change, Facts};
use crate::wire::{Cursor, Truncated, put_varint};

#[derive(Debug, Clone, Copy)]
struct Tag {
    number: u32,
    /// Whether its message outlives the broker.
    durable: bool,
}

/// The tags of one queue, by the places of their messages.
#[derive(Debug, Default)]
#[expect(
    clippy::box_collection,
    reason = "most queues have none, and an empty pointer is less than an empty map"
)]
pub(super) struct Tags(Option<Box<BTreeMap<u64, Tag>>>);

impl Tags {
    pub fn set(&mut self, seq: u64, number: u32, durable: bool) {
        let tag = Tag { number, durable };
        self.0.get_or_insert_default().insert(seq, tag);
    }

    #[inline]
    pub fn get(&self, seq: u64) -> Option<u32> {
        Some(self.0.as_ref()?.get(&seq)?.number)
    }

    /// The message is gone.
    #[inline]
    pub fn forget(&mut self, seq: u64) {
        if self.0.is_some() {
            self.take(seq);
        }
    }

    fn take(&mut self, seq: u64) -> Option<Tag> {
        let tags = self.0.as_mut()?;
        let tag = tags.remove(&seq);
        if tags.is_empty() {
            self.0 = None;
        }
        tag
    }

    /// The message has another place.
    pub fn moved(&mut self, from: u64, to: u64) {
        if let Some(tag) = self.take(from) {
            self.set(to, tag.number, tag.durable);
        }
    }

    /// Takes over what facts say of a message that outlives the broker.
    pub fn found(&mut self, retag: &Retag) {
        let seq = retag.moved_to.unwrap_or(retag.seq);
        if seq != retag.seq {
            self.moved(retag.seq, seq);
        }
        if let Some(number) = retag.tag {
            self.set(seq, number, true);
        }
    }

    /// Moves the tag of a message that is here to `kept`.
    pub fn keep(&mut self, entry: &Entry, kept: &mut Tags) {
        if let Some(tag) = self.take(entry.seq) {
            kept.set(entry.seq, tag.number, entry.durable);
        }
    }

    /// Whether there is one that outlives the broker.
    pub fn any_durable(&self) -> bool {
        self.durable().next().is_some()
    }

    fn durable(&self) -> impl Iterator<Item = (u64, u32)> {
        let all = self.0.iter().flat_map(|tags| tags.iter());
        all.filter(|(_, tag)| tag.durable)
            .map(|(seq, tag)| (*seq, tag.number))
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.durable().count() as u64);
        let mut last = 0;
        for (seq, number) in self.durable() {
            put_varint(out, seq - last);
            put_varint(out, u64::from(number));
            last = seq;
        }
    }

    pub fn read(cursor: &mut Cursor<'_>) -> Result<Tags, Truncated> {
        let mut tags = Tags::default();
        let mut seq: u64 = 0;
        for _ in 0..cursor.varint()? {
            seq = seq.checked_add(cursor.varint()?).ok_or(Truncated)?;
            let number = u32::try_from(cursor.varint()?).map_err(|_| Truncated)?;
            tags.set(seq, number, true);
        }
        Ok(tags)
    }
}

impl Queue {
    /// The tags of all messages that are here, in their order.
    pub fn tags(&self) -> impl Iterator<Item = u32> {
        let all = self.tags.0.iter().flat_map(|tags| tags.values());
        all.map(|tag| tag.number)
    }

    /// Has a leased message keep a number until it is gone, also when it comes back. `recorded` if
    /// a transaction has written it down already.
    pub fn tag(
        &mut self,
        lease: LeaseId,
        number: u32,
        recorded: bool,
        cx: &mut Context<'_>,
    ) -> Settled {
        let Some(held) = self.leases.get_mut(lease) else {
            return Settled::Late;
        };
        held.entry.expires_at = 0;
        let durable = held.entry.durable && self.options.durable;
        self.tags.set(held.entry.seq, number, durable);
        if !recorded {
            self.prepare_tag(lease, number, cx.facts);
        }
        Settled::Done
    }

    /// Writes down, as part of a transaction, what `tag` will do.
    pub fn prepare_tag(&self, lease: LeaseId, number: u32, facts: &mut Facts) {
        let held = self.leases.get(lease).filter(|_| self.options.durable);
        if let Some(mark) = held.and_then(|held| self.durable_mark(&held.entry)) {
            facts.changes.push(Change::Tagged(mark, number));
        }
    }
}
