//! What a connection owes its client once the disk has caught up: confirms and held replies.
//!
//! Invariants
//! - Confirms of one channel that are paid together and follow each other are one `basic.ack` with
//!   `multiple` set; a rejected tag is nacked in its place.
//!
//! Not here: in which order debts are paid, and when (`link::Owed`), who waits for the disk
//! (`link`), whether the channel is still the one that published.

use std::time::Instant;

use ferry_broker::Promise;

use super::lane::LaneId;
use crate::link::{Due, Owed, Wait};

/// Confirm tags of one burst on one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConfirmRange {
    /// The channel's lane, to know whether the channel is still the same.
    pub(crate) lane: LaneId,
    /// The channel's number.
    pub(crate) channel: u16,
    /// First tag of the burst.
    pub(crate) first: u64,
    /// Last tag of the burst.
    pub(crate) last: u64,
}

impl ConfirmRange {
    fn publishes(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// A reply that waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HeldReply {
    /// The channel's lane.
    pub(crate) lane: LaneId,
    /// The frame.
    pub(crate) bytes: Vec<u8>,
}

/// When the work behind a debt is done, and which tags were refused.
pub(crate) trait Pledge {
    /// What the confirms wait for, once all of it is applied.
    fn resolved(&self) -> Option<Promise>;
    /// Refused tags, with their channels.
    fn rejected(&self) -> Vec<(u16, u64)>;
}

#[derive(Debug)]
enum Debt<P> {
    Confirms {
        pledge: P,
        ranges: Vec<ConfirmRange>,
        /// When it was read, if that is known.
        read_at: Option<Instant>,
    },
    Reply {
        promise: Promise,
        reply: HeldReply,
    },
}

impl<P: Pledge + Clone> Due for Debt<P> {
    type Pledge = P;

    fn due(&self) -> Result<Promise, P> {
        match self {
            Debt::Reply { promise, .. } => Ok(*promise),
            Debt::Confirms { pledge, .. } => pledge.resolved().ok_or_else(|| pledge.clone()),
        }
    }
}

/// What is to be sent now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payment {
    /// `basic.ack`.
    Ack {
        lane: LaneId,
        channel: u16,
        tag: u64,
        multiple: bool,
        /// How many publishes it confirms.
        count: u64,
    },
    /// `basic.nack`.
    Nack {
        lane: LaneId,
        channel: u16,
        tag: u64,
        multiple: bool,
    },
    /// A held reply.
    Reply(HeldReply),
    /// Nothing: so many publishes that were read then are answered.
    Answered { read_at: Instant, publishes: u64 },
}

/// The debts of one connection, oldest first.
#[derive(Debug)]
pub(crate) struct Debts<P>(Owed<Debt<P>>);

impl<P: Pledge + Clone> Default for Debts<P> {
    fn default() -> Self {
        Debts(Owed::default())
    }
}

impl<P: Pledge + Clone> Debts<P> {
    /// Owes confirms for a burst.
    pub(crate) fn owe_confirms(
        &mut self,
        pledge: P,
        ranges: Vec<ConfirmRange>,
        read_at: Option<Instant>,
    ) {
        self.0.push(Debt::Confirms {
            pledge,
            ranges,
            read_at,
        });
    }

    /// Owes a reply once the promise is kept.
    pub(crate) fn owe_reply(&mut self, promise: Promise, reply: HeldReply) {
        self.0.push(Debt::Reply { promise, reply });
    }

