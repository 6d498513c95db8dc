//! The bars: what our broker has to reach, and whether it did.
//!
//! Invariants
//! - A bar is judged by the figures of one command. Ours is the first broker of a protocol that is
//!   no peer; a ratio is to the target that the bar names, formed in each round where there are
//!   rounds.
//! - A bar of which a figure is missing is not on the page; it is never taken as kept.

mod list;

use crate::cmd::DISK;
use crate::report::{Contestant, Report};
use crate::scenario::Load;
use crate::stats;
use crate::target::Proto;
use list::{BARS, PEERS};

const RATE: &str = "msgs_s";
const AT_LEAST: &str = "at least";
const AT_MOST: &str = "at most";

/// What is asked of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// The peer's figure is at least so many times ours.
    Advantage(&'static str, &'static str, f64),
    /// Ours is at least so many times the peer's.
    Times(&'static str, &'static str, f64),
    /// Ours (the first figure) is at most so many times the peer's (the second).
    Share(&'static str, &'static str, &'static str, f64),
    /// Ours is at most so many times our own figure in another scenario.
    OfScenario(&'static str, &'static str, f64),
    /// Ours is at least this.
    AtLeast(&'static str, f64),
    /// Ours is at most this.
    AtMost(&'static str, f64),
    /// With at least so many messages: ours is at least this.
    BacklogAtLeast(f64, &'static str, f64),
    /// With at least so many messages: ours is at most this.
    BacklogAtMost(f64, &'static str, f64),
    /// Our rate is at least this share of what the relay and the disk allow.
    OfLimits(f64),
}

/// A scenario, what its bar is about, and the bar.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// The protocol that ours speaks.
    proto: &'static str,
    scenario: &'static str,
    about: &'static str,
    ask: Ask,
}

/// A bar with what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Our broker.
    pub broker: String,
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
    /// The peer's, if there is one.
    pub peer: Option<f64>,
    /// The bar is reached.
    pub kept: bool,
}

/// All bars that the report has figures for.
pub fn judge(report: &Report) -> Vec<Judged> {
    let ours = |proto: &str| {
        let is_ours = |c: &&Contestant| c.proto == proto && !PEERS.contains(&c.name.as_str());
        report.contestants.iter().find(is_ours)
    };
    BARS.iter()
        .filter_map(|bar| one(report, bar, &ours(bar.proto)?.name))
        .collect()
}

/// The sense of a bar, the bar, what was measured, ours, the peer's.
type Measured = (&'static str, f64, f64, f64, Option<f64>);

fn one(report: &Report, bar: &Bar, ours: &str) -> Option<Judged> {
    let (sense, wanted, measured, own, peer) = measured(report, bar, ours)?;
    Some(Judged {
        broker: ours.to_string(),
        scenario: bar.scenario,
        about: bar.about,
        sense,
        bar: wanted,
        measured,
        ours: own,
        peer,
        kept: if sense == AT_LEAST {
            measured >= wanted
        } else {
            measured <= wanted
        },
    })
}

fn measured(report: &Report, bar: &Bar, ours: &str) -> Option<Measured> {
    let scenario = bar.scenario;
    let of = |target: &str, figure: &str| report.of_target(scenario, target)?.figures.get(figure);
    let ratio = |over: (&str, &str), under: (&str, &str)| {
        let rounds = |side: (_, _)| report.rounds(scenario, side.0);
        if let Some(ratio) = stats::ratio_of((rounds(over), over.1), (rounds(under), under.1)) {
            return Some(ratio.median);
        }
        // a short run may have cost nothing that the kernel counts
        Some(of(over.0, over.1)? / of(under.0, under.1)?).filter(|ratio| ratio.is_finite())
    };
    let backlog = |messages: f64| of(ours, "messages").filter(|held| *held >= messages);
    match bar.ask {
        Ask::Advantage(peer, figure, least) => {
            let times = ratio((peer, figure), (ours, figure))?;
            Some((AT_LEAST, least, times, of(ours, figure)?, of(peer, figure)))
        }
        Ask::Times(peer, figure, least) => {
            let times = ratio((ours, figure), (peer, figure))?;
            Some((AT_LEAST, least, times, of(ours, figure)?, of(peer, figure)))
        }
        Ask::Share(peer, own_figure, figure, most) => {
            let share = ratio((ours, own_figure), (peer, figure))?;
            Some((
                AT_MOST,
                most,
                share,
                of(ours, own_figure)?,
                of(peer, figure),
            ))
        }
        Ask::OfScenario(other, figure, most) => {
            let (own, peer) = (of(ours, figure)?, report.of_target(other, ours)?);
            let (runs, others) = (report.rounds(scenario, ours), report.rounds(other, ours));
            let share = stats::ratio(runs, others, figure)?;
            Some((AT_MOST, most, share.median, own, peer.figures.get(figure)))
        }
        Ask::AtLeast(figure, least) => plain(AT_LEAST, least, of(ours, figure)?),
        Ask::AtMost(figure, most) => plain(AT_MOST, most, of(ours, figure)?),
        Ask::BacklogAtLeast(messages, figure, least) => {
            backlog(messages)?;
            plain(AT_LEAST, least, of(ours, figure)?)
        }
        Ask::BacklogAtMost(messages, figure, most) => {
            backlog(messages)?;
            plain(AT_MOST, most, of(ours, figure)?)
        }
        Ask::OfLimits(least) => {
            let body_bytes = Load::of(scenario, Proto::Amqp).ok()?.size_bytes as f64;
            let disk = of(DISK, "bytes_s")? / body_bytes;
            let limit = of("relay", RATE)?.min(disk);
            let own = of(ours, RATE)?;
            Some((AT_LEAST, least, own / limit, own, Some(limit)))
        }
    }
}

fn plain(sense: &'static str, bar: f64, own: f64) -> Option<Measured> {
    Some((sense, bar, own, own, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Kind, Record};
    use crate::scenario;
    use crate::stats::Figures;

    const CPU: &str = "broker_cpu_us_per_message";

    fn report(brokers: &[(&str, &'static str)], records: Vec<Record>) -> Report {
        let contestants = brokers.iter().map(|(name, proto)| Contestant {
            name: name.to_string(),
            proto,
            version: String::new(),
        });
        Report::of(records, contestants.collect())
    }

    fn record(scenario: &str, target: &str, figures: &[(&'static str, f64)]) -> Record {
        Record::new(Kind::Run, scenario, target, Figures(figures.to_vec()))
    }

    fn short(report: &Report) -> Vec<(&'static str, f64, bool)> {
        let judged = judge(report);
        judged
            .iter()
            .map(|j| (j.scenario, j.measured, j.kept))
            .collect()
    }

    #[test]
    fn bars_are_kept_or_missed_and_those_without_figures_are_left_out() {
        let records = vec![
            Record {
                kind: Kind::Round,
                ..record("T1", "ours", &[(CPU, 0.1)])
            },
            record("T1", "ours", &[(CPU, 0.5)]),
            record("T1", "mosquitto", &[(CPU, 5.0)]),
            record("T2", "ours", &[(CPU, 1.0)]),
            record("T2", "mosquitto", &[(CPU, 8.0)]),
            record("T3", "ours", &[(CPU, 1.0)]),
            record("MI", "ours", &[("kib_per_conn", 4.0)]),
            record("MS", "ours", &[("refused", 1.0)]),
            Record::failed(Kind::Conns, "MC", "ours", "broke".into()),
        ];
        let expected = [
            ("T1", 10.0, false),
            ("T2", 8.0, true),
            ("MI", 4.0, true),
            ("MS", 1.0, false),
        ];
        for brokers in [
            [("ours", "mqtt"), ("mosquitto", "mqtt")],
            [("mosquitto", "mqtt"), ("ours", "mqtt")],
        ] {
            let report = report(&brokers, records.clone());
            assert_eq!(short(&report), expected);
            let first = &judge(&report)[0];
            assert_eq!((first.ours, first.peer), (0.5, Some(5.0)));
        }
        let other = report(&[("ours", "nats"), ("mosquitto", "mqtt")], records);
        assert!(judge(&other).is_empty(), "no bars for that protocol");
    }

    #[test]
    fn a_ratio_is_formed_in_each_round() {
        let brokers = [("ours", "amqp"), ("nats", "nats")];
        let records = vec![
            record("T1", "ours", &[(CPU, 0.2)]),
            record("T1", "nats", &[(CPU, 0.3)]),
        ];
        let free = vec![records[0].clone(), record("T1", "nats", &[(CPU, 0.0)])];
        assert!(
            judge(&self::report(&brokers, free)).is_empty(),
            "no ratio to 0"
        );
        let mut report = report(&brokers, records);
        assert_eq!(short(&report), [("T1", 0.2 / 0.3, true)], "of the medians");
        let rounds = |list: &[f64]| list.iter().map(|v| Figures(vec![(CPU, *v)])).collect();
        report.keep_rounds("T1", "ours", rounds(&[0.2, 0.4, 0.6]));
        report.keep_rounds("T1", "nats", rounds(&[0.1, 0.2, 0.3]));
        assert_eq!(short(&report), [("T1", 2.0, false)]);
    }

    #[test]
    fn limits_are_those_of_the_relay_and_of_the_disk() {
        let brokers = [("ours", "amqp"), ("relay", "raw")];
        for (relay, disk_bytes_s, share, kept) in [
            (1000.0, 1e9, 0.7, true),
            (1e6, 1024.0 * 2000.0, 0.35, false),
        ] {
            let records = vec![
                record("T3", "ours", &[(RATE, 700.0)]),
                record("T3", "relay", &[(RATE, relay)]),
                record("T3", DISK, &[("bytes_s", disk_bytes_s)]),
            ];
            assert_eq!(short(&report(&brokers, records)), [("T3", share, kept)]);
        }
        let records = vec![
            record("T7p", "ours", &[("confirm_p99_ms", 3.0)]),
            record("T7p", DISK, &[("sync_p99_ms", 1.0), ("ideal_p99_ms", 2.0)]),
            record("T7p", "relay-log", &[("confirm_p99_ms", 2.5)]),
        ];
        let mut report = report(&brokers, records);
        let expected = [("T7p", 1.2, true), ("T7p", 3.0, false), ("T7p", 1.5, true)];
        assert_eq!(short(&report), expected);
        // one hiccup of the machine is in one round of each, but not in the same
        let rounds = |name, list: [f64; 3]| list.map(|v| Figures(vec![(name, v)])).to_vec();
        report.keep_rounds("T7p", "ours", rounds("confirm_p99_ms", [3.0, 90.0, 1.0]));
        report.keep_rounds("T7p", DISK, rounds("ideal_p99_ms", [1.0, 2.0, 20.0]));
        let p99 = rounds("confirm_p99_ms", [1.0, 9.0, 0.125]);
        report.keep_rounds("T7p", "relay-log", p99);
        let expected = [
            ("T7p", 8.0, false),
            ("T7p", 3.0, false),
            ("T7p", 3.0, false),
        ];
        assert_eq!(short(&report), expected);
    }

    #[test]
    fn a_scenario_is_held_against_another_in_each_round() {
        let records = vec![
            record("S1", "ours", &[(CPU, 0.5)]),
            record("SQ", "ours", &[(CPU, 0.5)]),
        ];
        let mut report = report(&[("ours", "amqp")], records);
        assert!(judge(&report).is_empty(), "there are no rounds");
        let rounds = |list: &[f64]| list.iter().map(|v| Figures(vec![(CPU, *v)])).collect();
        report.keep_rounds("S1", "ours", rounds(&[0.2, 0.9, 0.6]));
        report.keep_rounds("SQ", "ours", rounds(&[0.2, 0.3, 0.3]));
        assert_eq!(short(&report), [("S1", 2.0, false)]);
        assert_eq!(judge(&report)[0].peer, Some(0.5));
    }

    #[test]
    fn bars_of_a_backlog_need_their_number_of_messages() {
        for (messages, bars) in [(5e5, 0), (2e6, 1), (1e7, 2)] {
            let figures = [
                ("messages", messages),
                ("held_rss_mib", 60.0),
                ("ready_ms", 900.0),
            ];
            let records = vec![record("T6", "ours", &figures)];
            let judged = judge(&report(&[("ours", "amqp")], records));
            assert_eq!(judged.len(), bars, "{messages}");
        }
    }

    #[test]
    fn bars_name_scenarios_that_there_are() {
        for bar in BARS {
            assert!(scenario::find(bar.scenario).is_ok(), "{bar:?}");
        }
    }
}
