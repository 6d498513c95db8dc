//! The newest confirmed message is there and nothing comes back, wherever the log ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferry_broker::Promise;
use ferry_log::testing::{Crash, Fault, FaultyDisk};

use crate::common::{HandClock, Node, cuts};
use crate::support::*;

/// Topic, body and time to live, in the order in which they are set.
const ACTS: [(&str, &str, Option<u64>); 12] = [
    ("a", "1", None),
    ("a", "2", None),
    ("b", "3", None),
    ("a", "", None),
    ("a", "4", None),
    ("b", "5", Some(1000)),
    ("c", "6", Some(1000)),
    ("c", "", None),
    ("a", "", None),
    ("c", "7", None),
    ("b", "8", None),
    ("a", "9", Some(1_000_000)),
];

/// When what lives a second is over.
const LATER_MS: u64 = 5000;

/// What there is after so many acts, at once or later.
fn after(acts: usize, later: bool) -> Topics {
    let mut all = Topics::new();
    for (topic, body, ttl_ms) in &ACTS[..acts] {
        all.remove(*topic);
        let over = later && ttl_ms.is_some_and(|ttl_ms| ttl_ms < LATER_MS);
        if !body.is_empty() && !over {
            all.insert((*topic).to_owned(), (*body).to_owned());
        }
    }
    all
}

fn act(node: &mut Node, (topic, body, ttl_ms): (&str, &str, Option<u64>)) -> Option<Promise> {
    let ticket = match ttl_ms {
        Some(ttl_ms) => set_for(node, topic, body, ttl_ms),
        None => set(node, topic, body),
    };
    ticket.resolved()
}

/// What is found is what was there after the acts that were kept, or after some more.
fn check(found: &Topics, kept: usize, later: bool, told: &str) {
    let fits = (kept..=ACTS.len()).any(|acts| after(acts, later) == *found);
    assert!(fits, "{told}: {found:?} after {kept} acts");
}

fn prepared() -> (FaultyDisk, Arc<HandClock>) {
    let mut node = Node::new();
    set(&mut node, "z", "1");
    set(&mut node, "z", "");
    node.broker.commit_log().unwrap();
    (node.disk.clone(), Arc::clone(&node.clock))
}

#[test]
fn a_log_that_ends_anywhere_has_the_newest_confirmed() {
    let (disk, clock) = prepared();
    let mut node = Node::on(disk.clone(), Arc::clone(&clock), 7);
    // The first record starts a segment.
    set(&mut node, "z", "2");
    set(&mut node, "z", "");
    let from = node.broker.log().end();
    let mut ends = Vec::new();
    for one in ACTS {
        match act(&mut node, one) {
            Some(Promise::Synced(end)) => ends.push(end.offset() as usize),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(all(&node), after(ACTS.len(), false));
    node.broker.commit_log().unwrap();
    let to = node.broker.log().end();
    drop(node);
    assert_eq!(from.segment(), to.segment());
    let name = format!("seg-{:010}.log", from.segment());
    let segment = disk.bytes_of(&name).unwrap();
    let cuts = cuts(&segment, from.offset() as usize, to.offset() as usize);
    // A body, that it came, and mostly that the one before it is gone.
    assert!(cuts.len() > 3 * 2 * ACTS.len(), "{}", cuts.len());
    for cut in cuts {
        let kept = ends.iter().filter(|end| **end <= cut).count();
        for later in [false, true] {
            let told = format!("the log ends at {cut}, later: {later}");
            let disk = disk.fork(1);
            disk.damage(&name, |bytes| bytes.truncate(cut));
            let clock = Arc::new(HandClock(clock.0.load(Ordering::Relaxed).into()));
            clock
                .0
                .fetch_add(u64::from(later) * LATER_MS, Ordering::Relaxed);
            let node = Node::on(disk.clone(), Arc::clone(&clock), 8);
            let found = all(&node);
            assert_eq!(found, after(kept, later), "{told}");
            // What that start has settled does not come back either.
            node.broker.commit_log().unwrap();
            assert_eq!(all(&node.killed(9)), found, "{told}");
        }
    }
}

#[test]
fn a_disk_that_fails_at_any_call_has_the_newest_confirmed() {
    let (disk, clock) = prepared();
    let run = |node: &mut Node, seed: u64| {
        let mut promised = Vec::new();
        for (step, one) in ACTS.into_iter().enumerate() {
            promised.extend(act(node, one));
            let commits = (step as u64 + seed).is_multiple_of(3);
            if commits && node.broker.commit_log().is_err() {
                break;
            }
        }
        let broker = &node.broker;
        promised
            .iter()
            .filter(|promise| broker.kept(**promise))
            .count()
    };
    let calls = {
        let whole = disk.fork(1);
        let mut node = Node::on(whole.clone(), Arc::clone(&clock), 7);
        let before = whole.calls();
        run(&mut node, 0);
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
            let told = format!("call {cut}, {crash:?}, seed {seed}");
            let disk = disk.fork(seed + cut * 10);
            let mut node = Node::on(disk.clone(), Arc::clone(&clock), 7);
            disk.fail_call(cut, Fault::Io, true);
            let kept = run(&mut node, seed);
            drop(node);
            disk.crash(crash);
            disk.heal();
            let node = Node::on(disk.clone(), Arc::clone(&clock), 8);
            check(&all(&node), kept, false, &told);
        }
    }
}

#[test]
fn many_lives_leave_what_the_last_one_had() {
    let (disk, clock) = prepared();
    for seed in 0..20u64 {
        let disk = disk.fork(seed);
        for life in 0..4 {
            let told = format!("seed {seed}, life {life}");
            let mut node = Node::on(disk.clone(), Arc::clone(&clock), 100 + life);
            let before = all(&node);
            if life > 0 {
                assert_eq!(before, after(ACTS.len(), false), "{told}");
            }
            for one in ACTS {
                act(&mut node, one);
            }
            match (seed + life) % 3 {
                0 => node.broker.checkpoint().map(|_| ()).unwrap(),
                1 => node.broker.close().map(|_| ()).unwrap(),
                _ => node.broker.commit_log().unwrap(),
            }
            let _unless_closed = node.broker.commit_log();
            drop(node);
            disk.crash([Crash::Process, Crash::LoseAll, Crash::LoseSome][seed as usize % 3]);
        }
    }
}
