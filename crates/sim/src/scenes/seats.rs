//! Limits of a number of things: connections of a virtual host and of a user, channels of a user,
//! queues of a virtual host.
//!
//! Invariants
//! - Whoever is let in makes it no more than the limit; whoever is refused would have.
//! - What is there when a limit falls below it stays.
//! - A limit and a queue that were confirmed are there after a crash; connections are not.

use std::collections::BTreeMap;

use ferry_broker::{
    Admitted, ConnectionId, ConnectionInfo, DefinitionError, LimitsOf, Promise, Seat,
};
use ferry_core::arguments::Value;

use super::{Node, Scene, Stage, maps};
use crate::{Checked, violated};

const USER: &str = "guest";

const QUEUES: u64 = 7;

/// The limits, and whether each is one of the virtual host.
const LIMITS: [(bool, &str); 4] = [
    (true, "max-connections"),
    (true, "max-queues"),
    (false, "max-connections"),
    (false, "max-channels"),
];

fn of(vhost: bool) -> LimitsOf {
    match vhost {
        true => LimitsOf::Vhost("/".into()),
        false => LimitsOf::User(USER.into()),
    }
}

/// A limit by its place in `LIMITS`, or a queue behind them.
type Kept = BTreeMap<u64, i64>;

#[derive(Default)]
pub(super) struct Seats {
    kept: Kept,
    connections: Vec<Admitted>,
    channels: Vec<Seat>,
}

impl Seats {
    /// Whether there may be one more than `count`.
    fn has_room(&self, place: u64, count: usize) -> bool {
        let limit = self.kept.get(&place).copied().unwrap_or(-1);
        limit < 0 || (count as i64) < limit
    }

    fn queues(&self) -> usize {
        self.kept.range(LIMITS.len() as u64..).count()
    }

    fn set(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let place = stage.random.below(LIMITS.len() as u64);
        let (vhost, name) = LIMITS[place as usize];
        let value = stage.random.below(7) as i64 - 1;
        let cleared = stage.random.chance(30);
        stage
            .trace
            .line(format!("  {name} of {:?}: {value} {cleared}", of(vhost)));
        let changed = match cleared {
            true => {
                self.kept.remove(&place);
                stage.broker.clear_limit(of(vhost), name)
            }
            false => {
                self.kept.insert(place, value);
                stage.broker.set_limit(of(vhost), name, &Value::I64(value))
            }
        };
        match changed {
            Ok(promise) => Ok(promise),
            Err(error) => violated!("{name} is not set: {error}"),
        }
    }

    fn connect(&mut self, stage: &mut Stage) -> Checked {
        let info = ConnectionInfo {
            user: USER.to_owned(),
            vhost: "/".to_owned(),
            ..ConnectionInfo::default()
        };
        let count = self.connections.len();
        let room = self.has_room(0, count) && self.has_room(2, count);
        match stage.broker.admit_connection(info) {
            Ok(admitted) if room => self.connections.push(admitted),
            Err(_) if !room => {}
            Ok(_) => return violated!("beside {count} connections one more is let in"),
            Err(error) => return violated!("beside {count} connections: {error}"),
        }
        Ok(())
    }

    fn open_channel(&mut self, stage: &mut Stage) -> Checked {
        let count = self.channels.len();
        let Some(connection) = self.connections.first() else {
            return Ok(());
        };
        match (connection.limits.open_channel(), self.has_room(3, count)) {
            (Ok(seat), true) => self.channels.push(seat),
            (Err(_), false) => {}
            (Ok(_), false) => return violated!("beside {count} channels one more is opened"),
            (Err(error), true) => return violated!("beside {count} channels: {error}"),
        }
        stage
            .trace
            .line(format!("  {} channels", self.channels.len()));
        Ok(())
    }

    fn declare(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let place = LIMITS.len() as u64 + stage.random.below(QUEUES);
        let name = format!("q{place}");
        let room = self.kept.contains_key(&place) || self.has_room(1, self.queues());
        stage
            .trace
            .line(format!("  declare {name}, room is {room}"));
        match stage.try_declare(&name, &[]) {
            Ok(declared) if room => match self.kept.insert(place, 0) {
                None => Ok(declared.durable_at),
                Some(_) => Ok(Promise::Now),
            },
            Err(DefinitionError::QueueLimit { .. }) if !room => Ok(Promise::Now),
            other => violated!("{name} beside {} queues: {other:?}", self.queues()),
        }
    }

    fn delete(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let place = LIMITS.len() as u64 + stage.random.below(QUEUES);
        let name = format!("q{place}");
        let known = self.kept.remove(&place).is_some();
        stage.trace.line(format!("  delete {name}"));
        let deleted = stage
            .vhost
            .delete_queue(&name, false, false, ConnectionId::NOBODY);
        match deleted {
            Ok((_, promise)) if known => Ok(promise),
            // Only what came before in its virtual host is waited for, not limits.
            Ok(_) => Ok(Promise::Now),
            Err(error) => violated!("{name} is not deleted: {error}"),
        }
    }
}

impl Scene for Seats {
    type Kept = Kept;

    fn open(_: &mut Stage) -> Checked<Seats> {
        Ok(Seats::default())
    }

    fn act(&mut self, stage: &mut Stage) -> Checked<Promise> {
        match stage.random.below(20) {
            0..=3 => return self.set(stage),
            4..=7 => return self.declare(stage),
            8 | 9 => return self.delete(stage),
            10..=13 => self.connect(stage)?,
            14..=16 => self.open_channel(stage)?,
            17 => drop(self.channels.pop()),
            _ => {
                if let Some(gone) = self.connections.pop() {
                    stage.broker.connection_closed(gone.id);
                }
            }
        }
        Ok(Promise::Now)
    }

    fn check(&mut self, stage: &mut Stage) -> Checked {
        let (is, must) = (stage.vhost.queues().len(), self.queues());
        match is == must && found(&stage.node())? == self.kept {
            true => Ok(()),
            false => violated!(
                "{is} queues and {:?}, not {:?}",
                stage.broker.limits(),
                self.kept
            ),
        }
    }

    fn kept(&self) -> Kept {
        self.kept.clone()
    }

    fn find(node: &Node<'_>) -> Checked<Kept> {
        found(node)
    }

    fn is_between(found: &Kept, before: &Kept, after: &Kept) -> bool {
        maps::is_between(found, before, after)
    }

    fn resume(&mut self, _: &mut Stage, kept: Kept) -> Checked {
        *self = Seats {
            kept,
            ..Seats::default()
        };
        Ok(())
    }
}

fn found(node: &Node<'_>) -> Checked<Kept> {
    let mut found = Kept::new();
    for set in node.broker.limits() {
        for (name, value) in set.values {
            let is = |(vhost, known): &(bool, &str)| of(*vhost) == set.of && *known == name.name();
            match LIMITS.iter().position(is) {
                Some(place) => found.insert(place as u64, value),
                None => return violated!("{} of {:?} was never set", name.name(), set.of),
            };
        }
    }
    for queue in node.vhost.queues() {
        match queue.name()[1..].parse() {
            Ok(place) => found.insert(place, 0),
            Err(_) => return violated!("{} was never declared", queue.name()),
        };
    }
    Ok(found)
}
