//! `sessions` (MC, MCp) and `storm` (MS): many MQTT clients that connect, a session each.
//!
//! Invariants
//! - A refused client is a figure, and its reason goes to the log; a session that was kept and is
//!   not there is a figure, too.
//! - Sessions that outlive their connections are ended, also after an error.

use std::time::Duration;

use crate::Res;
use crate::args::Args;
use crate::measure::Snapshot;
use crate::procfs;
use crate::proto::mqtt::crowd::{self, Asked, Crowd};
use crate::stats::Figures;
use crate::target::Target;

use super::startup;

const CLIENTS: usize = 10_000;
/// Clients on their way at a time, but in a storm.
const UNDER_WAY: usize = 100;
const SETTLE_S: f64 = 5.0;

fn asked(args: &Args, clean: bool) -> Res<Asked> {
    Ok(Asked {
        clients: args.value("connections", CLIENTS)?.max(1),
        under_way_max: args.value("window", UNDER_WAY)?.max(1),
        clean,
        subscribe: true,
    })
}

/// Connects the clients and weighs their sessions.
pub fn measure(target: &mut Target, args: &Args, clean: bool) -> Res<Figures> {
    let asked = asked(args, clean)?;
    startup::again(target, args)?;
    let result = connect_and_weigh(target, asked, args);
    forget(target, asked)?;
    result
}

fn connect_and_weigh(target: &Target, asked: Asked, args: &Args) -> Res<Figures> {
    let pids = target.charged()?;
    let mut figures = Figures::default();
    let rss_before = procfs::rss_mib(pids);
    let crowd = timed(target, asked, &mut figures)?;
    std::thread::sleep(Duration::from_secs_f64(args.value("settle", SETTLE_S)?));
    let rss_after = procfs::rss_mib(pids);
    let count = crowd.len().max(1) as f64;
    figures.put("kib_per_conn", (rss_after - rss_before) * 1024.0 / count);
    figures.put("rss_before_mib", rss_before);
    figures.put("rss_after_mib", rss_after);
    crowd.cut()?;
    Ok(figures)
}

/// Connects the clients, cuts them all off, and lets them all come back at once.
pub fn storm(target: &mut Target, args: &Args) -> Res<Figures> {
    let asked = asked(args, false)?;
    startup::again(target, args)?;
    let result = cut_and_return(target, asked);
    forget(target, asked)?;
    result
}

fn cut_and_return(target: &Target, asked: Asked) -> Res<Figures> {
    let before = crowd::open(target, asked)?;
    if before.refused > 0 {
        let why = before.first_refusal.unwrap_or_default();
        return Err(format!(
            "{} refused before the storm: {why}",
            before.refused
        ));
    }
    before.cut()?;
    let all_at_once = Asked {
        under_way_max: asked.clients,
        subscribe: false,
        ..asked
    };
    let mut figures = Figures::default();
    let crowd = timed(target, all_at_once, &mut figures)?;
    figures.put("sessions_lost", (crowd.len() - crowd.resumed) as f64);
    figures.put("rss_after_mib", procfs::rss_mib(target.charged()?));
    crowd.cut()?;
    Ok(figures)
}

fn timed(target: &Target, asked: Asked, figures: &mut Figures) -> Res<Crowd> {
    let pids = target.charged()?;
    let begin = Snapshot::take(pids, false);
    let crowd = crowd::open(target, asked)?;
    let end = Snapshot::take(pids, false);
    let count = crowd.len().max(1) as f64;
    let cpu = end.broker_cpu - begin.broker_cpu;
    figures.put("open", crowd.len() as f64);
    figures.put("broker_cpu_us_per_open", cpu * 1e6 / count);
    figures.put("opens_s", count * 1e9 / (end.at_ns - begin.at_ns) as f64);
    super::put_times(&crowd.times, figures);
    figures.put("refused", crowd.refused as f64);
    if let Some(why) = &crowd.first_refusal {
        eprintln!("{}: {} refused: {why}", target.name, crowd.refused);
    }
    Ok(crowd)
}

/// Ends the sessions that outlive their connections.
fn forget(target: &Target, asked: Asked) -> Res<()> {
    if asked.clean {
        return Ok(());
    }
    let cleaners = Asked {
        clean: true,
        subscribe: false,
        ..asked
    };
    crowd::open(target, cleaners)?.cut()
}
