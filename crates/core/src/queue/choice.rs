//! Consumers that want some messages only.
//!
//! They do not stand in line. Who is willing and has seen everything that is ready is **caught
//! up**: it is offered what arrives and what comes back. Who is not looks for what it wants from
//! where it stopped, each message once, a bounded number of them at one time.
//!
//! Invariants
//! - Nothing that is ready is wanted by anyone who is caught up, but for what is `fresh`.
//! - Whoever is caught up is willing. Whoever is willing and not caught up stands in `behind`.
//! - A message that came back is offered to those who are caught up, and then stands in `back`
//!   for all others.
//!
//! Not here: what a filter says (`filter`), those who want everything (`line`).

mod search;

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

use super::Queue;
use super::consumer::{ConsumerSlot, Subscription};
use super::deliver::way_bytes;
use super::effect::{Context, Incoming};
use super::entry::{BodyRef, Entry};
use super::line::{Line, Turn};
use super::ready::{Place, place};
use crate::Millis;
use crate::filter::{Filter, FilterIndex};
use crate::reason::DeadLetterReason;
use crate::view::MessageView;
pub use search::{Found, Search, wants};

/// Messages that are looked at in vain in one tick, so that nobody waits long for the partition.
pub const TRIES_MAX: u32 = 1024;

/// Messages that came back and are remembered for those who were not willing then. Who missed more
/// begins again.
const BACK_MAX: usize = 4096;

/// Messages that are remembered until they are offered. If there are more everybody looks for them
/// alone.
pub const FRESH_MAX: usize = 4096;

/// How much more may be looked at, at one time.
#[derive(Debug, Default)]
pub struct Work {
    at: Millis,
    left: u32,
    unfinished: bool,
}

impl Work {
    /// Some time may have passed.
    pub fn at(&mut self, now: Millis) {
        if now != self.at {
            self.tick(now);
        }
    }

    /// The next part may be done.
    pub fn tick(&mut self, now: Millis) {
        (self.at, self.left, self.unfinished) = (now, TRIES_MAX, false);
    }

    /// Whether one more may be looked at. If not the next tick goes on.
    pub fn one(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.unfinished = true,
        }
        !self.unfinished
    }

    /// When to go on, if something is left to do.
    pub fn next(&self) -> Option<Millis> {
        self.unfinished.then_some(self.at)
    }
}

/// The consumers of one queue that want some messages only, by the index of their slot.
#[derive(Debug, Default)]
pub struct Choosers {
    filters: FilterIndex<u32>,
    behind: Line,
    /// What came in or back and was offered to nobody yet.
    pub(super) fresh: BTreeSet<Place>,
    /// What came back.
    back: VecDeque<Place>,
    /// How many there were before the first of `back`.
    forgotten: u64,
    /// Those who are caught up have seen all messages before this one.
    horizon: u64,
}

impl Choosers {
    /// Whether there is none left.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// One more.
    pub fn add(&mut self, index: u32, filter: &Filter) -> Search {
        self.filters.insert(filter, index);
        Search::new(self.noted())
    }

    /// One goes.
    pub fn remove(&mut self, index: u32, filter: &Filter) {
        self.filters.remove(filter, &index);
        self.behind.remove(index);
    }

    /// One became willing or unwilling, or its turn has changed.
    pub fn line_up(&mut self, index: u32, willing: bool, turn: Turn, search: &mut Search) {
        if !willing {
            self.behind.remove(index);
            search.fall_behind(self.horizon, self.noted());
        } else if !search.is_caught_up() {
            self.behind.put(index, turn);
        }
    }

    /// The first of those who are willing and not caught up.
    pub fn first_behind(&self) -> Option<u32> {
        self.behind.first()
    }

    /// One has nothing left to look at.
    pub fn caught_up(&mut self, index: u32) {
        self.behind.remove(index);
    }

    /// Forgets what is fresh. Says where the first of it stands, for all to look from there on.
    fn forget_fresh(&mut self) -> u64 {
        let fresh = std::mem::take(&mut self.fresh);
        fresh.into_iter().map(|(_, seq)| seq).min().unwrap_or(0)
    }

    /// How many messages came back so far.
    pub fn noted(&self) -> u64 {
        self.forgotten + self.back.len() as u64
    }

