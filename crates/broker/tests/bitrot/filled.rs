//! A directory that a broker has filled, and what must be in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ferry_broker::{Outcome, Publisher, QueueHandle};
use ferry_core::arguments::{Arguments, Value};
use ferry_core::message::Draft;
use ferry_log::testing::{FaultyDisk, Random};
use ferry_log::{Disk, Position};

use crate::common::doors::{self, dying_to, take};
use crate::common::properties::{FORMAT_FULL, Full};
use crate::common::{HandClock, Node, Seen};

pub const STREAM: &str = "stream";
const EXCHANGE: &str = "news";
/// Longer than all that waits in a directory.
pub const LONG_MS: u64 = 7_200_000;

/// A message in a queue.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Everything that put it there is before this.
    pub entered: Position,
    /// Everything that took it away is before this.
    pub left: Option<Position>,
}

/// A filled directory.
pub struct Filled {
    pub disk: FaultyDisk,
    /// The same directory some time before.
    pub earlier: FaultyDisk,
    pub now: u64,
    /// The broker was stopped in order.
    pub clean: bool,
    /// Queues, their numbers, and the messages that they have or had.
    pub queues: BTreeMap<String, (u64, BTreeMap<u32, Place>)>,
    /// Where the text of each body stands in the segments.
    pub texts: BTreeMap<u32, Vec<Position>>,
    pub last_segment: u32,
}

/// The body of a message: its number at both ends, and what follows from it in between.
pub fn body(id: u32) -> String {
    let length = u64::from(id).wrapping_mul(0x9E37_79B9) >> 7;
    let long = if id.is_multiple_of(7) { 9000 } else { 900 };
    let filler: String = (0..length % long)
        .map(|at| char::from(b'a' + ((at + u64::from(id)) % 26) as u8))
        .collect();
    format!("<{id:08}{filler}{id:08}>")
}

/// The number of a body that is right in every byte.
pub fn id_of(text: &[u8]) -> Option<u32> {
    let id = std::str::from_utf8(text.get(1..9)?).ok()?.parse().ok()?;
    (body(id).as_bytes() == text).then_some(id)
}

struct Filling {
    node: Node,
    random: Random,
    next: u32,
    queues: BTreeMap<String, (u64, BTreeMap<u32, Place>)>,
}

impl Filled {
    pub fn by(random: &mut Random) -> Filled {
        let mut filling = Filling::new(Random::new(random.any()));
        let steps = 60 + random.below(140);
        let early = random.below(steps);
        let mut earlier = filling.node.disk.fork(1);
        for step in 0..steps {
            filling.step();
            if step == early {
                filling.node.broker.commit_log().unwrap();
                earlier = filling.node.disk.fork(1);
            }
        }
        filling.end(earlier, random.chance(50))
    }
}

impl Filling {
    fn new(random: Random) -> Filling {
        let node = Node::new();
        let mut queues = BTreeMap::new();
        for (name, arguments) in [
            ("plain", vec![]),
            ("other", vec![]),
            ("session", vec![]),
            ("dead", vec![]),
            ("dying", dying_to("dead").to_vec()),
            ("levels", vec![("x-max-priority", Value::I32(5))]),
            ("sharded", vec![("x-shards", Value::I32(4))]),
            (STREAM, vec![("x-queue-type", Value::from("stream"))]),
        ] {
            let queue = node.declare(name, &arguments).queue;
            queues.insert(name.to_owned(), (queue.id().0, BTreeMap::new()));
        }
        doors::exchange(&node, EXCHANGE, true, &[]);
        doors::bind(&node, EXCHANGE, "plain", "#");
        doors::bind(&node, EXCHANGE, STREAM, "#");
        Filling {
            node,
            random,
            next: 1,
            queues,
        }
    }

    fn queue(&self, name: &str) -> Arc<QueueHandle> {
        self.node.queue(name)
    }

