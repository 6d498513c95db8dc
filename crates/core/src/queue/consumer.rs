//! The consumers of one queue and whose turn it is.
//!
//! Of the willing consumers of the highest priority the one with the fewest unsettled messages
//! is served; equals take turns. The others wait until those are not willing. A consumer is
//! willing while its prefetch and its outlet have room and, in a queue with a single active
//! consumer, while it is the active one. Who wants some messages only does not stand in line
//! (`choice`).
//!
//! Invariants
//! - Who stands in line is willing, and who is willing and wants everything stands in line.
//! - Unsettled messages are counted up by `served` and down by `settled`, and nowhere else.
//! - In a queue with a single active consumer the active one is the longest subscribed of the
//!   highest priority.
//!
//! Not here: connections, channels, consumer tags (the broker's table of outlets).

use slab::Slab;

use super::choice::{Choosers, Found, Rank, Search, Work, wants};
use super::effect::{ConsumerId, Context};
use super::entry::BodyRef;
use super::line::{Line, Turn};
use super::ready::Levels;
use crate::Millis;
use crate::filter::Filter;
use crate::view::MessageView;

/// Place of a consumer in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerSlot {
    index: u32,
    id: ConsumerId,
}

impl ConsumerSlot {
    /// The consumer.
    pub fn id(self) -> ConsumerId {
        self.id
    }

    /// Its place, which another one may have after it.
    pub(super) fn index(self) -> u32 {
        self.index
    }

    /// What a message keeps of the consumer that gave it back, to go to another one first:
    /// the low half of its id.
    pub fn preference(self) -> u32 {
        self.id.0 as u32
    }
}

/// What a consumer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    /// Its name within the partition.
    pub id: ConsumerId,
    /// Whether deliveries need no settling.
    pub no_ack: bool,
    /// Whether nobody else may consume.
    pub exclusive: bool,
    /// Higher is served first.
    pub priority: i32,
    /// Most unsettled messages; 0 for no limit.
    pub prefetch: u32,
}

/// Where the reader of a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamOffset {
    /// At the oldest message that is kept.
    First,
    /// At the last part that was appended.
    Last,
    /// With what is appended from now on.
    #[default]
    Next,
    /// At that place; messages are counted from 0.
    Offset(u64),
    /// At the first message that was appended at that time or later.
    Timestamp(Millis),
}

/// Which messages a consumer wants.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// What they must satisfy; none for all.
    pub filter: Option<Filter>,
    /// Where it begins, in a stream.
    pub offset: StreamOffset,
}

#[derive(Debug)]
struct Consumer {
    subscription: Subscription,
    choice: Choice,
    /// Where it is in looking for what it wants, if it does not want everything.
    search: Option<Box<Search>>,
    unsettled: u32,
    /// Its prefetch; all there is if it has none.
    unsettled_max: u32,
    /// Its outlet refused the last message and has not called for more yet.
    gated: bool,
    /// When it subscribed, on the count of `moments`.
    since: u64,
    /// When it was served last or, after that, came or resumed.
    waiting_since: u64,
}

impl Consumer {
    fn willing(&self) -> bool {
        !self.gated && self.unsettled < self.unsettled_max
    }

    fn turn(&self) -> Turn {
        let priority = self.subscription.priority;
        Turn::new(priority, self.unsettled, self.waiting_since)
    }

    /// Takes its place in line, or leaves the line.
    fn line_up(&mut self, index: u32, line: &mut Line, choosers: &mut Option<Box<Choosers>>) {
        let willing = self.willing();
        if self.search.is_some() {
            self.line_up_chooser(index, choosers);
        } else if willing {
            line.put(index, self.turn());
        } else {
            line.remove(index);
        }
    }

    #[inline(never)]
    fn line_up_chooser(&mut self, index: u32, choosers: &mut Option<Box<Choosers>>) {
        let (willing, turn) = (self.willing(), self.turn());
        if let (Some(search), Some(choosers)) = (&mut self.search, choosers) {
            choosers.line_up(index, willing, turn, search);
        }
    }

    fn is_caught_up(&self) -> bool {
        let search = self.search.as_ref();
        search.is_some_and(|search| search.is_caught_up())
    }

    fn slot(&self, index: u32) -> ConsumerSlot {
        let id = self.subscription.id;
        ConsumerSlot { index, id }
    }

    /// Whose turn it is, those last who had the message of `avoid` before.
    fn rank(&self, avoid: u32) -> Rank {
        let had_it = avoid != 0 && self.slot(0).preference() == avoid;
        (had_it, self.turn())
    }
}

/// Places of consumers that are kept for the next.
const SLOTS_KEPT: usize = 16;

/// All consumers of a queue.
#[derive(Debug, Default)]
pub struct Consumers {
    slots: Slab<Consumer>,
    line: Line,
    /// Those who want some messages only, if there are such.
    pub(super) choosers: Option<Box<Choosers>>,
    /// Grows with each arrival, service and resumption.
    moments: u64,
    single_active: bool,
    active: Option<u32>,
}

