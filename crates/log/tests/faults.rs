//! Errors of the disk: fail-stop for errors, waiting for space, short writes.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod support;

use ferry_log::testing::{Crash, Fault, FaultyDisk};
use ferry_log::{Log, LogError, Need, Pending, Position};
use support::{Fact, append, assert_reads, open, options};

/// A fixed story; returns what was durable after each commit that said so.
fn story(log: &std::sync::Arc<Log>, facts: &mut Vec<(Fact, Position)>) -> Result<(), LogError> {
    for round in 0..12u16 {
        for size in [10, 700, 90] {
            facts.push(append(
                log,
                round % 2,
                &vec![round as u8 + 1; size],
                Need::Sync,
            ));
        }
        log.commit()?;
    }
    Ok(())
}

fn calls_of_story() -> u64 {
    let disk = FaultyDisk::new(0);
    let (log, _, _) = open(&disk, &options(4000, 1)).unwrap();
    let before = disk.calls();
    story(&log, &mut Vec::new()).unwrap();
    disk.calls() - before
}

#[test]
fn an_error_at_any_call_stops_the_log_for_ever() {
    let calls = calls_of_story();
    assert!(calls > 30, "{calls}");
    for call in 1..=calls {
        let disk = FaultyDisk::new(call);
        let (log, _, _) = open(&disk, &options(4000, 1)).unwrap();
        disk.fail_call(call, Fault::Io, false);
        let mut facts = Vec::new();
        let error = story(&log, &mut facts).unwrap_err();
        assert!(
            matches!(error, LogError::Failed { .. }),
            "call {call}: {error}"
        );
        assert!(log.failure().is_some());
        // The disk works again; the log does not, and touches nothing.
        let (durable, after) = (log.durable(), disk.calls());
        assert!(matches!(log.commit(), Err(LogError::Failed { .. })));
        assert!(matches!(log.commit_all(), Err(LogError::Failed { .. })));
        let mut batch = ferry_log::Batch::new();
        batch.push(1, 0, &[b"x"]);
        assert!(matches!(
            log.append(&batch, Need::Lazy),
            Err(LogError::Failed { .. })
        ));
        assert!(matches!(
            log.write_checkpoint(vec![]),
            Err(LogError::Failed { .. })
        ));
        assert_eq!(
            (log.durable(), disk.calls()),
            (durable, after),
            "call {call}"
        );
        disk.crash(Crash::LoseAll);
        let (_, _, collected) = open(&disk, &options(4000, 2)).unwrap();
        let safe = facts.iter().filter(|(_, end)| *end <= durable).count();
        assert!(collected.facts.len() >= safe, "call {call}");
        for (there, (appended, _)) in collected.facts.iter().zip(&facts) {
            assert_eq!(there, appended, "call {call}");
        }
    }
}

#[test]
fn a_full_disk_at_any_call_is_waited_for() {
    // Syncs do not run out of space; of the calls only those that may are failed.
    for call in 1..=calls_of_story() {
        let disk = FaultyDisk::new(call);
        let (log, _, _) = open(&disk, &options(4000, 1)).unwrap();
        disk.fail_call(call, Fault::NoSpace, false);
        let mut facts = Vec::new();
        match story(&log, &mut facts) {
            Ok(()) => {}
            Err(LogError::Failed { cause }) => {
                assert!(
                    cause.starts_with("syncing") || cause.starts_with("cutting"),
                    "{cause}"
                );
                continue;
            }
            Err(error) => panic!("call {call}: {error}"),
        }
        let committed = log.commit_all().unwrap();
        assert!(!committed.disk_full && !log.disk_full());
        let end = facts.last().unwrap().1;
        assert!(log.durable() >= end, "call {call}");
        disk.crash(Crash::LoseAll);
        let (_, recovery, collected) = open(&disk, &options(4000, 2)).unwrap();
        let facts: Vec<Fact> = facts.into_iter().map(|(fact, _)| fact).collect();
        assert_eq!(collected.facts, facts, "call {call}");
        assert_eq!(recovery.torn_bytes, 0, "call {call}");
    }
}

#[test]
fn a_short_write_is_finished() {
    for call in 1..=calls_of_story() {
        let disk = FaultyDisk::new(call);
        let (log, _, _) = open(&disk, &options(4000, 1)).unwrap();
        disk.fail_call(call, Fault::Short, false);
        let mut facts = Vec::new();
        story(&log, &mut facts).unwrap();
        disk.crash(Crash::LoseAll);
        let (_, _, collected) = open(&disk, &options(4000, 2)).unwrap();
        assert_eq!(collected.facts.len(), facts.len(), "call {call}");
    }
}

