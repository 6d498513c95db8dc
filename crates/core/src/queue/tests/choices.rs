//! Consumers that want some messages only.

mod model;

use super::shards::{key, sharded};
use super::*;
use crate::arguments::Value;
use crate::filter::Filter;

pub(super) fn wanting(filter: &str) -> Choice {
    Choice {
        filter: Filter::compile(filter).unwrap(),
        ..Choice::default()
    }
}

pub(super) fn subscription(id: u64, prefetch: u32) -> Subscription {
    Subscription {
        id: ConsumerId(id),
        no_ack: false,
        exclusive: false,
        priority: 0,
        prefetch,
    }
}

impl Bench {
    fn choose(&mut self, id: u64, prefetch: u32, filter: &str) -> ConsumerSlot {
        let (subscription, now) = (subscription(id, prefetch), self.now);
        let slot = self.queue.subscribe(subscription, wanting(filter), now);
        self.run(|queue, cx| queue.deliver_ready(cx));
        slot.unwrap()
    }

    /// A message of a color, with a number.
    fn colored(&mut self, color: &str, size: i64) -> u64 {
        let color = Value::Str(color.as_bytes().to_vec());
        self.publish_headers(true, &[("color", color), ("size", Value::I64(size))])
    }
}

#[test]
fn only_what_is_wanted_is_shipped_and_nothing_stands_in_its_way() {
    let mut bench = Bench::new(Options::default());
    bench.choose(1, 10, "color = 'red'");
    bench.choose(2, 10, "size > 5");
    let sent: Vec<u64> = [
        ("blue", 1),
        ("red", 1),
        ("blue", 9),
        ("green", 2),
        ("red", 2),
    ]
    .map(|(color, size)| bench.colored(color, size))
    .to_vec();
    assert_eq!(
        bench.delivered(),
        [(1, sent[1]), (2, sent[2]), (1, sent[4])]
    );
    assert_eq!(bench.counts(), (2, 3));
    bench.subscribe(3, false, 10);
    assert_eq!(bench.delivered(), [(3, sent[0]), (3, sent[3])]);
}

#[test]
fn those_who_want_a_message_take_turns_with_those_who_want_all() {
    let mut bench = Bench::new(Options::default());
    bench.choose(1, 10, "color = 'red'");
    bench.choose(2, 10, "color LIKE 'r%'");
    bench.subscribe(3, false, 10);
    (0..6).for_each(|_| assert_ne!(bench.colored("red", 1), 0));
    let whom: Vec<u64> = bench.delivered().iter().map(|(id, _)| *id).collect();
    assert_eq!(whom, [1, 2, 3, 1, 2, 3]);
    bench.colored("blue", 1);
    assert_eq!(bench.delivered()[0].0, 3);
}

#[test]
fn who_becomes_willing_takes_the_oldest_it_wants_and_looks_at_each_once() {
    let mut bench = Bench::new(Options::default());
    let reds: Vec<u64> = (0..40)
        .map(|number| bench.colored(if number % 10 == 9 { "red" } else { "blue" }, number))
        .filter(|number| number % 10 == 0)
        .collect();
    bench.looks.set(0);
    bench.choose(1, 1, "color = 'red'");
    let mut seen = Vec::new();
    while let [(_, number, lease)] = bench.taken()[..] {
        seen.push(number);
        assert!(bench.settle(lease, Outcome::Accept));
    }
    assert_eq!(seen, reds);
    assert_eq!(bench.looks.get(), 40);
    bench.colored("blue", 1);
    assert_eq!(
        bench.looks.get(),
        41,
        "what was refused is not looked at again"
    );
}

