//! Wires: clients that speak AMQP 0-9-1, MQTT and `ferrymq.json`, byte by byte, with the real
//! sessions of the doors, on sockets and WebSockets, over a node that crashes on a disk that fails.
//!
//! ```text
//! client --bytes, in pieces--> connection --> session --> broker --> log --> faulty disk
//!        <--bytes, slowly-----           <--            <--
//! ```
//!
//! A world of its own: clients publish with confirms and every QoS, consume, settle in every way,
//! close channels, are lost in the middle of a frame and come back; bytes are cut anywhere, some
//! clients read slowly, some connections stay with nobody at their end. Others are there for one
//! thing each: transactions (`tx`), leases (`lease`), wills (`will`), retained messages
//! (`retained`), a stream (`stream`), sessions that expire (`lodger`).
//!
//! Invariants
//! - What is checked is what clients have said and heard (`amqp`, `mqtt`, `ledger`, and the book
//!   of each theme), what a copy of the disk has after each crash, and, at the end, that nothing
//!   is left anywhere.
//! - A connection gets a turn when something has woken it, in an order that chance decides.
//!
//! Not here: TLS, the request for a WebSocket, log-ins by AMQP and MQTT with passwords, threads.

mod amqp;
mod client;
mod desk;
mod end;
mod house;
mod json;
mod lease;
mod ledger;
mod line;
mod lodger;
mod mix;
mod mqtt;
mod pipe;
mod retained;
mod stream;
mod tx;
mod web;
mod will;

use std::sync::Arc;
use std::time::Duration;

use ferry_broker::{Broker, Clock as _};
use ferry_gateway::testing::{Conversation, House, Protocol};
use ferry_log::testing::{FaultyDisk, Random};

use self::amqp::AmqpClient;
use self::client::Client;
use self::desk::{AMQP_CLIENTS, Books, Desk, MQTT_CLIENTS, UNACKED};
use self::json::{JSON_CLIENTS, JsonClient};
use self::lease::LeaseClient;
use self::ledger::Ledger;
use self::lodger::{LODGERS, Lodger};
use self::mqtt::MqttClient;
use self::pipe::Pipe;
use self::retained::{Looker, RETAINERS, Retainer};
use self::stream::StreamClient;
use self::tx::TxClient;
use self::web::Web;
use self::will::WillClient;
use crate::clock::VirtualClock;
use crate::life::Life;
use crate::trace::Trace;
use crate::workload::Operation;
use crate::{Checked, Violation, violated};

/// The user that everybody is.
const USER: &str = "guest";

/// The time at which every world begins.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// Turns after which somebody counts as woken for ever.
const TURNS_MAX: u32 = 10_000;

/// Clients of transactions, clients with leases, and clients with wills.
const PAIR: usize = 2;

/// How many clients publish in a step in which some do, or settle.
const FEW: usize = 4;

/// How many clients talk in a step, in percent.
const TALKERS_PERCENT: u64 = 60;

/// How many connections are WebSockets, where that is left open, in percent.
const WEB_PERCENT: u64 = 20;

/// How many connections miss their turns in a step, in percent.
const LATE_PERCENT: u64 = 20;

/// Everything.
pub(crate) struct Wires {
    random: Random,
    disk: FaultyDisk,
    clock: Arc<VirtualClock>,
    broker: Arc<Broker>,
    house: House,
    trace: Trace,
    ledger: Ledger,
    books: Books,
    clients: Vec<Box<dyn Client>>,
    /// Connections whose clients are gone.
    ghosts: Vec<Conversation>,
    segment_bytes: u64,
    fault_armed: bool,
    disk_limited: bool,
    /// The other side ends connections, and may.
    ending: bool,
    next_life: u64,
    restarts: u64,
}

/// All clients.
fn everybody() -> Vec<Box<dyn Client>> {
    let mut all: Vec<Box<dyn Client>> = Vec::new();
    for number in 0..AMQP_CLIENTS {
        all.push(Box::new(AmqpClient::new(number)));
    }
    for number in 0..MQTT_CLIENTS {
        all.push(Box::new(MqttClient::new(number)));
    }
    for number in 0..PAIR {
        all.push(Box::new(TxClient::new(number)));
        all.push(Box::new(LeaseClient::new(number)));
        all.push(Box::new(WillClient::new(number)));
    }
    for number in 0..RETAINERS {
        all.push(Box::new(Retainer::new(number)));
    }
    for number in 0..JSON_CLIENTS {
        all.push(Box::new(JsonClient::new(number)));
    }
    for number in 0..LODGERS {
        all.push(Box::new(Lodger::new(number)));
    }
    all.push(Box::<Looker>::default());
    all.push(Box::<StreamClient>::default());
    all
}

