//! Gathering: requests whose replies become one answer each.
//!
//! Invariants
//! - A gathering is answered once: with its count, or with what there is when its time is over; the
//!   one of a requester that is gone is not answered.
//! - An answer has the replies that came, whole and in their order.
//! - Nothing of a gathering is in the account of memory when it is over; nothing of it is there
//!   after a start but its answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ferry_broker::{Burst, Delivery, GatherSpec, MessageFormat, Outlet, Promise, Published};
use ferry_core::arguments::Value;

use super::{Node, Post, Scene, Stage, maps};
use crate::body::body;
use crate::format::{FORMAT, SimFormat, headed};
use crate::{Checked, violated};

/// Where answers go.
const ANSWERS: &str = "answers";

/// What an answer says: whether it is complete, how many replies it has, and their bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    complete: bool,
    count: u64,
    bodies: Vec<u8>,
}

struct Ongoing {
    request: u64,
    key: String,
    count: Option<u64>,
    deadline: u64,
    replies: Vec<u8>,
    got: u64,
    /// Whom the answer goes to, if to no queue.
    requester: Option<String>,
}

#[derive(Default)]
pub(super) struct Gather {
    ongoing: Vec<Ongoing>,
    /// Answers that are in the queue, by their request.
    answers: BTreeMap<u64, Answer>,
    late: u64,
    /// Keys of gatherings that are over.
    old: VecDeque<String>,
    next: u64,
}

/// A requester without a queue: it only goes away here.
struct Nobody;

impl Outlet for Nobody {
    fn admit(&self, _bytes: usize) -> bool {
        true
    }

    fn deliver(&self, _: Delivery<'_>) {}

    fn forgo(&self, _admitted_bytes: usize) {}

    fn cancelled(&self) {}
}

impl Gather {
    fn request(&mut self, stage: &mut Stage) -> Checked<Promise> {
        self.next += 1;
        let request = self.next;
        let count = stage.random.chance(70).then(|| 1 + stage.random.below(5));
        let timeout_ms = 1 + stage.random.below(4_000);
        let requester = stage
            .random
            .chance(20)
            .then(|| stage.broker.direct_reply_open(Arc::new(Nobody)));
        let reply_to = requester.as_deref().unwrap_or(ANSWERS);
        let spec = GatherSpec {
            count,
            timeout_ms: Some(timeout_ms),
            reply_to: reply_to.as_bytes().to_vec(),
            format: FORMAT,
            properties: headed(request, &[]),
            persistent: true,
        };
        let gathering = match stage.broker.gather(&stage.vhost, spec) {
            Ok(gathering) => gathering,
            Err(error) => return violated!("a gathering: {error}"),
        };
        let key = gathering.key().to_owned();
        let mut burst = Burst::new();
        burst.gather(gathering);
        if stage.random.chance(10) {
            burst.clear(); // Rolled back: it never begins.
            return Ok(Promise::Now);
        }
        burst.submit(&stage.broker);
        let what = format!("  {request} gathers {count:?} for {timeout_ms} ms");
        stage.trace.line(what);
        self.ongoing.push(Ongoing {
            request,
            key,
            count,
            deadline: stage.now() + timeout_ms,
            replies: Vec::new(),
            got: 0,
            requester,
        });
        Ok(Promise::Now)
    }

    fn reply(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let count = self.ongoing.len() as u64;
        let late = count == 0 || stage.random.chance(10);
        if late {
            let Some(key) = self.old.front().cloned() else {
                return Ok(Promise::Now);
            };
            self.late += 1;
            return self
                .send(stage, &key, Published::Unroutable)
                .map(|_| Promise::Now);
        }
        let place = stage.random.below(count) as usize;
        let key = self.ongoing[place].key.clone();
        let bytes = self.send(stage, &key, Published::Routed)?;
        let ongoing = &mut self.ongoing[place];
        ongoing.replies.extend(bytes);
        ongoing.got += 1;
        if ongoing.count == Some(ongoing.got) {
            let ended = self.ongoing.remove(place);
            self.ended(ended, true);
        }
        Ok(Promise::Now)
    }

    fn send(&mut self, stage: &mut Stage, key: &str, expected: Published) -> Checked<Vec<u8>> {
        // Names of gatherings are no two times the same: they stay out of the trace.
        let size = 8 + stage.random.below(300) as u32;
        let posted = stage.publish(Post {
            body_bytes: Some(size),
            unnamed: true,
            ..Post::to(key)
        })?;
        match posted.published {
            Ok(published) if published == expected => Ok(body(posted.id, size)),
            other => violated!("a reply is {other:?}, not {expected:?}"),
        }
    }