    fn any(&mut self, names: &[&'static str]) -> &'static str {
        names[self.random.below(names.len() as u64) as usize]
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..45 => self.publish(false),
            45..50 => self.publish(true),
            50..72 => self.settle(),
            72..78 => self.remember(),
            78..84 => self.transact(),
            84..90 => self.node.pass(1000),
            90..93 => self.node.broker.checkpoint().unwrap(),
            93..95 => self.node.broker.upkeep().unwrap(),
            _ => self.node.broker.commit_log().map(|_| ()).unwrap(),
        }
    }

    /// Stages a message to `queue`, or through the exchange.
    fn stage(&mut self, queue: Option<&str>, waits: bool) -> u32 {
        let id = self.next;
        self.next += 1;
        let (key, text) = (format!("key-{id}"), body(id));
        let headers = [("x-shard-key", Value::from(&*key))];
        let now = self.node.broker.now();
        let draft = Draft {
            format: FORMAT_FULL,
            persistent: true,
            dead_lettered: false,
            priority: (id % 6) as u8,
            ttl_ms: None,
            published_ms: now,
            deliver_at: waits.then(|| now + LONG_MS / 2 + u64::from(id)),
            id: None,
            exchange: if queue.is_some() { "" } else { EXCHANGE }.as_bytes(),
            routing_key: queue.unwrap_or("a.b").as_bytes(),
            properties: &Full::new("", &headers).write(),
            body: text.as_bytes(),
        };
        let headers = Arguments::from_iter(headers);
        let mut publisher = Publisher::new(Arc::clone(&self.node.vhost));
        let Node { broker, burst, .. } = &mut self.node;
        burst
            .publish(broker, &mut publisher, &draft, &headers, None)
            .unwrap();
        id
    }

    fn enter(&mut self, name: &str, id: u32) {
        let entered = self.node.broker.log().end();
        let place = Place {
            entered,
            left: None,
        };
        self.queues.get_mut(name).unwrap().1.insert(id, place);
    }

    fn leave(&mut self, name: &str, id: u32) {
        let left = self.node.broker.log().end();
        let place = self.queues.get_mut(name).unwrap().1.get_mut(&id).unwrap();
        place.left = Some(left);
    }

    fn publish(&mut self, through_exchange: bool) {
        let count = 1 + self.random.below(6);
        let name = self.any(&[
            "plain", "other", "session", "dying", "levels", "sharded", STREAM,
        ]);
        let waits = !through_exchange && name != STREAM && self.random.chance(15);
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.stage((!through_exchange).then_some(name), waits));
        }
        self.node.burst.submit(&self.node.broker);
        for id in ids {
            match through_exchange {
                false => self.enter(name, id),
                true => ["plain", STREAM]
                    .iter()
                    .for_each(|name| self.enter(name, id)),
            }
        }
    }

    /// Takes some messages and lets them go, or not.
    fn settle(&mut self) {
        for _ in 0..1 + self.random.below(8) {
            let name = self.any(&["plain", "other", "dying", "levels", "sharded", "dead"]);
            let Some(seen) = take(&self.node, &self.queue(name)) else {
                continue;
            };
            let id = id_of(&seen.body).expect("a body comes back as it was published");
            let outcome = match self.random.below(4) {
                0 | 1 => Outcome::Accept,
                2 if name == "dying" => Outcome::Reject,
                2 => Outcome::Delay(Some(LONG_MS / 2)),
                _ => Outcome::Requeue,
            };
            self.node.settle(&seen, outcome);
            match outcome {
                Outcome::Accept => self.leave(name, id),
                Outcome::Reject => {
                    self.node.broker.tick();
                    self.leave(name, id);
                    self.enter("dead", id);
                }
                _ => {}
            }
        }
    }

    /// What a session's door writes down: numbers of the queue and of messages.
    fn remember(&mut self) {
        let (queue, key) = (self.queue("session"), self.random.below(50) as u32);
        let on = self.random.chance(60);
        self.node.burst.note(&queue, key, on);
        if let Some(seen) = take(&self.node, &queue) {
            let lease = seen.lease.unwrap();
            self.node.burst.tag(&queue, lease, key + 1);
            self.node.burst.settle(&queue, lease, Outcome::Requeue);
        }
        self.node.burst.submit(&self.node.broker);
    }

    fn transact(&mut self) {
        let taken: Option<Seen> = take(&self.node, &self.queue("other"));
        let ids = [
            self.stage(Some("plain"), false),
            self.stage(Some("levels"), false),
        ];
        let left = taken.map(|seen| {
            let (queue, lease) = (seen.queue.clone().unwrap(), seen.lease.unwrap());
            self.node.burst.settle(&queue, lease, Outcome::Accept);
            id_of(&seen.body).expect("a body comes back as it was published")
        });
        let Node { broker, burst, .. } = &mut self.node;
        broker.commit(burst).unwrap();
        self.enter("plain", ids[0]);
        self.enter("levels", ids[1]);
        if let Some(id) = left {
            self.leave("other", id);
        }
    }

    /// Everything is synced, and that it is is written down, as in any quiet moment.
    fn end(self, earlier: FaultyDisk, clean: bool) -> Filled {
        let Filling { node, queues, .. } = self;
        node.broker.commit_log().unwrap();
        match clean {
            true => node.broker.close().map(|_| ()).unwrap(),
            false => {
                node.broker.log().attest();
                node.broker.commit_log().unwrap();
            }
        }
        let now = node.broker.now();
        let disk = node.disk.fork(2);
        drop(node);
        let (texts, last_segment) = texts_in(&disk);
        Filled {
            disk,
            earlier,
            now,
            clean,
            queues,
            texts,
            last_segment,
        }
    }
}

