//! `disk`: what the disk allows at all, to hold a broker's confirms against.
//!
//! Invariants
//! - Every sync is `fdatasync` of what was just appended, as a broker does that promises something.
//! - The file is made in the folder that was named, and is deleted in the end.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Res;
use crate::hist::Hist;
use crate::stats::Figures;
use crate::sys::{now_ns, seconds_since};

const SMALL_BYTES: usize = 4 << 10;
const LARGE_BYTES: usize = 1 << 20;

/// The file that is written to.
struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    fn make(folder: &Path) -> Res<Scratch> {
        let path = folder.join(format!("bench-disk-{}", std::process::id()));
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
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
    let (small_s, small) = scratch.append(&[b'x'; SMALL_BYTES], seconds / 2.0)?;
    let (large_s, large) = scratch.append(&vec![b'x'; LARGE_BYTES], seconds / 2.0)?;
    let ms = |ns: u64| ns as f64 / 1e6;
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
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_a_rate_and_leaves_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("bench-disk-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder of its own");
        let figures = measure(&folder, 0.02).expect("it can be written to");
        let get = |name: &str| figures.get(name).expect("measured");
        assert!(get("syncs_s") > 0.0 && get("mb_s") > 0.0);
        assert!(get("sync_p50_ms") <= get("sync_p99_ms"));
        assert!(get("sync_p99_ms") <= get("sync_max_ms"));
        // fails if anything is left in it
        std::fs::remove_dir(&folder).expect("the file is gone");
        assert!(measure(&folder, 0.02).is_err(), "there is no such folder");
    }
}
