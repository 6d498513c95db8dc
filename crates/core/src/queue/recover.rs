//! A queue as it is written to a checkpoint and put together again from facts.
//!
//! ```text
//!  image: | next seq | suspect below | of a stream (`stream::recover`) |
//!         | pages of what is out or came back |
//!         | count | pages of a part of what is ready | ... | schedule |
//!         | count | what is on its way as a dead letter: reason (u8) and a page |
//!         | which of the next two are there (u8) | ids? | schedule of departures? |
//!         | notes | tags |            (both or, if there are none of either, nothing)
//!  pages: | count | page | ... |
//! ```
//!
//! Invariants
//! - The durable messages of an image are those of the queue, each part in the order of leaving; a
//!   leased message stands at its place, with what it was delivered before counted.
//! - Shards are divided at the end: until then all that is ready is one part.
//! - Facts are applied at the end, in one pass: a gone message never costs a search of its own.
//! - After a crash every message that was there before may have been delivered: a delivery can
//!   leave the broker before its fact is written, so all are marked redelivered. What still waits
//!   for its first time was with nobody.
//!
//! Not here: reading and writing files (`ferry-log`), transient messages (they do not survive).

mod departing;
mod story;

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::deduplicate::{MessageId, Window};
use super::departures::Departures;
use super::entry::{Body, Entry};
use super::lease::{Holder, Lease};
use super::notes::Notes;
use super::page::Packed;
use super::ready::{Levels, Ready, merge};
use super::schedule::Schedule;
use super::tag::Tags;
use super::{Deduplication, Options, Queue};
use crate::Millis;
use crate::facts::{Change, Entered, Mark};
use crate::image::ImageOut;
use crate::limits::{DEDUPLICATION_IDS_MAX, PAGE_ENTRIES};
use crate::message::Position;
use crate::reason::DeadLetterReason;
use crate::routing::QueueId;
use crate::wire::{Cursor, Truncated, put_varint};
pub(super) use story::Retag;
use story::{Note, Told};

/// More messages than a queue can ever see: a number beyond is not one that was written. Half of
/// what shards have room for (`ready::parts`), so that a queue that was read can go on.
pub(super) const SEQ_MAX: u64 = 1 << 55;

/// Bits for what is there in an image only if a queue has it.
const WINDOW: u8 = 1;
const DEPARTURES: u8 = 2;

impl Queue {
    /// Appends the durable part of the queue to a checkpoint. Its packed pages are shared, so that
    /// a long queue is not kept from its work for long, and not twice in memory.
    pub fn write_image(&self, out: &mut impl ImageOut) {
        put_varint(out.tail(), self.next_seq);
        put_varint(out.tail(), self.suspect_below);
        if let Some(stream) = &self.stream {
            stream.write(out.tail());
        }
        write_pages(out, &self.out_of_place());
        let parts = self.ready.all_levels();
        put_varint(out.tail(), parts.len() as u64);
        for part in parts {
            let mut pages = Vec::new();
            part.durable_pages(|page| pages.push(page));
            write_pages(out, &pages);
        }
        self.write_waiting(out);
        self.write_departing(out);
        let window = u8::from(self.window.is_some()) * WINDOW;
        let departures = u8::from(self.departures.is_some()) * DEPARTURES;
        out.tail().push(window | departures);
        if let Some(window) = &self.window {
            window.write(out.tail());
        }
        if let Some(departures) = &self.departures {
            departures.write(out);
        }
        if !self.notes.is_empty() || self.tags.any_durable() {
            self.notes.write(out.tail());
            self.tags.write(out.tail());
        }
    }

    /// What stands at no place of its level: what came back, and what is out.
    fn out_of_place(&self) -> Vec<Packed> {
        let parts = self.ready.all_levels().into_iter();
        let returned = parts.flat_map(|part| part.returned());
        let mut entries: Vec<Entry> = returned.filter(|entry| entry.durable).cloned().collect();
        for (_, lease) in self.leases.iter().filter(|(_, lease)| lease.entry.durable) {
            let mut entry = lease.entry.clone();
            match lease.holder {
                Holder::Operator(Some(_)) => continue,
                Holder::Departing(_) => continue,
                Holder::Operator(None) | Holder::Unread => {}
                Holder::Consumer(_) | Holder::Get => {
                    entry.redelivered = true;
                    entry.returns = entry.returns.saturating_add(1);
                }
            }
            entries.push(entry);
        }
        entries.sort_by_key(|entry| (std::cmp::Reverse(entry.priority), entry.seq));
        let levels = entries.chunk_by(|a, b| a.priority == b.priority);
        levels
            .flat_map(|level| level.chunks(PAGE_ENTRIES).map(Packed::new))
            .collect()
    }

