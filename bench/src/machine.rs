//! What a result page says about where and when it was measured.
//!
//! Invariants
//! - What can not be found out reads `unknown`; nothing here stops a run.
//! - No absolute path of this machine gets onto a page: the working folder reads `.`.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The circumstances of a run.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many processors the system sees.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel's version.
    pub kernel: String,
    /// The commit of the working folder.
    pub commit: String,
    /// Day and time, UTC.
    pub date: String,
    /// What was typed.
    pub command: String,
}

impl Machine {
    /// Looks around.
    pub fn look() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let kilobytes = field(&read("/proc/meminfo"), "MemTotal");
        let kilobytes = kilobytes
            .split_whitespace()
            .next()
            .and_then(|n| n.parse::<u64>().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Machine {
            cpu: or_unknown(field(&cpuinfo, "model name")),
            cores: cpuinfo
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            memory_mib: kilobytes.unwrap_or(0) / 1024,
            kernel: or_unknown(read("/proc/sys/kernel/osrelease").trim().to_string()),
            commit: commit(),
            date: utc(now.map_or(0, |since| since.as_secs())),
            command: command(),
        }
    }
}

fn or_unknown(text: String) -> String {
    if text.is_empty() {
        "unknown".to_string()
    } else {
        text
    }
}

/// The value behind `key` in a file of `key : value` lines.
fn field(text: &str, key: &str) -> String {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_string())
        .unwrap_or_default()
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}

fn commit() -> String {
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_string();
    };
    // The page that is being written is no change of what it is about.
    let changes = [
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        ":/",
        ":!/bench/results",
    ];
    match git(&changes) {
        Some(changes) if !changes.is_empty() => format!("{commit} with uncommitted changes"),
        _ => commit,
    }
}

fn command() -> String {
    let here = std::env::current_dir()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    let quote = |word: String| {
        if word.contains(' ') {
            format!("'{word}'")
        } else {
            word
        }
    };
    let words: Vec<String> = std::env::args().skip(1).map(quote).collect();
    without_folder(&format!("bench {}", words.join(" ")), &here)
}

fn without_folder(text: &str, folder: &str) -> String {
    if folder.len() > 1 {
        text.replace(folder, ".")
    } else {
        text.to_string()
    }
}

/// Seconds since 1970 as `YYYY-MM-DD HH:MM UTC`.
fn utc(seconds: u64) -> String {
    let (days, minutes) = (seconds / 86_400, seconds % 86_400 / 60);
    let mut year = 1970;
    let mut day = days;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute) = (minutes / 60, minutes % 60);
    format!("{year}-{month:02}-{:02} {hour:02}:{minute:02} UTC", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_798_761_599, "2026-12-31 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), expected);
        }
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "model\t\t: 17\nmodel name\t: A CPU\nMemTotal:   24684012 kB\n";
        assert_eq!(field(text, "model name"), "A CPU");
        assert_eq!(field(text, "MemTotal"), "24684012 kB");
        assert_eq!(or_unknown(field(text, "flags")), "unknown");
    }

    #[test]
    fn the_working_folder_is_not_shown() {
        assert_eq!(
            without_folder("bench --out /a/b/x.md", "/a/b"),
            "bench --out ./x.md"
        );
        assert_eq!(without_folder("bench /x", "/"), "bench /x");
    }
}
