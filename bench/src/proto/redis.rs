//! Redis streams: XADD, XREADGROUP, and XACK with XDEL, pipelined.
//!
//! Invariants
//! - Every reply to an XADD is a confirm; what it is worth is the server's `appendfsync`.
//! - A consumer has one XREADGROUP under way.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Res;
use crate::codec::{Block, Codec, Counters, Stamps};
use crate::scenario::{Ack, Load};
use crate::target::Target;

use super::{Opened, io_text};

/// Arrays in arrays; a reply to XREADGROUP has five, ids at depth 4 and fields at depth 5.
const DEPTH_MAX: usize = 8;
const STRING_BYTES_MAX: i64 = 64 << 20;
/// A stream that nobody acknowledges is trimmed to about so many messages.
const TRANSIENT_LENGTH_MAX: &str = "100000";
/// A stream that is acknowledged is not trimmed in practice.
const DURABLE_LENGTH_MAX: &str = "100000000";
const GROUP: &[u8] = b"bench";

fn put_command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// Sends one command on `socket` and returns the start of its reply.
fn ask(socket: &mut TcpStream, parts: &[&[u8]]) -> Res<String> {
    let mut out = Vec::new();
    put_command(&mut out, parts);
    socket.write_all(&out).map_err(io_text)?;
    let mut chunk = [0u8; 4096];
    let bytes = socket.read(&mut chunk).map_err(io_text)?;
    let reply = String::from_utf8_lossy(&chunk[..bytes]).into_owned();
    if bytes == 0 || reply.starts_with('-') {
        Err(reply)
    } else {
        Ok(reply)
    }
}

/// A connection that the server has answered on.
pub fn connect(target: &Target) -> Res<TcpStream> {
    let mut socket = target.connect()?;
    ask(&mut socket, &[b"PING"])?;
    Ok(socket)
}

/// The product and its version.
pub fn version(target: &Target) -> Res<String> {
    let info = ask(&mut target.connect()?, &[b"INFO", b"server"])?;
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"));
    Ok(format!("Redis {}", version.unwrap_or_default()))
}

fn key(load: &Load, index: usize) -> String {
    format!("bench:{}:{index}", load.scenario)
}

/// Makes empty streams, each with the group.
pub fn setup(target: &Target, load: &Load) -> Res<()> {
    if !load.fresh {
        return Ok(());
    }
    let mut socket = target.connect()?;
    for index in 0..load.queues {
        let key = key(load, index);
        ask(&mut socket, &[b"DEL", key.as_bytes()])?;
        ask(
            &mut socket,
            &[
                b"XGROUP",
                b"CREATE",
                key.as_bytes(),
                GROUP,
                b"$",
                b"MKSTREAM",
            ],
        )?;
    }
    Ok(())
}

/// Deletes the streams.
pub fn cleanup(target: &Target, load: &Load) -> Res<()> {
    let mut socket = target.connect()?;
    for index in 0..load.queues {
        ask(&mut socket, &[b"DEL", key(load, index).as_bytes()])?;
    }
    Ok(())
}

/// Passes over one value; strings go to `each` with their depth. Returns where it ends, if whole.
fn value<'a>(
    bytes: &'a [u8],
    start: usize,
    depth: usize,
    each: &mut impl FnMut(usize, &'a [u8]),
) -> Res<Option<usize>> {
    if depth > DEPTH_MAX {
        return Err("a reply is nested too deeply".into());
    }
    let rest = bytes.get(start..).unwrap_or_default();
    let Some(line_end) = memchr::memchr(b'\n', rest) else {
        return Ok(None);
    };
    let text = rest[..line_end]
        .strip_suffix(b"\r")
        .unwrap_or(&rest[..line_end]);
    let next = start + line_end + 1;
    let number = || std::str::from_utf8(&text[1..]).ok()?.parse::<i64>().ok();
    match text.first() {
        Some(b'-') => Err(String::from_utf8_lossy(text).into_owned()),
        Some(b'$') => {
            let length = number().ok_or("a string without a length")?;
            if length < 0 {
                return Ok(Some(next));
            }
            let end = next + length.min(STRING_BYTES_MAX) as usize;
            if bytes.len() < end + 2 {
                return Ok(None);
            }
            each(depth, &bytes[next..end]);
            Ok(Some(end + 2))
        }
        Some(b'*') => {
            let mut at = next;
            for _ in 0..number().ok_or("an array without a length")?.max(0) {
                match value(bytes, at, depth + 1, each)? {
                    Some(end) => at = end,
                    None => return Ok(None),
                }
            }
            Ok(Some(at))
        }
        _ => Ok(Some(next)),
    }
}

struct Producer {
    block: Block,
    sent: VecDeque<u64>,
}

impl Codec for Producer {
    fn message_bytes(&self) -> usize {
        self.block.message_bytes()
    }

    fn fill(&mut self, out: &mut Vec<u8>, count: usize, stamps: Option<Stamps>) {
        self.block.fill(out, count, stamps, Some(&mut self.sent));
    }

    fn feed(&mut self, bytes: &[u8], _out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let mut at = 0;
        while let Some(end) = value(bytes, at, 0, &mut |_, _| {})? {
            at = end;
            counters.confirm(self.sent.pop_front());
        }
        Ok(at)
    }
}

