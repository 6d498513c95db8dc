//! The charts of a result page: what each shows, and the files that they are written to.
//!
//! Invariants
//! - A chart shows figures of the report and nothing else; one without figures is not written.
//! - Files are in a folder beside the page that has the page's name.

use std::fs;
use std::path::Path;

use crate::Res;
use crate::measure::PERCENTILES;
use crate::report::{Kind, Record, Report};
use crate::svg::{self, Labels, Line};

/// A chart that was written.
pub struct Chart {
    /// What it shows.
    pub title: &'static str,
    /// Where it is, seen from the page.
    pub link: String,
}

/// Bars: a file, what the chart shows, the unit, and its groups: heading, scenario, figure.
struct Bars {
    file: &'static str,
    title: &'static str,
    unit: &'static str,
    groups: &'static [(&'static str, &'static str, &'static str)],
}

const CPU: &str = "broker_cpu_us_per_message";
const RATE: &str = "msgs_s";

const BARS: &[Bars] = &[
    Bars {
        file: "throughput",
        title: "Throughput: more is better",
        unit: "messages a second (log)",
        groups: &[
            ("T1", "T1", RATE),
            ("T2", "T2", RATE),
            ("T3", "T3", RATE),
            ("T3s", "T3s", RATE),
            ("T4", "T4", RATE),
            ("T4p", "T4p", RATE),
            ("T5", "T5", RATE),
            ("T11", "T11", RATE),
            ("T6 fill", "T6", "fill_msgs_s"),
            ("T6 drain", "T6", "drain_msgs_s"),
        ],
    },
    Bars {
        file: "cpu",
        title: "CPU of the broker per message: less is better",
        unit: "microseconds (log)",
        groups: &[
            ("T1", "T1", CPU),
            ("T2", "T2", CPU),
            ("T3", "T3", CPU),
            ("T3s", "T3s", CPU),
            ("T4", "T4", CPU),
            ("T4p", "T4p", CPU),
            ("T5", "T5", CPU),
            ("T7", "T7", CPU),
            ("T7p", "T7p", CPU),
            ("T11", "T11", CPU),
        ],
    },
    Bars {
        file: "memory",
        title: "Memory: less is better",
        unit: "resident MiB (log)",
        groups: &[
            ("idle", "T12", "idle_rss_mib"),
            ("peak of T1", "T1", "rss_peak_mib"),
            ("peak of T3", "T3", "rss_peak_mib"),
            ("backlog held", "T6", "held_rss_mib"),
            ("peak of its fill", "T6", "fill_rss_peak_mib"),
            ("after its restart", "T6", "restarted_rss_mib"),
        ],
    },
    Bars {
        file: "restart",
        title: "Start and restart: less is better",
        unit: "milliseconds (log)",
        groups: &[
            ("empty: first answer", "T12", "ready_ms"),
            ("backlog: stop", "T6", "stop_ms"),
            ("backlog: first answer", "T6", "ready_ms"),
            ("backlog: first delivery", "T6", "first_delivery_ms"),
        ],
    },
    Bars {
        file: "scale",
        title: "Memory of many: less is better",
        unit: "KiB each (log)",
        groups: &[
            ("idle connection (T8)", "T8", "kib_per_conn"),
            ("durable queue (T9)", "T9", "kib_per_queue"),
            ("MQTT connection (MI)", "MI", "kib_per_conn"),
            ("MQTT session (MCp)", "MCp", "kib_per_conn"),
        ],
    },
];

/// Writes all charts that the report has figures for.
pub fn write(report: &Report, page: &Path) -> Res<Vec<Chart>> {
    let folder = page.with_extension("");
    let Some(name) = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
    else {
        return Ok(Vec::new());
    };
    let mut charts = Vec::new();
    for (file, title, text) in drawn(report) {
        let path = folder.join(format!("{file}.svg"));
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, text));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
        let link = format!("{name}/{file}.svg");
        charts.push(Chart { title, link });
    }
    Ok(charts)
}

/// The charts that there are figures for: file, title, picture.
fn drawn(report: &Report) -> Vec<(&'static str, &'static str, String)> {
    let mut all: Vec<(&str, &str, String)> = BARS
        .iter()
        .map(|chart| (chart.file, chart.title, bars(report, chart)))
        .collect();
    for (file, title, scenario) in [
        (
            "latency",
            "Latency at 5,000/s, transient: less is better",
            "T7",
        ),
        (
            "latency-durable",
            "Latency at 5,000/s, persistent with confirms and acks: less is better",
            "T7p",
        ),
    ] {
        all.push((file, title, percentiles(report, title, scenario)));
    }
    let title = "Latency against rate: less is better";
    all.push(("latency-rate", title, sweep(report, title)));
    all.retain(|(_, _, text)| !text.is_empty());
    all
}

fn names(report: &Report) -> Vec<String> {
    let contestants = report.contestants.iter();
    contestants.map(|broker| broker.name.clone()).collect()
}