#[test]
fn what_came_back_is_offered_to_all_who_have_passed_it() {
    let mut bench = Bench::new(Options::default());
    let first = bench.choose(1, 1, "color = 'red'");
    let old = bench.colored("red", 7);
    (0..20).for_each(|_| assert_ne!(bench.colored("blue", 1), 0));
    bench.choose(2, 1, "size = 7");
    let mut taken = bench.taken();
    assert_eq!((taken.len(), taken[0].1), (1, old));
    bench.settle(taken[0].2, Outcome::Requeue);
    taken = bench.taken();
    assert_eq!((taken[0].0, taken[0].1), (2, old), "another one wants it");
    bench.looks.set(0);
    bench.settle(taken[0].2, Outcome::Requeue);
    taken = bench.taken();
    assert_eq!((taken[0].0, taken[0].1), (1, old));
    assert!(bench.looks.get() <= 3, "nothing else is looked at");
    // Both are busy when it comes back for the third time.
    let busy = bench.colored("green", 7);
    assert_eq!(bench.delivered(), [(2, busy)]);
    bench.run(|queue, cx| queue.unsubscribe(first, cx));
    bench.settle(taken[0].2, Outcome::Requeue);
    assert!(bench.taken().is_empty());
    let busy = bench.run(|queue, _| queue.lease_of(busy).unwrap().0);
    bench.settle(busy, Outcome::Accept);
    assert_eq!(bench.delivered(), [(2, old)]);
}

#[test]
fn a_long_search_is_done_in_parts() {
    let mut bench = Bench::new(Options::default());
    (0..3_000).for_each(|_| assert_ne!(bench.colored("blue", 1), 0));
    let red = bench.colored("red", 1);
    bench.choose(1, 5, "color = 'red'");
    let mut ticks = 0;
    while bench.queue.next_deadline().is_some() {
        // One more for each that arrived.
        assert!(bench.looks.get() <= (ticks + 1) * choice::TRIES_MAX as usize + ticks);
        let newest = bench.colored("red", 2);
        assert!(bench.taken().iter().all(|(_, number, _)| *number < newest));
        bench.run(|queue, cx| queue.tick(cx));
        ticks += 1;
    }
    assert_eq!(ticks, 2);
    assert_eq!(bench.delivered()[0], (1, red), "the oldest goes first");
}

#[test]
fn a_message_that_passes_through_does_not_end_the_search_of_another_consumer() {
    let mut bench = Bench::new(Options::default());
    (0..3_000).for_each(|_| assert_ne!(bench.colored("blue", 1), 0));
    let red = bench.colored("red", 1);
    bench.choose(1, 5, "color = 'green'");
    while bench.queue.next_deadline().is_some() {
        bench.run(|queue, cx| queue.tick(cx));
    }
    bench.now += 1;
    bench.choose(2, 5, "color = 'red'");
    bench.now += 1;
    let green = bench.colored("green", 1);
    assert_eq!(bench.delivered(), [(1, green)]);
    while bench.queue.next_deadline().is_some() {
        bench.run(|queue, cx| queue.tick(cx));
    }
    assert_eq!(bench.delivered(), [(2, red)]);
}

#[test]
fn what_arrives_in_a_long_pause_is_remembered_once() {
    let mut bench = Bench::new(Options {
        deliver_rate: Rate {
            messages: Some(1),
            bytes: None,
        },
        ..Options::default()
    });
    bench.choose(1, 0, "color = 'red'");
    bench.choose(2, 0, "color = 'blue'");
    let sent: Vec<u64> = (0..10_000)
        .map(|number| bench.colored(if number % 2 == 0 { "red" } else { "green" }, number))
        .collect();
    let choosers = bench.queue.consumers.choosers.as_ref().unwrap();
    assert!(choosers.fresh.len() <= choice::FRESH_MAX);
    let mut delivered: Vec<_> = bench.delivered();
    let options = Options::default();
    bench.run(|queue, cx| queue.set_options(options.into(), cx));
    while bench.queue.next_deadline().is_some() {
        bench.run(|queue, cx| queue.tick(cx));
    }
    delivered.extend(bench.delivered());
    let reds = sent.iter().step_by(2).map(|number| (1, *number));
    assert!(delivered.into_iter().eq(reds));
}

#[test]
fn ten_thousand_equalities_cost_one_look() {
    let mut bench = Bench::new(Options::default());
    for id in 1..=10_000 {
        let filter = format!("customer = {id} AND size > 3");
        let choice = wanting(&filter);
        let now = bench.now;
        bench
            .queue
            .subscribe(subscription(id, 1), choice, now)
            .unwrap();
    }
    bench.run(|queue, cx| queue.deliver_ready(cx));
    for (customer, size, expected) in [(77, 9, Some(77)), (78, 1, None), (99_999, 9, None)] {
        bench.looks.set(0);
        let headers = [
            ("customer", Value::I64(customer)),
            ("size", Value::I64(size)),
        ];
        bench.publish_headers(true, &headers);
        assert_eq!(bench.delivered().first().map(|(id, _)| *id), expected);
        assert_eq!(bench.looks.get(), 1);
    }
}

