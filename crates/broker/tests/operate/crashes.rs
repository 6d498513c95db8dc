//! Moves that are cut short: a message is in exactly one place, whatever is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ferry_broker::{Listed, MoveTo, OperateError, ReplaySpec, Selection, What};
use ferry_log::testing::{Crash, Fault, FaultyDisk};

use crate::common::{HandClock, Node, cuts};
use crate::support::*;

const MESSAGES: usize = 6;

/// A disk with dead letters, all of it safe, and two queues for one exchange to lead back to.
fn filled() -> (FaultyDisk, Arc<HandClock>) {
    let mut node = Node::new();
    shop(&node);
    node.declare("copy", &[]);
    bind(&node, "orders", "copy", "paid");
    for index in 0..MESSAGES {
        die(&mut node, &[&format!("m{index}")]);
    }
    let copies = node.vhost.purge_queue("copy", node.connection).unwrap().0;
    assert_eq!(copies, MESSAGES as u64);
    node.broker.commit_log().unwrap();
    let (disk, clock) = (node.disk.clone(), Arc::clone(&node.clock));
    drop(node);
    (disk, clock)
}

fn open(disk: &FaultyDisk, clock: &Arc<HandClock>, entropy: u64) -> Node {
    Node::on(disk.clone(), Arc::clone(clock), entropy)
}

/// Replays one after the other, syncing now and then; what was promised and kept.
fn replay_some(node: &Node, seed: usize) -> Vec<String> {
    let mut kept = Vec::new();
    let mut promised = Vec::new();
    let dead = node.queue("dead");
    for (step, listed) in look(node, "dead", What::Ready).into_iter().enumerate() {
        let body = String::from_utf8(listed.body).unwrap();
        let moved = node
            .broker
            .replay_message(&dead, &listed.name, &MoveTo::Origin, None, ACTOR);
        match moved {
            Ok(promise) => promised.push((body, promise)),
            Err(OperateError::Log(_)) => break,
            Err(other) => panic!("{other}"),
        }
        if (step + seed).is_multiple_of(3) && node.broker.commit_log().is_err() {
            break;
        }
    }
    for (body, promise) in promised {
        if node.broker.kept(promise) {
            kept.push(body);
        }
    }
    kept
}

/// How often each message is in the queue.
fn count(node: &Node, queue: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for body in ready(node, queue) {
        *counts.entry(body).or_default() += 1;
    }
    counts
}

fn check(node: &Node, kept: &[String], told: &str) {
    let [dead, work, copy] = ["dead", "work", "copy"].map(|queue| count(node, queue));
    assert_eq!(work, copy, "{told}: it goes to both or to none");
    for index in 0..MESSAGES {
        let body = format!("m{index}");
        let at = |queue: &BTreeMap<String, usize>| queue.get(&body).copied().unwrap_or(0);
        assert_eq!(at(&dead) + at(&work), 1, "{told}: {body} is in one place");
        if kept.contains(&body) {
            assert_eq!(at(&work), 1, "{told}: {body} was promised");
        }
    }
}

/// Everything that is left is replayed: each is there once.
fn finish(node: &Node, told: &str) {
    let all = ReplaySpec {
        selection: Selection::All,
        to: MoveTo::Origin,
        rate: None,
    };
    node.broker
        .start_replay(&node.queue("dead"), all, ACTOR)
        .unwrap();
    while node.broker.next_deadline() <= node.broker.now() {
        node.broker.tick();
    }
    assert_eq!(node.ready("dead"), 0, "{told}");
    check(node, &[], told);
}

#[test]
fn a_replay_cut_at_any_write_leaves_each_message_in_one_place() {
    let (disk, clock) = filled();
    let calls = {
        let whole = disk.fork(1);
        let node = open(&whole, &clock, 7);
        let before = whole.calls();
        replay_some(&node, 0);
        node.broker.commit_log().unwrap();
        whole.calls() - before
    };
    assert!(calls >= 6, "there is something to cut: {calls}");
    for cut in 1..=calls {
        for (crash, seed) in [
            (Crash::Process, 0),
            (Crash::LoseAll, 1),
            (Crash::LoseSome, 2),
            (Crash::LoseSome, 3),
        ] {
            let told = format!("cut {cut}, {crash:?}, seed {seed}");
            let disk = disk.fork(seed as u64 + cut * 10);
            let node = open(&disk, &clock, 7);
            disk.fail_call(cut, Fault::Io, true);
            let kept = replay_some(&node, seed);
            drop(node);
            disk.crash(crash);
            disk.heal();
            let node = open(&disk, &clock, 8);
            check(&node, &kept, &told);
            finish(&node, &told);
        }
    }
}

