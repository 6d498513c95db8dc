//! The commands.
//!
//! Invariants
//! - A command that measures brokers puts every result through `Report`.
//! - What a command declares at a broker it also deletes, also after an error.

mod backlog;
mod conns;
mod load;
mod queues;
mod retained;
mod sessions;
mod startup;
mod subscriptions;

pub use load::{DISK, compare, run};

use std::path::Path;

use crate::Res;
use crate::args::Args;
use crate::disk;
use crate::proto;
use crate::report::{Kind, Record, Report};
use crate::scenario::{self, SCENARIOS, Scenario, supports};
use crate::stall::{self, STALLS};
use crate::stats::Figures;
use crate::target::Target;

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

/// How long `disk` looks at the disk.
const DISK_S: f64 = 10.0;
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
    for scenario in SCENARIOS {
        if !named.contains(&"all") && !named.contains(&scenario.name) {
            continue;
        }
        if scenario.kind == scenario::Kind::Startup && args.text("start-cmd").is_none() {
            // nobody told how the brokers are started
            continue;
        }
        for target in &mut targets {
            if let Err(error) = startup::revive(target, args) {
                eprintln!("{}: {error}", target.name);
            }
        }
        let able: Vec<usize> = (0..targets.len())
            .filter(|n| supports(targets[*n].proto, scenario.name))
            .collect();
        if scenario.kind == scenario::Kind::Load {
            let able: Vec<&Target> = able.iter().map(|n| &targets[*n]).collect();
            load::rounds(&able, scenario.name, None, args, &mut report)?;
            report.finish()?;
            continue;
        }
        if scenario.kind == scenario::Kind::Sweep {
            let able: Vec<&Target> = able.iter().map(|n| &targets[*n]).collect();
            load::sweep(&able, scenario.name, args, &mut report)?;
            report.finish()?;
            continue;
        }
        for n in able {
            let target = &mut targets[n];
            if let Some((kind, result)) = special(scenario, target, args) {
                record(&mut report, kind, scenario.name, &target.name, result)?;
            }
            // the broker may have been restarted
            target.find_pids();
        }
        // a page after every part: a suite takes long, and what was measured should stay
        report.finish()?;
    }
    report.finish()
}

/// `disk`: what the disk below a folder allows.
pub fn disk(args: &Args) -> Res<()> {
    let mut report = Report::new(args)?;
    let folder = Path::new(args.text("disk").unwrap_or("."));
    let figures = disk::measure(folder, args.value("secs", DISK_S)?)?;
    report.add(Record::new(Kind::Disk, DISK, DISK, figures))?;
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
