//! Dead letters by kind of queue, reason and strategy.
//!
//! Invariants
//! - A dead letter is counted once, when it first leaves for its exchange, however often it is
//!   tried.

use std::sync::atomic::{AtomicU64, Ordering};

use ferry_core::queue::{DeadLetterReason, DeadLetterStrategy, QueueKind};

/// Kinds of queues whose messages die.
const KINDS: [QueueKind; 2] = [QueueKind::Classic, QueueKind::Quorum];
const REASONS: [DeadLetterReason; 4] = [
    DeadLetterReason::Expired,
    DeadLetterReason::MaxLength,
    DeadLetterReason::Rejected,
    DeadLetterReason::DeliveryLimit,
];
/// At most once, and at least once.
const STRATEGIES: usize = 2;

/// Dead letters of one kind of queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetters {
    /// The kind.
    pub kind: QueueKind,
    /// Why they died.
    pub reason: DeadLetterReason,
    /// Whether they stay in their queue until they have arrived.
    pub at_least_once: bool,
    /// How many there were.
    pub count: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Died {
    counts: [[[AtomicU64; STRATEGIES]; REASONS.len()]; KINDS.len()],
    arrived: [AtomicU64; KINDS.len()],
}

fn is_kept(strategy: DeadLetterStrategy) -> bool {
    strategy != DeadLetterStrategy::AtMostOnce
}

impl Died {
    /// A message leaves for the dead-letter exchange of its queue.
    pub fn note(&self, kind: QueueKind, reason: DeadLetterReason, strategy: DeadLetterStrategy) {
        let kind = KINDS.iter().position(|known| *known == kind);
        let reason = REASONS.iter().position(|known| *known == reason);
        if let (Some(kind), Some(reason)) = (kind, reason) {
            let counter = &self.counts[kind][reason][usize::from(is_kept(strategy))];
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One that stayed in its queue until then has arrived where it goes.
    pub fn note_arrival(&self, kind: QueueKind, strategy: DeadLetterStrategy) {
        if is_kept(strategy)
            && let Some(kind) = KINDS.iter().position(|known| *known == kind)
        {
            self.arrived[kind].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn read(&self) -> Vec<DeadLetters> {
        let mut all = Vec::new();
        for (kind, reasons) in KINDS.into_iter().zip(&self.counts) {
            for (reason, counts) in REASONS.into_iter().zip(reasons) {
                for (strategy, count) in counts.iter().enumerate() {
                    all.push(DeadLetters {
                        kind,
                        reason,
                        at_least_once: strategy == 1,
                        count: count.load(Ordering::Relaxed),
                    });
                }
            }
        }
        all
    }

    pub fn arrivals(&self) -> [(QueueKind, u64); KINDS.len()] {
        std::array::from_fn(|at| (KINDS[at], self.arrived[at].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_counted_in_its_place_only() {
        let died = Died::default();
        let (kind, reason) = (QueueKind::Quorum, DeadLetterReason::Rejected);
        died.note(kind, reason, DeadLetterStrategy::UntilTaken);
        died.note(
            kind,
            DeadLetterReason::Unroutable,
            DeadLetterStrategy::AtMostOnce,
        );
        died.note(QueueKind::Stream, reason, DeadLetterStrategy::AtMostOnce);
        died.note_arrival(kind, DeadLetterStrategy::AtMostOnce);
        died.note_arrival(kind, DeadLetterStrategy::AtLeastOnce);
        let counted: Vec<_> = died
            .read()
            .into_iter()
            .filter(|row| row.count > 0)
            .collect();
        let expected = DeadLetters {
            kind,
            reason,
            at_least_once: true,
            count: 1,
        };
        assert_eq!(counted, [expected]);
        assert_eq!(died.arrivals(), [(QueueKind::Classic, 0), (kind, 1)]);
    }
}
