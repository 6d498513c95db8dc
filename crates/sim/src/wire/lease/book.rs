//! What is known of a queue whose deliveries are leases.
//!
//! ```text
//!        handed out            acked          worked off in time
//! free ------------> leased ----------> acked ------------------> settled --safe--> gone
//!  ^                   |                  |
//!  '-- ended, or its connection lost -----'
//! ```
//!
//! Nobody outside knows when exactly a lease began: between an answer that came before it and the
//! moment it was heard of. So it has two ends: until the one it surely runs, from the other on it
//! is surely over.
//!
//! Invariants
//! - Deliveries of a message have an order, whatever order they are heard in: the count of each
//!   is higher than that of the one before, as long as the node lives.
//! - What is said of a message counts for it only while its last lease is meant.

use std::collections::BTreeMap;

use ferry_log::Position;

use crate::{Checked, violated};

/// How long a lease is, in milliseconds.
pub(super) const LEASE_MS: u64 = 3000;

/// A delivery that a client has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// The connection.
    pub(super) life: u64,
    pub(super) id: u64,
    /// How often it had been handed out before.
    pub(super) count: u64,
}

/// A delivery that a client hears of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handed {
    pub(super) held: Held,
    pub(super) redelivered: bool,
    /// It was handed out between these times.
    pub(super) since_ms: u64,
    pub(super) heard_ms: u64,
}

/// The end of a lease: at the least, and at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) least_ms: u64,
    pub(super) most_ms: u64,
}

impl Span {
    /// It is over.
    const OVER: Span = Span {
        least_ms: 0,
        most_ms: 0,
    };
}

/// What is asked of a lease, and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Accept,
    Requeue,
    /// Ready again after so many milliseconds.
    Delay(u64),
    /// To end so many milliseconds from then.
    Extend(u64),
}

/// A wish that was said, and what was known of the lease then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    held: Held,
    wish: Wish,
    said_ms: u64,
    span: Span,
}

impl Asked {
    /// Whether it may have settled the message.
    fn is_chance(&self) -> bool {
        self.wish == Wish::Accept && self.span != Span::OVER
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// For anybody, from that time on.
    Free {
        from_ms: u64,
    },
    /// With that connection.
    Leased {
        life: u64,
        span: Span,
    },
    /// Acked on that connection: in time, if it is worked off before then. Publishes may be held,
    /// and with them what was asked for before, and with that the ack.
    Acked {
        life: u64,
        least_ms: u64,
    },
    /// Settled on that connection, which was worked off when the log ended there.
    Settled {
        life: u64,
        at: Option<Position>,
    },
    Gone,
}

const FREE: State = State::Free { from_ms: 0 };

#[derive(Debug)]
struct Message {
    state: State,
    /// The last delivery that anybody has heard of, in this life of the node: its count, and when.
    last: Option<(u64, u64)>,
    confirmed: bool,
    /// What may have settled it.
    chances: u32,
}

/// The queue.
#[derive(Debug, Default)]
pub(in crate::wire) struct Leases {
    messages: BTreeMap<u64, Message>,
    /// How much each connection has asked for that is not answered.
    asked: BTreeMap<u64, u32>,
    /// The node goes down: connections end one after the other, and what they had goes round.
    is_ending: bool,
}

impl Leases {
    /// A new message.
    pub(super) fn publish(&mut self) -> u64 {
        let id = self.messages.len() as u64 + 1;
        let message = Message {
            state: FREE,
            last: None,
            confirmed: false,
            chances: 0,
        };
        self.messages.insert(id, message);
        id
    }

