//! The publishing side: precomputed publishes, and the window of unconfirmed ones.
//!
//! Invariants
//! - `open[i]` is true exactly while the message with tag `first_tag + i` is unconfirmed; the
//!   front is true, or the window is empty.
//! - With time stamps, `sent` runs beside `open`.

use std::collections::VecDeque;

use crate::Res;
use crate::codec::{Block, Codec, Counters, Stamps};
use crate::proto::Opened;
use crate::scenario::Load;
use crate::target::Target;

use super::client::Client;
use super::setup::{exchange_name, filter, queue_name, topic_key};
use super::wire::{FRAME_METHOD, Field, Frame, frame, put_publish, u8_at, u64_at};

/// Different keys that a producer goes through.
const KEYS_MAX: usize = 2000;

const BASIC_ACK: (u16, u16) = (60, 80);
const BASIC_NACK: (u16, u16) = (60, 120);

/// A producer's codec.
pub struct Producer {
    block: Block,
    confirms: bool,
    first_tag: u64,
    open: VecDeque<bool>,
    sent: VecDeque<u64>,
}

impl Producer {
    /// A producer of these messages that expects confirms or not.
    pub fn new(block: Block, confirms: bool) -> Producer {
        Producer {
            block,
            confirms,
            first_tag: 1,
            open: VecDeque::new(),
            sent: VecDeque::new(),
        }
    }

    fn confirm(&mut self, reply: &Frame<'_>, counters: &mut Counters) -> Res<()> {
        let tag = u64_at(reply.payload, 4);
        let multiple = u8_at(reply.payload, 12) & 1 == 1;
        let Some(last) = tag.checked_sub(self.first_tag).map(|n| n as usize) else {
            // a message may not be confirmed twice
            return Err(format!("a second confirm for message {tag}"));
        };
        if last >= self.open.len() {
            return Err(format!("a confirm for message {tag}, which was not sent"));
        }
        if !multiple && !self.open[last] {
            return Err(format!("a second confirm for message {tag}"));
        }
        for n in if multiple { 0 } else { last }..=last {
            if !std::mem::replace(&mut self.open[n], false) {
                continue;
            }
            let timed = counters.timing.then(|| self.sent.get(n).copied()).flatten();
            counters.confirm(timed);
            counters.nacked += u64::from(reply.method() == BASIC_NACK);
        }
        while self.open.front() == Some(&false) {
            self.open.pop_front();
            self.sent.pop_front();
            self.first_tag += 1;
        }
        Ok(())
    }
}

impl Codec for Producer {
    fn message_bytes(&self) -> usize {
        self.block.message_bytes()
    }

    fn fill(&mut self, out: &mut Vec<u8>, count: usize, stamps: Option<Stamps>) {
        let sent = self.confirms.then_some(&mut self.sent);
        self.block.fill(out, count, stamps, sent);
        if self.confirms {
            self.open.resize(self.open.len() + count, true);
        }
    }

    fn feed(&mut self, bytes: &[u8], _out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let mut at = 0;
        while let Some(frame) = frame(&bytes[at..])? {
            at += frame.bytes;
            if frame.kind != FRAME_METHOD {
                continue;
            }
            match frame.method() {
                BASIC_ACK | BASIC_NACK => self.confirm(&frame, counters)?,
                _ => frame.closing()?,
            }
        }
        Ok(at)
    }
}

/// Opens the load's `index`-th producer.
pub fn producer(target: &Target, load: &Load, index: usize) -> Res<Opened> {
    let mut client = Client::connect(target)?;
    if load.confirm_window > 0 {
        client.select_confirms()?;
    }
    let block = messages(target, load, index);
    let codec = Producer::new(block, load.confirm_window > 0);
    Ok((client.handover()?, Box::new(codec)))
}

