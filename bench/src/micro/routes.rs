//! What a match costs among 100,000 topic bindings, each match timed on its own (fewer matches
//! than that: among as many bindings).
//!
//! Invariants
//! - Every key matches exactly one binding, and each is far from the one before, so that no cache
//!   knows it.

use std::hint::black_box;

use ferry_core::arguments::Arguments;
use ferry_core::routing::{Destination, Exchange, ExchangeKind, QueueId, Topology};
use ferry_core::view::NoView;

use crate::Res;
use crate::hist::Hist;
use crate::stats::Figures;
use crate::sys::now_ns;

use super::Case;

const BINDINGS: u64 = 100_000;
const QUEUES: u64 = 10;
/// A prime that does not divide the bindings: the keys come all round.
const STRIDE: u64 = 7_919;
const EXCHANGE: &str = "x";

/// The text of a number's pattern.
type Pattern = fn(u64) -> String;

const PATTERNS: [(&str, Pattern); 4] = [
    ("a.b.c.d", key),
    ("a.b.c.*", |n| format!("sensor.{}.{}.*", n / 100, n % 100)),
    ("*.b.c.*", |n| format!("*.{}.{}.*", n / 100, n % 100)),
    ("a.b.c.#", |n| format!("sensor.{}.{}.#", n / 100, n % 100)),
];

fn key(number: u64) -> String {
    format!("sensor.{}.{}.temperature", number / 100, number % 100)
}

/// The times of so many matches for each shape of pattern.
pub fn measure(matches: usize) -> Res<Vec<Case>> {
    let of_shape = |(name, pattern): &(&'static str, Pattern)| {
        let bindings = BINDINGS.min(matches as u64);
        let times = timed(&bound(*pattern, bindings)?, bindings, matches)?;
        let mut figures = Figures::default();
        figures.put("p50_ns", times.quantile(0.5) as f64);
        figures.put("p99_ns", times.quantile(0.99) as f64);
        figures.put("p9999_ns", times.quantile(0.9999) as f64);
        Ok((*name, figures))
    };
    PATTERNS.iter().map(of_shape).collect()
}

fn bound(pattern: Pattern, bindings: u64) -> Res<Topology> {
    let mut topology = Topology::new("/");
    topology
        .declare_exchange(Exchange::new(EXCHANGE, ExchangeKind::Topic))
        .map_err(|error| error.to_string())?;
    let none = Arguments::new();
    for number in 0..bindings {
        let queue = Destination::Queue(QueueId(number % QUEUES));
        topology
            .bind(EXCHANGE, &queue, pattern(number).as_bytes(), &none)
            .map_err(|error| error.to_string())?;
    }
    Ok(topology)
}

fn timed(topology: &Topology, bindings: u64, matches: usize) -> Res<Hist> {
    let mut found = Vec::new();
    let mut times = Hist::default();
    for n in 0..matches as u64 {
        let number = n * STRIDE % bindings;
        let key = key(number);
        let begin = now_ns();
        let routed = topology.route(
            EXCHANGE,
            black_box(key.as_bytes()),
            &NoView,
            &|| 0,
            &mut found,
        );
        times.add(now_ns() - begin);
        routed.map_err(|error| error.to_string())?;
        if found != [QueueId(number % QUEUES)] {
            return Err(format!("{key} went to {found:?}"));
        }
    }
    Ok(times)
}
