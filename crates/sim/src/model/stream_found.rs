//! What may be found of a stream after a restart.
//!
//! Invariants
//! - What is found is the stream as it was at some time since the log was safe.

use std::collections::BTreeMap;

use super::found::{Ending, State};
use super::stream::{Item, StreamModel};
use super::{Life, Moment};
use crate::{Checked, violated};

/// A message as it was found: its number, its state, its place.
pub type FoundItem = (u64, State, u64);

impl StreamModel {
    /// Compares what was found with what must be there, and goes on from it.
    pub fn recover(
        &mut self,
        ending: Ending,
        found: &[FoundItem],
        moment: Moment,
        transactions: &mut BTreeMap<u64, (u64, u64)>,
    ) -> Checked {
        let name = self.name.clone();
        let ready = found.iter().filter(|(_, state, _)| *state == State::Ready);
        let ready: Vec<(u64, u64)> = ready.map(|(id, _, seq)| (seq - 1, *id)).collect();
        let (first, end) = match (ready.first(), ready.last()) {
            (Some((first, _)), Some((last, _))) => (*first, last + 1),
            _ => (self.base, self.base),
        };
        for (place, (offset, message)) in (first..).zip(&ready) {
            let item = self.item(*offset).map(|item| item.message);
            if *offset != place || item != Some(*message) {
                return violated!("stream {name} has {message} at {offset}, and it was {item:?}");
            }
        }
        let certain = match ending.clean {
            true => self.first,
            false => self.base,
        };
        if first < certain {
            return violated!("stream {name} has what left, from {first}");
        }
        if first > self.first {
            self.left_to(first, moment)?;
        }
        let delayed = self.check_delayed(ending, found)?;
        self.check_there(ending, (first, end), &delayed, transactions)?;
        self.adopt((first, end), delayed);
        Ok(())
    }

    /// What waits for its time, with that time.
    fn check_delayed(&self, ending: Ending, found: &[FoundItem]) -> Checked<Vec<Item>> {
        let (name, mut delayed) = (&self.name, Vec::new());
        for (message, state, _) in found {
            let at = match state {
                State::Ready => continue,
                State::Delayed(at) => *at,
                State::Stuck(_) => return violated!("stream {name} has a dead letter"),
            };
            let fits = |item: &&Item| item.message == *message && item.wait == Some(at);
            let appended = |item: &&Item| fits(item) && !ending.keeps(item.step);
            let waits = self.waiting.iter().find(fits);
            let Some(item) = waits.or_else(|| self.items.iter().find(appended)) else {
                return violated!("stream {name}: {message} waits until {at}, and must not");
            };
            delayed.push(item.clone());
        }
        Ok(delayed)
    }

    fn check_there(
        &self,
        ending: Ending,
        (first, end): (u64, u64),
        delayed: &[Item],
        transactions: &mut BTreeMap<u64, (u64, u64)>,
    ) -> Checked {
        let places = (self.base..).map(Some).zip(&self.items);
        let waiting = self.waiting.iter().map(|item| (None, item));
        for (place, item) in places.chain(waiting) {
            if place.is_some_and(|place| place < first) {
                continue;
            }
            let (name, message) = (&self.name, item.message);
            let appended = place.is_some_and(|place| place < end);
            let waits = delayed.iter().any(|found| found.number == item.number);
            if appended && waits {
                return violated!("stream {name} has {message} twice");
            }
            if place.is_some() && ending.keeps(item.step) && !appended {
                return violated!("stream {name} lost {message} at {place:?}");
            }
            let must = item.confirmed || ending.keeps(item.entered);
            if must && !appended && !waits {
                return violated!("stream {name} lost {message}");
            }
            if let Some(transaction) = item.transaction {
                let counts = transactions.entry(transaction).or_default();
                let there = appended || waits;
                counts.0 += u64::from(there);
                counts.1 += u64::from(!there);
            }
        }
        Ok(())
    }

    fn adopt(&mut self, (first, end): (u64, u64), delayed: Vec<Item>) {
        self.items.truncate((end - self.base) as usize);
        self.items.drain(..(first - self.base) as usize);
        (self.base, self.first, self.waiting) = (first, first, delayed);
        for item in self.all_mut() {
            (item.entered, item.step, item.transaction) = (0, 0, None);
        }
        self.lefts.clear();
        self.readers.clear();
        self.held.clear();
        self.last_part = None;
        self.life = Life {
            step: 0,
            confirmed: true,
        };
    }
}
