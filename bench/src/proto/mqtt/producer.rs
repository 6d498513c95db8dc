//! The publishing side of a load.
//!
//! Invariants
//! - Acknowledgements come in the order of the messages, one each: anything else ends the run.
//! - A load never has more under way than the broker's Receive Maximum allows.

use std::collections::VecDeque;

use crate::Res;
use crate::codec::{Block, Codec, Counters, Stamps};
use crate::scenario::Load;
use crate::target::Target;

use super::super::Opened;
use super::client::Client;
use super::topics;
use super::wire::{self, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, RETAIN};

/// The packet ids of which an answer is due, oldest first; they count on from 1 to 65,535.
#[derive(Debug)]
struct Due {
    first: u16,
    count: usize,
}

impl Due {
    fn new() -> Due {
        Due { first: 1, count: 0 }
    }

    /// An answer came.
    fn take(&mut self, id: [u8; 2]) -> Res<()> {
        let id = u16::from_be_bytes(id);
        if self.count == 0 || id != self.first {
            let Due { first, count } = self;
            return Err(format!(
                "an answer for {id}, where {count} are due from {first} on"
            ));
        }
        self.first = next(id);
        self.count -= 1;
        Ok(())
    }
}

fn next(id: u16) -> u16 {
    id.checked_add(1).unwrap_or(1)
}

struct Producer {
    block: Block,
    id_at: usize,
    qos: u8,
    next_id: u16,
    /// PUBACK or PUBREC.
    first_answer: Due,
    /// PUBCOMP.
    second_answer: Due,
    sent: VecDeque<u64>,
}

impl Codec for Producer {
    fn message_bytes(&self) -> usize {
        self.block.message_bytes()
    }

    fn fill(&mut self, out: &mut Vec<u8>, count: usize, stamps: Option<Stamps>) {
        let sent = (self.qos > 0).then_some(&mut self.sent);
        let start = self.block.fill(out, count, stamps, sent);
        if self.qos > 0 {
            for n in 0..count {
                let at = start + n * self.block.message_bytes() + self.id_at;
                out[at..at + 2].copy_from_slice(&self.next_id.to_be_bytes());
                self.next_id = next(self.next_id);
            }
            self.first_answer.count += count;
        }
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let mut at = 0;
        while let Some(packet) = wire::packet(&bytes[at..])? {
            at += packet.bytes;
            match (self.qos, packet.kind()) {
                (1, PUBACK) => self.first_answer.take(packet.id()?)?,
                (2, PUBREC) => {
                    self.first_answer.take(packet.id()?)?;
                    if !packet.refuses() {
                        self.second_answer.count += 1;
                        wire::put_packet(out, PUBREL << 4 | 2, &packet.id()?);
                        continue;
                    }
                    // a refused message is not released, so no PUBCOMP names it
                    return Err("a message of quality 2 is refused".into());
                }
                (2, PUBCOMP) => self.second_answer.take(packet.id()?)?,
                (_, kind) => return Err(format!("a producer got a packet of type {kind}")),
            }
            counters.nacked += u64::from(packet.refuses());
            counters.confirm(self.sent.pop_front());
        }
        Ok(at)
    }
}

fn check_under_way(load: &Load, receive_max: u16) -> Res<()> {
    let wanted = match load.confirm_window {
        0 => load.inflight_max,
        window => window,
    };
    if wanted == 0 || wanted > usize::from(receive_max) {
        let wanted = match wanted {
            0 => "any number".to_string(),
            wanted => wanted.to_string(),
        };
        return Err(format!(
            "the broker takes {receive_max} messages under way, not {wanted}: --confirm N"
        ));
    }
    Ok(())
}

