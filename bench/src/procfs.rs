//! What `/proc` says about the broker's processes and about the machine.
//!
//! Invariants
//! - A process counts with everything below it, and its CPU time with that of children that it
//!   has reaped, so a broker of many processes is measured like one of one.
//! - A process that ended meanwhile is left out; it is not an error.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rustix::param::clock_ticks_per_second;

/// A process id.
pub type Pid = i32;

fn pids() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The given processes and everything below them.
pub fn tree(roots: &[Pid]) -> Vec<Pid> {
    let parents: Vec<(Pid, Pid)> = pids()
        .into_iter()
        .filter_map(|pid| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut all = roots.to_vec();
    let mut next = 0;
    while next < all.len() {
        for (pid, parent) in &parents {
            if *parent == all[next] && !all.contains(pid) {
                all.push(*pid);
            }
        }
        next += 1;
    }
    all
}

#[derive(Debug, PartialEq)]
struct Stat {
    parent: Pid,
    /// User and system time, with that of reaped children.
    cpu_ticks: u64,
}

fn stat(pid: Pid) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field is the program's name in parentheses and may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let cpu_ticks = fields
        .get(11..15)?
        .iter()
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        cpu_ticks,
    })
}

/// CPU seconds (user and system) of the processes and everything below them.
pub fn cpu_seconds(roots: &[Pid]) -> f64 {
    let ticks: u64 = tree(roots)
        .iter()
        .filter_map(|pid| stat(*pid))
        .map(|s| s.cpu_ticks)
        .sum();
    ticks as f64 / clock_ticks_per_second() as f64
}

/// CPU seconds of all threads that live now, to the nanosecond: for work shorter than the ticks in
/// which `cpu_seconds` counts. None if the kernel does not tell.
pub fn run_seconds(roots: &[Pid]) -> Option<f64> {
    let mut ns = 0;
    for pid in tree(roots) {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            // one that ended meanwhile is left out
            if let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) {
                ns += text.split(' ').next()?.parse::<u64>().ok()?;
            }
        }
    }
    (ns > 0).then_some(ns as f64 / 1e9)
}

/// The first number behind `key` in a file of `key: number` lines.
fn number_after(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.strip_prefix(key)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    })
}

fn status_sum(roots: &[Pid], key: &str) -> u64 {
    tree(roots)
        .iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok())
        .filter_map(|text| number_after(&text, key))
        .sum()
}

/// Resident memory in MiB.
pub fn rss_mib(roots: &[Pid]) -> f64 {
    status_sum(roots, "VmRSS:") as f64 / 1024.0
}

/// The largest resident memory in MiB since `reset_peak`.
pub fn peak_mib(roots: &[Pid]) -> f64 {
    status_sum(roots, "VmHWM:") as f64 / 1024.0
}

/// Starts the peak anew. False if that is not allowed: the peak is then that since the start.
pub fn reset_peak(roots: &[Pid]) -> bool {
    tree(roots)
        .iter()
        .all(|pid| fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok())
}

/// What a program asked of the kernel so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KernelWork {
    /// A thread gave its core up, as when it waited for something.
    pub switches_voluntary: u64,
    /// A thread's core was taken away.
    pub switches_forced: u64,
    /// Calls of the `read` family. `recv` is not among them.
    pub reads: u64,
    /// Calls of the `write` family. `send` is not among them.
    pub writes: u64,
}

/// Switches of all threads that live now, and read and write calls.
pub fn kernel_work(roots: &[Pid]) -> KernelWork {
    let mut work = KernelWork::default();
    for pid in tree(roots) {
        if let Ok(io) = fs::read_to_string(format!("/proc/{pid}/io")) {
            work.reads += number_after(&io, "syscr:").unwrap_or(0);
            work.writes += number_after(&io, "syscw:").unwrap_or(0);
        }
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let Ok(text) = fs::read_to_string(thread.path().join("status")) else {
                continue;
            };
            work.switches_voluntary += number_after(&text, "voluntary_ctxt_switches:").unwrap_or(0);
            work.switches_forced += number_after(&text, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
    }
    work
}

/// Bytes that were read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BytesRead {
    /// Asked for with the `read` family: of files, from the kernel's memory or not.
    pub asked: u64,
    /// Fetched from a disk for it.
    pub fetched: u64,
}

/// Bytes that the processes and everything below them have read.
pub fn bytes_read(roots: &[Pid]) -> BytesRead {
    let mut sum = BytesRead::default();
    for pid in tree(roots) {
        if let Ok(io) = fs::read_to_string(format!("/proc/{pid}/io")) {
            sum.asked += number_after(&io, "rchar:").unwrap_or(0);
            sum.fetched += number_after(&io, "read_bytes:").unwrap_or(0);
        }
    }
    sum
}

/// All files in the folders of those files that the processes have open.
pub fn files_beside_open_ones(roots: &[Pid]) -> Vec<PathBuf> {
    let mut folders = BTreeSet::new();
    for pid in tree(roots) {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        let paths = open
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok());
        let files = paths.filter(|path| path.is_absolute() && path.is_file());
        folders.extend(files.filter_map(|path| Some(path.parent()?.to_path_buf())));
    }
    let inside = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let files = folders.into_iter().flat_map(inside);
    files
        .map(|file| file.path())
        .filter(|path| path.is_file())
        .collect()
}

/// CPU seconds of the whole machine since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MachineCpu {
    /// Spent on anything.
    pub busy: f64,
    /// Taken by the hypervisor for somebody else.
    pub steal: f64,
    /// All time of all cores.
    pub total: f64,
}

