//! `replay` (SR): what stands in a stream is read from its first message on, by one reader and
//! then by a hundred.
//!
//! Invariants
//! - The kernel has nothing of it in memory when reading begins: it was asked to drop what it keeps
//!   of the broker's files.
//! - Every reader reads all of it, or the run stalls and is an error.

use crate::Res;
use crate::args::Args;
use crate::measure::{self, Options};
use crate::procfs::{self, Pid};
use crate::proto;
use crate::scenario::Load;
use crate::stats::Figures;
use crate::sys;
use crate::target::Target;

const MESSAGES: u64 = 20_000;
const READERS: usize = 100;
/// Far beyond any run; the counts end it.
const NO_TIME_LIMIT_S: f64 = 1e6;

/// The figures of so many readers.
struct Names {
    rate: &'static str,
    asked: &'static str,
    fetched: &'static str,
}

const ONE: Names = Names {
    rate: "one_msgs_s",
    asked: "one_file_reads",
    fetched: "one_disk_reads",
};
const MANY: Names = Names {
    rate: "msgs_s",
    asked: "file_reads",
    fetched: "disk_reads",
};

/// Fills, reads twice.
pub fn measure(target: &Target, args: &Args) -> Res<Figures> {
    let mut load = Load::of("SR", target.proto)?.with(args)?;
    load.seconds = NO_TIME_LIMIT_S;
    load.warmup_s = 0.0;
    let figures = phases(target, &mut load);
    proto::cleanup(target, &load);
    figures
}

fn phases(target: &Target, load: &mut Load) -> Res<Figures> {
    let mut figures = Figures::default();
    figures.put("messages", MESSAGES as f64);
    proto::setup(target, load)?;
    load.publish_count = MESSAGES;
    let mut producers = proto::open_producers(target, load)?;
    measure::on_connections(target, load, &mut producers, Options::default())?;
    drop(producers);
    (load.fresh, load.publish_count) = (false, 0);
    read(target, load, 1, &ONE, &mut figures)?;
    let run = read(target, load, READERS, &MANY, &mut figures)?;
    let cpu = "broker_cpu_us_per_message";
    figures.put(cpu, run.get(cpu).unwrap_or(f64::NAN));
    Ok(figures)
}

/// Reads all; notes how often the bodies' bytes were asked for, and came off the disk.
fn read(
    target: &Target,
    load: &mut Load,
    readers: usize,
    names: &Names,
    figures: &mut Figures,
) -> Res<Figures> {
    (load.consumers, load.copies) = (readers, readers);
    load.drain_count = MESSAGES * readers as u64;
    let pids = target.charged()?;
    forget_files(pids);
    let before = procfs::bytes_read(pids);
    let mut conns = proto::open_consumers(target, load)?;
    let run = measure::on_connections(target, load, &mut conns, Options::default())?;
    let after = procfs::bytes_read(pids);
    let stream_bytes = (MESSAGES * load.size_bytes as u64) as f64;
    let times = |from: u64, to: u64| to.saturating_sub(from) as f64 / stream_bytes;
    figures.put(names.rate, run.get("msgs_s").unwrap_or(f64::NAN));
    figures.put(names.asked, times(before.asked, after.asked));
    figures.put(names.fetched, times(before.fetched, after.fetched));
    Ok(run)
}

/// Has the kernel forget what it keeps of all files in the folders that the processes write in.
fn forget_files(pids: &[Pid]) {
    for path in procfs::files_beside_open_ones(pids) {
        if let Err(error) = sys::forget_file(&path) {
            eprintln!("{}: {error}", path.display());
        }
    }
}
