//! How quiet the machine was: the steal of all runs, and each round of a scenario of latency.
//!
//! Invariants
//! - A run is counted once: its rounds, or the run itself where there are none.
//! - A round without one of its figures reads `-`; the columns are the same rounds for all.

use crate::cmd::DISK;
use crate::report::{Kind, Record, Report};
use crate::scenario;
use crate::stats::{Figures, median};

use super::{figure, push};

const STEAL: &str = "steal_pct";

/// A row of the table of rounds: what is written behind the target's name, and the figures that
/// are its median, its 99th percentile, and the steal.
type Row = (&'static str, [&'static str; 3]);

const MESSAGE: &[Row] = &[("", ["p50_ms", "p99_ms", STEAL])];
const CONFIRM: &[Row] = &[("", ["confirm_p50_ms", "confirm_p99_ms", STEAL])];
const OF_DISK: &[Row] = &[
    (
        ": an ideal log",
        ["ideal_p50_ms", "ideal_p99_ms", "ideal_steal_pct"],
    ),
    (
        ": one sync",
        ["sync_p50_ms", "sync_p99_ms", "sync_steal_pct"],
    ),
];

/// One line on the steal of all runs, and one on runs that were repeated.
pub fn quietness(page: &mut String, report: &Report) {
    let steal = steal_of_runs(report);
    if let Some(middle) = median(&steal) {
        let least = steal.iter().copied().fold(f64::INFINITY, f64::min);
        let most = steal.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (least, middle, most) = (figure(least), figure(middle), figure(most));
        let runs = steal.len();
        push(
            page,
            &format!(
                "`steal` is the CPU time that the hypervisor gave to others: {least} to {most} % \
                 in a run, {middle} in the middle one of {runs}. No run was repeated for it.\n"
            ),
        );
    }
    let repeated: Vec<String> = report.records.iter().filter_map(repeated).collect();
    if !repeated.is_empty() {
        let runs = repeated.join(", ");
        let why = "Repeated because others used the cores, of which the least disturbed counts";
        push(page, &format!("{why}: {runs}.\n"));
    }
}

fn repeated(record: &Record) -> Option<String> {
    let tries = record.figures.get("tries").filter(|tries| *tries > 1.0)?;
    Some(format!(
        "{} {} ({tries} runs)",
        record.target, record.scenario
    ))
}

fn steal_of_runs(report: &Report) -> Vec<f64> {
    let alone = |record: &&Record| {
        record.kind == Kind::Run && report.rounds(&record.scenario, &record.target).is_empty()
    };
    let alone = report.records.iter().filter(alone).map(|r| &r.figures);
    let runs = report.all_rounds().chain(alone);
    runs.filter_map(|figures| figures.get(STEAL)).collect()
}

/// The rounds of a scenario of latency, one column each.
pub fn table(page: &mut String, name: &str, report: &Report) {
    if !scenario::is_of_latency(name) {
        return;
    }
    let confirms = name == "T7p";
    let measured = |record: &&Record| record.scenario == name && record.kind != Kind::Round;
    let mut lines = Vec::new();
    for target in report.records.iter().filter(measured).map(|r| &r.target) {
        let rows = match target.as_str() {
            DISK => OF_DISK,
            _ if confirms => CONFIRM,
            _ => MESSAGE,
        };
        let rounds = report.rounds(name, target);
        for (what, names) in rows {
            let cells: Vec<Option<String>> = rounds.iter().map(|r| cell(r, names)).collect();
            if cells.iter().any(Option::is_some) {
                lines.push((format!("{target}{what}"), cells));
            }
        }
    }
    let Some(columns) = lines.iter().map(|(_, cells)| cells.len()).max() else {
        return;
    };
    let what = if confirms { "a confirm" } else { "a message" };
    push(
        page,
        &format!("Each round by itself: p50 and p99 of {what} in ms, and the steal meanwhile:\n"),
    );
    let heads: Vec<String> = (1..=columns).map(|n| format!("round {n}")).collect();
    push(page, &format!("| broker | {} |", heads.join(" | ")));
    push(page, &format!("|---|{}", "---:|".repeat(columns)));
    for (who, cells) in lines {
        let cells = cells.into_iter().map(|cell| cell.unwrap_or("-".into()));
        let cells: Vec<String> = cells.collect();
        push(page, &format!("| {who} | {} |", cells.join(" | ")));
    }
    page.push('\n');
}

