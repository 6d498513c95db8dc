//! Messages of one id.

use super::*;

fn bench(ids_max: u64) -> Bench {
    Bench::new(Options {
        durable: true,
        deduplication: Some(Deduplication {
            ids_max,
            ttl_ms: Some(1000),
        }),
        ..Options::default()
    })
}

impl Bench {
    fn publish_id(&mut self, id: u8) -> Enqueued {
        self.publish_special(true, None, None, Some(id))
    }
}

#[test]
fn a_known_id_is_taken_and_not_stored() {
    let mut bench = bench(10);
    assert_eq!(bench.publish_id(1), Enqueued::Taken);
    let before = bench.released.len();
    assert_eq!(bench.publish_id(1), Enqueued::Duplicate);
    assert_eq!(bench.released.len(), before + 1, "its body is given back");
    assert_eq!(bench.publish_id(2), Enqueued::Taken);
    assert_eq!(
        bench.publish(true),
        Enqueued::Taken,
        "no id is no duplicate"
    );
    assert_eq!(bench.counts(), (3, 0));
}

#[test]
fn an_id_counts_when_its_message_is_gone_and_until_its_time_is_over() {
    let mut bench = bench(10);
    bench.publish_id(1);
    let got = bench.run(|queue, cx| queue.get(false, cx)).unwrap();
    bench.settle(got.lease.unwrap(), Outcome::Accept);
    bench.now = 1999;
    assert_eq!(bench.publish_id(1), Enqueued::Duplicate);
    bench.now = 2000;
    assert_eq!(bench.publish_id(1), Enqueued::Taken);
}

#[test]
fn ids_survive_a_crash_and_a_checkpoint() {
    let mut bench = bench(2);
    (1..=3).for_each(|id| assert_eq!(bench.publish_id(id), Enqueued::Taken));
    bench.crash();
    assert_eq!(bench.publish_id(3), Enqueued::Duplicate);
    assert_eq!(bench.publish_id(2), Enqueued::Duplicate);
    bench.restart_from_image();
    assert_eq!(bench.publish_id(3), Enqueued::Duplicate);
    assert_eq!(
        bench.publish_id(1),
        Enqueued::Taken,
        "the window had room for two"
    );
}

#[test]
fn a_refused_message_leaves_no_id_and_a_duplicate_is_never_refused() {
    let mut bench = Bench::new(Options {
        max_length: Some(1),
        overflow: Overflow::RejectPublish,
        ..(*bench(10).queue.options).clone()
    });
    assert_eq!(bench.publish_id(1), Enqueued::Taken);
    assert_eq!(bench.publish_id(2), Enqueued::Rejected);
    assert_eq!(bench.publish_id(1), Enqueued::Duplicate);
    bench.run(|queue, cx| queue.purge(u64::MAX, cx));
    assert_eq!(bench.publish_id(2), Enqueued::Taken);
}

#[test]
fn a_transaction_notes_an_id_once_and_takes_it_back_when_refused() {
    let mut bench = Bench::new(Options {
        max_length: Some(1),
        overflow: Overflow::RejectPublish,
        ..(*bench(10).queue.options).clone()
    });
    let first = bench.special(true, None, None, Some(1));
    let now = bench.now;
    let prepare = |bench: &mut Bench, incoming: &Incoming| {
        let staged = bench.staged.clone();
        bench.run(|queue, cx| queue.prepare(incoming, &staged, cx.lens, now, cx.facts))
    };
    assert_eq!(prepare(&mut bench, &first), Prepared::Stored);
    assert_eq!(prepare(&mut bench, &first), Prepared::Undecided);
    bench.publish(true);
    let recorded = Incoming {
        recorded: true,
        ..first
    };
    let refused = bench.run(|queue, cx| queue.enqueue(&recorded, cx));
    assert_eq!(refused, Enqueued::Rejected);
    bench.crash();
    bench.run(|queue, cx| queue.purge(u64::MAX, cx));
    assert_eq!(bench.publish_id(1), Enqueued::Taken);
}

#[test]
fn nobody_is_told_that_a_message_is_stored_while_its_transaction_is_under_way() {
    for durable in [true, false] {
        let mut bench = bench(10);
        let incoming = bench.special(durable, None, None, Some(1));
        let (staged, now) = (bench.staged.clone(), bench.now);
        bench.run(|queue, cx| queue.prepare(&incoming, &staged, cx.lens, now, cx.facts));
        assert_eq!(bench.publish_id(1), Enqueued::Rejected);
        let recorded = Incoming {
            recorded: true,
            ..incoming
        };
        bench.staged = staged;
        let taken = bench.run(|queue, cx| queue.enqueue(&recorded, cx));
        assert_eq!(taken, Enqueued::Taken);
        assert_eq!(bench.publish_id(1), Enqueued::Duplicate);
        assert_eq!(bench.counts(), (1, 0));
    }
}

#[test]
fn a_window_comes_and_goes_with_the_options() {
    let mut bench = bench(10);
    bench.publish_id(1);
    let without = Arc::new(Options {
        deduplication: None,
        ..(*bench.queue.options).clone()
    });
    let with = bench.queue.shared_options();
    bench.run(|queue, cx| queue.set_options(without, cx));
    assert_eq!(bench.publish_id(1), Enqueued::Taken);
    bench.run(|queue, cx| queue.set_options(with, cx));
    assert_eq!(bench.publish_id(1), Enqueued::Taken);
    assert_eq!(bench.publish_id(1), Enqueued::Duplicate);
}
