//! Loads through a relay of this process, and what came of them.

use std::net::TcpListener;

use super::*;
use crate::proto;
use crate::relay::{self, Log};
use crate::target::{Proto, Target};

#[derive(Default)]
struct Calls {
    begun: usize,
    ended: usize,
    ticks: usize,
}

impl Watch for Calls {
    fn begin(&mut self) {
        self.begun += 1;
    }

    fn end(&mut self) {
        self.ended += 1;
    }

    fn tick(&mut self) {
        self.ticks += 1;
    }
}

/// Runs a load through a relay.
fn through_relay(change: impl FnOnce(&mut Load)) -> Res<Outcome> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || relay::serve(&listener, 1, None));
    let target = Target::parse(&format!("relay=raw@127.0.0.1:{port}"))?;
    let mut load = Load::of("T1", Proto::Raw)?;
    load.warmup_s = 0.0;
    load.seconds = 0.2;
    change(&mut load);
    outcome_of(&target, &load)
}

fn outcome_of(target: &Target, load: &Load) -> Res<Outcome> {
    let mut conns = proto::open_consumers(target, load)?;
    conns.extend(proto::open_producers(target, load)?);
    let mut calls = Calls::default();
    let outcome = run(load, &mut conns, &mut calls)?;
    assert_eq!((calls.begun, calls.ended), (1, 1));
    assert!(calls.ticks > 0);
    Ok(outcome)
}

#[test]
fn a_closed_loop_keeps_to_its_window() {
    let outcome = through_relay(|load| load.inflight_max = 100).expect("the relay is there");
    assert!(outcome.delivered > 0);
    assert!(
        outcome.published - outcome.delivered <= 100,
        "{}",
        outcome.published
    );
    assert_eq!(outcome.latency.samples, 0, "a closed loop is not timed");
}

#[test]
fn an_open_loop_keeps_to_its_rate_and_times_every_delivery() {
    let outcome = through_relay(|load| {
        load.inflight_max = 0;
        load.rate_per_s = 2000.0;
    })
    .expect("the relay is there");
    // 2,000/s, the first message is due at once; 2 more for the rounding of the time
    let due = outcome.seconds * 2000.0;
    let published = outcome.published as f64;
    assert!(
        published >= due * 0.5 && published <= due + 3.0,
        "{published} of {due}"
    );
    assert!(outcome.delivered > 0);
    assert_eq!(
        outcome.latency.samples,
        outcome.delivered + outcome.outstanding
    );
}

#[test]
fn a_counted_run_ends_at_its_counts() {
    for (producers, consumers) in [(1, 1), (3, 3)] {
        let outcome = through_relay(|load| {
            load.producers = producers;
            load.consumers = consumers;
            load.publish_count = 5000;
            load.drain_count = 5000;
            load.seconds = 1e6;
        })
        .expect("the relay is there");
        assert_eq!((outcome.published, outcome.delivered), (5000, 5000));
        assert!(outcome.first_delivery_ms.is_some());
    }
}

#[test]
fn a_relay_with_a_log_confirms_each_message_and_has_them_all_in_its_file() {
    let folder = std::env::temp_dir().join(format!("bench-relay-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder of its own");
    for (threads, pairs) in [(1, 1), (2, 3)] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let log = Log::start(&folder).expect("it can be written");
        std::thread::spawn(move || relay::serve(&listener, threads, Some(&log)));
        let target = Target::parse(&format!("relay-log=raw-log@127.0.0.1:{port}"));
        let target = target.expect("well formed");
        let mut load = Load::of("T7p", Proto::RawLog).expect("what it is for");
        (load.producers, load.consumers) = (pairs, pairs);
        load.warmup_s = 0.0;
        (load.publish_count, load.drain_count) = (2000, 2000);
        let outcome = outcome_of(&target, &load).expect("the relay is there");
        assert_eq!((outcome.delivered, outcome.confirmed), (2000, 2000));
        assert!(outcome.confirm_latency.samples >= 2000);
        let file = std::fs::read(folder.join("relay-log")).expect("it can be read");
        let (logged, rest) = file.split_at(2000 * load.size_bytes);
        // as many bytes as were sent, and none behind them
        assert!(
            logged
                .chunks(load.size_bytes)
                .all(|m| m.iter().any(|byte| *byte != 0))
        );
        assert!(rest.iter().all(|byte| *byte == 0));
    }
    std::fs::remove_dir_all(&folder).expect("it is there");
}

#[test]
fn a_broker_that_goes_away_ends_the_run() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let target = Target::parse(&format!("gone=raw@127.0.0.1:{port}")).expect("well formed");
    let load = Load::of("T1", Proto::Raw).expect("known");
    let mut conns = proto::open_consumers(&target, &load).expect("it listens");
    drop(listener);
    assert!(run(&load, &mut conns, &mut Calls::default()).is_err());
}
