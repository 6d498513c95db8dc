//! Moving bodies: out of sparse segments of the log, and out of memory.
//!
//! Invariants
//! - Every message of the queue is looked at, whatever state it is in.
//! - A body that moved is released at its old place once.

use std::ops::RangeInclusive;

use super::effect::Context;
use super::entry::{Body, Entry};
use super::{Queue, page};
use crate::facts::{Mark, Moved};
use crate::message::Position;

impl Queue {
    /// Moves bodies out of `segment_from..segment_to`, asking `copy` where each is now.
    pub fn evacuate(
        &mut self,
        from: Position,
        to: Position,
        mut copy: impl FnMut(Position, u32) -> Option<Position>,
        cx: &mut Context<'_>,
    ) {
        let (id, mut moves) = (self.id, Vec::new());
        let mut move_one = |entry: &mut Entry| {
            let inside = entry.position().filter(|at| (from..to).contains(at));
            if let Some((old, new)) = inside.and_then(|old| Some((old, copy(old, entry.size)?))) {
                entry.body = Body::Log(new);
                moves.push((
                    Moved {
                        queue: id,
                        from: old,
                        to: new,
                        size: entry.size,
                    },
                    entry.durable,
                ));
            }
            true
        };
        if let Some(leases) = self.leases.used() {
            leases.iter_mut().for_each(|lease| {
                move_one(&mut lease.entry);
            });
        }
        let inside =
            |page: &page::Packed| page.positions().start() < &to && page.positions().end() >= &from;
        if let Some(ready) = self.ready.used() {
            ready.retain(inside, &mut move_one);
        }
        let inside = |at: RangeInclusive<Position>| at.start() < &to && at.end() >= &from;
        if let Some(schedule) = &mut self.schedule {
            schedule.retain(inside, |_, entry| move_one(entry));
        }
        if let Some(departures) = &mut self.departures {
            departures.retain(inside, |_, entry| move_one(entry));
        }
        if let Some(stream) = &mut self.stream {
            stream.bodies_moved();
        }
        for (moved, durable) in moves {
            cx.released.push(Mark {
                queue: id,
                position: moved.from,
                size: moved.size,
            });
            if durable {
                cx.facts.moved.push(moved);
            }
        }
    }

    /// Moves bodies of waiting messages from memory to the log, asking `store` where each is now,
    /// until it declines.
    pub fn spill(
        &mut self,
        mut store: impl FnMut(&[u8], u32) -> Option<Position>,
        cx: &mut Context<'_>,
    ) {
        let memory = &mut *cx.memory;
        let mut spill_one = |entry: &mut Entry| {
            if let Body::Memory(bytes) = &entry.body
                && let Some(position) = store(bytes, entry.size)
            {
                *memory -= bytes.len() as i64;
                entry.body = Body::Log(position);
            }
            true
        };
        if let Some(ready) = self.ready.used() {
            ready.retain(|_| false, &mut spill_one);
        }
        if let Some(schedule) = &mut self.schedule {
            schedule.retain(|_| false, |_, entry| spill_one(entry));
        }
        if let Some(departures) = &mut self.departures {
            departures.retain(|_| false, |_, entry| spill_one(entry));
        }
    }
}
