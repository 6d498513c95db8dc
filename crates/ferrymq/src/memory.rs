//! How much memory this machine, or the container around it, allows.
//!
//! Invariants
//! - The limit is the least of all that apply: the machine's memory and every cgroup from this
//!   process up to the root.

use std::fs;
use std::path::{Path, PathBuf};

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Memory that may be used, in bytes, if the system says so.
pub(crate) fn limit_bytes() -> Option<u64> {
    let total = total_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = cgroup_bytes(&groups, Path::new(CGROUP_ROOT));
    total.into_iter().chain(group).min()
}

fn total_bytes(meminfo: &str) -> Option<u64> {
    let value = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The least limit of the groups that `/proc/self/cgroup` names, with version 1 or 2.
fn cgroup_bytes(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if number == "0" && controllers.is_empty() {
            least(root, path, "memory.max")
        } else if controllers
            .split(',')
            .any(|controller| controller == "memory")
        {
            least(&root.join("memory"), path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    limits.min()
}

/// The least value of `file` in the group and in all above it. A container may see only a part of
/// the way; what is not there limits nothing.
fn least(root: &Path, path: &str, file: &str) -> Option<u64> {
    let mut directory: PathBuf = root.join(path.trim_start_matches('/'));
    let mut found: Option<u64> = None;
    loop {
        // Version 2 says `max` for no limit; version 1 a number above any memory.
        let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
        if let Ok(bytes) = text.trim().parse::<u64>() {
            found = Some(found.map_or(bytes, |least| least.min(bytes)));
        }
        if directory == root || !directory.starts_with(root) || !directory.pop() {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        let meminfo = "MemTotal:       16316412 kB\nMemFree:         1024 kB\n";
        assert_eq!(total_bytes(meminfo), Some(16_316_412 * 1024));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
        assert!(limit_bytes().is_some());
    }

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("memory.max", "max\n"),
            ("app.slice/memory.max", "300\n"),
            ("app.slice/a.scope/memory.max", "500\n"),
            ("app.slice/b.scope/memory.max", "max\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/docker/x/memory.limit_in_bytes", "200\n"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for (groups, expected) in [
            ("0::/app.slice/a.scope\n", Some(300)),
            ("0::/app.slice/b.scope\n", Some(300)),
            ("0::/\n", None),
            ("0::/not/to/be/seen\n", None),
            ("5:cpu:/\n4:memory:/docker/x\n", Some(200)),
            ("4:cpu,memory:/hidden\n", Some(9_223_372_036_854_771_712)),
            ("0::/app.slice\n4:memory:/docker/x\n", Some(200)),
            ("", None),
            ("nonsense\n", None),
        ] {
            assert_eq!(cgroup_bytes(groups, root.path()), expected, "{groups:?}");
        }
    }
}
