//! The commands.
//!
//! Invariants
//! - A command that measures brokers puts every result through `Report`.
//! - What a command declares at a broker it also deletes, also after an error.

mod backlog;
mod conns;
mod load;
mod queues;
mod replay;
mod retained;
mod sessions;
mod startup;
mod subscriptions;

pub use load::{DISK, compare, run};

use std::path::Path;

use crate::Res;
use crate::args::Args;
use crate::disk::{self, Pace};
use crate::hist::Hist;
use crate::micro::{self, PARTS};
use crate::proto;
use crate::report::{Kind, Record, Report};
use crate::scenario::{self, Load, SCENARIOS, Scenario, supports};
use crate::stall::{self, STALLS};
use crate::stats::Figures;
use crate::sys::{now_ns, seconds_since};
use crate::target::{Proto, Target};

/// Parses the targets and lists them in the report.
fn contestants(args: &Args, min: usize, report: &mut Report) -> Res<Vec<Target>> {
    let targets = args.targets(min)?;
    let targets = targets
        .iter()
        .map(|text| Target::parse(text))
        .collect::<Res<Vec<_>>>()?;
    for target in &targets {
        report.contestant(target);
    }
    Ok(targets)
}

/// Puts what came of one target into the report.
fn record(
    report: &mut Report,
    kind: Kind,
    scenario: &str,
    target: &str,
    result: Res<Figures>,
) -> Res<()> {
    report.add(match result {
        Ok(figures) => Record::new(kind, scenario, target, figures),
        Err(error) => Record::failed(kind, scenario, target, error),
    })
}

/// How long clients took to connect.
fn put_times(times: &Hist, figures: &mut Figures) {
    let ms = |ns: u64| ns as f64 / 1e6;
    if times.samples > 0 {
        figures.put("p50_ms", ms(times.quantile(0.5)));
        figures.put("p99_ms", ms(times.quantile(0.99)));
        figures.put("max_ms", ms(times.max));
    }
}

/// How long `disk` looks at the disk.
const DISK_S: f64 = 10.0;
/// The load whose messages `disk` logs.
const LOGGED: &str = "T7p";
/// Connections where they do nothing.
const IDLE: usize = 1000;
const IDLE_MQTT: usize = 10_000;

/// One scenario that is no plain load, on one target.
fn special(scenario: &Scenario, target: &mut Target, args: &Args) -> Option<(Kind, Res<Figures>)> {
    let name = scenario.name;
    Some(match scenario.kind {
        scenario::Kind::Load | scenario::Kind::Sweep => return None,
        scenario::Kind::Backlog => (Kind::Backlog, backlog::measure(target, args)),
        scenario::Kind::Conns => {
            let connections = if name == "MI" { IDLE_MQTT } else { IDLE };
            (Kind::Conns, conns::measure(target, args, connections))
        }
        scenario::Kind::Queues => (Kind::Queues, queues::measure(target, args)),
        scenario::Kind::Replay => (Kind::Replay, replay::measure(target, args)),
        scenario::Kind::Startup => (Kind::Startup, startup::measure(target, args)),
        scenario::Kind::Sessions => {
            let clean = name == "MC";
            (Kind::Conns, sessions::measure(target, args, clean))
        }
        scenario::Kind::Storm => (Kind::Conns, sessions::storm(target, args)),
        scenario::Kind::Retained => (Kind::Retained, retained::measure(target, args)),
        scenario::Kind::Subscriptions => {
            (Kind::Subscriptions, subscriptions::measure(target, args))
        }
    })
}

/// The scenarios of a command of this kind: those named, or the first one.
fn of_kind(args: &Args, kind: scenario::Kind) -> Res<Vec<&'static Scenario>> {
    let Some(names) = args.text("scenario") else {
        let first = SCENARIOS.iter().find(|scenario| scenario.kind == kind);
        return Ok(vec![first.expect("every kind has a scenario")]);
    };
    let named = names.split(',').map(|name| match scenario::find(name)? {
        scenario if scenario.kind == kind => Ok(scenario),
        _ => Err(format!("{name} is not for this command")),
    });
    named.collect()
}

