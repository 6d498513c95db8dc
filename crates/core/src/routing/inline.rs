//! Small lists and sets of places that need no heap while they stay small.
//!
//! Invariants
//! - The first `INLINE_COUNT` items are in `inline`, all later ones in `spill`, in order.
//! - Looking up never costs more than a hash look-up once there are many items.

use foldhash::fast::FixedState;
use hashbrown::HashSet;

const INLINE_COUNT: usize = 12;

/// An ordered list.
#[derive(Debug, Default)]
pub(super) struct Places {
    inline: [u32; INLINE_COUNT],
    spill: Vec<u32>,
    length: usize,
}

impl Places {
    pub(super) fn push(&mut self, place: u32) {
        match self.inline.get_mut(self.length) {
            Some(slot) => *slot = place,
            None => self.spill.push(place),
        }
        self.length += 1;
    }

    pub(super) fn pop(&mut self) -> Option<u32> {
        self.length = self.length.checked_sub(1)?;
        self.spill
            .pop()
            .or_else(|| self.inline.get(self.length).copied())
    }

    pub(super) fn get(&self, index: usize) -> Option<u32> {
        if index >= self.length {
            return None;
        }
        let inline = self.inline.get(index);
        inline
            .or_else(|| self.spill.get(index - INLINE_COUNT))
            .copied()
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn clear(&mut self) {
        self.spill.clear();
        self.length = 0;
    }
}

/// A set.
#[derive(Debug, Default)]
pub(super) struct PlaceSet {
    inline: [u32; INLINE_COUNT],
    length: usize,
    spill: Option<HashSet<u32, FixedState>>,
}

impl PlaceSet {
    /// Adds a place; false when it was there.
    pub(super) fn insert(&mut self, place: u32) -> bool {
        if self.inline[..self.length].contains(&place) {
            return false;
        }
        match self.inline.get_mut(self.length) {
            Some(slot) => {
                *slot = place;
                self.length += 1;
                true
            }
            None => self.spill.get_or_insert_default().insert(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_order_past_the_inline_part() {
        let mut places = Places::default();
        for place in 0..40 {
            places.push(place);
        }
        let listed: Vec<u32> = (0..40).filter_map(|index| places.get(index)).collect();
        assert_eq!(listed, (0..40).collect::<Vec<u32>>());
        assert_eq!(places.get(40), None);
        let popped: Vec<u32> = std::iter::from_fn(|| places.pop()).collect();
        assert_eq!(popped, (0..40).rev().collect::<Vec<u32>>());
        assert_eq!((places.len(), places.get(0)), (0, None));
    }

    #[test]
    fn a_set_takes_each_place_once() {
        let mut set = PlaceSet::default();
        for place in 0..40 {
            assert!(set.insert(place), "{place} is new");
        }
        for place in 0..40 {
            assert!(!set.insert(place), "{place} is there");
        }
    }
}
