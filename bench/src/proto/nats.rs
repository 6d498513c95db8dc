//! NATS: core publish and subscribe, and JetStream through its JSON interface for durable loads.
//!
//! Invariants
//! - In a durable load each queue is a stream with one push consumer; a confirm is the stream's
//!   reply to a publish.
//! - A core load has no acknowledgements: what the broker drops stalls the closed loop.
//! - Streams are work queues, which take only an acknowledgement for each message.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Res;
use crate::codec::{Block, Codec, Counters, Stamps};
use crate::scenario::{Ack, Load};
use crate::target::Target;

use super::{Opened, io_text};

/// The longest text that set-up waits through.
const REPLY_BYTES_MAX: usize = 1 << 20;

/// Connects; returns the product and version too.
pub fn connect(target: &Target) -> Res<(TcpStream, String)> {
    let mut socket = target.connect()?;
    let info = wait_for(&mut socket, "}")?;
    let version = info
        .split("\"version\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let product = format!("NATS {}", version.unwrap_or_default());
    let hello = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\
                 \"version\":\"0\",\"protocol\":1,\"headers\":true}\r\nPING\r\n";
    socket.write_all(hello.as_bytes()).map_err(io_text)?;
    wait_for(&mut socket, "PONG")?;
    Ok((socket, product))
}

fn wait_for(socket: &mut TcpStream, what: &str) -> Res<String> {
    let mut text = String::new();
    let mut chunk = [0u8; 8192];
    while !text.contains(what) {
        let bytes = socket
            .read(&mut chunk)
            .map_err(|error| format!("{error} after {text}"))?;
        text.push_str(&String::from_utf8_lossy(&chunk[..bytes]));
        if bytes == 0 || text.contains("-ERR") || text.len() > REPLY_BYTES_MAX {
            return Err(format!("no `{what}`, but {text}"));
        }
    }
    Ok(text)
}

fn subject(load: &Load, index: usize) -> String {
    if load.copies > 1 {
        format!("bench.{}.all", load.scenario)
    } else {
        format!("bench.{}.{index}", load.scenario)
    }
}

fn stream(load: &Load, index: usize) -> String {
    format!("BENCH_{}_{index}", load.scenario)
}

fn push_subject(load: &Load, index: usize) -> String {
    format!("bench.push.{}", stream(load, index))
}

/// Asks JetStream. A connection for each request keeps the parsing of replies trivial.
fn request(target: &Target, subject: &str, body: &str) -> Res<()> {
    let (mut socket, _) = connect(target)?;
    let length = body.len();
    let ask = format!(
        "SUB _INBOX.setup 99\r\nUNSUB 99 1\r\nPUB {subject} _INBOX.setup {length}\r\n{body}\r\n"
    );
    socket.write_all(ask.as_bytes()).map_err(io_text)?;
    let mut reply = wait_for(&mut socket, "_INBOX.setup 99 ")?;
    if !reply.contains('}') {
        reply += &wait_for(&mut socket, "}")?;
    }
    if reply.contains("\"error\"") {
        Err(reply)
    } else {
        Ok(())
    }
}

/// Makes the streams and consumers of a durable load.
pub fn setup(target: &Target, load: &Load) -> Res<()> {
    if !load.durable || !load.fresh {
        return Ok(());
    }
    for index in 0..load.queues {
        let name = stream(load, index);
        // it is an error if there is none
        request(target, &format!("$JS.API.STREAM.DELETE.{name}"), "").ok();
        let (subject, replicas) = (subject(load, index), target.option("replicas", "1"));
        request(
            target,
            &format!("$JS.API.STREAM.CREATE.{name}"),
            &format!(
                "{{\"name\":\"{name}\",\"subjects\":[\"{subject}\"],\"storage\":\"file\",\
                 \"retention\":\"workqueue\",\"num_replicas\":{replicas}}}"
            ),
        )?;
        let (policy, pending) = match load.ack {
            Ack::Auto => ("none", String::new()),
            // a work queue takes no acknowledgement of several
            Ack::Each | Ack::Multi(_) => (
                "explicit",
                format!("\"max_ack_pending\":{},", load.prefetch),
            ),
        };
        let deliver = push_subject(load, index);
        request(
            target,
            &format!("$JS.API.CONSUMER.DURABLE.CREATE.{name}.C"),
            &format!(
                "{{\"stream_name\":\"{name}\",\"config\":{{\"durable_name\":\"C\",\
                 \"deliver_subject\":\"{deliver}\",{pending}\"ack_policy\":\"{policy}\"}}}}"
            ),
        )?;
    }
    Ok(())
}

/// Deletes the streams of a durable load.
pub fn cleanup(target: &Target, load: &Load) -> Res<()> {
    if load.durable {
        for index in 0..load.queues {
            request(
                target,
                &format!("$JS.API.STREAM.DELETE.{}", stream(load, index)),
                "",
            )?;
        }
    }
    Ok(())
}

/// What a server sends.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Message { reply: &'a [u8], body: &'a [u8] },
    Ping,
    Refusal(&'a [u8]),
    Other,
}

/// The first line of `bytes` (with its body) and its length, if it is whole.
#[inline]
fn line(bytes: &[u8]) -> Option<(Line<'_>, usize)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let text = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    match text.first() {
        Some(b'M') => {
            // MSG subject sid [reply] length
            let mut fields = text.split(|octet| *octet == b' ').skip(3);
            let third = fields.next().unwrap_or_default();
            let (reply, length) = match fields.next() {
                Some(length) => (third, decimal(length)),
                None => (&b""[..], decimal(third)),
            };
            let body = bytes.get(end + 1..)?.get(..length)?;
            let bytes_used = end + 1 + length + 2;
            (bytes.len() >= bytes_used).then_some((Line::Message { reply, body }, bytes_used))
        }
        Some(b'P') if text == b"PING" => Some((Line::Ping, end + 1)),
        Some(b'-') => Some((Line::Refusal(text), end + 1)),
        _ => Some((Line::Other, end + 1)),
    }
}

