//! What must be true of a damaged directory.

use std::collections::{BTreeMap, BTreeSet};

use ferry_broker::damage::{self, Damage, FactsLost};
use ferry_log::testing::FaultyDisk;
use ferry_log::{Disk, Position, Region};

use crate::common::{self, Node};
use crate::filled::{Filled, LONG_MS, Place, clock, read_all};
use crate::harm::Harm;

/// A body begins at most so many bytes behind its record.
const HEAD_BYTES_MAX: u32 = 400;

/// What came of one seed, or of many.
#[derive(Debug, Clone, Copy, Default)]
pub struct Verdict {
    /// Nothing was lost and nothing was damaged.
    pub harmless: u64,
    /// A start served what was not damaged.
    pub served: u64,
    /// A start was refused, and the next one after a repair was not.
    pub repaired: u64,
    /// Messages whose bodies were lost.
    pub lost: u64,
    /// Seeds in which more than bodies was lost.
    pub with_facts: u64,
    /// Seeds in which a checkpoint could not be used.
    pub checkpoints: u64,
    /// Messages that were lost with the torn end that a kill leaves.
    pub torn: u64,
}

impl Verdict {
    pub fn add(&mut self, other: &Verdict) {
        self.harmless += other.harmless;
        self.served += other.served;
        self.repaired += other.repaired;
        self.lost += other.lost;
        self.with_facts += other.with_facts;
        self.checkpoints += other.checkpoints;
        self.torn += other.torn;
    }
}

fn files(disk: &FaultyDisk) -> BTreeMap<String, Vec<u8>> {
    let names = disk.list().unwrap().into_iter();
    names
        .map(|name| (name.clone(), disk.bytes_of(&name).unwrap()))
        .collect()
}

fn verify(disk: &FaultyDisk, filled: &Filled) -> Damage {
    let before = files(disk);
    let mut last = 0;
    let mut progress = |done, all| {
        assert!(last <= done && done <= all, "{last} {done} {all}");
        last = done;
    };
    let damage = damage::verify(disk, clock(filled).as_ref(), &mut progress).unwrap();
    assert!(files(disk) == before, "a look changed something");
    damage
}

fn repair(disk: &FaultyDisk, filled: &Filled) -> Damage {
    damage::repair(disk, clock(filled).as_ref(), &mut |_, _| {}).unwrap()
}

/// After a repair all is sound, a second repair changes nothing, and a start works.
fn mend(disk: &FaultyDisk, filled: &Filled, expected: &Damage) -> Node {
    let done = repair(disk, filled);
    assert_eq!(done.log, expected.log, "a repair does what verify says");
    assert_eq!(done.queues, expected.queues);
    let found = verify(disk, filled);
    assert!(found.is_sound(), "after a repair: {found:#?}");
    let before = files(disk);
    assert_eq!(repair(disk, filled).log, found.log);
    assert!(files(disk) == before, "a second repair changed something");
    common::try_open(disk, &clock(filled), 7)
        .unwrap_or_else(|error| panic!("after a repair: {error}\n{expected:#?}"));
    Node::on(disk.clone(), clock(filled), 8)
}

pub fn judge(filled: &Filled, harm: &Harm) -> Verdict {
    let damage = verify(&filled.disk, filled);
    let mut verdict = Verdict {
        lost: damage.queues.iter().map(|queue| queue.messages).sum(),
        with_facts: u64::from(damage.parts.iter().any(|part| !part.more.is_nothing())),
        checkpoints: u64::from(!damage.log.rejected_checkpoints.is_empty()),
        ..Verdict::default()
    };
    let disk = filled.disk.fork(3);
    let opened = common::try_open(&disk, &clock(filled), 5);
    let torn = match opened {
        Ok(broker) => {
            drop(broker);
            let more = damage.parts.iter().find(|part| !part.more.is_nothing());
            assert!(more.is_none(), "a start went past {more:?}");
            let node = Node::on(disk, clock(filled), 6);
            let torn = check(filled, harm, &damage, node);
            match damage.is_sound() {
                true => verdict.harmless = 1,
                false => verdict.served = 1,
            }
            torn
        }
        Err(error) => {
            assert!(!damage.is_sound(), "verify sees nothing: {error}");
            verdict.repaired = 1;
            0
        }
    };
    // A repair is right after a start that was not refused, too.
    let disk = filled.disk.fork(4);
    let node = mend(&disk, filled, &damage);
    verdict.torn = torn.max(check(filled, harm, &damage, node));
    verdict
}