fn cell(round: &Figures, names: &[&str; 3]) -> Option<String> {
    let [p50, p99, steal] = names.map(|name| round.get(name).map(figure));
    Some(format!("{}, {} ({} %)", p50?, p99?, steal?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(scenario: &str, target: &str, figures: &[(&'static str, f64)]) -> Record {
        Record::new(Kind::Run, scenario, target, Figures(figures.to_vec()))
    }

    fn rounds(names: &[&'static str; 3], list: &[[f64; 3]]) -> Vec<Figures> {
        let round = |values: &[f64; 3]| {
            let figures = names.iter().zip(values).map(|(name, v)| (*name, *v));
            Figures(figures.collect())
        };
        list.iter().map(round).collect()
    }

    #[test]
    fn a_round_is_told_with_its_steal() {
        let records = vec![
            run("T7p", "ours", &[("confirm_p50_ms", 0.3)]),
            run("T7p", "relay", &[("p50_ms", 0.1)]),
            Record::new(Kind::Disk, "T7p", DISK, Figures::default()),
            Record::failed(Kind::Run, "T7p", "peer", "broke".into()),
        ];
        let mut report = Report::of(records, Vec::new());
        let ours = [[0.25, 2.0, 0.5], [0.5, 18.0, 12.0]];
        report.keep_rounds("T7p", "ours", rounds(&CONFIRM[0].1, &ours));
        report.keep_rounds("T7p", "relay", rounds(&MESSAGE[0].1, &ours));
        let disk = [[0.125, 0.75, 1.0], [0.125, f64::NAN, 1.0]];
        let mut disk = rounds(&OF_DISK[0].1, &disk);
        disk[1].0.remove(1);
        report.keep_rounds("T7p", DISK, disk);
        let mut page = String::new();
        table(&mut page, "T7p", &report);
        let expected = "\
| broker | round 1 | round 2 |
|---|---:|---:|
| ours | 0.250, 2 (0.500 %) | 0.500, 18 (12 %) |
| disk: an ideal log | 0.125, 0.750 (1 %) | - |
";
        assert!(page.contains(expected), "{page}");
        for absent in ["relay", "peer", "one sync"] {
            assert!(!page.contains(absent), "{absent} has no such figures");
        }
        let mut other = String::new();
        table(&mut other, "T3", &report);
        assert_eq!(other, "", "only where it is the slowest that count");
    }

    #[test]
    fn the_steal_of_each_run_counts_once() {
        let records = vec![
            run("T1", "ours", &[(STEAL, 99.0)]),
            run("T2", "ours", &[(STEAL, 3.0), ("tries", 2.0)]),
            run("T3", "ours", &[]),
        ];
        let mut report = Report::of(records, Vec::new());
        report.keep_rounds("T1", "ours", rounds(&MESSAGE[0].1, &[[1.0, 1.0, 0.25]; 2]));
        assert_eq!(steal_of_runs(&report), [0.25, 0.25, 3.0]);
        let mut page = String::new();
        quietness(&mut page, &report);
        let expected = "0.250 to 3 % in a run, 0.250 in the middle one of 3. No run was repeated";
        assert!(page.contains(expected), "{page}");
        assert!(page.contains("counts: ours T2 (2 runs).\n"), "{page}");
        let mut none = String::new();
        quietness(&mut none, &Report::of(Vec::new(), Vec::new()));
        assert_eq!(none, "", "nothing is said of what was not measured");
    }
}
