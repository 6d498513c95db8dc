//! Kinds of messages: what an exchange that is strict asks of documents, commands, events and
//! queries, and what one that is not lets pass.
//!
//! Invariants
//! - A message that is refused is in no queue; any other is in all that its key leads to.
//! - Kinds are counted where they are asked for, each message once.

use std::collections::BTreeMap;

use ferry_broker::{ApplyTo, Policy, Promise, PublishError, Published};
use ferry_core::arguments::Value;

use super::stage::{table, text};
use super::{Node, Post, Scene, Stage};
use crate::{Checked, violated};

/// Where messages go that are looked at, as long as the policy is there.
const EXCHANGE: &str = "amq.topic";

/// The keys and how many of the queues each leads to, the first ones.
const KEYS: [(&str, usize); 3] = [("none", 0), ("one", 1), ("both", 2)];

const QUEUES: [&str; 2] = ["first", "second"];

const KINDS: [&str; 4] = ["document", "command", "event", "query"];

const COUNTERS: [&str; 4] = [
    "documents_published",
    "commands_published",
    "events_published",
    "queries_published",
];

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Kept {
    strict: bool,
    queues: [Vec<u64>; 2],
}

#[derive(Default)]
pub(super) struct Kinds {
    kept: Kept,
    /// By the place in `KINDS`, since the start.
    counted: [u64; 4],
    refused: u64,
}

/// What a message says of itself.
#[derive(Debug, Clone, Copy)]
enum Said {
    Nothing,
    Kind(usize),
    Unknown,
    NoText,
}

impl Kinds {
    /// Whether a strict exchange takes the message.
    fn is_taken(said: Said, answered: bool, queues: usize) -> bool {
        match said {
            Said::Nothing => true,
            Said::Kind(kind) => match KINDS[kind] {
                "command" => queues == 1,
                "query" => answered,
                _ => true,
            },
            Said::Unknown | Said::NoText => false,
        }
    }

    fn turn(&mut self, stage: &mut Stage) -> Checked<Promise> {
        self.kept.strict = !self.kept.strict;
        stage
            .trace
            .line(format!("  strict is {}", self.kept.strict));
        let changed = match self.kept.strict {
            true => stage.broker.set_policy(Policy {
                vhost: "/".to_owned(),
                name: "kinds".to_owned(),
                pattern: EXCHANGE.to_owned(),
                apply_to: ApplyTo::Exchanges,
                priority: 0,
                definition: table(&[("kind-strict", Value::Bool(true))]),
            }),
            false => return self.clear(stage),
        };
        match changed {
            Ok(set) => Ok(set.durable_at),
            Err(error) => violated!("the policy: {error}"),
        }
    }

    fn clear(&mut self, stage: &Stage) -> Checked<Promise> {
        match stage.broker.clear_policy("/", "kinds") {
            Ok(promise) => Ok(promise),
            Err(error) => violated!("the policy does not go: {error}"),
        }
    }

    fn publish(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let said = match stage.random.below(10) {
            0 => Said::Nothing,
            1 => Said::Unknown,
            2 => Said::NoText,
            _ => Said::Kind(stage.random.below(4) as usize),
        };
        let (key, queues) = stage.one_of(&KEYS);
        let answered = stage.random.chance(50);
        let mut post = Post::by(EXCHANGE, key);
        match said {
            Said::Nothing => {}
            Said::Kind(kind) => post.headers.push(("x-kind", text(KINDS[kind]))),
            Said::Unknown => post.headers.push(("x-kind", text("Command"))),
            Said::NoText => post.headers.push(("x-kind", Value::I64(1))),
        }
        if answered {
            post.headers.push(("reply-to", text("somebody")));
        }
        let posted = stage.publish(post)?;
        let expected = match queues {
            0 => Published::Unroutable,
            _ => Published::Routed,
        };
        match &posted.published {
            Err(PublishError::RuleBroken(_)) if self.kept.strict => {
                self.refused += 1;
                match Kinds::is_taken(said, answered, queues) {
                    true => violated!("{} is refused, and is {said:?}", posted.id),
                    false => Ok(Promise::Now),
                }
            }
            Ok(published) if *published == expected => {
                if self.kept.strict && !Kinds::is_taken(said, answered, queues) {
                    return violated!("{} is taken, and is {said:?}", posted.id);
                }
                if let (Said::Kind(kind), true) = (said, self.kept.strict) {
                    self.counted[kind] += 1;
                }
                let taking = &mut self.kept.queues[..queues];
                taking.iter_mut().for_each(|queue| queue.push(posted.id));
                Ok(posted.promise)
            }
            other => violated!("{} is {other:?}, and is {said:?} to {queues}", posted.id),
        }
    }
}

impl Scene for Kinds {
    type Kept = Kept;

    fn open(stage: &mut Stage) -> Checked<Kinds> {
        for queue in QUEUES {
            stage.declare(queue, &[])?;
        }
        stage.bind(EXCHANGE, QUEUES[0], "one")?;
        for queue in QUEUES {
            stage.bind(EXCHANGE, queue, "both")?;
        }
        Ok(Kinds::default())
    }

    fn act(&mut self, stage: &mut Stage) -> Checked<Promise> {
        match stage.random.below(20) {
            0 => self.turn(stage),
            1..=6 => {
                let place = stage.random.below(2) as usize;
                let queue = &mut self.kept.queues[place];
                let must = (!queue.is_empty()).then(|| queue.remove(0));
                match stage.take(QUEUES[place])? {
                    got if got == must => Ok(Promise::Now),
                    got => violated!("{} gave {got:?}, not {must:?}", QUEUES[place]),
                }
            }
            _ => self.publish(stage),
        }
    }

    fn check(&mut self, stage: &mut Stage) -> Checked {
        let must = self.counted.into_iter().chain([self.refused]);
        let names = COUNTERS.into_iter().chain(["messages_refused"]);
        let counts: BTreeMap<&str, u64> = names.zip(must).collect();
        for (name, must) in counts {
            let is = stage.counted(name)?;
            if is != must {
                return violated!("{name} is {is}, and must be {must}");
            }
        }
        for (queue, must) in QUEUES.into_iter().zip(&self.kept.queues) {
            let ready = stage.queue(queue)?.ready();
            if ready != must.len() as u64 {
                return violated!("{queue} has {ready} messages, not {}", must.len());
            }
        }
        Ok(())
    }

    fn kept(&self) -> Kept {
        self.kept.clone()
    }

    fn find(node: &Node<'_>) -> Checked<Kept> {
        Ok(Kept {
            strict: !node.vhost.policies().is_empty(),
            queues: [node.drain(QUEUES[0])?, node.drain(QUEUES[1])?],
        })
    }

    fn resume(&mut self, _: &mut Stage, kept: Kept) -> Checked {
        *self = Kinds {
            kept,
            ..Kinds::default()
        };
        Ok(())
    }
}
