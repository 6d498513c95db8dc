//! Entries that readers are at, unpacked: a page of a long stream is unpacked once for all that
//! read there, not once for each message.
//!
//! Invariants
//! - A window has entries of consecutive places, as they are in the stream now: it is forgotten
//!   when bodies move. What left the stream may still stand in one, but nobody reads there.

use super::super::entry::Entry;
use super::super::ready::Ready;

/// Places that are read at a time.
const WINDOWS_MAX: usize = 8;

/// Entries that are unpacked at a time.
const WINDOW_ENTRIES: usize = 512;

/// The windows of one stream, the one that was used last at the end.
#[derive(Debug, Default)]
pub struct Windows {
    all: Vec<Vec<Entry>>,
}

/// Where in `window` the place is.
fn index(window: &[Entry], seq: u64) -> Option<usize> {
    let first = window.first()?.seq;
    let at = usize::try_from(seq.checked_sub(first)?).ok()?;
    (at < window.len()).then_some(at)
}

impl Windows {
    /// The entry at `seq`, which is in the stream.
    pub fn entry(&mut self, seq: u64, ready: &Ready) -> Option<&Entry> {
        match self
            .all
            .iter()
            .position(|window| index(window, seq).is_some())
        {
            Some(found) => self.all[found..].rotate_left(1),
            None => self.open(seq, ready),
        }
        let window = self.all.last()?;
        index(window, seq).map(|at| &window[at])
    }

    fn open(&mut self, seq: u64, ready: &Ready) {
        let mut window = match self.all.len() < WINDOWS_MAX {
            true => Vec::new(),
            false => self.all.remove(0),
        };
        window.clear();
        let before = seq.checked_sub(1).map(|before| (0, before));
        ready.visit_after(before, |entry| {
            window.push(entry.clone());
            window.len() < WINDOW_ENTRIES
        });
        self.all.push(window);
    }

    /// Forgets everything and gives the space back.
    pub fn clear(&mut self) {
        self.all = Vec::new();
    }
}
