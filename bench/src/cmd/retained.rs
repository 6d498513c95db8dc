//! `retained` (MR): many retained messages, look-ups of several shapes, a restart.
//!
//! Invariants
//! - Every look-up must bring exactly the messages that it matches, also after the restart.
//! - All that was set is removed again, also after an error.

use std::time::Duration;

use crate::Res;
use crate::args::Args;
use crate::measure::{self, Options};
use crate::procfs;
use crate::proto::{self, mqtt::Reader, mqtt::retained_topic};
use crate::scenario::Load;
use crate::stats::Figures;
use crate::sys::{now_ns, seconds_since};
use crate::target::Target;

use super::{backlog, startup};

const SETTLE_S: f64 = 5.0;
/// A look-up is repeated for so long.
const REPEAT_S: f64 = 1.0;
/// Far beyond any run; the counts end it.
const NO_TIME_LIMIT_S: f64 = 1e6;

/// A shape of look-up, and its figures.
struct Shape {
    filter: &'static str,
    ms: &'static str,
    cpu_us: &'static str,
}

const SHAPES: [Shape; 6] = [
    shape("bench/MR/07/07/07", "exact_ms", "exact_cpu_us"),
    shape("bench/MR/07/07/+", "last_ms", "last_cpu_us"),
    shape("bench/MR/+/07/07", "first_ms", "first_cpu_us"),
    shape("bench/MR/+/+/07", "two_ms", "two_cpu_us"),
    shape("bench/MR/07/#", "below_ms", "below_cpu_us"),
    shape("bench/MR/+/+/none", "none_ms", "none_cpu_us"),
];

const fn shape(filter: &'static str, ms: &'static str, cpu_us: &'static str) -> Shape {
    Shape { filter, ms, cpu_us }
}

/// Does the filter match the topic? No level of either is empty.
fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Sets, looks up, restarts if told how, removes.
pub fn measure(target: &mut Target, args: &Args) -> Res<Figures> {
    let mut load = Load::of("MR", target.proto)?.with(args)?;
    load.retained = args.value("topics", load.retained)?.max(1);
    load.seconds = NO_TIME_LIMIT_S;
    load.warmup_s = 0.0;
    load.publish_count = load.retained as u64;
    startup::again(target, args)?;
    let mut figures = Figures::default();
    let result = phases(target, &load, args, &mut figures);
    load.size_bytes = 0;
    let removed = publish_all(target, &load);
    result?;
    take(&mut figures, &removed?, "remove_cpu_us", "removes_s");
    Ok(figures)
}

fn phases(target: &mut Target, load: &Load, args: &Args, figures: &mut Figures) -> Res<()> {
    let settle = Duration::from_secs_f64(args.value("settle", SETTLE_S)?);
    let rss_before = procfs::rss_mib(target.charged()?);
    figures.put("topics", load.retained as f64);
    take(figures, &publish_all(target, load)?, "set_cpu_us", "sets_s");
    std::thread::sleep(settle);
    let rss_after = procfs::rss_mib(target.charged()?);
    let bytes = (rss_after - rss_before) * 1024.0 * 1024.0;
    figures.put("bytes_per_topic", bytes / load.retained as f64);
    figures.put("rss_after_mib", rss_after);
    for shape in &SHAPES {
        look_up(target, shape, load.retained, figures)?;
    }
    backlog::restart(target, args, figures)?;
    let mut reader = Reader::connect(target)?;
    for shape in &SHAPES {
        reader.look_up(shape.filter, count(shape, load.retained))?;
    }
    Ok(())
}

fn publish_all(target: &Target, load: &Load) -> Res<Figures> {
    let mut producers = proto::open_producers(target, load)?;
    measure::on_connections(target, load, &mut producers, Options::default())
}

fn take(into: &mut Figures, from: &Figures, cpu: &'static str, rate: &'static str) {
    for (name, of) in [(cpu, "broker_cpu_us_per_message"), (rate, "msgs_s")] {
        into.put(name, from.get(of).unwrap_or(f64::NAN));
    }
}

fn count(shape: &Shape, topics: usize) -> usize {
    let all = (0..topics).map(retained_topic);
    all.filter(|topic| matches(shape.filter, topic)).count()
}

fn look_up(target: &Target, shape: &Shape, topics: usize, figures: &mut Figures) -> Res<()> {
    let expected = count(shape, topics);
    let mut reader = Reader::connect(target)?;
    let pids = target.charged()?;
    let (begin, start) = (procfs::run_seconds(pids), now_ns());
    let (mut rounds, mut seconds) = (0.0, 0.0);
    while rounds == 0.0 || seconds_since(start) < REPEAT_S {
        seconds += reader.look_up(shape.filter, expected)?;
        rounds += 1.0;
    }
    if let (Some(begin), Some(end)) = (begin, procfs::run_seconds(pids)) {
        figures.put(shape.cpu_us, (end - begin) * 1e6 / rounds);
    }
    figures.put(shape.ms, seconds * 1e3 / rounds);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_level_by_level() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/+", "a", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("b/#", "a/b", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} ~ {topic}");
        }
    }

    #[test]
    fn the_shapes_match_from_none_to_ten_thousand_of_a_million() {
        let counts: Vec<usize> = SHAPES.iter().map(|s| count(s, 1_000_000)).collect();
        assert_eq!(counts, [1, 100, 100, 10_000, 10_000, 0]);
    }
}
