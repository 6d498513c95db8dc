//! A client of AMQP 0-9-1 that does everything in transactions: it publishes to queues that nobody
//! else publishes to, takes what comes from them, commits and rolls back.
//!
//! Invariants
//! - What is rolled back is held again; what is committed is not, from the commit on.
//! - What is recovered may be anybody's from when that is asked for, but for what the transaction
//!   that is not over has taken; so may what comes before the answer.
//! - Answers come in the order of what they answer; delivery tags are consecutive.

mod book;

use std::collections::{BTreeMap, VecDeque};

use amqp091::Method;
use amqp091::content::Message;
use amqp091::method::{basic, queue, tx};
use ferry_gateway::testing::Protocol;

use self::book::Number;
pub(super) use self::book::Transactions;
use super::client::Client;
use super::desk::Desk;
use super::line::{AmqpLine, Heard, Listener, MaybeLine, listen, method_of, short};
use super::pipe::Pipe;
use crate::{Checked, body, violated};

/// The queues of transactions.
pub(super) const QUEUES: [&str; 2] = ["x0", "x1"];

/// Deliveries of a consumer that wait for an answer.
const PREFETCH: u16 = 8;

/// Most publishes at a time.
const BURST_MAX: u64 = 3;

/// How often something that was done is committed right away, in percent.
const COMMIT_PERCENT: u64 = 35;

/// How many transactions are rolled back, in percent.
const ROLLBACK_PERCENT: u64 = 20;

/// How often what it has is given back instead of settled, in percent.
const RECOVER_PERCENT: u64 = 10;

/// What ends with a connection.
#[derive(Default)]
struct State {
    /// What it has asked to be committed, and has no answer for.
    commits: VecDeque<Number>,
    /// The last delivery tag.
    tag: u64,
    /// What is not settled, by delivery tag.
    held: BTreeMap<u64, u64>,
    current: Option<Number>,
    /// What the current transaction has settled.
    settled: BTreeMap<u64, u64>,
    /// What comes goes back, up to the answer: no tag of it may be named.
    is_recovering: bool,
    /// The other side ends connections one after the other: what one had goes to the next.
    is_braced: bool,
}

/// A client.
pub(super) struct TxClient {
    number: usize,
    line: Option<AmqpLine>,
    state: State,
    has_declared: bool,
}

impl TxClient {
    pub(super) fn new(number: usize) -> TxClient {
        TxClient {
            number,
            line: None,
            state: State::default(),
            has_declared: false,
        }
    }

    /// Whether it is open, and no answer is due.
    fn is_quiet(&self) -> bool {
        self.line.as_ref().is_some_and(AmqpLine::is_quiet)
    }

