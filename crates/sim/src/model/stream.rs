//! One stream as it must be: which message stands at which offset, who has read how far.
//!
//! Times at which messages leave are known to the model within bounds only: what left must have
//! had a reason, and what had one long enough must have left.
//!
//! Invariants
//! - A message has one offset for ever, unless the message itself was lost.
//! - `items` are those from `base` on without a gap; all before `first` have left, those before
//!   `base` for certain.

use std::collections::BTreeMap;

use ferry_core::queue::StreamOffset;

use super::order::FILTERS;
use super::{Life, Moment, Step};
use crate::format::Dress;
use crate::{Checked, violated};

/// Messages are known to be older than a time within this, in milliseconds.
const TIMES_MS: u64 = 100;

/// What a stream keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamRules {
    /// Most bytes of bodies.
    pub bytes_max: Option<u64>,
    /// How long, in seconds.
    pub age_s: Option<u64>,
    /// Length of the parts that leave at once, in bytes.
    pub segment_bytes: Option<u64>,
}

/// A message of a stream.
#[derive(Debug, Clone)]
pub struct Item {
    /// Names it; never used twice.
    pub number: u64,
    /// The message.
    pub message: u64,
    /// What filters look at.
    pub dress: Dress,
    /// Length of its body, in bytes.
    pub size: u32,
    /// Until when it waits or waited to be appended, if it did.
    pub wait: Option<u64>,
    /// When it was appended.
    pub at: u64,
    /// The step in which it came.
    pub entered: Step,
    /// The step in which it was appended.
    pub step: Step,
    /// Its publisher was told that it is safe.
    pub confirmed: bool,
    /// The transaction it came with.
    pub transaction: Option<u64>,
}

/// Somebody who reads.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Whose it is.
    pub client: usize,
    /// The next offset is not below this one,
    pub least: u64,
    /// and not above this one, unless what is between has left.
    pub most: u64,
    /// Most unsettled messages.
    pub prefetch: u32,
    /// Unsettled messages.
    pub unsettled: u32,
    /// What its messages must satisfy, of [`FILTERS`].
    pub filter: Option<usize>,
}

impl Reader {
    fn wants(&self, item: &Item) -> bool {
        self.filter
            .is_none_or(|filter| FILTERS[filter].1(&item.dress))
    }
}

/// A stream.
#[derive(Debug, Clone)]
pub struct StreamModel {
    /// The broker's number of it.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// What it keeps.
    pub rules: StreamRules,
    /// Whether it is certainly there.
    pub life: Life,
    /// The offset of the first of `items`.
    pub base: u64,
    /// Messages with offsets.
    pub items: Vec<Item>,
    /// The first offset that is kept.
    pub first: u64,
    /// When how much left, until that is safe.
    pub lefts: Vec<(Step, u64)>,
    /// Messages that wait for their time.
    pub waiting: Vec<Item>,
    /// The first message of what was appended last; none if nobody knows.
    pub last_part: Option<u64>,
    /// Readers by number.
    pub readers: BTreeMap<u64, Reader>,
    /// Who holds what, by lease.
    pub held: BTreeMap<u64, u64>,
}

impl StreamModel {
    /// A stream that was just declared.
    #[must_use]
    pub fn new(id: u64, name: &str, rules: StreamRules, step: Step) -> StreamModel {
        StreamModel {
            id,
            name: name.to_owned(),
            rules,
            life: Life::new(step),
            base: 0,
            items: Vec::new(),
            first: 0,
            lefts: Vec::new(),
            waiting: Vec::new(),
            last_part: None,
            readers: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// The next offset.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.base + self.items.len() as u64
    }

    /// The message at an offset.
    #[must_use]
    pub fn item(&self, offset: u64) -> Option<&Item> {
        self.items.get(offset.checked_sub(self.base)? as usize)
    }

    /// Messages that are kept.
    #[must_use]
    pub fn kept(&self) -> &[Item] {
        &self.items[(self.first - self.base) as usize..]
    }

    /// All messages, those that wait for their time included.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.items.iter_mut().chain(&mut self.waiting)
    }

    /// A message comes, to be appended now or later.
    pub fn arrive(&mut self, item: Item, moment: Moment) {
        match item.wait {
            Some(at) if at > moment.now => self.waiting.push(item),
            _ => self.append(item, moment),
        }
    }

    fn append(&mut self, mut item: Item, moment: Moment) {
        (item.at, item.step) = (moment.now, moment.step);
        self.items.push(item);
    }

    /// Time has passed.
    pub fn tick(&mut self, moment: Moment) {
        let due = |item: &mut Item| item.wait.is_some_and(|at| at <= moment.now);
        let mut due: Vec<Item> = self.waiting.extract_if(.., due).collect();
        // Of two at one time the one that came first is first.
        due.sort_by_key(|item| item.wait);
        due.into_iter().for_each(|item| self.append(item, moment));
    }

    /// Where a reader begins: not before the one, not behind the other.
    #[must_use]
    pub fn begin(&self, from: StreamOffset, clock_fell: bool) -> (u64, u64) {
        let (first, next) = (self.first, self.next());
        let find = |wanted: &dyn Fn(&Item) -> bool| {
            let place = self.kept().iter().position(wanted);
            place.map_or(next, |place| first + place as u64)
        };
        match from {
            StreamOffset::First => (first, first),
            StreamOffset::Offset(offset) => (offset.max(first), offset.max(first)),
            StreamOffset::Last if first < next => match self.last_part {
                Some(part) => (part.max(first), part.max(first)),
                None => (first, next - 1),
            },
            StreamOffset::Last | StreamOffset::Next => (next, next),
            StreamOffset::Timestamp(time) => {
                let since = find(&|item| item.at >= time);
                let near = find(&|item| item.at + TIMES_MS > time);
                (if clock_fell { first } else { near }, since)
            }
        }
    }

