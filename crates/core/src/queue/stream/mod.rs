//! A queue that keeps what was read: a stream.
//!
//! Messages are appended and stay until they are too old or too many. A reader is a consumer with
//! a place of its own; to settle a delivery, in whatever way, gives it the credit for one more.
//!
//! ```text
//!             first kept            a reader            next
//!  | gone ... | part | part | ... ... ^ ... | last part | ^
//!  offset:    n                                           number of messages ever appended
//! ```
//!
//! Invariants
//! - The `seq` of a message is its offset plus one; the ready messages are those from the first
//!   kept to the last appended, without a gap. What waits for its time has no offset yet.
//! - An offset never changes: it counts the entries of the log in their order, those that were
//!   announced by a transaction at the place where they were made visible.
//! - No message leaves but at the front, and the newest one stays.
//! - A delivery of a stream has a lease that holds no message: it names the reader.
//!
//! Not here: where messages are kept (`ready`), who may consume how (the broker).

mod leave;
mod read;
mod readers;
mod recover;
mod times;
mod windows;

use super::effect::{Context, Incoming};
use super::entry::{BodyRef, Entry};
use super::ready::Ready;
use super::{Queue, Retention};
use crate::Millis;
use crate::facts::{Change, Facts, StreamFact};
use leave::Parts;
use readers::Readers;
use times::Times;
use windows::Windows;

pub use read::Reading;

/// What a stream has besides its messages.
#[derive(Debug)]
pub struct Stream {
    readers: Readers,
    windows: Windows,
    times: Times,
    parts: Parts,
    /// All messages before this place are to leave.
    leaving: u64,
    /// When retention has something to do.
    retain_at: Option<Millis>,
    /// Readers stopped before they had to.
    unfinished: bool,
    /// The first message that the last step appended.
    last_part: u64,
    /// The place of the next message among those that wait for their time.
    next_waiting: u64,
    /// Found in facts: all before this place left.
    left_below: u64,
}

impl Stream {
    /// An empty stream.
    pub fn new(retention: Retention) -> Stream {
        let mut stream = Stream {
            readers: Readers::default(),
            windows: Windows::default(),
            times: Times::default(),
            parts: Parts::default(),
            leaving: 0,
            retain_at: None,
            unfinished: false,
            last_part: 1,
            next_waiting: 1,
            left_below: 0,
        };
        stream.set_segment_bytes(retention.segment_bytes, &Ready::default());
        stream
    }

    /// When a tick has something to do.
    pub fn next_deadline(&self) -> Option<Millis> {
        match self.unfinished {
            true => Some(0),
            false => self.retain_at,
        }
    }

    /// Bodies are elsewhere now.
    pub fn bodies_moved(&mut self) {
        self.windows.clear();
    }
}

/// A message that came with this step: its body is at hand.
pub(super) struct Fresh {
    entry: Entry,
    body: BodyRef,
}

impl Queue {
    /// Whether it is a stream.
    pub fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// The place of the first message that is kept; of the next one if none is.
    fn first_kept(&self) -> u64 {
        self.next_seq - self.ready.count()
    }

    /// The `seq` of an arriving message; of a stream only what `waits` not takes an offset.
    pub(super) fn take_place(&mut self, waits: bool) -> u64 {
        match &mut self.stream {
            Some(stream) if waits => {
                stream.next_waiting += 1;
                stream.next_waiting - 1
            }
            _ => self.take_seq(),
        }
    }

    /// Until when a message waits whose arrival is announced by a transaction, if it is to be
    /// ready at once; 0 for not at all. In a stream it waits to be given its offset.
    pub(super) fn announced_until(&self, now: Millis) -> Millis {
        match self.stream {
            Some(_) => now.max(1),
            None => 0,
        }
    }

    /// A message arrives at the end of the stream.
    pub(super) fn append_incoming(&mut self, incoming: &Incoming, cx: &mut Context<'_>) {
        let same_part = self.appended_in_this_step(cx.facts);
        let entry = self.admit(incoming, 0, cx);
        if incoming.recorded {
            self.place_announced(&entry, cx);
        }
        *cx.memory += entry.memory_bytes() as i64;
        let body = BodyRef::Staged {
            offset: incoming.offset,
            len: incoming.len,
        };
        self.put_last(entry, body, same_part, cx);
    }

    /// A message that waited for its time does so no more.
    pub(super) fn append_awake(&mut self, mut entry: Entry, cx: &mut Context<'_>) {
        let same_part = self.appended_in_this_step(cx.facts);
        entry.seq = self.take_seq();
        (entry.redelivered, entry.returns) = (false, 0);
        self.place_announced(&entry, cx);
        let body = BodyRef::from(&entry.body);
        self.put_last(entry, body, same_part, cx);
    }

    /// Writes down that a message whose arrival is written has its offset now.
    fn place_announced(&self, entry: &Entry, cx: &mut Context<'_>) {
        if let Some(mark) = self.durable_mark(entry) {
            cx.facts.changes.push(Change::Awake(mark, 0));
        }
    }

    /// Whether this step appended before: what one step appends is one part to who starts at the
    /// last.
    fn appended_in_this_step(&self, facts: &Facts) -> bool {
        // What waits for its time has entered and is not appended.
        let entered = facts
            .entered
            .iter()
            .rev()
            .filter(|entered| entered.wakes_at == 0);
        let awake = |change: &Change| matches!(change, Change::Awake(..));
        let mut changes = facts.changes.iter().rev().filter(|change| awake(change));
        entered.map(|entered| entered.queue).any(|id| id == self.id)
            || changes.any(|change| change.queue() == self.id)
    }

    fn put_last(&mut self, entry: Entry, body: BodyRef, same_part: bool, cx: &mut Context<'_>) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let seq = entry.seq;
        if !same_part {
            stream.last_part = seq;
        }
        if stream.times.note(seq, cx.now) {
            let fact = StreamFact::Timed(seq, cx.now);
            cx.facts.changes.push(Change::Stream(self.id, fact));
        }
        stream.parts.add(seq, entry.size);
        self.ready.push_back(entry.clone());
        self.read_on(Some(&Fresh { entry, body }), cx);
        self.retain(cx);
    }
}
