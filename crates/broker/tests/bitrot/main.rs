//! Bit rot in a directory with queues of every kind: whatever one damage does to it, it is named,
//! all that lies elsewhere is served, and no body is ever wrong.
//!
//! Each seed fills a directory, stops or kills the broker, and damages one file: a flipped bit, a
//! block that is zeroed, swapped with another one or as it was earlier, a file that is cut or
//! gone. Then: verify, start, if that is refused repair and start, read everything, compare.
//!
//! `BITROT_SEEDS=2000 cargo test -p ferry-broker --test bitrot` runs more seeds than the 200 that
//! are run otherwise, from `BITROT_FROM` on; a failure prints the line that shows it again.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

#[path = "../common/mod.rs"]
mod common;
mod filled;
mod harm;
mod judge;

use common::{Node, doors};
use ferry_broker::{Exchange, ExchangeKind, damage};
use ferry_log::testing::Random;

use filled::Filled;
use harm::Harm;
use judge::Verdict;

/// Seeds that failed once: a segment that lost its head, and damage in the one before.
const KEPT: [u64; 1] = [880];

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap())
}

fn run(seed: u64) -> (Harm, Verdict) {
    let mut random = Random::new(seed);
    let filled = Filled::by(&mut random);
    let harm = Harm::by(&mut random, &filled);
    harm.inflict(&filled);
    let verdict = judge::judge(&filled, &harm);
    (harm, verdict)
}

/// A directory with definitions that build on each other, and a few messages.
fn defined() -> Node {
    let mut node = Node::new();
    for name in ["one", "two"] {
        doors::exchange(&node, name, true, &[]);
        node.declare(name, &[]);
        doors::bind(&node, name, name, "#");
    }
    doors::once(&node, "ids");
    doors::bind(&node, "ids", "two", "a.*");
    node.publish("one", &["first", "second"]);
    doors::delete(&node, "one");
    node.vhost.delete_exchange("one", false).unwrap();
    let other = Exchange {
        durable: true,
        ..Exchange::new("one", ExchangeKind::Fanout)
    };
    node.vhost.declare_exchange(other).unwrap();
    node.declare("one", &[("x-max-priority", 3.into())]);
    doors::bind(&node, "one", "one", "");
    node.publish("two", &["third"]);
    node.broker.commit_log().unwrap();
    node.broker.log().attest();
    node.broker.commit_log().unwrap();
    node
}

#[test]
fn a_start_works_after_the_repair_of_any_part_of_the_definitions() {
    let node = defined();
    let name = "seg-0000000001.log";
    let bytes = node.disk.bytes_of(name).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let mut left_out = 0;
    for at in (1024..used).step_by(19) {
        let disk = node.disk.fork(at as u64);
        disk.damage(name, |bytes| bytes[at] ^= 0x10);
        let clock = node.clock.as_ref();
        let found = damage::verify(&disk, clock, &mut |_, _| {}).unwrap();
        damage::repair(&disk, clock, &mut |_, _| {}).unwrap();
        let broker = common::try_open(&disk, &node.clock, 3)
            .unwrap_or_else(|error| panic!("byte {at}: {error}\n{found:#?}"));
        let vhost = broker.vhost("/").unwrap();
        left_out += u64::from(vhost.bindings().len() < node.vhost.bindings().len());
        broker.close().unwrap();
        common::open(&disk, &node.clock, 4);
    }
    assert!(left_out > 5, "{left_out}");
}

#[test]
fn whatever_one_damage_does_is_named_and_all_else_is_served() {
    let first = number("BITROT_FROM", 1);
    let (first, count) = match std::env::var_os("BITROT_SEED") {
        Some(_) => (number("BITROT_SEED", 1), 1),
        None => (first, number("BITROT_SEEDS", 200)),
    };
    let (mut sum, mut failed) = (Verdict::default(), Vec::new());
    let kept = KEPT.into_iter().filter(|_| count > 1);
    for seed in (first..first + count).chain(kept) {
        match std::panic::catch_unwind(|| run(seed)) {
            Ok((harm, verdict)) => {
                if count == 1 {
                    println!("{harm:?}: {verdict:?}");
                }
                sum.add(&verdict);
            }
            Err(_) => {
                let line = "cargo test -p ferry-broker --test bitrot";
                println!("see it again: BITROT_SEED={seed} {line}");
                failed.push(seed);
            }
        }
    }
    println!("{count} seeds from {first}: {sum:?}");
    assert!(
        failed.is_empty(),
        "{} seeds failed: {failed:?}",
        failed.len()
    );
    if count >= 100 {
        // The seeds reach what they are for.
        for (what, enough) in [
            ("starts after a repair", sum.repaired > count / 20),
            ("starts past damage", sum.served > count / 20),
            ("lost bodies", sum.lost > 0),
            ("lost facts", sum.with_facts > 0),
            ("lost checkpoints", sum.checkpoints > 0),
        ] {
            assert!(enough, "{what}: {sum:?}");
        }
    }
}
