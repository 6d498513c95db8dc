//! Dropping many messages at once: purges, the end of a queue, a limit that came later.

use super::*;

#[test]
fn purge_takes_the_ready_ones_and_delete_takes_all() {
    let mut bench = Bench::new(Options::default());
    bench.subscribe(7, false, 1);
    (0..3).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    assert_eq!(bench.run(|queue, cx| queue.purge(u64::MAX, cx)), 2);
    assert_eq!(bench.counts(), (0, 1));
    assert_eq!(bench.recovered(true).counts().ready, 1);
    bench.publish(false);
    assert_eq!(bench.dissolve(), [1, 1]);
    assert_eq!(bench.released.len(), 3);
    assert_eq!(bench.memory, 0);
}

#[test]
fn a_purge_is_as_large_as_it_may_be() {
    let mut bench = Bench::new(Options::default());
    (0..5).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    let purged = [2, 2, 2].map(|max| bench.run(|queue, cx| queue.purge(max, cx)));
    assert_eq!(purged, [2, 2, 1]);
    assert_eq!((bench.released.len(), bench.memory), (5, 0));
    assert_eq!(bench.recovered(true).counts().ready, 0);
}

#[test]
fn what_a_new_limit_makes_too_much_goes_over_several_ticks() {
    let mut bench = Bench::new(Options::default());
    (0..10_000).for_each(|_| assert_eq!(bench.publish(true), Enqueued::Taken));
    let short = Options {
        max_length: Some(10),
        ..Options::default()
    };
    bench.run(|queue, cx| queue.set_options(Arc::new(short), cx));
    let mut left = vec![bench.counts().0];
    while bench.queue.next_deadline() == Some(0) {
        bench.run(|queue, cx| queue.tick(cx));
        left.push(bench.counts().0);
    }
    assert_eq!(left, [5904, 1808, 10]);
    assert_eq!(bench.recovered(true).counts().ready, 10);
}
