//! Lanes on their own.

use super::*;

type TestLane = Lane<&'static str, u32>;

#[test]
fn a_closed_lane_is_not_found_again() {
    let mut lanes: Lanes<&str, u32> = Lanes::default();
    let (one, two) = (lanes.open(1), lanes.open(2));
    assert!(lanes.get(two).is_some());
    assert!(lanes.close(one).is_some());
    assert!(lanes.close(one).is_none());
    let again = lanes.open(3);
    assert!(lanes.get(one).is_none());
    assert!(lanes.get(again).is_some());
}

#[test]
fn unacked_deliveries_outlive_their_consumer() {
    let mut lane = TestLane::new(1, false);
    let slot = lane.open_slot("q");
    assert_eq!(lane.next_delivery(slot, Some(77)), 1);
    assert_eq!(lane.next_delivery(slot, None), 2);
    lane.close_slot(slot);
    let other = lane.open_slot("p");
    assert_ne!(slot, other, "the slot is still in use");
    let unsettled = lane.unacked.get(1).copied().unwrap();
    assert_eq!((unsettled.lease, lane.queue_of(unsettled.slot)), (77, "q"));
    let unsettled = lane.unacked.take(1).unwrap();
    assert_eq!((unsettled.lease, lane.settled(unsettled.slot)), (77, "q"));
    assert_eq!(lane.open_slot("r"), slot, "the slot is free again");
}

#[test]
fn what_is_unacked_goes_back_by_queue_in_order() {
    let mut lane = TestLane::new(1, false);
    let slots = ["q", "p", "q", "idle"].map(|queue| lane.open_slot(queue));
    for lease in 0..6 {
        lane.next_delivery(slots[lease as usize % 3], Some(lease));
    }
    lane.close_slot(slots[1]);
    let back = lane.take_unacked(|a, b| a == b);
    assert_eq!(back, [("q", vec![0, 2, 3, 5]), ("p", vec![1, 4])]);
    assert_eq!((lane.unacked.len(), lane.open_slot("r")), (0, slots[1]));
}

#[test]
fn gets_from_one_queue_share_a_slot_while_unacked() {
    let mut lane = TestLane::new(1, false);
    let slot = lane.slot_for_get(&"q", |queue| *queue == "q");
    lane.next_delivery(slot, Some(1));
    assert_eq!(lane.slot_for_get(&"q", |queue| *queue == "q"), slot);
    assert_ne!(lane.slot_for_get(&"p", |queue| *queue == "p"), slot);
}

#[test]
fn the_channel_wide_limit_counts_what_is_on_its_way() {
    let mut lane = TestLane::new(1, false);
    let slot = lane.open_slot("q");
    lane.set_global_limit(2);
    assert!(lane.reserve_credit());
    assert!(lane.reserve_credit());
    assert!(!lane.reserve_credit());
    lane.spend_credit();
    lane.next_delivery(slot, Some(1));
    assert!(!lane.take_credit_starved());
    let unsettled = lane.unacked.take(1).unwrap();
    lane.settled(unsettled.slot);
    assert!(lane.take_credit_starved());
    assert!(!lane.take_credit_starved(), "told once");
}

#[test]
fn who_asked_for_no_limit_has_one_while_memory_is_short() {
    let mut lanes: Lanes<&str, u32> = Lanes::default();
    let before = lanes.open(1);
    assert!(!lanes.set_memory_short(true));
    let after = lanes.open(2);
    let modest = lanes.open(3);
    lanes.get(modest).unwrap().set_global_limit(7);
    for (id, limit) in [
        (before, LIMIT_WHILE_SHORT),
        (after, LIMIT_WHILE_SHORT),
        (modest, 7),
    ] {
        let lane = lanes.get(id).unwrap();
        let passed = std::iter::repeat_with(|| lane.reserve_credit()).take_while(|fits| *fits);
        assert_eq!(passed.count(), limit as usize);
    }
    assert!(lanes.set_memory_short(false), "two have room again");
    assert!(lanes.get(before).unwrap().reserve_credit());
    assert!(lanes.get(after).unwrap().reserve_credit());
    assert!(!lanes.get(modest).unwrap().reserve_credit());
    assert!(!lanes.set_memory_short(false), "told once");
}

#[test]
fn gets_are_refused_to_who_holds_too_much_while_memory_is_short() {
    let mut lanes: Lanes<&str, u32> = Lanes::default();
    let id = lanes.open(1);
    let lane = lanes.get(id).unwrap();
    // A limit of its own, which counts no gets, is no way round it.
    lane.set_global_limit(7);
    let slot = lane.slot_for_get(&"q", |queue| *queue == "q");
    for lease in 0..LIMIT_WHILE_SHORT {
        assert!(!lane.holds_too_much());
        lane.next_delivery(slot, Some(lease));
    }
    assert!(!lane.holds_too_much(), "memory is not short");
    lanes.set_memory_short(true);
    let lane = lanes.get(id).unwrap();
    assert!(lane.holds_too_much());
    lane.unacked.take(1).unwrap();
    assert!(!lane.holds_too_much());
}