    /// Whether nothing is owed.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().next().is_none()
    }

    /// The armed wait is over, or came to nothing.
    pub(crate) fn disarm(&mut self) {
        self.0.disarm();
    }

    /// Forgets everything that is owed.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Pays what can be paid and says what to wait for next; that wait counts as armed.
    pub(crate) fn pay(
        &mut self,
        kept: impl Fn(Promise) -> bool,
        mut emit: impl FnMut(Payment),
    ) -> Wait<P> {
        let mut runs: Vec<ConfirmRange> = Vec::new();
        let wait = loop {
            match self.0.next(&kept) {
                Err(wait) => break wait,
                Ok(Debt::Reply { reply, .. }) => {
                    emit_runs(&mut runs, &mut emit);
                    emit(Payment::Reply(reply));
                }
                Ok(Debt::Confirms {
                    pledge,
                    ranges,
                    read_at,
                }) => {
                    if let Some(read_at) = read_at {
                        let publishes = ranges.iter().map(ConfirmRange::publishes).sum();
                        emit(Payment::Answered { read_at, publishes });
                    }
                    let mut rejected = pledge.rejected();
                    rejected.sort_unstable();
                    for range in ranges {
                        settle_range(range, &rejected, &mut runs, &mut emit);
                    }
                }
            }
        };
        emit_runs(&mut runs, &mut emit);
        wait
    }
}

/// Adds a range to the runs, cut where tags of it were rejected.
fn settle_range(
    range: ConfirmRange,
    rejected: &[(u16, u64)],
    runs: &mut Vec<ConfirmRange>,
    emit: &mut impl FnMut(Payment),
) {
    let mut next = range.first;
    let mine = rejected.iter().filter(|(channel, tag)| {
        *channel == range.channel && (range.first..=range.last).contains(tag)
    });
    for (_, tag) in mine {
        if next < *tag {
            add_run(
                ConfirmRange {
                    first: next,
                    last: tag - 1,
                    ..range
                },
                runs,
            );
        }
        emit_runs(runs, emit);
        emit(Payment::Nack {
            lane: range.lane,
            channel: range.channel,
            tag: *tag,
            multiple: false,
        });
        next = tag + 1;
    }
    if next <= range.last {
        add_run(
            ConfirmRange {
                first: next,
                ..range
            },
            runs,
        );
    }
}

fn add_run(range: ConfirmRange, runs: &mut Vec<ConfirmRange>) {
    match runs
        .iter_mut()
        .find(|run| run.lane == range.lane && run.last + 1 == range.first)
    {
        Some(run) => run.last = range.last,
        None => runs.push(range),
    }
}

