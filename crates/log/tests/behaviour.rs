//! What callers count on: needs, rolling, reading, checkpoints, cleaning, threads.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferry_log::testing::{Crash, FaultyDisk, Random};
use ferry_log::{
    Batch, Log, LogError, Need, Options, Pending, Position, ReadError, Reader, RealDisk,
    ReleaseBatch, Section,
};
use support::{Collected, Fact, append, assert_reads, open, options};

fn fresh(segment_bytes: u64) -> (FaultyDisk, Arc<Log>) {
    let disk = FaultyDisk::new(1);
    let (log, _, _) = open(&disk, &options(segment_bytes, 1)).unwrap();
    (disk, log)
}

#[test]
fn each_need_costs_what_it_says() {
    let (disk, log) = fresh(1 << 20);
    append(&log, 0, b"opens the segment", Need::Sync);
    log.commit().unwrap();
    for (need, pending, is_synced) in [
        (Need::Lazy, Pending::Lazy, false),
        (Need::Write, Pending::Write, false),
        (Need::Sync, Pending::Sync, true),
    ] {
        let (_, end) = append(&log, 0, b"x", need);
        assert_eq!(log.pending(), pending);
        assert!(log.written() < end && log.durable() < end);
        let syncs = disk.syncs();
        let committed = log.commit().unwrap();
        assert!(log.written() >= end, "{need:?}");
        assert_eq!(
            (committed.written, committed.durable),
            (log.written(), log.durable())
        );
        assert_eq!(log.durable() >= end, is_synced, "{need:?}");
        assert_eq!(disk.syncs() - syncs, u64::from(is_synced), "{need:?}");
        assert_eq!(log.pending(), Pending::None);
    }
}

#[test]
fn an_empty_commit_touches_nothing_and_one_sync_serves_all() {
    let (disk, log) = fresh(1 << 20);
    let calls = disk.calls();
    log.commit().unwrap();
    log.commit_all().unwrap();
    assert_eq!(disk.calls(), calls);
    let ends: Vec<_> = (0..100)
        .map(|_| append(&log, 0, b"y", Need::Sync).1)
        .collect();
    let syncs = disk.syncs();
    log.commit().unwrap();
    // One for the new segment's head, one for all hundred.
    assert_eq!(disk.syncs() - syncs, 2);
    assert!(ends.iter().all(|end| log.durable() >= *end));
}

#[test]
fn an_empty_batch_waits_for_what_came_before_it() {
    let (_, log) = fresh(1 << 20);
    let (_, end) = append(&log, 0, b"z", Need::Lazy);
    log.commit().unwrap();
    assert!(log.durable() < end);
    let barrier = log.append(&Batch::new(), Need::Sync).unwrap();
    assert!(barrier.end >= end);
    log.commit().unwrap();
    assert!(log.durable() >= barrier.end);
}

#[test]
fn a_batch_lies_in_one_segment_and_a_large_one_in_its_own() {
    let (disk, log) = fresh(5000);
    let mut facts = Vec::new();
    let mut segments = Vec::new();
    for bytes in [1500, 1500, 1500, 20_000, 10] {
        let mut batch = Batch::new();
        let payload = vec![bytes as u8; bytes / 2];
        let offsets = [batch.push(1, 0, &[&payload]), batch.push(1, 0, &[&payload])];
        let appended = log.append(&batch, Need::Sync).unwrap();
        assert_eq!(appended.end.segment(), appended.base.segment());
        assert_eq!(appended.end, appended.base.plus(batch.log_bytes() as u32));
        segments.push(appended.base.segment());
        for offset in offsets {
            let position = appended.base.plus(offset);
            let payload = payload.clone();
            facts.push(Fact {
                position,
                stream: 0,
                kind: 1,
                flags: 0,
                payload,
            });
        }
    }
    assert_eq!(segments, [1, 1, 2, 3, 4]);
    assert_reads(&log, &facts);
    log.commit().unwrap();
    assert_reads(&log, &facts);
    disk.crash(Crash::LoseAll);
    let (_, recovery, collected) = open(&disk, &options(5000, 2)).unwrap();
    assert_eq!(collected.facts, facts);
    assert_eq!((recovery.torn_bytes, recovery.segments), (0, 4));
    assert_eq!(recovery.replayed_records, 10);
}

