//! One priority of the ready messages: a head and a tail of unpacked entries, packed pages
//! between them, and what came back. Of that long runs are packed (`returned`).
//!
//! Invariants
//! - In head, pages and tail together `seq` ascends; `returned` has what stands between them.
//! - No page is empty. When the head is empty, what comes next is the first page, then the tail.
//! - `due` names every returned entry that expires, by its `seq`, and every page with such, by
//!   the page's first `seq`, each with its earliest expiry; no entry of an end expires before
//!   the end's `due`.
//!
//! Not here: counts (`Levels`), what is made of an expired message (`Queue`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::entry::Entry;
use super::super::page::{Packed, Page, earliest};
use crate::Millis;
use crate::limits::{HOT_ENTRIES_MAX, PAGE_ENTRIES};

mod returned;

/// Space that an empty level keeps, in entries.
pub const KEPT_ENTRIES: usize = 64;

/// Later than any expiry that matters.
pub const NEVER: Millis = Millis::MAX;

/// Unpacked entries at one end.
#[derive(Debug)]
struct End {
    entries: VecDeque<Entry>,
    /// No entry expires earlier.
    due: Millis,
}

impl Default for End {
    fn default() -> End {
        End::new()
    }
}

impl End {
    const fn new() -> End {
        End {
            entries: VecDeque::new(),
            due: NEVER,
        }
    }

    fn push_back(&mut self, entry: Entry) {
        if entry.expires_at != 0 {
            self.due = self.due.min(entry.expires_at);
        }
        self.entries.push_back(entry);
    }

    fn find(&self, seq: u64) -> Option<usize> {
        self.entries
            .binary_search_by_key(&seq, |entry| entry.seq)
            .ok()
    }

    /// Whether `seq` is not behind this end.
    fn reaches(&self, seq: u64) -> bool {
        self.entries.back().is_some_and(|last| seq <= last.seq)
    }

    /// From `seq` on.
    fn from(&self, seq: u64) -> impl Iterator<Item = &Entry> {
        let start = self.entries.partition_point(|entry| entry.seq < seq);
        self.entries.range(start..)
    }

    fn look(&mut self) {
        self.due = earliest(&self.entries).unwrap_or(NEVER);
    }

    fn take_expired(&mut self, now: Millis, out_max: usize, out: &mut Vec<Entry>) {
        if self.due > now {
            return;
        }
        while out.len() < out_max && self.entries.front().is_some_and(|entry| entry.expired(now)) {
            out.extend(self.entries.pop_front());
        }
        self.look();
        if self.due <= now && out.len() < out_max {
            self.entries
                .retain(|entry| !moved_if_expired(entry, now, out_max, out));
            self.look();
        }
    }

    fn retain(&mut self, keep: &mut impl FnMut(&mut Entry) -> bool) {
        self.entries.retain_mut(keep);
        self.look();
    }

    fn trim(&mut self) {
        self.entries.shrink_to(KEPT_ENTRIES);
        self.due = NEVER;
    }
}

/// One priority.
#[derive(Debug)]
pub struct Level {
    returned: BTreeMap<u64, Entry>,
    /// How many of them make packing worth a try.
    pack_at: usize,
    head: End,
    pages: VecDeque<Page>,
    tail: End,
    due: BTreeSet<(Millis, u64)>,
}

impl Default for Level {
    fn default() -> Level {
        Level::new()
    }
}

