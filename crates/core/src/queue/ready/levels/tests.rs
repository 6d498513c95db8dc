//! The ready messages, case by case.

mod model;

use super::super::level::KEPT_ENTRIES;
use super::*;

fn entry(seq: u64, priority: u8) -> Entry {
    Entry {
        priority,
        ..Entry::plain(seq, (1 << 32) + seq)
    }
}

fn order(ready: &mut Levels) -> Vec<u64> {
    let mut order = Vec::new();
    ready.drain(|entry| order.push(entry.seq));
    order
}

#[test]
fn a_long_level_keeps_its_order_through_pages() {
    let mut ready = Levels::default();
    for seq in 0..10_000 {
        ready.push_back(entry(seq, 0));
    }
    assert_eq!(ready.count(), 10_000);
    assert_eq!(ready.sums().bytes, 128 * 10_000);
    let mut seen = Vec::new();
    ready.visit_after(None, |entry| {
        seen.push(entry.seq);
        true
    });
    assert_eq!(seen, (0..10_000).collect::<Vec<_>>());
    assert_eq!(order(&mut ready), (0..10_000).collect::<Vec<_>>());
    assert_eq!((ready.count(), ready.sums().bytes), (0, 0));
}

#[test]
fn what_comes_back_leaves_at_its_old_place() {
    let mut ready = Levels::default();
    (0..6).for_each(|seq| ready.push_back(entry(seq, 0)));
    let out: Vec<Entry> = (0..4).filter_map(|_| ready.pop_front()).collect();
    for seq in [3, 1, 2] {
        ready.put_back(out[seq].clone());
    }
    assert_eq!(order(&mut ready), [1, 2, 3, 4, 5]);
}

#[test]
fn much_that_comes_back_is_packed() {
    const MANY: u64 = 100_000;
    for backwards in [false, true] {
        let mut ready = Levels::default();
        (0..2 * MANY).for_each(|seq| ready.push_back(expiring(seq, 0, seq + 1)));
        let mut out: Vec<Entry> = (0..MANY).filter_map(|_| ready.pop_front()).collect();
        // One that stays out parts two runs only while it is there.
        let one = out.remove(777);
        if backwards {
            out.reverse();
        }
        out.into_iter().for_each(|entry| ready.put_back(entry));
        ready.put_back(one);
        let unpacked = ready.returned().count();
        assert!(unpacked < 5_000, "{unpacked} are not packed");
        let mut expired = Vec::new();
        ready.take_expired(10, 100, &mut expired);
        assert_eq!(seqs(&expired), (0..10).collect::<Vec<_>>());
        assert_eq!(order(&mut ready), (10..2 * MANY).collect::<Vec<_>>());
    }
}

#[test]
fn higher_levels_leave_first_and_each_in_order() {
    let mut ready = Levels::default();
    for (seq, priority) in [(0, 0), (1, 2), (2, 1), (3, 2), (4, 0)] {
        ready.push_back(entry(seq, priority));
    }
    let first = ready.pop_front().unwrap();
    assert_eq!(first.seq, 1);
    ready.put_back(first);
    assert_eq!(order(&mut ready), [1, 3, 2, 0, 4]);
}

#[test]
fn retaining_touches_packed_entries_too() {
    let mut ready = Levels::default();
    (0..5_000).for_each(|seq| ready.push_back(entry(seq, 0)));
    ready.retain(|_| true, |entry| entry.seq % 2 == 0);
    ready.retain(|_| false, |_| true);
    assert_eq!(ready.count(), 2_500);
    assert_eq!(order(&mut ready), (0..5_000).step_by(2).collect::<Vec<_>>());
}

fn expiring(seq: u64, priority: u8, expires_at: Millis) -> Entry {
    Entry {
        expires_at,
        ..entry(seq, priority)
    }
}

fn seqs(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq).collect()
}

#[test]
fn an_empty_level_gives_its_space_back() {
    for priority in [0, 7] {
        let mut ready = Levels::default();
        (0..30_000).for_each(|seq| ready.push_back(entry(seq, priority)));
        order(&mut ready);
        assert!(ready.lowest.space() <= 4 * KEPT_ENTRIES);
        assert!(ready.upper.is_empty());
        assert!(
            ready
                .spare
                .is_none_or(|level| level.space() <= 4 * KEPT_ENTRIES)
        );
    }
}

#[test]
fn a_level_is_there_while_it_has_messages() {
    let mut ready = Levels::default();
    for seq in 0..1_000 {
        ready.push_back(entry(seq, (seq % 250) as u8));
    }
    assert_eq!(ready.upper.len(), 249);
    ready.retain(|_| true, |entry| entry.priority <= 3);
    assert_eq!(ready.upper.len(), 3);
    while ready.front().is_some_and(|entry| entry.priority == 3) {
        ready.pop_front();
    }
    assert_eq!(ready.upper.len(), 2);
    for seq in [2, 252, 502, 752] {
        assert_eq!(ready.take(2, seq).map(|entry| entry.seq), Some(seq));
    }
    assert_eq!(ready.upper.len(), 1);
    ready.push_back(expiring(1_000, 200, 5));
    ready.take_expired(5, 1, &mut Vec::new());
    assert_eq!(ready.upper.len(), 1);
    assert_eq!(ready.count(), 8);
}