    fn ask_for<'a>(&mut self, method: impl Into<Method<'a>>, due: &'static str) {
        if let Some(line) = &mut self.line {
            line.ask(method, due);
        }
    }

    /// Everything that must be there, and that it is for.
    fn settle_in(&mut self) {
        self.ask_for(tx::Select {}, "tx.select_ok");
        let qos = basic::Qos {
            prefetch_count: PREFETCH,
            ..basic::Qos::default()
        };
        self.ask_for(qos, "basic.qos_ok");
        for name in QUEUES {
            let declare = queue::Declare {
                queue: short(name),
                durable: true,
                ..queue::Declare::default()
            };
            self.ask_for(declare, "queue.declare_ok");
            let consume = basic::Consume {
                queue: short(name),
                consumer_tag: short(name),
                ..basic::Consume::default()
            };
            self.ask_for(consume, "basic.consume_ok");
        }
    }

    /// The transaction that it is in.
    fn current(&mut self, desk: &mut Desk<'_>) -> Number {
        let current = &mut self.state.current;
        *current.get_or_insert_with(|| desk.books.transactions.begin())
    }

    /// Acknowledges all of `tags`, in the transaction that it is in.
    fn take(&mut self, tags: &[u64], multiple: bool, desk: &mut Desk<'_>) {
        let (Some(newest), number) = (tags.last(), self.current(desk)) else {
            return;
        };
        for tag in tags {
            if let Some(id) = self.state.held.remove(tag) {
                desk.books.transactions.take(number, id);
                desk.trace.line(format!("  {number} takes {id}"));
                self.state.settled.insert(*tag, id);
            }
        }
        if let Some(line) = &mut self.line {
            line.say(basic::Ack {
                delivery_tag: *newest,
                multiple,
            });
        }
    }

    fn commit(&mut self, desk: &mut Desk<'_>) {
        if let Some(number) = self.state.current.take() {
            self.state.settled.clear();
            desk.books.transactions.say_commit(number);
            desk.trace.line(format!("  {number} is to be committed"));
            self.state.commits.push_back(number);
            self.ask_for(tx::Commit {}, "tx.commit_ok");
        }
    }

    fn roll_back(&mut self, desk: &mut Desk<'_>) {
        if let Some(number) = self.state.current.take() {
            desk.books.transactions.void(number);
            desk.trace.line(format!("  {number} is rolled back"));
            let settled = std::mem::take(&mut self.state.settled);
            self.state.held.extend(settled);
            self.ask_for(tx::Rollback {}, "tx.rollback_ok");
        }
    }

    /// Gives back all that it has; what it has settled waits for the commit.
    fn recover(&mut self, desk: &mut Desk<'_>) {
        self.state.is_recovering = true;
        let held = std::mem::take(&mut self.state.held);
        desk.trace
            .line(format!("  tx {} gives back {held:?}", self.number));
        desk.books.transactions.give_back(held.values());
        self.ask_for(basic::Recover { requeue: true }, "basic.recover_ok");
    }

    fn hear_delivery(&mut self, message: &Message, desk: &mut Desk<'_>) -> Checked {
        let deliver = match method_of(message)? {
            Method::BasicDeliver(deliver) => deliver,
            method => return violated!("{} with a content", method.name()),
        };
        let consumer = deliver.consumer_tag.as_bytes();
        let queue = QUEUES.iter().position(|name| name.as_bytes() == consumer);
        let (Some(queue), Some(id)) = (queue, body::message_of(&message.body)) else {
            return violated!("a delivery to {consumer:?} that is not whole, or not wanted");
        };
        self.state.tag += 1;
        let (tag, again) = (deliver.delivery_tag, deliver.redelivered);
        if tag != self.state.tag {
            return violated!("delivery tag {tag} after {}", self.state.tag - 1);
        }
        desk.trace.line(format!("  tx {} gets {id}", self.number));
        if self.state.is_braced || self.state.is_recovering {
            return Ok(());
        }
        self.state.held.insert(tag, id);
        let life = self.life().unwrap_or_default();
        let transactions = &mut desk.books.transactions;
        transactions.deliver(id, queue, life, again)
    }
}

impl Listener for TxClient {
    type Line = AmqpLine;

    fn telling(&mut self) -> Option<&mut AmqpLine> {
        self.line.as_mut()
    }

    fn hear_one(&mut self, heard: Heard<'_>, desk: &mut Desk<'_>) -> Checked {
        match heard {
            Heard::Opened => {
                self.settle_in();
                Ok(())
            }
            Heard::Content(message) => self.hear_delivery(&message, desk),
            Heard::Confirm(ack) => violated!("a confirm of {}", ack.delivery_tag),
            Heard::Answer(method) => {
                self.has_declared |= self.is_quiet();
                match (method, self.state.commits.front()) {
                    (Method::TxCommitOk(_), Some(&number)) => {
                        self.state.commits.pop_front();
                        desk.trace.line(format!("  {number} is committed"));
                        return desk.books.transactions.done(number);
                    }
                    (Method::BasicRecoverOk(_), _) => self.state.is_recovering = false,
                    _ => {}
                }
                Ok(())
            }
        }
    }
}