impl Level {
    pub const fn new() -> Level {
        Level {
            returned: BTreeMap::new(),
            pack_at: returned::PACK_AT,
            head: End::new(),
            pages: VecDeque::new(),
            tail: End::new(),
            due: BTreeSet::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.head.entries.is_empty()
            && self.tail.entries.is_empty()
            && self.pages.is_empty()
            && self.returned.is_empty()
    }

    /// Entries and pages that there is space for.
    #[cfg(test)]
    pub fn space(&self) -> usize {
        self.head.entries.capacity() + self.tail.entries.capacity() + self.pages.capacity()
    }

    /// No entry expires earlier.
    pub fn due(&self) -> Millis {
        let due = self.due.first().map_or(NEVER, |(at, _)| *at);
        due.min(self.head.due).min(self.tail.due)
    }

    pub fn push_back(&mut self, entry: Entry) {
        self.tail.push_back(entry);
        if self.tail.entries.len() < HOT_ENTRIES_MAX {
            return;
        }
        if self.head.entries.is_empty() && self.pages.is_empty() {
            std::mem::swap(&mut self.head, &mut self.tail);
        } else {
            let page = Page::new(self.tail.entries.drain(..PAGE_ENTRIES).collect());
            if self.tail.due != NEVER {
                self.note(&page);
            }
            self.pages.push_back(page);
        }
    }

    /// Adds a page behind all that is there. What stands behind the page's first entry becomes
    /// returned, with all before it; false if a place is taken twice.
    pub fn push_page(&mut self, page: Packed) -> bool {
        if self.last_seq().is_some_and(|last| page.first_seq() <= last) {
            let pages = std::mem::take(&mut self.pages);
            for page in &pages {
                self.forget(page);
            }
            let mut before = std::mem::take(&mut self.head).entries;
            before.extend(pages.into_iter().flat_map(Page::into_entries));
            before.append(&mut std::mem::take(&mut self.tail).entries);
            if !before.into_iter().all(|entry| self.keep_returned(entry)) {
                return false;
            }
        } else if !self.tail.entries.is_empty() {
            let page = Page::new(self.tail.entries.drain(..).collect());
            self.add_page(page);
        }
        let places = page.first_seq()..=page.last_seq();
        let taken = |entry: &Entry| self.returned.contains_key(&entry.seq);
        if self.returned.range(places).next().is_some() && page.entries().iter().any(taken) {
            return false;
        }
        self.add_page(Page::Packed(page));
        true
    }

    /// The last place but for what came back.
    pub fn last_seq(&self) -> Option<u64> {
        let ends = [self.tail.entries.back(), self.head.entries.back()].map(|end| Some(end?.seq));
        ends[0]
            .or(self.pages.back().map(Page::last_seq))
            .or(ends[1])
    }

    fn add_page(&mut self, page: Page) {
        self.note(&page);
        self.pages.push_back(page);
    }

    fn note(&mut self, page: &Page) {
        if let Some(at) = page.earliest() {
            self.due.insert((at, page.first_seq()));
        }
    }

    fn forget(&mut self, page: &Page) -> Millis {
        if self.due.is_empty() {
            return NEVER;
        }
        let at = page.earliest().unwrap_or(NEVER);
        self.due.remove(&(at, page.first_seq()));
        at
    }

    /// Makes sure that the next entry in order, if any, is at the front of `head`.
    fn refill(&mut self) {
        if !self.head.entries.is_empty() {
            return;
        }
        match self.pages.pop_front() {
            Some(page) => {
                self.head.due = self.forget(&page);
                self.head.entries.extend(page.into_entries());
            }
            None => std::mem::swap(&mut self.head, &mut self.tail),
        }
    }

    /// Whether a returned entry is next; if not, the front of `head` is.
    fn returned_first(&mut self) -> bool {
        self.refill();
        let Some((seq, _)) = self.returned.first_key_value() else {
            return false;
        };
        self.head.entries.front().is_none_or(|head| *seq < head.seq)
    }

    pub fn front(&mut self) -> Option<&Entry> {
        if self.returned_first() {
            self.returned.first_key_value().map(|(_, entry)| entry)
        } else {
            self.head.entries.front()
        }
    }

    #[inline]
    pub fn pop_front(&mut self) -> Option<Entry> {
        if self.returned_first() {
            return self.pop_returned();
        }
        let entry = self.head.entries.pop_front();
        if self.head.entries.is_empty() {
            self.trim();
        }
        entry
    }

    fn pop_returned(&mut self) -> Option<Entry> {
        let (_, entry) = self.returned.pop_first()?;
        self.left_returned(&entry);
        Some(entry)
    }

    fn left_returned(&mut self, entry: &Entry) {
        if entry.expires_at != 0 {
            self.due.remove(&(entry.expires_at, entry.seq));
        }
        self.trim();
    }

    /// Gives space back if nothing is left.
    fn trim(&mut self) {
        if self.is_empty() {
            self.head.trim();
            self.tail.trim();
            self.pages.shrink_to(0);
        }
    }

    /// Which page has the place, or would have it.
    fn page_of(&self, seq: u64) -> Option<usize> {
        let at = self.pages.partition_point(|page| page.last_seq() < seq);
        let page = self.pages.get(at)?;
        (page.first_seq() <= seq).then_some(at)
    }

    fn change_page<R>(&mut self, at: usize, change: impl FnOnce(&mut Vec<Entry>) -> R) -> R {
        let page = std::mem::replace(&mut self.pages[at], Page::Plain(Vec::new()));
        self.forget(&page);
        let mut entries = page.into_entries();
        let result = change(&mut entries);
        if entries.is_empty() {
            self.pages.remove(at);
        } else {
            let page = Page::new(entries);
            self.note(&page);
            self.pages[at] = page;
        }
        result
    }

    pub fn get(&self, seq: u64) -> Option<Entry> {
        if let Some(entry) = self.returned.get(&seq) {
            return Some(entry.clone());
        }
        if let Some(at) = self.page_of(seq) {
            let entries = self.pages[at].entries();
            return find(&entries, seq).map(|at| entries[at].clone());
        }
        let end = if self.head.reaches(seq) {
            &self.head
        } else {
            &self.tail
        };
        end.find(seq).map(|at| end.entries[at].clone())
    }

    pub fn take(&mut self, seq: u64) -> Option<Entry> {
        if let Some(entry) = self.returned.remove(&seq) {
            self.left_returned(&entry);
            return Some(entry);
        }
        let taken = if let Some(at) = self.page_of(seq) {
            self.change_page(at, |entries| Some(entries.remove(find(entries, seq)?)))
        } else {
            let end = if self.head.reaches(seq) {
                &mut self.head
            } else {
                &mut self.tail
            };
            end.find(seq).and_then(|at| end.entries.remove(at))
        };
        self.trim();
        taken
    }

    /// Moves what has expired to `out`, until that has `out_max` entries.
    pub fn take_expired(&mut self, now: Millis, out_max: usize, out: &mut Vec<Entry>) {
        self.head.take_expired(now, out_max, out);
        while out.len() < out_max
            && let Some(&(at, seq)) = self.due.first()
            && at <= now
        {
            if let Some(entry) = self.returned.remove(&seq) {
                self.due.pop_first();
                out.push(entry);
            } else {
                let (at, before) = (self.page_of(seq), out.len());
                let at = at.expect("due names pages by their first");
                self.change_page(at, |entries| {
                    entries.retain(|entry| !moved_if_expired(entry, now, out_max, out));
                });
                assert!(out.len() > before, "due says that one has expired");
            }
        }
        self.tail.take_expired(now, out_max, out);
        self.trim();
    }

    /// As `Levels::retain`.
    pub fn retain(
        &mut self,
        touched: impl Fn(&Packed) -> bool,
        mut keep: impl FnMut(&mut Entry) -> bool,
    ) {
        self.returned.retain(|_, entry| keep(entry));
        self.head.retain(&mut keep);
        self.pages.retain_mut(|page| {
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
        self.tail.retain(&mut keep);
        let returned = self.returned.values().filter(|entry| entry.expires_at != 0);
        let returned = returned.map(|entry| (entry.expires_at, entry.seq));
        let pages = self.pages.iter();
        let pages = pages.filter_map(|page| Some((page.earliest()?, page.first_seq())));
        self.due = returned.chain(pages).collect();
        self.trim();
    }

    /// As `Levels::durable_pages`.
    pub fn durable_pages(&self, each: &mut impl FnMut(Packed)) {
        pack(&self.head.entries, each);
        for page in &self.pages {
            match page {
                Page::Packed(packed) if packed.all_durable() => each(packed.clone()),
                other => pack(&other.entries(), each),
            }
        }
        pack(&self.tail.entries, each);
    }

    pub fn returned(&self) -> impl Iterator<Item = &Entry> {
        self.returned.values()
    }

    /// Visits the entries from `seq` on; false once `each` was.
    pub fn visit_from(&self, seq: u64, each: &mut impl FnMut(&Entry) -> bool) -> bool {
        let first = self.pages.partition_point(|page| page.last_seq() < seq);
        let pages = self.pages.range(first..).flat_map(Page::entries);
        let pages = pages.skip_while(|entry| entry.seq < seq);
        let mut returned = self
            .returned
            .range(seq..)
            .map(|(_, entry)| entry)
            .peekable();
        let heads = self.head.from(seq).cloned();
        for entry in heads.chain(pages).chain(self.tail.from(seq).cloned()) {
            while let Some(earlier) = returned.next_if(|back| back.seq < entry.seq) {
                if !each(earlier) {
                    return false;
                }
            }
            if !each(&entry) {
                return false;
            }
        }
        returned.all(each)
    }
}

fn find(entries: &[Entry], seq: u64) -> Option<usize> {
    entries.binary_search_by_key(&seq, |entry| entry.seq).ok()
}

fn moved_if_expired(entry: &Entry, now: Millis, out_max: usize, out: &mut Vec<Entry>) -> bool {
    let moved = entry.expired(now) && out.len() < out_max;
    if moved {
        out.push(entry.clone());
    }
    moved
}

fn pack<'a>(entries: impl IntoIterator<Item = &'a Entry>, each: &mut impl FnMut(Packed)) {
    let durable = entries.into_iter().filter(|entry| entry.durable);
    let durable: Vec<Entry> = durable.cloned().collect();
    durable.chunks(PAGE_ENTRIES).map(Packed::new).for_each(each);
}
