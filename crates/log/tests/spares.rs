//! Files of dead segments become the next ones, and nothing in them is taken for new.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod support;

use std::sync::Arc;

use ferry_log::testing::{Crash, FaultyDisk};
use ferry_log::{Disk, Log, Need, ReleaseBatch, Section, verify};
use support::{Fact, append, assert_reads, open, options};

const SEGMENT_BYTES: u64 = 3000;
const PAYLOAD_BYTES: usize = 300;

fn spares(disk: &FaultyDisk) -> usize {
    let names = disk.list().unwrap();
    names.iter().filter(|n| n.starts_with("spare-")).count()
}

/// A log with some full segments of which nothing is needed.
fn with_dead_segments(disk: &FaultyDisk) -> Arc<Log> {
    let (log, _, _) = open(disk, &options(SEGMENT_BYTES, 1)).unwrap();
    let facts: Vec<Fact> = (0..60u8)
        .map(|n| append(&log, 0, &[n; PAYLOAD_BYTES], Need::Sync).0)
        .collect();
    log.commit().unwrap();
    let as_of = log.durable();
    let section = Section {
        stream: 0,
        as_of,
        pieces: vec![vec![1].into()],
    };
    log.write_checkpoint(vec![section]).unwrap();
    let mut batch = ReleaseBatch::new();
    for fact in &facts {
        batch.add(fact.position, PAYLOAD_BYTES as u64, 1);
    }
    log.release(&mut batch);
    log
}

#[test]
fn files_of_dead_segments_become_the_next_ones_and_what_they_held_is_no_news() {
    let disk = FaultyDisk::new(1);
    let log = with_dead_segments(&disk);
    assert!(log.remove_dead().unwrap() >= 5);
    assert_eq!(spares(&disk), 2);
    // A new segment is begun, and little is written to it.
    let last = log.durable().segment();
    let mut facts = Vec::new();
    while log.durable().segment() == last {
        facts.push(append(&log, 0, &[200; PAYLOAD_BYTES], Need::Sync).0);
        log.commit().unwrap();
    }
    assert_eq!(spares(&disk), 1);
    let name = format!("seg-{:010}.log", log.durable().segment());
    let (file_bytes, end) = (disk.bytes_of(&name).unwrap(), log.durable().offset());
    let behind = &file_bytes[end as usize..];
    assert!(behind.len() > 4 * PAYLOAD_BYTES && behind.iter().any(|byte| *byte != 0));
    assert_reads(&log, &facts);
    drop(log);
    disk.crash(Crash::LoseAll);
    let report = verify(&disk, &mut |_, _| {}).unwrap();
    assert!(
        report.is_sound() && report.torn_tail.is_none(),
        "{report:?}"
    );
    let (log, recovery, collected) = open(&disk, &options(SEGMENT_BYTES, 2)).unwrap();
    assert_eq!((collected.facts, recovery.torn_bytes), (facts, 0));
    assert_eq!(spares(&disk), 1, "it is still one");
    log.close().unwrap();
}

#[test]
fn a_log_that_was_closed_ends_where_its_file_ends() {
    let disk = FaultyDisk::new(2);
    let log = with_dead_segments(&disk);
    log.remove_dead().unwrap();
    while spares(&disk) == 2 {
        append(&log, 0, &[200; PAYLOAD_BYTES], Need::Sync);
        log.commit().unwrap();
    }
    log.close().unwrap();
    let name = format!("seg-{:010}.log", log.end().segment());
    let bytes = disk.bytes_of(&name).unwrap().len();
    assert_eq!(bytes, log.end().offset() as usize);
    // It may go on all the same.
    let (fact, _) = append(&log, 0, b"more", Need::Sync);
    log.close().unwrap();
    disk.crash(Crash::LoseAll);
    let (_, _, collected) = open(&disk, &options(SEGMENT_BYTES, 2)).unwrap();
    assert_eq!(collected.facts.last(), Some(&fact));
}

#[test]
fn a_disk_with_little_room_keeps_none() {
    let disk = FaultyDisk::new(3);
    let log = with_dead_segments(&disk);
    disk.enospc_after(100);
    assert!(log.remove_dead().unwrap() >= 5);
    assert_eq!(spares(&disk), 0);
}

#[test]
fn their_room_is_given_back_when_it_is_asked_for() {
    let disk = FaultyDisk::new(4);
    let log = with_dead_segments(&disk);
    log.remove_dead().unwrap();
    assert!(log.remove_spares());
    assert_eq!(spares(&disk), 0);
    assert!(!log.remove_spares(), "there is none left");
    let (fact, _) = append(&log, 0, &[7; PAYLOAD_BYTES], Need::Sync);
    log.commit().unwrap();
    assert_reads(&log, &[fact]);
}

#[test]
fn a_full_disk_has_them_back() {
    let disk = FaultyDisk::new(5);
    let log = with_dead_segments(&disk);
    log.remove_dead().unwrap();
    assert_eq!(spares(&disk), 2);
    disk.enospc_after(100);
    append(&log, 0, &[7; 20_000], Need::Sync);
    assert!(log.commit().unwrap().disk_full);
    assert_eq!(spares(&disk), 0);
    disk.set_capacity(None);
    assert!(!log.commit().unwrap().disk_full);
}
