//! A queue as it is written to a checkpoint and put together again from facts.
//!
//! ```text
//!  image: | next seq | suspect below | count of pages | page of what is out or came back | ...
//!         | page | ... |
//! ```
//!
//! Invariants
//! - The durable messages of an image are those of the queue, in the order of leaving; a leased
//!   message stands at its place, with what it was delivered before counted.
//! - Facts are applied at the end, in one pass: a gone message never costs a search of its own.
//! - After a crash every message that was there before may have been delivered: a delivery can
//!   leave the broker before its fact is written, so all are marked redelivered.
//!
//! Not here: reading and writing files (`ferry-log`), transient messages (they do not survive).

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::entry::{Body, Entry};
use super::page::Packed;
use super::{Options, Queue};
use crate::Millis;
use crate::facts::{Entered, Mark};
use crate::limits::PAGE_ENTRIES;
use crate::message::Position;
use crate::routing::QueueId;
use crate::wire::{Cursor, Truncated, put_varint};

/// More messages than a queue can ever see: a number beyond is not one that was written.
const SEQ_MAX: u64 = u64::MAX / 2;

type Positions = HashSet<Position, foldhash::fast::FixedState>;
type PositionMap<T> = HashMap<Position, T, foldhash::fast::FixedState>;

impl Queue {
    /// Appends the durable part of the queue to a checkpoint.
    pub fn write_image(&self, out: &mut Vec<u8>) {
        put_varint(out, self.next_seq);
        put_varint(out, self.suspect_below);
        let mut out_of_place: Vec<Entry> = self
            .ready
            .returned()
            .filter(|entry| entry.durable)
            .cloned()
            .collect();
        out_of_place.extend(
            self.leases
                .iter()
                .filter(|lease| lease.entry.durable)
                .map(|lease| {
                    let mut entry = lease.entry.clone();
                    entry.redelivered = true;
                    entry.returns += 1;
                    entry
                }),
        );
        out_of_place.sort_by_key(|entry| (std::cmp::Reverse(entry.priority), entry.seq));
        let mut pages: Vec<Packed> = Vec::new();
        for level in out_of_place.chunk_by(|a, b| a.priority == b.priority) {
            pages.extend(level.chunks(PAGE_ENTRIES).map(Packed::new));
        }
        self.ready.durable_pages(|page| pages.push(page));
        put_varint(out, pages.len() as u64);
        pages.iter().for_each(|page| page.write(out));
    }
}

/// A queue between the start of a replay and its end.
#[derive(Debug)]
pub struct Recovering {
    queue: Queue,
    gone: Positions,
    moved: PositionMap<Position>,
    delivered: PositionMap<u32>,
}

impl Recovering {
    /// A queue without messages so far.
    pub fn new(id: QueueId, options: impl Into<Arc<Options>>, now: Millis) -> Recovering {
        Recovering {
            queue: Queue::new(id, options, now),
            gone: Positions::default(),
            moved: PositionMap::default(),
            delivered: PositionMap::default(),
        }
    }

    /// Takes over what a checkpoint says of the queue.
    pub fn read_image(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Truncated> {
        self.queue.next_seq = cursor.varint()?;
        self.queue.suspect_below = cursor.varint()?;
        if self.queue.next_seq > SEQ_MAX {
            return Err(Truncated);
        }
        for _ in 0..cursor.varint()? {
            let page = Packed::read(cursor)?;
            let level = self.queue.options.level(page.priority());
            self.queue.ready.push_page(page.with_priority(level));
        }
        Ok(())
    }

    /// A message entered.
    pub fn entered(&mut self, entered: &Entered) {
        let seq = self.queue.next_seq;
        self.queue.next_seq += 1;
        self.queue.ready.push_back(Entry {
            seq,
            body: Body::Log(entered.position),
            expires_at: entered.expires_at,
            size: entered.size,
            returns: 0,
            priority: self.queue.options.level(entered.priority),
            redelivered: false,
            durable: true,
        });
    }

    /// A message left.
    pub fn gone(&mut self, position: Position) {
        self.gone.insert(position);
    }

    /// A message was handed out.
    pub fn delivered(&mut self, position: Position) {
        *self.delivered.entry(position).or_default() += 1;
    }

    /// A body was copied.
    pub fn moved(&mut self, from: Position, to: Position) {
        self.moved.insert(from, to);
    }

    /// The queue as it was, after a `clean` stop or a crash. `keep` is told of every message.
    pub fn finish(self, clean: bool, mut keep: impl FnMut(Mark)) -> Queue {
        let Recovering {
            mut queue,
            gone,
            moved,
            delivered,
        } = self;
        let id = queue.id;
        if !gone.is_empty() || !moved.is_empty() || !delivered.is_empty() {
            let facts = gone.iter().chain(moved.keys()).chain(delivered.keys());
            let mut touched: Vec<Position> = facts.copied().collect();
            touched.sort_unstable();
            let any_in = |page: &Packed| {
                let first = touched.partition_point(|at| at < page.positions().start());
                touched
                    .get(first)
                    .is_some_and(|at| page.positions().contains(at))
            };
            queue.ready.retain(any_in, |entry| {
                let mut position = entry.position().expect("a recovered body is in the log");
                let mut count = delivered.get(&position).copied().unwrap_or(0);
                let mut left = gone.contains(&position);
                while let Some(next) = moved.get(&position) {
                    position = *next;
                    count += delivered.get(&position).copied().unwrap_or(0);
                    left |= gone.contains(&position);
                }
                entry.body = Body::Log(position);
                entry.returns += count;
                entry.redelivered |= count > 0;
                !left
            });
        }
        if !clean {
            queue.suspect_below = queue.next_seq;
        }
        queue.ready.visit(|entry| {
            let position = entry.position().expect("a recovered body is in the log");
            keep(Mark {
                queue: id,
                position,
                size: entry.size,
            });
            true
        });
        queue
    }
}
