//! The window against a plain list, its bounds, its memory and its image.

use super::*;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A generator of numbers that repeats from its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 29) % bound
    }
}

/// What a window does, without any cleverness.
struct Model {
    options: Deduplication,
    ids: Vec<(MessageId, Millis)>,
}

impl Model {
    fn expire(&mut self, now: Millis) {
        if let Some(ttl_ms) = self.options.ttl_ms {
            self.ids.retain(|(_, at)| now < at.saturating_add(ttl_ms));
        }
    }

    fn contains(&mut self, id: MessageId, now: Millis) -> bool {
        self.expire(now);
        self.ids.iter().any(|(other, _)| *other == id)
    }

    fn insert(&mut self, id: MessageId, now: Millis) -> bool {
        if self.contains(id, now) {
            return false;
        }
        let surplus = (self.ids.len() + 1).saturating_sub(self.options.ids_max as usize);
        self.ids.drain(..surplus);
        let newest = self.ids.last().map_or(0, |(_, at)| *at);
        self.ids.push((id, now.max(newest)));
        true
    }

    fn bound(&mut self) {
        let surplus = self.ids.len().saturating_sub(self.options.ids_max as usize);
        self.ids.drain(..surplus);
    }

    fn remove(&mut self, id: MessageId) -> bool {
        let before = self.ids.len();
        self.ids.retain(|(other, _)| *other != id);
        self.ids.len() < before
    }
}

fn id(number: u64) -> MessageId {
    MessageId::of_text(&number.to_le_bytes())
}

fn bounds(ids_max: u64, ttl_ms: impl Into<Option<u64>>) -> Deduplication {
    Deduplication {
        ids_max,
        ttl_ms: ttl_ms.into(),
    }
}

fn content(window: &Window) -> Vec<(MessageId, Millis)> {
    window.history.iter().collect()
}

fn assert_invariants(window: &Window) {
    window.history.assert_invariants();
    window.index.assert_invariants();
    for (id, _) in window.history.iter() {
        assert!(window.index.find(id, &window.history).is_some());
    }
}

fn image(window: &Window) -> Vec<u8> {
    let mut bytes = Vec::new();
    window.write(&mut bytes);
    bytes
}

fn drawn_options(dice: &mut Dice) -> Deduplication {
    let ids_max = [1, 2, 60, 400, 1_000][dice.below(5) as usize];
    let ttl_ms = [None, Some(1), Some(300), Some(5_000), Some(200 * DAY_MS)];
    bounds(ids_max, ttl_ms[dice.below(5) as usize])
}

fn drawn_time(dice: &mut Dice, now: Millis) -> Millis {
    match dice.below(1_000) {
        0 => now.saturating_add(100 * DAY_MS),
        1 => now.saturating_sub(DAY_MS / 24),
        2..10 => now.saturating_add(dice.below(2_000)),
        _ => now + dice.below(3),
    }
}

fn compare_with_model(seed: u64) {
    let mut dice = Dice(seed);
    let options = drawn_options(&mut dice);
    let (mut window, mut model) = (
        Window::new(options),
        Model {
            options,
            ids: vec![],
        },
    );
    // Numbers wrap within the run.
    window.history = History::starting_at(0_u32.wrapping_sub(64 * 5));
    let (mut now, mut next) = (1_700_000_000_000, 0);
    for step in 0..4_000 {
        now = drawn_time(&mut dice, now);
        let some = id(next - dice.below(1_200).min(next));
        match dice.below(1_000) {
            0..3 => {
                let options = drawn_options(&mut dice);
                model.options = options;
                model.bound();
                window.set_options(options);
            }
            3..600 => {
                next += 1;
                let new = id(next);
                assert_eq!(
                    window.insert(new, now),
                    model.insert(new, now),
                    "{seed} {step}"
                );
            }
            600..750 => {
                assert_eq!(
                    window.insert(some, now),
                    model.insert(some, now),
                    "{seed} {step}"
                );
            }
            750..850 => {
                assert_eq!(
                    window.contains(some, now),
                    model.contains(some, now),
                    "{seed}"
                );
            }
            850..990 => assert_eq!(window.remove(some), model.remove(some), "{seed} {step}"),
            _ => {
                window.expire(now);
                model.expire(now);
            }
        }
        assert_eq!(window.len(), model.ids.len() as u64, "{seed} {step}");
        assert!(window.history.dead() <= window.len() / 8 + DEAD_SLOTS_MAX);
        if step % 50 == 0 {
            assert_eq!(content(&window), model.ids, "{seed} {step}");
            let oldest = model.ids.first().zip(model.options.ttl_ms);
            let expiry = oldest.map(|((_, at), ttl_ms)| at + ttl_ms);
            assert_eq!(window.next_expiry(), expiry, "{seed} {step}");
            assert_invariants(&window);
        }
    }
}

