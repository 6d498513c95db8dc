//! The consuming side: counts deliveries and acknowledges them.
//!
//! Invariants
//! - A message counts when its last body byte has arrived, and is acknowledged after it counted.

use crate::Res;
use crate::codec::{Codec, Counters};
use crate::proto::Opened;
use crate::scenario::{Ack, Load};
use crate::target::Target;

use super::client::Client;
use super::setup::queue_name;
use super::wire::{
    FRAME_BODY, FRAME_HEADER, FRAME_METHOD, Field, Frame, frame, put_ack, u8_at, u64_at,
};

/// A consumer's codec.
pub struct Consumer {
    ack: Ack,
    tag: u64,
    body_bytes: u64,
    arrived_bytes: u64,
    body_start: [u8; 8],
    /// Deliveries since the last acknowledgement of several.
    unacked: u32,
}

impl Consumer {
    /// A consumer that acknowledges like this.
    pub fn new(ack: Ack) -> Consumer {
        Consumer {
            ack,
            tag: 0,
            body_bytes: 0,
            arrived_bytes: 0,
            body_start: [0; 8],
            unacked: 0,
        }
    }

    #[inline]
    fn method(&mut self, frame: &Frame<'_>) -> Res<()> {
        match frame.method() {
            (60, 60) => {
                let consumer_tag_bytes = u8_at(frame.payload, 4) as usize;
                self.tag = u64_at(frame.payload, 5 + consumer_tag_bytes);
                Ok(())
            }
            (60, 30) => Err("consumer cancelled by the broker".into()),
            _ => frame.closing(),
        }
    }

    #[inline]
    fn complete(&mut self, out: &mut Vec<u8>, counters: &mut Counters) {
        counters.deliver(&self.body_start);
        match self.ack {
            Ack::Auto => {}
            Ack::Each => put_ack(out, self.tag, false),
            Ack::Multi(count) => {
                self.unacked += 1;
                if self.unacked >= count {
                    self.unacked = 0;
                    put_ack(out, self.tag, true);
                }
            }
        }
    }
}

impl Codec for Consumer {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, counters: &mut Counters) -> Res<usize> {
        let mut at = 0;
        while let Some(frame) = frame(&bytes[at..])? {
            at += frame.bytes;
            match frame.kind {
                FRAME_METHOD => self.method(&frame)?,
                FRAME_HEADER => {
                    self.body_bytes = u64_at(frame.payload, 4);
                    self.arrived_bytes = 0;
                    self.body_start = [0; 8];
                    if self.body_bytes == 0 {
                        self.complete(out, counters);
                    }
                }
                FRAME_BODY => {
                    if self.arrived_bytes == 0
                        && let Some(start) = frame.payload.first_chunk()
                    {
                        self.body_start = *start;
                    }
                    self.arrived_bytes += frame.payload.len() as u64;
                    if self.arrived_bytes > self.body_bytes {
                        return Err("a body is longer than its header says".into());
                    }
                    if self.arrived_bytes == self.body_bytes {
                        self.complete(out, counters);
                    }
                }
                _ => {}
            }
        }
        Ok(at)
    }
}

/// Opens the load's `index`-th consumer, on every queue that falls to it.
pub fn consumer(target: &Target, load: &Load, index: usize) -> Res<Opened> {
    let mut client = Client::connect(target)?;
    if load.prefetch > 0 && load.ack != Ack::Auto {
        client.set_prefetch(load.prefetch)?;
    }
    let first = ("x-stream-offset", Field::Text("first".to_string()));
    let place = load.from_first.then_some(first);
    for n in (index..load.queues.max(load.consumers)).step_by(load.consumers) {
        let queue = queue_name(target, load, n % load.queues);
        client.consume_send(
            &queue,
            &format!("c{n}"),
            load.ack == Ack::Auto,
            place.as_slice(),
        )?;
    }
    Ok((client.handover()?, Box::new(Consumer::new(load.ack))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::amqp::selftest::put_delivery;
    use crate::proto::amqp::wire::put_method;

    fn deliveries(count: u64, size: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for tag in 1..=count {
            put_delivery(&mut bytes, tag, &vec![b'b'; size]);
        }
        bytes
    }

    #[test]
    fn deliveries_count_and_are_acknowledged() {
        for (ack, expected) in [(Ack::Auto, 0), (Ack::Each, 7), (Ack::Multi(3), 2)] {
            for size in [0, 16, 200_000] {
                let (mut out, mut counters) = (Vec::new(), Counters::default());
                let bytes = deliveries(7, size);
                let used = Consumer::new(ack).feed(&bytes, &mut out, &mut counters);
                assert_eq!(
                    (used, counters.delivered),
                    (Ok(bytes.len()), 7),
                    "{ack:?} {size}"
                );
                assert_eq!(out.len() / 21, expected, "{ack:?} {size}");
            }
        }
    }

    #[test]
    fn a_delivery_in_pieces_counts_once() {
        let bytes = deliveries(1, 16);
        let (mut out, mut counters) = (Vec::new(), Counters::default());
        let mut consumer = Consumer::new(Ack::Each);
        let (mut from, mut to) = (0, 0);
        while to < bytes.len() {
            assert_eq!(counters.delivered, 0);
            to += 1;
            from += consumer
                .feed(&bytes[from..to], &mut out, &mut counters)
                .expect("well formed");
        }
        assert_eq!((from, counters.delivered, out.len()), (bytes.len(), 1, 21));
    }

    #[test]
    fn a_cancelled_consumer_ends_the_run() {
        let mut bytes = Vec::new();
        put_method(&mut bytes, 1, (60, 30), b"\x02c0\x01");
        let mut consumer = Consumer::new(Ack::Auto);
        assert!(
            consumer
                .feed(&bytes, &mut Vec::new(), &mut Counters::default())
                .is_err()
        );
    }
}