    fn note_back(&mut self, place: Place) {
        if self.back.len() == BACK_MAX {
            self.back.pop_front();
            self.forgotten += 1;
        }
        self.back.push_back(place);
    }

    /// The one whose turn is first of those who are caught up and want the message.
    pub fn best(
        &self,
        message: &dyn MessageView,
        rank: impl Fn(u32) -> Option<Rank>,
    ) -> Option<(Rank, u32)> {
        let mut best: Option<(Rank, u32)> = None;
        self.filters.candidates(message, |filter, index| {
            if let Some(rank) = rank(*index)
                && best.is_none_or(|(first, _)| rank < first)
                && filter.matches(message)
            {
                best = Some((rank, *index));
            }
        });
        best
    }
}

/// Who is served before whom: who gave the message back comes last.
pub type Rank = (bool, Turn);

impl Queue {
    /// Whether messages are handed out by more than whose turn it is.
    #[inline]
    pub(super) fn is_choosy(&self) -> bool {
        self.shards.is_some() || self.consumers.choosers.is_some()
    }

    fn is_common(&self, entry: &Entry) -> bool {
        entry.key == 0 || self.shards.is_none()
    }

    /// Puts a message that was out back at its place.
    pub(super) fn put_back(&mut self, entry: Entry) {
        self.note_fresh(&entry);
        self.ready.put_back(entry);
    }

    /// Adds a message at the end that nobody was offered.
    pub(super) fn append(&mut self, entry: Entry) {
        self.note_fresh(&entry);
        self.ready.push_back(entry);
    }

    fn note_fresh(&mut self, entry: &Entry) {
        let common = self.is_common(entry);
        if let Some(choosers) = &mut self.consumers.choosers
            && common
        {
            choosers.fresh.insert(place(entry));
            if choosers.fresh.len() > FRESH_MAX {
                let first = choosers.forget_fresh();
                self.consumers.search_again(first);
            }
        }
    }

    /// Takes in a message: straight to a consumer that may have it and wants it, or to its place.
    pub(super) fn take_in_chosen(&mut self, incoming: &Incoming, key: u32, cx: &mut Context<'_>) {
        let common = key == 0 || self.shards.is_none();
        // Whoever waited for the end of a pause is served first.
        let paused = self.pace_resumes(cx.now) || !self.pace_allows(cx.now);
        let choosers = self.consumers.choosers.as_mut();
        let unseen = choosers.is_some_and(|choosers| {
            choosers.horizon = self.next_seq;
            common && (paused || !choosers.fresh.is_empty())
        });
        let taker = match common {
            _ if unseen || paused => None,
            true => self.taker_ready(incoming, cx),
            false => self.owner_ready(incoming, key, cx),
        };
        if let Some((slot, subscription)) = taker {
            return self.pass_to(slot, subscription, incoming, key, cx);
        }
        let entry = self.admit_keyed(incoming, key, 0, cx);
        *cx.memory += entry.memory_bytes() as i64;
        match unseen {
            true => self.append(entry),
            false => self.ready.push_back(entry),
        }
        self.deliver_ready(cx);
        self.drop_overflow(cx);
    }

    /// Who takes an arriving message that may go to anyone, if somebody does at once.
    fn taker_ready(
        &mut self,
        incoming: &Incoming,
        cx: &mut Context<'_>,
    ) -> Option<(ConsumerSlot, Subscription)> {
        let Incoming { offset, len, .. } = *incoming;
        let alone = self.ready.common().count() == 0;
        self.choose(
            &BodyRef::Staged { offset, len },
            incoming.size,
            0,
            alone,
            cx,
        )
    }

    /// Whose turn it is of those who want a message and can take it; of those who want everything
    /// only if `all`.
    fn choose(
        &mut self,
        body: &BodyRef,
        size: u32,
        avoid: u32,
        all: bool,
        cx: &mut Context<'_>,
    ) -> Option<(ConsumerSlot, Subscription)> {
        loop {
            let mut best = match all {
                true => self.consumers.next_ranked(avoid),
                false => None,
            };
            if self.consumers.choosers.is_some() {
                cx.lens.show(cx.staged, body, &mut |message| {
                    let chooser = self.consumers.best_chooser(message, avoid);
                    best = best.into_iter().chain(chooser).min();
                });
            }
            let (slot, subscription) = self.consumers.standing(best?.1);
            if cx.gate.admit(subscription.id, way_bytes(size)) {
                return Some((slot, subscription));
            }
            self.consumers.gate(slot);
        }
    }