#[test]
fn a_window_does_what_a_plain_list_does() {
    for seed in 0..60 {
        compare_with_model(seed);
    }
}

#[test]
fn an_id_counts_until_its_time_is_over_and_a_duplicate_does_not_renew_it() {
    for (now, counts) in [
        (0, true),
        (1_000, true),
        (1_999, true),
        (2_000, false),
        (u64::MAX, false),
    ] {
        let mut window = Window::new(bounds(10, 1_000));
        assert!(window.insert(id(1), 1_000));
        assert!(!window.insert(id(1), 1_500));
        assert_eq!(window.next_expiry(), Some(2_000));
        assert_eq!(window.contains(id(1), now), counts, "{now}");
        assert_eq!(window.insert(id(1), now), !counts, "{now}");
        assert_eq!(window.len(), 1);
    }
}

#[test]
fn without_a_time_bound_an_id_counts_for_ever() {
    let mut window = Window::new(bounds(10, None));
    window.insert(id(1), 0);
    assert_eq!(window.next_expiry(), None);
    assert!(window.contains(id(1), u64::MAX));
    assert!(!window.insert(id(1), u64::MAX));
}

#[test]
fn the_oldest_id_makes_room_for_a_new_one() {
    let mut window = Window::new(bounds(3, None));
    for number in 0..5 {
        assert!(window.insert(id(number), number));
    }
    let counts: Vec<bool> = (0..5)
        .map(|number| window.contains(id(number), 5))
        .collect();
    assert_eq!(counts, [false, false, true, true, true]);
    window.set_options(bounds(1, None));
    assert_eq!(content(&window), [(id(4), 4)]);
    window.set_options(bounds(0, None));
    assert_eq!(window.len(), 1, "a bound of none counts as one");
}

#[test]
fn the_last_ids_can_be_forgotten_without_a_trace() {
    let mut window = Window::new(bounds(u64::MAX, None));
    let empty_bytes = window.memory_bytes();
    for number in 0..10_000 {
        assert!(window.insert(id(0), number));
        assert!(window.remove(id(0)));
        assert!(!window.remove(id(0)));
    }
    assert!(window.is_empty());
    assert!(window.memory_bytes() < empty_bytes + 1_000);
    assert_invariants(&window);
}

#[test]
fn a_clock_that_jumps_loses_no_id_and_panics_nowhere() {
    let mut window = Window::new(bounds(1_000, u64::MAX));
    let times = [5, 0, u64::MAX, 3, u64::MAX - 1, 0, u64::MAX];
    for (number, now) in times.into_iter().enumerate() {
        assert!(window.insert(id(number as u64), now), "{now}");
        assert_invariants(&window);
        if now == u64::MAX {
            // The end of time is the end of every id.
            assert_eq!(window.len(), 1);
        }
    }
}

