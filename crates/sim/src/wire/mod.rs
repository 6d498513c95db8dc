//! Wires: clients that speak AMQP 0-9-1 and MQTT, byte by byte, with the real sessions of the
//! doors, over a node that crashes on a disk that fails.
//!
//! ```text
//! client --bytes, in pieces--> connection --> session --> broker --> log --> faulty disk
//!        <--bytes, slowly-----           <--            <--
//! ```
//!
//! A world of its own: clients publish with confirms and every QoS, consume, settle in every way,
//! close channels, are lost in the middle of a frame and come back; bytes are cut anywhere, some
//! clients read slowly, some connections stay with nobody at their end.
//!
//! Invariants
//! - What is checked is what clients have said and heard (`amqp`, `mqtt`, `ledger`), and, at the
//!   end, that nothing is left anywhere.
//! - A connection gets a turn when something has woken it, in an order that chance decides.
//!
//! Not here: TLS and WebSocket, log-ins with passwords, threads.

mod amqp;
mod client;
mod desk;
mod end;
mod house;
mod ledger;
mod mix;
mod mqtt;
mod pipe;

use std::sync::Arc;

use ferry_broker::Broker;
use ferry_gateway::testing::{Conversation, House};
use ferry_log::testing::{FaultyDisk, Random};

use self::amqp::AmqpClient;
use self::client::Client;
use self::desk::{AMQP_CLIENTS, Desk, MQTT_CLIENTS};
use self::ledger::Ledger;
use self::mqtt::MqttClient;
use self::pipe::Pipe;
use crate::clock::VirtualClock;
use crate::run::{Failure, Outcome};
use crate::trace::Trace;
use crate::workload::{Operation, Workload};
use crate::{Checked, Violation, violated};

/// The user that everybody is.
const USER: &str = "guest";

/// The time at which every world begins.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// Turns after which somebody counts as woken for ever.
const TURNS_MAX: u32 = 10_000;

/// How many clients talk in a step, in percent.
const TALKERS_PERCENT: u64 = 60;

/// How many connections miss their turns in a step, in percent.
const LATE_PERCENT: u64 = 20;

/// Everything.
struct Wires {
    random: Random,
    disk: FaultyDisk,
    clock: Arc<VirtualClock>,
    broker: Arc<Broker>,
    house: House,
    trace: Trace,
    ledger: Ledger,
    clients: Vec<Client>,
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

/// Runs a seed.
pub fn run_seed(
    seed: u64,
    steps: u64,
    workload: Workload,
    verbose: bool,
) -> Result<Outcome, Failure> {
    let fail = |step: u64, error: Violation, tail: String| Failure {
        seed,
        workload: workload.name,
        step,
        steps,
        what: error.0,
        tail,
    };
    let mut world = Wires::new(seed, verbose).map_err(|error| fail(0, error, String::new()))?;
    let begun = world.begin();
    begun.map_err(|error| fail(0, error, world.trace.tail()))?;
    for step in 1..=steps {
        let operation = workload.draw(&mut world.random);
        world.trace.line(format!("step {step} {operation:?}"));
        let done = world.operate(operation).and_then(|()| world.end_step());
        done.map_err(|error| fail(step, error, world.trace.tail()))?;
    }
    let ended = world.end();
    ended.map_err(|error| fail(steps, error, world.trace.tail()))?;
    Ok(Outcome {
        hash: world.trace.hash(),
        published: world.ledger.count(),
        restarts: world.restarts,
    })
}

impl Wires {
    fn new(seed: u64, verbose: bool) -> Checked<Wires> {
        let mut random = Random::new(seed ^ 0x0031_13e5);
        let disk = FaultyDisk::new(random.any());
        let clock = Arc::new(VirtualClock::new(BEGINNING_MS));
        let segment_bytes = [8 << 10, 32 << 10, 128 << 10][random.below(3) as usize];
        let (broker, house) = house::open(&disk, &clock, segment_bytes, random.any())?;
        let amqp = (0..AMQP_CLIENTS).map(AmqpClient::new);
        let mqtt = (0..MQTT_CLIENTS).map(MqttClient::new);
        Ok(Wires {
            random,
            disk,
            clock,
            broker,
            house,
            trace: Trace::new(verbose),
            ledger: Ledger::default(),
            clients: (amqp.map(|one| Client::Amqp(Box::new(one))))
                .chain(mqtt.map(|one| Client::Mqtt(Box::new(one))))
                .collect(),
            ghosts: Vec::new(),
            segment_bytes,
            fault_armed: false,
            disk_limited: false,
            ending: false,
            next_life: 1,
            restarts: 0,
        })
    }

