//! What was delivered and settled, by kind of queue.
//!
//! Invariants
//! - A step of a partition counts in its own [`Tally`] and adds that to the node's once, at its
//!   end.

use std::sync::atomic::{AtomicU64, Ordering};

use ferry_core::queue::QueueKind;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts of one kind of queue.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Deliveries { $($(#[$doc])* pub $name: u64,)* }

        #[derive(Debug, Default)]
        struct Shared { $($name: AtomicU64,)* }

        impl Shared {
            fn add(&self, counts: &Deliveries) {
                $(if counts.$name > 0 {
                    self.$name.fetch_add(counts.$name, Ordering::Relaxed);
                })*
            }

            fn read(&self) -> Deliveries {
                Deliveries { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl std::ops::AddAssign for Deliveries {
            fn add_assign(&mut self, other: Deliveries) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    /// Handed to consumers that settle.
    consumed,
    /// Handed to consumers that do not settle.
    consumed_auto_ack,
    /// Fetched one by one, to be settled.
    got,
    /// Fetched one by one, and gone with that.
    got_auto_ack,
    /// Times that there was nothing to fetch.
    got_nothing,
    /// Of all that was delivered, what may have been delivered before.
    redelivered,
    /// Settled as done.
    acknowledged,
}

impl Deliveries {
    /// All that was delivered, in whatever way.
    pub fn delivered(&self) -> u64 {
        self.consumed + self.consumed_auto_ack + self.got + self.got_auto_ack
    }
}

const KINDS: [QueueKind; 3] = [QueueKind::Classic, QueueKind::Quorum, QueueKind::Stream];

/// What one step counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kinds: [Deliveries; KINDS.len()],
    /// A bit for each kind that was counted in.
    touched: u8,
}

impl Tally {
    pub fn of(&mut self, kind: QueueKind) -> &mut Deliveries {
        self.touched |= 1 << kind as u8;
        &mut self.kinds[kind as usize]
    }
}

/// What the node has counted.
#[derive(Debug, Default)]
pub(crate) struct Tallies([Shared; KINDS.len()]);

impl Tallies {
    /// Adds what a step has counted, and begins the next one.
    pub fn take(&self, tally: &mut Tally) {
        while tally.touched != 0 {
            let kind = tally.touched.trailing_zeros() as usize;
            tally.touched &= tally.touched - 1;
            self.0[kind].add(&std::mem::take(&mut tally.kinds[kind]));
        }
    }

    pub fn read(&self) -> [(QueueKind, Deliveries); KINDS.len()] {
        KINDS.map(|kind| (kind, self.0[kind as usize].read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_added_once_and_by_kind() {
        let (tallies, mut tally) = (Tallies::default(), Tally::default());
        for _ in 0..2 {
            tally.of(QueueKind::Quorum).consumed += 2;
            tally.of(QueueKind::Stream).got_nothing += 1;
            tallies.take(&mut tally);
            tallies.take(&mut tally);
        }
        let counts = tallies.read();
        assert_eq!(counts.map(|(kind, _)| kind), KINDS);
        assert_eq!(counts[0].1, Deliveries::default());
        assert_eq!((counts[1].1.consumed, counts[1].1.delivered()), (4, 4));
        assert_eq!((counts[2].1.got_nothing, counts[2].1.delivered()), (2, 0));
    }
}