    fn ended(&mut self, ended: Ongoing, complete: bool) {
        self.old.push_front(ended.key);
        self.old.truncate(5);
        if ended.requester.is_none() {
            let answer = Answer {
                complete,
                count: ended.got,
                bodies: ended.replies,
            };
            self.answers.insert(ended.request, answer);
        }
    }

    /// A requester goes, and with it what it waits for.
    fn leave(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let leaving = |ongoing: &Ongoing| ongoing.requester.is_some();
        if let Some(place) = self.ongoing.iter().position(leaving) {
            let gone = self.ongoing.remove(place);
            if let Some(key) = &gone.requester {
                stage.broker.direct_reply_close(key);
            }
            stage
                .trace
                .line(format!("  nobody waits for {}", gone.request));
            self.old.push_front(gone.key);
        }
        Ok(Promise::Now)
    }

    fn take(&mut self, stage: &mut Stage) -> Checked<Promise> {
        let found = answers_of(&stage.node(), 1)?;
        match found.into_iter().next() {
            None if self.answers.is_empty() => Ok(Promise::Now),
            Some((request, answer)) if self.answers.get(&request) == Some(&answer) => {
                stage.trace.line(format!("  {request} is answered"));
                self.answers.remove(&request);
                Ok(Promise::Now)
            }
            other => violated!("the answer is {other:?}, and may be {:?}", self.answers),
        }
    }
}

/// Takes so many answers.
fn answers_of(node: &Node<'_>, most: usize) -> Checked<BTreeMap<u64, Answer>> {
    let mut found = BTreeMap::new();
    let (queue, mut strange) = (node.queue(ANSWERS)?, None);
    let mut take = |delivery: Delivery<'_>| {
        let message = &delivery.message;
        let headers = SimFormat.headers(message.properties());
        let number = |name| headers.get(name).and_then(Value::as_integer);
        let told = (number("n"), number("x-gather-received"));
        let complete = headers.get("x-gather-complete").and_then(Value::as_bool);
        let (Some(request), Some(count), Some(complete)) = (told.0, told.1, complete) else {
            strange = Some(headers);
            return;
        };
        let answer = Answer {
            complete,
            count: count as u64,
            bodies: message.body().to_vec(),
        };
        if found.insert(request as u64, answer).is_some() {
            strange = Some(headers);
        }
    };
    for _ in 0..most {
        if !matches!(node.broker.get(&queue, true, &mut take), Ok(true)) {
            break;
        }
    }
    match strange {
        None => Ok(found),
        Some(headers) => violated!("an answer comes a second time, or is none: {headers:?}"),
    }
}

impl Scene for Gather {
    type Kept = BTreeMap<u64, Answer>;

    fn open(stage: &mut Stage) -> Checked<Gather> {
        stage.declare(ANSWERS, &[])?;
        Ok(Gather::default())
    }

    fn act(&mut self, stage: &mut Stage) -> Checked<Promise> {
        match stage.random.below(10) {
            0 | 1 => self.request(stage),
            2 => self.leave(stage),
            3 => self.take(stage),
            _ => self.reply(stage),
        }
    }

    fn check(&mut self, stage: &mut Stage) -> Checked {
        let now = stage.now();
        let over = self
            .ongoing
            .extract_if(.., |ongoing| ongoing.deadline <= now);
        let over: Vec<Ongoing> = over.collect();
        over.into_iter()
            .for_each(|ongoing| self.ended(ongoing, false));
        let (is, must) = (stage.broker.gatherings(), self.ongoing.len());
        let (ready, answers) = (stage.queue(ANSWERS)?.ready(), self.answers.len() as u64);
        if (is, ready) != (must, answers) {
            return violated!("{is} gatherings and {ready} answers, not {must} and {answers}");
        }
        let late = stage.counted("gather_replies_late")?;
        if late != self.late {
            return violated!("{late} replies were late, not {}", self.late);
        }
        let used = stage.broker.memory().body_bytes();
        let replies: usize = self
            .ongoing
            .iter()
            .map(|ongoing| ongoing.replies.len())
            .sum();
        match (used, replies) {
            (0, 0) => Ok(()),
            (used, replies) if replies > 0 && used >= replies as u64 => Ok(()),
            _ => violated!("{used} bytes of memory are used for replies of {replies}"),
        }
    }

    fn kept(&self) -> Self::Kept {
        self.answers.clone()
    }

    fn find(node: &Node<'_>) -> Checked<Self::Kept> {
        answers_of(node, usize::MAX)
    }

    fn is_between(found: &Self::Kept, before: &Self::Kept, after: &Self::Kept) -> bool {
        maps::is_between(found, before, after)
    }

    fn resume(&mut self, _: &mut Stage, kept: Self::Kept) -> Checked {
        *self = Gather {
            answers: kept,
            next: self.next,
            ..Gather::default()
        };
        Ok(())
    }
}