fn decimal(text: &[u8]) -> usize {
    let digits = text.iter().filter(|octet| octet.is_ascii_digit());
    digits.fold(0usize, |n, digit| {
        n.saturating_mul(10).saturating_add((digit - b'0') as usize)
    })
}

/// Goes through all whole lines; answers pings, and hands messages to `each`.
fn feed_lines(
    bytes: &[u8],
    out: &mut Vec<u8>,
    mut each: impl FnMut(&[u8], &[u8], &mut Vec<u8>) -> Res<()>,
) -> Res<usize> {
    let mut at = 0;
    while let Some((line, used)) = line(&bytes[at..]) {
        at += used;
        match line {
            Line::Message { reply, body } => each(reply, body, out)?,
            Line::Ping => out.extend_from_slice(b"PONG\r\n"),
            Line::Refusal(text) => return Err(String::from_utf8_lossy(text).into_owned()),
            Line::Other => {}
        }
    }
    Ok(at)
}

struct Producer {
    block: Block,
    confirms: bool,
    sent: VecDeque<u64>,
}

impl Codec for Producer {
    fn message_bytes(&self) -> usize {
        self.block.message_bytes()
    }

    fn fill(&mut self, out: &mut Vec<u8>, count: usize, stamps: Option<Stamps>) {
        let sent = self.confirms.then_some(&mut self.sent);
        self.block.fill(out, count, stamps, sent);
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let sent = &mut self.sent;
        feed_lines(bytes, out, |_, body, _| {
            if memchr::memmem::find(body, b"\"error\"").is_some() {
                return Err(String::from_utf8_lossy(body).into_owned());
            }
            counters.confirm(sent.pop_front());
            Ok(())
        })
    }
}

struct Consumer {
    acks: bool,
}

impl Codec for Consumer {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        feed_lines(bytes, out, |reply, body, out| {
            counters.deliver(body);
            if self.acks && !reply.is_empty() {
                out.extend_from_slice(b"PUB ");
                out.extend_from_slice(reply);
                out.extend_from_slice(b" 0\r\n\r\n");
            }
            Ok(())
        })
    }
}

/// Opens the load's `index`-th producer.
pub fn producer(target: &Target, load: &Load, index: usize) -> Res<Opened> {
    let (mut socket, _) = connect(target)?;
    let confirms = load.durable && load.confirm_window > 0;
    let mut reply = String::new();
    if confirms {
        reply = format!("_INBOX.p{index} ");
        let ask = format!("SUB _INBOX.p{index} 1\r\n");
        socket.write_all(ask.as_bytes()).map_err(io_text)?;
    }
    let subject = subject(load, index % load.queues);
    let mut message = format!("PUB {subject} {reply}{}\r\n", load.size_bytes).into_bytes();
    let body_at = message.len();
    message.resize(body_at + load.size_bytes, b'x');
    message.extend_from_slice(b"\r\n");
    let block = Block::repeat(&message, body_at);
    Ok((
        socket,
        Box::new(Producer {
            block,
            confirms,
            sent: VecDeque::new(),
        }),
    ))
}

/// Opens the load's `index`-th consumer, on every subject that falls to it.
pub fn consumer(target: &Target, load: &Load, index: usize) -> Res<Opened> {
    let (mut socket, _) = connect(target)?;
    let mut ask = String::new();
    for n in (index..load.queues.max(load.consumers)).step_by(load.consumers) {
        let queue = n % load.queues;
        let subject = if load.durable {
            push_subject(load, queue)
        } else {
            subject(load, queue)
        };
        ask += &format!("SUB {subject} {}\r\n", n + 1);
    }
    ask += "PING\r\n";
    socket.write_all(ask.as_bytes()).map_err(io_text)?;
    if !load.durable {
        // with a stream, messages may come before the answer; the codec passes over it
        wait_for(&mut socket, "PONG")?;
    }
    Ok((
        socket,
        Box::new(Consumer {
            acks: load.ack != Ack::Auto,
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let message = |reply, body| Some(Line::Message { reply, body });
        for (bytes, expected) in [
            (&b"MSG a 1 5\r\nhello\r\n"[..], message(b"", b"hello")),
            (b"MSG a 1 re.ply 2\r\nhi\r\n", message(b"re.ply", b"hi")),
            (b"MSG a 1 5\r\nhello\r", None),
            (b"MSG a 1 99999999999999999999999\r\n", None),
            (b"MSG a 1", None),
            (b"PING\r\n", Some(Line::Ping)),
            (b"PONG\r\n", Some(Line::Other)),
            (b"-ERR 'x'\r\n", Some(Line::Refusal(b"-ERR 'x'"))),
        ] {
            let got = line(bytes);
            if let Some((_, used)) = &got {
                assert_eq!(*used, bytes.len());
            }
            assert_eq!(
                got.map(|(line, _)| line),
                expected,
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn a_consumer_acknowledges_on_the_reply_subject() {
        let bytes = b"MSG a 1 r.1 2\r\nhi\r\nPING\r\nMSG a 1 r.2 2\r\nho\r\n";
        for (acks, expected) in [
            (false, "PONG\r\n"),
            (true, "PUB r.1 0\r\n\r\nPONG\r\nPUB r.2 0\r\n\r\n"),
        ] {
            let (mut out, mut counters) = (Vec::new(), Counters::default());
            let used = Consumer { acks }.feed(bytes, &mut out, &mut counters);
            assert_eq!((used, counters.delivered), (Ok(bytes.len()), 2));
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
