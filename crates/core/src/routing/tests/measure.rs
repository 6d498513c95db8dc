//! What a match costs among 100,000 topic bindings, each timed on its own:
//! `cargo test --release -p ferry-core routing::tests::measure -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use super::*;

const BINDINGS: u64 = 100_000;
const QUEUES: u64 = 10;
const MATCHES: usize = 1_000_000;

/// The text of a number's pattern or key.
type Text = fn(u64) -> String;

/// Binds the patterns and says what 50, 99 and 99.99 % of all matches take at most, in ns.
fn measured(pattern: Text, key: Text) -> [u128; 3] {
    let mut topology = with_exchange(ExchangeKind::Topic);
    for number in 0..BINDINGS {
        bind(
            &mut topology,
            "x",
            &to_queue(number % QUEUES),
            &pattern(number),
        );
    }
    let mut found = Vec::new();
    let mut times: Vec<u128> = Vec::with_capacity(MATCHES);
    for number in 0..MATCHES as u64 {
        // Far from the one before, so that no cache knows it.
        let key = key(number * 7_919 % BINDINGS);
        let start = Instant::now();
        let routed = topology.route("x", black_box(key.as_bytes()), &NoView, &|| 0, &mut found);
        times.push(start.elapsed().as_nanos());
        assert!(routed.is_ok() && !found.is_empty(), "{key}");
    }
    times.sort_unstable();
    [5_000, 9_900, 9_999].map(|share| times[MATCHES * share / 10_000])
}

#[test]
#[ignore = "a measurement of a release build"]
fn a_match_among_many_topic_bindings_is_quick() {
    let key: Text = |n| format!("sensor.{}.{}.temperature", n / 100, n % 100);
    let patterns: [(&str, Text); 4] = [
        ("exact", |n| {
            format!("sensor.{}.{}.temperature", n / 100, n % 100)
        }),
        ("one *", |n| format!("sensor.{}.{}.*", n / 100, n % 100)),
        ("two *", |n| format!("*.{}.{}.*", n / 100, n % 100)),
        ("#", |n| format!("sensor.{}.{}.#", n / 100, n % 100)),
    ];
    for (name, pattern) in patterns {
        let [half, most, nearly_all] = measured(pattern, key);
        println!("{name}: p50 {half} ns, p99 {most} ns, p99.99 {nearly_all} ns");
    }
}