#[test]
fn a_reader_finds_records_of_any_size_in_any_order_while_the_log_grows() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
    let options = Options {
        segment_bytes: 1 << 20,
        ..Options::default()
    };
    let (log, _) = Log::open(disk, options, &mut Collected::default()).unwrap();
    let mut random = Random::new(5);
    let mut reader = Reader::new(log.clone());
    let mut facts: Vec<Fact> = Vec::new();
    for round in 0..400 {
        let bytes = match random.below(12) {
            0 => 128 << 10,
            1 => random.below(400_000),
            2..6 => random.below(9000),
            _ => random.below(200),
        };
        let payload = vec![random.any() as u8; bytes as usize];
        facts.push(append(&log, round % 9, &payload, Need::Write).0);
        if random.chance(40) {
            log.commit().unwrap();
        }
        let from = random.below(facts.len() as u64) as usize;
        let stretch = if random.chance(50) { 1 } else { 12 };
        for fact in facts.iter().skip(from).take(stretch) {
            let record = reader.read(fact.position).unwrap();
            assert!(record.payload == fact.payload, "{fact:?}");
        }
        if random.chance(5) {
            reader = ferry_log::Reader::new(Arc::clone(&log));
        }
    }
    log.commit().unwrap();
    assert_reads(&log, &facts);
    facts.reverse();
    assert_reads(&log, &facts);
}

#[test]
fn readers_keep_no_removed_segment_open() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
    let (log, _) = Log::open(disk, options(5000, 2), &mut Collected::default()).unwrap();
    let facts: Vec<Fact> = (0..40)
        .map(|n| append(&log, 0, &[n; 1000], Need::Write).0)
        .collect();
    log.commit().unwrap();
    let mut readers = [(); 3].map(|()| Reader::new(log.clone()));
    for (fact, reader) in facts.iter().flat_map(|f| [(f, 0), (f, 1), (f, 2)]) {
        assert!(readers[reader].read(fact.position).unwrap().payload == fact.payload);
    }
    let files = || {
        let ours = |path: &PathBuf| path.starts_with(directory.path());
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let open = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        let names = open.filter(ours).map(|path| path.display().to_string());
        let (gone, there): (Vec<_>, Vec<_>) = names.partition(|name| name.ends_with("(deleted)"));
        (gone.len(), there.len())
    };
    let (gone, there) = files();
    // the folder, its lock and the segment that is written; one handle for all three readers
    assert!(gone == 0 && there <= log.segments().len() + 3, "{there}");
    let mut batch = ReleaseBatch::default();
    for fact in &facts[..30] {
        batch.add(fact.position, 1000, 1);
    }
    log.release(&mut batch);
    let section = Section {
        stream: 0,
        as_of: facts[30].position,
        pieces: Vec::new(),
    };
    log.commit_all().unwrap();
    log.write_checkpoint(vec![section]).unwrap();
    assert!(log.remove_dead().unwrap() > 3);
    assert_eq!(files().0, 0, "deleted, and still on the disk");
    let gone = readers[0].read(facts[0].position).err();
    assert!(matches!(gone, Some(ReadError::Gone { .. })), "{gone:?}");
    assert_reads(&log, &facts[30..]);
}

#[test]
fn a_place_that_is_no_record_is_refused() {
    let (_, log) = fresh(5000);
    let (fact, end) = append(&log, 0, &[3; 100], Need::Sync);
    for _ in 0..2 {
        let mut reader = Reader::new(log.clone());
        for (position, is_gone) in [
            (fact.position.plus(1), false),
            (Position::new(1, 3), false),
            (Position::new(9, 1024), true),
            (Position::new(1, u32::MAX), true),
            (end.plus(4000), true),
        ] {
            match reader.read(position) {
                Err(ReadError::Gone { .. }) => {
                    assert!(is_gone || log.written().is_zero(), "{position}");
                }
                Err(ReadError::Damaged { .. }) => {}
                other => panic!("{position}: {other:?}"),
            }
        }
        log.commit().unwrap();
    }
}

