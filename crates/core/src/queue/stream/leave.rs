//! What leaves a stream: the oldest messages, when they are too old or there are too many bytes.
//!
//! With a segment size messages leave in parts of that many bytes, as in RabbitMQ; without one
//! they leave one by one.
//!
//! Invariants
//! - The newest message stays, and with it the newest part.
//! - A part that has begun to leave leaves whole; one command lets a bounded number of messages
//!   go, and a tick that is due at once goes on.
//! - `Parts` names the first message of every part that is kept, if there are parts.

use std::collections::VecDeque;

use super::super::Queue;
use super::super::effect::Context;
use super::super::ready::Ready;
use super::Stream;
use crate::Millis;
use crate::facts::{Change, StreamFact};

/// Messages that leave in one command, so that nobody waits long for the partition.
const LEAVING_MAX: usize = 4096;

#[derive(Debug)]
struct Part {
    first: u64,
    bytes: u64,
}

/// The parts that messages leave in.
#[derive(Debug, Default)]
pub struct Parts {
    segment_bytes: Option<u64>,
    list: VecDeque<Part>,
}

impl Parts {
    /// A message was appended.
    pub fn add(&mut self, seq: u64, size: u32) {
        let Some(segment_bytes) = self.segment_bytes else {
            return;
        };
        let size = u64::from(size);
        match self.list.back_mut() {
            Some(last) if last.bytes.saturating_add(size) <= segment_bytes => last.bytes += size,
            _ => self.list.push_back(Part {
                first: seq,
                bytes: size,
            }),
        }
    }

    /// Divides what is kept into parts of another length.
    pub fn divide(&mut self, segment_bytes: Option<u64>, kept: &Ready) {
        *self = Parts {
            segment_bytes,
            list: VecDeque::new(),
        };
        if segment_bytes.is_some() {
            kept.visit_after(None, |entry| {
                self.add(entry.seq, entry.size);
                true
            });
        }
    }

    fn forget_before(&mut self, seq: u64) {
        while self.list.get(1).is_some_and(|second| second.first <= seq) {
            self.list.pop_front();
        }
    }
}

impl Stream {
    /// Does from now on what the options say.
    pub(super) fn set_segment_bytes(&mut self, segment_bytes: Option<u64>, kept: &Ready) {
        if self.parts.segment_bytes != segment_bytes {
            self.parts.divide(segment_bytes, kept);
        }
    }
}

impl Queue {
    /// Keeps no more than the options say, which may have changed.
    pub(in super::super) fn fit_stream(&mut self, cx: &mut Context<'_>) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let segment_bytes = self.options.retention.segment_bytes;
        stream.set_segment_bytes(segment_bytes, &self.ready);
        self.retain(cx);
    }

    /// Lets what is too old or too much leave.
    pub(super) fn retain(&mut self, cx: &mut Context<'_>) {
        let before = self.first_kept();
        let mut left = LEAVING_MAX;
        while left > 0 && self.is_to_leave(cx.now) {
            left -= 1;
            let entry = self.ready.pop_front().expect("what leaves was kept");
            *cx.memory -= entry.memory_bytes() as i64;
            cx.released.extend(self.mark(&entry));
        }
        if left == 0
            && let Some(stream) = &mut self.stream
        {
            stream.retain_at = Some(cx.now);
        }
        if self.first_kept() > before {
            self.note_left(cx);
        }
    }

    /// Whether the oldest message must go; if not, notes when that will be.
    fn is_to_leave(&mut self, now: Millis) -> bool {
        let first = self.first_kept();
        let Some(stream) = &mut self.stream else {
            return false;
        };
        if first < stream.leaving {
            return true;
        }
        stream.times.forget_before(first);
        stream.parts.forget_before(first);
        let next = self.next_to_leave();
        let Some(stream) = &mut self.stream else {
            return false;
        };
        match next {
            Some((end, at)) if at <= now => {
                stream.leaving = end;
                true
            }
            later => {
                stream.retain_at = later.map(|(_, at)| at);
                false
            }
        }
    }

    /// The place behind what leaves next, and when; 0 if there is too much already.
    fn next_to_leave(&self) -> Option<(u64, Millis)> {
        let stream = self.stream.as_ref()?;
        if self.ready.count() <= 1 {
            return None;
        }
        let max_bytes = self.options.max_length_bytes;
        let too_much = max_bytes.is_some_and(|max| self.ready.bytes() > max);
        let too_old =
            |latest: Millis| Some(latest.saturating_add(self.options.retention.max_age_ms?));
        if stream.parts.segment_bytes.is_some() {
            let end = stream.parts.list.get(1)?.first;
            return match too_much {
                true => Some((end, 0)),
                false => Some((end, too_old(stream.times.latest_of(end - 1))?)),
            };
        }
        if too_much {
            return Some((self.first_kept() + 1, 0));
        }
        let (behind, latest) = stream.times.first_run()?;
        let newest = self.next_seq - 1;
        let end = behind.map_or(newest, |behind| behind.min(newest));
        Some((end, too_old(latest)?))
    }

    /// Writes down what has left, in one fact.
    fn note_left(&self, cx: &mut Context<'_>) {
        let (id, first) = (self.id, self.first_kept());
        match cx.facts.changes.last_mut() {
            Some(Change::Stream(queue, StreamFact::Left(below))) if *queue == id => *below = first,
            _ => {
                let fact = StreamFact::Left(first);
                cx.facts.changes.push(Change::Stream(id, fact));
            }
        }
    }
}
