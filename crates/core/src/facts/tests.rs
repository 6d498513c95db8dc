//! Facts there and back, and records that are cut.

use super::*;

fn sample() -> Facts {
    let entered = |queue, position, priority, expires_at| Entered {
        queue: QueueId(queue),
        position,
        size: 1024,
        priority,
        expires_at,
        wakes_at: expires_at / 2,
        key: u32::from(priority) << 28,
    };
    // A change is read back without a size.
    let mark = |queue, position| mark(QueueId(queue), position);
    Facts {
        entered: vec![
            entered(1, 1 << 32, 0, 0),
            entered(1, (1 << 32) + 1100, 9, 0),
            entered(2, 77, 0, 1_700_000_000_000),
        ],
        moved: vec![Moved {
            queue: QueueId(1),
            from: 900,
            to: 12,
            size: 1,
        }],
        delivered: vec![mark(1, 5), mark(1, 4)],
        changes: vec![
            Change::Delayed(mark(1, 5), 1_700_000_000_000, 1_700_000_000_009),
            Change::Delayed(mark(1, 4), 7, 0),
            Change::Awake(mark(1, 5), 0),
            Change::Departed(mark(1, 5), DeadLetterReason::DeliveryLimit),
            Change::Seen(QueueId(2), [9; 16], 1_700_000_000_000),
            Change::Forgotten(QueueId(2), [9; 16]),
            Change::Noted(QueueId(2), 0, true),
            Change::Noted(QueueId(2), 131_071, false),
            Change::Tagged(mark(2, 9), u32::MAX),
            Change::Tagged(mark(2, 1 << 40), 0),
        ],
        gone: vec![mark(2, 77), mark(1, u64::MAX)],
    }
}

#[test]
fn facts_read_back_in_order() {
    let mut bytes = Vec::new();
    sample().encode(&mut bytes);
    let mut read = Vec::new();
    Facts::decode(&bytes, |fact| read.push(fact)).unwrap();
    let sample = sample();
    let mut expected: Vec<Fact> = sample.entered.iter().copied().map(Fact::Entered).collect();
    expected.push(Fact::Moved(QueueId(1), 900, 12));
    expected.extend(
        sample
            .delivered
            .iter()
            .map(|m| Fact::Delivered(m.queue, m.position)),
    );
    expected.extend(sample.changes.iter().copied().map(Fact::Changed));
    expected.extend(sample.gone.iter().map(|m| Fact::Gone(m.queue, m.position)));
    assert_eq!(read, expected);
}

#[test]
fn a_cut_record_is_an_error_and_never_a_panic() {
    let mut bytes = Vec::new();
    sample().encode(&mut bytes);
    let mut errors = 0;
    for len in 0..bytes.len() {
        errors += usize::from(Facts::decode(&bytes[..len], |_| ()).is_err());
    }
    assert!(
        errors >= bytes.len() - 14,
        "only the ends of runs may be read: {errors}"
    );
    assert_eq!(
        Facts::decode(&[99, 1, 1, 1], |_| ()),
        Err(FactError::UnknownKind(99))
    );
    assert!(Facts::decode(&[4, 1, 0xff, 0xff, 0xff, 0xff, 0x0f], |_| ()).is_err());
}