#[test]
fn a_start_gives_each_stream_its_section_and_what_follows_it() {
    let (disk, log) = fresh(2000);
    let mut facts = Vec::new();
    let mut as_of = [Position::ZERO; 3];
    for round in 0..30u16 {
        let (fact, end) = append(&log, round % 3, &[round as u8; 150], Need::Sync);
        facts.push(fact);
        match round {
            5 => as_of[0] = end,
            14 => as_of[1] = end,
            20 => as_of[2] = end,
            _ => {}
        }
    }
    let sections = || -> Vec<Section> {
        let section = |stream: u16| Section {
            stream,
            as_of: as_of[usize::from(stream)],
            pieces: vec![vec![stream as u8; 10 + usize::from(stream) * 2_000_000].into()],
        };
        (0..3).map(section).collect()
    };
    let error = log.write_checkpoint(sections()).unwrap_err();
    assert!(matches!(error, LogError::NotDurable { .. }), "{error}");
    log.commit().unwrap();
    assert!(log.write_checkpoint(sections()).unwrap() > 6_000_000);
    let (_, recovery, collected) = open(&disk, &options(2000, 2)).unwrap();
    assert_eq!(recovery.checkpoint, Some(1));
    let found: Vec<_> = sections()
        .into_iter()
        .map(|s| (s.stream, s.pieces.concat()))
        .collect();
    assert!(collected.sections == found);
    facts.retain(|fact| fact.position >= as_of[usize::from(fact.stream)]);
    assert_eq!(collected.facts, facts);
}

#[test]
fn a_checkpoint_is_due_after_enough_growth() {
    let disk = FaultyDisk::new(1);
    let options = Options {
        checkpoint_growth_bytes: 1000,
        ..options(1 << 20, 1)
    };
    let (log, _, _) = open(&disk, &options).unwrap();
    let checkpoint = |bytes: usize| {
        log.commit_all().unwrap();
        let as_of = log.durable();
        log.write_checkpoint(vec![Section {
            stream: 0,
            as_of,
            pieces: vec![vec![0; bytes].into()],
        }])
        .unwrap();
        assert!(!log.checkpoint_due());
    };
    append(&log, 0, &[0; 900], Need::Lazy);
    assert!(!log.checkpoint_due());
    append(&log, 0, &[0; 100], Need::Lazy);
    assert!(log.checkpoint_due());
    checkpoint(2000);
    append(&log, 0, &[0; 15_900], Need::Lazy);
    assert!(!log.checkpoint_due(), "eight times a large checkpoint");
    append(&log, 0, &[0; 1500], Need::Lazy);
    assert!(log.checkpoint_due());
}

#[test]
fn dead_segments_go_sparse_ones_are_named_and_the_rest_survives() {
    let (disk, log) = fresh(3000);
    let facts: Vec<Fact> = (0..60u8)
        .map(|n| append(&log, 0, &[n; 300], Need::Sync).0)
        .collect();
    log.commit().unwrap();
    assert_eq!(log.cleaning().dead, [0; 0], "no checkpoint yet");
    let as_of = log.durable();
    log.write_checkpoint(vec![Section {
        stream: 0,
        as_of,
        pieces: vec![vec![1].into()],
    }])
    .unwrap();
    let mut batch = ReleaseBatch::new();
    let kept = |index: usize| index == 9 || index > 50;
    for (index, fact) in facts.iter().enumerate().filter(|(index, _)| !kept(*index)) {
        assert!(!kept(index));
        batch.add(fact.position, 300, 1);
    }
    log.release(&mut batch);
    let sparse = facts[9].position.segment();
    let cleaning = log.cleaning();
    assert_eq!(cleaning.evacuate, Some(sparse));
    assert!(cleaning.dead.len() >= 5 && !cleaning.dead.contains(&sparse));
    assert!(cleaning.disk_bytes > 2 * cleaning.live_bytes);
    assert_eq!(log.remove_dead().unwrap(), cleaning.dead.len());
    assert_eq!(log.remove_dead().unwrap(), 0);
    let rest: Vec<Fact> = (0..60)
        .filter(|n| kept(*n))
        .map(|n| facts[n].clone())
        .collect();
    assert_reads(&log, &rest);
    let error = Reader::new(log.clone())
        .read(facts[0].position)
        .err()
        .unwrap();
    assert!(matches!(error, ReadError::Gone { .. }));
    let (new, _) = append(&log, 0, b"after", Need::Sync);
    log.commit().unwrap();
    disk.crash(Crash::LoseAll);
    // Removals may be forgotten: what comes back is dead again.
    let (log, _, collected) = open(&disk, &options(3000, 2)).unwrap();
    assert_eq!(collected.facts, [new]);
    rest.iter()
        .for_each(|fact| log.retain(fact.position, 300, 1));
    log.remove_dead().unwrap();
    assert_reads(&log, &rest);
    assert!(log.segments().len() <= 5, "{:?}", log.segments());
}

