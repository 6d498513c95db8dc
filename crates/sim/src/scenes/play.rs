//! A scene on its stage: what happens to the node, and what that must leave.
//!
//! Invariants
//! - Before each start a copy of the disk is opened and looked into; the node goes on from the same
//!   bytes.
//! - At the end the disk is well, and everything that was asked for is there.

use std::fmt::Debug;
use std::sync::Arc;

use ferry_broker::{Broker, Promise};
use ferry_log::testing::{Crash, Fault, FaultyDisk, Random};
use ferry_log::{LogError, Position};

use super::{Node, Scene, Stage};
use crate::clock::VirtualClock;
use crate::life::Life;
use crate::tear::cut;
use crate::trace::Trace;
use crate::workload::Operation;
use crate::world::open;
use crate::{Checked, Violation, violated};

/// The time at which every scene begins.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// How many commits are followed by a look at a torn copy, in percent.
const TORN_PERCENT: u64 = 20;

/// How many rounds of upkeep find no room for a checkpoint, in percent.
const REFUSED_PERCENT: u64 = 30;

/// Ticks after which nothing may be overdue.
const TICKS_MAX: usize = 64;

/// A minute, in milliseconds.
const MINUTE_MS: u64 = 60_000;

/// Acts at the end, when all is well.
const LAST_ACTS: usize = 20;

/// The past of a scene.
struct Past<K> {
    /// What was to be kept when the log had that end, since the last start.
    states: Vec<(Position, K)>,
    /// States that somebody waits for.
    waiting: Vec<(usize, Promise)>,
    /// The last state that somebody was told is safe.
    told: usize,
    /// Before this place nothing is torn: a checkpoint may have it.
    whole_below: Position,
}

pub(super) struct Play<S: Scene> {
    stage: Stage,
    scene: S,
    past: Past<S::Kept>,
    restarts: u64,
}

impl Stage {
    fn new(seed: u64, verbose: bool) -> Checked<Stage> {
        let mut random = Random::new(seed ^ 0x5ce7e);
        let disk = FaultyDisk::new(random.any());
        let clock = Arc::new(VirtualClock::new(BEGINNING_MS));
        let segment_bytes = [8 << 10, 32 << 10][random.below(2) as usize];
        let broker = open(&disk, clock.clone(), segment_bytes, random.any())
            .map_err(|error| Violation(format!("an empty directory does not open: {error}")))?;
        let vhost = broker.vhost("/").expect("every broker has it");
        Ok(Stage {
            random,
            clock,
            broker,
            vhost,
            trace: Trace::new(verbose),
            disk,
            segment_bytes,
            fault_armed: false,
            next_message: 1,
        })
    }

    fn open(&mut self, disk: &FaultyDisk) -> Checked<Arc<Broker>> {
        let entropy = self.random.any();
        let broker = open(disk, self.clock.clone(), self.segment_bytes, entropy);
        broker.map_err(|error| Violation(format!("the node does not start: {error}")))
    }

    /// The disk will fail soon.
    fn disk_fault(&mut self) {
        let call = 1 + self.random.below(8);
        self.trace.line(format!("  a fault at call {call}"));
        self.disk.fail_call(call, Fault::Io, true);
        self.fault_armed = true;
    }

    fn heal(&mut self) {
        self.disk.heal();
        self.fault_armed = false;
    }

    /// Time passes, often to what is due next or a millisecond before.
    fn pass(&mut self) {
        let next = self.broker.next_deadline().saturating_sub(self.now());
        let time_ms = match self.random.below(10) {
            0 => self.random.below(MINUTE_MS),
            1..=3 => self.random.below(3_000),
            4..=7 if (1..MINUTE_MS).contains(&next) => next - self.random.below(2),
            _ => self.random.below(200),
        };
        self.trace.line(format!("  {time_ms} ms pass"));
        self.clock.advance(time_ms);
    }

    /// Everything that is overdue happens.
    fn tick(&mut self) -> Checked {
        for _ in 0..TICKS_MAX {
            self.broker.tick();
            if self.broker.next_deadline() > self.now() {
                return Ok(());
            }
        }
        violated!("something is overdue after {TICKS_MAX} ticks")
    }
}