impl Client for TxClient {
    fn protocol(&self) -> Protocol {
        Protocol::Amqp091
    }

    fn name(&self) -> String {
        format!("tx {}", self.number)
    }

    fn connect(&mut self, pipe: Pipe, life: u64, _desk: &mut Desk<'_>) {
        self.line = Some(AmqpLine::new(pipe, life));
        self.state = State::default();
    }

    fn line(&self) -> &dyn MaybeLine {
        &self.line
    }

    fn line_mut(&mut self) -> &mut dyn MaybeLine {
        &mut self.line
    }

    fn lose(&mut self, desk: &mut Desk<'_>) -> Option<Pipe> {
        self.brace(desk);
        self.line.let_go()
    }

    fn open_ends(&self) -> Option<String> {
        let State { held, current, .. } = &self.state;
        let due = self.line.as_ref().map(AmqpLine::due);
        let all_said = self.is_quiet() && held.is_empty() && current.is_none();
        (!all_said).then(|| format!("due {due:?}, held {held:?}, in {current:?}"))
    }

    fn is_ready(&self) -> bool {
        self.has_declared
    }

    fn hear(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Checked {
        listen(self, bytes, desk)
    }

    fn publish(&mut self, desk: &mut Desk<'_>) {
        if !self.is_open() {
            return;
        }
        let number = self.current(desk);
        for _ in 0..=desk.random.below(BURST_MAX) {
            let queue = desk.random.below(QUEUES.len() as u64) as usize;
            let id = desk.books.transactions.publish(number, queue);
            desk.trace.line(format!("  {number} publishes {id}"));
            let body = body::body(id, desk.body_bytes());
            if let Some(line) = &mut self.line {
                line.publish(QUEUES[queue], &body);
            }
        }
        if desk.random.chance(COMMIT_PERCENT) {
            self.commit(desk);
        }
    }

    fn settle(&mut self, desk: &mut Desk<'_>) {
        let held: Vec<u64> = self.state.held.keys().copied().collect();
        if !self.is_open() || held.is_empty() || self.state.is_recovering {
            return;
        }
        if desk.random.chance(RECOVER_PERCENT) {
            return self.recover(desk);
        }
        let nth = desk.random.below(held.len() as u64) as usize;
        match desk.random.chance(50) {
            true => self.take(&held[..=nth], true, desk),
            false => self.take(&held[nth..=nth], false, desk),
        }
        if desk.random.chance(COMMIT_PERCENT) {
            self.commit(desk);
        }
    }

    fn settle_all(&mut self, desk: &mut Desk<'_>) {
        let held: Vec<u64> = self.state.held.keys().copied().collect();
        if self.is_open() {
            if !held.is_empty() && !self.state.is_recovering {
                self.take(&held, true, desk);
            }
            self.commit(desk);
        }
    }

    fn ask(&mut self, desk: &mut Desk<'_>) {
        if self.is_open() {
            match desk.random.chance(ROLLBACK_PERCENT) {
                true => self.roll_back(desk),
                false => self.commit(desk),
            }
        }
    }

    fn cancel(&mut self, desk: &mut Desk<'_>) {
        if self.is_open() {
            self.roll_back(desk);
        }
    }

    fn say_goodbye(&mut self, desk: &mut Desk<'_>) -> bool {
        if !self.is_open() {
            return false;
        }
        self.brace(desk);
        if let Some(line) = &mut self.line {
            line.say_goodbye();
        }
        true
    }

    /// What it has not committed is void, and what it has goes back.
    fn brace(&mut self, desk: &mut Desk<'_>) {
        let open = self.state.current.take();
        if let Some(life) = self.life() {
            desk.books.transactions.lose(life, open);
        }
        self.state.settled.clear();
        self.state.held.clear();
        self.state.is_braced = true;
    }
}
