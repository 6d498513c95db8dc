//! Look-ups among retained messages.
//!
//! Invariants
//! - A look-up is a SUBSCRIBE, the messages that it brings, and an UNSUBSCRIBE; one message more
//!   or less than expected is an error.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Res;
use crate::sys::{now_ns, seconds_since};
use crate::target::Target;

use super::super::io_text;
use super::client::Client;
use super::wire::{self, PINGRESP, PUBLISH, Packet, RETAIN, SUBACK, UNSUBACK, Version};

const CHUNK_BYTES: usize = 256 * 1024;
/// Where brokers say what they are.
const VERSION_TOPIC: &str = "$SYS/broker/version";

/// A client that looks retained messages up.
pub struct Reader {
    socket: TcpStream,
    version: Version,
    input: Vec<u8>,
    chunk: Vec<u8>,
}

/// What has come in answer to a look-up.
#[derive(Default)]
struct Seen {
    messages: usize,
    subscribed: bool,
    pong: bool,
    unsubscribed: bool,
}

impl Reader {
    /// Connects.
    pub fn connect(target: &Target) -> Res<Reader> {
        let client = Client::connect(target, "bench-reader", true)?;
        Ok(Reader {
            version: client.version,
            socket: client.into_socket(),
            input: Vec::new(),
            chunk: vec![0; CHUNK_BYTES],
        })
    }

    /// Seconds from the SUBSCRIBE to the last of `expected` messages. Where none is expected, an
    /// answered ping stands for it.
    pub fn look_up(&mut self, filter: &str, expected: usize) -> Res<f64> {
        let (mut seen, version) = (Seen::default(), self.version);
        let mut out = Vec::new();
        wire::put_subscribe(&mut out, self.version, 1, &[filter.to_string()], 0);
        if expected == 0 {
            out.extend_from_slice(&wire::PING);
        }
        let begin = now_ns();
        self.socket.write_all(&out).map_err(io_text)?;
        while !seen.subscribed || seen.messages < expected || (expected == 0 && !seen.pong) {
            let messages = seen.messages;
            self.read(|packet| seen.take(version, packet))
                .map_err(|e| format!("{filter}: {e} after {messages} of {expected} messages"))?;
        }
        let seconds = seconds_since(begin);
        out.clear();
        wire::put_unsubscribe(&mut out, self.version, 2, filter);
        self.socket.write_all(&out).map_err(io_text)?;
        while !seen.unsubscribed {
            self.read(|packet| seen.take(version, packet))?;
        }
        match seen.messages {
            count if count == expected => Ok(seconds),
            count => Err(format!("{filter} brought {count} messages, not {expected}")),
        }
    }

    /// Reads once and hands every whole packet to `each`.
    fn read(&mut self, mut each: impl FnMut(&Packet<'_>) -> Res<()>) -> Res<()> {
        match self.socket.read(&mut self.chunk).map_err(io_text)? {
            0 => return Err("the broker closed the connection".into()),
            bytes => self.input.extend_from_slice(&self.chunk[..bytes]),
        }
        let mut at = 0;
        while let Some(packet) = wire::packet(&self.input[at..])? {
            at += packet.bytes;
            each(&packet)?;
        }
        self.input.drain(..at);
        Ok(())
    }
}

impl Seen {
    fn take(&mut self, version: Version, packet: &Packet<'_>) -> Res<()> {
        match packet.kind() {
            PUBLISH if packet.first & RETAIN == 0 => {
                return Err("a message that is not retained came".into());
            }
            PUBLISH => self.messages += 1,
            SUBACK => {
                wire::granted(version, packet.body, 1, 0)?;
                self.subscribed = true;
            }
            UNSUBACK => self.unsubscribed = true,
            PINGRESP => self.pong = true,
            kind => return Err(format!("a packet of type {kind} came")),
        }
        Ok(())
    }
}

/// What the broker tells of its version, if it does.
pub fn version(target: &Target) -> Option<String> {
    let mut reader = Reader::connect(target).ok()?;
    let spoken = reader.version;
    let mut out = Vec::new();
    wire::put_subscribe(&mut out, spoken, 1, &[VERSION_TOPIC.to_string()], 0);
    out.extend_from_slice(&wire::PING);
    reader.socket.write_all(&out).ok()?;
    let (mut told, mut pong) = (None, false);
    while told.is_none() && !pong {
        let each = |packet: &Packet<'_>| {
            match packet.kind() {
                PUBLISH => {
                    let (_, text) = packet.message(spoken)?;
                    told = Some(String::from_utf8_lossy(text).into_owned());
                }
                PINGRESP => pong = true,
                _ => {}
            }
            Ok(())
        };
        reader.read(each).ok()?;
    }
    told
}
