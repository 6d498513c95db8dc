//! `verify` and `repair`: a data directory that no node is using, looked at and mended.
//!
//! Invariants
//! - The report goes to standard output, progress to standard error.
//! - Neither makes a directory; `verify` changes nothing in one.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ferry_log::{LogError, RealDisk, Region, Report};

use crate::size;

/// Between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum ToolError {
    #[error("{0} is not a data directory")]
    NoDirectory(String),
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Reads everything; success means that nothing is damaged.
pub(crate) fn verify(data_dir: &Path) -> ExitCode {
    let mut progress = Progress::new();
    let report = open(data_dir).and_then(|disk| {
        Ok(ferry_log::verify(&disk, &mut |done, all| {
            progress.show(done, all)
        })?)
    });
    finish(report, |report| {
        let verdict = match report.is_sound() {
            true => "Nothing is damaged.",
            false => "There is damage; `ferrymq repair` sets it aside so that a node starts again.",
        };
        (verdict.to_owned(), report.is_sound())
    })
}

/// Sets damage aside; success means that a node starts with this directory.
pub(crate) fn repair(data_dir: &Path) -> ExitCode {
    eprintln!("reading {}, which may take a while", data_dir.display());
    let report = open(data_dir).and_then(|disk| Ok(ferry_log::repair(&disk)?));
    finish(report, |report| {
        let lost: u64 = report.regions.iter().map(|region| region.bytes).sum();
        let verdict = match report.is_sound() {
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
    report: Result<Report, ToolError>,
    judge: impl FnOnce(&Report) -> (String, bool),
) -> ExitCode {
    match report {
        Ok(report) => {
            let (verdict, success) = judge(&report);
            println!("{}{verdict}", text(&report));
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

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        writeln!(text, "{line}").expect("a string takes everything");
    };
    line(format!(
        "{} segments, {} records, {} read",
        report.segments,
        report.records,
        size::show(report.bytes)
    ));
    let place =
        |Region {
             segment,
             offset,
             bytes,
         }: &Region| { format!("segment {segment} from byte {offset}, {bytes} bytes") };
    for region in &report.regions {
        line(format!("damaged: {}", place(region)));
    }
    for region in &report.holes {
        line(format!("set aside earlier: {}", place(region)));
    }
    if let Some(tail) = &report.torn_tail {
        line(format!(
            "never synced, so never confirmed: {}; the next start cuts it off",
            place(tail)
        ));
    }
    for reason in &report.rejected_checkpoints {
        line(format!("unusable checkpoint: {reason}"));
    }
    if report.checkpoint_lost {
        line("no checkpoint is usable and the log does not reach back to its beginning".to_owned());
    }
    text
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
        let line = format!("{percent:3} % of {} read", size::show(all));
        match self.terminal {
            true if done < all => eprint!("\r{line}"),
            true => eprintln!("\r{line}"),
            false => eprintln!("{line}"),
        }
    }
}
