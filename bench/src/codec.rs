//! What a protocol brings along for a running load: precomputed messages, and a parser that counts.
//!
//! Invariants
//! - All messages of a block have one length, and their body begins at one offset, so a message
//!   is sent by copying bytes and a time stamp is placed by arithmetic.
//! - A time stamp is 8 bytes, little endian, at the start of a body; 0 means none.

use std::collections::VecDeque;

use crate::Res;
use crate::hist::Hist;

/// Precomputed messages are about this many bytes, so that a block stays in the second-level cache.
pub const BLOCK_BYTES: usize = 128 * 1024;

/// What the consumers and producers of a run have seen so far.
#[derive(Default)]
pub struct Counters {
    /// Messages delivered.
    pub delivered: u64,
    /// Messages that the broker answered for, positively or not.
    pub confirmed: u64,
    /// Of these: refused.
    pub nacked: u64,
    /// From the intended send time to the delivery.
    pub latency: Hist,
    /// From the intended send time to the confirm.
    pub confirm_latency: Hist,
    /// Bodies carry time stamps.
    pub timing: bool,
    /// When the bytes being parsed were read.
    pub now_ns: u64,
}

impl Counters {
    /// A message has arrived.
    #[inline]
    pub fn deliver(&mut self, body: &[u8]) {
        self.delivered += 1;
        if self.timing
            && let Some(stamp) = body.first_chunk::<8>()
        {
            let sent_ns = u64::from_le_bytes(*stamp);
            if sent_ns > 0 && sent_ns <= self.now_ns {
                self.latency.add(self.now_ns - sent_ns);
            }
        }
    }

    /// One message is confirmed; `sent_ns` is known when bodies carry time stamps.
    #[inline]
    pub fn confirm(&mut self, sent_ns: Option<u64>) {
        self.confirmed += 1;
        if let Some(sent_ns) = sent_ns {
            self.confirm_latency
                .add(self.now_ns.saturating_sub(sent_ns));
        }
    }
}

/// Time stamps of consecutive messages.
#[derive(Clone, Copy, Debug)]
pub struct Stamps {
    /// That of the first message.
    pub first_ns: u64,
    /// From one to the next.
    pub step_ns: u64,
}

/// A protocol on one connection after its handshake.
pub trait Codec: Send {
    /// Appends `count` messages to `out`. Consumers publish nothing.
    fn fill(&mut self, _out: &mut Vec<u8>, _count: usize, _stamps: Option<Stamps>) {}

    /// Bytes that one message takes on the wire; a guide for batch sizes.
    fn message_bytes(&self) -> usize {
        64
    }

    /// Parses what arrived and returns the bytes used. Replies go to `out`.
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize>;
}

/// Precomputed messages.
pub struct Block {
    bytes: Vec<u8>,
    message_bytes: usize,
    messages: usize,
    body_at: usize,
    next: usize,
}

impl Block {
    /// Copies of one message whose body begins at `body_at`.
    pub fn repeat(message: &[u8], body_at: usize) -> Block {
        let messages = (BLOCK_BYTES / message.len()).max(1);
        Block::sequence(message.repeat(messages), messages, body_at)
    }

    /// So many different messages of one length in a row.
    pub fn sequence(bytes: Vec<u8>, messages: usize, body_at: usize) -> Block {
        let message_bytes = bytes.len() / messages;
        assert_eq!(
            message_bytes * messages,
            bytes.len(),
            "all messages have one length"
        );
        assert!(body_at <= message_bytes);
        Block {
            bytes,
            message_bytes,
            messages,
            body_at,
            next: 0,
        }
    }

    /// The length of a message.
    pub fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    /// Appends the next `count` messages, with time stamps if there are any, and returns where the
    /// first one begins. Where confirms are timed, `sent` gets the stamps too.
    pub fn fill(
        &mut self,
        out: &mut Vec<u8>,
        count: usize,
        stamps: Option<Stamps>,
        sent: Option<&mut VecDeque<u64>>,
    ) -> usize {
        let start = self.append(out, count);
        if let Some(stamps) = stamps {
            self.stamp(out, start, count, stamps, sent);
        }
        start
    }

    fn append(&mut self, out: &mut Vec<u8>, count: usize) -> usize {
        let start = out.len();
        let mut left = count;
        while left > 0 {
            let now = left.min(self.messages - self.next);
            let from = self.next * self.message_bytes;
            out.extend_from_slice(&self.bytes[from..from + now * self.message_bytes]);
            self.next = (self.next + now) % self.messages;
            left -= now;
        }
        start
    }

    /// Writes the time stamps into `count` messages that were appended at `start`.
    fn stamp(
        &self,
        out: &mut [u8],
        start: usize,
        count: usize,
        stamps: Stamps,
        mut sent: Option<&mut VecDeque<u64>>,
    ) {
        for n in 0..count {
            let at = start + n * self.message_bytes + self.body_at;
            let stamp = stamps.first_ns + n as u64 * stamps.step_ns;
            out[at..at + 8].copy_from_slice(&stamp.to_le_bytes());
            if let Some(sent) = sent.as_deref_mut() {
                sent.push_back(stamp);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_goes_round_and_keeps_the_order() {
        let mut block = Block::sequence(b"aabbcc".to_vec(), 3, 0);
        let mut out = b"-".to_vec();
        assert_eq!(block.append(&mut out, 2), 1);
        assert_eq!(block.append(&mut out, 5), 5);
        assert_eq!(out, b"-aabbccaabbccaa");
    }

    #[test]
    fn stamps_land_at_the_start_of_each_body_and_are_read_back() {
        let mut block = Block::repeat(b"hh________t", 2);
        let (mut out, mut sent) = (Vec::new(), VecDeque::new());
        let start = block.append(&mut out, 3);
        let stamps = Stamps {
            first_ns: 100,
            step_ns: 7,
        };
        block.stamp(&mut out, start, 3, stamps, Some(&mut sent));
        assert_eq!(sent, [100, 107, 114]);
        let mut counters = Counters {
            timing: true,
            now_ns: 114,
            ..Counters::default()
        };
        for message in out.chunks(11) {
            assert!(message.starts_with(b"hh") && message.ends_with(b"t"));
            counters.deliver(&message[2..]);
        }
        assert_eq!((counters.latency.samples, counters.latency.max), (3, 14));
    }

    #[test]
    fn a_message_longer_than_a_block_is_held_once() {
        let block = Block::repeat(&vec![b'x'; BLOCK_BYTES + 1], 0);
        assert_eq!(
            (block.messages, block.message_bytes()),
            (1, BLOCK_BYTES + 1)
        );
    }
}