impl<S: Scene> Life for Play<S> {
    fn new(seed: u64, verbose: bool) -> Checked<Play<S>> {
        let mut stage = Stage::new(seed, verbose)?;
        let scene = S::open(&mut stage)?;
        let safe = stage.broker.commit_log();
        safe.map_err(|error| Violation(format!("the first commit: {error}")))?;
        let past = Past::begin(&stage.broker, scene.kept());
        Ok(Play {
            stage,
            scene,
            past,
            restarts: 0,
        })
    }

    fn random(&mut self) -> &mut Random {
        &mut self.stage.random
    }

    fn operate(&mut self, operation: Operation) -> Checked {
        match operation {
            Operation::Act => self.act(),
            Operation::Time => {
                self.stage.pass();
                Ok(())
            }
            Operation::Commit => self.commit(),
            Operation::Upkeep => self.upkeep(Broker::upkeep),
            Operation::Checkpoint => self.upkeep(Broker::checkpoint),
            Operation::Crash => self.crash(),
            Operation::Restart => self.restart(),
            Operation::DiskFault => {
                self.stage.disk_fault();
                Ok(())
            }
            other => violated!("scenes do not know {other:?}"),
        }
    }

    fn end_step(&mut self) -> Checked {
        if let Some(cause) = self.stage.broker.failed() {
            self.stage.excuse("the log failed", cause)?;
            return self.crash();
        }
        self.stage.tick()?;
        self.scene.check(&mut self.stage)?;
        self.past.add(&self.stage.broker, self.scene.kept());
        self.past.poll(&self.stage.broker);
        Ok(())
    }

    /// All is well, and goes on.
    fn end(&mut self) -> Checked {
        self.stage.trace.line("the end".to_owned());
        self.stage.heal();
        self.end_step()?;
        for _ in 0..LAST_ACTS {
            self.act()?;
            self.commit()?;
            self.end_step()?;
            if !self.past.waiting.is_empty() {
                return violated!("a well disk keeps no promise: {:?}", self.past.waiting);
            }
        }
        self.restart()
    }

    fn trace(&mut self) -> &mut Trace {
        &mut self.stage.trace
    }

    fn published(&self) -> u64 {
        self.stage.next_message - 1
    }

    fn restarts(&self) -> u64 {
        self.restarts
    }
}

impl<S: Scene> Play<S> {
    fn act(&mut self) -> Checked {
        let promise = self.scene.act(&mut self.stage)?;
        self.past.add(&self.stage.broker, self.scene.kept());
        // Who waits for nothing was promised nothing.
        if promise != Promise::Now {
            let state = self.past.states.len() - 1;
            self.past.waiting.push((state, promise));
        }
        Ok(())
    }

    fn commit(&mut self) -> Checked {
        match self.stage.broker.commit_log() {
            Ok(()) if !self.stage.fault_armed && self.stage.random.chance(TORN_PERCENT) => {
                self.tear()
            }
            Ok(()) => Ok(()),
            Err(error) => self.stage.excuse("a commit", error),
        }
    }

    /// A copy of the disk whose log ends anywhere has what was true when it ended there.
    fn tear(&mut self) -> Checked {
        let (stage, past) = (&mut self.stage, &self.past);
        let end = stage.broker.log().end();
        let in_segment =
            |(at, _): &&(Position, _)| at.segment() == end.segment() && *at >= past.whole_below;
        let Some((first, _)) = past.states.iter().find(in_segment) else {
            return Ok(());
        };
        let length = end.offset() - first.offset();
        let cut_at = first.plus(stage.random.below(u64::from(length) + 1) as u32);
        let copy = stage.disk.fork(stage.random.any());
        if !cut(&copy, cut_at) {
            return violated!("the log has no segment {}", end.segment());
        }
        stage.trace.line(format!("  a copy is torn at {cut_at:?}"));
        let found = look_into::<S>(stage, &copy)?;
        let before = past.states.partition_point(|(at, _)| *at <= cut_at);
        let (first, last) = (before.saturating_sub(1), past.states.len() - 1);
        let (before, after) = (&past.states[first], &past.states[(first + 1).min(last)]);
        match S::is_between(&found, &before.1, &after.1) {
            true => Ok(()),
            false => violated!("torn at {cut_at:?} there is {found:?}: {before:?}, {after:?}"),
        }
    }

