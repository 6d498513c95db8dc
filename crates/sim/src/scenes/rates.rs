//! Rates of virtual hosts, users and connections: who has to wait, for how long, and who has not.
//!
//! Every connection goes on as a door would: what has passed is charged, and after that it waits as
//! long as it was told.
//!
//! Invariants
//! - In any time passes at most what the rate gives for it, what it gives for a burst, and one
//!   message of each connection.
//! - Who has to wait waits for a debt that there is, and not longer than that and half a burst.
//! - The rates that were confirmed are there after a crash; what was owed is not.

use std::collections::BTreeMap;

use ferry_broker::{Admitted, ConnectionInfo, LimitsOf, Promise};
use ferry_core::arguments::Value;
use ferry_core::queue::BURST_MS;

use super::{Node, Scene, Stage, maps};
use crate::model::pace::PaceModel;
use crate::{Checked, violated};

const CONNECTIONS: usize = 3;

/// Longer than any debt here lasts, in milliseconds.
const HOUR_MS: u64 = 3_600_000;

const USERS: [&str; 2] = ["guest", "other"];

/// Whose, and which.
const RATES: [(Whose, &str); 8] = [
    (Whose::Vhost, "publish-rate"),
    (Whose::Vhost, "deliver-rate"),
    (Whose::Vhost, "connection-publish-rate"),
    (Whose::User, "publish-rate"),
    (Whose::User, "deliver-rate"),
    (Whose::User, "connection-deliver-rate"),
    (Whose::Vhost, "connection-deliver-rate"),
    (Whose::User, "connection-publish-rate"),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Whose {
    Vhost,
    User,
}

impl Whose {
    fn of(self) -> LimitsOf {
        match self {
            Whose::Vhost => LimitsOf::Vhost("/".into()),
            Whose::User => LimitsOf::User(USERS[0].into()),
        }
    }
}

/// Rates by their place in `RATES`.
type Kept = BTreeMap<usize, i64>;

/// What passes one way and is shared, or is of one connection.
#[derive(Default, Clone, Copy)]
struct Meter {
    per_s: Option<u64>,
    pace: PaceModel,
}

impl Meter {
    /// Another rate: what was owed under the one before is unknown from here.
    fn set(&mut self, per_s: Option<u64>) {
        if self.per_s != per_s {
            *self = Meter {
                per_s,
                pace: PaceModel::default(),
            };
        }
    }

    fn charge(&mut self, now: u64) {
        if let Some(per_s) = self.per_s {
            self.pace.charge(per_s, now);
        }
    }
}

struct Connection {
    admitted: Admitted,
    /// Of the user who has rates.
    bound: bool,
    own: [Meter; 2],
    /// Until when it was told to wait, each way.
    waits_until: [u64; 2],
}

#[derive(Default)]
pub(super) struct Rates {
    kept: Kept,
    /// What is published, and what is delivered.
    vhost: [Meter; 2],
    user: [Meter; 2],
    connections: Vec<Connection>,
}

impl Rates {
    fn rate(&self, whose: Whose, name: &str) -> Option<u64> {
        let is = |(known, limit): &(Whose, &str)| (*known, *limit) == (whose, name);
        let place = RATES.iter().position(is)?;
        u64::try_from(*self.kept.get(&place)?).ok()
    }

    /// Goes by the rates that are set.
    fn refresh(&mut self) {
        for (way, name) in ["publish", "deliver"].into_iter().enumerate() {
            let shared = format!("{name}-rate");
            let own = format!("connection-{name}-rate");
            let (vhost, user) = (
                self.rate(Whose::Vhost, &shared),
                self.rate(Whose::User, &shared),
            );
            let of_vhost = self.rate(Whose::Vhost, &own);
            let of_user = self.rate(Whose::User, &own);
            self.vhost[way].set(vhost);
            self.user[way].set(user);
            for connection in &mut self.connections {
                let of_user = of_user.filter(|_| connection.bound);
                let lower = of_vhost.into_iter().chain(of_user).min();
                connection.own[way].set(lower);
                connection.waits_until[way] = 0;
            }
        }
    }

    fn set(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let place = stage.random.below(RATES.len() as u64) as usize;
        let (whose, name) = RATES[place];
        let per_s = 1 + stage.random.below(200) as i64;
        let cleared = stage.random.chance(40);
        stage
            .trace
            .line(format!("  {name} of {whose:?}: {per_s} {cleared}"));
        let changed = match cleared {
            true => {
                self.kept.remove(&place);
                stage.broker.clear_limit(whose.of(), name)
            }
            false => {
                self.kept.insert(place, per_s);
                stage.broker.set_limit(whose.of(), name, &Value::I64(per_s))
            }
        };
        // A debt of before the change is paid before anything is compared again.
        stage.clock.advance(HOUR_MS);
        self.refresh();
        match changed {
            Ok(promise) => Ok(promise),
            Err(error) => violated!("{name} is not set: {error}"),
        }
    }

    /// One message passes, if it may.
    fn pass(&mut self, stage: &mut Stage, place: usize, way: usize) -> Checked {
        let (now, connection) = (stage.now(), &mut self.connections[place]);
        if connection.waits_until[way] > now {
            return Ok(());
        }
        let limits = &connection.admitted.limits;
        let until = match way {
            0 => {
                let hold = limits.charge_publish(100, now);
                hold.map(|hold| hold.resumes_at)
            }
            _ => {
                let may = limits.may_deliver();
                if may {
                    limits.charge_delivery(100);
                }
                limits.await_deliveries();
                let at = limits.deliver_resumes_at().filter(|at| *at > now);
                limits.take_awaited(u64::MAX);
                if !may {
                    let owed = meters(&self.vhost, &self.user, connection, way);
                    return match owed.iter().any(|meter| !meter.pace.allows(now)) {
                        true => {
                            connection.waits_until[way] = at.unwrap_or(now);
                            Ok(())
                        }
                        false => violated!("{place} may not get a message, and owes nothing"),
                    };
                }
                at
            }
        };
        self.vhost[way].charge(now);
        if connection.bound {
            self.user[way].charge(now);
        }
        connection.own[way].charge(now);
        connection.waits_until[way] = until.unwrap_or(0);
        let owed = meters(&self.vhost, &self.user, connection, way);
        let must_wait = owed.iter().any(|meter| !meter.pace.allows(now));
        let free_then = |at: u64| owed.iter().all(|meter| meter.pace.allows(at));
        stage
            .trace
            .line(format!("  {place} way {way} until {until:?}"));
        match until {
            None if must_wait => violated!("{place} may go on, and owes something"),
            Some(at) if !must_wait => violated!("{place} waits until {at}, and owes nothing"),
            Some(at) if !free_then(at) => violated!("{place} waits until {at}: too short"),
            Some(at) if at > now + BURST_MS && free_then(at - BURST_MS) => {
                violated!("{place} waits until {at}: too long")
            }
            _ => Ok(()),
        }
    }
}

/// All that bounds a connection one way.
fn meters(
    vhost: &[Meter; 2],
    user: &[Meter; 2],
    connection: &Connection,
    way: usize,
) -> Vec<Meter> {
    let of_user = connection.bound.then_some(user[way]);
    let all = [Some(vhost[way]), of_user, Some(connection.own[way])];
    all.into_iter()
        .flatten()
        .filter(|meter| meter.per_s.is_some())
        .collect()
}

impl Rates {
    /// Everybody connects to a node that has just begun.
    fn connect(&mut self, stage: &Stage) -> Checked {
        for place in 0..CONNECTIONS {
            let bound = place > 0;
            let info = ConnectionInfo {
                user: USERS[usize::from(!bound)].to_owned(),
                vhost: "/".to_owned(),
                ..ConnectionInfo::default()
            };
            match stage.broker.admit_connection(info) {
                Ok(admitted) => self.connections.push(Connection {
                    admitted,
                    bound,
                    own: Default::default(),
                    waits_until: [0; 2],
                }),
                Err(error) => return violated!("a connection: {error}"),
            }
        }
        self.refresh();
        Ok(())
    }
}

impl Scene for Rates {
    type Kept = Kept;

    fn open(stage: &mut Stage) -> Checked<Rates> {
        let mut rates = Rates::default();
        rates.connect(stage)?;
        Ok(rates)
    }

    fn act(&mut self, stage: &mut Stage) -> Checked<Promise> {
        if stage.random.chance(10) {
            return self.set(stage);
        }
        for _ in 0..1 + stage.random.below(30) {
            let place = stage.random.below(CONNECTIONS as u64) as usize;
            let way = stage.random.below(2) as usize;
            self.pass(stage, place, way)?;
            stage.clock.advance(stage.random.below(20));
        }
        Ok(Promise::Now)
    }

    fn check(&mut self, stage: &mut Stage) -> Checked {
        match found(&stage.node())? == self.kept {
            true => Ok(()),
            false => violated!("set are {:?}, not {:?}", stage.broker.limits(), self.kept),
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

    fn resume(&mut self, stage: &mut Stage, kept: Kept) -> Checked {
        *self = Rates {
            kept,
            ..Rates::default()
        };
        self.connect(stage)
    }
}

fn found(node: &Node<'_>) -> Checked<Kept> {
    let mut found = Kept::new();
    for set in node.broker.limits() {
        for (name, value) in set.values {
            let is = |(whose, known): &(Whose, &str)| whose.of() == set.of && *known == name.name();
            match RATES.iter().position(is) {
                Some(place) => found.insert(place, value),
                None => return violated!("{} of {:?} was never set", name.name(), set.of),
            };
        }
    }
    Ok(found)
}
