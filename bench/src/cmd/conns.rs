//! `conns` (T8, MI): connections that do nothing.
//!
//! Invariants
//! - A broker that may be restarted is, so that memory left by earlier loads is not reused.
//! - Every connection has been through the whole handshake, and stays open until all is measured.
//! - One that is refused is a figure, and the first reason goes to the log.

use std::time::Duration;

use crate::Res;
use crate::args::Args;
use crate::measure::Snapshot;
use crate::openers::{self, OPENERS};
use crate::procfs;
use crate::proto;
use crate::stats::Figures;
use crate::target::Target;

use super::startup;

const SETTLE_S: f64 = 5.0;

/// Opens so many connections, or as many as asked, several at a time, and weighs them.
pub fn measure(target: &mut Target, args: &Args, connections: usize) -> Res<Figures> {
    let wanted = args.value("connections", connections)?;
    let settle_s = args.value("settle", SETTLE_S)?;
    let openers = args.value("openers", OPENERS)?.max(1);
    startup::again(target, args)?;
    let pids = target.charged()?;
    let rss_before = procfs::rss_mib(pids);
    let begin = Snapshot::take(pids, false);
    let openings = openers::open(wanted, openers, |index| proto::idle(target, index));
    let end = Snapshot::take(pids, false);
    if let Some(why) = &openings.first_refusal {
        eprintln!("{}: {} refused: {why}", target.name, openings.refused);
        if openings.open.is_empty() {
            return Err(format!("all were refused: {why}"));
        }
    }
    std::thread::sleep(Duration::from_secs_f64(settle_s));
    let settled = procfs::cpu_seconds(pids);
    std::thread::sleep(Duration::from_secs_f64(settle_s));
    let idle = procfs::cpu_seconds(pids) - settled;
    let rss_after = procfs::rss_mib(pids);
    let count = openings.open.len().max(1) as f64;
    let mut figures = Figures::default();
    figures.put("open", openings.open.len() as f64);
    figures.put(
        "broker_cpu_us_per_open",
        (end.broker_cpu - begin.broker_cpu) * 1e6 / count,
    );
    figures.put("opens_s", count * 1e9 / (end.at_ns - begin.at_ns) as f64);
    figures.put("openers", openers as f64);
    let own = end.own_cpu - begin.own_cpu;
    figures.put("generator_cpu_us_per_open", own * 1e6 / count);
    super::put_times(&openings.times, &mut figures);
    figures.put("refused", openings.refused as f64);
    figures.put("kib_per_conn", (rss_after - rss_before) * 1024.0 / count);
    figures.put("rss_before_mib", rss_before);
    figures.put("rss_after_mib", rss_after);
    if settle_s > 0.0 {
        figures.put("idle_cpu_pct", 100.0 * idle / settle_s);
    }
    Ok(figures)
}
