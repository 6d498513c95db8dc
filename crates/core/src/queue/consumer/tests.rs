//! Whose turn it is, in one queue.

use super::*;

fn subscription(id: u64, priority: i32, prefetch: u32) -> Subscription {
    Subscription {
        id: ConsumerId(id),
        no_ack: prefetch == 0,
        exclusive: false,
        priority,
        prefetch,
    }
}

fn serve(consumers: &mut Consumers) -> Option<u64> {
    let (slot, subscription) = consumers.next(0)?;
    consumers.served(slot);
    Some(subscription.id.0)
}

#[test]
fn equals_take_turns_and_a_higher_priority_goes_first() {
    let mut consumers = Consumers::default();
    for (id, priority, prefetch) in [(1, 0, 0), (2, 0, 0), (3, 5, 2)] {
        consumers
            .add(subscription(id, priority, prefetch), Choice::default())
            .unwrap();
    }
    let turns: Vec<_> = (0..6).filter_map(|_| serve(&mut consumers)).collect();
    assert_eq!(turns, [3, 3, 1, 2, 1, 2]);
}

#[test]
fn a_full_prefetch_waits_until_something_is_settled() {
    let mut consumers = Consumers::default();
    let slot = consumers
        .add(subscription(1, 0, 1), Choice::default())
        .unwrap();
    assert_eq!(serve(&mut consumers), Some(1));
    assert_eq!(serve(&mut consumers), None);
    consumers.settled(slot);
    assert_eq!(serve(&mut consumers), Some(1));
}

#[test]
fn a_gated_consumer_is_passed_over_until_it_resumes() {
    let mut consumers = Consumers::default();
    let first = consumers
        .add(subscription(1, 0, 0), Choice::default())
        .unwrap();
    consumers
        .add(subscription(2, 0, 0), Choice::default())
        .unwrap();
    consumers.gate(first);
    assert_eq!(serve(&mut consumers), Some(2));
    assert_eq!(serve(&mut consumers), Some(2));
    consumers.resume(first);
    let turns: Vec<_> = (0..4).filter_map(|_| serve(&mut consumers)).collect();
    assert_eq!(turns, [2, 1, 2, 1]);
}

#[test]
fn exclusive_means_alone() {
    let mut consumers = Consumers::default();
    let exclusive = Subscription {
        exclusive: true,
        ..subscription(1, 0, 0)
    };
    let slot = consumers.add(exclusive, Choice::default()).unwrap();
    let refused = consumers.add(subscription(2, 0, 0), Choice::default());
    assert_eq!(refused, Err(SubscribeError::ExclusiveHeld));
    assert!(consumers.remove(slot));
    consumers
        .add(subscription(2, 0, 0), Choice::default())
        .unwrap();
    assert_eq!(
        consumers.add(exclusive, Choice::default()),
        Err(SubscribeError::InUse)
    );
}

#[test]
fn a_single_active_consumer_keeps_its_place_until_it_goes() {
    let mut consumers = Consumers::new(true);
    let first = consumers
        .add(subscription(1, 0, 1), Choice::default())
        .unwrap();
    let second = consumers
        .add(subscription(2, 0, 1), Choice::default())
        .unwrap();
    consumers
        .add(subscription(3, 9, 1), Choice::default())
        .unwrap();
    assert_eq!(consumers.active(), Some(ConsumerId(1)));
    assert_eq!(serve(&mut consumers), Some(1));
    assert_eq!(serve(&mut consumers), None);
    consumers.remove(first);
    assert_eq!(consumers.active(), Some(ConsumerId(3)));
    assert_eq!(serve(&mut consumers), Some(3));
    assert!(!consumers.remove(first));
    consumers.remove(second);
    assert_eq!(consumers.count(), 1);
}

