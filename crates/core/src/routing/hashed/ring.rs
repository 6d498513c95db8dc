//! The ring of a consistent hash exchange: whose point is nearest to what a value hashes to.
//!
//! A member has `POINTS` points on the circle of each binary digit that its weight has. A value is
//! hashed to `PROBES` places; the member of the point that comes soonest after one of them gets
//! it, a distance on circle `n` being worth half of the same one on circle `n - 1`. Many probes
//! for few points keep shares even: they stray from their weight by 3 % (one standard deviation).
//!
//! Invariants
//! - Where a value goes depends on the members and their weights alone, not on the order in which
//!   they came: a member that comes takes values and moves none between others, a member that goes
//!   leaves the others what they had.
//! - A look-up costs `PROBES` looks at each circle in use, a change `POINTS`, however many members
//!   there are.

use super::circle::{Circle, Point};
use super::stable;
use super::weight::WEIGHT_BITS;

const POINTS: usize = 48;
const PROBES: usize = 16;
const CIRCLES: usize = WEIGHT_BITS as usize;

/// The points of all members.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    circles: Box<[Circle; CIRCLES]>,
}

impl Ring {
    /// Adds a member that is not there yet; `identity` is its hash.
    pub(super) fn insert(&mut self, member: u32, identity: u64, weight: u32) {
        for digit in digits_of(weight) {
            let circle = &mut self.circles[digit];
            points_of(member, identity, digit).for_each(|point| circle.insert(point));
        }
    }

    /// Takes out a member that is there.
    pub(super) fn remove(&mut self, member: u32, identity: u64, weight: u32) {
        for digit in digits_of(weight) {
            let circle = &mut self.circles[digit];
            points_of(member, identity, digit).for_each(|point| circle.remove(point));
        }
    }

    /// The member that gets a value; none if there is no member.
    pub(super) fn find(&self, hash: u64) -> Option<u32> {
        let mut nearest: Option<(u128, u32)> = None;
        let used = self.circles.iter().enumerate();
        for (digit, circle) in used.filter(|(_, circle)| !circle.is_empty()) {
            for place in stable::row(hash).take(PROBES) {
                let point = circle.after(place)?;
                let distance = u128::from(point.position.wrapping_sub(place));
                let distance = distance << (CIRCLES - 1 - digit);
                if nearest.is_none_or(|(least, _)| distance < least) {
                    nearest = Some((distance, point.member));
                }
            }
        }
        nearest.map(|(_, member)| member)
    }
}

/// The binary digits that a weight has.
fn digits_of(weight: u32) -> impl Iterator<Item = usize> {
    (0..CIRCLES).filter(move |digit| weight >> digit & 1 == 1)
}

fn points_of(member: u32, identity: u64, digit: usize) -> impl Iterator<Item = Point> {
    let seed = stable::row(identity).nth(digit);
    let positions = stable::row(seed.unwrap_or(identity)).take(POINTS);
    positions.map(move |position| Point { position, member })
}

#[cfg(test)]
mod tests {
    use super::super::WEIGHT_MAX;
    use super::*;

    /// Members `0..weights.len()` with their weights.
    fn ring(weights: &[u32]) -> Ring {
        let mut ring = Ring::default();
        for (member, weight) in (0..).zip(weights) {
            ring.insert(member, identity(member), *weight);
        }
        ring
    }

    fn identity(member: u32) -> u64 {
        stable::of_member(stable::of_queue(u64::from(member)), b"1")
    }

    fn keys(count: usize) -> impl Iterator<Item = u64> {
        (0..count).map(|key| stable::of_keys(&[format!("customer-{key}").as_bytes()]))
    }

    #[test]
    fn shares_are_within_a_tenth_of_what_the_weights_say() {
        for (keys, weights) in [
            (100_000, vec![1; 2]),
            (50_000, vec![1; 3]),
            (100_000, vec![1; 10]),
            (50_000, vec![10; 10]),
            (50_000, vec![7; 25]),
            (50_000, vec![1, 2, 3, 4]),
            (50_000, vec![10, 20]),
            (50_000, vec![1, 99]),
            (50_000, vec![500, 1, 499]),
            (5_000, vec![WEIGHT_MAX, WEIGHT_MAX]),
        ] {
            let ring = ring(&weights);
            let mut counts = vec![0u32; weights.len()];
            for key in self::keys(keys) {
                counts[ring.find(key).unwrap() as usize] += 1;
            }
            let total: f64 = weights.iter().copied().map(f64::from).sum();
            for (weight, count) in weights.iter().zip(&counts) {
                let expected = keys as f64 * f64::from(*weight) / total;
                let strays = (f64::from(*count) / expected - 1.0).abs();
                // A share of a few hundred keys strays by itself.
                let allowed = if expected < 1500.0 { 0.3 } else { 0.1 };
                assert!(strays < allowed, "{weights:?} gave {counts:?}");
            }
        }
    }

    #[test]
    fn who_comes_takes_its_share_and_who_goes_leaves_the_others_theirs() {
        for (weights, newcomer) in [
            (&[1, 1, 1][..], 1),
            (&[1, 2, 3, 4, 5], 3),
            (&[1; 20], 1),
            (&[8, 8], 1),
            (&[1, 1], 8),
        ] {
            let mut ring = ring(weights);
            let before: Vec<Option<u32>> = keys(20_000).map(|key| ring.find(key)).collect();
            let new = weights.len() as u32;
            ring.insert(new, identity(new), newcomer);
            let mut taken = 0;
            for (key, before) in keys(20_000).zip(&before) {
                let now = ring.find(key);
                assert!(now == *before || now == Some(new), "{weights:?}");
                taken += u32::from(now == Some(new));
            }
            let total: u32 = weights.iter().sum::<u32>() + newcomer;
            let share = f64::from(newcomer) / f64::from(total) * 20_000.0;
            assert!((f64::from(taken) / share - 1.0).abs() < 0.15, "{weights:?}");
            ring.remove(new, identity(new), newcomer);
            assert!(keys(20_000).map(|key| ring.find(key)).eq(before));
        }
    }

    #[test]
    fn the_order_of_coming_does_not_matter() {
        let weights = [3, 1, 4, 1, 5, 9];
        let forth = ring(&weights);
        let mut back = ring(&[]);
        for member in (0..6).rev() {
            back.insert(member, identity(member), weights[member as usize]);
        }
        assert!(keys(2000).all(|key| forth.find(key) == back.find(key)));
    }

    #[test]
    fn a_ring_that_was_emptied_finds_nobody() {
        let mut ring = ring(&[5]);
        assert!(keys(10).all(|key| ring.find(key) == Some(0)));
        ring.remove(0, identity(0), 5);
        assert!(ring.circles.iter().all(Circle::is_empty));
        assert_eq!(ring.find(7), None);
    }
}
