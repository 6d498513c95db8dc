//! Order per key among several consumers: shards, their owners, and the keys that are out.
//!
//! A key belongs to a shard, a shard to a consumer. Messages of a key go to the owner of its shard
//! only, in their order, and to nobody while another one still has something of the key.
//!
//! Invariants
//! - All that is out of a key was given to one consumer, or came to others by hand.
//! - A message that came back is the next of its key: the key goes on when all that was out of it
//!   has been settled or came back, and nothing of it waits for its time.
//! - Shards are even to one among the consumers of the highest priority; what they hold does not
//!   move with them.
//! - `Ready` has parts if and only if there is a group, and a store stands in the pile of who may
//!   get its next message.
//!
//! Not here: the stores and their piles (`ready::parts`), who is willing (`consumer`).

mod deliver;
mod key;
mod keys;
mod owners;

use super::effect::{Incoming, Lens};
use super::entry::{BodyRef, Entry};
use super::lease::Holder;
use super::ready::{Parts, Pile, Ready};
use super::{ConsumerSlot, Queue};
use keys::Keys;
use owners::Owners;

/// The shards of one queue.
#[derive(Debug)]
pub struct Group {
    owners: Owners,
    keys: Keys,
}

impl Group {
    fn new(shards: u16) -> Group {
        Group {
            owners: Owners::new(shards),
            keys: Keys::default(),
        }
    }

    fn shard_of(&self, key: u32) -> u16 {
        (key % u32::from(self.owners.count())) as u16
    }

    /// The owner of the shard of a message's key.
    #[cfg(test)]
    pub(super) fn owner_of(
        &self,
        message: &dyn crate::view::MessageView,
        shards: &super::Shards,
    ) -> Option<ConsumerSlot> {
        self.owner(key::digest(shards, message))
    }

    /// The owner of the shard of a key.
    fn owner(&self, key: u32) -> Option<ConsumerSlot> {
        self.owners.of(self.shard_of(key))
    }

    /// Who may get the next message of a key.
    fn server(&self, key: u32) -> Option<ConsumerSlot> {
        let owner = self.owner(key)?;
        self.keys.is_open_to(key, owner).then_some(owner)
    }

    /// Where the store of a key belongs.
    fn pile_of(&self, key: u32) -> Pile {
        match self.server(key) {
            Some(owner) => Pile::of(owner.index()),
            None if self.keys.is_free(key) => Pile::UNOWNED,
            None => Pile::BLOCKED,
        }
    }
}

impl Queue {
    /// The key of an arriving message; 0 for none.
    pub(super) fn key_of(&self, incoming: &Incoming, lens: &dyn Lens, staged: &[u8]) -> u32 {
        let Some(shards) = &self.options.shards else {
            return 0;
        };
        if self.is_stream() {
            return 0;
        }
        let Incoming { offset, len, .. } = *incoming;
        let mut found = 0;
        lens.show(staged, &BodyRef::Staged { offset, len }, &mut |message| {
            found = key::digest(shards, message);
        });
        found
    }

    /// Divides the queue into shards, or makes it one again, as the options say.
    pub(super) fn fit_shards(&mut self) {
        let shards = self.options.shards.as_ref().filter(|_| !self.is_stream());
        let wanted = shards.map(|shards| shards.count);
        let count = self.shards.as_ref().map(|group| group.owners.count());
        if wanted == count {
            return;
        }
        let all = self.ready.take_all();
        (self.shards, *self.ready) = (None, Ready::Plain(all));
        if let Some(wanted) = wanted {
            self.divide(wanted);
        }
        self.consumers.search_again(0);
    }