/// Reads everything, compares it with what must be there, and goes on with the directory; returns
/// how many messages were lost with the end of the log.
fn check(filled: &Filled, harm: &Harm, damage: &Damage, mut node: Node) -> u64 {
    node.pass(LONG_MS);
    let names: Vec<&String> = filled.queues.keys().collect();
    let found = read_all(&node, &names);
    let mut torn = 0;
    for (name, (id, messages)) in &filled.queues {
        let there = found.get(name);
        for (message, place) in messages {
            let is_there = there.is_some_and(|there| there.contains(message));
            if is_there == place.left.is_none() {
                continue;
            }
            if is_torn(filled, harm, place) {
                torn += 1;
                continue;
            }
            let excuse = match is_there {
                false => named(filled, damage, (name, *id), *message),
                true => damage.parts.iter().any(|part| !part.more.is_nothing()),
            };
            assert!(
                excuse,
                "message {message} of {name} ({place:?}) is{} there, {:?}, {harm:?}: {damage:#?}",
                if is_there { "" } else { " not" },
                filled.texts.get(message),
            );
        }
        let known = |id: &u32| messages.contains_key(id);
        let strange = there.and_then(|there| there.iter().find(|id| !known(id)));
        assert_eq!(strange, None, "{name} has what never went there");
    }
    go_on(&mut node);
    torn
}

/// The node takes a message, stops, starts and has it.
fn go_on(node: &mut Node) {
    node.declare("afterwards", &[]);
    node.publish("afterwards", &["one more"]);
    node.broker.upkeep().unwrap();
    node.broker.close().unwrap();
    let next = Node::on(node.disk.clone(), node.clock.clone(), 9);
    assert_eq!(next.get("afterwards").unwrap().body, b"one more");
}

/// Whether what a kill left may look like this: what was written last is cut off with all that
/// said how far the log had come.
fn is_torn(filled: &Filled, harm: &Harm, place: &Place) -> bool {
    let from = Position::new(filled.last_segment, 0)
        .0
        .saturating_add(harm.torn_from(filled));
    let late = place.entered.0 > from || place.left.is_some_and(|left| left.0 > from);
    harm.may_look_torn(filled) && late
}

fn is_in(region: &Region, position: Position) -> bool {
    let at = u64::from(position.offset());
    let from = u64::from(region.offset);
    region.segment == position.segment() && from <= at && at < from + region.bytes
}

/// Whether the loss of that message was said: by its queue and place, as one that no queue has, as
/// a part of the log that held its body, or by its queue alone where the place is one of facts.
fn named(filled: &Filled, damage: &Damage, (name, id): (&str, u64), message: u32) -> bool {
    let texts = filled.texts.get(&message).into_iter().flatten().copied();
    let texts: BTreeSet<Position> = texts.collect();
    let holds = |record: &Position| {
        let after = Position(record.0 + u64::from(HEAD_BYTES_MAX));
        texts.range(*record..after).next().is_some()
    };
    let of_queue = damage.queues.iter().find(|queue| {
        let same = |(_, its): &(String, String)| its == name;
        queue.id == id && queue.name.as_ref().is_none_or(same)
    });
    if of_queue.is_some_and(|queue| {
        queue.places.iter().any(holds) || queue.facts != FactsLost::No || queue.name.is_none()
    }) {
        return true;
    }
    let strays = damage.strays.iter().map(|stray| stray.position);
    if strays.collect::<Vec<_>>().iter().any(holds) {
        return true;
    }
    let mut parts = damage.parts.iter().filter(|part| !part.more.is_nothing());
    parts.any(|part| texts.iter().any(|text| is_in(&part.region, *text)))
}
