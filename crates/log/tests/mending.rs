//! After a repair a log opens, and is sound; cut short anywhere, the repair can be begun again.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod support;

use std::collections::BTreeSet;

use ferry_log::testing::{Crash, FaultyDisk, Random};
use ferry_log::{
    Disk, LogError, Need, Position, Reader, Remains, Replay, Report, Section, repair, repair_with,
    verify, verify_with,
};
use support::{Collected, Fact, append, open, options};

/// A log of a few segments that was closed, with or without a checkpoint in its middle.
fn log_of(seed: u64, checkpoint: bool) -> (FaultyDisk, Vec<Fact>) {
    let disk = FaultyDisk::new(seed);
    let mut random = Random::new(seed);
    let (log, _, _) = open(&disk, &options(2500, seed + 1)).unwrap();
    let mut facts = Vec::new();
    for round in 0..24u16 {
        let bytes = random.below(400) as usize;
        let payload = random.bytes(bytes);
        facts.push(append(&log, round % 3, &payload, Need::Sync).0);
        log.commit().unwrap();
        if checkpoint && round == 14 {
            let as_of = log.durable();
            let section = |stream| Section {
                stream,
                as_of,
                pieces: vec![vec![9; 300].into()],
            };
            log.write_checkpoint((0..3).map(section).collect()).unwrap();
        }
    }
    log.close().unwrap();
    (disk, facts)
}

fn look(disk: &FaultyDisk) -> Report {
    verify(disk, &mut |_, _| {}).unwrap()
}

/// One damage by seed; says what it was.
fn harm(disk: &FaultyDisk, random: &mut Random) -> String {
    let mut names = disk.list().unwrap();
    names.sort();
    let name = names[random.below(names.len() as u64) as usize].clone();
    let length = disk.bytes_of(&name).unwrap().len() as u64;
    let at = random.below(length) as usize;
    let end = (at + 512).min(length as usize);
    let kind = random.below(5);
    match kind {
        0 => disk.damage(&name, |bytes| bytes[at] ^= 1 << (at % 8)),
        1 => disk.damage(&name, |bytes| bytes[at..end].fill(0)),
        2 => disk.damage(&name, |bytes| bytes[at..end].rotate_left((end - at) / 2)),
        3 => disk.damage(&name, |bytes| bytes.truncate(at)),
        _ => disk.remove(&name).unwrap(),
    }
    format!("damage {kind} of `{name}` at {at}")
}

/// Opens the log after a repair and checks that nothing in it is invented.
fn opens(disk: &FaultyDisk, facts: &[Fact], what: &str) {
    let (_, _, collected) = open(disk, &options(2500, 90)).unwrap_or_else(|error| {
        panic!("{what}: {error}");
    });
    for fact in &collected.facts {
        assert!(facts.contains(fact), "{what}: {fact:?} was never written");
    }
}

