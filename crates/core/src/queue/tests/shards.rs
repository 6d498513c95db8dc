//! Shards: order per key, one consumer at a time for each, and who that is.

mod model;
mod places;

use super::*;
use crate::arguments::Value;

pub(super) fn sharded(count: u16) -> Options {
    Options {
        shards: Some(Shards {
            count,
            key_header: None,
        }),
        ..Options::default()
    }
}

/// The header of a key.
pub(super) fn key(key: i64) -> (&'static str, Value) {
    ("x-shard-key", Value::I64(key))
}

impl Bench {
    fn keyed(&mut self, number: i64) -> u64 {
        self.publish_headers(true, &[key(number)])
    }

    /// The number of a message got by hand, and its lease.
    fn got(&mut self, no_ack: bool) -> Option<(u64, Option<LeaseId>)> {
        let got = Bench::get(self, no_ack)?;
        Some((number_of(&self.staged, &got.body), got.lease))
    }
}

fn numbers(taken: &[(u64, u64, LeaseId)]) -> Vec<u64> {
    taken.iter().map(|(_, number, _)| *number).collect()
}

#[test]
fn a_key_stays_with_one_consumer_in_its_order() {
    let mut bench = Bench::new(sharded(64));
    (1..=4).for_each(|id| {
        bench.subscribe(id, false, 100);
    });
    for round in 0..10 {
        for number in 0..40 {
            bench.keyed(number);
        }
        let taken = bench.taken();
        assert_eq!(taken.len(), 40, "round {round}");
        assert!(taken.is_sorted_by_key(|(_, number, _)| *number));
        if round == 0 {
            let held: Vec<usize> = (1..=4)
                .map(|id| taken.iter().filter(|(who, ..)| *who == id).count())
                .collect();
            assert!(held.iter().all(|held| *held > 2), "spread: {held:?}");
        }
        for (who, number, lease) in taken {
            let first = 1 + (number - 1) % 40;
            assert_eq!(Some(who), bench.first_owner(first), "message {number}");
            assert!(bench.settle(lease, Outcome::Accept));
        }
    }
    assert_eq!(bench.queue.keys_out(), 0);
}

impl Bench {
    /// The owner of the shard of a message that is ready or was.
    fn first_owner(&self, number: u64) -> Option<u64> {
        let group = self.queue.shards.as_ref()?;
        let message = &self.messages[number as usize];
        let owner = group.owner_of(message, self.queue.options.shards.as_ref()?)?;
        Some(owner.id().0)
    }
}

#[test]
fn what_came_back_is_the_next_of_its_key_when_the_rest_is_settled() {
    let mut bench = Bench::new(sharded(2));
    bench.subscribe(1, false, 3);
    let sent: Vec<u64> = (0..5).map(|_| bench.keyed(7)).collect();
    let taken = bench.taken();
    assert_eq!(numbers(&taken), sent[..3]);
    assert!(bench.settle(taken[1].2, Outcome::Requeue));
    assert!(bench.taken().is_empty(), "the first and the third are out");
    assert!(bench.settle(taken[0].2, Outcome::Accept));
    assert!(bench.taken().is_empty(), "the third is out");
    assert!(bench.settle(taken[2].2, Outcome::Accept));
    let again = bench.taken();
    assert_eq!(numbers(&again), [sent[1], sent[3], sent[4]]);
    again
        .iter()
        .for_each(|(.., lease)| assert!(bench.settle(*lease, Outcome::Accept)));
    assert_eq!((bench.counts(), bench.queue.keys_out()), ((0, 0), 0));
}

#[test]
fn a_key_goes_on_when_what_it_waits_for_is_purged() {
    let mut bench = Bench::new(Options {
        retry: Retry {
            delay_ms: 500,
            factor_milli: 1000,
            ..Retry::default()
        },
        ..sharded(2)
    });
    bench.subscribe(1, false, 1);
    let sent = [bench.keyed(7), bench.keyed(7)];
    let taken = bench.taken();
    assert!(bench.settle(taken[0].2, Outcome::Requeue));
    assert!(bench.taken().is_empty(), "the key waits with the first");
    assert_eq!(bench.run(|queue, cx| queue.purge_delayed(u64::MAX, cx)), 1);
    assert_eq!(numbers(&bench.taken()), [sent[1]]);
}

