//! What an expiry costs in a long queue: `cargo test --release -p ferry-core measure -- --ignored`.

use std::time::{Duration, Instant};

use super::super::super::super::entry::Body;
use super::super::*;

const MESSAGES: u64 = 1_000_000;
const EXPIRY_MAX: Duration = Duration::from_micros(50);

/// A queue whose messages live between a second and an hour, or for ever.
fn filled(expiring: bool) -> Levels {
    let mut ready = Levels::default();
    for seq in 0..MESSAGES {
        let random = (seq + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        ready.push_back(Entry {
            seq,
            body: Body::Log((1 << 32) + seq * 210),
            expires_at: if expiring {
                1_000 + random % 3_599_000
            } else {
                0
            },
            size: 128,
            returns: 0,
            returned_by: 0,
            key: 0,
            priority: 0,
            redelivered: false,
            durable: true,
        });
    }
    ready
}

#[test]
#[ignore = "a measurement of a release build"]
fn an_expiry_in_a_long_queue_is_cheap() {
    let mut ready = filled(true);
    let (mut expired, mut longest) = (Vec::new(), Duration::ZERO);
    let start = Instant::now();
    for now in (1_000..61_000).step_by(10) {
        let tick = Instant::now();
        ready.take_expired(now, 256, &mut expired);
        longest = longest.max(tick.elapsed());
    }
    let each = start.elapsed() / expired.len() as u32;
    println!(
        "{} expired, {each:?} each, longest tick {longest:?}",
        expired.len()
    );
    assert!(each < EXPIRY_MAX);
}

#[test]
#[ignore = "a measurement of a release build"]
fn consuming_a_queue_whose_messages_expire_costs_no_more() {
    let consume = |expiring| {
        let mut ready = filled(expiring);
        let start = Instant::now();
        while ready.sums().next_expiry().is_none_or(|at| at > 999) && ready.pop_front().is_some() {}
        start.elapsed() / MESSAGES as u32
    };
    let best = |expiring| (0..5).map(|_| consume(expiring)).min().unwrap();
    let (plain, expiring) = (best(false), best(true));
    println!("a message of a million: {plain:?}, expiring {expiring:?}");
    assert!(expiring < plain * 3);
}