#[test]
fn a_log_that_ends_anywhere_within_replays_has_each_message_in_one_place() {
    let (disk, clock) = filled();
    let node = open(&disk, &clock, 7);
    let dead = node.queue("dead");
    let replay = |listed: &Listed| {
        let broker = &node.broker;
        let moved = broker.replay_message(&dead, &listed.name, &MoveTo::Origin, None, ACTOR);
        moved.unwrap();
    };
    // The first one starts a segment.
    let letters = look(&node, "dead", What::Ready);
    replay(&letters[0]);
    let from = node.broker.log().end();
    letters[1..].iter().for_each(replay);
    let to = node.broker.log().end();
    node.broker.commit_log().unwrap();
    drop((node, dead));
    assert_eq!(from.segment(), to.segment());
    let name = format!("seg-{:010}.log", from.segment());
    let segment = disk.bytes_of(&name).unwrap();
    let cuts = cuts(&segment, from.offset() as usize, to.offset() as usize);
    assert!(cuts.len() > 3 * 2 * (MESSAGES - 1), "{}", cuts.len());
    for cut in cuts {
        let told = format!("the log ends at {cut}");
        let disk = disk.fork(1);
        disk.damage(&name, |bytes| bytes.truncate(cut));
        let node = open(&disk, &clock, 8);
        check(&node, &[], &told);
        finish(&node, &told);
    }
}

#[test]
fn a_kill_between_replays_leaves_each_message_in_one_place() {
    let (disk, clock) = filled();
    for seed in 0..30 {
        let told = format!("seed {seed}");
        let disk = disk.fork(seed);
        let mut kept = Vec::new();
        for life in 0..4 {
            let node = open(&disk, &clock, 100 + life);
            check(&node, &kept, &told);
            if life == 2 {
                node.broker.checkpoint().unwrap();
            }
            let names = look(&node, "dead", What::Ready);
            let some = names.len().min(1 + (seed as usize + life as usize) % 3);
            let dead = node.queue("dead");
            for listed in &names[..some] {
                let promise = node
                    .broker
                    .replay_message(&dead, &listed.name, &MoveTo::Origin, None, ACTOR)
                    .unwrap();
                if (seed + life) % 2 == 0 {
                    node.broker.commit_log().unwrap();
                    assert!(node.broker.kept(promise));
                    kept.push(String::from_utf8(listed.body.clone()).unwrap());
                }
            }
            drop((node, dead));
            let crash = [Crash::Process, Crash::LoseAll, Crash::LoseSome][seed as usize % 3];
            disk.crash(crash);
        }
        let node = open(&disk, &clock, 200);
        check(&node, &kept, &told);
        finish(&node, &told);
    }
}

#[test]
fn a_clock_that_stands_still_does_not_make_names_good_again() {
    let (disk, clock) = filled();
    assert_eq!(
        clock.0.load(std::sync::atomic::Ordering::Relaxed),
        1_000_000
    );
    let node = open(&disk, &clock, 7);
    let name = name_of(&node, "dead", What::Ready, "m0");
    let to = MoveTo::Queue("work".to_owned());
    node.broker
        .move_message(&node.queue("dead"), &name, &to, ACTOR)
        .unwrap();
    node.broker.commit_log().unwrap();
    drop(node);
    let node = open(&disk, &Arc::new(HandClock(AtomicU64::new(1_000_000))), 8);
    let again = node
        .broker
        .move_message(&node.queue("dead"), &name, &to, ACTOR);
    assert!(matches!(again, Err(OperateError::NotFound)));
    assert_eq!(ready(&node, "work"), ["m0"]);
}