    /// All before `first` has left; it must have had a reason.
    pub fn left_to(&mut self, first: u64, moment: Moment) -> Checked {
        let name = &self.name;
        if first < self.first || first > self.next() || first == self.next() && first > self.first {
            let (from, to) = (self.first, self.next());
            return violated!("stream {name} has {from} to {to} and begins at {first}");
        }
        let kept = self.kept().iter();
        let mut bytes: u64 = kept.map(|item| u64::from(item.size)).sum();
        // A part that is too much leaves whole.
        let slack = self.rules.segment_bytes.unwrap_or(0);
        for offset in self.first..first {
            let item = self.item(offset).expect("it is below the next");
            let too_much = self.rules.bytes_max.is_some_and(|max| bytes + slack > max);
            let age_ms = self.rules.age_s.map(|age_s| age_s * 1000);
            let too_old = age_ms.is_some_and(|age_ms| item.at + age_ms <= moment.now);
            if !too_much && !too_old {
                return violated!("stream {name} let offset {offset} go without a reason");
            }
            bytes -= u64::from(item.size);
        }
        if first > self.first {
            self.first = first;
            self.lefts.push((moment.step, first));
        }
        Ok(())
    }

    /// What is too old or too much must have left.
    pub fn check_kept(&self, now: u64, clock_fell: bool) -> Checked {
        let (name, kept) = (&self.name, self.kept());
        let segment_bytes = self.rules.segment_bytes.unwrap_or(0);
        let bytes: u64 = kept.iter().map(|item| u64::from(item.size)).sum();
        let one_part = kept.len() <= 1 || bytes <= segment_bytes;
        if self.rules.bytes_max.is_some_and(|max| bytes > max) && !one_part {
            return violated!("stream {name} keeps {bytes} bytes");
        }
        let Some(age_s) = self.rules.age_s.filter(|_| !clock_fell && !one_part) else {
            return Ok(());
        };
        // The part of the first one ends with the last that fits.
        let mut part_bytes = 0;
        let fits = |item: &&Item| {
            part_bytes += u64::from(item.size);
            part_bytes <= segment_bytes
        };
        let end = kept.iter().take_while(fits_mut(fits)).count().max(1);
        let (oldest, age_ms) = (kept[end - 1].at, age_s * 1000);
        if end < kept.len() && oldest + TIMES_MS + age_ms <= now {
            return violated!("stream {name} keeps what was appended at {oldest} and it is {now}");
        }
        Ok(())
    }

    /// A reader gets the message at `offset`.
    pub fn read(&mut self, reader: u64, offset: u64, lease: u64) -> Checked<usize> {
        let (name, first) = (&self.name, self.first);
        let Some(state) = self.readers.get(&reader) else {
            return violated!("stream {name}: {reader} reads and is not there");
        };
        let (least, most) = (state.least, state.most.max(first));
        let wanted = |offset: u64| self.item(offset).is_some_and(|item| state.wants(item));
        let skipped = (most..offset).any(wanted);
        if offset < least || skipped || !wanted(offset) {
            return violated!(
                "stream {name}: reader {reader} got offset {offset}, not {least} to {most}"
            );
        }
        let state = self.readers.get_mut(&reader).expect("it was just there");
        (state.least, state.most) = (offset + 1, offset + 1);
        state.unsettled += 1;
        self.held.insert(lease, reader);
        Ok(state.client)
    }

    /// A reader has room for one more.
    pub fn settle(&mut self, lease: u64) {
        let reader = self.held.remove(&lease);
        if let Some(reader) = reader.and_then(|reader| self.readers.get_mut(&reader)) {
            reader.unsettled -= 1;
        }
    }

    /// Everybody with room has read all there is, and nobody has more than there is room for.
    pub fn check_readers(&self, starved: impl Fn(u64) -> bool) -> Checked {
        let name = &self.name;
        for (number, reader) in &self.readers {
            let (unsettled, prefetch) = (reader.unsettled, reader.prefetch);
            if unsettled > prefetch {
                return violated!("stream {name}: reader {number} holds {unsettled} messages");
            }
            let mut left = reader.most.max(self.first)..self.next();
            let behind = left.any(|at| self.item(at).is_some_and(|item| reader.wants(item)));
            if behind && unsettled < prefetch && !starved(*number) {
                return violated!("stream {name}: reader {number} gets none");
            }
        }
        Ok(())
    }

    /// Forgets what can not come back.
    pub fn forget(&mut self, safe: Step) {
        let known = self.lefts.partition_point(|(step, _)| *step <= safe);
        if let Some((_, first)) = self.lefts.drain(..known).next_back() {
            self.items.drain(..(first - self.base) as usize);
            self.base = first;
        }
    }
}

/// A filter that counts, for `take_while`.
fn fits_mut<'a>(mut fits: impl FnMut(&&'a Item) -> bool) -> impl FnMut(&&'a Item) -> bool {
    move |item| fits(item)
}
