//! What leaves a stream, and when.

use super::*;

#[test]
fn too_many_bytes_leave_at_the_front() {
    let segments = |segment_bytes| Retention {
        segment_bytes,
        ..Retention::default()
    };
    for (segment_bytes, max_bytes, kept) in [
        (None, 35, 17..20),
        (None, 10, 19..20),
        (None, 0, 19..20),
        (Some(40), 80, 12..20),
        (Some(40), 79, 16..20),
        (Some(30), 75, 15..20),
        (Some(5), 25, 18..20),
        (Some(0), 25, 18..20),
        (Some(1000), 30, 0..20),
    ] {
        let mut bench = Bench::new(options(segments(segment_bytes), Some(max_bytes)));
        bench.append(20);
        assert_eq!(bench.kept(), kept, "{segment_bytes:?} {max_bytes}");
        assert_eq!(bench.released.len() as u64, kept.start);
        bench.read_from(7, StreamOffset::First, 1);
        assert_eq!(bench.offsets(), [kept.start]);
        assert_eq!(bench.recovered(false).counts().ready, kept.end - kept.start);
    }
}

#[test]
fn what_is_too_old_leaves_and_the_newest_stays() {
    let mut bench = Bench::new(aged(10_000, None));
    for _ in 0..4 {
        bench.append(2);
        bench.now += 1000;
    }
    // Appended at 1000, 2000, 3000 and 4000; known to a tenth of a second.
    for (now, due, kept) in [
        (11_000, Some(11_099), 0..8),
        (11_099, Some(12_099), 2..8),
        (13_500, Some(14_099), 6..8),
        (14_099, None, 7..8),
        (99_000, None, 7..8),
    ] {
        bench.now = now;
        bench.tick();
        assert_eq!(bench.kept(), kept, "at {now}");
        assert_eq!(bench.queue.next_deadline(), due, "at {now}");
    }
    bench.append(1);
    assert_eq!(bench.kept(), 8..9, "on append, too");
    let mut parts = Bench::new(aged(10_000, Some(30)));
    for _ in 0..4 {
        parts.append(2);
        parts.now += 1000;
    }
    for (now, due, kept) in [
        (11_500, Some(12_099), 0..8),
        (12_099, Some(13_099), 3..8),
        (99_000, None, 6..8),
    ] {
        parts.now = now;
        parts.tick();
        assert_eq!(parts.kept(), kept, "in parts at {now}");
        assert_eq!(parts.queue.next_deadline(), due, "in parts at {now}");
    }
}

#[test]
fn much_leaves_in_several_ticks_and_options_may_change() {
    let mut bench = Bench::new(forever());
    bench.append(10_000);
    let fewer = Arc::new(options(Retention::default(), Some(1000)));
    bench.run(|queue, cx| queue.set_options(fewer, cx));
    let mut ticks = 0;
    while bench.queue.next_deadline().is_some() {
        bench.tick();
        ticks += 1;
    }
    assert_eq!((ticks, bench.kept()), (2, 9_900..10_000));
    let divided = aged(1, Some(300));
    bench.run(|queue, cx| queue.set_options(Arc::new(divided), cx));
    bench.now += 1000;
    bench.tick();
    assert_eq!(bench.kept(), 9_990..10_000);
    bench.read_from(7, StreamOffset::Offset(5), 1);
    assert_eq!(bench.offsets(), [9_990], "what left is passed over");
}

#[test]
fn a_reader_whose_place_left_goes_on_with_the_first_that_is_kept() {
    let mut bench = Bench::new(options(Retention::default(), Some(50)));
    bench.append(3);
    bench.read_from(7, StreamOffset::First, 1);
    let lease = bench.readings()[0].2.unwrap();
    bench.append(10);
    assert_eq!(bench.kept(), 8..13);
    bench.settle(lease, Outcome::Accept);
    assert_eq!(bench.offsets(), [8]);
}

#[test]
fn times_and_parts_survive_a_restart() {
    let mut bench = Bench::new(aged(10_000, Some(30)));
    for _ in 0..5 {
        bench.append(2);
        bench.now += 1000;
    }
    let mut image = Vec::new();
    bench.queue.write_image(&mut image);
    let mut from_image = Recovering::new(QueueId(1), bench.queue.options().clone(), 0);
    from_image.read_image(&mut Cursor::new(&image)).unwrap();
    for queue in [bench.recovered(true), from_image.finish(false, |_| ())] {
        bench.queue = queue;
        bench.now = 12_100;
        bench.tick();
        assert_eq!(bench.kept(), 3..10);
        let slot = bench.read_from(7, StreamOffset::Timestamp(4000), 1);
        assert_eq!(bench.offsets(), [6]);
        bench.run(|queue, cx| queue.unsubscribe(slot, cx));
        bench.read_from(8, StreamOffset::Last, 2);
        let readings = bench.readings();
        assert_eq!(
            readings.iter().map(|read| read.1).collect::<Vec<_>>(),
            [8, 9]
        );
    }
}
