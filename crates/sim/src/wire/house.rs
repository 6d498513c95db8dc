//! The house of the doors: its log, its time, its misfortunes; and coming back from them.
//!
//! Invariants
//! - A start succeeds: no fault is armed for it.
//! - After a failure of the log nobody is told anything that is not safe.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ferry_broker::{Account, Broker, Clock as _, ConnectionId, Delivery, Options, SyncPolicy};
use ferry_gateway::testing::House;
use ferry_gateway::{GatewayConfig, MqttConfig};
use ferry_log::testing::{Crash, Fault, FaultyDisk};
use ferry_log::{LogError, Position};

use super::pipe::Pipe;
use super::{USER, Wires, retained, tx};
use crate::body::message_of;
use crate::clock::VirtualClock;
use crate::{Checked, Violation, violated};

/// Bytes that may wait for one client before its consumers are held: few, so that they are.
const OUTBOX_BYTES_MAX: usize = 4 << 10;

/// Memory at which publishers are held, in bytes.
const MEMORY_HIGH_BYTES: u64 = 256 << 10;

/// Most that passes at once, in milliseconds.
const TIME_MS_MAX: u64 = 6_000;

/// The password of the user that everybody is, and its hash: one that costs next to nothing, with
/// what SCRAM needs, so that it stays as it is.
pub(super) const PASSWORD: &str = "wire";
const PASSWORD_HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$ZmVycnkgc2ltdWxhdGlvbg$\
    r/PXfeJVyNgd2uDbnCSHgZ0C1rWvAPedvbd2kLMLaQs \
    $scram-sha-256$i=4096$ZmVycnk$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Opens a broker on `disk`.
fn open_broker(
    disk: &FaultyDisk,
    clock: &Arc<VirtualClock>,
    segment_bytes: u64,
    entropy: u64,
) -> Checked<Arc<Broker>> {
    let broker = Broker::open(Options {
        disk: Arc::new(disk.clone()),
        log: ferry_log::Options {
            segment_bytes,
            fill_bytes: [0, 4096][(entropy % 2) as usize],
            checkpoint_growth_bytes: segment_bytes * 2,
            entropy,
        },
        clock: clock.clone(),
        formats: ferry_gateway::formats(),
        sync: SyncPolicy::Sync,
        memory_high_bytes: MEMORY_HIGH_BYTES,
        disk_free_bytes_min: 0,
    });
    broker.map_err(|error| Violation(format!("the node does not start: {error}")))
}

/// Opens a broker on `disk`, and the doors to it.
pub(super) fn open(
    disk: &FaultyDisk,
    clock: &Arc<VirtualClock>,
    segment_bytes: u64,
    entropy: u64,
) -> Checked<(Arc<Broker>, House)> {
    let broker = open_broker(disk, clock, segment_bytes, entropy)?;
    let config = GatewayConfig {
        outbox_bytes_max: OUTBOX_BYTES_MAX,
        mqtt: MqttConfig {
            inflight_max: 8,
            receive_max: 8,
            ..MqttConfig::default()
        },
        ..GatewayConfig::default()
    };
    let house = House::open(Arc::clone(&broker), config);
    Ok((broker, house))
}

impl Wires {
    /// Gives everybody a password.
    pub(super) fn let_in_users(&mut self) -> Checked {
        let account = Account {
            name: USER.into(),
            password_hash: Some(PASSWORD_HASH.to_owned()),
            tags: Vec::new(),
        };
        match self.broker.set_user(account) {
            Ok(_) => self.commit(),
            Err(error) => violated!("no password can be set: {error}"),
        }
    }

    /// Whether an error of the disk is nothing to wonder at.
    fn excuse(&self, what: &str, error: impl std::fmt::Display) -> Checked {
        match self.fault_armed || self.disk_limited {
            true => Ok(()),
            false => violated!("{what} without a fault: {error}"),
        }
    }

    pub(super) fn commit(&mut self) -> Checked {
        let committed = self.broker.commit_log();
        committed.or_else(|error| self.excuse("a commit", error))
    }

    /// The house is kept in order.
    pub(super) fn upkeep(&mut self, keep: fn(&Broker) -> Result<(), LogError>) -> Checked {
        let done = keep(&self.broker);
        done.or_else(|error| self.excuse("upkeep", error))
    }

    pub(super) fn pass_time(&mut self) {
        let time_ms = 1 + self.random.below(TIME_MS_MAX);
        self.pass(time_ms);
    }

    /// So much time passes.
    pub(super) fn pass(&mut self, time_ms: u64) {
        self.clock.advance(time_ms);
        self.house.advance(Duration::from_millis(time_ms));
        self.broker.tick();
    }

    /// The disk will have no room soon.
    pub(super) fn disk_full(&mut self) {
        let bytes = self.random.below(4 * self.segment_bytes);
        self.trace.line(format!("  {bytes} bytes are left"));
        self.disk.enospc_after(bytes);
        self.disk_limited = true;
    }

    /// A call of the disk will fail soon.
    pub(super) fn disk_fault(&mut self) {
        let fault = [Fault::Io, Fault::Short][self.random.below(2) as usize];
        let call = 1 + self.random.below(10);
        let for_ever = self.random.chance(40);
        self.trace
            .line(format!("  {fault:?} at call {call}, {for_ever}"));
        self.disk.fail_call(call, fault, for_ever);
        self.fault_armed = true;
    }

