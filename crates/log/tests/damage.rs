//! Bit rot: what was synced and does not read back is named, and set aside on request.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod support;

use std::sync::Arc;

use ferry_log::testing::{FaultyDisk, Random};
use ferry_log::{LogError, Need, ReadError, Reader, Region, Report, Section, repair, verify};
use support::{Fact, append, assert_reads, open, options};

/// A closed log of a few segments with a checkpoint of its beginning, which claims all of it;
/// its facts, and the names of its segments.
fn claimed_log(seed: u64) -> (FaultyDisk, Vec<Fact>, Vec<String>) {
    let (disk, facts, names) = closed_log(seed);
    let (log, _, _) = open(&disk, &options(2500, seed + 2)).unwrap();
    let as_of = facts[0].position;
    let sections = (0..3)
        .map(|stream| Section {
            stream,
            as_of,
            pieces: vec![vec![7].into()],
        })
        .collect();
    log.write_checkpoint(sections).unwrap();
    (disk, facts, names)
}

/// A closed log of a few segments, its facts, and the names of its segments.
fn closed_log(seed: u64) -> (FaultyDisk, Vec<Fact>, Vec<String>) {
    let disk = FaultyDisk::new(seed);
    let mut random = Random::new(seed);
    let (log, _, _) = open(&disk, &options(2500, seed + 1)).unwrap();
    let mut facts = Vec::new();
    for round in 0..24 {
        let bytes = random.below(400) as usize;
        let payload = random.bytes(bytes);
        facts.push(append(&log, round % 3, &payload, Need::Sync).0);
        if round % 2 == 0 {
            log.commit().unwrap();
        }
    }
    log.close().unwrap();
    let mut names = ferry_log::Disk::list(&disk).unwrap();
    names.sort();
    assert!(names.len() > 2);
    (disk, facts, names)
}

fn look(disk: &FaultyDisk) -> Report {
    verify(disk, &mut |done, total| assert!(done <= total)).unwrap()
}

/// Opens a damaged disk: all is there, or the damage has a name, and after a repair the rest is
/// there. Returns whether it had to be repaired.
fn check(disk: &FaultyDisk, facts: &[Fact], what: &str) -> bool {
    let found = look(disk);
    match open(&disk.fork(1), &options(2500, 77)) {
        Ok((log, recovery, collected)) => {
            assert_eq!(collected.facts, facts, "{what}");
            // The last claim itself is claimed by none, unless by a checkpoint.
            let spare = if recovery.checkpoint.is_some() { 0 } else { 24 };
            assert!(recovery.torn_bytes <= spare, "{what}");
            assert!(found.is_sound(), "{what}: {found:?}");
            assert_reads(&log, facts);
            false
        }
        Err(error) => {
            assert!(!found.is_sound(), "{what}: {error}");
            if let LogError::Corrupt {
                segment, offset, ..
            } = &error
                && *offset >= 1024
            {
                let first = found.regions[0];
                assert_eq!((first.segment, first.offset), (*segment, *offset), "{what}");
            }
            let report = repair(disk).unwrap();
            assert_eq!(report, found, "{what}");
            let (log, _, collected) = open(disk, &options(2500, 78))
                .unwrap_or_else(|error| panic!("{what}: {error} {report:?}"));
            let hit = |fact: &&Fact| {
                let start = u64::from(fact.position.offset());
                let end = start + 16 + fact.payload.len() as u64;
                report.regions.iter().any(|region: &Region| {
                    let from = u64::from(region.offset);
                    region.segment == fact.position.segment()
                        && start < from + region.bytes
                        && end > from
                })
            };
            let rest: Vec<Fact> = facts.iter().filter(|fact| !hit(fact)).cloned().collect();
            assert_eq!(collected.facts, rest, "{what}: {report:?}");
            assert_reads(&log, &rest);
            let after = look(disk);
            assert!(after.is_sound(), "{what}: {after:?}");
            assert_eq!(after.holes, report.regions, "{what}");
            true
        }
    }
}

#[test]
fn a_sound_log_is_sound() {
    let (disk, facts, names) = closed_log(1);
    let report = look(&disk);
    assert!(report.is_sound() && report.holes.is_empty() && report.torn_tail.is_none());
    assert_eq!(report.segments, names.len());
    assert!(report.records >= facts.len() as u64);
    let before = disk.calls();
    assert_eq!(repair(&disk).unwrap(), report);
    assert!(
        disk.calls() <= before + 1,
        "nothing but a sync of the directory"
    );
    assert!(!check(&disk, &facts, "sound"));
}