impl Life for Wires {
    fn new(seed: u64, verbose: bool) -> Checked<Wires> {
        let mut random = Random::new(seed ^ 0x0031_13e5);
        let disk = FaultyDisk::new(random.any());
        let clock = Arc::new(VirtualClock::new(BEGINNING_MS));
        let segment_bytes = [8 << 10, 32 << 10, 128 << 10][random.below(3) as usize];
        let (broker, house) = house::open(&disk, &clock, segment_bytes, random.any())?;
        Ok(Wires {
            random,
            disk,
            clock,
            broker,
            house,
            trace: Trace::new(verbose),
            ledger: Ledger::default(),
            books: Books::default(),
            clients: everybody(),
            ghosts: Vec::new(),
            segment_bytes,
            fault_armed: false,
            disk_limited: false,
            ending: false,
            next_life: 1,
            restarts: 0,
        })
    }

    fn begin(&mut self) -> Checked {
        self.let_in_users()?;
        self.get_ready()
    }

    fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    fn operate(&mut self, operation: Operation) -> Checked {
        let client = self.anybody();
        match operation {
            Operation::Burst => self.some_do(|client, desk| client.publish(desk)),
            Operation::Settle => self.some_do(|client, desk| client.settle(desk)),
            Operation::Get => self.act(client, |client, desk| client.ask(desk)),
            Operation::Consume => self.act(client, |client, desk| client.consume(desk)),
            Operation::Cancel => self.act(client, |client, desk| client.cancel(desk)),
            Operation::Flush => return self.talk(),
            Operation::Reconnect => return self.leave(client),
            Operation::Commit => return self.commit(),
            Operation::Act => return self.calm(),
            Operation::Time => self.pass_time(),
            Operation::Upkeep => return self.upkeep(Broker::upkeep),
            Operation::Checkpoint => return self.upkeep(Broker::checkpoint),
            Operation::Crash => return self.crash(),
            Operation::Restart => return self.restart(),
            Operation::DiskFull => self.disk_full(),
            Operation::DiskFault => self.disk_fault(),
            Operation::Heal => return self.heal(),
            other => return violated!("wires do not know {other:?}"),
        }
        Ok(())
    }

    /// What follows each operation.
    fn end_step(&mut self) -> Checked {
        self.broker.tick();
        self.turns(true)?;
        self.look_for_failure();
        self.note_worked_off();
        let alone = self.ghosts.is_empty();
        if alone {
            self.ledger.seal(UNACKED);
        }
        for client in 0..self.clients.len() {
            self.act(client, |client, desk| client.look_at_clock(alone, desk));
        }
        if self.broker.failed().is_some() {
            return self.after_failure();
        }
        Ok(())
    }

    fn end(&mut self) -> Checked {
        self.finish()
    }

    fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    fn published(&self) -> u64 {
        self.ledger.count()
    }

    fn restarts(&self) -> u64 {
        self.restarts
    }
}

/// What was left in the middle of something gives its memory back all the same.
impl Drop for Wires {
    fn drop(&mut self) {
        let pipes = self
            .clients
            .iter_mut()
            .filter_map(|client| client.line_mut().let_go());
        self.ghosts.extend(pipes.map(Pipe::forget));
        self.bury();
    }
}

impl Wires {
    fn anybody(&mut self) -> usize {
        self.random.below(self.clients.len() as u64) as usize
    }