#[test]
fn a_message_is_found_by_its_place_wherever_it_stands() {
    let mut ready = Levels::default();
    (0..5_000).for_each(|seq| ready.push_back(entry(seq, (seq % 2) as u8)));
    let back = ready.pop_front().unwrap();
    ready.put_back(back);
    // Returned, head, pages and their borders, tail; then what is not there.
    for seq in [1, 3, 1_023, 2_047, 2_049, 3_071, 3_073, 4_999] {
        assert_eq!(ready.get(1, seq).unwrap().seq, seq);
        assert!(ready.get(0, seq).is_none());
        assert_eq!(ready.take(1, seq).unwrap().seq, seq);
        assert!(ready.get(1, seq).is_none());
        assert!(ready.take(1, seq).is_none());
    }
    for (priority, seq) in [(0, 5_000), (1, 4_998), (2, 1), (255, 0)] {
        assert!(ready.take(priority, seq).is_none());
    }
    assert_eq!(ready.count(), 5_000 - 8);
    assert_eq!(ready.sums().bytes, 128 * (5_000 - 8));
    assert_eq!(order(&mut ready).len(), 5_000 - 8);
}

#[test]
fn expired_messages_go_wherever_they_stand_in_order_and_bounded() {
    let mut ready = Levels::default();
    // One in a hundred expires: at its own time, the later ones first.
    for seq in 0..6_000u64 {
        let at = if seq % 100 == 0 { 10_000 - seq } else { 0 };
        ready.push_back(expiring(seq, (seq / 100 % 3) as u8, at));
    }
    let first = ready.take(0, 0).unwrap();
    ready.put_back(first);
    let mut out = Vec::new();
    ready.take_expired(4_099, 100, &mut out);
    assert!(out.is_empty());
    assert_eq!(ready.sums().next_expiry(), Some(4_100));
    ready.take_expired(5_000, 100, &mut out);
    assert_eq!(seqs(&out), (50..60).map(|n| n * 100).collect::<Vec<_>>());
    assert_eq!(ready.sums().next_expiry(), Some(5_100));
    let mut all = Vec::new();
    while let Some(at) = ready.sums().next_expiry() {
        assert!(at <= 10_000);
        let before = all.len();
        ready.take_expired(10_000, 7, &mut all);
        assert!((1..=7).contains(&(all.len() - before)));
        assert!(all[before..].is_sorted_by_key(|entry| entry.seq));
    }
    all.sort_by_key(|entry| entry.seq);
    assert_eq!(seqs(&all), (0..50).map(|n| n * 100).collect::<Vec<_>>());
    assert_eq!(ready.count(), 6_000 - 60);
}

#[test]
fn a_listing_goes_on_behind_a_place() {
    let mut ready = Levels::default();
    (0..4_000).for_each(|seq| ready.push_back(entry(seq, if seq < 3_000 { 2 } else { 0 })));
    let back = ready.pop_front().unwrap();
    ready.pop_front();
    ready.put_back(back);
    for (after, expected) in [
        (None, [0, 2, 3]),
        (Some((255, 9)), [0, 2, 3]),
        (Some((2, 0)), [2, 3, 4]),
        (Some((2, 1)), [2, 3, 4]),
        (Some((2, 1_500)), [1_501, 1_502, 1_503]),
        (Some((2, 2_998)), [2_999, 3_000, 3_001]),
        (Some((1, 3_998)), [3_000, 3_001, 3_002]),
        (Some((0, 3_996)), [3_997, 3_998, 3_999]),
    ] {
        let mut seen = Vec::new();
        ready.visit_after(after, |entry| {
            seen.push(entry.seq);
            seen.len() < 3
        });
        assert_eq!(seen, expected, "after {after:?}");
    }
    ready.visit_after(Some((0, 3_999)), |entry| panic!("{entry:?} is before it"));
}

#[test]
fn a_page_of_a_checkpoint_that_is_out_of_order_is_put_in_order() {
    let page = |seqs: &[u64]| {
        let entries: Vec<Entry> = seqs.iter().map(|seq| expiring(*seq, 1, *seq)).collect();
        Packed::new(&entries)
    };
    let mut ready = Levels::default();
    for seqs in [&[5, 90][..], &[10, 20], &[30, 40]] {
        assert!(ready.push_page(page(seqs)));
    }
    assert_eq!(ready.returned().count(), 2);
    ready.push_back(entry(100, 1));
    let mut out = Vec::new();
    ready.take_expired(20, 10, &mut out);
    assert_eq!(seqs(&out), [5, 10, 20]);
    assert_eq!(ready.sums().next_expiry(), Some(30));
    assert_eq!(order(&mut ready), [30, 40, 90, 100]);

    let mut twice = Levels::default();
    assert!(twice.push_page(page(&[5, 6])));
    assert!(twice.push_page(page(&[1, 2])));
    assert!(!twice.push_page(page(&[3, 6])), "6 is there twice");
    let mut overlapping = Levels::default();
    assert!(overlapping.push_page(page(&[8])));
    assert!(!overlapping.push_page(page(&[4, 8])), "8 is there twice");

    let mut returned = Levels::default();
    returned.put_back(expiring(5, 1, 5));
    assert!(returned.push_page(page(&[4, 6])));
    assert!(!returned.push_page(page(&[5, 7])), "5 came back");
}
