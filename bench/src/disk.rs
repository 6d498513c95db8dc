//! `disk`: what the disk allows at all, to hold a broker's confirms against.
//!
//! Invariants
//! - Every sync is `fdatasync` of what was just written, as a broker does that promises something.
//! - The ideal log has messages that are due by the clock, and nothing else to do: whoever is due
//!   when it is free goes into one write and one sync, whoever comes meanwhile waits for the next.
//! - The file is made in the folder that was named, and is deleted in the end.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Res;
use crate::hist::Hist;
use crate::procfs;
use crate::scenario::Load;
use crate::stats::Figures;
use crate::sys::{now_ns, seconds_since};

const SMALL_BYTES: usize = 4 << 10;
const LARGE_BYTES: usize = 1 << 20;
/// The longest log that is made.
const LOG_BYTES_MAX: usize = 1 << 30;

/// What is logged, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rate_per_s: f64,
    bytes_each: usize,
    seconds: f64,
}

impl Pace {
    /// That of an open loop.
    pub fn of(load: &Load) -> Pace {
        Pace {
            rate_per_s: load.rate_per_s,
            bytes_each: load.size_bytes,
            seconds: load.seconds,
        }
    }
}

/// The file that is written to.
struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    fn make(folder: &Path) -> Res<Scratch> {
        let path = folder.join(format!("bench-disk-{}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Scratch { path, file })
    }

    /// Appends blocks and syncs each for so long; returns the seconds, and the times of the syncs.
    fn append(&mut self, block: &[u8], seconds: f64) -> Res<(f64, Hist)> {
        let mut syncs = Hist::default();
        let start = now_ns();
        while syncs.samples == 0 || seconds_since(start) < seconds {
            self.file.write_all(block).map_err(|e| e.to_string())?;
            let begin = now_ns();
            self.file.sync_data().map_err(|e| e.to_string())?;
            syncs.add(now_ns() - begin);
        }
        Ok((seconds_since(start), syncs))
    }

    /// Logs messages as they fall due. Zeros are written before, so that no sync has to note a new
    /// length: what a log does that was made for it.
    fn log(&mut self, pace: Pace, bytes: &[u8]) -> std::io::Result<(Hist, u64)> {
        self.file.write_all_at(&vec![0; bytes.len()], 0)?;
        self.file.sync_all()?;
        commit_in_groups(pace, bytes.len() / pace.bytes_each, |group| {
            let (from, to) = (group.start * pace.bytes_each, group.end * pace.bytes_each);
            self.file.write_all_at(&bytes[from..to], from as u64)?;
            self.file.sync_data()
        })
    }
}

/// Commits so many messages, each time all that are due by then; returns the times from the due
/// time to the end of the commit, and how many commits there were.
fn commit_in_groups(
    pace: Pace,
    count: usize,
    mut commit: impl FnMut(Range<usize>) -> std::io::Result<()>,
) -> std::io::Result<(Hist, u64)> {
    let step_ns = ((1e9 / pace.rate_per_s) as u64).max(1);
    let (mut times, mut commits, mut done) = (Hist::default(), 0, 0);
    let start_ns = now_ns();
    let due_ns = |n: usize| start_ns + n as u64 * step_ns;
    while done < count {
        let now = now_ns();
        let due = (((now - start_ns) / step_ns + 1) as usize).min(count);
        if due == done {
            std::thread::sleep(Duration::from_nanos(due_ns(done).saturating_sub(now)));
            continue;
        }
        commit(done..due)?;
        let end_ns = now_ns();
        (done..due).for_each(|n| times.add(end_ns - due_ns(n)));
        (commits, done) = (commits + 1, due);
    }
    Ok((times, commits))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

/// Measures the disk below `folder` for about so many seconds.
pub fn measure(folder: &Path, seconds: f64) -> Res<Figures> {
    let mut scratch = Scratch::make(folder)?;
    let cpu = procfs::machine_cpu();
    let (small_s, small) = scratch.append(&[b'x'; SMALL_BYTES], seconds / 2.0)?;
    let (large_s, large) = scratch.append(&vec![b'x'; LARGE_BYTES], seconds / 2.0)?;
    let steal_pct = procfs::machine_cpu().steal_pct_since(&cpu);
    let mut figures = Figures::default();
    figures.put("syncs_s", small.samples as f64 / small_s);
    figures.put("sync_p50_ms", ms(small.quantile(0.5)));
    figures.put("sync_p99_ms", ms(small.quantile(0.99)));
    figures.put("sync_max_ms", ms(small.max));
    let bytes = large.samples as f64 * LARGE_BYTES as f64;
    figures.put("bytes_s", bytes / large_s);
    figures.put("mb_s", bytes / large_s / 1e6);
    figures.put("large_sync_p50_ms", ms(large.quantile(0.5)));
    figures.put("large_sync_p99_ms", ms(large.quantile(0.99)));
    figures.put("sync_steal_pct", steal_pct);
    Ok(figures)
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// What an ideal log below `folder` needs to make such messages durable.
pub fn ideal_log(folder: &Path, pace: Pace) -> Res<Figures> {
    let bytes = (pace.rate_per_s * pace.seconds).ceil().max(1.0) * pace.bytes_each as f64;
    if pace.rate_per_s <= 0.0 || bytes > LOG_BYTES_MAX as f64 {
        return Err(format!("a log of {pace:?} is not made"));
    }
    let cpu = procfs::machine_cpu();
    let logged = Scratch::make(folder)?.log(pace, &vec![b'x'; bytes as usize]);
    let (times, syncs) = logged.map_err(|error| error.to_string())?;
    let steal_pct = procfs::machine_cpu().steal_pct_since(&cpu);
    let mut figures = Figures::default();
    figures.put("ideal_rate_per_s", pace.rate_per_s);
    figures.put("ideal_bytes_each", pace.bytes_each as f64);
    figures.put("ideal_syncs_s", syncs as f64 / pace.seconds);
    for (name, share) in [
        ("ideal_p50_ms", 0.5),
        ("ideal_p99_ms", 0.99),
        ("ideal_p999_ms", 0.999),
        ("ideal_max_ms", 1.0),
    ] {
        figures.put(name, ms(times.quantile(share)));
    }
    figures.put("ideal_steal_pct", steal_pct);
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_during_a_commit_waits_for_the_next() {
        let pace = Pace {
            rate_per_s: 1000.0,
            bytes_each: 1,
            seconds: 0.1,
        };
        let mut groups = Vec::new();
        let commit = |group: Range<usize>| {
            groups.push(group);
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        };
        let (times, commits) = commit_in_groups(pace, 100, commit).expect("nothing fails");
        let joined: Vec<usize> = groups.iter().cloned().flatten().collect();
        assert_eq!(joined, (0..100).collect::<Vec<_>>(), "each once, in order");
        assert_eq!((commits, times.samples), (groups.len() as u64, 100));
        assert!(commits <= 6, "{groups:?}");
        // a commit by itself takes 20 ms: all else is waiting, of nearly as long at most
        assert!(ms(times.quantile(0.0)) > 19.0 && ms(times.max) > 35.0);
    }

    #[test]
    fn a_disk_has_a_rate_and_leaves_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("bench-disk-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder of its own");
        let figures = measure(&folder, 0.02).expect("it can be written to");
        let get = |name: &str| figures.get(name).expect("measured");
        assert!(get("syncs_s") > 0.0 && get("mb_s") > 0.0);
        assert!(get("sync_p50_ms") <= get("sync_p99_ms"));
        assert!(get("sync_p99_ms") <= get("sync_max_ms"));
        let pace = |rate_per_s| Pace {
            rate_per_s,
            bytes_each: 64,
            seconds: 0.05,
        };
        let figures = ideal_log(&folder, pace(2000.0)).expect("it can be written to");
        let get = |name: &str| figures.get(name).expect("measured");
        assert!(0.0 < get("ideal_p50_ms") && get("ideal_p50_ms") <= get("ideal_p99_ms"));
        assert!(get("ideal_syncs_s") <= 2000.0, "at most one for each");
        assert!(get("ideal_syncs_s") > 0.0);
        for rate_per_s in [0.0, 1e12] {
            assert!(
                ideal_log(&folder, pace(rate_per_s)).is_err(),
                "{rate_per_s}"
            );
        }
        // fails if anything is left in it
        std::fs::remove_dir(&folder).expect("the file is gone");
        assert!(measure(&folder, 0.02).is_err(), "there is no such folder");
    }
}
