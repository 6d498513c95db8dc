//! What one durable append costs on this disk: plain append, preallocated, zero-filled.
//!
//! `cargo run --release -p ferry-log --example sync_cost -- DIR [ROUNDS]` writes 4, 16, 64 and
//! 512 KiB blocks one after another, each followed by `fdatasync`, in files prepared in several
//! ways, and prints median and 99th percentile. It is what `Options::fill_bytes` was chosen by, and
//! why segments are used again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FallocateFlags;

#[derive(Clone, Copy, Debug)]
enum Preparation {
    /// Each write extends the file, each sync journals the new size.
    Plain,
    /// `fallocate` of the whole range: extents exist but are marked unwritten.
    Preallocated,
    /// Zeros written and synced first: a write changes no metadata at all. So it is in a segment
    /// that is used again.
    ZeroFilled,
    /// When a write passes the end of the file, zeros are written behind it in the same go.
    ZerosAhead(u64),
}

fn prepare(path: &Path, preparation: Preparation, bytes: u64) -> io::Result<(File, Duration)> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let start = Instant::now();
    match preparation {
        Preparation::Plain | Preparation::ZerosAhead(_) => {}
        Preparation::Preallocated => {
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
        }
        Preparation::ZeroFilled => {
            let zeros = vec![0; 1 << 20];
            for offset in (0..bytes).step_by(zeros.len()) {
                file.write_all_at(&zeros, offset)?;
            }
        }
    }
    file.sync_all()?;
    Ok((file, start.elapsed()))
}

fn measure(
    file: &File,
    preparation: Preparation,
    rounds: u64,
    block_bytes: usize,
) -> io::Result<Vec<Duration>> {
    let block = vec![0xA5; block_bytes];
    let mut times = Vec::new();
    let mut filled = 0;
    for round in 0..rounds {
        let start = Instant::now();
        let end = (round + 1) * block_bytes as u64;
        file.write_all_at(&block, end - block_bytes as u64)?;
        if let Preparation::ZerosAhead(ahead) = preparation
            && end > filled
        {
            file.write_all_at(&vec![0; ahead as usize], end)?;
            filled = end + ahead;
        }
        file.sync_data()?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let rounds = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(400);
    let path = dir.join("sync_cost.tmp");
    let preparations = [
        Preparation::Plain,
        Preparation::Preallocated,
        Preparation::ZeroFilled,
        Preparation::ZerosAhead(64 << 10),
        Preparation::ZerosAhead(256 << 10),
        Preparation::ZerosAhead(1 << 20),
    ];
    for block_bytes in [4 << 10, 16 << 10, 64 << 10, 512 << 10] {
        for preparation in preparations {
            let bytes = (rounds * block_bytes as u64).next_multiple_of(1 << 20);
            let (file, preparing) = prepare(&path, preparation, bytes)?;
            let mut times = measure(&file, preparation, rounds, block_bytes)?;
            let sum = times.iter().sum::<Duration>() + preparing;
            times.sort();
            let at = |per_cent: usize| times[(times.len() - 1) * per_cent / 100];
            println!(
                "{block_bytes:>6} B {preparation:?}: p50 {:?}, p99 {:?}, mean {:?} with preparing",
                at(50),
                at(99),
                sum / rounds as u32,
            );
        }
    }
    std::fs::remove_file(path)
}
