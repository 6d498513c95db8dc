//! Records on their way to the log, built without its lock.
//!
//! Invariants
//! - `bytes` holds whole records whose checksums are done but not yet bound to a place.
//! - A batch never spans segments: it is all in one, or none of it is anywhere.
//! - A batch that grew over its limit holds nothing more and is refused as a whole.

use crate::record::{self, HEAD_BYTES, KIND_RESERVED_MIN};

/// Limit of one batch, heads included.
pub const BATCH_BYTES_MAX: u32 = 2 << 30;

/// Capacity that [`Batch::clear`] keeps for the next use: more than one read of a socket brings.
const KEPT_BYTES_MAX: usize = 2 << 20;

/// Records that are appended together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    records: u32,
    too_large: bool,
}

impl Batch {
    /// An empty batch; it allocates with the first record.
    #[must_use]
    pub const fn new() -> Batch {
        Batch {
            bytes: Vec::new(),
            records: 0,
            too_large: false,
        }
    }

    /// Adds a record whose payload is `parts` in a row. Returns its offset from the batch's
    /// start: it will be at `Appended::base` plus this.
    ///
    /// # Panics
    /// When `kind` is 0 or one of the log's own ([`KIND_RESERVED_MIN`] and above).
    pub fn push(&mut self, kind: u8, stream: u16, parts: &[&[u8]]) -> u32 {
        self.push_flagged(kind, 0, stream, parts)
    }

    /// [`Batch::push`] with flags, which mean what the caller wants.
    ///
    /// # Panics
    /// As [`Batch::push`].
    pub fn push_flagged(&mut self, kind: u8, flags: u8, stream: u16, parts: &[&[u8]]) -> u32 {
        assert!(kind != 0, "kind 0 is never valid");
        assert!(kind < KIND_RESERVED_MIN, "kind {kind} is the log's own");
        let offset = self.bytes.len() as u32;
        let payload_bytes: usize = parts.iter().map(|part| part.len()).sum();
        let bytes = self
            .bytes
            .len()
            .saturating_add(HEAD_BYTES)
            .saturating_add(payload_bytes);
        if self.too_large || bytes > BATCH_BYTES_MAX as usize {
            self.too_large = true;
            self.bytes = Vec::new();
            return 0;
        }
        record::encode(&mut self.bytes, kind, flags, stream, parts);
        self.records += 1;
        offset
    }

    /// Empties the batch for another use.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.records = 0;
        self.too_large = false;
    }

    /// True when there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records as usize
    }

    /// Bytes that the batch will take in the log.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// True when the batch grew over [`BATCH_BYTES_MAX`]; appending it is refused.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_returns_the_offset_of_each_record() {
        let mut batch = Batch::new();
        assert!(batch.is_empty());
        assert_eq!(batch.push(1, 0, &[b"abc"]), 0);
        assert_eq!(batch.push(1, 0, &[]), 19);
        assert_eq!(batch.push_flagged(2, 9, 1, &[b"d", b"e"]), 35);
        assert_eq!((batch.len(), batch.log_bytes()), (3, 53));
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!(batch.push(1, 0, &[]), 0);
    }

    #[test]
    fn a_cleared_batch_gives_big_buffers_back() {
        let mut batch = Batch::new();
        batch.push(1, 0, &[&vec![0; 3 << 20]]);
        batch.clear();
        assert!(batch.bytes.capacity() <= KEPT_BYTES_MAX);
    }

    #[test]
    #[should_panic(expected = "the log's own")]
    fn reserved_kinds_are_refused() {
        Batch::new().push(KIND_RESERVED_MIN, 0, &[]);
    }
}
