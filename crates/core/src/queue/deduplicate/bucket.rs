//! A small table of entries in the order of their tags, with gaps.
//!
//! A tag's home is the place that it would have if tags were spread evenly. An entry is at its home
//! or in the unbroken run behind it, so a search begins there and ends at the first larger tag.
//!
//! Invariants
//! - Entries rise from place to place; no place from an entry's home to its own is a gap.
//! - `homes` is 0 without places, else there are at least as many places; what does not fit
//!   behind the last home is in further places at the end.
//! - There are at most `FILLED_MAX` entries to a hundred homes. A bucket that loses an entry
//!   and then has fewer than `FILLED_MIN` is made smaller.

/// Most entries to a hundred homes: with more, searches would be long.
const FILLED_MAX: usize = 80;
/// A bucket that has fewer entries to a hundred homes is made smaller.
const FILLED_MIN: usize = 55;
/// What a bucket is filled to when it is made from other ones, or made smaller.
const FILLED_NEW: usize = 70;
/// What a bucket is filled to when it has grown.
const FILLED_GROWN: usize = 64;
/// A bucket of so few homes is not made smaller.
const HOMES_SMALL: usize = 8;

/// The tag of an id and the number of its slot, ordered by tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry(u64);

/// Behind every entry: tags stay below its own.
const GAP: Entry = Entry(u64::MAX);

impl Entry {
    /// An entry; `tag` is not the largest number there is.
    pub(super) fn new(tag: u32, number: u32) -> Entry {
        debug_assert!(tag != u32::MAX);
        Entry(u64::from(tag) << 32 | u64::from(number))
    }

    /// Its tag.
    pub(super) fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn number(self) -> u32 {
        self.0 as u32
    }
}

/// Entries whose tags have their lowest bits in common.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    places: Vec<Entry>,
    homes: u32,
    len: u32,
}

impl Bucket {
    /// A bucket of entries in order.
    pub(super) fn of(entries: &[Entry]) -> Bucket {
        Bucket::filled(entries.iter().copied(), entries.len(), FILLED_NEW)
    }

    /// All entries in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.places.iter().copied().filter(|entry| *entry != GAP)
    }

    /// The numbers of a tag.
    pub(super) fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> {
        let run = self.places.get(self.home(tag)..).unwrap_or(&[]).iter();
        run.skip_while(move |entry| entry.tag() < tag)
            .take_while(move |entry| entry.tag() == tag)
            .map(|entry| entry.number())
    }

    /// Adds an entry.
    pub(super) fn insert(&mut self, entry: Entry) {
        if (self.len as usize + 1) * 100 > self.homes as usize * FILLED_MAX {
            self.resize(FILLED_GROWN);
        }
        let mut place = self.home(entry.tag());
        let mut carried = entry;
        while carried != GAP {
            if place == self.places.len() {
                self.places.reserve_exact(1);
                self.places.push(GAP);
            }
            if self.places[place] > carried {
                std::mem::swap(&mut self.places[place], &mut carried);
            }
            place += 1;
        }
        self.len += 1;
    }

    /// Removes an entry that is there.
    pub(super) fn remove(&mut self, entry: Entry) {
        let home = self.home(entry.tag());
        let run = self.places[home..].iter();
        let offset = run.take_while(|other| **other < entry).count();
        let mut place = home + offset;
        assert_eq!(
            self.places.get(place),
            Some(&entry),
            "an id of the history is in the index"
        );
        while let Some(next) = self.places.get(place + 1).copied()
            && next != GAP
            && self.home(next.tag()) <= place
        {
            self.places[place] = next;
            place += 1;
        }
        self.places[place] = GAP;
        self.len -= 1;
        let homes = self.homes as usize;
        if homes > HOMES_SMALL && self.len as usize * 100 < homes * FILLED_MIN {
            self.resize(FILLED_NEW);
        }
    }

    /// Removes all, and keeps the places.
    pub(super) fn clear(&mut self) {
        self.places.fill(GAP);
        self.len = 0;
    }

    /// Places that are allocated.
    pub(super) fn capacity(&self) -> usize {
        self.places.capacity()
    }

    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * u64::from(self.homes)) >> 32) as usize
    }

    /// Makes it as large as one that is filled to so many percent, and has room for an entry.
    fn resize(&mut self, percent: usize) {
        *self = Bucket::filled(self.entries(), self.len as usize, percent);
    }

    fn filled(entries: impl Iterator<Item = Entry>, len: usize, percent: usize) -> Bucket {
        let homes = len * 100 / percent + 2;
        let mut bucket = Bucket {
            places: vec![GAP; homes],
            homes: homes as u32,
            len: len as u32,
        };
        let mut free = 0;
        for entry in entries {
            let place = bucket.home(entry.tag()).max(free);
            if place == bucket.places.len() {
                bucket.places.reserve_exact(1);
                bucket.places.push(GAP);
            }
            bucket.places[place] = entry;
            free = place + 1;
        }
        bucket
    }

    /// Checks what the head of this file promises.
    #[cfg(test)]
    pub(super) fn assert_invariants(&self) {
        let entries: Vec<Entry> = self.entries().collect();
        assert!(entries.is_sorted());
        assert_eq!(entries.len(), self.len as usize);
        for (place, entry) in self.places.iter().enumerate() {
            if *entry != GAP {
                let home = self.home(entry.tag());
                assert!(home <= place);
                assert!(!self.places[home..place].contains(&GAP));
            }
        }
        let (len, homes) = (self.len as usize, self.homes as usize);
        assert!(homes <= self.places.len());
        assert!(len * 100 <= homes * FILLED_MAX);
    }
}
