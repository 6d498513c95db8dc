//! Handing out the messages of a queue with shards: each to the owner of its shard.
//!
//! Invariants
//! - A message goes to the owner of its shard, or to who asks for one by hand, and only if the key
//!   is open to them.
//! - What stands in nobody's way is not passed over: a key that can not go on, and what an owner
//!   does not want, is set aside, once, when its turn comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::choice::Found;
use super::super::deliver::way_bytes;
use super::super::effect::{Context, Incoming};
use super::super::entry::{BodyRef, Entry};
use super::super::ready::{Pile, Place, Source, place};
use super::super::{ConsumerSlot, Queue, Subscription};
use crate::reason::DeadLetterReason;

impl Queue {
    /// The owner of an arriving message's key, if it takes the message at once.
    pub(in crate::queue) fn owner_ready(
        &mut self,
        incoming: &Incoming,
        key: u32,
        cx: &mut Context<'_>,
    ) -> Option<(ConsumerSlot, Subscription)> {
        // The cheapest question first: in a queue with a backlog it is the last one, too.
        let group = self.shards.as_ref()?;
        let owner = group.owner(key)?;
        let first = self.ready.parts()?.first_of(Pile::of(owner.index()));
        if first.is_some() || !group.keys.is_open_to(key, owner) {
            return None;
        }
        let (slot, subscription) = self.consumers.willing_at(owner.index())?;
        let Incoming { offset, len, .. } = *incoming;
        if !self
            .consumers
            .wants(slot, &BodyRef::Staged { offset, len }, cx)
        {
            return None;
        }
        if !cx.gate.admit(subscription.id, way_bytes(incoming.size)) {
            self.consumers.gate(slot);
            return None;
        }
        Some((slot, subscription))
    }

    /// Serves all who were called.
    pub(in crate::queue) fn deliver_shards(&mut self, cx: &mut Context<'_>) {
        let mut unfinished = Vec::new();
        while let Some(consumer) = self.ready.parts().and_then(|parts| parts.next_called()) {
            if !self.deliver_pile(consumer, cx) {
                unfinished.push(consumer);
            }
        }
        if let Some(parts) = self.ready.parts() {
            unfinished
                .into_iter()
                .for_each(|consumer| parts.call(consumer));
        }
    }

    /// Hands a consumer what it can take. False if there was more to look at than may be done at
    /// once.
    fn deliver_pile(&mut self, consumer: u32, cx: &mut Context<'_>) -> bool {
        while let Some((slot, subscription)) = self.consumers.willing_at(consumer)
            && let Some((first, source)) = self.first_of(consumer)
        {
            if !self.pace_allows(cx.now) {
                return false;
            }
            if self.common_goes_first(consumer, first, cx) {
                continue;
            }
            let chosen = self.consumers.chooses(consumer);
            let Some(entry) = self.ready.parts().and_then(|parts| parts.front(source)) else {
                return true;
            };
            let (key, size) = (entry.key, entry.size);
            if entry.expired(cx.now) {
                if !self.work.one() {
                    return false;
                }
                self.expire_from(source, cx);
                continue;
            }
            let body = chosen.then(|| BodyRef::from(&entry.body));
            if self.shards.as_ref().and_then(|group| group.server(key)) != Some(slot) {
                if !self.set_aside(source, Source::Key(key)) {
                    return false;
                }
                continue;
            }
            if body.is_some_and(|body| !self.consumers.wants(slot, &body, cx)) {
                let shard = self.shard_of(key);
                if !self.set_aside(source, Source::Unwanted(shard)) {
                    return false;
                }
                continue;
            }
            if !cx.gate.admit(subscription.id, way_bytes(size)) {
                self.consumers.gate(slot);
                return true;
            }
            let entry = self.ready.parts().and_then(|parts| parts.pop(source));
            let entry = entry.expect("the front was just there");
            self.hand_to(slot, subscription, entry, cx);
        }
        true
    }

    fn first_of(&mut self, consumer: u32) -> Option<(Place, Source)> {
        self.ready.parts()?.first_of(Pile::of(consumer))
    }

    fn shard_of(&self, key: u32) -> u16 {
        let group = self.shards.as_ref();
        group.map_or(0, |group| group.shard_of(key))
    }

    /// Moves the next message of a store out of the way. False if enough was done at once.
    fn set_aside(&mut self, from: Source, to: Source) -> bool {
        let may = self.work.one();
        if may && let Some(parts) = self.ready.parts() {
            parts.pass(from, to);
        }
        may
    }

    fn expire_from(&mut self, source: Source, cx: &mut Context<'_>) {
        if let Some(entry) = self.ready.parts().and_then(|parts| parts.pop(source)) {
            self.dead_letter(entry, DeadLetterReason::Expired, cx);
        }
    }

    /// Hands out what anyone may have, if it stands before the next message of a consumer's shards
    /// and that consumer may get it. False if there is no such message.
    fn common_goes_first(&mut self, consumer: u32, next: Place, cx: &mut Context<'_>) -> bool {
        if self
            .ready
            .common_front()
            .is_none_or(|front| place(front) > next)
        {
            return false;
        }
        if !self.consumers.chooses(consumer) {
            return self.deliver_front(cx);
        }
        match self.find_wanted(consumer, cx) {
            Found::At(found, size) if found < next => self.deliver_found(consumer, found, size, cx),
            _ => false,
        }
    }

    /// Takes the first message whose key nobody has, for somebody who asks for just one.
    pub(in crate::queue) fn first_free(&mut self, cx: &mut Context<'_>) -> Option<Entry> {
        let mut open: BinaryHeap<_> = self.ready.parts()?.open().map(Reverse).collect();
        while let Some(Reverse((_, source))) = open.pop() {
            let front = self.ready.parts()?.front(source)?;
            let (key, expired) = (front.key, front.expired(cx.now));
            let own = Source::Key(key);
            if expired {
                self.expire_from(source, cx);
            } else if key == 0 || self.shards.as_ref()?.keys.is_free(key) {
                return self.ready.parts()?.pop(source);
            } else if source == own {
                continue;
            } else {
                let pile = self.shards.as_ref()?.pile_of(key);
                self.ready.parts()?.pass(source, own);
                self.ready.parts()?.move_key(key, pile);
            }
            let next = self.ready.parts()?.first_in(source);
            open.extend(next.map(|place| Reverse((place, source))));
        }
        None
    }
}
