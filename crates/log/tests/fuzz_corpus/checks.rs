//! What must hold for any bytes in the place of a file. Shared by the corpus test and the fuzz
//! target.

use std::sync::Arc;

use ferry_log::testing::FaultyDisk;
use ferry_log::{Disk, Log, Options, Position, Reader, Replay, repair, verify};

/// A sound log of two segments and a checkpoint.
pub const FILES: [(&str, &[u8]); 3] = [
    (
        "seg-0000000001.log",
        include_bytes!("../golden/segment-1.v1.bin"),
    ),
    (
        "seg-0000000002.log",
        include_bytes!("../golden/segment-2.v1.bin"),
    ),
    (
        "checkpoint-0000000001.ckp",
        include_bytes!("../golden/checkpoint.v1.bin"),
    ),
];

/// Looks at everything and keeps the places of records.
#[derive(Default)]
struct Places(Vec<Position>);

impl Replay for Places {
    fn section(&mut self, _stream: u16, _bytes: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn record(
        &mut self,
        position: Position,
        _stream: u16,
        _kind: u8,
        _flags: u8,
        _payload: &[u8],
    ) -> Result<(), String> {
        self.0.push(position);
        Ok(())
    }
}

fn open(disk: &FaultyDisk) -> Result<Places, ferry_log::LogError> {
    let mut places = Places::default();
    let options = Options {
        segment_bytes: 1500,
        fill_bytes: 0,
        entropy: 7,
        ..Options::default()
    };
    let (log, _) = Log::open(Arc::new(disk.clone()), options, &mut places)?;
    let mut reader = Reader::new(log);
    for position in &places.0 {
        reader
            .read(*position)
            .expect("what was replayed reads back");
    }
    Ok(places)
}

/// The first byte says which file has the others as its content.
pub fn check_files(bytes: &[u8]) {
    let Some((which, content)) = bytes.split_first() else {
        return;
    };
    let disk = FaultyDisk::new(1);
    for (name, sound) in FILES {
        disk.create(name).expect("the disk is sound");
        disk.damage(name, |file| *file = sound.to_vec());
    }
    let name = FILES[usize::from(*which) % FILES.len()].0;
    disk.damage(name, |file| *file = content.to_vec());

    let found = verify(&disk, &mut |done, total| assert!(done <= total));
    let opened = open(&disk.fork(2));
    let Ok(found) = found else {
        assert!(opened.is_err(), "what can not be examined opens");
        return;
    };
    // A claim that nothing else claims may be missing; all else that is sound opens.
    assert!(!found.is_sound() || opened.is_ok(), "{found:?}");
    if repair(&disk).is_ok()
        && let Err(error) = open(&disk)
    {
        panic!("after a repair: {error}: {found:?}");
    }
}