#[test]
fn the_one_with_the_fewest_unsettled_is_served_first() {
    let mut consumers = Consumers::default();
    let slots: Vec<_> = (1..=3)
        .map(|id| {
            consumers
                .add(subscription(id, 0, 50), Choice::default())
                .unwrap()
        })
        .collect();
    let turns: Vec<_> = (0..9).filter_map(|_| serve(&mut consumers)).collect();
    assert_eq!(turns, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
    for slot in [slots[1], slots[1], slots[0]] {
        consumers.settled(slot);
    }
    let turns: Vec<_> = (0..6).filter_map(|_| serve(&mut consumers)).collect();
    assert_eq!(turns, [2, 1, 2, 3, 1, 2]);
}

#[test]
fn a_newcomer_takes_its_share_and_no_more() {
    let mut consumers = Consumers::default();
    for id in [1, 2] {
        consumers
            .add(subscription(id, 0, 0), Choice::default())
            .unwrap();
    }
    assert_eq!(serve(&mut consumers), Some(1));
    consumers
        .add(subscription(3, 0, 0), Choice::default())
        .unwrap();
    let turns: Vec<_> = (0..6).filter_map(|_| serve(&mut consumers)).collect();
    assert_eq!(turns, [2, 1, 3, 2, 1, 3]);
}

/// Serves a message each `arrival_ticks` to consumers that settle theirs one after the other,
/// each in its own time. What each was served, and the most that each held.
fn work(prefetch: u32, ticks: [u64; 2], arrival_ticks: u64) -> ([u64; 2], [u32; 2]) {
    let mut consumers = Consumers::default();
    let slots = [1, 2].map(|id| {
        consumers
            .add(subscription(id, 0, prefetch), Choice::default())
            .unwrap()
    });
    let (mut served, mut held, mut held_max, mut ready) = ([0; 2], [0; 2], [0; 2], 0);
    let mut done_at = [0; 2];
    for now in 0..11_000 {
        for each in 0..2 {
            if held[each] > 0 && done_at[each] == now {
                consumers.settled(slots[each]);
                held[each] -= 1;
                done_at[each] = now + ticks[each];
            }
        }
        ready += u64::from(now % arrival_ticks == 0);
        while ready > 0
            && let Some((slot, _)) = consumers.next(0)
        {
            consumers.served(slot);
            let each = slots.iter().position(|other| *other == slot).unwrap();
            if held[each] == 0 {
                done_at[each] = now + ticks[each];
            }
            (ready, served[each], held[each]) = (ready - 1, served[each] + 1, held[each] + 1);
            held_max[each] = held[each].max(held_max[each]);
        }
    }
    (served, held_max)
}

#[test]
fn a_slow_consumer_gets_what_it_can_do() {
    let (served, held_max) = work(1, [20, 2], 1);
    assert_eq!(held_max, [1, 1]);
    assert!((549..=551).contains(&served[0]), "{served:?}");
    assert!((5_499..=5_501).contains(&served[1]), "{served:?}");
    let (served, held_max) = work(200, [20, 2], 2);
    assert!(held_max[0] <= 2, "a slow one hoards nothing: {held_max:?}");
    assert!((400..=551).contains(&served[0]), "{served:?}");
}

#[test]
fn one_is_avoided_while_another_is_willing() {
    let mut consumers = Consumers::default();
    let [high, _, low] = [(1, 9), (2, 5), (3, 5)].map(|(id, priority)| {
        consumers
            .add(subscription(id, priority, 2), Choice::default())
            .unwrap()
    });
    let whom = |consumers: &Consumers, avoid: u32| {
        let (slot, _) = consumers.next(avoid)?;
        Some(slot.id.0)
    };
    assert_eq!(whom(&consumers, high.preference()), Some(2));
    assert_eq!(whom(&consumers, low.preference()), Some(1));
    assert_eq!(whom(&consumers, 7), Some(1), "who has gone is not here");
    consumers.served(consumers.next(high.preference()).unwrap().0);
    assert_eq!(whom(&consumers, high.preference()), Some(3));
    assert_eq!(whom(&consumers, 0), Some(1));
    for expected in [3, 2, 3] {
        let (slot, _) = consumers.next(high.preference()).unwrap();
        assert_eq!(slot.id.0, expected);
        consumers.served(slot);
    }
    assert_eq!(whom(&consumers, high.preference()), Some(1), "nobody else");
}

#[test]
fn a_preference_is_the_low_half_of_the_id() {
    let mut consumers = Consumers::default();
    let slot = consumers
        .add(subscription((7 << 32) | 5, 0, 1), Choice::default())
        .unwrap();
    assert_eq!(slot.preference(), 5);
}

/// Whose turn it is, by looking at everybody.
fn naive_next(consumers: &Consumers, avoid: u32) -> Option<u64> {
    let willing = consumers.iter().filter(|consumer| consumer.willing());
    let mut turns: Vec<_> = willing
        .map(|consumer| (consumer.turn(), consumer.subscription.id.0))
        .filter(|(_, id)| !consumers.single_active || consumers.active() == Some(ConsumerId(*id)))
        .collect();
    turns.sort_unstable();
    let avoided = turns.len() > 1 && avoid != 0 && turns[0].1 == u64::from(avoid);
    turns.get(usize::from(avoided)).map(|(_, id)| *id)
}

#[test]
fn whatever_happens_the_line_is_that_of_the_willing() {
    for seed in 1..=40_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % bound
        };
        let mut consumers = Consumers::new(seed % 8 == 0);
        let (mut slots, mut held) = (Vec::<ConsumerSlot>::new(), Vec::new());
        for id in 1..600 {
            let any = slots
                .get(below(slots.len().max(1) as u64) as usize)
                .copied();
            match (below(10), any) {
                (0, _) if slots.len() < 12 => {
                    let (priority, prefetch) = (below(3) as i32 - 1, below(4) as u32);
                    slots.push(
                        consumers
                            .add(subscription(id, priority, prefetch), Choice::default())
                            .unwrap(),
                    );
                }
                (1, Some(slot)) => {
                    slots.retain(|other| *other != slot);
                    assert!(consumers.remove(slot));
                }
                (2, Some(slot)) => consumers.gate(slot),
                (3, Some(slot)) => consumers.resume(slot),
                (4 | 5, _) if !held.is_empty() => {
                    consumers.settled(held.swap_remove(below(held.len() as u64) as usize));
                }
                _ => {
                    if let Some((slot, subscription)) = consumers.next(0) {
                        consumers.served(slot);
                        held.extend((!subscription.no_ack).then_some(slot));
                    }
                }
            }
            let avoid = any.map_or(0, ConsumerSlot::preference);
            for avoid in [0, avoid, naive_next(&consumers, 0).unwrap_or(0) as u32] {
                let next = consumers.next(avoid).map(|(slot, _)| slot.id.0);
                assert_eq!(next, naive_next(&consumers, avoid), "seed {seed}, {id}");
            }
        }
    }
}