fn messages(target: &Target, load: &Load, index: usize) -> Block {
    let body = vec![b'x'; load.size_bytes];
    let exchange = exchange_name(load);
    let mut bytes = Vec::new();
    let mut body_at = 0;
    if load.bindings > 0 {
        let count = KEYS_MAX.min(load.bindings);
        let stride = load.bindings / count;
        for n in 0..count {
            // one more per step, so that all shapes of pattern get their share
            let index = (n * stride + n) % load.bindings;
            let (key, headers) = match load.filter {
                None => (topic_key(index), None),
                Some(kind) => (String::new(), Some(filter(kind, index).1)),
            };
            let headers = headers.as_slice();
            body_at = put_publish(&mut bytes, &exchange, &key, &body, load.durable, headers);
        }
        return Block::sequence(bytes, count, body_at);
    }
    let queue = queue_name(target, load, index % load.queues);
    let (exchange, key) = if load.copies > 1 && load.queues > 1 {
        (exchange.as_str(), "")
    } else {
        ("", queue.as_str())
    };
    if load.keys > 0 {
        for n in 0..load.keys {
            let headers = [("x-shard-key", Field::Text(format!("k{n:06}")))];
            body_at = put_publish(&mut bytes, exchange, key, &body, load.durable, &headers);
        }
        return Block::sequence(bytes, load.keys, body_at);
    }
    body_at = put_publish(&mut bytes, exchange, key, &body, load.durable, &[]);
    Block::repeat(&bytes, body_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::amqp::wire::{put_ack, put_method};

    fn sent(count: usize) -> Producer {
        let mut producer = Producer::new(Block::repeat(b"message_", 0), true);
        producer.fill(&mut Vec::new(), count, None);
        producer
    }

    fn acks(list: &[(u64, bool)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, multiple) in list {
            put_ack(&mut bytes, *tag, *multiple);
        }
        bytes
    }

    #[test]
    fn confirms_count_each_message_once() {
        for (list, expected) in [
            (&[(1, false), (2, false)][..], 2),
            (&[(3, false), (1, false)][..], 2),
            (&[(4, true)][..], 4),
            (&[(2, false), (4, true)][..], 4),
            (&[(2, true), (4, true), (5, false)][..], 5),
        ] {
            let (mut producer, mut counters) = (sent(5), Counters::default());
            let bytes = acks(list);
            let used = producer.feed(&bytes, &mut Vec::new(), &mut counters);
            assert_eq!(
                (used, counters.confirmed),
                (Ok(bytes.len()), expected),
                "{list:?}"
            );
            assert_eq!(
                producer.open.iter().filter(|open| **open).count(),
                5 - expected as usize
            );
        }
    }

    #[test]
    fn confirms_of_unknown_messages_are_errors() {
        for list in [
            &[(0, false)][..],
            &[(6, false)][..],
            &[(1, false), (1, false)][..],
            &[(2, false), (2, false)][..],
        ] {
            let (mut producer, mut counters) = (sent(5), Counters::default());
            let fed = producer.feed(&acks(list), &mut Vec::new(), &mut counters);
            assert!(fed.is_err(), "{list:?}");
        }
    }

    #[test]
    fn a_refused_message_counts_as_answered_and_as_refused() {
        let (mut producer, mut counters) = (sent(3), Counters::default());
        let mut bytes = Vec::new();
        put_method(&mut bytes, 1, BASIC_NACK, &[0, 0, 0, 0, 0, 0, 0, 2, 1]);
        assert_eq!(
            producer.feed(&bytes, &mut Vec::new(), &mut counters),
            Ok(bytes.len())
        );
        assert_eq!((counters.confirmed, counters.nacked), (2, 2));
    }

    #[test]
    fn confirm_latency_counts_from_the_intended_send_time() {
        let mut producer = Producer::new(Block::repeat(b"message_", 0), true);
        let stamps = Stamps {
            first_ns: 100,
            step_ns: 10,
        };
        producer.fill(&mut Vec::new(), 3, Some(stamps));
        let mut counters = Counters {
            timing: true,
            now_ns: 150,
            ..Counters::default()
        };
        let fed = producer.feed(&acks(&[(3, true)]), &mut Vec::new(), &mut counters);
        assert!(fed.is_ok());
        let latency = &counters.confirm_latency;
        assert_eq!(
            (latency.samples, latency.max, latency.quantile(0.0)),
            (3, 50, 30)
        );
    }
}
