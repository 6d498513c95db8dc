//! Points on a circle: which comes next after a place.
//!
//! The points are in one table in ascending order, with gaps: each has its home in proportion to
//! its position, and is there or in one of the slots behind, if others were in the way.
//!
//! Invariants
//! - Points ascend with their slots; no slot from a point's home to the point is empty.
//! - Of the homes at most three in four are taken, and at least one in sixteen, but for the
//!   smallest table; so whatever is done looks at a few slots.

const HOMES_MIN: usize = 64;

/// A point of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) position: u64,
    pub(super) member: u32,
}

impl Point {
    /// What an empty slot has; no member has this place.
    const NONE: Point = Point {
        position: 0,
        member: u32::MAX,
    };

    fn is_some(&self) -> bool {
        self.member != Point::NONE.member
    }
}

/// All points.
#[derive(Clone, Debug, Default)]
pub(super) struct Circle {
    /// A slot for each home, then those that the last points needed beyond.
    slots: Vec<Point>,
    /// A power of two, or zero without points.
    homes: usize,
    count: usize,
}

impl Circle {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a point that is not there yet.
    pub(super) fn insert(&mut self, point: Point) {
        if (self.count + 1) * 4 > self.homes * 3 {
            self.resize((self.homes * 2).max(HOMES_MIN));
        }
        self.count += 1;
        let (place, mut moved) = (self.place_of(point), point);
        for slot in &mut self.slots[place..] {
            std::mem::swap(slot, &mut moved);
            if !moved.is_some() {
                return;
            }
        }
        self.slots.push(moved);
    }

    /// Takes out a point that is there.
    pub(super) fn remove(&mut self, point: Point) {
        let mut slot = self.place_of(point);
        debug_assert_eq!(self.slots.get(slot), Some(&point));
        while let Some(&next) = self.slots.get(slot + 1)
            && next.is_some()
            && self.home_of(next.position) <= slot
        {
            self.slots[slot] = next;
            slot += 1;
        }
        self.slots[slot] = Point::NONE;
        self.count -= 1;
        if self.count == 0 {
            *self = Circle::default();
        } else if self.homes > HOMES_MIN && self.count * 16 < self.homes {
            self.resize(self.homes / 4);
        }
    }

    /// The first point at or after a position, going round.
    pub(super) fn after(&self, position: u64) -> Option<Point> {
        let behind = self.slots.get(self.home_of(position)..)?;
        let next = behind
            .iter()
            .find(|slot| slot.is_some() && slot.position >= position);
        next.or_else(|| self.slots.iter().find(|slot| slot.is_some()))
            .copied()
    }

    fn home_of(&self, position: u64) -> usize {
        super::stable::scaled(position, self.homes)
    }

    /// Where a point is, or has to be put.
    fn place_of(&self, point: Point) -> usize {
        let home = self.home_of(point.position);
        let ahead = self.slots[home..]
            .iter()
            .take_while(|slot| slot.is_some() && **slot < point);
        home + ahead.count()
    }

    fn resize(&mut self, homes: usize) {
        let points = std::mem::take(&mut self.slots);
        self.homes = homes;
        self.slots = vec![Point::NONE; homes];
        let mut free = 0;
        for point in points.into_iter().filter(Point::is_some) {
            let slot = self.home_of(point.position).max(free);
            match self.slots.get_mut(slot) {
                Some(slot) => *slot = point,
                None => self.slots.push(point),
            }
            free = slot + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::stable;
    use super::*;

    fn point(position: u64, member: u32) -> Point {
        Point { position, member }
    }

    /// Compares with a sorted set, and looks at what the head of the file promises.
    fn check(circle: &Circle, model: &BTreeSet<Point>) {
        let points = circle.slots.iter().copied().filter(Point::is_some);
        assert!(points.eq(model.iter().copied()));
        assert_eq!(circle.count, model.len());
        for (slot, point) in circle.slots.iter().enumerate().filter(|(_, p)| p.is_some()) {
            let home = circle.home_of(point.position);
            assert!(circle.slots[home..=slot].iter().all(Point::is_some));
        }
        assert!(circle.count * 4 <= circle.homes * 3);
        assert!(circle.homes <= HOMES_MIN || circle.count * 16 >= circle.homes);
        let around = model.iter().flat_map(|point| {
            let position = point.position;
            [position.wrapping_sub(1), position, position.wrapping_add(1)]
        });
        for position in around.chain([0, 1, u64::MAX / 2, u64::MAX]) {
            let next = model.range(point(position, 0)..).next();
            let expected = next.or_else(|| model.first()).copied();
            assert_eq!(circle.after(position), expected, "after {position:#x}");
        }
    }

    #[test]
    fn points_that_come_and_go_are_found_as_in_a_sorted_set() {
        for crowd in [0, 16, 60] {
            let (mut circle, mut model) = (Circle::default(), BTreeSet::new());
            check(&circle, &model);
            // Positions with their first bits gone are crowded at the beginning; with all their
            // first bits set, at the end.
            let positions = stable::row(7).take(600).zip(0..);
            for (number, member) in positions {
                let position = match member % 2 {
                    0 => number >> crowd,
                    _ => !(number >> crowd),
                };
                circle.insert(point(position, member));
                model.insert(point(position, member));
                if member % 40 == 0 {
                    check(&circle, &model);
                }
            }
            check(&circle, &model);
            let mut order: Vec<Point> = model.iter().copied().collect();
            order.sort_by_key(|point| stable::mixed(point.position ^ u64::from(point.member)));
            for (index, point) in order.into_iter().enumerate() {
                circle.remove(point);
                model.remove(&point);
                if index % 40 == 0 {
                    check(&circle, &model);
                }
            }
            assert!(circle.is_empty());
            check(&circle, &model);
        }
    }

    #[test]
    fn the_last_point_is_followed_by_the_first() {
        let mut circle = Circle::default();
        assert_eq!(circle.after(0), None);
        for (position, member) in [(u64::MAX, 1), (u64::MAX, 2), (5, 3)] {
            circle.insert(point(position, member));
        }
        for (position, member) in [(0, 3), (5, 3), (6, 1), (u64::MAX, 1)] {
            assert_eq!(circle.after(position).map(|next| next.member), Some(member));
        }
        circle.remove(point(5, 3));
        circle.remove(point(u64::MAX, 1));
        assert_eq!(circle.after(7), Some(point(u64::MAX, 2)));
        assert_eq!(circle.after(0), Some(point(u64::MAX, 2)));
    }
}