#[test]
fn a_disk_that_fills_up_at_any_byte_loses_nothing_and_goes_on_with_space() {
    for room in 0..9000 {
        if room % 7 != 0 && room > 1200 {
            continue;
        }
        let disk = FaultyDisk::new(room);
        let (log, _, _) = open(&disk, &options(3000, 1)).unwrap();
        disk.enospc_after(room);
        let mut facts = Vec::new();
        for byte in 0..12u8 {
            facts.push(append(&log, 0, &[byte + 1; 600], Need::Sync));
            let committed = log.commit().unwrap();
            let waits = log.durable() < facts.last().unwrap().1;
            assert_eq!(waits, committed.disk_full, "{room} {byte}");
            assert_eq!(log.disk_full(), committed.disk_full);
            if waits {
                assert_eq!(log.pending(), Pending::Sync);
                assert!(log.backlog_bytes() >= 616);
            }
        }
        // What waits can be read; a crash now keeps what was confirmed.
        let plain: Vec<Fact> = facts.iter().map(|(fact, _)| fact.clone()).collect();
        assert_reads(&log, &plain);
        let copy = disk.fork(room);
        copy.crash(Crash::LoseAll);
        let (_, _, collected) = open(&copy, &options(3000, 2)).unwrap();
        let safe = facts
            .iter()
            .filter(|(_, end)| *end <= log.durable())
            .count();
        assert!(collected.facts.len() >= safe);
        assert_eq!(collected.facts, plain[..collected.facts.len()]);
        disk.set_capacity(None);
        assert!(!log.commit_all().unwrap().disk_full);
        assert!(!log.disk_full());
        assert_eq!((log.pending(), log.backlog_bytes()), (Pending::None, 0));
        disk.crash(Crash::LoseAll);
        let (_, _, collected) = open(&disk, &options(3000, 3)).unwrap();
        assert_eq!(collected.facts, plain, "{room}");
    }
}

#[test]
fn a_checkpoint_that_fails_leaves_the_one_before_and_the_log_unhurt() {
    for call in 1..=8 {
        for fault in [Fault::Io, Fault::NoSpace] {
            let disk = FaultyDisk::new(call);
            let (log, _, _) = open(&disk, &options(4000, 1)).unwrap();
            let (first, _) = append(&log, 0, b"first", Need::Sync);
            log.commit().unwrap();
            let section = |bytes: &[u8], as_of| {
                vec![ferry_log::Section {
                    stream: 0,
                    as_of,
                    pieces: vec![bytes.into()],
                }]
            };
            log.write_checkpoint(section(b"one", first.position))
                .unwrap();
            disk.fail_call(call, fault, false);
            let second = log.write_checkpoint(section(b"two", log.durable()));
            disk.heal();
            let (last, end) = append(&log, 0, b"last", Need::Sync);
            log.commit().unwrap();
            assert!(log.durable() >= end);
            disk.crash(Crash::LoseSome);
            let (_, _, collected) = open(&disk, &options(4000, 2)).unwrap();
            let is_two = collected.sections == [(0, b"two".to_vec())];
            match is_two {
                true => assert_eq!(collected.facts, [last]),
                false => {
                    assert!(second.is_err(), "call {call}");
                    assert_eq!(collected.sections, [(0, b"one".to_vec())]);
                    assert_eq!(collected.facts, [first, last]);
                }
            }
        }
    }
}

#[test]
fn an_error_at_any_read_is_named_and_changes_nothing() {
    let disk = FaultyDisk::new(1);
    let (log, _, _) = open(&disk, &options(4000, 1)).unwrap();
    let mut facts = Vec::new();
    story(&log, &mut facts).unwrap();
    let sections = |as_of| {
        let section = |stream| ferry_log::Section {
            stream,
            as_of,
            pieces: vec![vec![5; 40].into()],
        };
        (0..2).map(section).collect()
    };
    log.write_checkpoint(sections(facts[9].0.position)).unwrap();
    let copy = disk.fork(2);
    let (_, _, expected) = open(&copy, &options(4000, 2)).unwrap();
    let reads = copy.reads();
    assert!(reads > 10, "{reads}");
    for read in 1..=reads {
        let copy = disk.fork(read);
        copy.fail_read(read);
        let calls = copy.calls();
        match open(&copy, &options(4000, 3)) {
            // Of a checkpoint that can not be read there is a copy.
            Ok((_, recovery, collected)) => {
                assert_eq!(recovery.rejected_checkpoints.len(), 1, "read {read}");
                assert_eq!(collected.facts, expected.facts);
            }
            // The disk may read it the next time: nothing is damaged yet.
            Err(error @ (LogError::Io { .. } | LogError::Unreadable { .. })) => {
                let text = error.to_string();
                assert!(text.contains("smartctl"), "read {read}: {text}");
                assert!(!text.contains("sets the damaged"), "read {read}: {text}");
            }
            Err(error) => panic!("read {read}: {error}"),
        }
        assert!(copy.calls() <= calls + 8);
        copy.heal();
        let (_, _, collected) = open(&copy, &options(4000, 4)).unwrap();
        let found = collected.facts;
        assert_eq!(found, expected.facts, "read {read}");
    }
}

#[test]
fn a_reader_that_could_not_read_can_the_next_time() {
    let disk = FaultyDisk::new(1);
    let (log, _, _) = open(&disk, &options(1 << 20, 1)).unwrap();
    let facts: Vec<Fact> = (0..40)
        .map(|n| append(&log, 0, &[n; 3000], Need::Write).0)
        .collect();
    log.commit().unwrap();
    for fact in &facts {
        for _ in 0..3 {
            let mut reader = ferry_log::Reader::new(log.clone());
            disk.fail_read(1);
            let error = reader.read(fact.position).unwrap_err();
            assert!(matches!(error, ferry_log::ReadError::Io { .. }), "{error}");
            assert_eq!(reader.read(fact.position).unwrap().payload, fact.payload);
        }
    }
}
