//! What was published, what came of it, and what must not.
//!
//! A message goes to places: queues of AMQP, and sessions of MQTT. In each of them it is a copy.
//!
//! ```text
//! owed --delivered--> held --settled--> settled --worked off, then safe--> gone
//!   ^------ returned ---'                  '---- connection or node lost ---> unsure
//! ```
//!
//! Invariants
//! - The ledger knows what clients have said and heard, and where the log ended meanwhile; nothing
//!   of what the broker thinks.
//! - A copy that may be there twice, because its publisher had to send it again, is only asked
//!   whether it ever came.

use std::collections::{BTreeMap, BTreeSet};

use ferry_log::Position;

use super::desk::LIMITED;
use crate::body;
use crate::{Checked, violated};

/// Who publishes, on one channel of one connection: what it publishes keeps its order.
pub(super) type Author = u64;

/// Who consumes, on one channel of one connection.
pub(super) type Reader = (u64, String);

/// Where copies are: queues first, sessions behind.
pub(super) type Place = usize;

/// A message, as its publisher knows it.
pub(super) struct Sent {
    pub(super) author: Author,
    pub(super) places: Vec<Place>,
    /// It outlives the node.
    pub(super) persistent: bool,
    /// Sessions get it with an acknowledgement, if they want that.
    pub(super) assured: bool,
    /// It is there once, however often it was sent.
    pub(super) once: bool,
    /// The topic that everybody watches who watches it.
    pub(super) topic: Option<usize>,
}

impl Sent {
    pub(super) fn new(author: Author, places: Vec<Place>) -> Sent {
        Sent {
            author,
            places,
            persistent: true,
            assured: true,
            once: true,
            topic: None,
        }
    }
}

struct Message {
    sent: Sent,
    confirmed: bool,
    /// It was sent again.
    again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the queue, as far as anybody knows.
    Owed,
    /// With the client of that connection.
    Held(u64),
    /// Settled on that connection, which was worked off when the log ended there.
    Settled(u64, Option<Position>),
    /// Settled, but perhaps nobody has heard it.
    Unsure,
    Gone,
}

struct Copy {
    state: State,
    /// A client has had all it wanted of it.
    served: bool,
    /// It was delivered in this life of the node.
    seen: bool,
    /// The node may have lost it: it was not to outlive it.
    excused: bool,
}

/// One delivery, as a client has read it.
pub(super) struct Delivered<'a> {
    pub(super) place: Place,
    pub(super) payload: &'a [u8],
    pub(super) life: u64,
    pub(super) redelivered: bool,
    pub(super) reader: &'a Reader,
}

/// The ledger.
#[derive(Default)]
pub(super) struct Ledger {
    messages: BTreeMap<u64, Message>,
    copies: BTreeMap<(Place, u64), Copy>,
    /// The last first delivery of an author's messages to a reader.
    last: BTreeMap<(Place, Author, Reader), u64>,
    /// Places from which things may go to somebody who is gone, or that may be gone themselves.
    leaks: BTreeSet<Place>,
}

impl Ledger {
    /// How many messages there are.
    pub(super) fn count(&self) -> u64 {
        self.messages.len() as u64
    }

    /// A message is on its way.
    pub(super) fn publish(&mut self, sent: Sent) -> u64 {
        let id = self.count() + 1;
        for place in &sent.places {
            let copy = Copy {
                state: State::Owed,
                served: false,
                seen: false,
                excused: self.leaks.contains(place),
            };
            self.copies.insert((*place, id), copy);
        }
        let message = Message {
            sent,
            confirmed: false,
            again: false,
        };
        self.messages.insert(id, message);
        id
    }