#[test]
fn a_key_that_fails_is_set_aside_alone() {
    let mut bench = Bench::new(Options {
        retry: Retry {
            delay_ms: 500,
            factor_milli: 1000,
            limit: Some(3),
            ..Retry::default()
        },
        dead_letter: dead_letters(),
        ..sharded(2)
    });
    bench.subscribe(1, false, 1);
    let failing: Vec<u64> = (0..3).map(|_| bench.keyed(1)).collect();
    let mut first = bench.taken();
    for try_number in 1..=3 {
        assert_eq!(numbers(&first), failing[..1]);
        let others: Vec<u64> = (0..4).map(|other| bench.keyed(100 + other)).collect();
        assert!(bench.settle(first[0].2, Outcome::Requeue));
        let mut served = Vec::new();
        while let [(_, number, lease)] = bench.taken()[..] {
            if try_number == 3 && number == failing[1] {
                first = vec![(1, number, lease)];
                break;
            }
            served.push(number);
            assert!(bench.settle(lease, Outcome::Accept));
        }
        if try_number < 3 {
            assert_eq!(served, others, "others go on");
            bench.now += 500;
            bench.run(|queue, cx| queue.tick(cx));
            first = bench.taken();
        }
    }
    assert_eq!(
        numbers(&first),
        failing[1..2],
        "a dead letter is out of the way"
    );
}

#[test]
fn a_key_moves_when_what_was_held_of_it_is_settled() {
    for (back, expected) in [(Outcome::Accept, 1), (Outcome::Requeue, 0)] {
        let mut bench = Bench::new(sharded(2));
        let first = bench.subscribe(1, false, 2);
        let sent: Vec<u64> = (0..4).map(|_| bench.keyed(5)).collect();
        let taken = bench.taken();
        assert_eq!(numbers(&taken), sent[..2]);
        bench.subscribe(2, false, 10);
        bench.run(|queue, cx| queue.unsubscribe(first, cx));
        assert!(bench.taken().is_empty(), "the first still holds some");
        assert!(bench.settle(taken[0].2, Outcome::Accept));
        assert!(bench.taken().is_empty());
        assert!(bench.settle(taken[1].2, back));
        let moved = bench.taken();
        assert!(moved.iter().all(|(who, ..)| *who == 2));
        assert_eq!(numbers(&moved), sent[1 + expected..]);
    }
}

#[test]
fn shards_are_even_and_move_only_to_stay_so() {
    let mut bench = Bench::new(sharded(10));
    let mut slots = Vec::new();
    let shares = |bench: &Bench| {
        let owners = bench.queue.owners();
        let share = |id| {
            owners
                .iter()
                .filter(|owner| **owner == Some(ConsumerId(id)))
                .count()
        };
        (1..=5)
            .map(share)
            .filter(|share| *share > 0)
            .collect::<Vec<_>>()
    };
    for (id, expected) in [(1, vec![10]), (2, vec![5, 5]), (3, vec![4, 3, 3])] {
        let before = bench.queue.owners();
        slots.push(bench.subscribe(id, false, 1));
        let mut found = shares(&bench);
        found.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(found, expected);
        let after = bench.queue.owners();
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after);
        assert!(
            moved
                .clone()
                .all(|(_, after)| *after == Some(ConsumerId(id)))
        );
        assert_eq!(moved.count(), 10 / id as usize);
    }
    let before = bench.queue.owners();
    bench.run(|queue, cx| queue.unsubscribe(slots[1], cx));
    let after = bench.queue.owners();
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || *before == Some(ConsumerId(2)));
    }
    assert_eq!(shares(&bench), [5, 5]);
}