    /// The disk is well, and what waited for it is done.
    pub(super) fn heal(&mut self) -> Checked {
        self.make_well();
        match self.broker.failed() {
            Some(_) => Ok(()),
            None => self.commit(),
        }
    }

    fn make_well(&mut self) {
        self.disk.heal();
        self.disk.set_capacity(None);
        (self.fault_armed, self.disk_limited) = (false, false);
    }

    /// Once the log has failed, connections end, and nobody knows what was heard.
    pub(super) fn look_for_failure(&mut self) {
        if self.broker.failed().is_some() {
            self.brace();
        }
    }

    fn brace(&mut self) {
        if !std::mem::replace(&mut self.ending, true) {
            for client in 0..self.clients.len() {
                self.act(client, |client, desk| client.brace(desk));
            }
        }
    }

    /// The log has failed: everybody hears what is to be heard, and the node starts again.
    pub(super) fn after_failure(&mut self) -> Checked {
        let cause = self.broker.failed().unwrap_or_default();
        self.trace.line(format!("  the log failed: {cause}"));
        self.excuse("the log failed", &cause)?;
        if self.broker.commit_log().is_ok() {
            return violated!("a failed log commits");
        }
        self.turns(false)?;
        self.crash()
    }

    /// The node dies and comes back.
    pub(super) fn crash(&mut self) -> Checked {
        let kinds = [Crash::Process, Crash::LoseAll, Crash::LoseSome];
        let kind = kinds[self.random.below(3) as usize];
        let log = self.broker.log();
        let safe = match kind {
            Crash::Process => log.written(),
            _ => log.durable(),
        };
        self.die(kind, safe, true)
    }

    /// The node is stopped in order and comes back.
    pub(super) fn restart(&mut self) -> Checked {
        self.brace();
        self.books.wills.stop(self.clock.now());
        self.house.stop();
        self.turns(false)?;
        self.house.close();
        match self.broker.close() {
            Ok(_) => {
                self.turns(false)?;
                let safe = self.broker.log().end();
                self.die(Crash::LoseAll, safe, false)
            }
            Err(error) => {
                self.excuse("a stop", error)?;
                self.crash()
            }
        }
    }

    fn die(&mut self, kind: Crash, safe: Position, by_force: bool) -> Checked {
        self.restarts += 1;
        self.trace.line(format!("  {kind:?}, safe is {safe:?}"));
        // What was written is on its way; some of it arrives.
        self.ending = true;
        for client in 0..self.clients.len() {
            self.act(client, |client, desk| client.brace(desk));
            if self.random.chance(50) {
                self.listen(client, true)?;
            }
            let lost = self.lose(client);
            self.ghosts.extend(lost.map(Pipe::forget));
            self.act(client, |client, desk| client.go_down(desk));
        }
        match by_force {
            true => self.books.wills.fail(),
            // Of those who hear only now that they were let in.
            false => self.books.wills.stop(self.clock.now()),
        }
        self.disk.crash(kind);
        self.bury();
        self.make_well();
        self.ledger.go_down(safe);
        self.books.leases.go_down(safe);
        self.look_at_copy()?;
        let entropy = self.random.any();
        let opened = open(&self.disk, &self.clock, self.segment_bytes, entropy)?;
        (self.broker, self.house) = opened;
        self.ending = false;
        Ok(())
    }

    /// Connections of a node that is down end, whatever that does there: what they and the broker
    /// know of each other would keep both in memory.
    pub(super) fn bury(&mut self) {
        // Nobody waits any more for what this log will never keep.
        let _failed = self.broker.commit_log();
        let now = self.house.now();
        for mut ghost in self.ghosts.drain(..) {
            ghost.reset();
            while ghost.turn(now) {}
        }
        self.house.advance(Duration::ZERO);
    }

    /// What is on the disk of the node that is down, seen by another one on a copy of it.
    fn look_at_copy(&mut self) -> Checked {
        let copy = self.disk.fork(self.random.any());
        let entropy = self.random.any();
        let broker = open_broker(&copy, &self.clock, self.segment_bytes, entropy)?;
        let Some(vhost) = broker.vhost("/") else {
            return violated!("the virtual host is lost");
        };
        let (mut found, mut whole) = (BTreeSet::new(), true);
        let mut take = |delivery: Delivery<'_>| match message_of(delivery.message.body()) {
            Some(id) => whole &= found.insert(id),
            None => whole = false,
        };
        for name in tx::QUEUES {
            if let Ok(queue) = vhost.queue(name, ConnectionId::NOBODY) {
                loop {
                    match broker.get(&queue, true, &mut take) {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => return violated!("{name} can not be read: {error}"),
                    }
                }
            }
        }
        if !whole {
            return violated!("a queue of transactions has a message twice, or not whole");
        }
        self.trace.line(format!("  transactions left {found:?}"));
        self.books.transactions.go_down(&found)?;
        let retained = retained::found(&vhost)?;
        self.books.retained.go_down(&retained)
    }
}
