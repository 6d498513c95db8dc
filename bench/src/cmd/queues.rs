//! `queues` (T9): declare many durable queues on one connection, then delete them.
//!
//! Invariants
//! - At most a window of declarations is under way.
//! - With `--keep` the queues stay, to see what they cost later; else all are deleted.

use std::time::Duration;

use crate::Res;
use crate::args::Args;
use crate::measure::Snapshot;
use crate::procfs;
use crate::proto::amqp::{Client, queue_args};
use crate::stats::Figures;
use crate::sys::{now_ns, seconds_since};
use crate::target::{Proto, Target};

use super::startup;

const QUEUES: usize = 10_000;
const WINDOW: usize = 64;
/// Declaring stops after this time, with as many as there are then.
const DECLARE_S_MAX: f64 = 120.0;
const SETTLE_S: f64 = 5.0;

fn name(index: usize) -> String {
    format!("bench.many.{index:07}")
}

/// Declares, weighs, deletes.
pub fn measure(target: &mut Target, args: &Args) -> Res<Figures> {
    if target.proto != Proto::Amqp {
        return Err("queues are declared over amqp only".into());
    }
    let wanted = args.value("declares", QUEUES)?;
    let window = args.value("window", WINDOW)?.max(1);
    let limit_s = args.value("limit", DECLARE_S_MAX)?;
    startup::again(target, args)?;
    let pids = target.charged()?;
    let rss_before = procfs::rss_mib(pids);
    let begin = Snapshot::take(pids, false);
    let mut client = Client::connect(target)?;
    let arguments = queue_args(target, target.option("qtype", ""));
    let (mut asked, mut declared) = (0, 0);
    while declared < asked || (asked < wanted && seconds_since(begin.at_ns) < limit_s) {
        while asked < wanted && asked - declared < window && seconds_since(begin.at_ns) < limit_s {
            client.declare_send(&name(asked), true, &arguments)?;
            asked += 1;
        }
        client.declared()?;
        declared += 1;
    }
    let end = Snapshot::take(pids, false);
    std::thread::sleep(Duration::from_secs_f64(args.value("settle", SETTLE_S)?));
    let rss_after = procfs::rss_mib(pids);
    let count = declared.max(1) as f64;
    let mut figures = Figures::default();
    figures.put("declared", declared as f64);
    figures.put(
        "broker_cpu_us_per_queue",
        (end.broker_cpu - begin.broker_cpu) * 1e6 / count,
    );
    figures.put("declares_s", count * 1e9 / (end.at_ns - begin.at_ns) as f64);
    figures.put("kib_per_queue", (rss_after - rss_before) * 1024.0 / count);
    figures.put("rss_before_mib", rss_before);
    figures.put("rss_after_mib", rss_after);
    if !args.on("keep") {
        let delete = now_ns();
        for index in 0..declared {
            client.delete(&name(index))?;
        }
        figures.put("deletes_s", count / seconds_since(delete));
    }
    Ok(figures)
}