    fn operate(&mut self, operation: Operation) -> Checked {
        let client = self.random.below(self.clients.len() as u64) as usize;
        match operation {
            Operation::Burst => self.act(client, Client::publish),
            Operation::Settle => self.act(client, Client::settle),
            Operation::Get => self.act(client, Client::ask),
            Operation::Consume => self.act(client, Client::consume),
            Operation::Cancel => self.act(client, Client::cancel),
            Operation::Flush => return self.talk(),
            Operation::Reconnect => self.leave(client),
            Operation::Commit => return self.commit(),
            Operation::Time => return self.pass_time(),
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

    /// Has a client do something.
    fn act<R>(&mut self, client: usize, does: impl FnOnce(&mut Client, &mut Desk<'_>) -> R) -> R {
        let desk = &mut Desk {
            random: &mut self.random,
            ledger: &mut self.ledger,
            trace: &mut self.trace,
        };
        does(&mut self.clients[client], desk)
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
        let conversation = self.house.connect(protocol, Some(USER));
        self.act(client, |client, desk| {
            client.connect(conversation, life, desk)
        });
    }

    /// The connection of a client is lost to it; gives its end.
    fn lose(&mut self, client: usize) -> Option<Pipe> {
        let life = self.clients[client].life()?;
        let name = self.clients[client].name();
        self.trace.line(format!("  {name} has lost {life}"));
        self.ledger.lose(life);
        self.clients[client].lose()
    }

    /// A client goes: with a word, without one, or so that nobody knows.
    fn leave(&mut self, client: usize) {
        let chance = self.random.below(10);
        let unknown = match &mut self.clients[client] {
            Client::Amqp(_) if chance < 3 => {
                let goodbye = |client: &mut Client, desk: &mut Desk<'_>| {
                    if let Client::Amqp(client) = client {
                        client.say_goodbye(desk);
                    }
                };
                return self.act(client, goodbye);
            }
            Client::Amqp(_) => false,
            Client::Mqtt(_) => chance < 3,
        };
        let Some(pipe) = self.lose(client) else {
            return;
        };
        let left = match unknown {
            true => pipe.forget(),
            false => pipe.leave(&mut self.random),
        };
        self.trace
            .line(format!("  its other end knows: {}", !unknown));
        self.ghosts.push(left);
    }

    /// Bytes go to and from a few clients.
    fn talk(&mut self) -> Checked {
        for client in 0..self.clients.len() {
            if !self.random.chance(TALKERS_PERCENT) {
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
        self.act(client, |client, desk| client.hear(&bytes, desk))?;
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
        let end = self.broker.log().end();
        if self.ending {
            return;
        }
        for client in &mut self.clients {
            let worked_off = client.pipe().is_some_and(|pipe| pipe.is_worked_off());
            if let Some(life) = client.life().filter(|_| worked_off) {
                self.ledger.work_off(life, end);
            }
        }
    }

    /// What follows each operation.
    fn end_step(&mut self) -> Checked {
        self.broker.tick();
        self.turns(true)?;
        self.look_for_failure();
        self.note_worked_off();
        if self.broker.failed().is_some() {
            return self.after_failure();
        }
        Ok(())
    }
}
