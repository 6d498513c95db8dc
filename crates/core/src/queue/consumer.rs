//! The consumers of one queue and whose turn it is.
//!
//! Consumers of the highest priority that are willing take turns; the others wait until those
//! are not willing. A consumer is willing while its prefetch and its outlet have room and, in a
//! queue with a single active consumer, while it is the active one.
//!
//! Invariants
//! - A willing consumer stands in the line of its priority exactly once; others stand there at
//!   most once and are skipped.
//! - In a queue with a single active consumer the active one is the longest subscribed of the
//!   highest priority.
//!
//! Not here: connections, channels, consumer tags (the broker's table of outlets).

use std::collections::VecDeque;

use super::effect::ConsumerId;

/// Place of a consumer in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerSlot {
    index: u32,
    id: ConsumerId,
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
    /// Its outlet refused the last message and has not called for more yet.
    gated: bool,
    in_line: bool,
    since: u64,
}

impl Consumer {
    fn willing(&self) -> bool {
        let Subscription {
            no_ack, prefetch, ..
        } = self.subscription;
        !self.gated && (no_ack || prefetch == 0 || self.unsettled < prefetch)
    }
}

#[derive(Debug)]
struct Line {
    priority: i32,
    waiting: VecDeque<u32>,
}

/// All consumers of a queue.
#[derive(Debug, Default)]
pub struct Consumers {
    slots: Vec<Option<Consumer>>,
    lines: Vec<Line>,
    count: u32,
    arrivals: u64,
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
        self.arrivals += 1;
        let consumer = Consumer {
            subscription,
            unsettled: 0,
            gated: false,
            in_line: false,
            since: self.arrivals,
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
        if self.at(slot).is_none() {
            return false;
        }
        self.slots[slot.index as usize] = None;
        self.count -= 1;
        for line in &mut self.lines {
            line.waiting.retain(|index| *index != slot.index);
        }
        self.lines.retain(|line| !line.waiting.is_empty());
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

    /// The consumer whose turn it is, if any is willing. It keeps its turn until `served`.
    pub fn next(&mut self) -> Option<(ConsumerSlot, Subscription)> {
        loop {
            let line = self.lines.first_mut()?;
            let index = *line
                .waiting
                .front()
                .expect("a line that stands has somebody in it");
            let serves = !self.single_active || self.active == Some(index);
            let consumer = self.slots[index as usize]
                .as_mut()
                .expect("who stands in line is here");
            if serves && consumer.willing() {
                let subscription = consumer.subscription;
                return Some((
                    ConsumerSlot {
                        index,
                        id: subscription.id,
                    },
                    subscription,
                ));
            }
            consumer.in_line = false;
            line.waiting.pop_front();
            if line.waiting.is_empty() {
                self.lines.remove(0);
            }
        }
    }

    /// The consumer at the head of the line got a message: it goes to the end of the line.
    pub fn served(&mut self, slot: ConsumerSlot) {
        let consumer = self.slots[slot.index as usize]
            .as_mut()
            .expect("who is served is here");
        if !consumer.subscription.no_ack {
            consumer.unsettled += 1;
        }
        let line = self
            .lines
            .first_mut()
            .expect("who is served stands in line");
        if line.waiting.len() > 1 {
            line.waiting.rotate_left(1);
        }
    }

    /// The outlet of the consumer has no room until `resume`.
    pub fn gate(&mut self, slot: ConsumerSlot) {
        if let Some(consumer) = self.at_mut(slot) {
            consumer.gated = true;
        }
    }

    /// The outlet has room again.
    pub fn resume(&mut self, slot: ConsumerSlot) {
        if let Some(consumer) = self.at_mut(slot) {
            consumer.gated = false;
            self.line_up(slot.index);
        }
    }

    /// A message of the consumer was settled.
    pub fn settled(&mut self, slot: ConsumerSlot) {
        if let Some(consumer) = self.at_mut(slot) {
            consumer.unsettled -= 1;
            self.line_up(slot.index);
        }
    }

    fn line_up(&mut self, index: u32) {
        if self.single_active && self.active != Some(index) {
            return;
        }
        let consumer = self.slots[index as usize]
            .as_mut()
            .expect("who lines up is here");
        if consumer.in_line || !consumer.willing() {
            return;
        }
        consumer.in_line = true;
        let priority = consumer.subscription.priority;
        let place = self.lines.partition_point(|line| line.priority > priority);
        match self
            .lines
            .get_mut(place)
            .filter(|line| line.priority == priority)
        {
            Some(line) => line.waiting.push_back(index),
            None => self.lines.insert(
                place,
                Line {
                    priority,
                    waiting: [index].into(),
                },
            ),
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

    fn at(&self, slot: ConsumerSlot) -> Option<&Consumer> {
        let consumer = self.slots.get(slot.index as usize)?.as_ref()?;
        Some(consumer).filter(|consumer| consumer.subscription.id == slot.id)
    }

    fn at_mut(&mut self, slot: ConsumerSlot) -> Option<&mut Consumer> {
        let consumer = self.slots.get_mut(slot.index as usize)?.as_mut()?;
        Some(consumer).filter(|consumer| consumer.subscription.id == slot.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(id: u64, priority: i32, prefetch: u32) -> Subscription {
        Subscription {
            id: ConsumerId(id),
            no_ack: prefetch == 0,
            exclusive: false,
            priority,
            prefetch,
        }
    }

    fn serve(consumers: &mut Consumers) -> Option<u64> {
        let (slot, subscription) = consumers.next()?;
        consumers.served(slot);
        Some(subscription.id.0)
    }

    #[test]
    fn equals_take_turns_and_a_higher_priority_goes_first() {
        let mut consumers = Consumers::default();
        for (id, priority, prefetch) in [(1, 0, 0), (2, 0, 0), (3, 5, 2)] {
            consumers.add(subscription(id, priority, prefetch)).unwrap();
        }
        let turns: Vec<_> = (0..6).filter_map(|_| serve(&mut consumers)).collect();
        assert_eq!(turns, [3, 3, 1, 2, 1, 2]);
    }

    #[test]
    fn a_full_prefetch_waits_until_something_is_settled() {
        let mut consumers = Consumers::default();
        let slot = consumers.add(subscription(1, 0, 1)).unwrap();
        assert_eq!(serve(&mut consumers), Some(1));
        assert_eq!(serve(&mut consumers), None);
        consumers.settled(slot);
        assert_eq!(serve(&mut consumers), Some(1));
    }

    #[test]
    fn a_gated_consumer_is_passed_over_until_it_resumes() {
        let mut consumers = Consumers::default();
        let first = consumers.add(subscription(1, 0, 0)).unwrap();
        consumers.add(subscription(2, 0, 0)).unwrap();
        consumers.gate(first);
        assert_eq!(serve(&mut consumers), Some(2));
        assert_eq!(serve(&mut consumers), Some(2));
        consumers.resume(first);
        let turns: Vec<_> = (0..4).filter_map(|_| serve(&mut consumers)).collect();
        assert_eq!(turns, [2, 1, 2, 1]);
    }

    #[test]
    fn exclusive_means_alone() {
        let mut consumers = Consumers::default();
        let exclusive = Subscription {
            exclusive: true,
            ..subscription(1, 0, 0)
        };
        let slot = consumers.add(exclusive).unwrap();
        let refused = consumers.add(subscription(2, 0, 0));
        assert_eq!(refused, Err(SubscribeError::ExclusiveHeld));
        assert!(consumers.remove(slot));
        consumers.add(subscription(2, 0, 0)).unwrap();
        assert_eq!(consumers.add(exclusive), Err(SubscribeError::InUse));
    }

    #[test]
    fn a_single_active_consumer_keeps_its_place_until_it_goes() {
        let mut consumers = Consumers::new(true);
        let first = consumers.add(subscription(1, 0, 1)).unwrap();
        let second = consumers.add(subscription(2, 0, 1)).unwrap();
        consumers.add(subscription(3, 9, 1)).unwrap();
        assert_eq!(consumers.active(), Some(ConsumerId(1)));
        assert_eq!(serve(&mut consumers), Some(1));
        assert_eq!(serve(&mut consumers), None);
        consumers.remove(first);
        assert_eq!(consumers.active(), Some(ConsumerId(3)));
        assert_eq!(serve(&mut consumers), Some(3));
        assert!(!consumers.remove(first));
        consumers.remove(second);
        assert_eq!(consumers.count(), 1);
    }
}