    /// The house is kept in order, now and then without room for a checkpoint.
    fn upkeep(&mut self, keep: fn(&Broker) -> Result<(), LogError>) -> Checked {
        let refused = self.stage.random.chance(REFUSED_PERCENT);
        self.stage.disk.refuse(refused.then_some("checkpoint"));
        let done = keep(&self.stage.broker);
        self.stage.disk.refuse(None);
        self.past.whole_below = self.stage.broker.log().end();
        match done {
            Err(error) if !refused => self.stage.excuse("upkeep", error),
            _ => Ok(()),
        }
    }

    fn crash(&mut self) -> Checked {
        let kinds = [Crash::Process, Crash::LoseAll, Crash::LoseSome];
        let kind = kinds[self.stage.random.below(3) as usize];
        let log = self.stage.broker.log();
        let safe = match kind {
            Crash::Process => log.written(),
            _ => log.durable(),
        };
        self.die(kind, safe)
    }

    /// The node is stopped in order and comes back.
    fn restart(&mut self) -> Checked {
        match self.stage.broker.close() {
            Ok(_) => {
                let safe = self.stage.broker.log().end();
                self.die(Crash::LoseAll, safe)
            }
            Err(error) => {
                self.stage.excuse("a stop", error)?;
                self.crash()
            }
        }
    }

    fn die(&mut self, kind: Crash, safe: Position) -> Checked {
        self.restarts += 1;
        self.past.poll(&self.stage.broker);
        let stage = &mut self.stage;
        stage.trace.line(format!("  {kind:?}, safe is {safe:?}"));
        stage.disk.crash(kind);
        stage.heal();
        let copy = stage.disk.fork(stage.random.any());
        let found = look_into::<S>(stage, &copy)?;
        self.past.check::<S>(safe, &found)?;
        let disk = stage.disk.clone();
        stage.broker = stage.open(&disk)?;
        stage.vhost = match stage.broker.vhost("/") {
            Some(vhost) => vhost,
            None => return violated!("the virtual host is lost"),
        };
        self.scene.resume(stage, found)?;
        self.past = Past::begin(&stage.broker, self.scene.kept());
        Ok(())
    }
}

fn look_into<S: Scene>(stage: &mut Stage, copy: &FaultyDisk) -> Checked<S::Kept> {
    let broker = stage.open(copy)?;
    match broker.vhost("/") {
        Some(vhost) => S::find(&Node {
            broker: &broker,
            vhost: &vhost,
        }),
        None => violated!("the virtual host is lost"),
    }
}

impl<K: Clone + Debug> Past<K> {
    fn begin(broker: &Broker, kept: K) -> Past<K> {
        Past {
            states: vec![(Position::ZERO, kept)],
            waiting: Vec::new(),
            told: 0,
            whole_below: broker.log().end(),
        }
    }

    fn add(&mut self, broker: &Broker, kept: K) {
        self.states.push((broker.log().end(), kept));
    }

    /// Looks at the promises that are waited for.
    fn poll(&mut self, broker: &Broker) {
        let told = &mut self.told;
        self.waiting.retain(|(state, promise)| {
            let kept = broker.kept(*promise);
            if kept {
                *told = (*told).max(*state);
            }
            !kept
        });
    }

    /// What is found after a crash was true once, and not before what was safe.
    fn check<S: Scene<Kept = K>>(&self, safe: Position, found: &K) -> Checked {
        let first = self.states.iter().rposition(|(end, _)| *end <= safe);
        let first = first.unwrap_or(0).max(self.told);
        let possible = &self.states[first..];
        let last = &possible[possible.len() - 1];
        let mut pairs = possible.windows(2);
        if pairs.any(|pair| S::is_between(found, &pair[0].1, &pair[1].1))
            || S::is_between(found, &last.1, &last.1)
        {
            return Ok(());
        }
        let safe = &self.states[first];
        violated!("the disk has {found:?}, and safe was {safe:?}, last {last:?}")
    }
}