    /// A few do the same.
    fn some_do(&mut self, does: fn(&mut dyn Client, &mut Desk<'_>)) {
        for _ in 0..FEW {
            let client = self.anybody();
            self.act(client, does);
        }
    }

    /// Has a client do something.
    fn act<R>(
        &mut self,
        client: usize,
        does: impl FnOnce(&mut dyn Client, &mut Desk<'_>) -> R,
    ) -> R {
        let desk = &mut Desk {
            random: &mut self.random,
            ledger: &mut self.ledger,
            trace: &mut self.trace,
            books: &mut self.books,
            now_ms: self.clock.now(),
        };
        does(&mut *self.clients[client], desk)
    }

    /// A client connects, if it has no connection.
    fn connect(&mut self, client: usize) {
        if self.clients[client].life().is_some() {
            return;
        }
        let life = self.next_life;
        self.next_life += 1;
        let (name, protocol) = (self.clients[client].name(), self.clients[client].protocol());
        self.trace.line(format!("  {name} connects as {life}"));
        let texts = protocol == Protocol::Json;
        let (conversation, web) = match texts || self.random.chance(WEB_PERCENT) {
            true => (
                self.house.connect_page(protocol, Some(USER)),
                Some(Web::new(texts, &mut self.random)),
            ),
            false => (self.house.connect(protocol, Some(USER)), None),
        };
        let pipe = Pipe::new(conversation, web, &mut self.random);
        self.act(client, |client, desk| client.connect(pipe, life, desk));
    }

    /// The connection of a client is lost to it; gives its end.
    fn lose(&mut self, client: usize) -> Option<Pipe> {
        let life = self.clients[client].life()?;
        let name = self.clients[client].name();
        self.trace.line(format!("  {name} has lost {life}"));
        self.ledger.lose(life);
        self.act(client, |client, desk| client.lose(desk))
    }

    /// A client forgets its connection; gives its end.
    fn forget(&mut self, client: usize) -> Option<Pipe> {
        let life = self.clients[client].life()?;
        self.ledger.lose(life);
        self.act(client, |client, desk| client.forget(desk))
    }

    /// A client goes: with a word, without one, or so that nobody knows; then it may have said a
    /// word, and is back before that was looked at.
    fn leave(&mut self, client: usize) -> Checked {
        let chance = self.random.below(10);
        if chance < 3 && self.act(client, |client, desk| client.say_goodbye(desk)) {
            return Ok(());
        }
        let unknown = (3..6).contains(&chance) && self.clients[client].may_be_taken_over();
        let is_back =
            unknown && chance == 3 && self.act(client, |client, desk| client.say_goodbye(desk));
        if is_back {
            self.push_all(client);
        }
        let lost = match unknown {
            true => self.forget(client),
            false => self.lose(client),
        };
        let Some(pipe) = lost else {
            return Ok(());
        };
        let left = match unknown {
            true => pipe.forget(),
            false => pipe.leave(&mut self.random),
        };
        self.trace
            .line(format!("  its other end knows: {}", !unknown));
        self.ghosts.push(left);
        if !is_back {
            return Ok(());
        }
        self.connect(client);
        self.push_all(client);
        self.turns(false)
    }

    /// All that a client has said has come.
    fn push_all(&mut self, client: usize) {
        if let Some(pipe) = self.clients[client].pipe() {
            pipe.push_all();
        }
    }

    /// Bytes go to and from a few clients.
    fn talk(&mut self) -> Checked {
        for client in 0..self.clients.len() {
            if !self.random.chance(TALKERS_PERCENT) {
                continue;
            }
            let is_away = self.clients[client].life().is_none()
                && self.act(client, |client, desk| client.stays_away(desk));
            if is_away {
                continue;
            }
            self.connect(client);
            if let Some(pipe) = self.clients[client].pipe() {
                pipe.push(&mut self.random);
            }
            self.turns(true)?;
            self.listen(client, false)?;
        }
        Ok(())
    }

    /// Everybody gets turns until nobody wants one; some may come late, in a later step.
    fn turns(&mut self, may_be_late: bool) -> Checked {
        let count = self.clients.len();
        let (late, first) = match may_be_late && self.random.chance(LATE_PERCENT) {
            true => (
                self.random.below(count as u64) as usize,
                self.random.below(count as u64),
            ),
            false => (usize::MAX, 0),
        };
        // What is done aside is done at once.
        self.house.advance(Duration::ZERO);
        let now = self.house.now();
        for _ in 0..TURNS_MAX {
            let mut more = false;
            for at in 0..count {
                let at = (at + first as usize) % count;
                if let Some(pipe) = self.clients[at].pipe().filter(|_| at != late) {
                    more |= pipe.turn(now);
                }
            }
            for ghost in &mut self.ghosts {
                more |= ghost.turn(now);
            }
            if !more {
                self.ghosts.retain(|ghost| !ghost.is_over());
                return Ok(());
            }
        }
        violated!("somebody is woken for ever")
    }

    /// A client reads, some or all of it.
    fn listen(&mut self, client: usize, all: bool) -> Checked {
        self.look_for_failure();
        let Some(pipe) = self.clients[client].pipe() else {
            return Ok(());
        };
        let bytes = match all {
            true => pipe.pull_all(),
            false => pipe.pull(&mut self.random),
        };
        let heard = self.act(client, |client, desk| client.hear(&bytes?, desk));
        heard.map_err(|violation| {
            let name = self.clients[client].name();
            Violation(format!("{name}: {violation}"))
        })?;
        let (is_gone, closed) = {
            let client = &self.clients[client];
            (client.is_gone(), client.closed().map(str::to_owned))
        };
        let Some(pipe) = self.clients[client].pipe() else {
            return Ok(());
        };
        let is_over = pipe.is_over();
        if is_over && !is_gone && self.clients[client].is_open() && !self.ending {
            let name = self.clients[client].name();
            return violated!("{name} is closed: {closed:?}");
        }
        if is_gone && let Some(life) = self.clients[client].life() {
            // Its goodbye was answered: so was all that it has said before.
            self.work_off(life);
        }
        if (is_over || is_gone)
            && let Some(mut pipe) = self.lose(client)
        {
            pipe.push_all();
            self.ghosts.push(pipe.hang_up());
        }
        Ok(())
    }

    /// Notes which connections are worked off to their end.
    fn note_worked_off(&mut self) {
        if self.ending {
            return;
        }
        for client in 0..self.clients.len() {
            let client = &mut self.clients[client];
            let worked_off = client.pipe().is_some_and(|pipe| pipe.is_worked_off());
            if let Some(life) = client.life().filter(|_| worked_off) {
                self.work_off(life);
            }
        }
    }

    /// All that was said on a connection is worked off.
    fn work_off(&mut self, life: u64) {
        let end = self.broker.log().end();
        self.ledger.work_off(life, end);
        self.books.leases.work_off(life, end, self.clock.now());
    }
}