#[test]
fn the_highest_priority_owns_all_and_others_stand_by() {
    let mut bench = Bench::new(sharded(4));
    let with_priority = |id, priority| Subscription {
        id: ConsumerId(id),
        no_ack: false,
        exclusive: false,
        priority,
        prefetch: 1,
    };
    let mut slots = Vec::new();
    for (id, priority) in [(1, 0), (2, 5), (3, 5)] {
        let subscription = with_priority(id, priority);
        slots.push(
            bench
                .queue
                .subscribe(subscription, Choice::default(), 0)
                .unwrap(),
        );
    }
    (0..20).for_each(|number| {
        bench.keyed(number);
    });
    let mut served: Vec<u64> = bench.taken().iter().map(|(who, ..)| *who).collect();
    served.sort_unstable();
    assert_eq!(
        served,
        [2, 3],
        "the first stands by, though the others are busy"
    );
    for slot in [slots[1], slots[2]] {
        bench.run(|queue, cx| queue.unsubscribe(slot, cx));
    }
    assert_eq!(bench.taken().len(), 1);
}

#[test]
fn one_active_consumer_owns_all() {
    let mut bench = Bench::new(Options {
        single_active_consumer: true,
        ..sharded(4)
    });
    let first = bench.subscribe(1, false, 2);
    bench.subscribe(2, false, 10);
    let sent: Vec<u64> = (0..4).map(|number| bench.keyed(number % 2)).collect();
    let taken = bench.taken();
    assert_eq!(numbers(&taken), sent[..2]);
    bench.run(|queue, cx| queue.unsubscribe(first, cx));
    assert!(bench.taken().is_empty(), "both keys are held");
    bench.settle(taken[1].2, Outcome::Requeue);
    let moved = bench.taken();
    assert_eq!(numbers(&moved), [sent[1], sent[3]]);
    assert!(moved.iter().all(|(who, ..)| *who == 2));
}

#[test]
fn a_get_passes_over_keys_that_are_held_and_holds_its_own() {
    let mut bench = Bench::new(sharded(2));
    let sent: Vec<u64> = [1, 1, 2, 3].map(|number| bench.keyed(number)).to_vec();
    let bare = bench.publish_headers(true, &[]);
    let (first, lease) = bench.got(false).unwrap();
    assert_eq!(first, sent[0]);
    assert_eq!(
        bench.got(true),
        Some((sent[2], None)),
        "the key of the first is held"
    );
    bench.subscribe(9, false, 1);
    let taken = bench.taken();
    assert_eq!(numbers(&taken), [sent[3]]);
    assert_eq!(bench.got(true), Some((bare, None)));
    assert_eq!(bench.got(true), None);
    bench.settle(lease.unwrap(), Outcome::Requeue);
    assert_eq!(bench.got(true), Some((sent[0], None)));
    assert_eq!(bench.got(true), Some((sent[1], None)));
    assert_eq!(bench.counts(), (0, 1));
}

#[test]
fn messages_without_a_key_go_to_anyone_in_their_turn() {
    let mut bench = Bench::new(sharded(2));
    bench.subscribe(1, false, 2);
    bench.subscribe(2, false, 2);
    (0..4).for_each(|_| {
        bench.publish_headers(true, &[]);
    });
    let served: Vec<u64> = bench.taken().iter().map(|(who, ..)| *who).collect();
    assert_eq!(served, [1, 2, 1, 2]);
}

#[test]
fn neither_kind_of_message_starves_the_other() {
    let mut bench = Bench::new(sharded(2));
    bench.subscribe(1, false, 1);
    let sent: Vec<u64> = (0..6)
        .map(|number| match number % 2 {
            0 => bench.keyed(1),
            _ => bench.publish_headers(true, &[]),
        })
        .collect();
    let mut seen = Vec::new();
    while let [(_, number, lease)] = bench.taken()[..] {
        seen.push(number);
        bench.settle(lease, Outcome::Accept);
    }
    assert_eq!(seen, sent);
}