fn bars(report: &Report, chart: &Bars) -> String {
    let names = names(report);
    let mut groups = Vec::new();
    for (heading, scenario, figure) in chart.groups {
        let value = |name: &String| report.of_target(scenario, name)?.figures.get(figure);
        let values: Vec<Option<f64>> = names.iter().map(value).collect();
        if values.iter().any(Option::is_some) {
            groups.push((heading.to_string(), values));
        }
    }
    let labels = Labels {
        title: chart.title,
        values: chart.unit,
        bottom: "scenario",
    };
    svg::bars(&labels, &names, &groups)
}

/// The lines of the brokers that have points; a broker has one colour in all charts.
fn lines(report: &Report, points: impl Fn(&str) -> Vec<(f64, f64)>) -> Vec<Line> {
    let line = |(colour, name): (usize, String)| {
        let points = points(&name);
        (!points.is_empty()).then_some(Line {
            name,
            colour,
            points,
        })
    };
    let names = names(report).into_iter().enumerate();
    names.filter_map(line).collect()
}

/// A line for each broker over the percentiles, spaced by the share that is slower.
fn percentiles(report: &Report, title: &str, scenario: &str) -> String {
    let place = |share: f64| -(1.0 - share).log10();
    let ticks: Vec<(f64, String)> = PERCENTILES
        .iter()
        .map(|(_, share)| (place(*share), format!("p{}", percent(*share))))
        .collect();
    let lines = lines(report, |name| {
        let record = report.of_target(scenario, name);
        let point = |(figure, share): &(&str, f64)| {
            Some((place(*share), record.as_ref()?.figures.get(figure)?))
        };
        PERCENTILES.iter().filter_map(point).collect()
    });
    let labels = Labels {
        title,
        values: "milliseconds from the due time (log)",
        bottom: "percentile of messages",
    };
    svg::lines(&labels, &ticks, &lines)
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// The 99th percentile of each broker at each rate.
fn sweep(report: &Report, title: &str) -> String {
    let of_sweep = |record: &&Record| record.scenario == "T7r" && record.kind == Kind::Run;
    let records: Vec<&Record> = report.records.iter().filter(of_sweep).collect();
    let lines = lines(report, |name| {
        let of_broker = records.iter().filter(|record| record.target == name);
        let point = |record: &&Record| {
            let rate = record.figures.get("rate_per_s")?;
            Some((rate.log10(), record.figures.get("p99_ms")?))
        };
        of_broker.filter_map(point).collect()
    });
    let mut ticks: Vec<(f64, String)> = Vec::new();
    for rate in records
        .iter()
        .filter_map(|record| record.figures.get("rate_per_s"))
    {
        if ticks.iter().all(|(at, _)| *at < rate.log10()) {
            ticks.push((rate.log10(), format!("{rate}/s")));
        }
    }
    let labels = Labels {
        title,
        values: "99th percentile, milliseconds (log)",
        bottom: "messages due a second (log)",
    };
    svg::lines(&labels, &ticks, &lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Contestant;
    use crate::scenario;
    use crate::stats::Figures;

    fn report(records: Vec<Record>) -> Report {
        let contestant = |name: &str| Contestant {
            name: name.into(),
            proto: "amqp",
            version: String::new(),
        };
        Report::of(records, vec![contestant("ours"), contestant("peer")])
    }

    fn run(scenario: &str, target: &str, figures: &[(&'static str, f64)]) -> Record {
        Record::new(Kind::Run, scenario, target, Figures(figures.to_vec()))
    }

    #[test]
    fn charts_are_drawn_of_what_was_measured() {
        let rate = |rate, p99| [("rate_per_s", rate), ("p99_ms", p99)];
        let report = report(vec![
            run("T1", "ours", &[(CPU, 0.2), (RATE, 5e6)]),
            run("T7", "peer", &[("p50_ms", 0.1), ("p99_ms", 2.0)]),
            run("T7r", "ours", &rate(1000.0, 0.1)),
            run("T7r", "ours", &rate(5000.0, 0.2)),
        ]);
        let drawn = drawn(&report);
        let files: Vec<&str> = drawn.iter().map(|(file, _, _)| *file).collect();
        assert_eq!(files, ["throughput", "cpu", "latency", "latency-rate"]);
        let (_, _, sweep) = &drawn[3];
        assert_eq!(sweep.matches("<circle").count(), 2, "{sweep}");
        assert!(sweep.contains(">1000/s</text>") && sweep.contains(">5000/s</text>"));
        let (_, _, latency) = &drawn[2];
        assert!(latency.contains(">p99.99</text>") && latency.contains(">peer</text>"));
        assert!(!latency.contains(">ours</text>"), "it was not measured");
    }

    #[test]
    fn groups_name_scenarios_that_there_are() {
        for (_, scenario, _) in BARS.iter().flat_map(|chart| chart.groups) {
            assert!(scenario::find(scenario).is_ok(), "{scenario}");
        }
    }
}
