//! `verify` and `repair`: a data directory that no node is using, looked at and mended.
//!
//! Invariants
//! - The report goes to standard output, progress to standard error.
//! - Neither makes a directory; `verify` changes nothing in one.
//!
//! Not here: what damage means (`ferry_broker::damage`).

mod report;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ferry_broker::damage::{self, Damage};
use ferry_log::{LogError, RealDisk};

use crate::clock::SteadyClock;
use crate::size;

/// Between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Which directory, and how it is reported.
#[derive(Debug)]
pub(crate) struct Subject {
    pub data_dir: PathBuf,
    pub json: bool,
}

#[derive(Debug, thiserror::Error)]
enum ToolError {
    #[error("{0} is not a data directory")]
    NoDirectory(String),
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Reads everything; success means that nothing is damaged.
pub(crate) fn verify(subject: &Subject) -> ExitCode {
    let mut progress = Progress::new();
    let damage = open(&subject.data_dir).and_then(|disk| {
        Ok(damage::verify(
            &disk,
            &SteadyClock::new(),
            &mut |done, all| progress.show(done, all),
        )?)
    });
    finish(subject, damage, |damage| {
        let verdict = match damage.is_sound() {
            true => "Nothing is damaged.",
            false => "There is damage; `ferrymq repair` sets it aside so that a node starts again.",
        };
        (verdict.to_owned(), damage.is_sound())
    })
}

/// Sets damage aside; success means that a node starts with this directory.
pub(crate) fn repair(subject: &Subject) -> ExitCode {
    let mut progress = Progress::new();
    let damage = open(&subject.data_dir).and_then(|disk| {
        Ok(damage::repair(
            &disk,
            &SteadyClock::new(),
            &mut |done, all| progress.show(done, all),
        )?)
    });
    finish(subject, damage, |damage| {
        let lost: u64 = damage.log.regions.iter().map(|region| region.bytes).sum();
        let verdict = match damage.log.is_sound() {
            true => "Nothing was damaged, nothing was changed.".to_owned(),
            false => format!(
                "The damaged parts above are set aside: what those {} held is lost. A node starts \
                 with this directory again.",
                size::show(lost)
            ),
        };
        (verdict, true)
    })
}

fn open(data_dir: &Path) -> Result<RealDisk, ToolError> {
    if !data_dir.is_dir() {
        return Err(ToolError::NoDirectory(data_dir.display().to_string()));
    }
    Ok(RealDisk::open(data_dir)?)
}

fn finish(
    subject: &Subject,
    damage: Result<Damage, ToolError>,
    judge: impl FnOnce(&Damage) -> (String, bool),
) -> ExitCode {
    match damage {
        Ok(damage) => {
            let (verdict, success) = judge(&damage);
            match subject.json {
                true => println!("{:#}", report::json(&damage)),
                false => println!("{}{verdict}", report::text(&damage)),
            }
            if success {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("ferrymq: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A line on standard error now and then: over itself on a terminal, else below each other.
struct Progress {
    terminal: bool,
    shown: Instant,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            terminal: std::io::stderr().is_terminal(),
            shown: Instant::now(),
        }
    }

    fn show(&mut self, done: u64, all: u64) {
        if done < all && self.shown.elapsed() < PROGRESS_INTERVAL {
            return;
        }
        self.shown = Instant::now();
        let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100);
        let line = format!(
            "{percent:3} %: {} of {} read",
            size::show(done),
            size::show(all)
        );
        match self.terminal {
            true if done < all => eprint!("\r{line}"),
            true => eprintln!("\r{line}"),
            false => eprintln!("{line}"),
        }
    }
}
