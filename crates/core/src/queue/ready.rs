//! Messages that wait for a consumer: one level per priority, each in order of arrival.
//!
//! A level is a head and a tail of unpacked entries with packed pages between them, so that a
//! long queue costs a few bytes a message and a short one no packing at all. What comes back
//! from a consumer is put at its old place.
//!
//! Invariants
//! - Within a level entries leave in the order of their `seq`, returned ones included.
//! - Every entry of a higher level leaves before any of a lower one.
//! - `count`, `bytes` and `expiring` are those of all entries in all levels.
//!
//! Not here: who gets the next message (`consumer`), when one expires (`Queue`).

use std::collections::{BTreeMap, VecDeque};

use super::entry::Entry;
use super::page::{Packed, Page};
use crate::limits::{HOT_ENTRIES_MAX, PAGE_ENTRIES};

/// Space that an empty level keeps, in entries.
const KEPT_ENTRIES: usize = 64;

/// One priority.
#[derive(Debug, Default)]
struct Level {
    returned: BTreeMap<u64, Entry>,
    head: VecDeque<Entry>,
    pages: VecDeque<Page>,
    tail: VecDeque<Entry>,
}

impl Level {
    fn push_back(&mut self, entry: Entry) {
        self.tail.push_back(entry);
        if self.tail.len() < HOT_ENTRIES_MAX {
            return;
        }
        if self.head.is_empty() && self.pages.is_empty() {
            std::mem::swap(&mut self.head, &mut self.tail);
        } else {
            self.pages
                .push_back(Page::new(self.tail.drain(..PAGE_ENTRIES).collect()));
        }
    }

    /// Makes sure that the next entry in order, if any, is at the front of `head`.
    fn refill(&mut self) {
        if !self.head.is_empty() {
            return;
        }
        match self.pages.pop_front() {
            Some(page) => self.head.extend(page.into_entries()),
            None => std::mem::swap(&mut self.head, &mut self.tail),
        }
    }