/// `backlog`, `conns` and their like: the scenarios of a kind on each target.
pub fn alone(args: &Args, kind: scenario::Kind) -> Res<()> {
    let mut report = Report::new(args)?;
    let scenarios = of_kind(args, kind)?;
    let mut failed = false;
    let mut targets = contestants(args, 1, &mut report)?;
    for scenario in scenarios {
        for target in &mut targets {
            let name = scenario.name;
            if !supports(target.proto, name) {
                let proto = target.proto.name();
                return Err(format!("{name} can not be put on {proto}"));
            }
            if let Some((kind, result)) = special(scenario, target, args) {
                failed |= result.is_err();
                record(&mut report, kind, name, &target.name, result)?;
            }
        }
    }
    report.finish()?;
    if failed {
        Err("not everything could be measured".into())
    } else {
        Ok(())
    }
}

/// `suite`: all scenarios, or those named, on all targets.
pub fn suite(args: &Args) -> Res<()> {
    let mut report = Report::new(args)?;
    let mut targets = contestants(args, 1, &mut report)?;
    let named = args.text("scenario").unwrap_or("all");
    let named: Vec<&str> = named.split(',').collect();
    for name in named.iter().filter(|name| **name != "all") {
        scenario::find(name)?;
    }
    let all = named.contains(&"all");
    for scenario in SCENARIOS
        .iter()
        .filter(|scenario| all || named.contains(&scenario.name))
    {
        let began = now_ns();
        turn(scenario, &mut targets, args, &mut report)?;
        // a page after every part: a suite takes long, and what was measured should stay
        report.finish()?;
        eprintln!("{}: {:.0} s", scenario.name, seconds_since(began));
    }
    report.finish()
}

/// One scenario on all targets that can express it.
fn turn(scenario: &Scenario, targets: &mut [Target], args: &Args, report: &mut Report) -> Res<()> {
    if scenario.kind == scenario::Kind::Startup && args.text("start-cmd").is_none() {
        // nobody told how the brokers are started
        return Ok(());
    }
    for target in &mut *targets {
        if let Err(error) = startup::revive(target, args) {
            eprintln!("{}: {error}", target.name);
        }
    }
    let able = |target: &&mut Target| supports(target.proto, scenario.name);
    let able: Vec<&mut Target> = targets.iter_mut().filter(able).collect();
    let plain = || {
        able.iter()
            .map(|target| &**target)
            .collect::<Vec<&Target>>()
    };
    match scenario.kind {
        scenario::Kind::Load => {
            load::rounds(&plain(), scenario.name, None, args, report)?;
        }
        scenario::Kind::Sweep => load::sweep(&plain(), scenario.name, args, report)?,
        _ => {
            for target in able {
                if let Some((kind, result)) = special(scenario, target, args) {
                    record(report, kind, scenario.name, &target.name, result)?;
                }
                // the broker may have been restarted
                target.find_pids();
            }
        }
    }
    Ok(())
}

/// `disk`: what the disk below a folder allows.
pub fn disk(args: &Args) -> Res<()> {
    let mut report = Report::new(args)?;
    let folder = Path::new(args.text("disk").unwrap_or("."));
    let mut figures = disk::measure(folder, args.value("secs", DISK_S)?)?;
    let load = Load::of(LOGGED, Proto::Amqp)?.with(args)?;
    figures
        .0
        .extend(disk::ideal_log(folder, Pace::of(&load))?.0);
    report.add(Record::new(Kind::Disk, DISK, DISK, figures))?;
    report.finish()
}

/// `micro`: parts of our broker by themselves, all or those named.
pub fn micro(args: &Args) -> Res<()> {
    let mut report = Report::new(args)?;
    let named = args.targets(0)?;
    for name in named {
        micro::find(name)?;
    }
    let all = named.is_empty();
    for part in PARTS
        .iter()
        .filter(|part| all || named.iter().any(|n| n == part.name))
    {
        for (case, figures) in (part.measure)(part.count)? {
            report.add(Record::new(Kind::Micro, part.name, case, figures))?;
        }
    }
    report.finish()
}

/// `selftest`: what the generator itself costs, and that a stall of the sink does not escape it.
pub fn selftest(args: &Args) -> Res<()> {
    let mut report = Report::new(args)?;
    for stall in STALLS {
        let figures = stall::measure(stall)?;
        report.add(Record::new(Kind::Selftest, "selftest", "stall", figures))?;
    }
    for size_bytes in [16, 1024] {
        let result = proto::amqp::selftest::measure(size_bytes);
        record(&mut report, Kind::Selftest, "selftest", "bench", result)?;
    }
    report.finish()
}

/// `wait`: until each target answers a full handshake.
pub fn wait(args: &Args) -> Res<()> {
    for text in args.targets(1)? {
        let target = Target::parse(text)?;
        startup::wait_ready(&target, args.value("limit", startup::READY_S_MAX)?)?;
    }
    Ok(())
}