    /// Hands messages out where some consumers want some messages only, or each to its own.
    pub(super) fn deliver_chosen(&mut self, cx: &mut Context<'_>) {
        self.work.at(cx.now);
        if let Some(choosers) = &mut self.consumers.choosers {
            choosers.horizon = self.next_seq;
        }
        if self.shards.is_some() {
            self.deliver_shards(cx);
        }
        if self.consumers.choosers.is_none() && self.ready.common().count() == 0 {
            return;
        }
        while self.deliver_common(cx) {}
    }

    /// Hands out one message that may go to anyone, or finds out more about who wants one. False
    /// if nothing is left to do.
    fn deliver_common(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.pace_allows(cx.now) {
            return false;
        }
        if let Some(choosers) = &mut self.consumers.choosers
            && let Some(place) = choosers.fresh.first().copied()
        {
            return self.offer(place, cx);
        }
        if self.deliver_front(cx) {
            return true;
        }
        let Some(index) = self.consumers.first_behind() else {
            return false;
        };
        match self.find_wanted(index, cx) {
            Found::At(place, size) => {
                self.deliver_found(index, place, size, cx);
                true
            }
            Found::Nothing => true,
            Found::Later => false,
        }
    }

    /// Offers a message that came back to those who are willing. False if enough was done at once.
    fn offer(&mut self, place: Place, cx: &mut Context<'_>) -> bool {
        if !self.work.one() {
            return false;
        }
        let (Reverse(priority), seq) = place;
        let entry = self.ready.common().get(priority, seq);
        let entry = entry.filter(|entry| !entry.expired(cx.now));
        let Some(choosers) = &mut self.consumers.choosers else {
            return false;
        };
        choosers.fresh.remove(&place);
        if let Some(entry) = entry {
            let is_first = self
                .ready
                .common_front()
                .is_some_and(|front| front.seq == seq);
            let body = BodyRef::from(&entry.body);
            let taker = self.choose(&body, entry.size, entry.returned_by, is_first, cx);
            if let Some((slot, subscription)) = taker {
                self.hand_from_common(slot, subscription, place, cx);
            } else if let Some(choosers) = &mut self.consumers.choosers {
                // Behind those who were found to have no room for it.
                choosers.note_back(place);
            }
        }
        true
    }

    /// Hands the first message that may go to anyone to somebody who wants everything.
    pub(super) fn deliver_front(&mut self, cx: &mut Context<'_>) -> bool {
        while let Some(front) = self.ready.common_front() {
            let (size, avoid, expired) = (front.size, front.returned_by, front.expired(cx.now));
            let first = place(front);
            if expired {
                if !self.work.one() {
                    return false;
                }
                let entry = self.ready.take_common(first);
                let entry = entry.expect("the front was just there");
                self.dead_letter(entry, DeadLetterReason::Expired, cx);
                continue;
            }
            let Some((slot, subscription)) = self.willing(size, avoid, cx) else {
                return false;
            };
            self.hand_from_common(slot, subscription, first, cx);
            return true;
        }
        false
    }

    /// Hands a message that a consumer was found to want to it. False if its way out is full.
    pub(super) fn deliver_found(
        &mut self,
        index: u32,
        place: Place,
        size: u32,
        cx: &mut Context<'_>,
    ) -> bool {
        let (slot, subscription) = self.consumers.standing(index);
        let admitted = cx.gate.admit(subscription.id, way_bytes(size));
        match admitted {
            true => self.hand_from_common(slot, subscription, place, cx),
            false => self.consumers.gate(slot),
        }
        admitted
    }

    fn hand_from_common(
        &mut self,
        slot: ConsumerSlot,
        subscription: Subscription,
        place: Place,
        cx: &mut Context<'_>,
    ) {
        let entry = self.ready.take_common(place);
        let entry = entry.expect("the message was just there");
        self.hand_to(slot, subscription, entry, cx);
    }

    /// The first message that may go to anyone and that this consumer wants.
    pub(super) fn find_wanted(&mut self, index: u32, cx: &Context<'_>) -> Found {
        let Queue {
            ready,
            consumers,
            work,
            ..
        } = self;
        consumers.search(index, ready.common(), work, cx)
    }
}