/// The numbers of all segments, with their names.
pub fn segments(disk: &FaultyDisk) -> Vec<(u32, String)> {
    let number = |name: &String| {
        name.strip_prefix("seg-")?
            .strip_suffix(".log")?
            .parse()
            .ok()
    };
    let names = disk.list().unwrap().into_iter();
    let mut all: Vec<_> = names
        .filter_map(|name| Some((number(&name)?, name)))
        .collect();
    all.sort();
    all
}

fn texts_in(disk: &FaultyDisk) -> (BTreeMap<u32, Vec<Position>>, u32) {
    let mut texts = BTreeMap::<u32, Vec<Position>>::new();
    let mut last = 0;
    for (number, name) in segments(disk) {
        let bytes = disk.bytes_of(&name).unwrap();
        last = number;
        for at in (0..bytes.len()).filter(|at| bytes[*at] == b'<') {
            let digits = bytes.get(at + 1..at + 9).map(std::str::from_utf8);
            if let Some(Ok(digits)) = digits
                && let Ok(id) = digits.parse::<u32>()
                && bytes[at..].starts_with(body(id).as_bytes())
            {
                let place = Position::new(number, at as u32);
                texts.entry(id).or_default().push(place);
            }
        }
    }
    (texts, last)
}

/// A node on that disk, some time later.
pub fn clock(filled: &Filled) -> Arc<HandClock> {
    Arc::new(HandClock(AtomicU64::new(filled.now + LONG_MS)))
}

/// Everything that a node serves, queue by queue; panics at a body that is wrong.
pub fn read_all(node: &Node, names: &[&String]) -> BTreeMap<String, BTreeSet<u32>> {
    let mut found = BTreeMap::new();
    for name in names {
        let Ok(_) = node.vhost.queue(name, node.connection) else {
            continue;
        };
        let mut ids = BTreeSet::new();
        for body in bodies(node, name) {
            let id = id_of(&body);
            let text = String::from_utf8_lossy(&body);
            assert!(
                ids.insert(id.unwrap_or_else(|| panic!("a wrong body in {name}: {text}"))),
                "twice in {name}: {text}"
            );
        }
        found.insert((*name).clone(), ids);
    }
    found
}

fn bodies(node: &Node, name: &str) -> Vec<Vec<u8>> {
    if name == STREAM {
        return doors::read_stream(node, name);
    }
    let all = std::iter::from_fn(|| node.get(name));
    all.map(|seen| seen.body).collect()
}
