//! Messages of one size without any framing, for the relay: the least that a broker could cost.
//!
//! Invariants
//! - The first byte of a connection says which side it is: `P` or `C`.

use std::io::Write;

use crate::Res;
use crate::codec::{Block, Codec, Counters, Stamps};
use crate::scenario::Load;
use crate::target::Target;

use super::{Opened, io_text};

struct Producer {
    block: Block,
}

impl Codec for Producer {
    fn message_bytes(&self) -> usize {
        self.block.message_bytes()
    }

    fn fill(&mut self, out: &mut Vec<u8>, count: usize, stamps: Option<Stamps>) {
        self.block.fill(out, count, stamps, None);
    }

    fn feed(&mut self, bytes: &[u8], _out: &mut Vec<u8>, _counters: &mut Counters) -> Res<usize> {
        Ok(bytes.len())
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
    Ok((socket, Box::new(Producer { block })))
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
