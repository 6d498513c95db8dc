//! `conns` (T8, MI): connections that do nothing.
//!
//! Invariants
//! - A broker that may be restarted is, so that memory left by earlier loads is not reused.
//! - Every connection has been through the whole handshake, and stays open until all is measured.

use std::time::Duration;

use crate::Res;
use crate::args::Args;
use crate::measure::Snapshot;
use crate::procfs;
use crate::proto;
use crate::stats::Figures;
use crate::target::Target;

use super::startup;

const SETTLE_S: f64 = 5.0;

/// Opens so many connections, or as many as asked, one after the other and weighs them.
pub fn measure(target: &mut Target, args: &Args, connections: usize) -> Res<Figures> {
    let wanted = args.value("connections", connections)?;
    let settle_s = args.value("settle", SETTLE_S)?;
    startup::again(target, args)?;
    let pids = target.charged()?;
    let rss_before = procfs::rss_mib(pids);
    let begin = Snapshot::take(pids, false);
    let mut open = Vec::with_capacity(wanted);
    for index in 0..wanted {
        let socket = proto::idle(target, index)
            .map_err(|error| format!("connection {} of {wanted}: {error}", index + 1))?;
        open.push(socket);
    }
    let end = Snapshot::take(pids, false);
    std::thread::sleep(Duration::from_secs_f64(settle_s));
    let settled = procfs::cpu_seconds(pids);
    std::thread::sleep(Duration::from_secs_f64(settle_s));
    let idle = procfs::cpu_seconds(pids) - settled;
    let rss_after = procfs::rss_mib(pids);
    let count = open.len().max(1) as f64;
    let mut figures = Figures::default();
    figures.put("open", open.len() as f64);
    figures.put(
        "broker_cpu_us_per_open",
        (end.broker_cpu - begin.broker_cpu) * 1e6 / count,
    );
    figures.put("opens_s", count * 1e9 / (end.at_ns - begin.at_ns) as f64);
    figures.put("kib_per_conn", (rss_after - rss_before) * 1024.0 / count);
    figures.put("rss_before_mib", rss_before);
    figures.put("rss_after_mib", rss_after);
    if settle_s > 0.0 {
        figures.put("idle_cpu_pct", 100.0 * idle / settle_s);
    }
    Ok(figures)
}