#[test]
fn an_image_reads_back_within_the_bounds_of_now() {
    let mut window = Window::new(bounds(1_000, None));
    let mut dice = Dice(7);
    let mut now = 1_700_000_000_000;
    for number in 0..1_500 {
        now = drawn_time(&mut dice, now);
        window.insert(id(number), now);
    }
    (600..700).for_each(|number| assert!(window.remove(id(number))));
    let bytes = image(&window);
    for ids_max in [5_000, 1_000, 900, 10, 1] {
        let mut cursor = Cursor::new(&bytes);
        let read = Window::read(&mut cursor, bounds(ids_max, 500)).unwrap();
        assert!(cursor.is_empty());
        let skipped = 900_u64.saturating_sub(ids_max) as usize;
        assert_eq!(content(&read), content(&window)[skipped..], "{ids_max}");
        assert_invariants(&read);
    }
    let empty = image(&Window::new(bounds(1, None)));
    assert!(
        Window::read(&mut Cursor::new(&empty), bounds(1, None))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_cut_image_is_an_error_and_a_false_one_costs_no_more_than_its_length() {
    let mut window = Window::new(bounds(100, None));
    (0..20).for_each(|number| assert!(window.insert(id(number), 1 << number)));
    let bytes = image(&window);
    for len in 0..bytes.len() {
        let read = Window::read(&mut Cursor::new(&bytes[..len]), bounds(100, None));
        assert!(read.is_err(), "{len}");
    }
    let mut repeated = Vec::new();
    put_varint(&mut repeated, 3);
    for _ in 0..3 {
        repeated.extend_from_slice(&[7; 16]);
        put_varint(&mut repeated, u64::MAX);
    }
    let read = Window::read(&mut Cursor::new(&repeated), bounds(100, None)).unwrap();
    assert_eq!(read.len(), 1, "an id is in once");
    let mut endless = Vec::new();
    put_varint(&mut endless, u64::MAX);
    assert!(Window::read(&mut Cursor::new(&endless), bounds(u64::MAX, None)).is_err());
}

#[test]
fn an_option_allocates_nothing() {
    let window = Window::new(bounds(u64::MAX, u64::MAX));
    assert_eq!(window.memory_bytes(), size_of::<Window>());
}

/// More than a bucket of the index that is copied to a larger one.
const BUCKET_COPY_BYTES: usize = 2_000;

/// Memory after each step, with what may have been copied during it counted twice.
#[derive(Default)]
struct Meter {
    directories: [usize; 2],
}

impl Meter {
    fn assert_small(&mut self, window: &Window) {
        let directories = [
            window.history.directory_bytes(),
            window.index.directory_bytes(),
        ];
        let mut bytes = window.memory_bytes() + BUCKET_COPY_BYTES;
        for (now, before) in directories.iter().zip(self.directories) {
            bytes += if *now == before { 0 } else { before };
        }
        self.directories = directories;
        let len = window.len() as usize;
        assert!(bytes <= len.max(1_000) * 40, "{bytes} bytes for {len} ids");
    }
}

#[test]
fn an_id_costs_at_most_40_bytes_while_a_window_fills_and_slides() {
    for ids_max in [1_000, 1_793, 100_000, 1_000_000] {
        let mut window = Window::new(bounds(ids_max, None));
        let mut meter = Meter::default();
        for number in 0..ids_max + ids_max / 10 {
            assert!(window.insert(id(number), number));
            meter.assert_small(&window);
        }
        assert_eq!(window.len(), ids_max);
        assert_invariants(&window);
    }
}

#[test]
fn memory_is_given_back_while_ids_age() {
    for count in [1_000, 1_793, 100_000] {
        let mut window = Window::new(bounds(count, count));
        let mut meter = Meter::default();
        (0..count).for_each(|number| assert!(window.insert(id(number), number)));
        for age in (0..count).step_by(20) {
            window.expire(count + age);
            meter.assert_small(&window);
        }
        window.expire(2 * count - 1);
        assert!(window.is_empty());
        assert_eq!(window.memory_bytes(), size_of::<Window>());
    }
}

#[test]
fn an_id_costs_at_most_40_bytes_however_many_were_removed() {
    let mut window = Window::new(bounds(u64::MAX, None));
    let mut meter = Meter {
        directories: [0, 0],
    };
    let mut dice = Dice(3);
    for number in 0..50_000 {
        window.insert(id(number), number);
        window.remove(id(number - dice.below(1_000).min(number)));
        meter.assert_small(&window);
    }
    assert!(window.len() > 1_000);
    assert_invariants(&window);
}

#[test]
fn ids_of_one_tag_are_told_apart() {
    for byte in [0, 9, 0xff] {
        let mut window = Window::new(bounds(1_000, None));
        let of_one_tag = |number: u8| {
            let mut bytes = [byte; 16];
            bytes[15] = number;
            MessageId::from_bytes(bytes)
        };
        (0..200).for_each(|number| assert!(window.insert(of_one_tag(number), 0)));
        (0..200).for_each(|number| assert!(!window.insert(of_one_tag(number), 0)));
        assert_invariants(&window);
        (50..150).for_each(|number| assert!(window.remove(of_one_tag(number))));
        for number in 0..=255 {
            let expected = (0..50).contains(&number) || (150..200).contains(&number);
            assert_eq!(window.contains(of_one_tag(number), 0), expected, "{number}");
        }
        assert_invariants(&window);
    }
}
