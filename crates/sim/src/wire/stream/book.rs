//! What is known of a stream: which message has which offset.
//!
//! Invariants
//! - An offset is of one message for ever, and a message has one offset.
//! - What was confirmed, and all before it, outlives a crash with its offsets.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Checked, violated};

/// The stream.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Who published each message: what one connection publishes keeps its order.
    authors: BTreeMap<u64, u64>,
    confirmed: BTreeSet<u64>,
    by_offset: BTreeMap<u64, u64>,
    offsets: BTreeMap<u64, u64>,
}

impl Book {
    /// A new message.
    pub(super) fn publish(&mut self, author: u64) -> u64 {
        let id = self.authors.len() as u64 + 1;
        self.authors.insert(id, author);
        id
    }

    pub(super) fn confirm(&mut self, id: u64) {
        self.confirmed.insert(id);
    }

    /// The highest offset that a message is known to have that was confirmed.
    pub(super) fn safe(&self) -> Option<u64> {
        let known = self.confirmed.iter().filter_map(|id| self.offsets.get(id));
        known.max().copied()
    }

    /// Messages that were confirmed and have not been read.
    pub(super) fn missing(&self) -> Vec<u64> {
        let unread = |id: &&u64| !self.offsets.contains_key(*id);
        self.confirmed.iter().filter(unread).copied().collect()
    }

    /// A message is read at an offset.
    pub(super) fn read(&mut self, offset: u64, id: u64) -> Checked {
        let Some(author) = self.authors.get(&id) else {
            return violated!("{id} is in the stream, and nobody has published it");
        };
        let at = *self.by_offset.entry(offset).or_insert(id);
        let of = *self.offsets.entry(id).or_insert(offset);
        if (at, of) != (id, offset) {
            return violated!("offset {offset} has {id}, and had {at}; {id} was at {of}");
        }
        let before = self.by_offset.range(..offset).next_back();
        if let Some((_, before)) = before
            && self.authors.get(before) == Some(author)
            && *before > id
        {
            return violated!("{before} is before {id} of the same publisher");
        }
        Ok(())
    }

    /// The node was down: what came after the last that was confirmed may be lost.
    pub(super) fn go_down(&mut self) {
        let keep = self.safe().map_or(0, |safe| safe + 1);
        self.by_offset.retain(|offset, _| *offset < keep);
        self.offsets.retain(|_, offset| *offset < keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_names_a_message_for_ever() {
        for (reads, is_right) in [
            (&[(0, 1), (1, 2), (0, 1)][..], true),
            (&[(0, 1), (0, 2)], false),
            (&[(0, 1), (1, 1)], false),
            (&[(0, 2), (1, 1)], false),
            (&[(0, 9)], false),
        ] {
            let mut book = Book::default();
            book.publish(7);
            book.publish(7);
            let done = reads.iter().try_for_each(|(at, id)| book.read(*at, *id));
            assert_eq!(done.is_ok(), is_right, "{reads:?}");
        }
    }

    #[test]
    fn a_crash_keeps_what_was_confirmed_where_it_was() {
        let mut book = Book::default();
        for offset in 0..3 {
            let id = book.publish(7);
            assert_eq!(book.read(offset, id), Ok(()));
        }
        book.confirm(2);
        book.go_down();
        assert_eq!(book.read(2, 3), Ok(()));
        book.confirm(3);
        assert_eq!((book.safe(), book.missing()), (Some(2), vec![]));
        assert!(book.read(1, 3).is_err());
    }
}
