//! `run` and `compare`, and the rounds of a suite: loads on one or several targets.
//!
//! Invariants
//! - In a round every target has its turn, and the order is turned round from one to the next, so
//!   that what drifts on the machine falls on all alike.
//! - A target that fails in a round is out of that scenario; the others go on.

use std::path::Path;

use crate::Res;
use crate::args::Args;
use crate::disk::{self, Pace};
use crate::measure::{self, Options};
use crate::report::{Kind, Record, Report};
use crate::scenario::{self, Load};
use crate::stats::{Figures, Ratio, ratio};
use crate::target::Target;

use super::contestants;

const CPU: &str = "broker_cpu_us_per_message";
const RATE: &str = "msgs_s";

/// Rounds and length of a run where rounds are compared.
const ROUNDS: usize = 5;
const ROUND_S: f64 = 4.0;
const ROUND_WARMUP_S: f64 = 1.0;
/// A scenario of latency takes so many times as long, and has at least so many rounds.
const LATENCY_LENGTHS: f64 = 4.0;
const LATENCY_ROUNDS_MIN: usize = 3;
/// How long the disk is looked at in a round, and its name among the targets.
const DISK_S: f64 = 1.0;
pub const DISK: &str = "disk";
/// Messages per second of a sweep, one after the other.
const RATES: &str = "1000,5000,20000,50000,100000";
/// The share of a rate below which a target does not follow it.
const FOLLOWS_MIN: f64 = 0.9;

fn plain_loads(args: &Args) -> Res<Vec<String>> {
    let names = args.text("scenario").unwrap_or("T1");
    let mut loads = Vec::new();
    for name in names.split(',') {
        if scenario::find(name)?.kind != scenario::Kind::Load {
            return Err(format!(
                "{name} has a command of its own, or goes into a suite"
            ));
        }
        loads.push(name.to_string());
    }
    Ok(loads)
}

/// `run`: each scenario on each target.
pub fn run(args: &Args) -> Res<()> {
    if args.text("rounds").is_some() {
        return Err("run has no rounds; compare and suite have".into());
    }
    let mut report = Report::new(args)?;
    let targets = contestants(args, 1, &mut report)?;
    let options = Options {
        kernel_work: args.on("perf"),
        retry: !args.on("no-retry"),
    };
    let mut failed = false;
    for scenario in plain_loads(args)? {
        for target in &targets {
            let result = Load::of(&scenario, target.proto)
                .and_then(|load| load.with(args))
                .and_then(|load| measure::run(target, &load, options));
            failed |= result.is_err();
            super::record(&mut report, Kind::Run, &scenario, &target.name, result)?;
        }
    }
    report.finish()?;
    if failed {
        Err("not everything could be measured".into())
    } else {
        Ok(())
    }
}

/// `compare`: two targets, round by round, and the ratio between them.
pub fn compare(args: &Args) -> Res<()> {
    let mut report = Report::new(args)?;
    let targets = contestants(args, 2, &mut report)?;
    let [a, b] = targets.as_slice() else {
        return Err("two targets are compared; a suite takes more".into());
    };
    for scenario in plain_loads(args)? {
        let runs = rounds(&[a, b], &scenario, None, args, &mut report)?;
        let (a_runs, b_runs) = (&runs[0], &runs[1]);
        if a_runs.is_empty() || b_runs.is_empty() {
            continue;
        }
        let pair = format!("{} / {}", a.name, b.name);
        let figures = comparison(a_runs, b_runs);
        report.add(Record::new(Kind::Compare, &scenario, &pair, figures))?;
    }
    report.finish()
}

fn comparison(a: &[Figures], b: &[Figures]) -> Figures {
    let mut figures = Figures::default();
    let mut spread = |names: [&'static str; 3], ratio: Option<Ratio>| {
        if let Some(ratio) = ratio {
            figures.put(names[0], ratio.median);
            figures.put(names[1], ratio.min);
            figures.put(names[2], ratio.max);
        }
    };
    spread(
        ["cpu_advantage_a", "cpu_advantage_min", "cpu_advantage_max"],
        ratio(b, a, CPU),
    );
    spread(
        ["rate_ratio_a_over_b", "rate_ratio_min", "rate_ratio_max"],
        ratio(a, b, RATE),
    );
    for (name, of) in [("p50_advantage_a", "p50_ms"), ("p99_advantage_a", "p99_ms")] {
        if let Some(ratio) = ratio(b, a, of) {
            figures.put(name, ratio.median);
        }
    }
    figures.put("rounds", a.len().min(b.len()) as f64);
    figures
}