#[test]
fn higher_levels_go_first_and_keep_the_order_of_their_keys() {
    let mut bench = Bench::new(Options {
        max_priority: 9,
        ..sharded(2)
    });
    bench.messages = (0..=6).map(|_| Arguments::from_iter([key(4)])).collect();
    for priority in [0, 5, 0, 5, 9, 0] {
        assert_eq!(bench.publish_number(true, priority, None), Enqueued::Taken);
    }
    bench.subscribe(1, false, 3);
    let taken = bench.taken();
    assert_eq!(numbers(&taken), [5, 2, 4]);
    for (.., lease) in &taken {
        bench.settle(*lease, Outcome::Requeue);
    }
    let again = bench.taken();
    assert_eq!(numbers(&again), [5, 2, 4]);
    for (.., lease) in &again {
        bench.settle(*lease, Outcome::Accept);
    }
    assert_eq!(numbers(&bench.taken()), [1, 3, 6]);
}

#[test]
fn shards_come_and_go_by_policy_and_keep_what_is_out() {
    let mut bench = Bench::new(sharded(4));
    let first = bench.subscribe(1, false, 1);
    let sent: Vec<u64> = (0..4).map(|_| bench.keyed(1)).collect();
    let held = bench.taken();
    assert_eq!(numbers(&held), sent[..1]);
    for options in [sharded(2), sharded(512), Options::default(), sharded(3)] {
        let options = Arc::new(options);
        bench.run(|queue, cx| queue.set_options(options, cx));
        assert_eq!(bench.counts(), (3, 1));
        assert!(bench.taken().is_empty());
    }
    bench.run(|queue, cx| queue.unsubscribe(first, cx));
    bench.subscribe(2, false, 10);
    assert!(bench.taken().is_empty(), "who has gone holds the key");
    bench.settle(held[0].2, Outcome::Requeue);
    assert_eq!(numbers(&bench.taken()), sent);
}

#[test]
fn keys_outlive_a_restart_in_facts_and_images() {
    let mut bench = Bench::new(sharded(4));
    bench.subscribe(1, false, 2);
    (0..6).for_each(|number| {
        bench.keyed(number % 2);
    });
    let taken = bench.taken();
    bench.settle(taken[0].2, Outcome::Delay(Some(900)));
    let mut image = Vec::new();
    bench.queue.write_image(&mut image);
    let mut recovering = Recovering::new(QueueId(1), sharded(16), 0);
    recovering.read_image(&mut Cursor::new(&image)).unwrap();
    let failed = taken[0].1 as i64;
    for queue in [bench.recovered(false), recovering.finish(false, |_| ())] {
        bench.queue = queue;
        bench.effects.clear();
        let taken_at = bench.now;
        assert_eq!(bench.queue.keys_out(), 1, "one waits to be tried again");
        bench.subscribe(2, true, 0);
        let others = bench.delivered_numbers();
        assert!(others.iter().all(|number| number % 2 != failed as u64 % 2));
        assert_eq!(others.len(), 3, "its key waits, the other one goes on");
        bench.now += 900;
        bench.run(|queue, cx| queue.tick(cx));
        let rest = bench.delivered_numbers();
        assert!(rest.len() == 3 && rest.is_sorted(), "{rest:?}");
        bench.now = taken_at;
    }
}

#[test]
fn a_transaction_writes_the_key_down() {
    let mut bench = Bench::new(sharded(4));
    bench.messages = vec![Arguments::new(), Arguments::from_iter([key(4)])];
    let staged = 1u64.to_le_bytes();
    let incoming = Incoming {
        offset: 0,
        len: 8,
        position: (1 << 32) + 100,
        size: 8,
        priority: 0,
        ttl_ms: None,
        recorded: false,
        special: false,
    };
    let shelf = Shelf(&bench.messages, &bench.looks);
    let prepared = bench
        .queue
        .prepare(&incoming, &staged, &shelf, 0, &mut bench.facts);
    assert_eq!(prepared, Prepared::Stored);
    assert_ne!(bench.facts.entered[0].key, 0);
}
