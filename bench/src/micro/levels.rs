//! What expiry costs in a long queue: letting go what expires anywhere in it, and taking messages
//! from its head where they have a time to live and where they have none.
//!
//! Invariants
//! - All messages stand in the log, as they do in a long backlog; none has a consumer.
//! - What expired and what was taken is counted.

use std::sync::Arc;

use ferry_core::Millis;
use ferry_core::facts::{Facts, Mark};
use ferry_core::queue::{
    BodyRef, ConsumerId, Context, Effect, Enqueued, Gate, Incoming, Lens, Options, Queue,
};
use ferry_core::routing::QueueId;
use ferry_core::view::MessageView;

use crate::Res;
use crate::stats::Figures;
use crate::sys::own_cpu_seconds;

use super::Case;

const STORED_BYTES: u32 = 210;
const BODY_BYTES: u32 = 128;
/// Messages live between a second and an hour.
const TTL_MS_MIN: u64 = 1_000;
const TTL_MS_SPREAD: u64 = 3_599_000;
/// How often the queue is looked after, and for how long: in its first minute.
const TICK_MS: usize = 10;
const WATCHED_MS: Millis = 61_000;

/// Nobody asks: there is no consumer.
struct NoConsumer;

impl Gate for NoConsumer {
    fn admit(&self, _: ConsumerId, _: usize) -> bool {
        false
    }
}

impl Lens for NoConsumer {
    fn show(&self, _: &[u8], _: &BodyRef, _: &mut dyn FnMut(&dyn MessageView)) {}
}

/// A queue, and where what it says goes.
struct Long {
    queue: Queue,
    staged: Vec<u8>,
    effects: Vec<Effect>,
    facts: Facts,
    released: Vec<Mark>,
    memory: i64,
    copied: Option<(u32, Arc<[u8]>)>,
}

impl Long {
    fn filled(messages: usize, expiring: bool) -> Res<Long> {
        let options = Options {
            durable: true,
            ..Options::default()
        };
        let mut long = Long {
            queue: Queue::new(QueueId(1), options, 0),
            staged: vec![0; STORED_BYTES as usize],
            effects: Vec::new(),
            facts: Facts::default(),
            released: Vec::new(),
            memory: 0,
            copied: None,
        };
        for number in 0..messages as u64 {
            let random = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
            let incoming = Incoming {
                offset: 0,
                len: STORED_BYTES,
                position: (1 << 32) + number * u64::from(STORED_BYTES),
                size: BODY_BYTES,
                priority: 0,
                ttl_ms: expiring.then_some(TTL_MS_MIN + random % TTL_MS_SPREAD),
                recorded: false,
                special: false,
            };
            match long.at(0, |queue, cx| queue.enqueue(&incoming, cx)) {
                Enqueued::Taken => {}
                other => return Err(format!("message {number} was not taken: {other:?}")),
            }
        }
        Ok(long)
    }

    /// One command, and away with what it has to say.
    fn at<R>(&mut self, now: Millis, command: impl FnOnce(&mut Queue, &mut Context<'_>) -> R) -> R {
        let mut cx = Context {
            now,
            staged: &self.staged,
            gate: &NoConsumer,
            lens: &NoConsumer,
            effects: &mut self.effects,
            facts: &mut self.facts,
            released: &mut self.released,
            memory: &mut self.memory,
            copied: &mut self.copied,
        };
        let result = command(&mut self.queue, &mut cx);
        self.effects.clear();
        self.facts.clear();
        self.released.clear();
        self.copied = None;
        result
    }
}

/// The cases in a queue of so many messages.
pub fn measure(messages: usize) -> Res<Vec<Case>> {
    Ok(vec![
        ("expiries in a long queue", expiries(messages)?),
        ("taken, no time to live", taken(messages, false)?),
        ("taken, with a time to live", taken(messages, true)?),
    ])
}

fn expiries(messages: usize) -> Res<Figures> {
    let mut long = Long::filled(messages, true)?;
    let (mut longest_s, begin) = (0f64, own_cpu_seconds());
    for now in (TTL_MS_MIN..WATCHED_MS).step_by(TICK_MS) {
        let tick = own_cpu_seconds();
        long.at(now, |queue, cx| queue.tick(cx));
        longest_s = longest_s.max(own_cpu_seconds() - tick);
    }
    let all_s = own_cpu_seconds() - begin;
    let expired = messages as u64 - long.queue.counts().ready;
    if expired == 0 {
        return Err("nothing expired".into());
    }
    let mut figures = Figures::default();
    figures.put("each_ns", all_s * 1e9 / expired as f64);
    figures.put("longest_us", longest_s * 1e6);
    figures.put("expired", expired as f64);
    Ok(figures)
}

fn taken(messages: usize, expiring: bool) -> Res<Figures> {
    let mut long = Long::filled(messages, expiring)?;
    let (mut count, begin) = (0, own_cpu_seconds());
    while long.at(0, |queue, cx| queue.get(true, cx)).is_some() {
        count += 1;
    }
    let each_ns = (own_cpu_seconds() - begin) * 1e9 / messages as f64;
    if count != messages {
        return Err(format!("{count} of {messages} could be taken"));
    }
    let mut figures = Figures::default();
    figures.put("each_ns", each_ns);
    Ok(figures)
}
