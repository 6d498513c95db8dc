//! The consumers of one queue and whose turn it is.
//!
//! Of the willing consumers of the highest priority the one with the fewest unsettled messages
//! is served; equals take turns. The others wait until those are not willing. A consumer is
//! willing while its prefetch and its outlet have room and, in a queue with a single active
//! consumer, while it is the active one.
//!
//! Invariants
//! - Who stands in line is willing, and who is willing stands in line.
//! - Unsettled messages are counted up by `served` and down by `settled`, and nowhere else.
//! - In a queue with a single active consumer the active one is the longest subscribed of the
//!   highest priority.
//!
//! Not here: connections, channels, consumer tags (the broker's table of outlets).

use super::effect::ConsumerId;
use super::line::{Line, Turn};

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

#[derive(Debug)]
struct Consumer {
    subscription: Subscription,
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
    fn line_up(&self, index: u32, line: &mut Line) {
        if self.willing() {
            line.put(index, self.turn());
        } else {
            line.remove(index);
        }
    }
}

/// All consumers of a queue.
#[derive(Debug, Default)]
pub struct Consumers {
    slots: Vec<Option<Consumer>>,
    line: Line,
    count: u32,
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
    pub fn new(single_active: bool) -> Consumers {
        Consumers {
            single_active,
            ..Consumers::default()
        }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Lets a consumer in.
    pub fn add(&mut self, subscription: Subscription) -> Result<ConsumerSlot, SubscribeError> {
        if self.iter().any(|consumer| consumer.subscription.exclusive) {
            return Err(SubscribeError::ExclusiveHeld);
        }
        if subscription.exclusive && (self.count > 0 || self.single_active) {
            return Err(SubscribeError::InUse);
        }
        self.moments += 1;
        let unlimited = subscription.no_ack || subscription.prefetch == 0;
        let consumer = Consumer {
            subscription,
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
        let index = match self.slots.iter().position(Option::is_none) {
            Some(index) => {
                self.slots[index] = Some(consumer);
                index
            }
            None => {
                self.slots.push(Some(consumer));
                self.slots.len() - 1
            }
        };
        self.count += 1;
        self.elect();
        self.line_up(index as u32);
        Ok(ConsumerSlot {
            index: index as u32,
            id: subscription.id,
        })
    }

    /// Lets a consumer go; what it holds stays leased.
    pub fn remove(&mut self, slot: ConsumerSlot) -> bool {
        if find(&mut self.slots, slot).is_none() {
            return false;
        }
        self.slots[slot.index as usize] = None;
        self.count -= 1;
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
        self.slots[index as usize]
            .as_ref()
            .map(|consumer| consumer.subscription.id)
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

    fn standing(&self, index: u32) -> (ConsumerSlot, Subscription) {
        let consumer = self.slots[index as usize]
            .as_ref()
            .expect("who stands in line is here");
        let subscription = consumer.subscription;
        let id = subscription.id;
        (ConsumerSlot { index, id }, subscription)
    }

    /// The consumer whose turn it was got a message.
    pub fn served(&mut self, slot: ConsumerSlot) {
        self.moments += 1;
        let consumer = self.slots[slot.index as usize]
            .as_mut()
            .expect("who is served is here");
        consumer.unsettled += u32::from(!consumer.subscription.no_ack);
        consumer.waiting_since = self.moments;
        consumer.line_up(slot.index, &mut self.line);
    }

    /// The outlet of the consumer has no room until `resume`.
    pub fn gate(&mut self, slot: ConsumerSlot) {
        if let Some(consumer) = find(&mut self.slots, slot) {
            consumer.gated = true;
            self.line.remove(slot.index);
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
                consumer.line_up(slot.index, &mut self.line);
            }
        }
    }

    fn serves(&self, index: u32) -> bool {
        !self.single_active || self.active == Some(index)
    }

    fn line_up(&mut self, index: u32) {
        if self.serves(index) {
            let consumer = self.slots[index as usize]
                .as_ref()
                .expect("who lines up is here");
            consumer.line_up(index, &mut self.line);
        }
    }

    fn elect(&mut self) {
        if !self.single_active || self.active.is_some() {
            return;
        }
        let best = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, consumer)| {
                let consumer = consumer.as_ref()?;
                Some((
                    std::cmp::Reverse(consumer.subscription.priority),
                    consumer.since,
                    index,
                ))
            });
        self.active = best.min().map(|(_, _, index)| index as u32);
    }

    fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.slots.iter().flatten()
    }
}

fn find(slots: &mut [Option<Consumer>], slot: ConsumerSlot) -> Option<&mut Consumer> {
    let consumer = slots.get_mut(slot.index as usize)?.as_mut()?;
    Some(consumer).filter(|consumer| consumer.subscription.id == slot.id)
}

#[cfg(test)]
mod tests;
