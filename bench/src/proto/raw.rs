//! Messages of one size without any framing, for the relay: the least that a broker could cost.
//!
//! Invariants
//! - The first byte of a connection says which side it is: `P` or `C`.
//! - A relay with a log tells the producer how many of its bytes are safe, as 8 bytes, little
//!   endian; a word that takes back what was safe, or is about what was not sent, ends the run.

use std::collections::VecDeque;
use std::io::Write;

use crate::Res;
use crate::codec::{Block, Codec, Counters, Stamps};
use crate::scenario::Load;
use crate::target::Target;

use super::{Opened, io_text};

/// Bytes of a word about what is safe.
const WORD_BYTES: usize = 8;

/// Confirms of a producer.
#[derive(Default)]
struct Confirms {
    sent: VecDeque<u64>,
    published: u64,
    confirmed: u64,
}

impl Confirms {
    /// So many messages are safe by now.
    fn safe(&mut self, messages: u64, counters: &mut Counters) -> Res<()> {
        if messages < self.confirmed || messages > self.published {
            let (confirmed, published) = (self.confirmed, self.published);
            return Err(format!(
                "{messages} are safe, after {confirmed} of {published}"
            ));
        }
        for _ in self.confirmed..messages {
            counters.confirm(self.sent.pop_front());
        }
        self.confirmed = messages;
        Ok(())
    }
}

struct Producer {
    block: Block,
    confirms: Option<Confirms>,
}

impl Codec for Producer {
    fn message_bytes(&self) -> usize {
        self.block.message_bytes()
    }

    fn fill(&mut self, out: &mut Vec<u8>, count: usize, stamps: Option<Stamps>) {
        let mut sent = None;
        if let Some(confirms) = &mut self.confirms {
            confirms.published += count as u64;
            sent = Some(&mut confirms.sent);
        }
        self.block.fill(out, count, stamps, sent);
    }

    fn feed(&mut self, bytes: &[u8], _out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let size_bytes = self.message_bytes() as u64;
        let Some(confirms) = &mut self.confirms else {
            return Err("a relay without a log has nothing to say".into());
        };
        let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
        for word in words {
            confirms.safe(u64::from_le_bytes(*word) / size_bytes, counters)?;
        }
        Ok(bytes.len() - rest.len())
    }
}

struct Consumer {
    size_bytes: usize,
}

impl Codec for Consumer {
    fn feed(&mut self, bytes: &[u8], _out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let messages = bytes.chunks_exact(self.size_bytes);
        let used = bytes.len() - messages.remainder().len();
        for message in messages {
            counters.deliver(message);
        }
        Ok(used)
    }
}

/// Opens a producer.
pub fn producer(target: &Target, load: &Load) -> Res<Opened> {
    let mut socket = target.connect()?;
    socket.write_all(b"P").map_err(io_text)?;
    let block = Block::repeat(&vec![b'x'; load.size_bytes], 0);
    let confirms = (load.confirm_window > 0).then(Confirms::default);
    Ok((socket, Box::new(Producer { block, confirms })))
}

/// Opens a consumer.
pub fn consumer(target: &Target, load: &Load) -> Res<Opened> {
    let mut socket = target.connect()?;
    socket.write_all(b"C").map_err(io_text)?;
    Ok((
        socket,
        Box::new(Consumer {
            size_bytes: load.size_bytes,
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Block;

    #[test]
    fn what_is_safe_is_confirmed_once_and_nonsense_ends_the_run() {
        let mut producer = Producer {
            block: Block::repeat(&[b'x'; 10], 0),
            confirms: Some(Confirms::default()),
        };
        let (mut out, mut counters) = (Vec::new(), Counters::default());
        let stamps = Stamps {
            first_ns: 100,
            step_ns: 100,
        };
        producer.fill(&mut out, 5, Some(stamps));
        counters.now_ns = 600;
        let word = |bytes: u64| bytes.to_le_bytes().to_vec();
        // safe bytes, the messages confirmed by then, and the slowest of them
        for (safe_bytes, confirmed, max_ns) in [
            (0, 0, 0),
            (9, 0, 0), // not all of the first
            (29, 2, 500),
            (29, 2, 500),
            (50, 5, 500),
        ] {
            let used = producer.feed(&word(safe_bytes), &mut out, &mut counters);
            assert_eq!(used, Ok(WORD_BYTES), "{safe_bytes}");
            assert_eq!(counters.confirmed, confirmed, "{safe_bytes}");
            assert_eq!(counters.confirm_latency.max, max_ns, "{safe_bytes}");
        }
        assert_eq!(producer.feed(&[0; 7], &mut out, &mut counters), Ok(0));
        for nonsense in [49, 60] {
            let fed = producer.feed(&word(nonsense), &mut out, &mut counters);
            assert!(fed.is_err(), "{nonsense}");
        }
        producer.confirms = None;
        assert!(producer.feed(&word(50), &mut out, &mut counters).is_err());
    }
}
