//! Passports: what is told of a message is what happened to it, at the time at which it did.
//!
//! Invariants
//! - Of a message that goes through a queue with a passport everything is told, in order; of one
//!   that does not, nothing.
//! - After a start nothing is told of what was before.
//! - A message is in one of its queues at least until it was acknowledged or dropped.

use std::collections::{BTreeMap, BTreeSet};

use ferry_broker::{Event, Lease, Outcome, Promise};
use ferry_core::arguments::Value;

use super::stage::text;
use super::{Node, Post, Scene, Stage};
use crate::model::found::State;
use crate::{Checked, peek, violated};

/// A queue whose dead letters go to the next one, that one, and one without a passport.
const QUEUES: [&str; 3] = ["noted", "dead", "plain"];

/// When, in which queue, and what.
type Told = (u64, Option<String>, String);

/// Messages and the queues that they are in.
type Kept = BTreeSet<(u64, String)>;

#[derive(Default)]
pub(super) struct Passports {
    kept: Kept,
    /// Those that wait, and until when.
    delayed: BTreeMap<u64, u64>,
    held: Vec<(u64, String, Lease)>,
    told: BTreeMap<u64, Vec<Told>>,
}

fn told_as(event: &Event) -> String {
    match event {
        Event::Published {
            exchange,
            routing_key,
            bytes,
            ..
        } => format!("published {exchange}/{routing_key} {bytes}"),
        Event::Routed {
            exchange,
            binding_key,
            ..
        } => format!("routed {exchange} {binding_key:?}"),
        Event::Delayed { until } => format!("delayed {until}"),
        Event::Delivered {
            consumer, auto_ack, ..
        } => format!("delivered {consumer:?} {auto_ack}"),
        Event::Dropped { reason } => format!("dropped {reason}"),
        Event::DeadLettered {
            reason,
            exchange,
            routing_key,
            queues,
        } => format!("dead {reason} {exchange}/{routing_key} {queues:?}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn name(id: u64) -> String {
    format!("m{id}")
}

impl Passports {
    fn tell(&mut self, id: u64, at: u64, queue: Option<&str>, what: impl Into<String>) {
        if queue != Some("plain") {
            let told = (at, queue.map(str::to_owned), what.into());
            self.told.entry(id).or_default().push(told);
        }
    }

    fn publish(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let now = stage.now();
        let queue = stage.one_of(&QUEUES);
        let bound = stage.random.chance(30);
        let post = match bound {
            true => Post::by("amq.direct", queue),
            false => Post::to(queue),
        };
        let wait_ms = 1 + stage.random.below(3_000);
        let deliver_at = stage.random.chance(25).then(|| now + wait_ms);
        let id = stage.next_message;
        let (exchange, key) = (post.exchange, post.key);
        let posted = stage.publish(Post {
            headers: vec![("message-id", text(&name(id)))],
            deliver_at,
            ..post
        })?;
        if queue != "plain" {
            let what = format!("published {exchange}/{key} {}", posted.size);
            self.tell(id, now, None, what);
            if bound {
                let what = format!("routed amq.direct {:?}", Some(queue));
                self.tell(id, now, Some(queue), what);
            }
        }
        self.tell(id, now, Some(queue), "entered");
        if let Some(until) = deliver_at {
            self.tell(id, now, Some(queue), format!("delayed {until}"));
            self.delayed.insert(id, until);
        }
        self.kept.insert((id, queue.to_owned()));
        Ok(posted.promise)
    }

    fn get(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let queue = stage.one_of(&QUEUES);
        let no_ack = stage.random.chance(20);
        let Some(got) = stage.node().get(queue, no_ack)? else {
            return Ok(Promise::Now);
        };
        let (id, name) = (got.id, queue.to_owned());
        stage.trace.line(format!("  {queue} gives {id} {no_ack}"));
        if !self.kept.contains(&(id, name.clone())) || self.delayed.contains_key(&id) {
            return violated!("{queue} gives {id}, which is not ready there");
        }
        let what = format!("delivered None {no_ack}");
        self.tell(id, stage.now(), Some(queue), what);
        match got.lease {
            Some(lease) => self.held.push((id, name, lease)),
            None => drop(self.kept.remove(&(id, name))),
        }
        Ok(Promise::Now)
    }

    fn settle(&mut self, stage: &mut Stage) -> Checked<Promise> {
        if self.held.is_empty() {
            return Ok(Promise::Now);
        }
        let place = stage.random.below(self.held.len() as u64) as usize;
        let (id, queue, lease) = self.held.remove(place);
        let outcome = stage.one_of(&[Outcome::Accept, Outcome::Requeue, Outcome::Reject]);
        stage.trace.line(format!("  {id} of {queue}: {outcome:?}"));
        stage.settle(&queue, lease, outcome)?;
        let (now, at) = (stage.now(), Some(queue.as_str()));
        match outcome {
            Outcome::Accept => self.tell(id, now, at, "acked"),
            Outcome::Reject => self.tell(id, now, at, "rejected"),
            _ => self.tell(id, now, at, "returned"),
        }
        if outcome != Outcome::Requeue {
            self.kept.remove(&(id, queue.clone()));
        }
        match (outcome, queue.as_str()) {
            (Outcome::Reject, "noted") => {
                let what = format!("dead rejected /dead {:?}", ["dead"]);
                self.tell(id, now, at, what);
                self.tell(id, now, Some("dead"), "entered");
                self.kept.insert((id, "dead".to_owned()));
            }
            (Outcome::Reject, _) => self.tell(id, now, at, "dropped rejected"),
            _ => {}
        }
        Ok(Promise::Now)
    }
}

impl Scene for Passports {
    type Kept = Kept;

    fn open(stage: &mut Stage) -> Checked<Passports> {
        let noted = ("x-passport", Value::Bool(true));
        let dead = [
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(QUEUES[1])),
            noted.clone(),
        ];
        stage.declare(QUEUES[0], &dead)?;
        stage.declare(QUEUES[1], &[noted])?;
        stage.declare(QUEUES[2], &[])?;
        for queue in QUEUES {
            stage.bind("amq.direct", queue, queue)?;
        }
        Ok(Passports::default())
    }

    fn act(&mut self, stage: &mut Stage) -> Checked<Promise> {
        match stage.random.below(10) {
            0..=3 => self.publish(stage),
            4..=6 => self.get(stage),
            _ => self.settle(stage),
        }
    }

    fn check(&mut self, stage: &mut Stage) -> Checked {
        let now = stage.now();
        let awake = self.delayed.extract_if(.., |_, until| *until <= now);
        for id in awake.map(|(id, _)| id).collect::<Vec<_>>() {
            let queue = self.kept.iter().find(|(known, _)| *known == id);
            if let Some((_, queue)) = queue.cloned() {
                self.tell(id, now, Some(&queue), "awake");
            }
        }
        for id in 1..stage.next_message {
            let hops = stage.broker.passport("/", name(id).as_bytes());
            let told = hops.unwrap_or_default().into_iter();
            let told: Vec<Told> = told
                .map(|hop| (hop.at, hop.queue, told_as(&hop.event)))
                .collect();
            let must = self.told.get(&id).map_or(&[][..], Vec::as_slice);
            if told != must {
                return violated!("of {id} is told {told:?}, and happened {must:?}");
            }
        }
        Ok(())
    }

    fn kept(&self) -> Kept {
        self.kept.clone()
    }

    fn find(node: &Node<'_>) -> Checked<Kept> {
        let mut found = Kept::new();
        for queue in QUEUES {
            for message in peek::all(node.broker, &node.queue(queue)?)? {
                let Some(id) = message.seen.message else {
                    return violated!("{queue} has a message that is not whole");
                };
                found.insert((id, queue.to_owned()));
            }
        }
        Ok(found)
    }

    fn is_between(found: &Kept, before: &Kept, after: &Kept) -> bool {
        let known = |one: &(u64, String)| before.contains(one) || after.contains(one);
        let stays = |(id, _): &(u64, String)| {
            let there = |all: &Kept| all.iter().any(|(other, _)| other == id);
            !(there(before) && there(after)) || there(found)
        };
        let same = before.intersection(after).all(|one| found.contains(one));
        same && found.iter().all(known) && before.iter().all(stays)
    }

    fn resume(&mut self, stage: &mut Stage, kept: Kept) -> Checked {
        let mut delayed = BTreeMap::new();
        for queue in QUEUES {
            for message in peek::all(&stage.broker, &stage.queue(queue)?)? {
                if let (Some(id), State::Delayed(until)) = (message.seen.message, message.state) {
                    delayed.insert(id, until);
                }
            }
        }
        *self = Passports {
            kept,
            delayed,
            ..Passports::default()
        };
        Ok(())
    }
}