#[test]
fn higher_levels_are_looked_at_first() {
    let mut bench = Bench::new(Options {
        max_priority: 5,
        ..Options::default()
    });
    let red = || Arguments::from_iter([("color", Value::Str(b"red".to_vec()))]);
    bench.messages = (0..=6).map(|_| red()).collect();
    for priority in [0, 0, 3, 0] {
        assert_eq!(bench.publish_number(true, priority, None), Enqueued::Taken);
    }
    bench.choose(1, 1, "color = 'red'");
    let mut seen = Vec::new();
    while let [(_, number, lease)] = bench.taken()[..] {
        seen.push(number);
        if seen.len() == 2 {
            bench.publish_number(true, 5, None);
        }
        bench.settle(lease, Outcome::Accept);
    }
    assert_eq!(seen, [3, 1, 5, 2, 4]);
}

#[test]
fn the_active_consumer_takes_what_it_wants_and_the_rest_waits() {
    let mut bench = Bench::new(Options {
        single_active_consumer: true,
        ..Options::default()
    });
    let first = bench.choose(1, 10, "color = 'red'");
    bench.choose(2, 10, "color = 'blue'");
    let [blue, red] = ["blue", "red"].map(|color| bench.colored(color, 1));
    assert_eq!(bench.delivered(), [(1, red)]);
    bench.run(|queue, cx| queue.unsubscribe(first, cx));
    assert_eq!(bench.delivered(), [(2, blue)]);
}

#[test]
fn what_an_owner_does_not_want_waits_without_stopping_others() {
    let mut bench = Bench::new(sharded(2));
    let first = bench.choose(1, 2, "size = 1");
    let sent: Vec<u64> = [1, 2, 1, 2, 1]
        .map(|size| bench.publish_headers(true, &[key(4), ("size", Value::I64(size))]))
        .to_vec();
    let taken = bench.taken();
    let numbers: Vec<u64> = taken.iter().map(|(_, number, _)| *number).collect();
    assert_eq!(numbers, [sent[0], sent[2]]);
    bench.looks.set(0);
    bench.settle(taken[0].2, Outcome::Accept);
    assert_eq!(bench.delivered(), [(1, sent[4])]);
    assert!(bench.looks.get() <= 2);
    assert_eq!(bench.get(true).map(|_| ()), None, "the key is held");
    bench.run(|queue, cx| queue.unsubscribe(first, cx));
    for lease in bench.all_leases() {
        bench.settle(lease, Outcome::Requeue);
    }
    bench.choose(2, 10, "size = 2");
    assert_eq!(bench.delivered(), [(2, sent[1]), (2, sent[3])]);
    assert_eq!(bench.counts(), (2, 2));
}

impl Bench {
    fn all_leases(&self) -> Vec<LeaseId> {
        let mut leases = Vec::new();
        self.queue.visit_leased(None, |lease, _, _| {
            leases.push(lease);
            true
        });
        leases
    }
}

#[test]
fn a_get_takes_what_nobody_wants() {
    let mut bench = Bench::new(Options::default());
    bench.choose(1, 10, "color = 'red'");
    let blue = bench.colored("blue", 1);
    let got = bench.get(true).unwrap();
    assert_eq!(number_of(&bench.staged, &got.body), blue);
}

#[test]
fn who_missed_too_much_begins_again() {
    let mut bench = Bench::new(Options::default());
    bench.choose(1, 1, "size = 1");
    bench.colored("red", 1);
    let held = bench.taken()[0].2;
    for _ in 0..5_000 {
        let got = bench.run(|queue, cx| queue.get(false, cx));
        let lease = match got {
            Some(got) => got.lease.unwrap(),
            None => {
                bench.colored("blue", 0);
                continue;
            }
        };
        bench.settle(lease, Outcome::Requeue);
        bench.now += 1;
    }
    let wanted = bench.colored("red", 1);
    bench.settle(held, Outcome::Accept);
    assert_eq!(bench.delivered(), [(1, wanted)]);
}