    fn divide(&mut self, wanted: u16) {
        let mut all = self.ready.take_all();
        let mut parts = Parts::new(wanted);
        while let Some(entry) = all.pop_front() {
            parts.push_back(entry);
        }
        *self.ready = Ready::Sharded(Box::new(parts));
        let mut keys = Keys::default();
        for (_, lease) in self.leases.iter().filter(|(_, lease)| lease.entry.key != 0) {
            if let Some(holder) = holder_of(lease.holder) {
                keys.out(lease.entry.key, holder);
            }
        }
        keys.pause_all();
        self.visit_delayed(None, |_, entry| {
            if is_tried_again(entry) {
                keys.waits(entry.key);
            }
            true
        });
        self.shards = Some(Box::new(Group {
            keys,
            ..Group::new(wanted)
        }));
        self.share_out();
    }

    /// Divides the shards anew: consumers came or went.
    pub(super) fn share_out(&mut self) {
        let (Some(group), Some(parts)) =
            (&mut self.shards, self.ready.used().and_then(Ready::parts))
        else {
            return;
        };
        let changed = group.owners.divide(&self.consumers.leading());
        for &shard in &changed {
            let owner = group.owners.of(shard);
            let pile = owner.map_or(Pile::UNOWNED, |owner| Pile::of(owner.index()));
            parts.move_shard(shard, pile);
        }
        if changed.is_empty() {
            return;
        }
        for key in parts.keys() {
            parts.move_key(key, group.pile_of(key));
        }
    }

    /// A message was handed out that must be settled.
    pub(super) fn key_out(&mut self, key: u32, holder: Holder) {
        if key != 0
            && let Some(holder) = holder_of(holder)
        {
            self.change_key(key, |keys| keys.out(key, holder));
        }
    }

    /// A lease ended; `back` if its message is in the queue again.
    pub(super) fn key_ended(&mut self, key: u32, holder: Holder, back: bool) {
        if key != 0 && holder_of(holder).is_some() {
            self.change_key(key, |keys| keys.ended(key, back));
        }
    }

    /// A message waits for its time from now on.
    pub(super) fn key_waits(&mut self, entry: &Entry) {
        if is_tried_again(entry) {
            self.change_key(entry.key, |keys| keys.waits(entry.key));
        }
    }

    /// A message that waited for its time does so no longer.
    pub(super) fn key_waited(&mut self, entry: &Entry) {
        if is_tried_again(entry) {
            self.change_key(entry.key, |keys| keys.waited(entry.key));
        }
    }

    fn change_key(&mut self, key: u32, change: impl FnOnce(&mut Keys)) {
        let (Some(group), Some(parts)) =
            (&mut self.shards, self.ready.used().and_then(Ready::parts))
        else {
            return;
        };
        change(&mut group.keys);
        if parts.sets_aside() {
            parts.move_key(key, group.pile_of(key));
        }
    }

    /// A consumer may take something again.
    pub(super) fn call(&mut self, slot: ConsumerSlot) {
        if let Some(parts) = self.ready.used().and_then(Ready::parts) {
            parts.call(slot.index());
        }
    }

    /// The owner of every shard.
    #[cfg(test)]
    pub(super) fn owners(&self) -> Vec<Option<super::ConsumerId>> {
        let group = self.shards.as_ref().expect("the queue has shards");
        let owners = (0..group.owners.count()).map(|shard| group.owners.of(shard));
        owners.map(|owner| Some(owner?.id())).collect()
    }

    /// How many keys have something out.
    #[cfg(test)]
    pub(super) fn keys_out(&self) -> usize {
        self.shards.as_ref().map_or(0, |group| group.keys.count())
    }
}

/// Who holds a lease on behalf of a key: a consumer, or somebody without a name. None for who
/// takes a message away for good.
fn holder_of(holder: Holder) -> Option<Option<ConsumerSlot>> {
    match holder {
        Holder::Consumer(slot) => Some(Some(slot)),
        Holder::Get | Holder::Operator(_) => Some(None),
        Holder::Departing(_) | Holder::Unread => None,
    }
}

/// Whether its key waits with a message that waits for its time.
fn is_tried_again(entry: &Entry) -> bool {
    entry.key != 0 && entry.was_out()
}