struct Consumer {
    key: String,
    read: Vec<u8>,
    ack: Ack,
}

impl Consumer {
    /// Counts the messages of a batch; acknowledges and deletes them in two commands.
    fn batch(&self, strings: &[(usize, &[u8])], out: &mut Vec<u8>, counters: &mut Counters) {
        let mut ids = Vec::new();
        let mut fields = 0;
        for (depth, text) in strings {
            match depth {
                5 if fields == 1 => {
                    fields = 0;
                    counters.deliver(text);
                }
                5 => fields += 1,
                4 => {
                    ids.push(*text);
                    fields = 0;
                }
                _ => {}
            }
        }
        if self.ack != Ack::Auto && !ids.is_empty() {
            let key = self.key.as_bytes();
            put_command(out, &[&[b"XACK", key, GROUP], ids.as_slice()].concat());
            put_command(out, &[&[b"XDEL", key], ids.as_slice()].concat());
        }
        out.extend_from_slice(&self.read);
    }
}

impl Codec for Consumer {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let mut at = 0;
        loop {
            let mut strings = Vec::new();
            let Some(end) = value(bytes, at, 0, &mut |depth, text| strings.push((depth, text)))?
            else {
                return Ok(at);
            };
            // numbers answer acknowledgements; an array is a batch, or nothing within the wait
            if bytes[at] == b'*' {
                self.batch(&strings, out, counters);
            }
            at = end;
        }
    }
}

/// Opens the load's `index`-th producer.
pub fn producer(target: &Target, load: &Load, index: usize) -> Res<Opened> {
    let key = key(load, index % load.queues);
    let length = if load.ack == Ack::Auto {
        TRANSIENT_LENGTH_MAX
    } else {
        DURABLE_LENGTH_MAX
    };
    let body = vec![b'x'; load.size_bytes];
    let mut message = Vec::new();
    put_command(
        &mut message,
        &[
            b"XADD",
            key.as_bytes(),
            b"MAXLEN",
            b"~",
            length.as_bytes(),
            b"*",
            b"d",
            &body,
        ],
    );
    let body_at = message.len() - 2 - load.size_bytes;
    let block = Block::repeat(&message, body_at);
    Ok((
        target.connect()?,
        Box::new(Producer {
            block,
            sent: VecDeque::new(),
        }),
    ))
}

/// Opens the load's `index`-th consumer.
pub fn consumer(target: &Target, load: &Load, index: usize) -> Res<Opened> {
    let mut socket = target.connect()?;
    let key = key(load, index % load.queues);
    let mut parts: Vec<&[u8]> = vec![
        b"XREADGROUP",
        b"GROUP",
        GROUP,
        b"c",
        b"COUNT",
        b"200",
        b"BLOCK",
        b"5000",
    ];
    if load.ack == Ack::Auto {
        parts.push(b"NOACK");
    }
    parts.extend_from_slice(&[b"STREAMS", key.as_bytes(), b">"]);
    let mut read = Vec::new();
    put_command(&mut read, &parts);
    socket.write_all(&read).map_err(io_text)?;
    Ok((
        socket,
        Box::new(Consumer {
            key,
            read,
            ack: load.ack,
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &[u8] = b"*1\r\n*2\r\n$1\r\nk\r\n*2\r\n\
        *2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nd\r\n$8\r\nmessage1\r\n\
        *2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nd\r\n$8\r\nmessage2\r\n";

    fn consumer(ack: Ack) -> Consumer {
        Consumer {
            key: "k".into(),
            read: b"NEXT".to_vec(),
            ack,
        }
    }

    #[test]
    fn a_batch_is_counted_acknowledged_and_followed_by_the_next_read() {
        for (ack, commands) in [(Ack::Auto, 0), (Ack::Each, 2)] {
            let (mut out, mut counters) = (Vec::new(), Counters::default());
            let used = consumer(ack).feed(BATCH, &mut out, &mut counters);
            assert_eq!((used, counters.delivered), (Ok(BATCH.len()), 2), "{ack:?}");
            let out = String::from_utf8_lossy(&out);
            assert_eq!(out.matches("2-0").count(), commands, "{ack:?}: {out}");
            assert!(out.ends_with("NEXT"));
        }
    }

    #[test]
    fn a_batch_cut_short_waits() {
        for length in 0..BATCH.len() {
            let (mut out, mut counters) = (Vec::new(), Counters::default());
            let used = consumer(Ack::Each).feed(&BATCH[..length], &mut out, &mut counters);
            assert_eq!((used, out.len()), (Ok(0), 0), "{length}");
        }
    }

    #[test]
    fn an_empty_wait_asks_again_and_acknowledgements_do_not() {
        let (mut out, mut counters) = (Vec::new(), Counters::default());
        let used = consumer(Ack::Each).feed(b":2\r\n:2\r\n*-1\r\n", &mut out, &mut counters);
        assert_eq!((used, out.as_slice()), (Ok(13), &b"NEXT"[..]));
    }

    #[test]
    fn errors_and_bottomless_replies_end_the_run() {
        for bytes in [b"-ERR no\r\n".to_vec(), b"*1\r\n".repeat(1000)] {
            let fed = consumer(Ack::Auto).feed(&bytes, &mut Vec::new(), &mut Counters::default());
            assert!(fed.is_err());
        }
    }
}
