//! Where in the history an id is: a hash table that grows and shrinks one bucket at a time.
//!
//! An entry is the tag of an id and the number of its slot. With `n` buckets a tag's bucket is its
//! lowest bits, as many as number the buckets; where that bucket is not there yet, one bit less. So
//! bucket `n` is made from the one that its number without the top bit names, and given back to
//! it. No step costs more than one bucket, and there is never a second table.
//!
//! Invariants
//! - An entry is in the bucket of its tag.
//! - A bucket has at most `BUCKET_ENTRIES_MAX` entries on average; with one bucket less it would
//!   have at least `BUCKET_ENTRIES_MIN`.
//! - `allocated` is the capacity of all buckets, in entries.

use super::bucket::{Bucket, Entry};
use super::history::History;
use super::id::MessageId;

/// Entries of a bucket, on average, beyond which there is one bucket more.
const BUCKET_ENTRIES_MAX: usize = 128;
/// Entries of a bucket, on average, below which there is one bucket less.
const BUCKET_ENTRIES_MIN: usize = 96;

/// Slot numbers by id.
#[derive(Debug, Default)]
pub(super) struct Index {
    buckets: Vec<Bucket>,
    len: usize,
    allocated: usize,
}

impl Index {
    /// The number of an id's slot.
    pub(super) fn find(&self, id: MessageId, history: &History) -> Option<u32> {
        if self.buckets.is_empty() {
            return None;
        }
        self.buckets[self.bucket_of(id.tag())]
            .numbers(id.tag())
            .find(|number| history.id(*number) == Some(id))
    }

    /// Adds an id that is not there.
    pub(super) fn insert(&mut self, id: MessageId, number: u32) {
        if self.len >= self.buckets.len() * BUCKET_ENTRIES_MAX {
            self.split();
        }
        let bucket = self.bucket_of(id.tag());
        self.change(bucket, |entries| {
            entries.insert(Entry::new(id.tag(), number))
        });
        self.len += 1;
    }

    /// Removes an id that is there, at that number.
    pub(super) fn remove(&mut self, id: MessageId, number: u32) {
        let bucket = self.bucket_of(id.tag());
        self.change(bucket, |entries| {
            entries.remove(Entry::new(id.tag(), number))
        });
        self.len -= 1;
        if self.len < (self.buckets.len() - 1) * BUCKET_ENTRIES_MIN {
            self.merge();
        }
    }

    /// Removes all, and keeps the space for as many again.
    pub(super) fn clear(&mut self) {
        self.buckets.iter_mut().for_each(Bucket::clear);
        self.len = 0;
    }

    /// Memory beyond the struct itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.allocated * size_of::<Entry>() + self.buckets.capacity() * size_of::<Bucket>()
    }

    fn bucket_of(&self, tag: u32) -> usize {
        let mask = self.buckets.len().next_power_of_two() - 1;
        let bucket = tag as usize & mask;
        if bucket < self.buckets.len() {
            bucket
        } else {
            bucket & (mask >> 1)
        }
    }

    /// Makes one bucket more.
    fn split(&mut self) {
        let new = self.buckets.len();
        self.buckets.push(Bucket::default());
        if new == 0 {
            return;
        }
        let (parent, bit) = parent_of(new);
        let mut moved: Vec<Entry> = Vec::new();
        self.change(parent, |entries| {
            let staying: Vec<Entry>;
            (moved, staying) = entries.entries().partition(|entry| entry.tag() & bit != 0);
            *entries = Bucket::of(&staying);
        });
        self.change(new, |entries| *entries = Bucket::of(&moved));
    }

    /// Gives the last bucket back to the one it was made from.
    fn merge(&mut self) {
        let (parent, _) = parent_of(self.buckets.len() - 1);
        if let Some(last) = self.buckets.pop() {
            self.allocated -= last.capacity();
            self.change(parent, |entries| {
                let mut all: Vec<Entry> = entries.entries().chain(last.entries()).collect();
                all.sort_unstable();
                *entries = Bucket::of(&all);
            });
        }
        if self.buckets.len() < self.buckets.capacity() / 3 {
            self.buckets.shrink_to(self.buckets.len() * 3 / 2);
        }
    }

    fn change(&mut self, bucket: usize, change: impl FnOnce(&mut Bucket)) {
        let bucket = &mut self.buckets[bucket];
        self.allocated -= bucket.capacity();
        change(bucket);
        self.allocated += bucket.capacity();
    }

    /// Checks what the head of this file promises.
    #[cfg(test)]
    pub(super) fn assert_invariants(&self) {
        let (mut len, mut allocated) = (0, 0);
        for (number, bucket) in self.buckets.iter().enumerate() {
            bucket.assert_invariants();
            for entry in bucket.entries() {
                assert_eq!(self.bucket_of(entry.tag()), number);
                len += 1;
            }
            allocated += bucket.capacity();
        }
        assert_eq!(len, self.len);
        assert_eq!(allocated, self.allocated);
        let count = self.buckets.len();
        assert!(len <= count * BUCKET_ENTRIES_MAX);
        assert!(count <= 1 || len >= (count - 1) * BUCKET_ENTRIES_MIN);
    }

    /// Memory of the list of buckets.
    #[cfg(test)]
    pub(super) fn directory_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }
}

/// The bucket that `bucket` is made from, and the bit by which they differ.
fn parent_of(bucket: usize) -> (usize, u32) {
    let bit = 1 << bucket.ilog2();
    (bucket ^ bit, bit as u32)
}
