//! De-duplication by an exchange: a message of one id once, over crashes and full queues.
//!
//! Invariants
//! - A message whose id the exchange knows goes nowhere and is confirmed as if it had.
//! - The id of a message that a full queue refused, or that had no route, is as if it was never
//!   used.
//! - A crash leaves no id without its message, and no message without its id.

use std::collections::BTreeSet;

use ferry_broker::{Burst, Exchange, ExchangeKind, NoView, Promise, Published, Publisher};
use ferry_core::arguments::Value;
use ferry_core::message::Draft;

use super::stage::{Posted, table, text};
use super::{Node, Post, Scene, Stage};
use crate::body::body;
use crate::format::{headed, plain};
use crate::{Checked, Violation, violated};

const EXCHANGE: &str = "once";

/// The last one is full soon, and refuses then.
const QUEUES: [&str; 2] = ["roomy", "small"];

/// The keys, and how many of the queues each leads to, the last ones.
const KEYS: [(&str, usize); 3] = [("none", 0), ("small", 1), ("both", 2)];

const SMALL_MAX: usize = 3;

/// So many ids that they are drawn again soon.
const IDS: u64 = 40;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Kept {
    queues: [Vec<u64>; 2],
    known: BTreeSet<u64>,
    /// The id and the number of what was refused last: its record is undone by the next one.
    tried: Option<(u64, u64)>,
}

pub(super) struct Once(Kept);

fn post(key: &str, id: u64) -> Post<'_> {
    Post {
        headers: vec![("id", Value::U64(id))],
        ..Post::by(EXCHANGE, key)
    }
}

impl Once {
    fn publish(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let id = 1 + stage.random.below(IDS);
        let (key, count) = stage.one_of(&KEYS);
        let Posted {
            id: message,
            published,
            refused,
            promise,
            ..
        } = stage.publish(post(key, id))?;
        let known = self.0.known.contains(&id);
        let is_full = self.0.queues[1].len() >= SMALL_MAX;
        let expected = match known || count > 0 {
            true => Published::Routed,
            false => Published::Unroutable,
        };
        if published != Ok(expected) || refused != (!known && count > 0 && is_full) {
            return violated!("{message} of {id} is {published:?} {refused}, known is {known}");
        }
        if known || count == 0 {
            return Ok(promise);
        }
        // What one queue refuses another one may have.
        if refused {
            self.0.tried = Some((id, message));
        } else {
            self.0.known.insert(id);
            self.0.queues[1].push(message);
        }
        if count == 2 {
            self.0.queues[0].push(message);
        }
        Ok(promise)
    }

    fn take(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let place = stage.random.below(2) as usize;
        let queue = &mut self.0.queues[place];
        let must = (!queue.is_empty()).then(|| queue.remove(0));
        match stage.take(QUEUES[place])? {
            got if got == must => Ok(Promise::Now),
            got => violated!("{} gave {got:?}, not {must:?}", QUEUES[place]),
        }
    }
}

/// Whether the exchange of a copy, whose queues are empty, takes no message of that id.
fn is_known(node: &Node<'_>, id: u64) -> Checked<bool> {
    let (properties, body) = (headed(0, &[("id", Value::U64(id))]), body(0, 8));
    let draft = Draft {
        exchange: EXCHANGE.as_bytes(),
        ..plain("both", &properties, &body)
    };
    let mut publisher = Publisher::new(node.vhost.clone());
    let mut burst = Burst::new();
    let published = burst.publish(node.broker, &mut publisher, &draft, &NoView, None);
    if published != Ok(Published::Routed) {
        return violated!("a probe of {id}: {published:?}");
    }
    burst.submit(node.broker);
    let copies = (node.drain(QUEUES[0])?.len(), node.drain(QUEUES[1])?.len());
    match copies {
        (0, 0) => Ok(true),
        (1, 1) => Ok(false),
        other => violated!("a probe of {id} is in {other:?} queues"),
    }
}

impl Scene for Once {
    type Kept = Kept;

    fn open(stage: &mut Stage) -> Checked<Once> {
        stage.declare(QUEUES[0], &[])?;
        let small = [
            ("x-max-length", Value::I64(SMALL_MAX as i64)),
            ("x-overflow", text("reject-publish")),
        ];
        stage.declare(QUEUES[1], &small)?;
        let exchange = Exchange {
            arguments: table(&[
                ("x-message-deduplication", Value::Bool(true)),
                ("x-cache-size", Value::I64(10 * IDS as i64)),
            ]),
            ..Exchange::new(EXCHANGE, ExchangeKind::Topic)
        };
        let declared = stage.vhost.declare_exchange(exchange);
        declared.map_err(|error| Violation(format!("the exchange: {error}")))?;
        stage.bind(EXCHANGE, QUEUES[1], "small")?;
        for queue in QUEUES {
            stage.bind(EXCHANGE, queue, "both")?;
        }
        Ok(Once(Kept::default()))
    }

    fn act(&mut self, stage: &mut Stage) -> Checked<Promise> {
        self.0.tried = None;
        match stage.random.chance(60) {
            true => self.publish(stage),
            false => self.take(stage),
        }
    }

    fn check(&mut self, stage: &mut Stage) -> Checked {
        for (queue, must) in QUEUES.into_iter().zip(&self.0.queues) {
            let ready = stage.queue(queue)?.ready();
            if ready != must.len() as u64 {
                return violated!("{queue} has {ready} messages, not {}", must.len());
            }
        }
        Ok(())
    }

    fn kept(&self) -> Kept {
        self.0.clone()
    }

    fn find(node: &Node<'_>) -> Checked<Kept> {
        let queues = [node.drain(QUEUES[0])?, node.drain(QUEUES[1])?];
        let mut known = BTreeSet::new();
        for id in 1..=IDS {
            if is_known(node, id)? {
                known.insert(id);
            }
        }
        Ok(Kept {
            queues,
            known,
            tried: None,
        })
    }

    fn is_between(found: &Kept, before: &Kept, after: &Kept) -> bool {
        let decided = |kept: &Kept| Kept {
            tried: None,
            ..kept.clone()
        };
        let mut undecided = decided(after);
        if let Some((id, message)) = after.tried {
            undecided.known.insert(id);
            undecided.queues[1].push(message);
        }
        [decided(before), decided(after), undecided].contains(found)
    }

    fn resume(&mut self, _: &mut Stage, kept: Kept) -> Checked {
        self.0 = kept;
        Ok(())
    }
}
