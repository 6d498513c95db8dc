//! Facts about a stream besides the messages that entered it.
//!
//! ```text
//!  | place delta (zigzag) | 0 |  or  | place delta | time ms + 1 |                     (varints)
//! ```

use super::{Change, Fact, put_position};
use crate::Millis;
use crate::message::Position;
use crate::routing::QueueId;
use crate::wire::{Cursor, Truncated, put_varint};

/// What happened to a stream at one of its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFact {
    /// All messages before that place have left.
    Left(u64),
    /// From that place on messages were appended at that time or later.
    Timed(u64, Millis),
}

impl StreamFact {
    pub(super) fn encode(&self, out: &mut Vec<u8>, last: &mut Position) {
        let (seq, time) = match self {
            StreamFact::Left(seq) => (*seq, 0),
            StreamFact::Timed(seq, at) => (*seq, at.saturating_add(1)),
        };
        put_position(out, seq, last);
        put_varint(out, time);
    }

    pub(super) fn decode(
        queue: QueueId,
        seq: u64,
        cursor: &mut Cursor<'_>,
    ) -> Result<Fact, Truncated> {
        let fact = match cursor.varint()? {
            0 => StreamFact::Left(seq),
            time => StreamFact::Timed(seq, time - 1),
        };
        Ok(Fact::Changed(Change::Stream(queue, fact)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;

    #[test]
    fn facts_of_a_stream_read_back_and_cut_ones_do_not() {
        let of = |fact| Change::Stream(QueueId(7), fact);
        let changes = vec![
            of(StreamFact::Timed(u64::MAX, 0)),
            of(StreamFact::Left(1)),
            of(StreamFact::Timed(1 << 40, 1_700_000_000_000)),
            Change::Stream(QueueId(8), StreamFact::Left(3)),
        ];
        let facts = Facts {
            changes: changes.clone(),
            ..Facts::default()
        };
        let mut bytes = Vec::new();
        facts.encode(&mut bytes);
        let mut read = Vec::new();
        Facts::decode(&bytes, |fact| read.push(fact)).unwrap();
        let expected: Vec<Fact> = changes.into_iter().map(Fact::Changed).collect();
        assert_eq!(read, expected);
        let cut = bytes.len() - 1;
        assert!(Facts::decode(&bytes[..cut], |_| ()).is_err());
    }
}
