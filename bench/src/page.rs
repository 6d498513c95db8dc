//! The result page: machine, command, brokers, and a table per scenario.
//!
//! Invariants
//! - A column that no row of its table has is left out; a figure that a row lacks reads `-`.
//! - What failed and what was disturbed is on the page, not only in the log.

mod columns;
mod rounds;

use std::fmt::Write as _;

use crate::bars;
use crate::charts::Chart;
use crate::machine::Machine;
use crate::measure::OTHER_CORES_MAX;
use crate::report::{Kind, Record, Report};
use crate::scenario::SCENARIOS;
use columns::{Column, tables};

const READING: &str = "\
CPU time is user and system time of the broker's processes, from `/proc`, in the measured time, per
delivered message. Where there are several rounds a figure is the median over them; a ratio
`x first` is this broker's figure over that of the first broker, formed in each round, then the
median of them. `other cores` is what neither the broker nor the generator used.

";

/// The page as text.
pub fn render(title: &str, machine: &Machine, report: &Report, charts: &[Chart]) -> String {
    let mut page = format!("# {title}\n\n");
    for (name, value) in [
        ("CPU", machine.cpu.clone()),
        ("cores", machine.cores.to_string()),
        ("memory", format!("{} MiB", machine.memory_mib)),
        ("kernel", machine.kernel.clone()),
        ("commit", machine.commit.clone()),
        ("date", machine.date.clone()),
        ("command", format!("`{}`", machine.command)),
    ] {
        push(&mut page, &format!("- {name}: {value}"));
    }
    page.push('\n');
    contestants(&mut page, report);
    page.push_str(READING);
    rounds::quietness(&mut page, report);
    bars(&mut page, report);
    for chart in charts {
        push(&mut page, &format!("![{}]({})\n", chart.title, chart.link));
    }
    for scenario in SCENARIOS {
        let rows: Vec<&Record> = report
            .records
            .iter()
            .filter(|record| record.scenario == scenario.name)
            .collect();
        section(
            &mut page,
            &format!("{}: {}", scenario.name, scenario.title),
            &rows,
        );
        rounds::table(&mut page, scenario.name, report);
    }
    let others: Vec<&Record> = report
        .records
        .iter()
        .filter(|record| {
            SCENARIOS
                .iter()
                .all(|scenario| scenario.name != record.scenario)
        })
        .collect();
    section(
        &mut page,
        "By itself: the generator, the disk, or a part of ours",
        &others,
    );
    disturbed(&mut page, &report.records);
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn push(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("a string takes all");
}

fn contestants(page: &mut String, report: &Report) {
    if report.contestants.is_empty() {
        return;
    }
    push(
        page,
        "| broker | protocol | version it tells |\n|---|---|---|",
    );
    for contestant in &report.contestants {
        let version = if contestant.version.is_empty() {
            "-"
        } else {
            &contestant.version
        };
        push(
            page,
            &format!("| {} | {} | {version} |", contestant.name, contestant.proto),
        );
    }
    page.push('\n');
}

fn bars(page: &mut String, report: &Report) {
    let judged = bars::judge(report);
    if judged.is_empty() {
        return;
    }
    push(page, "## Bars\n");
    push(
        page,
        "| scenario | broker | about | bar | measured | ours | peer | kept |",
    );
    push(page, "|---|---|---|---:|---:|---:|---:|---|");
    for bar in judged {
        let peer = bar.peer.map_or_else(|| "-".to_string(), figure);
        let (measured, ours) = (figure(bar.measured), figure(bar.ours));
        let wanted = format!("{} {}", bar.sense, figure(bar.bar));
        let (scenario, broker, about) = (bar.scenario, &bar.broker, bar.about);
        let kept = if bar.kept { "yes" } else { "no" };
        push(
            page,
            &format!(
                "| {scenario} | {broker} | {about} | {wanted} | {measured} | {ours} | {peer} | \
                 {kept} |"
            ),
        );
    }
    page.push('\n');
}

fn section(page: &mut String, heading: &str, rows: &[&Record]) {
    if rows.is_empty() {
        return;
    }
    push(page, &format!("## {heading}\n"));
    for kind in [
        Kind::Run,
        Kind::Compare,
        Kind::Backlog,
        Kind::Conns,
        Kind::Queues,
        Kind::Replay,
        Kind::Startup,
        Kind::Retained,
        Kind::Subscriptions,
        Kind::Disk,
        Kind::Selftest,
        Kind::Micro,
    ] {
        let measured: Vec<&Record> = rows
            .iter()
            .copied()
            .filter(|row| row.kind == kind && !row.figures.0.is_empty())
            .collect();
        for columns in tables(kind) {
            table(page, columns, &measured);
        }
    }
    for row in rows {
        if let Some(error) = &row.error {
            let words: Vec<&str> = error.split_whitespace().collect();
            push(
                page,
                &format!("Not measured, {}: {}\n", row.target, words.join(" ")),
            );
        }
    }
}

fn table(page: &mut String, columns: &[Column], rows: &[&Record]) {
    let shown: Vec<&Column> = columns
        .iter()
        .filter(|(_, name)| rows.iter().any(|row| row.figures.get(name).is_some()))
        .collect();
    if shown.is_empty() {
        return;
    }
    let headings: Vec<&str> = shown.iter().map(|(heading, _)| *heading).collect();
    push(page, &format!("| broker | {} |", headings.join(" | ")));
    push(page, &format!("|---|{}", "---:|".repeat(shown.len())));
    let measured = |row: &&&Record| {
        shown
            .iter()
            .any(|(_, name)| row.figures.get(name).is_some())
    };
    for row in rows.iter().filter(measured) {
        let cells: Vec<String> = shown
            .iter()
            .map(|(_, name)| {
                row.figures
                    .get(name)
                    .map_or_else(|| "-".to_string(), figure)
            })
            .collect();
        push(page, &format!("| {} | {} |", row.target, cells.join(" | ")));
    }
    page.push('\n');
}

fn disturbed(page: &mut String, records: &[Record]) {
    let runs: Vec<String> = records
        .iter()
        .filter(|record| record.kind == Kind::Run)
        .filter(|record| {
            record
                .figures
                .get("other_cores")
                .is_some_and(|c| c > OTHER_CORES_MAX)
        })
        .map(|record| format!("{} {}", record.target, record.scenario))
        .collect();
    if !runs.is_empty() {
        push(page, "## Disturbed\n");
        push(
            page,
            "Others used more than a fifth of a core meanwhile; do not quote the rates of:",
        );
        push(page, &format!("{}.", runs.join(", ")));
    }
}

/// A figure with three or four significant digits, and commas between thousands.
fn figure(value: f64) -> String {
    let size = value.abs();
    if value.fract() == 0.0 || size >= 100.0 {
        return thousands(value);
    }
    let digits = if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else if size >= 0.01 {
        3
    } else {
        5
    };
    format!("{value:.digits$}")
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Contestant;
    use crate::stats::Figures;

    fn machine() -> Machine {
        Machine {
            cpu: "A CPU".into(),
            cores: 2,
            memory_mib: 24_000,
            kernel: "6.1".into(),
            commit: "abc".into(),
            date: "2026-11-21 10:00 UTC".into(),
            command: "bench suite a b".into(),
        }
    }

    fn run(scenario: &str, target: &str, figures: Vec<(&'static str, f64)>) -> Record {
        Record::new(Kind::Run, scenario, target, Figures(figures))
    }

    fn render_all(records: Vec<Record>) -> String {
        let ours = Contestant {
            name: "ours".into(),
            proto: "amqp",
            version: "F 1".into(),
        };
        render("first", &machine(), &Report::of(records, vec![ours]), &[])
    }

    #[test]
    fn the_page_tells_where_when_and_how() {
        let page = render_all(Vec::new());
        for wanted in [
            "# first\n",
            "- CPU: A CPU\n- cores: 2\n- memory: 24000 MiB\n- kernel: 6.1\n- commit: abc\n",
            "- command: `bench suite a b`\n",
            "| ours | amqp | F 1 |\n",
        ] {
            assert!(page.contains(wanted), "{wanted} in {page}");
        }
        assert!(!page.contains("## "), "no section without results: {page}");
    }

    #[test]
    fn a_scenario_has_a_table_with_the_columns_that_were_measured() {
        let page = render_all(vec![
            run(
                "T3",
                "peer",
                vec![("broker_cpu_us_per_message", 20.0), ("cpu_vs_first", 8.0)],
            ),
            run(
                "T1",
                "ours",
                vec![("broker_cpu_us_per_message", 0.25), ("msgs_s", 1_234_567.8)],
            ),
            run(
                "T1",
                "peer",
                vec![("broker_cpu_us_per_message", 5.0), ("cpu_vs_first", 20.0)],
            ),
        ]);
        let expected = "\
| broker | CPU us/msg | CPU x first | msgs/s |
|---|---:|---:|---:|
| ours | 0.250 | - | 1,234,568 |
| peer | 5 | 20 | - |
";
        assert!(page.contains(expected), "{page}");
        let at = |heading| page.find(heading).expect("the section is there");
        assert!(
            at("## T1: ") < at("## T3: "),
            "in the order of the scenarios"
        );
    }

    #[test]
    fn bars_are_on_the_page_before_the_scenarios() {
        let ours = Contestant {
            name: "ours".into(),
            proto: "mqtt",
            version: String::new(),
        };
        let records = vec![
            run("T1", "ours", vec![("broker_cpu_us_per_message", 0.5)]),
            run("T1", "mosquitto", vec![("broker_cpu_us_per_message", 6.5)]),
            run("MI", "ours", vec![("rss_after_mib", 120.0)]),
        ];
        let page = render("first", &machine(), &Report::of(records, vec![ours]), &[]);
        let expected = "\
| T1 | ours | CPU advantage over Mosquitto | at least 12 | 13 | 0.500 | 6.50 | yes |
| MI | ours | MiB with all open | at most 100 | 120 | 120 | - | no |
";
        assert!(page.contains(expected), "{page}");
        let at = |heading| page.find(heading).expect("the section is there");
        assert!(at("## Bars") < at("## T1: "));
    }

    #[test]
    fn failures_and_disturbances_are_told() {
        let page = render_all(vec![
            Record::failed(Kind::Run, "T2", "peer", "it\n broke".into()),
            run("T1", "ours", vec![("other_cores", 0.3)]),
            run("T1", "peer", vec![("other_cores", 0.1)]),
        ]);
        assert!(page.contains("Not measured, peer: it broke\n\n"), "{page}");
        assert!(
            page.ends_with("do not quote the rates of:\nours T1.\n"),
            "{page}"
        );
    }

    #[test]
    fn single_rounds_are_not_on_the_page() {
        let figures = Figures(vec![("broker_cpu_us_per_message", 77.0)]);
        let page = render_all(vec![Record::new(Kind::Round, "T1", "ours", figures)]);
        assert!(!page.contains("77"), "{page}");
    }

    #[test]
    fn figures_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (0.0001234, "0.00012"),
            (0.01234, "0.012"),
            (1.2345, "1.23"),
            (12.345, "12.3"),
            (123.45, "123"),
            (12_345.6, "12,346"),
            (-1_234_567.0, "-1,234,567"),
            (999.6, "1,000"),
        ] {
            assert_eq!(figure(value), expected);
        }
    }
}