fn emit_runs(runs: &mut Vec<ConfirmRange>, emit: &mut impl FnMut(Payment)) {
    for run in runs.drain(..) {
        emit(Payment::Ack {
            lane: run.lane,
            channel: run.channel,
            tag: run.last,
            multiple: run.first < run.last,
            count: run.last - run.first + 1,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use ferry_broker::Position;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Default)]
    struct Ticket {
        promise: Rc<Cell<Option<Promise>>>,
        rejected: Vec<(u16, u64)>,
    }

    impl Pledge for Ticket {
        fn resolved(&self) -> Option<Promise> {
            self.promise.get()
        }
        fn rejected(&self) -> Vec<(u16, u64)> {
            self.rejected.clone()
        }
    }

    fn synced(position: u64) -> Promise {
        Promise::Synced(Position(position))
    }

    fn at(position: u64) -> Ticket {
        Ticket {
            promise: Rc::new(Cell::new(Some(synced(position)))),
            rejected: Vec::new(),
        }
    }

    fn range(channel: u16, first: u64, last: u64) -> ConfirmRange {
        ConfirmRange {
            lane: LaneId::new(u32::from(channel), 0),
            channel,
            first,
            last,
        }
    }

    fn reply(channel: u16) -> HeldReply {
        HeldReply {
            lane: LaneId::new(u32::from(channel), 0),
            bytes: vec![channel as u8],
        }
    }

    /// Payments as text: `+2:7m` is an ack on channel 2 up to 7, `-` a nack, `r2` a reply.
    fn pay(debts: &mut Debts<Ticket>, durable: u64) -> (String, Wait<Ticket>) {
        let mut said = Vec::new();
        let kept = |promise: Promise| match promise {
            Promise::Now => true,
            Promise::Written(position) | Promise::Synced(position) => position.0 <= durable,
        };
        let wait = debts.pay(kept, |payment| {
            said.push(match payment {
                Payment::Ack {
                    channel,
                    tag,
                    multiple,
                    ..
                } => {
                    format!("+{channel}:{tag}{}", if multiple { "m" } else { "" })
                }
                Payment::Nack {
                    channel,
                    tag,
                    multiple,
                    ..
                } => {
                    format!("-{channel}:{tag}{}", if multiple { "m" } else { "" })
                }
                Payment::Reply(reply) => format!("r{}", reply.bytes[0]),
                Payment::Answered { publishes, .. } => format!("t{publishes}"),
            });
        });
        (said.join(" "), wait)
    }

    #[test]
    fn nothing_is_paid_before_it_is_durable() {
        let mut debts = Debts::default();
        debts.owe_confirms(at(10), vec![range(1, 1, 3)], None);
        debts.owe_reply(synced(20), reply(1));
        assert_eq!(pay(&mut debts, 9), (String::new(), Wait::Kept(synced(10))));
        assert_eq!(
            pay(&mut debts, 9),
            (String::new(), Wait::Nothing),
            "one wait is enough"
        );
        debts.disarm();
        assert_eq!(
            pay(&mut debts, 10),
            ("+1:3m".into(), Wait::Kept(synced(20)))
        );
        debts.disarm();
        assert_eq!(pay(&mut debts, 25), ("r1".into(), Wait::Nothing));
        assert!(debts.is_empty());
    }

    #[test]
    fn an_unresolved_burst_holds_back_what_follows() {
        let mut debts = Debts::default();
        let first = Ticket::default();
        debts.owe_confirms(first.clone(), vec![range(1, 1, 1)], None);
        debts.owe_confirms(at(0), vec![range(1, 2, 2)], None);
        assert_eq!(
            pay(&mut debts, 100),
            (String::new(), Wait::Resolved(first.clone()))
        );
        first.promise.set(Some(synced(50)));
        debts.disarm();
        assert_eq!(pay(&mut debts, 100).0, "+1:2m");
    }

    #[test]
    fn bursts_paid_together_are_one_ack_per_channel() {
        let mut debts = Debts::default();
        debts.owe_confirms(at(1), vec![range(1, 1, 1), range(2, 1, 4)], None);
        debts.owe_confirms(at(2), vec![range(1, 2, 2), range(2, 5, 5)], None);
        assert_eq!(pay(&mut debts, 9).0, "+1:2m +2:5m");
        debts.owe_confirms(at(3), vec![range(1, 3, 3)], None);
        assert_eq!(pay(&mut debts, 9).0, "+1:3");
    }

    #[test]
    fn a_burst_is_told_as_answered_once_with_all_its_publishes() {
        let mut debts = Debts::default();
        let read_at = Some(Instant::now());
        debts.owe_confirms(at(5), vec![range(1, 1, 3), range(2, 4, 4)], read_at);
        assert_eq!(pay(&mut debts, 4).0, "");
        debts.disarm();
        assert_eq!(pay(&mut debts, 5).0, "t4 +1:3m +2:4");
        assert_eq!(pay(&mut debts, 6).0, "");
    }

    #[test]
    fn a_rejected_tag_is_nacked_in_its_place() {
        for (rejected, expected) in [
            (vec![(1, 3)], "+1:2m -1:3 +1:5m"),
            (vec![(1, 1)], "-1:1 +1:5m"),
            (vec![(1, 5), (1, 4)], "+1:3m -1:4 -1:5"),
            (vec![(2, 3), (1, 99)], "+1:5m"),
        ] {
            let mut debts = Debts::default();
            let ticket = Ticket {
                rejected: rejected.clone(),
                ..at(1)
            };
            debts.owe_confirms(ticket, vec![range(1, 1, 5)], None);
            assert_eq!(pay(&mut debts, 1).0, expected, "{rejected:?}");
        }
    }
}