/// Why a consumer was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// It wants the queue for itself, which others consume or the queue itself arranges.
    #[error("the queue has consumers already")]
    InUse,
    /// Another one has the queue for itself.
    #[error("another consumer has exclusive access")]
    ExclusiveHeld,
}

impl Consumers {
    /// No consumers yet.
    pub const fn new(single_active: bool) -> Consumers {
        Consumers {
            slots: Slab::new(),
            line: Line::new(),
            choosers: None,
            moments: 0,
            single_active,
            active: None,
        }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Lets a consumer in.
    pub fn add(
        &mut self,
        subscription: Subscription,
        choice: Choice,
    ) -> Result<ConsumerSlot, SubscribeError> {
        // Who is exclusive is alone.
        let is_exclusive = |consumer: &Consumer| consumer.subscription.exclusive;
        if self.slots.len() == 1 && self.iter().any(is_exclusive) {
            return Err(SubscribeError::ExclusiveHeld);
        }
        if subscription.exclusive && (!self.slots.is_empty() || self.single_active) {
            return Err(SubscribeError::InUse);
        }
        self.moments += 1;
        let unlimited = subscription.no_ack || subscription.prefetch == 0;
        let consumer = Consumer {
            subscription,
            choice,
            search: None,
            unsettled: 0,
            unsettled_max: if unlimited {
                u32::MAX
            } else {
                subscription.prefetch
            },
            gated: false,
            since: self.moments,
            waiting_since: self.moments,
        };
        let index = self.slots.insert(consumer) as u32;
        self.elect();
        self.begin_search(index);
        self.line_up(index);
        Ok(ConsumerSlot {
            index,
            id: subscription.id,
        })
    }

    /// Lets a consumer go; what it holds stays leased.
    pub fn remove(&mut self, slot: ConsumerSlot) -> bool {
        let Some(consumer) = find(&mut self.slots, slot) else {
            return false;
        };
        if let (Some(filter), Some(choosers)) = (&consumer.choice.filter, &mut self.choosers) {
            choosers.remove(slot.index, filter);
            if choosers.is_empty() {
                self.choosers = None;
            }
        }
        self.slots.remove(slot.index as usize);
        if self.slots.capacity() > SLOTS_KEPT.max(4 * self.slots.len()) {
            self.slots.shrink_to_fit();
        }
        self.line.remove(slot.index);
        if self.active == Some(slot.index) {
            self.active = None;
        }
        self.elect();
        if let Some(active) = self.active {
            self.line_up(active);
        }
        true
    }

    /// All, by place.
    pub fn ids(&self) -> impl Iterator<Item = ConsumerId> {
        self.iter().map(|consumer| consumer.subscription.id)
    }

    /// The active one of a queue with a single active consumer.
    pub fn active(&self) -> Option<ConsumerId> {
        let index = self.active?;
        self.at(index).map(|consumer| consumer.subscription.id)
    }

    /// The consumer whose turn it is, if any is willing: another one than the one of the
    /// preference `avoid` if there is another, of whatever priority. It keeps its turn until
    /// `served`.
    pub fn next(&self, avoid: u32) -> Option<(ConsumerSlot, Subscription)> {
        let first = self.line.first()?;
        let (slot, subscription) = self.standing(first);
        if avoid == 0 || slot.preference() != avoid {
            return Some((slot, subscription));
        }
        Some(self.standing(self.line.second().unwrap_or(first)))
    }

    pub(super) fn standing(&self, index: u32) -> (ConsumerSlot, Subscription) {
        let consumer = self.at(index).expect("who stands in line is here");
        let subscription = consumer.subscription;
        let id = subscription.id;
        (ConsumerSlot { index, id }, subscription)
    }

    /// The consumer whose turn it was got a message.
    pub fn served(&mut self, slot: ConsumerSlot) {
        self.moments += 1;
        let served = self.slots.get_mut(slot.index as usize);
        let consumer = served.expect("who is served is here");
        consumer.unsettled += u32::from(!consumer.subscription.no_ack);
        consumer.waiting_since = self.moments;
        consumer.line_up(slot.index, &mut self.line, &mut self.choosers);
    }

    /// The outlet of the consumer has no room until `resume`.
    pub fn gate(&mut self, slot: ConsumerSlot) {
        if let Some(consumer) = find(&mut self.slots, slot) {
            consumer.gated = true;
            consumer.line_up(slot.index, &mut self.line, &mut self.choosers);
        }
    }

    /// The outlet has room again. Of equals, those who waited go before its consumer.
    pub fn resume(&mut self, slot: ConsumerSlot) {
        let Some(consumer) = find(&mut self.slots, slot).filter(|consumer| consumer.gated) else {
            return;
        };
        self.moments += 1;
        consumer.gated = false;
        consumer.waiting_since = self.moments;
        self.line_up(slot.index);
    }

    /// A message of the consumer was settled.
    pub fn settled(&mut self, slot: ConsumerSlot) {
        let serves = self.serves(slot.index);
        if let Some(consumer) = find(&mut self.slots, slot) {
            consumer.unsettled -= 1;
            if serves {
                consumer.line_up(slot.index, &mut self.line, &mut self.choosers);
            }
        }
    }

    fn serves(&self, index: u32) -> bool {
        !self.single_active || self.active == Some(index)
    }

    fn line_up(&mut self, index: u32) {
        if self.serves(index) {
            let consumer = self.slots.get_mut(index as usize);
            let consumer = consumer.expect("who lines up is here");
            consumer.line_up(index, &mut self.line, &mut self.choosers);
        }
    }

    fn elect(&mut self) {
        if !self.single_active || self.active.is_some() {
            return;
        }
        let best = self.slots.iter().map(|(index, consumer)| {
            let priority = std::cmp::Reverse(consumer.subscription.priority);
            (priority, consumer.since, index)
        });
        self.active = best.min().map(|(_, _, index)| index as u32);
    }

    fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.slots.iter().map(|(_, consumer)| consumer)
    }