    fn write_waiting(&self, out: &mut impl ImageOut) {
        // What an operator took from here and has not moved yet still waits.
        let taken = |(_, lease): (_, &Lease)| match lease.holder {
            Holder::Operator(Some(at)) => Some((at, lease.entry.clone())),
            _ => None,
        };
        let mut all = Schedule::default();
        let mut taken = self.leases.iter().filter_map(taken).peekable();
        let taken_any = taken.peek().is_some();
        taken.for_each(|(at, entry)| all.insert(at, entry));
        match &self.schedule {
            Some(schedule) if !taken_any => return schedule.write(out),
            Some(schedule) => schedule.visit(None, |at, entry| {
                all.insert(at, entry.clone());
                true
            }),
            None => {}
        }
        all.write(out);
    }
}

fn write_pages(out: &mut impl ImageOut, pages: &[Packed]) {
    put_varint(out.tail(), pages.len() as u64);
    pages.iter().for_each(|page| page.write(out));
}

/// A queue between the start of a replay and its end.
#[derive(Debug)]
pub struct Recovering {
    queue: Queue,
    /// What facts say, if there are any: most queues of many have none.
    told: Option<Box<Told>>,
    /// Level and place of what was out at the checkpoint, or came back before it.
    tried: Vec<(u8, u64)>,
}

impl Recovering {
    /// A queue without messages so far.
    pub fn new(id: QueueId, options: impl Into<Arc<Options>>, now: Millis) -> Recovering {
        Recovering {
            queue: Queue::undivided(id, options, now),
            told: None,
            tried: Vec::new(),
        }
    }

