//! What the system says of this process, read from `/proc/self`.
//!
//! Invariants
//! - A figure that can not be read is `None`, never zero.

use std::fs;

/// The unit of times in `/proc/self/stat`: the kernel's interface has had 100 a second for ever.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory of this process that is resident, in bytes; none if the system does not say.
pub fn resident_bytes() -> Option<u64> {
    status_bytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// CPU time that was used since the start, in seconds.
pub(crate) fn cpu_seconds() -> Option<f64> {
    stat_cpu_seconds(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// File descriptors that are open.
pub(crate) fn open_files() -> Option<u64> {
    // One of them is the directory that is being read.
    let count = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(count.saturating_sub(1))
}

/// File descriptors that may be open.
pub(crate) fn open_files_max() -> Option<u64> {
    limit_soft(
        &fs::read_to_string("/proc/self/limits").ok()?,
        "Max open files",
    )
}

fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn stat_cpu_seconds(stat: &str) -> Option<f64> {
    // The name of the program may hold spaces and brackets; the fields begin after its last one.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

fn limit_soft(limits: &str, name: &str) -> Option<u64> {
    let values = limits.lines().find_map(|line| line.strip_prefix(name))?;
    values.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_the_kernels_texts() {
        let status = "Name:\tferrymq\nVmHWM:\t  300 kB\nVmRSS:\t   200 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), Some(200 * 1024));
        assert_eq!(status_bytes(status, "VmSwap:"), None);
        let stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 5 0 999";
        assert_eq!(stat_cpu_seconds(stat), Some(2.0));
        assert_eq!(stat_cpu_seconds("12 (ferrymq) S 1"), None);
        let limits = "Limit  Soft Limit  Hard Limit  Units\n\
                      Max open files            1024                 4096                 files\n\
                      Max locked memory         unlimited            unlimited            bytes\n";
        assert_eq!(limit_soft(limits, "Max open files"), Some(1024));
        assert_eq!(limit_soft(limits, "Max locked memory"), None);
    }

    #[test]
    fn this_process_has_memory_and_files() {
        assert!(resident_bytes().unwrap() > 4096);
        assert!(open_files().unwrap() >= 3);
        assert!(open_files_max().unwrap() >= open_files().unwrap());
        assert!(cpu_seconds().unwrap() >= 0.0);
    }
}