    fn at(&self, index: u32) -> Option<&Consumer> {
        self.slots.get(index as usize)
    }

    /// The consumer of that place, if it is willing.
    pub fn willing_at(&self, index: u32) -> Option<(ConsumerSlot, Subscription)> {
        let consumer = self.at(index)?;
        let willing = consumer.willing() && self.serves(index);
        willing.then(|| (consumer.slot(index), consumer.subscription))
    }

    /// Those of the highest priority, or the active one where only one is served.
    pub fn leading(&self) -> Vec<ConsumerSlot> {
        let highest = self.iter().map(|consumer| consumer.subscription.priority);
        let highest = highest.max();
        let leads = |(index, consumer): (usize, &Consumer)| {
            let index = index as u32;
            let leads = match self.single_active {
                true => self.active == Some(index),
                false => Some(consumer.subscription.priority) == highest,
            };
            leads.then(|| consumer.slot(index))
        };
        self.slots.iter().filter_map(leads).collect()
    }

    /// Whether the consumer of that place wants some messages only.
    pub fn chooses(&self, index: u32) -> bool {
        self.at(index)
            .is_some_and(|consumer| consumer.search.is_some())
    }

    /// Whether the consumer wants the message of a body.
    pub fn wants(&self, slot: ConsumerSlot, body: &BodyRef, cx: &Context<'_>) -> bool {
        let filter = self
            .at(slot.index)
            .and_then(|consumer| consumer.choice.filter.as_ref());
        filter.is_none_or(|filter| wants(filter, body, cx))
    }

    fn begin_search(&mut self, index: u32) {
        if let Some(consumer) = self.slots.get_mut(index as usize)
            && let Some(filter) = &consumer.choice.filter
        {
            let choosers = self.choosers.get_or_insert_default();
            consumer.search = Some(Box::new(choosers.add(index, filter)));
        }
    }

    /// Those who want some messages only look again at all that is ready from `first` on.
    pub fn search_again(&mut self, first: u64) {
        let Some(noted) = self.choosers.as_ref().map(|choosers| choosers.noted()) else {
            return;
        };
        let mut again = Vec::new();
        for (index, consumer) in &mut self.slots {
            if let Some(search) = &mut consumer.search {
                search.go_back_to(first, noted);
                again.push(index as u32);
            }
        }
        again.into_iter().for_each(|index| self.line_up(index));
    }

    /// The first of those who are willing and have something left to look at.
    pub fn first_behind(&self) -> Option<u32> {
        self.choosers.as_ref()?.first_behind()
    }

    /// Lets the consumer of that place look for the first message of `store` that it wants.
    pub fn search(
        &mut self,
        index: u32,
        store: &Levels,
        work: &mut Work,
        cx: &Context<'_>,
    ) -> Found {
        let Some(choosers) = &mut self.choosers else {
            return Found::Nothing;
        };
        let consumer = self.slots.get_mut(index as usize);
        let Some(consumer) = consumer.filter(|consumer| !consumer.is_caught_up()) else {
            return Found::Nothing;
        };
        let (Some(search), Some(filter)) = (&mut consumer.search, &consumer.choice.filter) else {
            return Found::Nothing;
        };
        let found = search.go_on(filter, choosers, store, work, cx);
        if found == Found::Nothing {
            choosers.caught_up(index);
        }
        found
    }

    /// Whose turn it is of those who want everything.
    pub fn next_ranked(&self, avoid: u32) -> Option<(Rank, u32)> {
        let (slot, _) = self.next(avoid)?;
        let consumer = self.at(slot.index)?;
        Some((consumer.rank(avoid), slot.index))
    }

    /// Whose turn it is of those who are caught up and want the message.
    pub fn best_chooser(&self, message: &dyn MessageView, avoid: u32) -> Option<(Rank, u32)> {
        let rank = |index| {
            let consumer = self.at(index).filter(|consumer| consumer.is_caught_up())?;
            Some(consumer.rank(avoid))
        };
        self.choosers.as_ref()?.best(message, rank)
    }
}

fn find(slots: &mut Slab<Consumer>, slot: ConsumerSlot) -> Option<&mut Consumer> {
    let consumer = slots.get_mut(slot.index as usize)?;
    Some(consumer).filter(|consumer| consumer.subscription.id == slot.id)
}

#[cfg(test)]
mod tests;
