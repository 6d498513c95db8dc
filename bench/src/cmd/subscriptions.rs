//! `subscriptions` (MW): what many filters with wildcards cost, and what a publish costs then.
//!
//! Invariants
//! - Every message matches exactly one of the filters: a run in which messages are missing stalls,
//!   and one with too many is an error.

use crate::Res;
use crate::args::Args;
use crate::measure::{self, Options, Snapshot};
use crate::procfs;
use crate::proto;
use crate::scenario::Load;
use crate::stats::Figures;
use crate::target::Target;

use super::startup;

/// What is delivered in the measured time may have been published before it.
const EXCESS_MAX: f64 = 1.5;

/// Subscribes, weighs, and puts the load on.
pub fn measure(target: &mut Target, args: &Args) -> Res<Figures> {
    let load = Load::of("MW", target.proto)?.with(args)?;
    let options = Options {
        kernel_work: args.on("perf"),
        retry: false,
    };
    startup::again(target, args)?;
    let pids = target.charged()?;
    let rss_before = procfs::rss_mib(pids);
    let begin = Snapshot::take(pids, false);
    let mut conns = proto::open_consumers(target, &load)?;
    let end = Snapshot::take(pids, false);
    let rss_after = procfs::rss_mib(pids);
    conns.extend(proto::open_producers(target, &load)?);
    let run = measure::on_connections(target, &load, &mut conns, options)?;
    let rate = |name| run.get(name).unwrap_or(0.0);
    if rate("delivered_s") > EXCESS_MAX * rate("published_s") {
        return Err("more was delivered than published".into());
    }
    let count = load.bindings.max(1) as f64;
    let cpu = end.broker_cpu - begin.broker_cpu;
    let mut figures = Figures::default();
    figures.put("subscriptions", load.bindings as f64);
    figures.put("subscribe_cpu_us", cpu * 1e6 / count);
    figures.put(
        "subscribes_s",
        count * 1e9 / (end.at_ns - begin.at_ns) as f64,
    );
    figures.put(
        "bytes_per_subscription",
        (rss_after - rss_before) * 1024.0 * 1024.0 / count,
    );
    figures.0.extend(run.0);
    Ok(figures)
}