#[test]
fn a_flipped_bit_anywhere_is_named_or_harmless() {
    for (disk, facts, names) in [closed_log(2), claimed_log(2)] {
        let mut repaired = 0;
        for name in &names {
            let bytes = disk.bytes_of(name).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            for at in (0..used).filter(|at| *at % 5 == 0 && (*at < 40 || *at >= 1024)) {
                let copy = disk.fork(at as u64);
                copy.damage(name, |bytes| bytes[at] ^= 1 << (at % 8));
                repaired += u32::from(check(&copy, &facts, &format!("{name} {at}")));
            }
        }
        assert!(repaired > 800, "{repaired}");
    }
}

#[test]
fn lost_zeroed_swapped_and_cut_blocks_are_named() {
    let (disk, facts, names) = claimed_log(3);
    for name in &names {
        let length = disk.bytes_of(name).unwrap().len();
        for start in (1024..length).step_by(256) {
            let copy = disk.fork(1);
            copy.damage(name, |bytes| {
                let end = bytes.len().min(start + 256);
                bytes[start..end].fill(0);
            });
            check(&copy, &facts, &format!("zeroed {name} {start}"));
            let copy = disk.fork(2);
            copy.damage(name, |bytes| {
                let end = bytes.len().min(start + 512);
                bytes[start..end].rotate_left((end - start) / 2);
            });
            check(&copy, &facts, &format!("swapped {name} {start}"));
        }
        for length in (1024..length).step_by(61) {
            let copy = disk.fork(3);
            copy.damage(name, |bytes| bytes.truncate(length));
            check(&copy, &facts, &format!("cut {name} {length}"));
        }
    }
}

#[test]
fn the_same_block_of_another_segment_is_not_taken_for_this_ones() {
    let (disk, facts, names) = closed_log(4);
    let other = disk.bytes_of(&names[0]).unwrap();
    disk.damage(&names[1], |bytes| {
        let end = bytes.len().min(other.len());
        bytes[1024..end].copy_from_slice(&other[1024..end]);
    });
    assert!(check(&disk, &facts, "copied"));
}

#[test]
fn a_lost_head_or_file_costs_the_segment_and_no_more() {
    let (disk, facts, names) = closed_log(5);
    for name in &names[..names.len() - 1] {
        let copy = disk.fork(1);
        copy.damage(name, |bytes| bytes[..1024].fill(0xEE));
        assert!(check(&copy, &facts, &format!("head of {name}")));
    }
    for name in &names[1..names.len() - 1] {
        let copy = disk.fork(2);
        ferry_log::Disk::remove(&copy, name).unwrap();
        assert!(check(&copy, &facts, &format!("removed {name}")));
    }
}

#[test]
fn damage_in_a_covered_segment_is_found_when_it_is_read() {
    let (disk, _, _) = closed_log(6);
    let (log, _, collected) = open(&disk, &options(2500, 9)).unwrap();
    let facts = collected.facts;
    for fact in &facts {
        log.retain(fact.position, 1, 1);
    }
    let as_of = log.durable();
    let sections = (0..3)
        .map(|stream| Section {
            stream,
            as_of,
            pieces: vec![vec![stream as u8].into()],
        })
        .collect();
    log.write_checkpoint(sections).unwrap();
    let victim = facts.iter().find(|fact| fact.payload.len() > 100).unwrap();
    let name = format!("seg-{:010}.log", victim.position.segment());
    disk.damage(&name, |bytes| {
        bytes[victim.position.offset() as usize + 60] ^= 4
    });
    let (log, _, collected) = open(&disk, &options(2500, 10)).unwrap();
    assert_eq!(collected.facts, []);
    let mut reader = Reader::new(log);
    for _ in 0..2 {
        for fact in &facts {
            match reader.read(fact.position) {
                Ok(record) => {
                    assert_ne!(fact.position, victim.position);
                    assert_eq!(record.payload, fact.payload);
                }
                Err(ReadError::Damaged { position }) => assert_eq!(position, victim.position),
                Err(error) => panic!("{error}"),
            }
        }
    }
    let report = repair(&disk).unwrap();
    assert_eq!(report.regions.len(), 1);
    assert_eq!(report.regions[0].offset, victim.position.offset());
}