    pub(super) fn confirm(&mut self, id: u64) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.confirmed = true;
        }
    }

    /// A client hears of a delivery.
    pub(super) fn deliver(&mut self, handed: &Handed) -> Checked {
        let Handed { held, heard_ms, .. } = *handed;
        let Held { life, id, count } = held;
        let Some(message) = self.messages.get_mut(&id) else {
            return violated!("{id} is leased, and nobody has published it");
        };
        if self.is_ending {
            return Ok(());
        }
        match message.last {
            Some((last, _)) if last == count => {
                return violated!("{id} comes twice with a count of {count}");
            }
            // Its lease was over before that of the later delivery began.
            Some((last, later_ms)) if last > count => {
                return match handed.since_ms + LEASE_MS > later_ms {
                    true => violated!("{handed:?} ran when {last} was there at {later_ms}"),
                    false => Ok(()),
                };
            }
            Some(_) if !handed.redelivered => {
                return violated!("{id} comes again as if for the first time");
            }
            _ => {}
        }
        let is_due = match message.state {
            State::Free { from_ms } => heard_ms >= from_ms,
            State::Leased { span, .. } => heard_ms >= span.least_ms,
            State::Acked { least_ms, .. } => heard_ms >= least_ms,
            State::Settled { .. } | State::Gone => false,
        };
        if !is_due {
            return violated!("{handed:?} of what is {message:?}");
        }
        message.last = Some((count, heard_ms));
        message.state = State::Leased {
            life,
            span: Span {
                least_ms: handed.since_ms + LEASE_MS,
                most_ms: heard_ms + LEASE_MS,
            },
        };
        Ok(())
    }

    /// The message, if that delivery is its last.
    fn of(&mut self, id: u64, count: u64) -> Option<&mut Message> {
        let message = self.messages.get_mut(&id)?;
        let is_last = message.last.is_some_and(|(last, _)| last == count);
        is_last.then_some(message)
    }

    fn span(&mut self, id: u64, count: u64) -> Span {
        match self.of(id, count).map(|message| message.state) {
            Some(State::Leased { span, .. }) => span,
            _ => Span::OVER,
        }
    }

    /// A client acks a delivery, which nobody answers.
    pub(super) fn ack(&mut self, held: &Held, now_ms: u64) {
        if let Some(message) = self.of(held.id, held.count)
            && let State::Leased { life, span } = message.state
        {
            let in_time = now_ms < span.most_ms;
            message.chances += u32::from(in_time);
            message.state = match in_time {
                true => State::Acked {
                    life,
                    least_ms: span.least_ms,
                },
                false => FREE,
            };
        }
    }

    /// A client gives a delivery back, which nobody answers.
    pub(super) fn give_back(&mut self, held: &Held) {
        if let Some(message) = self.of(held.id, held.count) {
            message.state = FREE;
        }
    }

    /// A client asks for something, which is answered.
    pub(super) fn ask(&mut self, held: &Held, wish: Wish, now_ms: u64) -> Asked {
        let Held { life, id, count } = *held;
        *self.asked.entry(life).or_default() += 1;
        let span = self.span(id, count);
        if let Some(message) = self.of(id, count)
            && matches!(message.state, State::Leased { .. })
        {
            message.chances += u32::from(wish == Wish::Accept);
            message.state = match wish {
                Wish::Accept => message.state,
                Wish::Requeue | Wish::Delay(_) => FREE,
                Wish::Extend(time_ms) => State::Leased {
                    life,
                    span: Span {
                        least_ms: span.least_ms.min(now_ms + time_ms),
                        most_ms: u64::MAX,
                    },
                },
            };
        }
        Asked {
            held: *held,
            wish,
            said_ms: now_ms,
            span,
        }
    }

    /// The answer: it was done, or the lease had ended.
    pub(super) fn answer(&mut self, asked: &Asked, is_done: bool, now_ms: u64) -> Checked {
        if let Some(count) = self.asked.get_mut(&asked.held.life) {
            *count -= 1;
        }
        if self.is_ending {
            return Ok(());
        }
        let Asked {
            said_ms,
            span,
            wish,
            ..
        } = *asked;
        if is_done && said_ms >= span.most_ms {
            return violated!("{asked:?} was done, and its lease was over");
        }
        if !is_done && now_ms < span.least_ms {
            return violated!("{asked:?} was not done, and its lease runs at {now_ms}");
        }
        let Some(message) = self.of(asked.held.id, asked.held.count) else {
            return self.answer_overtaken(asked, is_done);
        };
        message.chances -= u32::from(asked.is_chance() && !is_done);
        message.state = match (message.state, wish) {
            (State::Leased { .. }, _) if !is_done => FREE,
            (State::Leased { life, .. }, Wish::Accept) => State::Settled { life, at: None },
            (State::Leased { life, .. }, Wish::Extend(time_ms)) => State::Leased {
                life,
                span: Span {
                    least_ms: said_ms + time_ms,
                    most_ms: now_ms + time_ms,
                },
            },
            (State::Free { .. }, Wish::Delay(time_ms)) if is_done => State::Free {
                from_ms: said_ms + time_ms,
            },
            (state, _) => state,
        };
        Ok(())
    }

    /// The answer is heard when somebody else has had the message already.
    fn answer_overtaken(&mut self, asked: &Asked, is_done: bool) -> Checked {
        let Some(message) = self.messages.get_mut(&asked.held.id) else {
            return Ok(());
        };
        message.chances -= u32::from(asked.is_chance() && !is_done);
        let Some((_, later_ms)) = message.last.filter(|_| is_done) else {
            return Ok(());
        };
        match asked.wish {
            Wish::Accept => violated!("{asked:?} was done, and {message:?} came after it"),
            Wish::Delay(time_ms) if later_ms < asked.said_ms + time_ms => {
                violated!("{asked:?} was done, and {message:?} is early")
            }
            _ => Ok(()),
        }
    }

    /// A connection is lost: what it had is for others.
    pub(super) fn lose(&mut self, gone: u64) {
        self.asked.remove(&gone);
        for message in self.messages.values_mut() {
            match message.state {
                State::Leased { life, .. } | State::Acked { life, .. } if life == gone => {
                    message.state = FREE;
                }
                _ => {}
            }
        }
    }

    /// All that was said on a connection is worked off.
    pub(in crate::wire) fn work_off(&mut self, on: u64, end: Position, now_ms: u64) {
        let is_answered = self.asked.get(&on).is_none_or(|count| *count == 0);
        for message in self.messages.values_mut() {
            message.state = match message.state {
                State::Acked { life, least_ms } if life == on && is_answered => {
                    match now_ms < least_ms {
                        true => State::Settled {
                            life,
                            at: Some(end),
                        },
                        false => FREE,
                    }
                }
                State::Settled { life, at: None } if life == on => State::Settled {
                    life,
                    at: Some(end),
                },
                state => state,
            };
        }
    }

    /// The node goes down.
    pub(super) fn brace(&mut self) {
        self.is_ending = true;
    }

    /// The node is down; all below `safe` was safe.
    pub(in crate::wire) fn go_down(&mut self, safe: Position) {
        self.is_ending = false;
        for message in self.messages.values_mut() {
            message.last = None;
            message.state = match message.state {
                State::Gone => State::Gone,
                State::Settled { at: Some(at), .. } if at <= safe => State::Gone,
                _ => FREE,
            };
        }
    }

    /// At the end, with nothing left: whatever was confirmed was settled by somebody.
    pub(in crate::wire) fn check_end(&self) -> Checked {
        let mut all = self.messages.iter();
        match all.find(|(_, message)| message.confirmed && message.chances == 0) {
            Some((id, message)) => violated!("{id} is gone, and nobody settled it: {message:?}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(life: u64, count: u64) -> Held {
        Held { life, id: 1, count }
    }

    fn handed(held: Held, since_ms: u64, heard_ms: u64) -> Handed {
        Handed {
            held,
            redelivered: held.count > 0,
            since_ms,
            heard_ms,
        }
    }

    /// A message that connection 7 has heard of at 1500, and was given between 1000 and then.
    fn leased() -> Leases {
        let mut leases = Leases::default();
        leases.publish();
        leases.confirm(1);
        leases.deliver(&handed(held(7, 0), 1000, 1500)).unwrap();
        leases
    }

    #[test]
    fn a_lease_is_of_one_until_it_may_be_over() {
        for (count, since_ms, heard_ms, is_right) in [
            (1, 2000, 3999, false),
            (1, 2000, 4000, true),
            (0, 2000, 9000, false),
        ] {
            let found = leased().deliver(&handed(held(8, count), since_ms, heard_ms));
            assert_eq!(found.is_ok(), is_right, "{count} at {heard_ms}");
        }
    }

    #[test]
    fn what_is_heard_late_was_over_before_the_next_began() {
        for (since_ms, is_right) in [(2000, true), (2001, false)] {
            let mut leases = Leases::default();
            leases.publish();
            leases.deliver(&handed(held(8, 1), 4500, 5000)).unwrap();
            let found = leases.deliver(&handed(held(7, 0), since_ms, 6000));
            assert_eq!(found.is_ok(), is_right, "{since_ms}");
        }
    }

    #[test]
    fn an_answer_agrees_with_what_is_known_of_the_lease() {
        for (said_ms, heard_ms, is_done, is_right) in [
            (2000, 3999, true, true),
            (2000, 3999, false, false),
            (2000, 4000, false, true),
            (4499, 9000, true, true),
            (4500, 9000, true, false),
            (4500, 9000, false, true),
        ] {
            for wish in [Wish::Accept, Wish::Requeue, Wish::Delay(9), Wish::Extend(9)] {
                let mut leases = leased();
                let asked = leases.ask(&held(7, 0), wish, said_ms);
                let found = leases.answer(&asked, is_done, heard_ms);
                assert_eq!(
                    found.is_ok(),
                    is_right,
                    "{wish:?} {said_ms} {heard_ms} {is_done}"
                );
            }
        }
    }

    #[test]
    fn what_is_settled_in_time_never_comes_again_once_that_is_safe() {
        let (early, late) = (Position(10), Position(20));
        for (worked_off_ms, safe, comes_again) in
            [(3999, late, false), (3999, early, true), (4000, late, true)]
        {
            let mut leases = leased();
            leases.ack(&held(7, 0), 2000);
            leases.work_off(7, Position(15), worked_off_ms);
            leases.go_down(safe);
            let found = leases.deliver(&handed(held(8, 3), 5000, 5000));
            assert_eq!(found.is_ok(), comes_again, "{worked_off_ms} {safe:?}");
            leases.check_end().unwrap();
        }
        assert!(leased().check_end().is_err(), "nobody settled it");
    }
}
