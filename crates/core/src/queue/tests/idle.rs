//! A queue that only waits, one of a million perhaps: how big it is, and what leaves it so.

use super::*;

/// Whether a part was made that a waiting queue does not need.
fn parts_made(queue: &mut Queue) -> (bool, bool, bool) {
    let ready = queue.ready.used().is_some();
    let leases = queue.leases.used().is_some();
    (ready, leases, queue.consumers.used().is_some())
}

/// A million of them are a million times this. What only busy queues need belongs behind a
/// pointer: `OnUse`, or an `Option<Box<_>>` where it is rare.
#[test]
fn a_queue_is_small() {
    assert!(size_of::<Queue>() <= 160, "{}", size_of::<Queue>());
}

#[test]
fn what_finds_nothing_to_do_makes_nothing() {
    type Command = fn(&mut Queue, &mut Context<'_>);
    let commands: [(&str, Command); 10] = [
        ("count", |queue, _| assert_eq!(queue.counts().ready, 0)),
        ("tick", |queue, cx| {
            queue.tick(cx);
        }),
        ("get", |queue, cx| assert!(queue.get(false, cx).is_none())),
        ("purge", |queue, cx| {
            assert_eq!(queue.purge(u64::MAX, cx), 0)
        }),
        ("plan", |queue, _| assert_eq!(queue.next_deadline(), None)),
        ("options", |queue, cx| {
            let options = Options {
                max_length: Some(1),
                ..Options::default()
            };
            queue.set_options(Arc::new(options), cx);
        }),
        ("evacuate", |queue, cx| {
            queue.evacuate(0, 9, |_, _| None, cx)
        }),
        ("spill", |queue, cx| queue.spill(|_, _| None, cx)),
        ("look", |queue, _| queue.visit_ready(None, |_| true)),
        ("room", |queue, _| assert!(queue.has_room(10))),
    ];
    for (name, command) in commands {
        let mut bench = Bench::new(Options::default());
        bench.run(command);
        assert_eq!(
            parts_made(&mut bench.queue),
            (false, false, false),
            "{name}"
        );
    }
}

#[test]
fn a_start_makes_nothing_for_a_queue_without_messages() {
    let mut bench = Bench::new(Options::default());
    for restart in [Bench::restart_from_image, Bench::crash] {
        restart(&mut bench);
        assert_eq!(parts_made(&mut bench.queue), (false, false, false));
    }
    bench.publish(true);
    bench.restart_from_image();
    assert_eq!(parts_made(&mut bench.queue), (true, false, false));
}

#[test]
fn who_consumes_makes_no_place_for_messages() {
    let mut bench = Bench::new(Options::default());
    let slot = bench.subscribe(7, false, 1);
    bench.run(|queue, cx| queue.resume(slot, cx));
    assert_eq!(parts_made(&mut bench.queue), (false, false, true));
}
