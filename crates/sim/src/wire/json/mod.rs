//! A client of `ferrymq.json`: it publishes with confirms, takes from queues with and without acks,
//! and watches topics.
//!
//! Invariants
//! - Every answer is one that is due: to publishes in their order, to all else in its order; what
//!   is refused for a while is told at once.
//! - Tags are consecutive; no subscription has more unsettled than it asked for.
//! - What it watches comes once, in the order of each publisher, from what was published once the
//!   subscription was answered; and all of that has come when everybody has heard everything.
//!
//! Not here: what it says (`say`), what it hears (`hear`).

mod hear;
mod say;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ferry_gateway::testing::Protocol;

use super::client::Client;
use super::desk::{Desk, LAST_WORDS_PERCENT, UNACKED};
use super::ledger::{Author, Place};
use super::line::{JsonLine, MaybeLine, listen};
use super::pipe::Pipe;
use crate::{Checked, violated};

/// Clients that speak it.
pub(super) const JSON_CLIENTS: usize = 2;

/// An answer that is due, to anything but a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// It is done.
    Done(u64),
    /// This subscription, the id of the request, has begun.
    Begun(u64),
    /// This subscription is over: the id of the request, and its own.
    Over(u64, u64),
    /// It is wrong: the id of the request, and how that is called.
    Wrong(u64, &'static str),
}

/// A publish that is to be answered.
#[derive(Debug)]
struct Flight {
    message: u64,
    /// Whether a queue takes it, if that is known.
    routed: Option<bool>,
}

/// What is watched of a topic.
#[derive(Debug, Default)]
struct Watch {
    topic: usize,
    /// The last message that had been published when this was said to have begun.
    floor: u64,
    seen: BTreeSet<u64>,
    last: BTreeMap<Author, u64>,
}

#[derive(Debug)]
enum Source {
    Queue { place: Place, prefetch: usize },
    Topic(Watch),
}

/// A subscription.
#[derive(Debug)]
struct Subscription {
    source: Source,
    /// It was said to have begun.
    begun: bool,
    /// It is to end.
    ending: bool,
}

/// A delivery that is not settled.
#[derive(Debug, Clone, Copy)]
struct Held {
    subscription: u64,
    place: Place,
    message: u64,
}

/// What ends with a connection.
#[derive(Default)]
struct State {
    /// The id of the last request.
    id: u64,
    due: VecDeque<Due>,
    unconfirmed: BTreeMap<u64, Flight>,
    /// Something was published whose answer is not wanted.
    published_blindly: bool,
    subscriptions: BTreeMap<u64, Subscription>,
    /// The last tag.
    tag: u64,
    held: BTreeMap<u64, Held>,
    /// Something may be on its way to it without an acknowledgement.
    takes_unacked: bool,
    /// What comes is not looked at any more: it goes back.
    is_deaf: bool,
}

/// A client.
pub(super) struct JsonClient {
    number: usize,
    line: Option<JsonLine>,
    state: State,
    was_in: bool,
}

impl JsonClient {
    pub(super) fn new(number: usize) -> JsonClient {
        JsonClient {
            number,
            line: None,
            state: State::default(),
            was_in: false,
        }
    }

    /// Whether it may say and take what it likes.
    fn may_talk(&self) -> bool {
        self.is_open() && !self.state.is_deaf
    }

    /// What it has taken without an acknowledgement, and has not heard of, may be lost.
    fn leak(&self, desk: &mut Desk<'_>) {
        if self.state.takes_unacked {
            desk.ledger.leak(UNACKED);
        }
    }
}

impl Client for JsonClient {
    fn protocol(&self) -> Protocol {
        Protocol::Json
    }

    fn name(&self) -> String {
        format!("json {}", self.number)
    }

    fn connect(&mut self, pipe: Pipe, life: u64, _desk: &mut Desk<'_>) {
        self.line = Some(JsonLine::new(pipe, life));
        self.state = State::default();
    }

    fn line(&self) -> &dyn MaybeLine {
        &self.line
    }

    fn line_mut(&mut self) -> &mut dyn MaybeLine {
        &mut self.line
    }

    fn lose(&mut self, desk: &mut Desk<'_>) -> Option<Pipe> {
        self.leak(desk);
        self.line.let_go()
    }

    fn open_ends(&self) -> Option<String> {
        let State {
            due,
            unconfirmed,
            held,
            is_deaf,
            ..
        } = &self.state;
        let all_said = self.is_open()
            && !is_deaf
            && due.is_empty()
            && unconfirmed.is_empty()
            && held.is_empty();
        (!all_said).then(|| format!("due {due:?}, unconfirmed {unconfirmed:?}, held {held:?}"))
    }

    fn is_ready(&self) -> bool {
        self.was_in
    }

    fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        listen(self, bytes, desk)
    }

    fn publish(&mut self, desk: &mut Desk<'_>) {
        self.publish_some(desk);
    }

    fn settle(&mut self, desk: &mut Desk<'_>) {
        match desk.random.chance(80) {
            true => self.settle_one(desk),
            false => self.ask_something(desk),
        }
    }

    fn settle_all(&mut self, desk: &mut Desk<'_>) {
        self.accept_all(desk);
    }

    fn ask(&mut self, desk: &mut Desk<'_>) {
        self.ask_something(desk);
    }

    fn consume(&mut self, desk: &mut Desk<'_>) {
        self.subscribe(desk);
    }

    fn cancel(&mut self, _desk: &mut Desk<'_>) {
        self.unsubscribe();
    }

    fn say_goodbye(&mut self, desk: &mut Desk<'_>) -> bool {
        if !self.may_talk() {
            return false;
        }
        while desk.random.chance(LAST_WORDS_PERCENT) {
            self.settle_one(desk);
        }
        self.brace(desk);
        if let Some(line) = &mut self.line {
            line.say_goodbye();
        }
        true
    }

    /// What it has goes back, what comes is not looked at.
    fn brace(&mut self, desk: &mut Desk<'_>) {
        for held in std::mem::take(&mut self.state.held).into_values() {
            desk.ledger.give_back(held.place, held.message);
        }
        self.state.is_deaf = true;
        self.leak(desk);
    }

    fn check_calm(&self, desk: &Desk<'_>) -> Checked {
        if self.open_ends().is_some() {
            return Ok(());
        }
        for (id, subscription) in &self.state.subscriptions {
            if let Source::Topic(watch) = &subscription.source
                && let Some(missing) = desk.ledger.missing(watch.topic, watch.floor, &watch.seen)
            {
                return violated!(
                    "{} has not seen {missing} by subscription {id}, from {}",
                    self.name(),
                    watch.floor
                );
            }
        }
        Ok(())
    }
}