impl MachineCpu {
    /// The share of all time that was taken since an earlier look, in per cent.
    pub fn steal_pct_since(&self, begin: &MachineCpu) -> f64 {
        let total = (self.total - begin.total).max(0.01);
        100.0 * (self.steal - begin.steal) / total
    }
}

/// The machine's CPU time; zeros if `/proc/stat` can not be read.
pub fn machine_cpu() -> MachineCpu {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    parse_machine_cpu(&text, clock_ticks_per_second() as f64).unwrap_or_default()
}

fn parse_machine_cpu(text: &str, ticks_per_second: f64) -> Option<MachineCpu> {
    let fields = text.lines().next()?.split_whitespace().skip(1).take(8);
    let seconds: Vec<f64> = fields
        .filter_map(|x| Some(x.parse::<f64>().ok()? / ticks_per_second))
        .collect();
    let &[_, _, _, idle, iowait, _, _, steal] = seconds.as_slice() else {
        return None;
    };
    let total: f64 = seconds.iter().sum();
    Some(MachineCpu {
        busy: total - idle - iowait - steal,
        steal,
        total,
    })
}

/// The load average over one minute.
pub fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg")
        .ok()?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// The process that listens on a TCP port.
pub fn listener_pid(port: u16) -> Option<Pid> {
    let mut sockets = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        sockets.extend(listening_sockets(
            &fs::read_to_string(file).unwrap_or_default(),
            port,
        ));
    }
    if sockets.is_empty() {
        return None;
    }
    pids().into_iter().find(|pid| {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            return false;
        };
        files.flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|link| {
                link.to_str()
                    .is_some_and(|l| sockets.iter().any(|s| s == l))
            })
        })
    })
}

/// The sockets that listen on `port`, written as links of `/proc/PID/fd` are.
fn listening_sockets(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let rows = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 9 && row[3] == "0A" && row[1].ends_with(&suffix))
        .map(|row| format!("socket:[{}]", row[9]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_counts_reaped_children_and_survives_odd_names() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 9 0 100 1 1";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                parent: 7,
                cpu_ticks: 127
            })
        );
        for broken in ["", "42 (a", "42 (a) S 7 1 1"] {
            assert_eq!(parse_stat(broken), None, "{broken}");
        }
    }

    #[test]
    fn machine_time_leaves_idle_and_waiting_out() {
        let text = "cpu  100 10 50 1000 40 5 5 90 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        let got = parse_machine_cpu(text, 100.0).expect("a full line");
        assert!((got.busy - 1.7).abs() < 1e-9, "{got:?}");
        assert!((got.steal - 0.9).abs() < 1e-9, "{got:?}");
        assert!((got.total - 13.0).abs() < 1e-9, "{got:?}");
        assert_eq!(parse_machine_cpu("cpu 1 2", 100.0), None);
        assert!((got.steal_pct_since(&MachineCpu::default()) - 90.0 / 13.0).abs() < 1e-9);
        assert_eq!(got.steal_pct_since(&got), 0.0, "no time has passed");
    }

    #[test]
    fn only_listeners_on_the_very_port_are_found() {
        let table = "  sl  local_address rem_address   st tx rx tr tm->when retrnsmt uid to inode\n\
            0: 0100007F:1628 00000000:0000 0A 0:0 0:0 0 0 0 111 1 0 100 0 0 10 0\n\
            1: 0100007F:1628 0100007F:9999 01 0:0 0:0 0 0 0 222 1 0 100 0 0 10 0\n\
            2: 0100007F:1629 00000000:0000 0A 0:0 0:0 0 0 0 333 1 0 100 0 0 10 0\n";
        assert_eq!(listening_sockets(table, 0x1628), ["socket:[111]"]);
        assert!(listening_sockets(table, 80).is_empty());
    }

    #[test]
    fn keyed_numbers_are_found_by_their_whole_key() {
        let text = "nonvoluntary_ctxt_switches:\t3\nvoluntary_ctxt_switches:\t12\nVmRSS:\t  9 kB\n";
        assert_eq!(number_after(text, "voluntary_ctxt_switches:"), Some(12));
        assert_eq!(number_after(text, "VmRSS:"), Some(9));
        assert_eq!(number_after(text, "VmHWM:"), None);
    }

    #[test]
    fn files_are_found_beside_open_ones() {
        let folder = std::env::temp_dir().join(format!("bench-files-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).expect("a folder of its own");
        let names = ["a", "b"].map(|name| folder.join(name));
        names
            .iter()
            .for_each(|path| fs::write(path, "x").expect("it can be written"));
        let ours = || {
            let mut found = files_beside_open_ones(&[std::process::id() as Pid]);
            found.retain(|path| path.starts_with(&folder));
            found.sort();
            found
        };
        assert!(ours().is_empty(), "none of them is open");
        let open = fs::File::open(&names[0]).expect("it is there");
        assert_eq!(ours(), names);
        drop(open);
        fs::remove_dir_all(&folder).expect("it is ours");
    }

    #[test]
    fn this_process_is_found_by_its_listening_port() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let me = std::process::id() as Pid;
        assert_eq!(listener_pid(port), Some(me));
        assert!(rss_mib(&[me]) > 0.0);
        assert!(run_seconds(&[me]).is_some_and(|seconds| seconds > 0.0));
        assert!(bytes_read(&[me]).asked > 0);
        drop(listener);
        assert_eq!(listener_pid(port), None);
    }
}
