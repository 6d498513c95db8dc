//! Rates, courses, and what is forgotten.

use super::*;

fn values(first: u64) -> Box<[u64]> {
    Box::from([first, 1])
}

#[test]
fn a_rate_is_that_of_the_last_two_samples() {
    let mut track = Track::new(values(10), 1_000, 1, false);
    assert_eq!(track.rate_of(&[0]), 0.0);
    track.add(values(60), 6_000, 2, false);
    assert_eq!(track.rate_of(&[0]), 10.0);
    assert_eq!(track.rate_of(&[0, 1]), 10.0);
    track.add(values(60), 11_000, 3, false);
    assert_eq!(track.rate_of(&[0]), 0.0);
    track.add(values(50), 13_000, 4, false);
    assert_eq!(track.rate_of(&[0]), -5.0);
    track.add(values(70), 13_000, 5, false);
    assert_eq!(track.rate_of(&[0]), 0.0, "no time has passed");
}

#[test]
fn a_course_is_kept_while_somebody_watches_and_is_bounded() {
    let mut track = Track::new(values(0), 0, 1, true);
    for round in 1..2_000 {
        track.add(values(round), round * 5_000, round, true);
    }
    let course = track.course_of(&[0]);
    assert_eq!(course.len(), 720);
    assert_eq!(course.last().map(|point| point.value), Some(1_999));
    track.add(values(0), 10_000_000, 3_000, false);
    assert!(track.course_of(&[0]).is_empty());
}

#[test]
fn what_is_not_seen_again_is_forgotten() {
    let sampler = Sampler::default();
    let mut state = sampler.state.lock();
    state.round = 1;
    state.add(Key::Queue(1), values(0), 0);
    state.add(Key::Queue(2), values(0), 0);
    state.end();
    state.round = 2;
    state.add(Key::Queue(2), values(5), 5_000);
    state.end();
    drop(state);
    assert!(sampler.with(&Key::Queue(1), |track| track.is_none()));
    assert_eq!(sampler.rate(&Key::Queue(2), &[0]), 1.0);
    assert_eq!(sampler.rate(&Key::Queue(1), &[0]), 0.0);
}

#[test]
fn only_so_many_are_watched_and_those_that_were_looked_at_last() {
    let sampler = Sampler::default();
    for queue in 0..WATCHED_MAX as u64 + 5 {
        sampler.watch(&Key::Queue(queue), queue);
    }
    sampler.watch(&Key::Queue(5), 10_000);
    let watched = |queue| {
        sampler
            .state
            .lock()
            .watched
            .contains_key(&Key::Queue(queue))
    };
    assert_eq!(sampler.state.lock().watched.len(), WATCHED_MAX);
    assert!(!watched(0) && !watched(4) && watched(5) && watched(WATCHED_MAX as u64 + 4));
    sampler.begin(10_000 + WATCHED_MS_MAX);
    assert!(watched(5) && !watched(6));
}

#[test]
fn of_new_queues_without_a_count_few_are_noted() {
    let sampler = Sampler::default();
    let mut round = sampler.begin(0);
    let blank = || Box::from([0, 0]);
    for queue in 0..3 * BLANKS_MAX as u64 {
        round.take_queue(Key::Queue(queue), blank(), false);
    }
    assert_eq!(round.taken.len(), BLANKS_MAX);
    round.take_queue(Key::Queue(1_000_000), blank(), true);
    round.take_queue(Key::Queue(1_000_001), values(5), false);
    assert_eq!(round.taken.len(), BLANKS_MAX + 2);
}

#[test]
fn looks_that_take_long_are_further_apart() {
    for (look_ms, pause_ms) in [(0, 5_000), (100, 5_000), (101, 5_050), (1_000, 50_000)] {
        let pause = pause_after(Duration::from_millis(look_ms));
        assert_eq!(pause, Duration::from_millis(pause_ms), "{look_ms} ms");
    }
}
