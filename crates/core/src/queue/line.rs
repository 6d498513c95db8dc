//! The line of willing consumers: who is served next.
//!
//! A binary heap that knows where everybody stands: coming, going and changing cost the
//! logarithm of its length, looking at the first one costs nothing.
//!
//! Invariants
//! - The turn of whoever stands at `place` comes after that of its parent, `(place - 1) / 2`.
//! - `places` says where each one stands, `ABSENT` for who does not.
//!
//! Not here: who is willing (`consumer`).

/// The place of who does not stand in line.
const ABSENT: u32 = u32::MAX;

/// When somebody is served: the lesser turn comes first. No two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// In its high half the priority upside down, in the low one the unsettled messages.
    rank: u64,
    waiting_since: u64,
}

impl Turn {
    /// The turn of who has this priority, higher being served first, holds so many messages and
    /// was served last, or came or resumed after that, at the moment `waiting_since`.
    pub fn new(priority: i32, unsettled: u32, waiting_since: u64) -> Turn {
        let lowered = i32::MAX.abs_diff(priority);
        Turn {
            rank: u64::from(lowered) << 32 | u64::from(unsettled),
            waiting_since,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    turn: Turn,
    index: u32,
}

/// All who wait, by the index of their slot.
#[derive(Debug, Default)]
pub struct Line {
    heap: Vec<Standing>,
    places: Vec<u32>,
}

impl Line {
    /// Nobody waits.
    pub const fn new() -> Line {
        Line {
            heap: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Whose turn is first.
    pub fn first(&self) -> Option<u32> {
        self.heap.first().map(|standing| standing.index)
    }

    /// Whose turn would be first without the first one.
    pub fn second(&self) -> Option<u32> {
        let children = self.heap.iter().skip(1).take(2);
        children
            .min_by_key(|standing| standing.turn)
            .map(|standing| standing.index)
    }

    /// Puts somebody in line, or elsewhere in it if its turn has changed.
    #[inline]
    pub fn put(&mut self, index: u32, turn: Turn) {
        match &mut self.heap[..] {
            [only] if only.index == index => only.turn = turn,
            _ => self.put_among(index, turn),
        }
    }

    fn put_among(&mut self, index: u32, turn: Turn) {
        if self.places.len() <= index as usize {
            self.places.resize(index as usize + 1, ABSENT);
        }
        let standing = Standing { turn, index };
        let mut place = self.places[index as usize] as usize;
        if place == ABSENT as usize {
            place = self.heap.len();
            self.heap.push(standing);
        }
        self.seat(place, standing);
    }

    /// Takes somebody out of the line, if it stands there.
    pub fn remove(&mut self, index: u32) {
        let Some(place) = self.places.get_mut(index as usize) else {
            return;
        };
        let place = std::mem::replace(place, ABSENT) as usize;
        if place == ABSENT as usize {
            return;
        }
        let last = self.heap.pop().expect("somebody stands in line");
        if place < self.heap.len() {
            self.seat(place, last);
        }
    }

    /// Seats somebody at `place`, whoever is there, or at the end of those who make way.
    fn seat(&mut self, place: usize, standing: Standing) {
        let place = self.rise(place, standing.turn);
        let place = self.sink(place, standing.turn);
        self.set(place, standing);
    }

    /// Moves those down who come after `turn`, from the parent of `place` on.
    fn rise(&mut self, mut place: usize, turn: Turn) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            let above = self.heap[parent];
            if above.turn < turn {
                break;
            }
            self.set(place, above);
            place = parent;
        }
        place
    }

    /// Moves those up who come before `turn`, from the children of `place` on.
    fn sink(&mut self, mut place: usize, turn: Turn) -> usize {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let Some(mut below) = self.heap.get(left).copied() else {
                return place;
            };
            let mut child = left;
            if let Some(other) = self.heap.get(right).filter(|other| other.turn < below.turn) {
                (child, below) = (right, *other);
            }
            if turn < below.turn {
                return place;
            }
            self.set(place, below);
            place = child;
        }
    }

    fn set(&mut self, place: usize, standing: Standing) {
        self.heap[place] = standing;
        self.places[standing.index as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Every invariant, and the same order as a list that is sorted each time.
    fn check(line: &Line, model: &BTreeMap<u32, Turn>) {
        assert_eq!(line.heap.len(), model.len());
        for (place, standing) in line.heap.iter().enumerate() {
            assert_eq!(line.places[standing.index as usize] as usize, place);
            assert_eq!(model[&standing.index], standing.turn);
            assert!(place == 0 || line.heap[(place - 1) / 2].turn < standing.turn);
        }
        let present = line.places.iter().filter(|place| **place != ABSENT);
        assert_eq!(present.count(), model.len());
        let mut sorted: Vec<_> = model.iter().map(|(index, turn)| (*turn, *index)).collect();
        sorted.sort_unstable();
        let mut order = sorted.into_iter().map(|(_, index)| index);
        assert_eq!((line.first(), line.second()), (order.next(), order.next()));
    }

    #[test]
    fn priority_counts_before_load_and_load_before_the_wait() {
        let turns = [
            Turn::new(i32::MAX, u32::MAX, 9),
            Turn::new(1, 0, 5),
            Turn::new(0, 0, 6),
            Turn::new(0, 1, 4),
            Turn::new(0, 1, 5),
            Turn::new(-1, 0, 0),
            Turn::new(i32::MIN, 0, 0),
        ];
        assert!(turns.is_sorted());
    }

    #[test]
    fn who_is_first_is_who_a_sorted_list_says() {
        for seed in 1..=20_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut below = |bound: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % bound
            };
            let (mut line, mut model) = (Line::default(), BTreeMap::new());
            for since in 0..1_000 {
                let index = below(1 + seed * 3) as u32;
                if below(4) == 0 {
                    line.remove(index);
                    model.remove(&index);
                } else {
                    let turn = Turn::new(below(3) as i32 - 1, below(4) as u32, since);
                    line.put(index, turn);
                    model.insert(index, turn);
                }
                check(&line, &model);
            }
        }
    }

    #[test]
    fn a_change_among_a_thousand_moves_few() {
        let mut line = Line::default();
        (0..1_000).for_each(|index| line.put(index, Turn::new(0, 0, u64::from(index))));
        let mut moved_max = 0;
        for since in 1_000..5_000 {
            let before = line.places.clone();
            let first = line.first().unwrap();
            assert_eq!(u64::from(first), since % 1_000, "equals take turns");
            line.put(first, Turn::new(0, 0, since));
            let pairs = before.iter().zip(&line.places);
            moved_max = moved_max.max(pairs.filter(|(before, now)| before != now).count());
        }
        assert!(moved_max <= 10, "{moved_max} were moved for one");
    }
}
