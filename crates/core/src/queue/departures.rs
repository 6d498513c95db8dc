//! Dead letters that wait until others have left, packed, in the order in which they died.
//!
//! Only so many of a queue are on their way at once ([`DEPARTING_MAX`]): each takes some 300 bytes,
//! here and where it is kept until its target has room. What comes later waits here, in 15.
//!
//! Invariants
//! - What waits here was written down, if it outlives the broker: after a crash it departs, too.
//! - Of two that wait the one that died first leaves first.
//!
//! Not here: why a message leaves, and what becomes of it (`depart`).

use std::ops::RangeInclusive;

use super::entry::Entry;
use super::page::Packed;
use super::schedule::Schedule;
use crate::Millis;
use crate::limits::PAGE_ENTRIES;
use crate::message::Position;
use crate::reason::DeadLetterReason;

/// Dead letters of one queue that are on their way at once. Few in tests, so that they all see
/// what waits.
pub const DEPARTING_MAX: u32 = if cfg!(test) { 4 } else { 1024 };

/// A turn ends with the code of a reason, which is less.
const REASONS: u64 = 8;

fn reason_of(turn: u64) -> DeadLetterReason {
    DeadLetterReason::from_code((turn % REASONS) as u8).expect("a turn ends with a reason")
}

/// All that wait.
#[derive(Debug, Default)]
pub struct Departures {
    /// Instead of a time a turn, which is never the same.
    waiting: Schedule,
    turns: u64,
}

impl Departures {
    /// How many wait.
    pub fn count(&self) -> u64 {
        self.waiting.count()
    }

    /// Adds the one that leaves last.
    pub fn push(&mut self, reason: DeadLetterReason, entry: Entry) {
        self.turns += 1;
        let turn = self.turns * REASONS + u64::from(reason.code());
        self.waiting.insert(turn, entry);
    }

    /// Takes the one that leaves next.
    pub fn pop(&mut self) -> Option<(DeadLetterReason, Entry)> {
        let (turn, entry) = self.waiting.pop_due(Millis::MAX)?;
        Some((reason_of(turn), entry))
    }

    /// As [`Schedule::retain`].
    pub fn retain(
        &mut self,
        touched: impl Fn(RangeInclusive<Position>) -> bool,
        mut keep: impl FnMut(DeadLetterReason, &mut Entry) -> bool,
    ) {
        self.waiting
            .retain(touched, |turn, entry| keep(reason_of(turn), entry));
    }

    /// Those that outlive the broker, as pages of a checkpoint.
    pub fn durable_pages(&self) -> Vec<(DeadLetterReason, Packed)> {
        let (mut pages, mut run): (_, Vec<(DeadLetterReason, Entry)>) = (Vec::new(), Vec::new());
        let pack = |run: &mut Vec<(DeadLetterReason, Entry)>, pages: &mut Vec<_>| {
            let Some((reason, _)) = run.first() else {
                return;
            };
            let reason = *reason;
            let entries: Vec<Entry> = run.drain(..).map(|(_, entry)| entry).collect();
            pages.push((reason, Packed::new(&entries)));
        };
        self.visit(|reason, entry| {
            if !entry.durable {
                return true;
            }
            let goes_on = run.last().is_some_and(|(before, last)| {
                *before == reason && last.priority == entry.priority && last.seq < entry.seq
            });
            if !goes_on || run.len() == PAGE_ENTRIES {
                pack(&mut run, &mut pages);
            }
            run.push((reason, entry.clone()));
            true
        });
        pack(&mut run, &mut pages);
        pages
    }

    /// Visits all in their order until `each` returns false.
    pub fn visit(&self, mut each: impl FnMut(DeadLetterReason, &Entry) -> bool) {
        self.waiting
            .visit(None, |turn, entry| each(reason_of(turn), entry));
    }
}