    fn returned_first(&mut self) -> bool {
        self.refill();
        match (self.returned.first_key_value(), self.head.front()) {
            (Some((seq, _)), Some(head)) => *seq < head.seq,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    fn front(&mut self) -> Option<&Entry> {
        if self.returned_first() {
            self.returned.first_key_value().map(|(_, entry)| entry)
        } else {
            self.head.front()
        }
    }

    fn pop_front(&mut self) -> Option<Entry> {
        if self.returned_first() {
            return self.returned.pop_first().map(|(_, entry)| entry);
        }
        let entry = self.head.pop_front();
        if self.head.is_empty() && self.tail.is_empty() && self.pages.is_empty() {
            self.head.shrink_to(KEPT_ENTRIES);
            self.tail.shrink_to(KEPT_ENTRIES);
        }
        entry
    }
}

/// All levels of one queue.
#[derive(Debug)]
pub struct Ready {
    levels: Vec<Level>,
    count: u64,
    bytes: u64,
    expiring: u64,
}

impl Ready {
    /// An empty set of levels 0 to `max_priority`.
    pub fn new(max_priority: u8) -> Ready {
        let levels = (0..=max_priority).map(|_| Level::default()).collect();
        Ready {
            levels,
            count: 0,
            bytes: 0,
            expiring: 0,
        }
    }

    /// How many messages wait.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Length of their bodies, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether any of them can expire.
    pub fn any_expiring(&self) -> bool {
        self.expiring > 0
    }

    fn added(&mut self, entry: &Entry) {
        self.count += 1;
        self.bytes += u64::from(entry.size);
        self.expiring += u64::from(entry.expires_at != 0);
    }

    fn removed(&mut self, entry: &Entry) {
        self.count -= 1;
        self.bytes -= u64::from(entry.size);
        self.expiring -= u64::from(entry.expires_at != 0);
    }

    /// Adds a message at the end of its level; its `seq` is above all before it.
    pub fn push_back(&mut self, entry: Entry) {
        self.added(&entry);
        self.levels[usize::from(entry.priority)].push_back(entry);
    }

    /// Puts a message that was out back at its place.
    pub fn put_back(&mut self, entry: Entry) {
        self.added(&entry);
        let level = &mut self.levels[usize::from(entry.priority)];
        let before = level.returned.insert(entry.seq, entry);
        assert!(before.is_none(), "a message is in one place only");
    }

    /// The message that leaves next.
    pub fn front(&mut self) -> Option<&Entry> {
        if self.count == 0 {
            return None;
        }
        self.levels.iter_mut().rev().find_map(Level::front)
    }

    /// Takes the message that leaves next.
    pub fn pop_front(&mut self) -> Option<Entry> {
        if self.count == 0 {
            return None;
        }
        let entry = self.levels.iter_mut().rev().find_map(Level::pop_front)?;
        self.removed(&entry);
        Some(entry)
    }

    /// Lets `each` change every entry and drops those that it does not want to keep. Packed pages
    /// that `touched` declines stay as they are, unseen.
    pub fn retain(
        &mut self,
        touched: impl Fn(&Packed) -> bool,
        mut each: impl FnMut(&mut Entry) -> bool,
    ) {
        let mut levels = std::mem::take(&mut self.levels);
        let mut keep = |entry: &mut Entry| {
            self.removed(entry);
            let kept = each(entry);
            if kept {
                self.added(entry);
            }
            kept
        };
        for level in &mut levels {
            level.returned.retain(|_, entry| keep(entry));
            level.head.retain_mut(&mut keep);
            level.pages.retain_mut(|page| {
                if matches!(page, Page::Packed(packed) if !touched(packed)) {
                    return true;
                }
                let mut entries = std::mem::replace(page, Page::Plain(Vec::new())).into_entries();
                entries.retain_mut(&mut keep);
                if entries.is_empty() {
                    return false;
                }
                *page = Page::new(entries);
                true
            });
            level.tail.retain_mut(&mut keep);
        }
        self.levels = levels;
    }

    /// Takes everything, handing each entry to `each` in the order of leaving.
    pub fn drain(&mut self, mut each: impl FnMut(Entry)) {
        while let Some(entry) = self.pop_front() {
            each(entry);
        }
    }

    /// The waiting messages that outlive the broker, as pages in order of their levels.
    pub fn durable_pages(&self, mut each: impl FnMut(Packed)) {
        for level in &self.levels {
            pack(level.head.iter().cloned(), &mut each);
            for page in &level.pages {
                match page {
                    Page::Packed(packed) if packed.all_durable() => each(packed.clone()),
                    other => pack(page_entries(other).into_iter(), &mut each),
                }
            }
            pack(level.tail.iter().cloned(), &mut each);
        }
    }

    /// The messages that came back.
    pub fn returned(&self) -> impl Iterator<Item = &Entry> {
        self.levels.iter().flat_map(|level| level.returned.values())
    }

    /// Adds a packed page of a checkpoint behind all that its level has.
    pub fn push_page(&mut self, page: Packed) {
        self.count += page.len() as u64;
        self.bytes += page.body_bytes();
        self.expiring += page.expiring();
        let level = &mut self.levels[usize::from(page.priority())];
        if !level.tail.is_empty() {
            level
                .pages
                .push_back(Page::new(level.tail.drain(..).collect()));
        }
        level.pages.push_back(Page::Packed(page));
    }

    /// Visits the waiting messages in the order of leaving, until `each` returns false.
    pub fn visit(&self, mut each: impl FnMut(&Entry) -> bool) {
        for level in self.levels.iter().rev() {
            let mut returned = level.returned.values().peekable();
            let pages = level.pages.iter().flat_map(page_entries);
            let heads = level.head.iter().cloned();
            for entry in heads.chain(pages).chain(level.tail.iter().cloned()) {
                while let Some(earlier) = returned.next_if(|back| back.seq < entry.seq) {
                    if !each(earlier) {
                        return;
                    }
                }
                if !each(&entry) {
                    return;
                }
            }
            for entry in returned {
                if !each(entry) {
                    return;
                }
            }
        }
    }
}

fn page_entries(page: &Page) -> Vec<Entry> {
    match page {
        Page::Packed(packed) => packed.entries(),
        Page::Plain(entries) => entries.clone(),
    }
}

fn pack(entries: impl Iterator<Item = Entry>, each: &mut impl FnMut(Packed)) {
    let durable: Vec<Entry> = entries.filter(|entry| entry.durable).collect();
    durable.chunks(PAGE_ENTRIES).map(Packed::new).for_each(each);
}

#[cfg(test)]
mod tests {
    use super::super::entry::Body;
    use super::*;

    fn entry(seq: u64, priority: u8) -> Entry {
        Entry {
            seq,
            body: Body::Log((1 << 32) + seq),
            expires_at: 0,
            size: 10,
            returns: 0,
            priority,
            redelivered: false,
            durable: true,
        }
    }

    fn order(ready: &mut Ready) -> Vec<u64> {
        let mut order = Vec::new();
        ready.drain(|entry| order.push(entry.seq));
        order
    }

    #[test]
    fn a_long_level_keeps_its_order_through_pages() {
        let mut ready = Ready::new(0);
        for seq in 0..10_000 {
            ready.push_back(entry(seq, 0));
        }
        assert_eq!(ready.count(), 10_000);
        assert_eq!(ready.bytes(), 100_000);
        let mut seen = Vec::new();
        ready.visit(|entry| {
            seen.push(entry.seq);
            true
        });
        assert_eq!(seen, (0..10_000).collect::<Vec<_>>());
        assert_eq!(order(&mut ready), (0..10_000).collect::<Vec<_>>());
        assert_eq!((ready.count(), ready.bytes()), (0, 0));
    }

    #[test]
    fn what_comes_back_leaves_at_its_old_place() {
        let mut ready = Ready::new(0);
        (0..6).for_each(|seq| ready.push_back(entry(seq, 0)));
        let out: Vec<Entry> = (0..4).filter_map(|_| ready.pop_front()).collect();
        for seq in [3, 1, 2] {
            ready.put_back(out[seq].clone());
        }
        assert_eq!(order(&mut ready), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn higher_levels_leave_first_and_each_in_order() {
        let mut ready = Ready::new(2);
        for (seq, priority) in [(0, 0), (1, 2), (2, 1), (3, 2), (4, 0)] {
            ready.push_back(entry(seq, priority));
        }
        let first = ready.pop_front().unwrap();
        assert_eq!(first.seq, 1);
        ready.put_back(first);
        assert_eq!(order(&mut ready), [1, 3, 2, 0, 4]);
    }

    #[test]
    fn retaining_touches_packed_entries_too() {
        let mut ready = Ready::new(0);
        (0..5_000).for_each(|seq| ready.push_back(entry(seq, 0)));
        ready.retain(|_| true, |entry| entry.seq % 2 == 0);
        ready.retain(|_| false, |_| true);
        assert_eq!(ready.count(), 2_500);
        assert_eq!(order(&mut ready), (0..5_000).step_by(2).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_queue_gives_its_space_back() {
        let mut ready = Ready::new(0);
        (0..3_000).for_each(|seq| ready.push_back(entry(seq, 0)));
        order(&mut ready);
        let level = &ready.levels[0];
        assert!(level.head.capacity() + level.tail.capacity() <= 4 * KEPT_ENTRIES);
    }
}
