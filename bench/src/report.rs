//! Results on their way out: a JSON line each as they come, and a page at the end.
//!
//! Invariants
//! - Everything on the page was printed as a JSON line too.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Res;
use crate::args::Args;
use crate::charts;
use crate::machine::Machine;
use crate::page;
use crate::proto;
use crate::stats::Figures;
use crate::target::Target;

/// What a record is about; its table on the page follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A load, or the medians over its rounds.
    Run,
    /// One of several rounds; not on the page.
    Round,
    /// Two targets over several rounds.
    Compare,
    /// A step of a backlog run.
    Backlog,
    /// Idle connections.
    Conns,
    /// Many queues.
    Queues,
    /// A stream read from its first message.
    Replay,
    /// A start.
    Startup,
    /// Retained messages.
    Retained,
    /// Many filters.
    Subscriptions,
    /// The disk by itself.
    Disk,
    /// The generator by itself.
    Selftest,
    /// A part of our broker by itself.
    Micro,
}

impl Kind {
    /// The name in a JSON line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Run => "run",
            Kind::Round => "round",
            Kind::Compare => "compare",
            Kind::Backlog => "backlog",
            Kind::Conns => "conns",
            Kind::Queues => "queues",
            Kind::Replay => "replay",
            Kind::Startup => "startup",
            Kind::Retained => "retained",
            Kind::Subscriptions => "subscriptions",
            Kind::Disk => "disk",
            Kind::Selftest => "selftest",
            Kind::Micro => "micro",
        }
    }
}

/// One result, or the error that came in its place.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it is about.
    pub kind: Kind,
    /// The scenario's name.
    pub scenario: String,
    /// The target's name.
    pub target: String,
    /// The figures; those measured before an error, if there is one.
    pub figures: Figures,
    /// Why there is nothing (further).
    pub error: Option<String>,
}

impl Record {
    /// A result.
    pub fn new(kind: Kind, scenario: &str, target: &str, figures: Figures) -> Record {
        let (scenario, target) = (scenario.to_string(), target.to_string());
        Record {
            kind,
            scenario,
            target,
            figures,
            error: None,
        }
    }

    /// A failure.
    pub fn failed(kind: Kind, scenario: &str, target: &str, error: String) -> Record {
        let none = Figures::default();
        Record {
            error: Some(error),
            ..Record::new(kind, scenario, target, none)
        }
    }

    /// The record as one line of JSON.
    pub fn json(&self) -> String {
        let mut line = String::from("{");
        put_text(&mut line, "kind", self.kind.name());
        put_text(&mut line, "scenario", &self.scenario);
        put_text(&mut line, "target", &self.target);
        for (name, value) in &self.figures.0 {
            // four significant digits or better: nothing measured here is finer
            let digits = if value.abs() >= 1000.0 || value.fract() == 0.0 {
                0
            } else {
                4
            };
            write!(line, ",\"{name}\":{value:.digits$}").expect("a string takes all");
        }
        if let Some(error) = &self.error {
            put_text(&mut line, "error", error);
        }
        line.push('}');
        line
    }
}

fn put_text(line: &mut String, key: &str, text: &str) {
    if !line.ends_with('{') {
        line.push(',');
    }
    write!(line, "\"{key}\":\"").expect("a string takes all");
    for c in text.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            c if c.is_control() => line.push(' '),
            c => line.push(c),
        }
    }
    line.push('"');
}

/// A broker as the page lists it.
#[derive(Clone, Debug)]
pub struct Contestant {
    /// The target's name.
    pub name: String,
    /// The protocol spoken with it.
    pub proto: &'static str,
    /// What it calls itself.
    pub version: String,
}

/// The figures of every round of a target in a scenario.
struct Rounds {
    scenario: String,
    target: String,
    runs: Vec<Figures>,
}

/// All results of one command.
pub struct Report {
    /// The records in the order in which they came.
    pub records: Vec<Record>,
    /// The brokers.
    pub contestants: Vec<Contestant>,
    rounds: Vec<Rounds>,
    out: Option<PathBuf>,
}

impl Report {
    /// A report that ends in a page if `--out` asks for one.
    pub fn new(args: &Args) -> Res<Report> {
        let out = args.text("out").map(PathBuf::from);
        if let Some(folder) = out.as_deref().and_then(Path::parent)
            && !folder.as_os_str().is_empty()
            && !folder.is_dir()
        {
            // told before the work, not after it
            return Err(format!("there is no folder {}", folder.display()));
        }
        Ok(Report {
            records: Vec::new(),
            contestants: Vec::new(),
            rounds: Vec::new(),
            out,
        })
    }

    /// Names a broker that takes part, with the version it tells.
    pub fn contestant(&mut self, target: &Target) {
        let version = proto::version(target).unwrap_or_default();
        let proto = target.proto.name();
        self.contestants.push(Contestant {
            name: target.name.clone(),
            proto,
            version,
        });
    }

    /// Prints a record and keeps it for the page.
    pub fn add(&mut self, record: Record) -> Res<()> {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", record.json()).map_err(|error| error.to_string())?;
        self.records.push(record);
        Ok(())
    }

    /// Keeps the figures of every round, for ratios that are formed in each of them.
    pub fn keep_rounds(&mut self, scenario: &str, target: &str, runs: Vec<Figures>) {
        let (scenario, target) = (scenario.to_string(), target.to_string());
        self.rounds.push(Rounds {
            scenario,
            target,
            runs,
        });
    }

    /// The figures of every round; none where there were no rounds.
    pub fn rounds(&self, scenario: &str, target: &str) -> &[Figures] {
        self.rounds
            .iter()
            .find(|rounds| rounds.scenario == scenario && rounds.target == target)
            .map_or(&[], |rounds| &rounds.runs)
    }

    /// The figures of all rounds of all targets.
    pub fn all_rounds(&self) -> impl Iterator<Item = &Figures> {
        self.rounds.iter().flat_map(|rounds| &rounds.runs)
    }

    /// The result of a target in a scenario, if it was measured.
    pub fn of_target(&self, scenario: &str, target: &str) -> Option<&Record> {
        self.records
            .iter()
            .filter(|record| record.kind != Kind::Round && record.error.is_none())
            .find(|record| record.scenario == scenario && record.target == target)
    }

    /// Writes the page and its charts if one is asked for.
    pub fn finish(&self) -> Res<()> {
        let Some(out) = &self.out else { return Ok(()) };
        let title = out
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let charts = charts::write(self, out)?;
        let text = page::render(&title.unwrap_or_default(), &Machine::look(), self, &charts);
        std::fs::write(out, text).map_err(|error| format!("{}: {error}", out.display()))
    }
}

#[cfg(test)]
impl Report {
    /// A report of these records, for tests of what is made of them.
    pub fn of(records: Vec<Record>, contestants: Vec<Contestant>) -> Report {
        Report {
            records,
            contestants,
            rounds: Vec::new(),
            out: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_json() {
        let figures = Figures(vec![("cpu", 1.23456), ("rate", 123_456.7), ("rounds", 3.0)]);
        let mut record = Record::new(Kind::Run, "T1", "ours", figures);
        assert_eq!(
            record.json(),
            r#"{"kind":"run","scenario":"T1","target":"ours","#.to_string()
                + r#""cpu":1.2346,"rate":123457,"rounds":3}"#
        );
        record.figures = Figures::default();
        record.error = Some("he said \"no\"\n\\".to_string());
        assert_eq!(
            record.json(),
            r#"{"kind":"run","scenario":"T1","target":"ours","error":"he said \"no\" \\"}"#
        );
    }
}