    /// It is sent again by a publisher that does not know whether it has arrived.
    pub(super) fn send_again(&mut self, id: u64) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.again = true;
        }
    }

    /// Its publisher may forget it.
    pub(super) fn confirm(&mut self, id: u64) -> Checked {
        match self.messages.get_mut(&id) {
            None => violated!("{id} is confirmed, which nobody has sent"),
            Some(message) if message.confirmed => violated!("{id} is confirmed twice"),
            Some(message) => {
                message.confirmed = true;
                Ok(())
            }
        }
    }

    /// It was refused: nobody gets it, and only one place may refuse.
    pub(super) fn refuse(&mut self, id: u64, by: Place) -> Checked {
        let places = self
            .messages
            .get(&id)
            .map(|message| &message.sent.places[..]);
        if places != Some(&[by][..]) {
            return violated!("{id} is refused, which is for {places:?}");
        }
        match self.copies.get_mut(&(by, id)) {
            // What came before a crash may have been lost in it, and been sent again.
            Some(copy) if [State::Owed, State::Unsure].contains(&copy.state) && !copy.seen => {
                copy.state = State::Gone;
                Ok(())
            }
            _ => violated!("{id} is refused, and has been delivered"),
        }
    }

    /// It was not taken at all, which nobody may have seen.
    pub(super) fn withdraw(&mut self, id: u64) -> Checked {
        for ((_, of), copy) in &mut self.copies {
            if *of == id && (copy.state != State::Owed || copy.seen) {
                return violated!("{id} was not taken, and has been delivered");
            }
            if *of == id {
                copy.state = State::Gone;
            }
        }
        Ok(())
    }

    /// Of a message of that topic: who has published it, and whether it comes once.
    pub(super) fn of_topic(&self, topic: usize, id: u64) -> Option<(Author, bool)> {
        let message = self.messages.get(&id)?;
        let Sent { author, once, .. } = message.sent;
        (message.sent.topic == Some(topic)).then_some((author, once || !message.again))
    }

    /// A message of that topic that was published behind `floor`, was confirmed, and is not `seen`.
    pub(super) fn missing(&self, topic: usize, floor: u64, seen: &BTreeSet<u64>) -> Option<u64> {
        let later = self.messages.range(floor + 1..);
        let mut owed = later.filter(|(_, one)| one.confirmed && one.sent.topic == Some(topic));
        owed.find(|(id, _)| !seen.contains(id)).map(|(id, _)| *id)
    }

    /// A client reads a delivery; gives the message's number.
    pub(super) fn deliver(&mut self, delivered: &Delivered<'_>) -> Checked<u64> {
        let place = delivered.place;
        let Some(id) = body::message_of(delivered.payload) else {
            let size = delivered.payload.len();
            return violated!("place {place}: {size} bytes that nobody has published");
        };
        let Some(message) = self.messages.get(&id) else {
            return violated!("place {place}: {id}, which nobody has published");
        };
        let Some(copy) = self.copies.get_mut(&(place, id)) else {
            return violated!(
                "{id} has come to {place}, and is for {:?}",
                message.sent.places
            );
        };
        let single = message.sent.once || !message.again;
        let seen = std::mem::replace(&mut copy.seen, true);
        if single {
            match copy.state {
                State::Owed | State::Unsure => {}
                state => {
                    let life = delivered.life;
                    return violated!("{id} of {place} is {state:?} and comes to {life}");
                }
            }
            if seen && !delivered.redelivered {
                return violated!("{id} of {place} comes again as if for the first time");
            }
            // Who was refused, and has not heard it, comes again behind others.
            let may_be_late = place == LIMITED && message.again;
            if !seen && !delivered.redelivered && !may_be_late {
                let key = (place, message.sent.author, delivered.reader.clone());
                let last = self.last.insert(key, id);
                if let Some(last) = last.filter(|last| *last > id) {
                    return violated!("{id} of {place} comes after {last} of the same publisher");
                }
            }
        }
        copy.state = State::Held(delivered.life);
        Ok(id)
    }

    /// A client says that it has had it.
    pub(super) fn settle(&mut self, place: Place, id: u64) {
        if let Some(copy) = self.copies.get_mut(&(place, id)) {
            if let State::Held(life) = copy.state {
                copy.state = State::Settled(life, None);
            }
            copy.served = true;
        }
    }

    /// A client has had it, and it must never come again.
    pub(super) fn consume(&mut self, place: Place, id: u64) {
        if let Some(copy) = self.copies.get_mut(&(place, id)) {
            copy.state = State::Gone;
            copy.served = true;
        }
    }

    /// A client gives it back.
    pub(super) fn give_back(&mut self, place: Place, id: u64) {
        if let Some(copy) = self.copies.get_mut(&(place, id))
            && matches!(copy.state, State::Held(_))
        {
            copy.state = State::Owed;
        }
    }

    /// Somebody is gone who took from there without an acknowledgement, or the place itself may be:
    /// what is there and what comes may be lost, until it is clear that this is over.
    pub(super) fn leak(&mut self, place: Place) {
        self.leaks.insert(place);
        let there = self.copies.iter_mut().filter(|((at, _), _)| *at == place);
        for (_, copy) in there.filter(|(_, copy)| copy.state == State::Owed) {
            copy.excused = true;
        }
    }

    /// Nothing that comes there from now on is lost.
    pub(super) fn seal(&mut self, place: Place) {
        self.leaks.remove(&place);
    }

    /// A place was gone, and is a new one: what was confirmed before does not come there.
    pub(super) fn vacate(&mut self, place: Place) {
        self.leak(place);
        let there = self.copies.iter_mut().filter(|((at, _), _)| *at == place);
        for ((_, id), copy) in there {
            copy.excused = true;
            if self.messages.get(id).is_some_and(|one| one.confirmed) {
                copy.state = State::Gone;
            }
        }
    }

    /// A connection is lost: what it had comes again, what it has said may not have been heard.
    pub(super) fn lose(&mut self, gone: u64) {
        for copy in self.copies.values_mut() {
            match copy.state {
                State::Held(life) if life == gone => copy.state = State::Owed,
                State::Settled(life, None) if life == gone => copy.state = State::Unsure,
                _ => {}
            }
        }
    }

    /// All that was said on a connection is worked off.
    pub(super) fn work_off(&mut self, on: u64, end: Position) {
        for copy in self.copies.values_mut() {
            match &mut copy.state {
                State::Settled(life, at @ None) if *life == on => *at = Some(end),
                _ => {}
            }
        }
    }

    /// The node is down; all below `safe` was safe.
    pub(super) fn go_down(&mut self, safe: Position) {
        self.last.clear();
        for ((_, id), copy) in &mut self.copies {
            copy.seen = false;
            copy.excused |= self
                .messages
                .get(id)
                .is_some_and(|one| !one.sent.persistent);
            copy.state = match copy.state {
                State::Held(_) | State::Owed => State::Owed,
                State::Settled(_, Some(at)) if at <= safe => State::Gone,
                State::Settled(..) | State::Unsure => State::Unsure,
                State::Gone => State::Gone,
            };
        }
    }

    /// At the end, with every place empty: everything that was confirmed has come.
    pub(super) fn check_end(&self, sessions_from: Place) -> Checked {
        for ((place, id), copy) in &self.copies {
            let Some(message) = self.messages.get(id) else {
                continue;
            };
            let assured = message.sent.assured || *place < sessions_from;
            if message.confirmed && assured && !copy.excused && !copy.served {
                return violated!("{id} was confirmed and has never come from place {place}");
            }
        }
        Ok(())
    }

    /// How many were confirmed.
    pub(super) fn confirmed(&self) -> usize {
        let confirmed = self.messages.values().filter(|message| message.confirmed);
        confirmed.count()
    }
}
