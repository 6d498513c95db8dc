//! What the generator's own AMQP code costs per message, without sockets.
//!
//! Invariants
//! - The very codecs of a run are measured, on the bytes that a broker would send.

use std::hint::black_box;

use crate::Res;
use crate::codec::{BLOCK_BYTES, Block, Codec, Counters};
use crate::scenario::Ack;
use crate::stats::Figures;
use crate::sys::now_ns;

use super::consumer::Consumer;
use super::producer::Producer;
use super::wire::{CHANNEL, put_ack, put_content, put_method, put_publish, put_short};

const ROUNDS: usize = 2000;

/// A delivery as a broker sends it.
pub fn put_delivery(out: &mut Vec<u8>, tag: u64, body: &[u8]) {
    let mut args = Vec::new();
    put_short(&mut args, "c0");
    args.extend_from_slice(&tag.to_be_bytes());
    args.push(0);
    put_short(&mut args, "");
    put_short(&mut args, "queue");
    put_method(out, CHANNEL, (60, 60), &args);
    put_content(out, body, true);
}

/// Nanoseconds per message for bodies of this size.
pub fn measure(size_bytes: usize) -> Res<Figures> {
    let body = vec![b'x'; size_bytes];
    let mut message = Vec::new();
    let body_at = put_publish(&mut message, "", "queue", &body, true, &[]);
    let batch = (BLOCK_BYTES / message.len()).max(1);
    let mut producer = Producer::new(Block::repeat(&message, body_at), true);
    let (mut out, mut acks, mut counters) = (Vec::new(), Vec::new(), Counters::default());
    let (mut fill_ns, mut confirm_ns, mut tag) = (0, 0, 0);
    for _ in 0..ROUNDS {
        out.clear();
        let start = now_ns();
        producer.fill(&mut out, batch, None);
        fill_ns += now_ns() - start;
        black_box(&out);
        acks.clear();
        for _ in 0..batch {
            tag += 1;
            put_ack(&mut acks, tag, false);
        }
        let start = now_ns();
        producer.feed(&acks, &mut out, &mut counters)?;
        confirm_ns += now_ns() - start;
    }
    let mut deliveries = Vec::new();
    for tag in 0..batch {
        put_delivery(&mut deliveries, tag as u64, &body);
    }
    let mut consumer = Consumer::new(Ack::Each);
    let start = now_ns();
    for _ in 0..ROUNDS {
        out.clear();
        consumer.feed(&deliveries, &mut out, &mut counters)?;
        black_box(&out);
    }
    let consume_ns = now_ns() - start;
    let messages = (ROUNDS * batch) as f64;
    assert_eq!(counters.delivered as f64, messages);
    Ok(Figures(vec![
        ("size_bytes", size_bytes as f64),
        ("wire_bytes", message.len() as f64),
        ("fill_ns", fill_ns as f64 / messages),
        ("confirm_ns", confirm_ns as f64 / messages),
        ("consume_and_ack_ns", consume_ns as f64 / messages),
    ]))
}
