//! MQTT 3.1.1 at quality of service 0, 1 and 2.
//!
//! Invariants
//! - A message counts as confirmed at PUBACK or PUBCOMP.
//! - A durable load uses sessions that outlive their connection; the clean-up ends them.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Res;
use crate::codec::{Block, Codec, Counters, Stamps};
use crate::scenario::Load;
use crate::target::Target;

use super::{Opened, io_text};

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBACK: u8 = 9;

/// The longest reply that set-up reads.
const REPLY_BYTES_MAX: usize = 1024;

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length % 128) as u8;
        length /= 128;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    put_length(out, body.len());
    out.extend_from_slice(body);
}

/// A whole packet.
struct Packet<'a> {
    first: u8,
    body: &'a [u8],
    bytes: usize,
}

impl Packet<'_> {
    fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The packet id at the start of an acknowledgement.
    fn id(&self) -> [u8; 2] {
        self.body.first_chunk().copied().unwrap_or_default()
    }
}

/// The first packet of `bytes`, if it is whole.
#[inline]
fn packet(bytes: &[u8]) -> Res<Option<Packet<'_>>> {
    let mut length = 0usize;
    for at in 1..5 {
        let Some(octet) = bytes.get(at) else {
            return Ok(None);
        };
        length |= ((octet & 0x7f) as usize) << (7 * (at - 1));
        if octet & 0x80 == 0 {
            let end = at + 1 + length;
            let body = bytes.get(at + 1..end);
            return Ok(body.map(|body| Packet {
                first: bytes[0],
                body,
                bytes: end,
            }));
        }
    }
    Err("a remaining length of more than four octets".into())
}

/// Reads one reply, octet by octet so that nothing behind it is taken.
fn reply(socket: &mut TcpStream, kind: u8) -> Res<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut octet = [0u8; 1];
    while bytes.len() < REPLY_BYTES_MAX {
        socket.read_exact(&mut octet).map_err(io_text)?;
        bytes.push(octet[0]);
        if let Some(packet) = packet(&bytes)? {
            if packet.kind() != kind {
                return Err(format!(
                    "a packet of type {} came, not {kind}",
                    packet.kind()
                ));
            }
            return Ok(packet.body.to_vec());
        }
    }
    Err("the reply is too long".into())
}

/// Connects under a client id.
pub fn connect(target: &Target, id: &str, clean: bool) -> Res<TcpStream> {
    let mut socket = target.connect()?;
    let mut body = Vec::new();
    put_text(&mut body, "MQTT");
    body.push(4);
    let user = target.option("user", "");
    let login = if user.is_empty() { 0 } else { 0xC0 };
    body.push(u8::from(clean) << 1 | login);
    body.extend_from_slice(&0u16.to_be_bytes());
    put_text(&mut body, id);
    if !user.is_empty() {
        put_text(&mut body, &user);
        put_text(&mut body, &target.option("pass", "guest"));
    }
    let mut out = Vec::new();
    put_packet(&mut out, 0x10, &body);
    socket.write_all(&out).map_err(io_text)?;
    match reply(&mut socket, CONNACK)?.get(1) {
        Some(0) => Ok(socket),
        code => Err(format!("the connection is refused with {code:?}")),
    }
}

fn topic(load: &Load, index: usize) -> String {
    if load.copies > 1 {
        format!("bench/{}/all", load.scenario)
    } else {
        format!("bench/{}/{index}", load.scenario)
    }
}

fn consumer_id(index: usize) -> String {
    format!("bench-c{index}")
}

struct Producer {
    block: Block,
    id_at: usize,
    qos: u8,
    next_id: u16,
    sent: VecDeque<u64>,
}

impl Codec for Producer {
    fn message_bytes(&self) -> usize {
        self.block.message_bytes()
    }

    fn fill(&mut self, out: &mut Vec<u8>, count: usize, stamps: Option<Stamps>) {
        let start = self.block.append(out, count);
        if self.qos > 0 {
            for n in 0..count {
                let at = start + n * self.block.message_bytes() + self.id_at;
                out[at..at + 2].copy_from_slice(&self.next_id.to_be_bytes());
                self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            }
        }
        if let Some(stamps) = stamps {
            let sent = (self.qos > 0).then_some(&mut self.sent);
            self.block.stamp(out, start, count, stamps, sent);
        }
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let mut at = 0;
        while let Some(packet) = packet(&bytes[at..])? {
            at += packet.bytes;
            match packet.kind() {
                PUBACK | PUBCOMP => counters.confirm(self.sent.pop_front()),
                PUBREC => put_packet(out, PUBREL << 4 | 2, &packet.id()),
                _ => {}
            }
        }
        Ok(at)
    }
}

