//! The formats, byte for byte: what this version writes, every later one must read.
//!
//! `FERRY_WRITE_GOLDEN=1 cargo test -p ferry-log --test golden` writes the files anew; that is
//! right only together with a new format version.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod support;

use ferry_log::testing::FaultyDisk;
use ferry_log::{Batch, Disk, Need, Options, Section};
use support::{Fact, open};

const FILES: [(&str, &str); 3] = [
    ("seg-0000000001.log", "segment-1.v1.bin"),
    ("seg-0000000002.log", "segment-2.v1.bin"),
    ("checkpoint-0000000001.ckp", "checkpoint.v1.bin"),
];

fn options() -> Options {
    Options {
        segment_bytes: 1500,
        fill_bytes: 0,
        entropy: 0x00C0_FFEE_1234_5678,
        ..Options::default()
    }
}

fn written() -> (FaultyDisk, Vec<Fact>) {
    let disk = FaultyDisk::new(1);
    let (log, _, _) = open(&disk, &options()).unwrap();
    let mut facts = Vec::new();
    let mut as_of = log.end();
    for number in 0..6u8 {
        let mut batch = Batch::new();
        let payload = vec![0x60 + number; 20 * usize::from(number)];
        let stream = u16::from(number) * 300;
        let flags = number << 5;
        let position = batch.push_flagged(number + 1, flags, stream, &[&payload]);
        let appended = log.append(&batch, Need::Sync).unwrap();
        let position = appended.base.plus(position);
        facts.push(Fact {
            position,
            stream,
            kind: number + 1,
            flags,
            payload,
        });
        log.commit().unwrap();
        if number == 2 {
            as_of = log.durable();
        }
    }
    let bytes = b"what stream 300 knew".to_vec();
    log.write_checkpoint(vec![Section {
        stream: 300,
        as_of,
        pieces: vec![bytes.into()],
    }])
    .unwrap();
    log.close().unwrap();
    facts.retain(|fact| fact.position >= as_of);
    (disk, facts)
}

fn path(golden: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(golden)
}

#[test]
fn the_bytes_are_those_of_version_1() {
    let (disk, _) = written();
    for (name, golden) in FILES {
        let bytes = disk.bytes_of(name).unwrap();
        if std::env::var_os("FERRY_WRITE_GOLDEN").is_some() {
            std::fs::write(path(golden), &bytes).unwrap();
        }
        assert!(
            bytes == std::fs::read(path(golden)).unwrap(),
            "{golden} differs"
        );
    }
    let copy = disk.bytes_of("checkpoint-0000000001.copy");
    assert_eq!(copy, disk.bytes_of("checkpoint-0000000001.ckp"));
    assert_eq!(disk.list().unwrap().len(), FILES.len() + 1);
}

#[test]
fn the_files_of_version_1_are_read() {
    let disk = FaultyDisk::new(1);
    for (name, golden) in FILES {
        disk.create(name).unwrap();
        let bytes = std::fs::read(path(golden)).unwrap();
        disk.damage(name, |file| *file = bytes);
    }
    let (_, recovery, collected) = open(&disk, &options()).unwrap();
    assert_eq!(
        collected.sections,
        [(300, b"what stream 300 knew".to_vec())]
    );
    assert_eq!(collected.facts, written().1);
    assert_eq!(recovery.torn_bytes, 0);
}
