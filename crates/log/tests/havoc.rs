//! Any damage at all: nothing panics, nothing is invented, and a repair always opens.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod support;

use ferry_log::testing::{FaultyDisk, Random};
use ferry_log::{Disk, Need, Reader, Section, repair, verify};
use support::{Fact, append, open, options};

fn random_log(random: &mut Random) -> (FaultyDisk, Vec<Fact>) {
    let disk = FaultyDisk::new(random.any());
    let mut facts = Vec::new();
    for _ in 0..1 + random.below(3) {
        let (log, _, _) = open(&disk, &options(2000 + random.below(3000), random.any())).unwrap();
        for fact in &facts {
            let fact: &Fact = fact;
            log.retain(fact.position, 1, 1);
        }
        for _ in 0..random.below(20) {
            let bytes = random.below(500) as usize;
            let payload = random.bytes(bytes);
            facts.push(append(&log, random.below(3) as u16, &payload, Need::Sync).0);
            if random.chance(30) {
                log.commit().unwrap();
            }
        }
        log.commit_all().unwrap();
        if random.chance(40) {
            let as_of = log.durable();
            let section = |stream| Section {
                stream,
                as_of,
                pieces: vec![vec![1; 50].into()],
            };
            log.write_checkpoint((0..3).map(section).collect()).unwrap();
        }
        if random.chance(50) {
            log.close().unwrap();
        }
    }
    (disk, facts)
}

fn damage(disk: &FaultyDisk, random: &mut Random) {
    let names = disk.list().unwrap();
    let Some(name) = names.get(random.below(names.len() as u64 + 1) as usize) else {
        return;
    };
    if random.chance(10) {
        disk.remove(name).unwrap();
        return;
    }
    disk.damage(name, |bytes| {
        let length = bytes.len() as u64;
        let at = random.below(length + 1) as usize;
        let end = bytes.len().min(at + 1 + random.below(700) as usize);
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => bytes[at..end].fill(0),
            2 => bytes[at..end].fill(0xFF),
            3 => bytes[at..end].rotate_left((end - at) / 2),
            4 => bytes.extend(random.bytes(300)),
            5 => bytes.insert(at, 0),
            _ if length > 0 => bytes[random.below(length) as usize] ^= 1 << random.below(8),
            _ => {}
        }
    });
}

fn is_subsequence(part: &[Fact], whole: &[Fact]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|fact| rest.any(|other| other == fact))
}

#[test]
fn after_any_damage_a_repair_opens_with_nothing_invented() {
    let seeds = std::env::var("SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    for seed in 0..600 * seeds {
        println!("SEED={seed}");
        let mut random = Random::new(seed);
        let (disk, facts) = random_log(&mut random);
        for _ in 0..1 + random.below(4) {
            damage(&disk, &mut random);
        }
        let found = verify(&disk, &mut |_, _| {}).unwrap();
        if let Ok((_, _, collected)) = open(&disk.fork(1), &options(3000, 1)) {
            assert!(is_subsequence(&collected.facts, &facts), "seed {seed}");
        }
        let report = repair(&disk).unwrap();
        assert_eq!(report, found, "seed {seed}");
        let (log, _, collected) = open(&disk, &options(3000, 2))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{report:?}"));
        assert!(is_subsequence(&collected.facts, &facts), "seed {seed}");
        let mut reader = Reader::new(log);
        for fact in &facts {
            if let Ok(record) = reader.read(fact.position) {
                assert!(record.payload == fact.payload, "seed {seed}");
            }
        }
    }
}