/// Runs a scenario on all targets, round by round, and reports each target's medians; at another
/// rate than its own if one is given. With `--disk` the disk has its turn in each round of a load
/// that waits for it. Returns the figures of every round for every target; none for one that
/// failed.
pub fn rounds(
    targets: &[&Target],
    scenario: &str,
    rate_per_s: Option<f64>,
    args: &Args,
    report: &mut Report,
) -> Res<Vec<Vec<Figures>>> {
    let rounds = match rate_per_s {
        // a sweep shows a shape, and has many runs as it is
        Some(_) => 1,
        None => args.value("rounds", ROUNDS)?.max(rounds_min(scenario)),
    };
    let options = Options {
        kernel_work: args.on("perf"),
        retry: false,
    };
    let loads = loads_of(targets, scenario, rate_per_s, args)?;
    let disk = args.text("disk").map(Path::new);
    let disk = disk.filter(|_| {
        loads
            .iter()
            .any(|load| load.durable && load.confirm_window > 0)
    });
    let mut disk_runs = Vec::new();
    let mut runs: Vec<Vec<Figures>> = vec![Vec::new(); targets.len()];
    let mut failed = vec![false; targets.len()];
    for round in 0..rounds {
        if let Some(folder) = disk {
            disk_runs.push(on_disk(folder, &loads[0])?);
        }
        for n in turn_order(round, targets.len()) {
            if failed[n] {
                continue;
            }
            let name = &targets[n].name;
            match measure::run(targets[n], &loads[n], options) {
                Ok(figures) => {
                    if args.on("verbose") {
                        report.add(Record::new(Kind::Round, scenario, name, figures.clone()))?;
                    }
                    runs[n].push(figures);
                }
                Err(error) => {
                    failed[n] = true;
                    runs[n].clear();
                    report.add(Record::failed(Kind::Run, scenario, name, error))?;
                }
            }
        }
    }
    for (target, of_target) in targets.iter().zip(&runs) {
        if of_target.is_empty() {
            continue;
        }
        let figures = summary(of_target, &runs[0]);
        report.add(Record::new(Kind::Run, scenario, &target.name, figures))?;
        report.keep_rounds(scenario, &target.name, of_target.clone());
    }
    if !disk_runs.is_empty() {
        let figures = Figures::medians(&disk_runs);
        report.add(Record::new(Kind::Disk, scenario, DISK, figures))?;
        report.keep_rounds(scenario, DISK, disk_runs);
    }
    Ok(runs)
}

fn rounds_min(scenario: &str) -> usize {
    if scenario::is_of_latency(scenario) {
        LATENCY_ROUNDS_MIN
    } else {
        1
    }
}

/// What the disk allows: also, of an open loop, for a log of the same messages.
fn on_disk(folder: &Path, load: &Load) -> Res<Figures> {
    let mut figures = disk::measure(folder, DISK_S)?;
    if load.rate_per_s > 0.0 {
        figures.0.extend(disk::ideal_log(folder, Pace::of(load))?.0);
    }
    Ok(figures)
}

/// The load for each target.
fn loads_of(
    targets: &[&Target],
    scenario: &str,
    rate_per_s: Option<f64>,
    args: &Args,
) -> Res<Vec<Load>> {
    let load_of = |target: &&Target| {
        let mut load = Load::of(scenario, target.proto)?;
        load.seconds = ROUND_S;
        load.warmup_s = ROUND_WARMUP_S;
        load = load.with(args)?;
        if scenario::is_of_latency(scenario) {
            load.seconds *= LATENCY_LENGTHS;
        }
        load.rate_per_s = rate_per_s.unwrap_or(load.rate_per_s);
        Ok(load)
    };
    targets.iter().map(load_of).collect()
}

/// An open loop at each rate; a target that can not follow has no turn at a higher one.
pub fn sweep(targets: &[&Target], scenario: &str, args: &Args, report: &mut Report) -> Res<()> {
    let mut able = targets.to_vec();
    for rate_per_s in rates(args)? {
        let runs = rounds(&able, scenario, Some(rate_per_s), args, report)?;
        let follows = |runs: &Vec<Figures>| {
            let delivered = Figures::medians(runs).get("delivered_s");
            delivered.is_some_and(|got| got >= rate_per_s * FOLLOWS_MIN)
        };
        able = able
            .into_iter()
            .zip(&runs)
            .filter(|(_, runs)| follows(runs))
            .map(|(target, _)| target)
            .collect();
        if able.is_empty() {
            break;
        }
    }
    Ok(())
}

