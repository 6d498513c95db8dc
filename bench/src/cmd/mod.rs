//! The commands.
//!
//! Invariants
//! - A command that measures brokers puts every result through `Report`.
//! - What a command declares at a broker it also deletes, also after an error.

mod backlog;
mod conns;
mod load;
mod queues;
mod startup;

pub use load::{compare, run};

use crate::Res;
use crate::args::Args;
use crate::proto;
use crate::report::{Kind, Record, Report};
use crate::scenario::{self, SCENARIOS, supports};
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

/// One scenario that is no plain load, on one target.
fn special(kind: scenario::Kind, target: &mut Target, args: &Args) -> Option<(Kind, Res<Figures>)> {
    match kind {
        scenario::Kind::Load => None,
        scenario::Kind::Backlog => Some((Kind::Backlog, backlog::measure(target, args))),
        scenario::Kind::Conns => Some((Kind::Conns, conns::measure(target, args))),
        scenario::Kind::Queues => Some((Kind::Queues, queues::measure(target, args))),
        scenario::Kind::Startup => Some((Kind::Startup, startup::measure(target, args))),
    }
}

/// `backlog`, `conns`, `queues` and `startup`: one scenario on each target.
pub fn alone(args: &Args, kind: scenario::Kind) -> Res<()> {
    let mut report = Report::new(args)?;
    let scenario = SCENARIOS.iter().find(|scenario| scenario.kind == kind);
    let name = scenario.expect("every kind has a scenario").name;
    let mut failed = false;
    for mut target in contestants(args, 1, &mut report)? {
        if let Some((kind, result)) = special(kind, &mut target, args) {
            failed |= result.is_err();
            record(&mut report, kind, name, &target.name, result)?;
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
        let able: Vec<usize> = (0..targets.len())
            .filter(|n| supports(targets[*n].proto, scenario.name))
            .collect();
        if scenario.kind == scenario::Kind::Load {
            let able: Vec<&Target> = able.iter().map(|n| &targets[*n]).collect();
            load::rounds(&able, scenario.name, args, &mut report)?;
            report.finish()?;
            continue;
        }
        for n in able {
            let target = &mut targets[n];
            if let Some((kind, result)) = special(scenario.kind, target, args) {
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

/// `selftest`: what the generator itself costs.
pub fn selftest(args: &Args) -> Res<()> {
    let mut report = Report::new(args)?;
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