#[test]
fn a_lost_last_segment_is_named() {
    let (disk, facts, names) = claimed_log(10);
    ferry_log::Disk::remove(&disk, names.last().unwrap()).unwrap();
    assert!(check(&disk, &facts, "last segment"));
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let (disk, mut facts, _) = closed_log(7);
    let (log, _, _) = open(&disk, &options(2500, 8)).unwrap();
    facts.push(append(&log, 0, &[1; 300], Need::Sync).0);
    log.commit().unwrap();
    let (_, end) = append(&log, 0, &[2; 300], Need::Write);
    log.commit().unwrap();
    let name = format!("seg-{:010}.log", end.segment());
    disk.damage(&name, |bytes| bytes[end.offset() as usize - 200..].fill(0));
    assert!(look(&disk).is_sound());
    let torn = look(&disk).torn_tail.unwrap();
    assert_eq!(
        torn,
        Region {
            segment: end.segment(),
            offset: end.offset() - 316,
            bytes: 316
        }
    );
    let (_, recovery, collected) = open(&disk, &options(2500, 9)).unwrap();
    assert_eq!(collected.facts, facts);
    assert_eq!(recovery.torn_bytes, 316);
    assert!(look(&disk).torn_tail.is_none());
}

#[test]
fn a_lost_checkpoint_is_named_and_a_repair_starts_from_what_there_is() {
    let (disk, _, _) = closed_log(8);
    let (log, _, collected) = open(&disk, &options(2500, 9)).unwrap();
    let as_of = log.durable();
    let sections = |bytes: &[u8]| {
        (0..3)
            .map(|stream| Section {
                stream,
                as_of,
                pieces: vec![bytes.into()],
            })
            .collect()
    };
    log.write_checkpoint(sections(b"state")).unwrap();
    let name = "checkpoint-0000000001.ckp";
    ferry_log::Disk::remove(&disk, "checkpoint-0000000001.copy").unwrap();
    // The log still reaches back: the checkpoint is not needed.
    let copy = disk.fork(1);
    copy.damage(name, |bytes| bytes[60] ^= 1);
    let (_, recovery, again) = open(&copy, &options(2500, 10)).unwrap();
    assert_eq!(again.facts, collected.facts);
    assert_eq!(recovery.rejected_checkpoints.len(), 1);
    assert!(look(&copy).rejected_checkpoints[0].contains(name));
    // It does not.
    assert!(log.remove_dead().unwrap() >= 2);
    for at in 0..disk.bytes_of(name).unwrap().len() {
        let copy = disk.fork(2);
        copy.damage(name, |bytes| bytes[at] ^= 0x10);
        let error = open(&copy, &options(2500, 11)).err().unwrap();
        assert!(
            matches!(error, LogError::CheckpointLost { .. }),
            "{at}: {error}"
        );
        assert!(repair(&copy).unwrap().checkpoint_lost);
        let (_, _, rest) = open(&copy, &options(2500, 12)).unwrap();
        assert!(rest.sections.is_empty());
        assert!(collected.facts.ends_with(&rest.facts));
    }
}

#[test]
fn a_newer_format_is_refused_with_a_clear_text() {
    let (disk, _, names) = closed_log(9);
    disk.damage(&names[0], |bytes| {
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..36].copy_from_slice(&crc.to_le_bytes());
    });
    let error = open(&disk, &options(2500, 1)).err().unwrap();
    assert_eq!(
        error.to_string(),
        "`seg-0000000001.log` has format 2; this version reads up to 1: use a newer one"
    );
    assert!(matches!(
        repair(&disk),
        Err(LogError::NewerFormat { version: 2, .. })
    ));
    let _ = Arc::new(disk);
}

#[test]
fn a_head_that_names_another_segment_before_it_is_a_bad_one() {
    for (names, bad_copies) in [(1, 2), (4, 2), (1, 1)] {
        let (disk, facts, _) = closed_log(11);
        let name = "seg-0000000003.log";
        disk.damage(name, |bytes| {
            for copy in bytes.chunks_mut(512).take(bad_copies) {
                copy[28..32].copy_from_slice(&u32::to_le_bytes(names));
                let crc = crc32fast::hash(&copy[..32]);
                copy[32..36].copy_from_slice(&crc.to_le_bytes());
            }
        });
        let found = look(&disk);
        assert!(
            found.regions.iter().all(|region| region.segment == 3),
            "{found:?}"
        );
        assert!(!found.is_sound() && open(&disk.fork(1), &options(2500, 9)).is_err());
        assert!(repair(&disk).is_ok());
        let (_, _, collected) = open(&disk, &options(2500, 10)).unwrap();
        let kept = |fact: &&Fact| fact.position.segment() != 3;
        assert!(collected.facts.iter().eq(facts.iter().filter(kept)));
    }
}