/// Opens the load's `index`-th producer.
pub fn producer(target: &Target, load: &Load, index: usize) -> Res<Opened> {
    let client = Client::connect(target, &format!("bench-p{index}"), true)?;
    if load.qos > 0 {
        check_under_way(load, client.welcome.receive_max)?;
    }
    let names = topics::topics(load, index);
    let (mut id_at, mut body_at, mut bytes) = (0, 0, Vec::new());
    for name in &names {
        let mut body = Vec::new();
        wire::put_text(&mut body, name);
        let id_in_body = body.len();
        if load.qos > 0 {
            body.extend_from_slice(&[0, 0]);
        }
        client.version.put_no_properties(&mut body);
        let payload_in_body = body.len();
        body.resize(body.len() + load.size_bytes, b'x');
        let start = bytes.len();
        let retain = if load.retained > 0 { RETAIN } else { 0 };
        wire::put_packet(&mut bytes, PUBLISH << 4 | load.qos << 1 | retain, &body);
        let header_bytes = bytes.len() - start - body.len();
        (id_at, body_at) = (header_bytes + id_in_body, header_bytes + payload_in_body);
    }
    let block = match names.len() {
        1 => Block::repeat(&bytes, body_at),
        messages => Block::sequence(bytes, messages, body_at),
    };
    let codec = Producer {
        block,
        id_at,
        qos: load.qos,
        next_id: 1,
        first_answer: Due::new(),
        second_answer: Due::new(),
        sent: VecDeque::new(),
    };
    Ok((client.into_socket(), Box::new(codec)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(qos: u8) -> Producer {
        Producer {
            block: Block::repeat(b"xxid", 4),
            id_at: 2,
            qos,
            next_id: u16::MAX,
            first_answer: Due {
                first: u16::MAX,
                count: 0,
            },
            second_answer: Due {
                first: u16::MAX,
                count: 0,
            },
            sent: VecDeque::new(),
        }
    }

    #[test]
    fn packet_ids_go_round_without_0() {
        let (mut producer, mut out) = (producer(1), Vec::new());
        producer.fill(&mut out, 2, None);
        assert_eq!(out, b"xx\xff\xffxx\x00\x01");
        assert_eq!(producer.first_answer.count, 2);
    }

    #[test]
    fn answers_count_in_order_and_anything_else_is_an_error() {
        let cases: [(u8, &[u8], Res<u64>); 10] = [
            (1, b"\x40\x02\xff\xff\x40\x02\x00\x01", Ok(2)),
            (1, b"\x40\x04\xff\xff\x10\x00", Ok(1)),
            (1, b"\x40\x02\x00\x01", Err(String::new())),
            (1, b"\x40\x02\xff\xff\x40\x02\xff\xff", Err(String::new())),
            (1, b"\x50\x02\xff\xff", Err(String::new())),
            (1, b"\x40\x01\xff", Err(String::new())),
            (2, b"\x50\x02\xff\xff\x70\x02\xff\xff", Ok(1)),
            (2, b"\x70\x02\xff\xff", Err(String::new())),
            (2, b"\x50\x03\xff\xff\x97", Err(String::new())),
            (2, b"\x40\x02\xff\xff", Err(String::new())),
        ];
        for (qos, bytes, expected) in cases {
            let (mut producer, mut counters) = (producer(qos), Counters::default());
            producer.fill(&mut Vec::new(), 2, None);
            let got = producer.feed(bytes, &mut Vec::new(), &mut counters);
            let got = got.map(|_| counters.confirmed).map_err(|_| String::new());
            assert_eq!(got, expected, "qos {qos}: {}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_load_keeps_to_the_receive_maximum_or_is_refused() {
        for (window, inflight, receive_max, expected) in [
            (1000, 0, 1000, true),
            (1001, 0, 1000, false),
            (0, 1000, 1000, true),
            (0, 1001, 1000, false),
            (0, 0, u16::MAX, false),
        ] {
            let mut load = Load::of("T3", crate::target::Proto::Mqtt).expect("known");
            (load.confirm_window, load.inflight_max) = (window, inflight);
            let got = check_under_way(&load, receive_max).is_ok();
            assert_eq!(got, expected, "{window} {inflight} {receive_max}");
        }
    }

    #[test]
    fn a_refusal_counts_as_one() {
        let (mut producer, mut counters) = (producer(1), Counters::default());
        producer.fill(&mut Vec::new(), 1, None);
        let used = producer.feed(b"\x40\x03\xff\xff\x97", &mut Vec::new(), &mut counters);
        assert_eq!(used, Ok(5));
        assert_eq!((counters.confirmed, counters.nacked), (1, 1));
    }

    #[test]
    fn a_pubrec_is_answered_with_a_pubrel() {
        let (mut producer, mut out) = (producer(2), Vec::new());
        producer.fill(&mut Vec::new(), 1, None);
        let used = producer.feed(b"\x50\x02\xff\xff", &mut out, &mut Counters::default());
        assert_eq!(used, Ok(4));
        assert_eq!(out, b"\x62\x02\xff\xff");
    }
}
