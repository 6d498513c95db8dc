//! Dead letters that wait until others have left, packed, in the order in which they died.
//!
//! Only so many of a queue are on their way at once ([`DEPARTING_MAX`]): each takes some 300 bytes,
//! here and where it is kept until its target has room. What comes later waits here, in 15.
//!
//! Invariants
//! - What waits here was written down, if it outlives the broker: after a crash it departs, too.
//!   A checkpoint shares its pages and is read back as it stands.
//! - Of two that wait the one that died first leaves first.
//!
//! Not here: why a message leaves, and what becomes of it (`depart`).

use std::ops::RangeInclusive;

use super::entry::Entry;
use super::schedule::Schedule;
use crate::Millis;
use crate::image::ImageOut;
use crate::message::Position;
use crate::reason::DeadLetterReason;
use crate::wire::{Cursor, Truncated};

/// Dead letters of one queue that are on their way at once. Few in tests, so that they all see
/// what waits.
pub const DEPARTING_MAX: u32 = if cfg!(test) { 4 } else { 1024 };

/// A turn ends with the code of a reason, which is less.
const REASONS: u64 = 8;

/// More turns than a queue can ever see: a number beyond is not one that was written.
const TURNS_MAX: u64 = 1 << 60;

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

    /// Appends those that outlive the broker, as they stand in a checkpoint.
    pub fn write(&self, out: &mut impl ImageOut) {
        self.waiting.write(out);
    }

    /// Reads what `write` wrote.
    pub fn read(cursor: &mut Cursor<'_>) -> Result<Departures, Truncated> {
        let mut turns = 0;
        let waiting = Schedule::read(cursor, |turn, entry| {
            turns = turn / REASONS;
            let reason = DeadLetterReason::from_code((turn % REASONS) as u8);
            entry.durable && reason.is_some() && turns < TURNS_MAX
        })?;
        Ok(Departures { waiting, turns })
    }

    /// Visits all in their order until `each` returns false.
    pub fn visit(&self, mut each: impl FnMut(DeadLetterReason, &Entry) -> bool) {
        self.waiting
            .visit(None, |turn, entry| each(reason_of(turn), entry));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::image::Image;

    fn entry(seq: u64) -> Entry {
        Entry::plain(seq, 1000 + 10 * seq)
    }

    fn image(write: impl Fn(&mut Image)) -> Vec<Arc<[u8]>> {
        let mut image = Image::default();
        write(&mut image);
        image.into_pieces()
    }

    #[test]
    fn a_checkpoint_shares_pages_and_gives_back_order_and_reasons() {
        let mut departures = Departures::default();
        let reasons = [DeadLetterReason::Expired, DeadLetterReason::MaxLength];
        for n in 0..5_000 {
            departures.push(reasons[n as usize % 2], entry(10_000 - n));
        }
        let pieces = image(|image| departures.write(image));
        let again = image(|image| departures.write(image));
        let copied = pieces
            .iter()
            .zip(&again)
            .filter(|(a, b)| !Arc::ptr_eq(a, b));
        let copied: usize = copied.map(|(piece, _)| piece.len()).sum();
        let bytes = pieces.concat();
        assert!(
            copied * 10 < bytes.len(),
            "{copied} of {} copied",
            bytes.len()
        );

        let mut read = Departures::read(&mut Cursor::new(&bytes)).unwrap();
        read.push(DeadLetterReason::Rejected, entry(1));
        assert_eq!(read.count(), 5_001);
        let left = std::iter::from_fn(|| read.pop().map(|(reason, entry)| (reason, entry.seq)));
        let all = (0..5_000).map(|n| (reasons[n as usize % 2], 10_000 - n));
        let last = (DeadLetterReason::Rejected, 1);
        assert_eq!(
            left.collect::<Vec<_>>(),
            all.chain([last]).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_turn_that_was_never_given_is_damage() {
        let good = REASONS + u64::from(DeadLetterReason::Expired.code());
        for (turn, is_read) in [
            (good, true),
            (good + 5, false),
            (TURNS_MAX * REASONS + good, false),
        ] {
            let mut waiting = Schedule::default();
            waiting.insert(turn, entry(1));
            let mut bytes = Vec::new();
            waiting.write(&mut bytes);
            let read = Departures::read(&mut Cursor::new(&bytes));
            assert_eq!(read.is_ok(), is_read, "{turn}");
        }
    }
}
