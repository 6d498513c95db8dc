//! The bars: what our broker has to reach over MQTT, and whether it did.
//!
//! Invariants
//! - A bar is judged by the figures of one command: ours are those of the first broker, and a ratio
//!   is to the peer named here, formed in each round where there are rounds.
//! - A bar of which a figure is missing is not on the page; it is never taken as kept.

use crate::report::{Kind, Record, Report};

/// The broker that ratios of bars refer to.
const PEER: &str = "mosquitto";
const CPU: &str = "broker_cpu_us_per_message";
const CPU_VS_FIRST: &str = "cpu_vs_first";

/// What is asked of a figure.
#[derive(Clone, Copy, Debug)]
enum Bar {
    /// The peer's CPU time per message is at least so many times ours.
    Advantage(f64),
    /// Ours is at least this.
    AtLeast(&'static str, f64),
    /// Ours is at most this.
    AtMost(&'static str, f64),
}

/// A scenario, what its bar is about, and the bar.
const BARS: &[(&str, &str, Bar)] = &[
    ("T1", "CPU advantage", Bar::Advantage(12.0)),
    ("T2", "CPU advantage", Bar::Advantage(5.0)),
    ("T3", "CPU advantage", Bar::Advantage(4.0)),
    ("T3s", "CPU advantage", Bar::Advantage(8.0)),
    ("MQ2", "CPU advantage", Bar::Advantage(6.0)),
    ("T5", "CPU advantage", Bar::Advantage(30.0)),
    ("MI", "KiB/connection", Bar::AtMost("kib_per_conn", 4.0)),
    (
        "MI",
        "MiB with all open",
        Bar::AtMost("rss_after_mib", 100.0),
    ),
    ("MC", "connects/s", Bar::AtLeast("opens_s", 2000.0)),
    ("MC", "refused", Bar::AtMost("refused", 0.0)),
    ("MCp", "connects/s", Bar::AtLeast("opens_s", 2000.0)),
    ("MCp", "refused", Bar::AtMost("refused", 0.0)),
    ("MS", "refused", Bar::AtMost("refused", 0.0)),
    ("MS", "sessions lost", Bar::AtMost("sessions_lost", 0.0)),
];

/// A bar with what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The scenario.
    pub scenario: &'static str,
    /// What the bar is about.
    pub about: &'static str,
    /// `at least` or `at most`.
    pub sense: &'static str,
    /// The bar.
    pub bar: f64,
    /// What was measured.
    pub measured: f64,
    /// Our own figure behind it.
    pub ours: f64,
    /// The peer's, if it was measured.
    pub peer: Option<f64>,
    /// The bar is reached.
    pub kept: bool,
}

/// All bars that the report has figures for, if its first broker speaks MQTT.
pub fn judge(report: &Report) -> Vec<Judged> {
    let Some(first) = report.contestants.first() else {
        return Vec::new();
    };
    if first.proto != "mqtt" || first.name == PEER {
        return Vec::new();
    }
    let of = |scenario: &str, target: &str| {
        report
            .records
            .iter()
            .filter(|r| r.kind != Kind::Round && r.error.is_none())
            .find(|r| r.scenario == scenario && r.target == target)
    };
    BARS.iter()
        .filter_map(|(scenario, about, bar)| {
            let (ours, peer) = (of(scenario, &first.name)?, of(scenario, PEER));
            one(scenario, about, *bar, ours, peer)
        })
        .collect()
}

fn one(
    scenario: &'static str,
    about: &'static str,
    bar: Bar,
    ours: &Record,
    peer: Option<&Record>,
) -> Option<Judged> {
    let figure = match bar {
        Bar::Advantage(_) => CPU,
        Bar::AtLeast(name, _) | Bar::AtMost(name, _) => name,
    };
    let own = ours.figures.get(figure)?;
    let (sense, wanted, measured) = match bar {
        Bar::Advantage(times) => {
            let peer = peer?;
            // one run has no rounds to form ratios in
            let ratio = peer.figures.get(CPU_VS_FIRST);
            let ratio = ratio.or_else(|| Some(peer.figures.get(CPU)? / own))?;
            ("at least", times, ratio)
        }
        Bar::AtLeast(_, value) => ("at least", value, own),
        Bar::AtMost(_, value) => ("at most", value, own),
    };
    Some(Judged {
        scenario,
        about,
        sense,
        bar: wanted,
        measured,
        ours: own,
        peer: peer.and_then(|peer| peer.figures.get(figure)),
        kept: if sense == "at least" {
            measured >= wanted
        } else {
            measured <= wanted
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Contestant;
    use crate::stats::Figures;

    fn report(names: [&str; 2], proto: &'static str, records: Vec<Record>) -> Report {
        let contestants = names.map(|name| Contestant {
            name: name.into(),
            proto,
            version: String::new(),
        });
        Report::of(records, contestants.to_vec())
    }

    fn record(scenario: &str, target: &str, figures: &[(&'static str, f64)]) -> Record {
        Record::new(Kind::Run, scenario, target, Figures(figures.to_vec()))
    }

    fn records() -> Vec<Record> {
        vec![
            Record {
                kind: Kind::Round,
                ..record("T1", "ours", &[(CPU, 0.1)])
            },
            record("T1", "ours", &[(CPU, 0.5)]),
            record("T1", "mosquitto", &[(CPU, 6.0), (CPU_VS_FIRST, 11.9)]),
            record("T2", "ours", &[(CPU, 1.0)]),
            record("T2", "mosquitto", &[(CPU, 8.0)]),
            record("T3", "ours", &[(CPU, 1.0)]),
            record("MI", "ours", &[("kib_per_conn", 4.0)]),
            record("MS", "ours", &[("refused", 1.0)]),
            Record::failed(Kind::Conns, "MC", "ours", "broke".into()),
        ]
    }

    #[test]
    fn bars_are_kept_or_missed_and_those_without_figures_are_left_out() {
        let judged = judge(&report(["ours", "mosquitto"], "mqtt", records()));
        let short: Vec<(&str, f64, bool)> = judged
            .iter()
            .map(|j| (j.scenario, j.measured, j.kept))
            .collect();
        let expected = [
            ("T1", 11.9, false),
            ("T2", 8.0, true),
            ("MI", 4.0, true),
            ("MS", 1.0, false),
        ];
        assert_eq!(short, expected);
        assert_eq!((judged[0].ours, judged[0].peer), (0.5, Some(6.0)));
    }

    #[test]
    fn other_protocols_and_the_peer_itself_have_no_bars() {
        for (names, proto) in [
            (["ours", "mosquitto"], "amqp"),
            (["mosquitto", "ours"], "mqtt"),
        ] {
            assert!(
                judge(&report(names, proto, records())).is_empty(),
                "{proto}"
            );
        }
    }
}
