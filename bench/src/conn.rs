//! One connection under load: its socket and the bytes on their way.
//!
//! Invariants
//! - `input[read_at..write_at]` is what has arrived and is not parsed yet.
//! - `output[sent_at..]` is what the socket has not taken yet.
//! - `armed` is true exactly while the poll set watches the socket for room to write.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::Res;
use crate::codec::{Codec, Counters, Stamps};
use crate::sys::now_ns;

const INPUT_BYTES: usize = 512 * 1024;
/// Where there are many: room for what comes at once, and grows with what does not fit. With more
/// the generator would be busy with clearing gigabytes.
const INPUT_BYTES_IN_CROWD: usize = 16 * 1024;
/// So many connections of a kind are many.
pub const CROWD_MIN: usize = 1000;
/// A producer with so much unsent gets nothing more to send.
pub const OUTPUT_BYTES: usize = 128 * 1024;

/// A connection after its handshake.
pub struct Conn {
    /// The socket, non-blocking.
    pub socket: TcpStream,
    /// Publishes; else it consumes.
    pub producer: bool,
    /// The poll set watches for room to write.
    pub armed: bool,
    /// Messages handed to the socket or on their way to it.
    pub published: u64,
    /// Messages that the broker answered for.
    pub confirmed: u64,
    codec: Box<dyn Codec>,
    input: Vec<u8>,
    read_at: usize,
    write_at: usize,
    output: Vec<u8>,
    sent_at: usize,
}

impl Conn {
    /// Takes over a socket on which the handshake is done; it is one of so many of its kind.
    pub fn new(
        socket: TcpStream,
        codec: Box<dyn Codec>,
        producer: bool,
        of_kind: usize,
    ) -> Res<Conn> {
        socket.set_nonblocking(true).map_err(|e| e.to_string())?;
        let (input_bytes, output_bytes) = if of_kind < CROWD_MIN {
            (INPUT_BYTES, 2 * OUTPUT_BYTES)
        } else {
            (INPUT_BYTES_IN_CROWD, 0)
        };
        Ok(Conn {
            socket,
            producer,
            armed: false,
            published: 0,
            confirmed: 0,
            codec,
            input: vec![0; input_bytes],
            read_at: 0,
            write_at: 0,
            output: Vec::with_capacity(output_bytes),
            sent_at: 0,
        })
    }

    /// Bytes that the socket has not taken yet.
    pub fn unsent(&self) -> usize {
        self.output.len() - self.sent_at
    }

    /// Messages that still fit into the output.
    pub fn output_room(&self) -> usize {
        ((OUTPUT_BYTES.saturating_sub(self.unsent())) / self.codec.message_bytes()).max(1)
    }

    /// Puts `count` messages into the output.
    pub fn fill(&mut self, count: usize, stamps: Option<Stamps>) {
        self.codec.fill(&mut self.output, count, stamps);
        self.published += count as u64;
    }

    /// Hands the output to the socket. True if it took everything.
    pub fn flush(&mut self) -> Res<bool> {
        while self.sent_at < self.output.len() {
            match self.socket.write(&self.output[self.sent_at..]) {
                Ok(bytes) => self.sent_at += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.sent_at > OUTPUT_BYTES {
                        self.output.drain(..self.sent_at);
                        self.sent_at = 0;
                    }
                    return Ok(false);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("write: {error}")),
            }
        }
        self.output.clear();
        self.sent_at = 0;
        Ok(true)
    }

    /// Reads once and parses.
    pub fn read(&mut self, counters: &mut Counters) -> Res<()> {
        if self.read_at > 0 {
            self.input.copy_within(self.read_at..self.write_at, 0);
            self.write_at -= self.read_at;
            self.read_at = 0;
        }
        if self.write_at == self.input.len() {
            self.input.resize(self.input.len() * 2, 0);
        }
        match self.socket.read(&mut self.input[self.write_at..]) {
            Ok(0) => return Err("the broker closed the connection".into()),
            Ok(bytes) => self.write_at += bytes,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(());
            }
            Err(error) => return Err(format!("read: {error}")),
        }
        if counters.timing {
            counters.now_ns = now_ns();
        }
        let confirmed = counters.confirmed;
        let arrived = &self.input[self.read_at..self.write_at];
        let used = self.codec.feed(arrived, &mut self.output, counters)?;
        assert!(used <= arrived.len());
        self.confirmed += counters.confirmed - confirmed;
        self.read_at += used;
        if self.read_at == self.write_at {
            self.read_at = 0;
            self.write_at = 0;
        }
        Ok(())
    }
}