#[test]
fn the_first_start_after_all_was_removed_goes_on_behind_it() {
    let (disk, log) = fresh(2000);
    for _ in 0..8 {
        append(&log, 0, &[1; 900], Need::Sync);
    }
    log.commit().unwrap();
    let last = log.durable().segment();
    log.write_checkpoint(vec![]).unwrap();
    drop(log);
    for life in 2..6 {
        let (log, _, collected) = open(&disk, &options(2000, life)).unwrap();
        assert_eq!(collected.facts, []);
        let (fact, end) = append(&log, 0, b"new", Need::Sync);
        assert!(fact.position.segment() > last);
        log.commit().unwrap();
        assert!(log.durable() >= end);
        log.write_checkpoint(vec![]).unwrap();
        log.remove_dead().unwrap();
    }
}

#[test]
fn a_caller_that_refuses_stops_the_start_with_its_words() {
    struct Refuses;
    impl ferry_log::Replay for Refuses {
        fn section(&mut self, _: u16, _: &[u8]) -> Result<(), String> {
            Ok(())
        }
        fn record(&mut self, _: Position, _: u16, _: u8, _: u8, _: &[u8]) -> Result<(), String> {
            Err("unknown kind".to_owned())
        }
    }
    let (disk, log) = fresh(2000);
    append(&log, 0, b"x", Need::Sync);
    log.commit().unwrap();
    let error = Log::open(Arc::new(disk), options(2000, 2), &mut Refuses)
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "replay stopped at 1:1024: unknown kind");
}

#[test]
fn many_threads_append_while_one_commits() {
    const THREADS: u16 = 4;
    const BATCHES: u32 = 800;
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        segment_bytes: 300_000,
        ..Options::default()
    };
    let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
    let (log, _) = Log::open(disk, options.clone(), &mut Collected::default()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let committer = scope.spawn(|| {
            while !done.load(Ordering::Acquire) || log.pending() != Pending::None {
                let before = log.durable();
                let committed = log.commit().unwrap();
                assert!(committed.durable >= before && committed.durable <= committed.written);
            }
        });
        let appenders: Vec<_> = (0..THREADS)
            .map(|stream| {
                let log = &log;
                scope.spawn(move || {
                    let mut reader = Reader::new(log.clone());
                    let mut last = Position::ZERO;
                    for number in 0..BATCHES {
                        let mut batch = Batch::new();
                        let filler = vec![stream as u8; (number % 600) as usize];
                        let offset = batch.push(1, stream, &[&number.to_le_bytes(), &filler]);
                        let appended = log.append(&batch, Need::Sync).unwrap();
                        assert!(appended.base > last);
                        last = appended.base;
                        let record = reader.read(appended.base.plus(offset)).unwrap();
                        assert_eq!(record.payload[..4], number.to_le_bytes());
                        assert_eq!(record.payload.len(), 4 + filler.len());
                    }
                })
            })
            .collect();
        for appender in appenders {
            appender.join().unwrap();
        }
        done.store(true, Ordering::Release);
        committer.join().unwrap();
    });
    assert!(log.durable() >= log.end());
    drop(log);
    let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
    let mut collected = Collected::default();
    let (_, recovery) = Log::open(disk, options, &mut collected).unwrap();
    assert_eq!(recovery.torn_bytes, 0);
    for stream in 0..THREADS {
        let numbers: Vec<u32> = collected
            .facts
            .iter()
            .filter(|fact| fact.stream == stream)
            .map(|fact| u32::from_le_bytes(*fact.payload.first_chunk().unwrap()))
            .collect();
        assert!(numbers.iter().copied().eq(0..BATCHES), "stream {stream}");
    }
}

#[test]
fn a_batch_over_the_limit_is_refused_whole() {
    let (_, log) = fresh(5000);
    let big = vec![0; 64 << 20];
    let parts = vec![&big[..]; 33];
    let mut batch = Batch::new();
    batch.push(1, 0, &[b"small"]);
    batch.push(1, 0, &parts);
    assert!(batch.is_too_large());
    batch.push(1, 0, &[b"small"]);
    assert!(matches!(
        log.append(&batch, Need::Sync),
        Err(LogError::BatchTooLarge { .. })
    ));
    assert_eq!(log.backlog_bytes(), 0);
    batch.clear();
    batch.push(1, 0, &[b"small"]);
    log.append(&batch, Need::Sync).unwrap();
}
