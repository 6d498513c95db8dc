//! Unacked: what a channel has delivered and the client has not settled yet, by delivery tag.
//!
//! Invariants
//! - Tags in the ring rise strictly; the first and the last entry are never tombstones.
//! - `live` counts the entries that are not tombstones.
//! - Tombstones never outnumber live entries by more than [`TOMBSTONES_FREE`], so one old unacked
//!   message can not make the ring grow with every later ack.
//! - A tag is found at once while tags have no gaps, by bisection otherwise; every operation is
//!   constant or logarithmic, amortised.
//!
//! Not here: what a lease is, who is told about a settled one.

use std::collections::VecDeque;

/// Tombstones that are tolerated before the ring is packed.
const TOMBSTONES_FREE: usize = 64;
/// Room that an empty ring keeps: some 10 KiB of a channel that has been at work.
const ENTRIES_KEPT: usize = 256;

/// Ring of unsettled deliveries.
#[derive(Debug)]
pub(crate) struct Unacked<E> {
    ring: VecDeque<(u64, Option<E>)>,
    live: usize,
}

impl<E> Default for Unacked<E> {
    fn default() -> Self {
        Unacked {
            ring: VecDeque::new(),
            live: 0,
        }
    }
}

impl<E> Unacked<E> {
    /// How many deliveries are unsettled.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Remembers a delivery; tags come in rising order.
    pub(crate) fn push(&mut self, tag: u64, entry: E) {
        debug_assert!(self.ring.back().is_none_or(|(last, _)| *last < tag));
        self.ring.push_back((tag, Some(entry)));
        self.live += 1;
    }

    /// The delivery with this tag.
    pub(crate) fn get(&self, tag: u64) -> Option<&E> {
        self.ring[self.find(tag)?].1.as_ref()
    }

    /// Takes out the delivery with this tag.
    pub(crate) fn take(&mut self, tag: u64) -> Option<E> {
        let index = self.find(tag)?;
        let entry = self.ring[index].1.take()?;
        self.live -= 1;
        self.trim();
        Some(entry)
    }

    /// Takes out every delivery up to and including `tag`, oldest first; `false` (and nothing is
    /// taken) when `tag` itself is not unsettled. Tag 0 stands for all there are.
    pub(crate) fn take_upto(&mut self, tag: u64, mut each: impl FnMut(u64, E)) -> bool {
        let count = if tag == 0 {
            self.ring.len()
        } else {
            match self.find(tag) {
                Some(index) if self.ring[index].1.is_some() => index + 1,
                _ => return false,
            }
        };
        for (tag, entry) in self.ring.drain(..count) {
            if let Some(entry) = entry {
                self.live -= 1;
                each(tag, entry);
            }
        }
        self.trim();
        true
    }

    /// Puts settled deliveries back where they were.
    pub(crate) fn restore(&mut self, entries: impl IntoIterator<Item = (u64, E)>) {
        let mut all: Vec<(u64, Option<E>)> = self
            .ring
            .drain(..)
            .filter(|(_, entry)| entry.is_some())
            .collect();
        all.extend(entries.into_iter().map(|(tag, entry)| (tag, Some(entry))));
        all.sort_unstable_by_key(|(tag, _)| *tag);
        debug_assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0));
        self.live = all.len();
        self.ring = all.into();
    }

    fn find(&self, tag: u64) -> Option<usize> {
        let first = self.ring.front()?.0;
        let guess = usize::try_from(tag.checked_sub(first)?).ok()?;
        match self.ring.get(guess) {
            Some((found, _)) if *found == tag => Some(guess),
            _ => self.ring.binary_search_by_key(&tag, |(tag, _)| *tag).ok(),
        }
    }

    fn trim(&mut self) {
        while self.ring.front().is_some_and(|(_, entry)| entry.is_none()) {
            self.ring.pop_front();
        }
        while self.ring.back().is_some_and(|(_, entry)| entry.is_none()) {
            self.ring.pop_back();
        }
        if self.ring.len() - self.live > self.live + TOMBSTONES_FREE {
            self.ring.retain(|(_, entry)| entry.is_some());
        }
        if self.ring.is_empty() {
            self.ring.shrink_to(ENTRIES_KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(tags: impl IntoIterator<Item = u64>) -> Unacked<u64> {
        let mut unacked = Unacked::default();
        tags.into_iter().for_each(|tag| unacked.push(tag, tag * 10));
        unacked
    }

    fn taken_upto(unacked: &mut Unacked<u64>, tag: u64) -> Option<Vec<u64>> {
        let mut taken = Vec::new();
        unacked
            .take_upto(tag, |tag, entry| {
                assert_eq!(entry, tag * 10);
                taken.push(tag);
            })
            .then_some(taken)
    }

    #[test]
    fn a_tag_is_settled_once() {
        let mut unacked = ring(1..=3);
        for (tag, expected) in [
            (2, Some(20)),
            (2, None),
            (9, None),
            (0, None),
            (1, Some(10)),
        ] {
            assert_eq!(unacked.get(tag).copied(), expected, "{tag}");
            assert_eq!(unacked.take(tag), expected, "{tag}");
        }
        assert_eq!(unacked.len(), 1);
        assert_eq!(unacked.take(3), Some(30));
        assert_eq!(unacked.len(), 0);
    }

    #[test]
    fn multiple_settles_in_order_up_to_a_tag_that_is_there() {
        let mut unacked = ring([1, 2, 5, 6, 9]);
        assert_eq!(unacked.take(2), Some(20));
        assert_eq!(taken_upto(&mut unacked, 2), None, "settled before");
        assert_eq!(taken_upto(&mut unacked, 4), None, "never delivered");
        assert_eq!(taken_upto(&mut unacked, 5), Some(vec![1, 5]));
        assert_eq!(taken_upto(&mut unacked, 0), Some(vec![6, 9]));
        assert_eq!(
            taken_upto(&mut unacked, 0),
            Some(vec![]),
            "nothing left is fine for tag 0"
        );
    }

    #[test]
    fn gaps_between_tags_cost_nothing_and_are_unknown() {
        let mut unacked = ring([1, 1_000_000_000]);
        assert_eq!(unacked.take(500), None);
        assert_eq!(unacked.take(1_000_000_000), Some(10_000_000_000));
        assert_eq!(unacked.ring.len(), 1);
    }

    #[test]
    fn one_old_message_does_not_make_the_ring_grow() {
        let mut unacked = ring([1]);
        for tag in 2..100_000u64 {
            unacked.push(tag, tag * 10);
            if tag > 10 {
                assert_eq!(unacked.take(tag - 5), Some((tag - 5) * 10));
            }
            assert!(unacked.ring.len() <= 2 * unacked.len() + TOMBSTONES_FREE);
        }
        assert_eq!(unacked.take(1), Some(10));
    }

    #[test]
    fn restored_deliveries_stand_where_they_were() {
        let mut unacked = ring(1..=6);
        let settled: Vec<(u64, u64)> = [1, 3, 6]
            .map(|tag| (tag, unacked.take(tag).unwrap()))
            .to_vec();
        unacked.push(7, 70);
        unacked.restore(settled);
        assert_eq!(taken_upto(&mut unacked, 0), Some(vec![1, 2, 3, 4, 5, 6, 7]));
    }
}
