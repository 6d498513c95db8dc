//! Sessions: clients that publish and receive exactly once, over a node that crashes, on what the
//! broker has for that: notes, tags, atomic bursts and a queue's expiry.
//!
//! A world of its own, smaller than `world`: every client has one queue, every message goes to all
//! of them. After each record the state of all queues is kept with the end of the log; what a crash
//! leaves must be one of these states, none before what was safe.
//!
//! Invariants
//! - Every message comes to every client once, whatever happens between.
//! - What a copy of the disk holds before a start is what was true at one moment: notes, messages
//!   and their tags, and the expiry of all queues.

mod client;
mod door;
mod house;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferry_broker::{Broker, Vhost};
use ferry_log::Position;
use ferry_log::testing::{FaultyDisk, Random};

use crate::clock::VirtualClock;
use crate::life::Life;
use crate::trace::Trace;
use crate::workload::Operation;
use crate::world::open;
use crate::{Checked, Violation, violated};
use client::Client;
use door::Door;

/// Clients of a world.
const CLIENTS: usize = 3;

/// Rounds after which everything that can be said has been said.
const ROUNDS_MAX: usize = 2000;

/// The time at which every world begins.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// What is true of one queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Session {
    notes: BTreeSet<u32>,
    /// Messages with their tags.
    messages: BTreeMap<u64, Option<u32>>,
    expires_ms: Option<u64>,
}

/// Everything.
pub(crate) struct Sessions {
    random: Random,
    disk: FaultyDisk,
    clock: Arc<VirtualClock>,
    broker: Arc<Broker>,
    vhost: Arc<Vhost>,
    trace: Trace,
    segment_bytes: u64,
    clients: Vec<Client>,
    doors: Vec<Door>,
    model: Vec<Session>,
    /// What was true when the log had that end, since the last start.
    past: Vec<(Position, Vec<Session>)>,
    /// Before this place nothing is torn: a checkpoint may have it.
    whole_below: Position,
    next_message: u64,
    fault_armed: bool,
    restarts: u64,
}

impl Life for Sessions {
    fn new(seed: u64, verbose: bool) -> Checked<Sessions> {
        let mut random = Random::new(seed ^ 0x5e55);
        let disk = FaultyDisk::new(random.any());
        let clock = Arc::new(VirtualClock::new(BEGINNING_MS));
        let segment_bytes = [8 << 10, 32 << 10][random.below(2) as usize];
        let broker = open(&disk, clock.clone(), segment_bytes, random.any())
            .map_err(|error| Violation(format!("an empty directory does not open: {error}")))?;
        let vhost = broker.vhost("/").expect("every broker has it");
        let mut world = Sessions {
            random,
            disk,
            clock,
            broker,
            vhost,
            trace: Trace::new(verbose),
            segment_bytes,
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            doors: Vec::new(),
            model: vec![Session::default(); CLIENTS],
            past: Vec::new(),
            whole_below: Position::ZERO,
            next_message: 1,
            fault_armed: false,
            restarts: 0,
        };
        world.declare()?;
        world.begin_life()?;
        Ok(world)
    }

    fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    fn operate(&mut self, operation: Operation) -> Checked {
        match operation {
            Operation::Burst => self.publish(),
            Operation::Flush => self.talk(),
            Operation::Reconnect => self.reconnect(),
            Operation::DeclareQueue => self.set_expiry(),
            Operation::Commit => self.commit(),
            Operation::Upkeep => self.upkeep(Broker::upkeep),
            Operation::Checkpoint => self.upkeep(Broker::checkpoint),
            Operation::Crash => self.crash(),
            Operation::Restart => self.restart(),
            Operation::DiskFault => self.disk_fault(),
            other => violated!("sessions do not know {other:?}"),
        }
    }

    fn end_step(&mut self) -> Checked {
        if let Some(cause) = self.broker.failed() {
            self.excuse("the log failed", cause)?;
            return self.crash();
        }
        self.broker.tick();
        self.take_deliveries()?;
        for door in &mut self.doors {
            door.flush(&self.broker);
        }
        self.check_seen()
    }

    /// Everything is said that is left to say; then everybody has everything, once.
    fn end(&mut self) -> Checked {
        self.trace.line("the end".to_owned());
        self.heal();
        self.end_step()?;
        self.restart()?;
        for _ in 0..ROUNDS_MAX {
            let quiet = self.doors.iter().all(Door::is_quiet)
                && self.clients.iter().all(Client::is_quiet)
                && self.model.iter().all(|session| session.messages.is_empty());
            if quiet {
                return self.check_end();
            }
            for client in 0..CLIENTS {
                self.arrive(client)?;
                self.answer(client)?;
            }
            self.commit()?;
            self.end_step()?;
        }
        violated!("there is no end of it")
    }

    fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    fn published(&self) -> u64 {
        self.next_message - 1
    }

    fn restarts(&self) -> u64 {
        self.restarts
    }
}

impl Sessions {
    /// A client has a message for everybody.
    fn publish(&mut self) -> Checked {
        let client = self.random.below(CLIENTS as u64) as usize;
        if let Some(packet) = self.clients[client].publish(self.next_message) {
            self.next_message += 1;
            self.doors[client].to_door.push_back(packet);
        }
        Ok(())
    }

    /// Packets arrive, each way in its order.
    fn talk(&mut self) -> Checked {
        for _ in 0..1 + self.random.below(6) {
            let client = self.random.below(CLIENTS as u64) as usize;
            match self.random.chance(50) {
                true => self.arrive(client)?,
                false => self.answer(client)?,
            }
        }
        Ok(())
    }

    /// The next packet of a client arrives.
    fn arrive(&mut self, client: usize) -> Checked {
        match self.doors[client].to_door.pop_front() {
            Some(packet) => self.take_packet(client, packet),
            None => Ok(()),
        }
    }

    /// The next packet for a client arrives.
    fn answer(&mut self, client: usize) -> Checked {
        let Some(packet) = self.doors[client].to_client.pop_front() else {
            return Ok(());
        };
        self.trace
            .line(format!("  client {client} is told {packet:?}"));
        let answer = self.clients[client].take(packet)?;
        self.doors[client].to_door.extend(answer);
        Ok(())
    }

    /// What can be seen of every queue is what was asked for.
    fn check_seen(&self) -> Checked {
        for (door, session) in self.doors.iter().zip(&self.model) {
            let (queue, notes) = (&door.queue, self.broker.notes(&door.queue));
            if !notes.iter().eq(&session.notes) {
                let must = &session.notes;
                return violated!("{} notes {notes:?}, not {must:?}", queue.name());
            }
            let messages = queue.ready() + queue.unsettled();
            if messages != session.messages.len() as u64 {
                let must = session.messages.len();
                return violated!("{} has {messages} messages, not {must}", queue.name());
            }
        }
        Ok(())
    }

    fn check_end(&mut self) -> Checked {
        self.restart()?;
        for (client, state) in self.clients.iter().enumerate() {
            if !state.received.iter().copied().eq(1..self.next_message) {
                let (has, all) = (&state.received, self.next_message - 1);
                return violated!("client {client} has {has:?} of {all}");
            }
        }
        let nothing = |session: &Session| session.notes.is_empty() && session.messages.is_empty();
        match self.model.iter().all(nothing) {
            true => Ok(()),
            false => violated!("something is left: {:?}", self.model),
        }
    }
}
