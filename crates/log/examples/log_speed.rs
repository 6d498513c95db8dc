//! What the log costs: appending a batch, committing, replaying.
//!
//! `cargo run --release -p ferry-log --example log_speed -- DIR` prints time per batch of 100
//! records of 100 bytes, and the rate of a replay for small and for large records.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_log::{Batch, Log, LogError, Need, Options, Position, RealDisk, Replay};

struct Count(u64);

impl Replay for Count {
    fn section(&mut self, _: u16, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn record(&mut self, _: Position, _: u16, _: u8, _: u8, payload: &[u8]) -> Result<(), String> {
        self.0 += payload.len() as u64;
        Ok(())
    }
}

fn run(directory: &PathBuf, records: usize, record_bytes: usize) -> Result<(), LogError> {
    let payload = vec![0x5A; record_bytes];
    let disk = Arc::new(RealDisk::open(directory)?);
    let (log, _) = Log::open(disk, Options::default(), &mut Count(0))?;
    let (mut building, mut appending) = (Duration::ZERO, Duration::ZERO);
    let batches = (1 << 30) / (records * record_bytes);
    let mut batch = Batch::new();
    for number in 0..batches {
        let start = Instant::now();
        batch.clear();
        for _ in 0..records {
            batch.push(1, 0, &[&payload]);
        }
        let built = Instant::now();
        log.append(&batch, Need::Lazy)?;
        building += built - start;
        appending += built.elapsed();
        if number % 64 == 0 {
            log.commit()?;
        }
    }
    log.commit_all()?;
    drop(log);
    let start = Instant::now();
    let mut count = Count(0);
    let disk = Arc::new(RealDisk::open(directory)?);
    let (_, recovery) = Log::open(disk, Options::default(), &mut count)?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{records} x {record_bytes} B: build {:?}, append {:?} per batch; replay {:.2} GB/s",
        building / batches as u32,
        appending / batches as u32,
        recovery.replayed_bytes as f64 / seconds / 1e9,
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    for (records, record_bytes) in [(100, 100), (16, 1024), (1, 1 << 20)] {
        let inner = directory.join(format!("log_speed-{record_bytes}"));
        run(&inner, records, record_bytes)?;
        std::fs::remove_dir_all(inner)?;
    }
    Ok(())
}
