//! What each topic has retained, one value after the other.
//!
//! Invariants
//! - One client publishes to a topic, so its values have an order; an empty one removes what is
//!   there.
//! - What a topic has is never older than the newest value that was confirmed.

use std::collections::BTreeMap;

use crate::{Checked, violated};

/// Topics: `r/0`, `r/1` and so on.
pub(in crate::wire) const TOPICS: usize = 4;

/// One topic.
#[derive(Debug, Default)]
struct Topic {
    /// All values: numbers of messages, or none for an empty one.
    values: Vec<Option<u64>>,
    /// How many of them are at least as old as the newest that was confirmed.
    confirmed: usize,
}

/// All topics.
#[derive(Debug, Default)]
pub(in crate::wire) struct RetainedBook {
    topics: [Topic; TOPICS],
    /// Topic and place among its values, by number.
    of: BTreeMap<u64, (usize, usize)>,
    next: u64,
}

impl RetainedBook {
    /// A topic is to have a value, or none; gives the value's number and its place.
    pub(super) fn set(&mut self, topic: usize, is_empty: bool) -> (u64, usize) {
        self.next += 1;
        let (id, values) = (self.next, &mut self.topics[topic].values);
        values.push((!is_empty).then_some(id));
        self.of.insert(id, (topic, values.len()));
        (id, values.len())
    }

    /// The value at that place was confirmed.
    pub(super) fn confirm(&mut self, topic: usize, place: usize) {
        let topic = &mut self.topics[topic];
        topic.confirmed = topic.confirmed.max(place);
    }

    /// For each topic, the place that nothing may be older than.
    pub(super) fn floor(&self) -> [usize; TOPICS] {
        std::array::from_fn(|topic| self.topics[topic].confirmed)
    }

    /// The place of a value among those of its topic.
    pub(super) fn place(&self, topic: usize, id: u64) -> Checked<usize> {
        match self.of.get(&id) {
            Some((known, place)) if *known == topic => Ok(*place),
            other => violated!("topic {topic} has {id}, which is {other:?}"),
        }
    }

    /// What a topic has for certain: the place of its newest value and whether it is one.
    pub(super) fn certain(&self, topic: usize) -> Option<(usize, bool)> {
        let Topic { values, confirmed } = &self.topics[topic];
        let is_certain = *confirmed == values.len();
        is_certain.then(|| (values.len(), values.last().is_some_and(Option::is_some)))
    }

    /// The node was down; this is what a copy of its disk has.
    pub(in crate::wire) fn go_down(&self, found: &BTreeMap<usize, u64>) -> Checked {
        for (topic, known) in self.topics.iter().enumerate() {
            let may_be = &known.values[known.confirmed.saturating_sub(1)..];
            let value = found.get(&topic).copied();
            let none_yet = known.confirmed == 0 && value.is_none();
            if !none_yet && !may_be.contains(&value) {
                return violated!("topic {topic} has {value:?} and may have {may_be:?}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_what_was_confirmed_last_or_came_after_that() {
        let mut book = RetainedBook::default();
        assert_eq!(book.certain(1), Some((0, false)));
        for is_empty in [false, true, false] {
            book.set(1, is_empty);
        }
        let found = |value: Option<u64>| value.map(|id| (1, id)).into_iter().collect();
        for (confirmed, possible) in [
            (0, &[None, Some(1), Some(3)][..]),
            (1, &[None, Some(1), Some(3)]),
            (2, &[None, Some(3)]),
            (3, &[Some(3)]),
        ] {
            book.confirm(1, confirmed);
            for value in [None, Some(1), Some(2), Some(3)] {
                let may_be = book.go_down(&found(value)).is_ok();
                assert_eq!(may_be, possible.contains(&value), "{confirmed} {value:?}");
            }
        }
        assert_eq!(book.certain(1), Some((3, true)));
        assert!(book.place(0, 1).is_err());
    }
}
