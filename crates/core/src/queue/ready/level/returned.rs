//! What came back to a level: long runs of it are packed as all else that lies in the middle.
//!
//! A consumer that held a million messages and goes leaves a backlog, not a million entries.
//!
//! Invariants
//! - A run is packed only if nothing else stands between its entries.
//! - An entry that is packed forgets who gave it back.

use std::collections::BTreeMap;

use super::super::super::entry::Entry;
use super::super::super::page::Page;
use super::Level;
use crate::limits::PAGE_ENTRIES;

/// As many entries are looked at for runs.
pub const PACK_AT: usize = 4 * PAGE_ENTRIES;
/// Shorter runs stay as they are, in entries.
const RUN_MIN: usize = PAGE_ENTRIES / 4;

impl Level {
    /// False if its place was taken.
    pub fn put_back(&mut self, entry: Entry) -> bool {
        let vacant = self.keep_returned(entry);
        if self.returned.len() >= self.pack_at {
            self.pack_returned();
        }
        vacant
    }

    pub(super) fn keep_returned(&mut self, entry: Entry) -> bool {
        if entry.expires_at != 0 {
            self.due.insert((entry.expires_at, entry.seq));
        }
        self.returned.insert(entry.seq, entry).is_none()
    }

    /// Packs the long runs. The next try is when twice of what is left has come.
    fn pack_returned(&mut self) {
        self.pack_head();
        let mut left = std::mem::take(&mut self.returned);
        while let Some((first, _)) = left.first_key_value() {
            let at = self.pages.partition_point(|page| page.last_seq() < *first);
            let (within, end) = self.gap(at, *first);
            let behind = end.map_or_else(BTreeMap::new, |end| left.split_off(&end));
            let run = std::mem::replace(&mut left, behind);
            if within && run.len() >= RUN_MIN {
                for entry in run.values() {
                    self.due.remove(&(entry.expires_at, entry.seq));
                }
                self.insert_pages(at, &run.into_values().collect::<Vec<_>>());
            } else {
                self.returned.extend(run);
            }
        }
        self.pack_at = PACK_AT.max(2 * self.returned.len());
    }

    /// Whether something that came back, in front of page `at`, stands between pages and not in
    /// one or in the tail; and before which place that holds.
    fn gap(&self, at: usize, first: u64) -> (bool, Option<u64>) {
        if let Some(page) = self.pages.get(at) {
            return match first < page.first_seq() {
                true => (true, Some(page.first_seq())),
                false => (false, Some(page.last_seq())),
            };
        }
        match self.tail.entries.front() {
            Some(tail) if first < tail.seq => (true, Some(tail.seq)),
            Some(_) => (false, None),
            None => (true, None),
        }
    }

    /// What came back may stand before the head: that becomes a page as all others.
    fn pack_head(&mut self) {
        let mut head = std::mem::take(&mut self.head);
        self.insert_pages(0, head.entries.make_contiguous());
    }

    /// Makes pages of entries, in front of page `at`.
    fn insert_pages(&mut self, at: usize, entries: &[Entry]) {
        for entries in entries.rchunks(PAGE_ENTRIES) {
            let page = Page::new(entries.to_vec());
            self.note(&page);
            self.pages.insert(at, page);
        }
    }
}