#[test]
fn a_repair_cut_short_at_any_call_can_be_begun_again() {
    let mut cuts = 0;
    for seed in 0..60 {
        let (disk, facts) = log_of(seed, seed % 2 == 0);
        let what = format!("seed {seed}, {}", harm(&disk, &mut Random::new(seed)));
        let whole = disk.fork(1);
        let before = whole.calls();
        let report = repair(&whole).unwrap();
        let calls = whole.calls() - before;
        let found = look(&whole);
        assert!(found.is_sound(), "{what}: {report:?} {found:?}");
        let mended: Vec<_> = disk.list().unwrap();
        assert_eq!(repair(&whole).unwrap(), found, "{what}: a second repair");
        assert!(mended.len() <= whole.list().unwrap().len() + 1, "{what}");
        opens(&whole, &facts, &what);
        for call in 1..=calls {
            for crash in [Crash::LoseSome, Crash::LoseAll, Crash::Process] {
                let copy = disk.fork(call);
                copy.fail_call(call, ferry_log::testing::Fault::Io, true);
                // All that it may do without is the copy of a new checkpoint.
                if let Ok(report) = repair(&copy) {
                    assert!(report.checkpoint_lost, "{what}: call {call} failed");
                }
                copy.crash(crash);
                let what = format!("{what}, cut at call {call} by {crash:?}");
                repair(&copy).unwrap_or_else(|error| panic!("{what}: {error}"));
                let found = look(&copy);
                assert!(found.is_sound(), "{what}: {found:?}");
                opens(&copy, &facts, &what);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 500, "{cuts}");
}

/// Can do without records of stream 1; and misses what it is told to miss.
#[derive(Default)]
struct Frugal {
    collected: Collected,
    told: Vec<(Position, bool)>,
    misses: Vec<Position>,
}

impl Replay for Frugal {
    fn section(&mut self, stream: u16, bytes: &[u8]) -> Result<(), String> {
        self.collected.section(stream, bytes)
    }

    fn record(
        &mut self,
        position: Position,
        stream: u16,
        kind: u8,
        flags: u8,
        payload: &[u8],
    ) -> Result<(), String> {
        self.collected
            .record(position, stream, kind, flags, payload)
    }

    fn spare(&mut self, _position: Position, stream: u16, _kind: u8) -> bool {
        stream == 1
    }

    fn remains(&mut self, remains: &Remains<'_>) {
        let heads = remains.heads.iter();
        self.told
            .extend(heads.map(|head| (head.position, remains.is_told)));
    }

    fn missed(&mut self, segments: &BTreeSet<u32>) -> Vec<Position> {
        let gone = |at: &&Position| !segments.contains(&at.segment());
        self.misses.iter().filter(gone).copied().collect()
    }
}

fn open_frugal(disk: &FaultyDisk) -> Result<(ferry_log::Recovery, Vec<Fact>), LogError> {
    let mut frugal = Frugal::default();
    let options = options(2500, 33);
    let opened = ferry_log::Log::open(std::sync::Arc::new(disk.clone()), options, &mut frugal)?;
    Ok((opened.1, frugal.collected.facts))
}

#[test]
fn a_start_goes_past_a_damaged_record_that_its_caller_can_do_without() {
    let (disk, facts) = log_of(3, false);
    let mut spared = 0;
    for victim in facts.iter().filter(|fact| !fact.payload.is_empty()) {
        let copy = disk.fork(1);
        let name = format!("seg-{:010}.log", victim.position.segment());
        let at = victim.position.offset() as usize + 16 + victim.payload.len() / 2;
        copy.damage(&name, |bytes| bytes[at] ^= 0x20);
        let what = format!("{victim:?}");
        match open_frugal(&copy) {
            Ok((recovery, found)) => {
                assert_eq!(victim.stream, 1, "{what}");
                let region = recovery.spared[0];
                let place = Position::new(region.segment, region.offset);
                assert_eq!(
                    (recovery.spared.len(), place),
                    (1, victim.position),
                    "{what}"
                );
                let rest: Vec<_> = facts.iter().filter(|fact| *fact != victim).collect();
                assert_eq!(found.iter().collect::<Vec<_>>(), rest, "{what}");
                // It is still there to be named, now and after that start.
                let mut frugal = Frugal::default();
                let report = verify_with(&copy, &mut frugal, &mut |_, _| {}).unwrap();
                assert_eq!(report.regions, [region], "{what}");
                assert_eq!(frugal.told, [(victim.position, true)], "{what}");
                open_frugal(&copy).unwrap();
                spared += 1;
            }
            Err(LogError::Corrupt { offset, .. }) => {
                assert_ne!(victim.stream, 1, "{what}");
                assert_eq!(offset, victim.position.offset(), "{what}");
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
    assert!(spared > 5, "{spared}");
}

#[test]
fn a_start_does_not_go_past_what_it_can_not_tell() {
    let (disk, facts) = log_of(3, false);
    let victims = facts.iter().filter(|fact| fact.stream == 1);
    for victim in victims {
        let name = format!("seg-{:010}.log", victim.position.segment());
        let at = victim.position.offset() as usize;
        // Where the head is bound to, its length, the stream, all of it.
        for range in [4..8, 8..12, 14..16, 0..16] {
            let copy = disk.fork(1);
            copy.damage(&name, |bytes| {
                bytes[at + range.start..at + range.end].fill(0x3C);
            });
            let error = open_frugal(&copy).unwrap_err();
            let is_named = matches!(error, LogError::Corrupt { offset, .. } if offset == at as u32);
            assert!(is_named, "{victim:?} {range:?}: {error}");
        }
    }
}

#[test]
fn a_segment_that_only_the_caller_misses_is_named_and_made_anew() {
    let (disk, facts) = log_of(4, true);
    let victim = facts[0].position;
    let name = format!("seg-{:010}.log", victim.segment());
    let lost: Vec<_> = facts
        .iter()
        .filter(|fact| fact.position.segment() == victim.segment())
        .collect();
    disk.remove(&name).unwrap();
    assert!(look(&disk).is_sound(), "the log alone does not miss it");
    let frugal = || Frugal {
        misses: facts.iter().map(|fact| fact.position).collect(),
        ..Frugal::default()
    };
    let report = verify_with(&disk, &mut frugal(), &mut |_, _| {}).unwrap();
    let (region, last) = (report.regions[0], lost[lost.len() - 1].position);
    assert_eq!((region.segment, region.offset), (victim.segment(), 1024));
    assert!(u64::from(region.offset) + region.bytes > last.offset().into());
    assert_eq!(
        repair_with(&disk, &mut frugal(), &mut |_, _| {}).unwrap(),
        report
    );
    let report = verify_with(&disk, &mut frugal(), &mut |_, _| {}).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.holes, [region]);
    let (log, _, _) = open(&disk, &options(2500, 91)).unwrap();
    let mut reader = Reader::new(log);
    for fact in &facts {
        let read = reader.read(fact.position);
        let is_lost = lost.contains(&fact);
        assert_eq!(read.is_err(), is_lost, "{fact:?}: {read:?}");
    }
}

#[test]
fn a_checkpoint_with_a_copy_costs_nothing_when_it_is_lost() {
    let (disk, _) = log_of(5, true);
    let (_, _, expected) = open(&disk.fork(1), &options(2500, 92)).unwrap();
    let (main, second) = ("checkpoint-0000000001.ckp", "checkpoint-0000000001.copy");
    for name in [main, second] {
        for damage in ["flipped", "cut", "missing"] {
            let copy = disk.fork(2);
            match damage {
                "flipped" => copy.damage(name, |bytes| bytes[200] ^= 1),
                "cut" => copy.damage(name, |bytes| bytes.truncate(50)),
                _ => copy.remove(name).unwrap(),
            }
            let what = format!("{name} is {damage}");
            let (_, recovery, found) = open(&copy.fork(3), &options(2500, 93)).unwrap();
            assert_eq!(found.sections, expected.sections, "{what}");
            assert_eq!(found.facts, expected.facts, "{what}");
            // A start has no use for a copy of what it could read.
            let names_it = recovery
                .rejected_checkpoints
                .iter()
                .any(|it| it.contains(name));
            assert_eq!(names_it, name == main, "{what}");
            let report = look(&copy);
            let is_seen = damage != "missing" || name == main;
            assert_eq!(!report.is_sound(), is_seen, "{what}: {report:?}");
            repair(&copy).unwrap();
            assert!(look(&copy).is_sound(), "{what}");
            assert!(copy.list().unwrap().contains(&main.to_owned()), "{what}");
            let kept = copy.bytes_of(&format!("{name}.damaged"));
            assert_eq!(kept.is_some(), damage != "missing", "{what}");
        }
    }
}