fn rates(args: &Args) -> Res<Vec<f64>> {
    let text = args.text("rates").unwrap_or(RATES);
    let rates = text.split(',').map(|rate| match rate.parse() {
        Ok(rate) if rate > 0.0 => Ok(rate),
        _ => Err(format!("--rates {text} is no list of rates")),
    });
    rates.collect()
}

/// The targets' turns in a round.
fn turn_order(round: usize, targets: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..targets).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// The medians of a target, and its ratios to the first one.
fn summary(runs: &[Figures], first: &[Figures]) -> Figures {
    let mut figures = Figures::medians(runs);
    for (name, of) in [("cpu_vs_first", CPU), ("rate_vs_first", RATE)] {
        if let Some(ratio) = ratio(runs, first, of) {
            figures.put(name, ratio.median);
        }
    }
    figures.put("rounds", runs.len() as f64);
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(list: &[(f64, f64)]) -> Vec<Figures> {
        list.iter()
            .map(|(cpu, rate)| Figures(vec![(CPU, *cpu), (RATE, *rate)]))
            .collect()
    }

    #[test]
    fn turns_are_reversed_from_round_to_round() {
        assert_eq!(turn_order(0, 3), [0, 1, 2]);
        assert_eq!(turn_order(1, 3), [2, 1, 0]);
        assert_eq!(turn_order(2, 3), [0, 1, 2]);
    }

    #[test]
    fn scenarios_of_latency_take_longer_and_have_three_rounds() {
        let words = "suite --secs 2".split(' ').map(String::from);
        let args = Args::parse(words).expect("known flags");
        let target = Target::parse("ours=amqp@127.0.0.1:1").expect("well formed");
        for (scenario, seconds, rounds) in [
            ("T1", 2.0, 1),
            ("T7", 8.0, 3),
            ("T7p", 8.0, 3),
            ("T7r", 2.0, 1),
        ] {
            let loads = loads_of(&[&target], scenario, None, &args).expect("it can do all");
            assert_eq!(loads[0].seconds, seconds, "{scenario}");
            assert_eq!(rounds_min(scenario), rounds, "{scenario}");
        }
    }

    #[test]
    fn an_advantage_above_one_means_that_the_first_is_cheaper() {
        let figures = comparison(
            &runs(&[(1.0, 9.0), (2.0, 9.0)]),
            &runs(&[(8.0, 3.0), (8.0, 3.0)]),
        );
        for (name, expected) in [
            ("cpu_advantage_a", 6.0),
            ("cpu_advantage_min", 4.0),
            ("cpu_advantage_max", 8.0),
            ("rate_ratio_a_over_b", 3.0),
            ("rounds", 2.0),
        ] {
            assert_eq!(figures.get(name), Some(expected), "{name}");
        }
        assert_eq!(figures.get("p99_advantage_a"), None, "not measured");
    }

    #[test]
    fn a_summary_relates_a_target_to_the_first() {
        let first = runs(&[(1.0, 10.0), (2.0, 10.0), (1.0, 10.0)]);
        let figures = summary(&runs(&[(4.0, 5.0), (8.0, 5.0), (6.0, 5.0)]), &first);
        assert_eq!(figures.get(CPU), Some(6.0));
        assert_eq!(figures.get("cpu_vs_first"), Some(4.0));
        assert_eq!(figures.get("rate_vs_first"), Some(0.5));
        let own = summary(&first, &first);
        assert_eq!(own.get("cpu_vs_first"), Some(1.0));
    }

    #[test]
    fn rates_of_a_sweep_are_numbers_above_0() {
        let rates =
            |line: &str| rates(&Args::parse(line.split(' ').map(String::from)).expect("ok"));
        assert_eq!(rates("suite --rates 10,2.5"), Ok(vec![10.0, 2.5]));
        assert_eq!(rates("suite").map(|rates| rates.len()), Ok(5));
        for bad in [
            "suite --rates 0",
            "suite --rates 1,,2",
            "suite --rates fast",
        ] {
            assert!(rates(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn scenarios_that_are_no_loads_are_sent_elsewhere() {
        let args = |line: &str| Args::parse(line.split(' ').map(String::from)).expect("known");
        let names = plain_loads(&args("run --scenario T1,T7p")).expect("loads");
        assert_eq!(names, ["T1", "T7p"]);
        assert!(plain_loads(&args("run --scenario T1,T6")).is_err());
        assert!(plain_loads(&args("run --scenario T77")).is_err());
    }
}
