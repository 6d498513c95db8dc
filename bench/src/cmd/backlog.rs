//! `backlog` (T6): fill a queue, restart the broker, drain it.
//!
//! Invariants
//! - Without a stop and a start command there is no restart, and no figure about one.
//! - Every message that was confirmed must come back, or the drain stalls and is an error.

use std::time::Duration;

use crate::Res;
use crate::args::Args;
use crate::conn::Conn;
use crate::measure::{self, Options};
use crate::procfs;
use crate::proto;
use crate::scenario::Load;
use crate::stats::Figures;
use crate::sys::{now_ns, seconds_since};
use crate::target::Target;

use super::startup;

const MESSAGES: u64 = 2_000_000;
/// Rest between filling and looking at the memory.
const REST_S: f64 = 3.0;
/// After a start some brokers answer before their queues are back.
const OPEN_S_MAX: f64 = 60.0;
/// Far beyond any run; the counts end it.
const NO_TIME_LIMIT_S: f64 = 1e6;

/// Figures of a fill, and of a drain.
const FILL: [(&str, &str); 3] = [
    ("fill_cpu_us_per_message", "broker_cpu_us_per_message"),
    ("fill_msgs_s", "msgs_s"),
    ("fill_rss_peak_mib", "rss_peak_mib"),
];
const DRAIN: [(&str, &str); 3] = [
    ("drain_cpu_us_per_message", "broker_cpu_us_per_message"),
    ("drain_msgs_s", "msgs_s"),
    ("drain_rss_peak_mib", "rss_peak_mib"),
];

/// Fills, restarts if told how, drains.
pub fn measure(target: &mut Target, args: &Args) -> Res<Figures> {
    let mut load = Load::of("T6", target.proto)?.with(args)?;
    load.seconds = NO_TIME_LIMIT_S;
    load.warmup_s = 0.0;
    let figures = phases(target, &mut load, args);
    proto::cleanup(target, &load);
    figures
}

fn phases(target: &mut Target, load: &mut Load, args: &Args) -> Res<Figures> {
    let messages = args.value("messages", MESSAGES)?;
    let options = Options {
        kernel_work: args.on("perf"),
        retry: false,
    };
    let mut figures = Figures::default();
    figures.put("messages", messages as f64);

    proto::setup(target, load)?;
    // an MQTT session must exist before the messages; elsewhere a consumer leaves no trace
    drop(proto::open_consumers(target, load)?);
    load.fresh = false;
    load.publish_count = messages;
    let mut producers = proto::open_producers(target, load)?;
    let fill = measure::on_connections(target, load, &mut producers, options)?;
    drop(producers);
    take(&mut figures, &fill, FILL);
    std::thread::sleep(Duration::from_secs_f64(args.value("rest", REST_S)?));
    figures.put("held_rss_mib", procfs::rss_mib(target.charged()?));

    let ready_ms = restart(target, args, &mut figures)?;
    load.publish_count = 0;
    load.drain_count = messages;
    let begin = now_ns();
    let mut consumers = open_patiently(target, load)?;
    let open_ms = seconds_since(begin) * 1e3;
    let drain = measure::on_connections(target, load, &mut consumers, options)?;
    take(&mut figures, &drain, DRAIN);
    if let Some(first_ms) = drain.get("first_delivery_ms") {
        figures.put("first_delivery_ms", ready_ms + open_ms + first_ms);
    }
    Ok(figures)
}

fn take(into: &mut Figures, from: &Figures, names: [(&'static str, &str); 3]) {
    for (name, of) in names {
        into.put(name, from.get(of).unwrap_or(f64::NAN));
    }
}

/// Stops and starts the broker if told how; returns the milliseconds of the start.
pub fn restart(target: &mut Target, args: &Args, figures: &mut Figures) -> Res<f64> {
    let stop = startup::command(args, "stop-cmd", target);
    let start = startup::command(args, "start-cmd", target);
    let (Some(stop), Some(start)) = (stop, start) else {
        return Ok(0.0);
    };
    figures.put("stop_ms", startup::stop(target, &stop)?);
    let limit_s = args.value("limit", startup::READY_S_MAX)?;
    let ready_ms = startup::start(target, &start, limit_s)?;
    figures.put("ready_ms", ready_ms);
    figures.put("restarted_rss_mib", procfs::rss_mib(target.charged()?));
    Ok(ready_ms)
}

fn open_patiently(target: &Target, load: &Load) -> Res<Vec<Conn>> {
    let begin = now_ns();
    loop {
        match proto::open_consumers(target, load) {
            Ok(consumers) => return Ok(consumers),
            Err(error) if seconds_since(begin) > OPEN_S_MAX => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
