//! Reading a stream: each message in order to everybody who stands there.
//!
//! Invariants
//! - A reader gets the messages from its place on in order, each once, without those that its
//!   filter refuses; what left before it came there is passed over.
//! - Whoever stands at the same message gets it in the same turn, so that its body is read once.
//! - One command asks filters so many questions only; a tick that is due at once goes on.

use super::super::Queue;
use super::super::consumer::{Choice, ConsumerSlot, StreamOffset, SubscribeError, Subscription};
use super::super::deliver::way_bytes;
use super::super::effect::{ConsumerId, Context, Effect, Settled};
use super::super::entry::BodyRef;
use super::super::lease::LeaseId;
use super::Fresh;
use super::readers::{Readers, reader_of};

/// Questions to filters that one command asks, so that nobody waits long for the partition.
pub(super) const LOOKS_MAX: usize = 1024;

/// A message of a stream on its way to one of those who read it.
#[derive(Debug)]
pub struct Reading {
    /// Who gets it.
    pub consumer: ConsumerId,
    /// Its lease; none if it needs no settling.
    pub lease: Option<LeaseId>,
    /// Its offset.
    pub offset: u64,
    /// Its body.
    pub body: BodyRef,
    /// Bytes that its consumer's way out has reserved for it.
    pub admitted_bytes: usize,
}

/// The message that it is the turn of.
struct Next {
    place: u64,
    size: u32,
    body: BodyRef,
}

impl Queue {
    /// A reader comes.
    pub(in super::super) fn subscribe_reader(
        &mut self,
        subscription: Subscription,
        choice: Choice,
    ) -> Result<ConsumerSlot, SubscribeError> {
        let slot = self.consumers.add(subscription, Choice::default())?;
        let cursor = self.start_of(choice.offset);
        if let Some(stream) = &mut self.stream {
            stream.readers.add(&subscription, cursor, choice.filter);
        }
        Ok(slot)
    }

    fn start_of(&self, offset: StreamOffset) -> u64 {
        let first = self.first_kept();
        let Some(stream) = &self.stream else {
            return first;
        };
        match offset {
            StreamOffset::First => first,
            StreamOffset::Last if self.ready.count() > 0 => stream.last_part.max(first),
            StreamOffset::Last | StreamOffset::Next => self.next_seq,
            StreamOffset::Offset(offset) => offset.saturating_add(1).max(first),
            StreamOffset::Timestamp(time) => {
                let since = stream.times.first_since(time);
                since.map_or(self.next_seq, |seq| seq.max(first))
            }
        }
    }

    /// A reader goes.
    pub(in super::super) fn unsubscribe_reader(&mut self, id: ConsumerId) {
        if let Some(stream) = &mut self.stream {
            stream.readers.remove(id);
        }
    }

    /// The outlet of a reader has room again.
    pub(in super::super) fn resume_reader(&mut self, id: ConsumerId) {
        if let Some(stream) = &mut self.stream {
            stream.readers.resume(id);
        }
    }

    /// Gives a reader credit for what it was handed; none if the lease is not a reader's.
    pub(in super::super) fn settle_reading(
        &mut self,
        lease: LeaseId,
        cx: &mut Context<'_>,
    ) -> Option<Settled> {
        let reader = reader_of(lease)?;
        self.stream.as_mut()?.readers.settled(reader);
        self.read_on(None, cx);
        Some(Settled::Done)
    }

    /// What a reader was to get can not be read: it goes on without.
    pub fn pass_over(&mut self, lease: Option<LeaseId>) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        if let Some(reader) = lease.and_then(reader_of) {
            stream.readers.settled(reader);
        }
        stream.unfinished = true;
    }

    /// Hands readers what they can be given; the body of a `fresh` message is at hand.
    pub(in super::super) fn read_on(&mut self, fresh: Option<&Fresh>, cx: &mut Context<'_>) {
        let first = self.first_kept();
        let next_seq = self.next_seq;
        let Some(stream) = &mut self.stream else {
            return;
        };
        let (mut group, mut looks) = (Vec::new(), LOOKS_MAX);
        stream.unfinished = false;
        while let Some(lowest) = stream.readers.lowest()
            && lowest.max(first) < next_seq
        {
            if looks == 0 {
                stream.unfinished = true;
                return;
            }
            if self.pace.as_mut().is_some_and(|pace| !pace.allows(cx.now)) {
                return;
            }
            let place = lowest.max(first);
            stream.readers.gather(place, &mut group);
            let next = match fresh.filter(|fresh| fresh.entry.seq == place) {
                Some(fresh) => Next::new(&fresh.entry, fresh.body.clone()),
                None => {
                    let entry = stream.windows.entry(place, &self.ready);
                    let entry = entry.expect("what is kept has no gap");
                    Next::new(entry, BodyRef::from(&entry.body))
                }
            };
            looks = looks.saturating_sub(next.ask(&mut stream.readers, &mut group, cx));
            let handed = next.hand_to(&mut stream.readers, &group, cx);
            if let Some(pace) = &mut self.pace {
                (0..handed).for_each(|_| pace.spend(next.size, cx.now));
            }
        }
        if stream.readers.all_are_at(next_seq) {
            stream.windows.clear();
        }
    }
}

impl Next {
    fn new(entry: &super::Entry, body: BodyRef) -> Next {
        Next {
            place: entry.seq,
            size: entry.size,
            body,
        }
    }

    /// Has those in `group` go on whose filter refuses the message. Says how many were asked.
    fn ask(&self, readers: &mut Readers, group: &mut Vec<ConsumerId>, cx: &Context<'_>) -> usize {
        let asks = |id: &ConsumerId| readers.filter(*id).is_some();
        let asked = group.iter().filter(|id| asks(id)).count();
        if asked == 0 {
            return 0;
        }
        // What can not be looked into satisfies nobody.
        let mut wanted: Vec<bool> = group.iter().map(|id| !asks(id)).collect();
        cx.lens.show(cx.staged, &self.body, &mut |message| {
            for (id, wanted) in group.iter().zip(&mut wanted) {
                let filter = readers.filter(*id);
                *wanted = filter.is_none_or(|filter| filter.matches(message));
            }
        });
        let mut wanted = wanted.into_iter();
        group.retain(|id| {
            let kept = wanted.next().expect("one answer each");
            if !kept {
                readers.pass(*id);
            }
            kept
        });
        asked
    }

    /// Hands it to those who have room for it. Says how many they are.
    fn hand_to(&self, readers: &mut Readers, group: &[ConsumerId], cx: &mut Context<'_>) -> usize {
        let (admitted_bytes, mut handed) = (way_bytes(self.size), 0);
        for consumer in group {
            if !cx.gate.admit(*consumer, admitted_bytes) {
                readers.gate(*consumer);
                continue;
            }
            handed += 1;
            cx.effects.push(Effect::Read(Reading {
                consumer: *consumer,
                lease: readers.serve(*consumer),
                offset: self.place - 1,
                body: self.body.clone(),
                admitted_bytes,
            }));
        }
        handed
    }
}