struct Consumer;

impl Codec for Consumer {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let mut at = 0;
        while let Some(packet) = packet(&bytes[at..])? {
            at += packet.bytes;
            match packet.kind() {
                PUBLISH => publish(&packet, out, counters)?,
                PUBREL => put_packet(out, PUBCOMP << 4, &packet.id()),
                _ => {}
            }
        }
        Ok(at)
    }
}

#[inline]
fn publish(packet: &Packet<'_>, out: &mut Vec<u8>, counters: &mut Counters) -> Res<()> {
    let short = || "a PUBLISH is cut short".to_string();
    let topic_end = 2 + u16::from_be_bytes(packet.id()) as usize;
    let rest = packet.body.get(topic_end..).ok_or_else(short)?;
    let qos = (packet.first >> 1) & 3;
    if qos == 0 {
        counters.deliver(rest);
        return Ok(());
    }
    let (id, payload) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    counters.deliver(payload);
    put_packet(out, if qos == 1 { PUBACK } else { PUBREC } << 4, id);
    Ok(())
}

/// Opens the load's `index`-th producer.
pub fn producer(target: &Target, load: &Load, index: usize) -> Res<Opened> {
    let socket = connect(target, &format!("bench-p{index}"), true)?;
    let mut body = Vec::new();
    put_text(&mut body, &topic(load, index % load.queues));
    let mut id_at = body.len();
    if load.qos > 0 {
        body.extend_from_slice(&[0, 0]);
    }
    let mut body_at = body.len();
    body.resize(body.len() + load.size_bytes, b'x');
    let mut message = Vec::new();
    put_packet(&mut message, PUBLISH << 4 | load.qos << 1, &body);
    let header_bytes = message.len() - body.len();
    id_at += header_bytes;
    body_at += header_bytes;
    let block = Block::repeat(&message, body_at);
    let codec = Producer {
        block,
        id_at,
        qos: load.qos,
        next_id: 1,
        sent: VecDeque::new(),
    };
    Ok((socket, Box::new(codec)))
}

/// Opens the load's `index`-th consumer.
pub fn consumer(target: &Target, load: &Load, index: usize) -> Res<Opened> {
    let id = consumer_id(index);
    if load.durable && load.fresh {
        connect(target, &id, true)?; // forget an older session
    }
    let mut socket = connect(target, &id, !load.durable)?;
    let mut body = vec![0, 1];
    put_text(&mut body, &topic(load, index % load.queues));
    body.push(load.qos);
    let mut out = Vec::new();
    put_packet(&mut out, 0x82, &body);
    socket.write_all(&out).map_err(io_text)?;
    if load.fresh {
        // without a fresh session, messages may come before the reply; the codec passes over it
        reply(&mut socket, SUBACK)?;
    }
    Ok((socket, Box::new(Consumer)))
}

/// Ends the sessions of a durable load.
pub fn cleanup(target: &Target, load: &Load) -> Res<()> {
    if load.durable {
        for index in 0..load.consumers {
            connect(target, &consumer_id(index), true)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_back() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 2_097_152] {
            let mut bytes = Vec::new();
            put_packet(&mut bytes, 0x30, &vec![0; length]);
            let got = packet(&bytes).expect("well formed").expect("whole");
            assert_eq!((got.body.len(), got.bytes), (length, bytes.len()));
            assert!(
                packet(&bytes[..bytes.len() - 1])
                    .expect("well formed")
                    .is_none(),
                "{length}"
            );
        }
        assert!(packet(&[0x30, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
    }

    #[test]
    fn deliveries_are_answered_by_their_quality_of_service() {
        for (qos, expected) in [
            (0, &b""[..]),
            (1, &b"\x40\x02\x00\x07"[..]),
            (2, &b"\x50\x02\x00\x07"[..]),
        ] {
            let mut body = b"\x00\x01t".to_vec();
            if qos > 0 {
                body.extend_from_slice(&[0, 7]);
            }
            body.extend_from_slice(b"payload");
            let (mut bytes, mut out, mut counters) = Default::default();
            put_packet(&mut bytes, 0x30 | qos << 1, &body);
            let used = Consumer.feed(&bytes, &mut out, &mut counters);
            assert_eq!(
                (used, counters.delivered),
                (Ok(bytes.len()), 1),
                "qos {qos}"
            );
            assert_eq!(out, expected, "qos {qos}");
        }
    }

    #[test]
    fn a_publish_cut_short_is_an_error() {
        let mut bytes = Vec::new();
        put_packet(&mut bytes, 0x32, b"\x00\x09top");
        assert!(
            Consumer
                .feed(&bytes, &mut Vec::new(), &mut Counters::default())
                .is_err()
        );
    }
}