    /// Takes over what a checkpoint says of the queue.
    pub fn read_image(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Truncated> {
        self.queue.next_seq = cursor.varint()?;
        self.queue.suspect_below = cursor.varint()?;
        if self.queue.next_seq > SEQ_MAX {
            return Err(Truncated);
        }
        if let Some(stream) = &mut self.queue.stream {
            stream.read(cursor)?;
        }
        for _ in 0..cursor.varint()? {
            let page = self.read_page(cursor)?;
            for entry in page.entries() {
                if self.queue.ready.get(entry.priority, entry.seq).is_some() {
                    return Err(Truncated);
                }
                self.tried.push((entry.priority, entry.seq));
                self.queue.ready.put_back(entry);
            }
        }
        self.read_ready(cursor)?;
        let stream = self.queue.stream.as_ref();
        let waiting_below = stream.map_or(self.queue.next_seq, |stream| stream.waiting_below());
        let level_max = self.queue.options.max_priority;
        let schedule = Schedule::read(cursor, |_, entry| {
            entry.durable && entry.seq < waiting_below && entry.priority <= level_max
        })?;
        self.queue.schedule = (schedule.count() > 0).then(|| Box::new(schedule));
        self.read_departing(cursor)?;
        let there = cursor.u8()?;
        if there & !(WINDOW | DEPARTURES) != 0 {
            return Err(Truncated);
        }
        if there & WINDOW != 0 {
            self.queue.window = Some(Box::new(Window::read(cursor, self.remembered())?));
        }
        if there & DEPARTURES != 0 {
            let departures = Departures::read(cursor)?;
            self.queue.departures = (departures.count() > 0).then(|| Box::new(departures));
        }
        if !cursor.is_empty() {
            self.queue.notes = Notes::read(cursor)?;
            self.queue.tags = Tags::read(cursor)?;
        }
        Ok(())
    }

    fn read_ready(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Truncated> {
        let mut first = match self.queue.ready.used() {
            Some(ready) => ready.take_all(),
            None => Levels::default(),
        };
        let mut others = Vec::new();
        for number in 0..cursor.varint()? {
            let mut other = Levels::default();
            let part = if number == 0 { &mut first } else { &mut other };
            for _ in 0..cursor.varint()? {
                if !part.push_page(self.read_page(cursor)?) {
                    return Err(Truncated);
                }
            }
            if other.count() > 0 {
                others.push(other);
            }
        }
        others.insert(0, first);
        let all = merge(others).map_err(|_| Truncated)?;
        if all.count() > 0 {
            *self.queue.ready = Ready::Plain(all);
        }
        Ok(())
    }

    /// A page whose messages are of a level and a time that the queue knows.
    fn read_page(&self, cursor: &mut Cursor<'_>) -> Result<Packed, Truncated> {
        let page = Packed::read(cursor)?;
        if page.last_seq() >= self.queue.next_seq {
            return Err(Truncated);
        }
        let level = self.queue.options.level(page.priority());
        Ok(page.with_priority(level))
    }

    /// How many ids are kept until it is known which policy holds in the end.
    fn remembered(&self) -> Deduplication {
        self.queue.options.deduplication.unwrap_or(Deduplication {
            ids_max: DEDUPLICATION_IDS_MAX,
            ttl_ms: None,
        })
    }

    fn window(&mut self) -> &mut Window {
        let wanted = self.remembered();
        self.queue
            .window
            .get_or_insert_with(|| Box::new(Window::new(wanted)))
    }

    /// It does something else from here on.
    pub fn set_options(&mut self, options: Arc<Options>) {
        self.queue.options = options;
        self.queue.fit_window();
    }

    /// A message entered.
    pub fn entered(&mut self, entered: &Entered) {
        let entry = Entry {
            seq: self.queue.take_place(entered.wakes_at != 0),
            body: Body::Log(entered.position),
            expires_at: entered.expires_at,
            size: entered.size,
            returns: 0,
            returned_by: 0,
            key: entered.key,
            priority: self.queue.options.level(entered.priority),
            redelivered: false,
            durable: true,
        };
        match entered.wakes_at {
            0 => self.queue.ready.push_back(entry),
            at => {
                self.queue.wait(entry, at);
            }
        }
    }

    fn told(&mut self) -> &mut Told {
        self.told.get_or_insert_default()
    }

    /// A message left.
    pub fn gone(&mut self, position: Position) {
        self.told().gone.insert(position);
    }

    /// A message was handed out.
    pub fn delivered(&mut self, position: Position) {
        *self.told().delivered.entry(position).or_default() += 1;
    }

    /// A body was copied. A copy stands behind what it is of, so a message is followed to an end.
    pub fn moved(&mut self, from: Position, to: Position) {
        if from < to {
            self.told().moved.insert(from, to);
        }
    }

    /// Something rarer happened.
    pub fn changed(&mut self, change: &Change) {
        match change {
            Change::Delayed(mark, at, expires_at) => {
                let note = self.told().notes.entry(mark.position).or_default();
                note.waits_until = Some(*at);
                note.expires_at = Some(*expires_at);
            }
            Change::Awake(mark, expires_at) => {
                let seq = self.queue.take_seq();
                let note = self.told().notes.entry(mark.position).or_default();
                *note = Note {
                    seq: Some(seq),
                    waits_until: Some(0),
                    expires_at: Some(*expires_at),
                    departed: None,
                    tag: note.tag,
                };
            }
            Change::Departed(mark, reason) => {
                let note = self.told().notes.entry(mark.position).or_default();
                note.departed = Some(*reason);
            }
            Change::Tagged(mark, number) => {
                let note = self.told().notes.entry(mark.position).or_default();
                note.tag = Some(*number);
                note.expires_at = Some(0);
            }
            Change::Noted(_, key, on) => self.queue.notes.set(*key, *on),
            Change::Seen(_, id, at) => {
                self.window().insert(MessageId::from_bytes(*id), *at);
            }
            Change::Forgotten(_, id) => {
                self.window().remove(MessageId::from_bytes(*id));
            }
            Change::Stream(_, fact) => {
                if let Some(stream) = &mut self.queue.stream {
                    stream.found(fact);
                }
            }
        }
    }

    /// The queue as it was, after a `clean` stop or a crash. `keep` is told of every message.
    pub fn finish(mut self, clean: bool, mut keep: impl FnMut(Mark)) -> Queue {
        self.let_tried_out_depart();
        self.apply_facts();
        self.depart_next();
        let mut queue = self.queue;
        queue.fit_window();
        queue.fit_pace(queue.used_at);
        queue.recover_stream();
        if !clean {
            queue.suspect_below = queue.next_seq;
            queue.suspect_until = queue.used_at;
        }
        let (mut tags, mut kept) = (std::mem::take(&mut queue.tags), Tags::default());
        let mut tell = |entry: &Entry| {
            tags.keep(entry, &mut kept);
            keep(queue.mark(entry).expect("a recovered body is in the log"));
            true
        };
        queue.ready.visit_after(None, &mut tell);
        queue.visit_delayed(None, |_, entry| tell(entry));
        queue.visit_leased(None, |_, entry, _| tell(entry));
        queue.visit_waiting_departures(|_, entry| tell(entry));
        queue.tags = kept;
        queue.fit_shards();
        queue
    }

    /// The limit of tries that counts is the one in force now, not that of the checkpoint.
    fn let_tried_out_depart(&mut self) {
        for (priority, seq) in std::mem::take(&mut self.tried) {
            let entry = self.queue.ready.get(priority, seq);
            let out = entry.is_some_and(|entry| self.queue.options.is_tried_out(entry.returns));
            if out && let Some(entry) = self.queue.ready.take(priority, seq) {
                self.depart(entry, DeadLetterReason::DeliveryLimit);
            }
        }
    }

    fn apply_facts(&mut self) {
        let Some(story) = self.told.take() else {
            return;
        };
        let queue = &mut self.queue;
        let touched = story.positions();
        let any_in = |positions: RangeInclusive<Position>| {
            let first = touched.partition_point(|at| at < positions.start());
            touched.get(first).is_some_and(|at| positions.contains(at))
        };
        let (options, is_stream) = (Arc::clone(&queue.options), queue.is_stream());
        let (mut displaced, mut retagged) = (Vec::new(), Vec::new());
        let mut apply = |waits: Option<Millis>, entry: &mut Entry| {
            let Some(mut note) = story.of(entry) else {
                return false;
            };
            // What was held when the broker died was tried: one try may have been its last.
            if options.is_tried_out(entry.returns) {
                note.departed.get_or_insert(DeadLetterReason::DeliveryLimit);
            }
            // What was appended to a stream stays: its place is an offset, not one of what waits.
            // Asked of all facts together, as its body may have moved between two of them.
            if is_stream && note.seq.is_some() {
                note.waits_until = Some(0);
            }
            let moves = note.moves(waits) && !(is_stream && waits.is_none());
            retagged.extend(note.retags(entry.seq));
            if moves {
                displaced.push((waits, entry.clone(), note));
            }
            !moves
        };
        queue
            .ready
            .retain(|page| any_in(page.positions()), |entry| apply(None, entry));
        if let Some(schedule) = &mut queue.schedule {
            schedule.retain(any_in, |at, entry| apply(Some(at), entry));
        }
        queue.take_departing(any_in, |reason, mut entry| {
            if let Some(note) = story.of(&mut entry) {
                let departed = Some(note.departed.unwrap_or(reason));
                retagged.extend(note.retags(entry.seq));
                displaced.push((None, entry, Note { departed, ..note }));
            }
        });
        for retag in retagged {
            queue.tags.found(&retag);
        }
        self.place(displaced);
    }

    /// Puts what facts moved to another state where it belongs.
    fn place(&mut self, displaced: Vec<(Option<Millis>, Entry, Note)>) {
        let (mut awake, mut waiting, mut departed) = (Vec::new(), Vec::new(), Vec::new());
        for (waited, mut entry, note) in displaced {
            entry.seq = note.seq.unwrap_or(entry.seq);
            entry.expires_at = note.expires_at.unwrap_or(entry.expires_at);
            match (note.departed, note.waits_until.or(waited)) {
                (Some(reason), _) => departed.push((entry, reason)),
                (None, None | Some(0)) => awake.push(entry),
                (None, Some(at)) => waiting.push((at, entry)),
            }
        }
        departed.sort_by_key(|(entry, _)| entry.seq);
        for (entry, reason) in departed {
            self.depart(entry, reason);
        }
        // Damaged facts may have a message enter twice.
        waiting.sort_unstable_by_key(|(at, entry)| (*at, entry.seq));
        waiting.dedup_by_key(|(at, entry)| (*at, entry.seq));
        for (at, entry) in waiting {
            self.queue.wait(entry, at);
        }
        if awake.is_empty() {
            return;
        }
        // Merged page by page with what was ready, so that many cost no more than few.
        awake.sort_unstable_by_key(|entry| (std::cmp::Reverse(entry.priority), entry.seq));
        // As above.
        awake.dedup_by_key(|entry| (entry.priority, entry.seq));
        let mut awake = awake.into_iter().peekable();
        let mut merged = Levels::default();
        let order = |entry: &Entry| (std::cmp::Reverse(entry.priority), entry.seq);
        self.queue.ready.take_all().drain(|entry| {
            while let Some(earlier) = awake.next_if(|woken| order(woken) < order(&entry)) {
                merged.push_back(earlier);
            }
            merged.push_back(entry);
        });
        awake.for_each(|entry| merged.push_back(entry));
        *self.queue.ready = Ready::Plain(merged);
    }
}
