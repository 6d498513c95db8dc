//! What a restart found on the disk, and whether a message may be in the state that it is in.
//!
//! Invariants
//! - What is here was read from a copy of the disk, not from the broker that goes on.

use std::collections::{BTreeMap, BTreeSet};

use ferry_broker::SyncPolicy;

use super::instance::{Instance, Span, Wait};
use super::routing::{Binding, Kind};
use super::rules::PolicyRules;
use super::{Reason, Step};
use crate::outlet::Seen;
use crate::{Checked, violated};

/// How the life before ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// In order: nothing may be lost and nothing may come back.
    pub clean: bool,
    /// A stop in order was tried and failed, or could not be noted: what it wrote last may be there
    /// all the same, and then the next start takes it for one.
    pub stop_failed: bool,
    /// The power went, so that only what was synced is safe.
    pub power_lost: bool,
    /// All steps up to this one are safe.
    pub safe: Step,
}

impl Ending {
    /// Whether being told of it was a promise that holds now.
    #[must_use]
    pub fn was_told(self, sync: SyncPolicy) -> bool {
        match sync {
            SyncPolicy::Sync => true,
            SyncPolicy::Written => !self.power_lost,
            SyncPolicy::Memory => false,
        }
    }

    /// Whether what happened in this step is certain.
    #[must_use]
    pub fn keeps(self, step: Step) -> bool {
        self.clean || step <= self.safe
    }
}

/// The state in which a message was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It waits for a consumer.
    Ready,
    /// It waits for its time.
    Delayed(u64),
    /// It is on its way to the dead letters, for this reason.
    Stuck(String),
}

/// A message as it was found.
#[derive(Debug)]
pub struct FoundMessage {
    /// As it was shown.
    pub seen: Seen,
    /// Its state.
    pub state: State,
    /// Its order in the queue.
    pub seq: u64,
    /// Its level.
    pub level: u8,
    /// Where its body is in the log.
    pub position: Option<u64>,
    /// The last step in which it can have come, if its body's place tells.
    pub came_by: Option<Step>,
}

/// A queue as it was found.
#[derive(Debug)]
pub struct FoundQueue {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its messages, the ready ones in the order of leaving.
    pub messages: Vec<FoundMessage>,
    /// The ids that count, of those that were asked for.
    pub ids: BTreeSet<u64>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Queues in order of their names.
    pub queues: Vec<FoundQueue>,
    /// Streams in order of their names.
    pub streams: Vec<FoundQueue>,
    /// Exchanges that the broker does not have by itself.
    pub exchanges: BTreeMap<String, Kind>,
    /// Bindings of queues.
    pub bindings: BTreeSet<Binding>,
    /// The policy.
    pub policy: Option<PolicyRules>,
}

/// Where a message was when the life before ended.
#[derive(Debug, Clone)]
pub enum Was {
    /// It waited for a consumer.
    Ready,
    /// Somebody held it; an operator who took it from where it waited until then.
    Held(Option<Option<Span>>),
    /// It waited for its time.
    Delayed,
    /// It was kept on its way to the dead letters, since that step.
    Stuck(Reason, Step),
    /// It had left in that step.
    Gone(Step, Option<Reason>),
}

/// A message that may be found.
pub struct Candidate {
    /// The message.
    pub instance: Instance,
    /// Where it was.
    pub was: Was,
    /// As what it lives on elsewhere: queue and number.
    pub heirs: Vec<(u64, u64)>,
    /// The transaction that ended it or made it wait.
    pub settled_by: Option<u64>,
    /// The state in which it was found.
    pub found: Option<State>,
    /// How often it may have been out so that it is dead-lettered at a start.
    pub tries_end: Option<u32>,
    /// There is another one of the same message with the same history: which of them was found
    /// is not certain.
    pub twin: bool,
}

impl Candidate {
    /// Whether it waited when the life before ended.
    #[must_use]
    pub fn waited(&self) -> bool {
        matches!(self.was, Was::Delayed | Was::Held(Some(Some(_))))
    }

    /// The wait that it is found in.
    #[must_use]
    pub fn wait_until(&self, at: u64) -> Option<Wait> {
        let waits = &self.instance.waits;
        waits.iter().rev().find(|wait| wait.fits(at)).copied()
    }

    /// Why it may not be found in this state.
    #[must_use]
    pub fn why_not(&self, ending: Ending, state: &State) -> Option<String> {
        if !self.instance.durable {
            return Some("survived and is transient".to_owned());
        }
        if let Was::Gone(step, _) = self.was
            && ending.keeps(step)
        {
            return Some(format!("left in step {step} and came back"));
        }
        match state {
            State::Ready => self.why_not_ready(ending),
            State::Delayed(at) => self.why_not_delayed(ending, *at),
            State::Stuck(reason) => {
                let died = match self.was {
                    Was::Stuck(reason, _) => Some(reason),
                    Was::Gone(_, reason) => reason,
                    _ => None,
                };
                let same = died.is_some_and(|died| died.name() == reason)
                    || (self.is_tried_out() && *reason == Reason::DeliveryLimit.name());
                (!same).then(|| format!("goes to the dead letters as {reason}, not {died:?}"))
            }
        }
    }

    fn is_tried_out(&self) -> bool {
        let outs = self.instance.outs + self.instance.out_steps.len() as u32;
        self.tries_end.is_some_and(|end| outs >= end)
    }

    fn why_not_ready(&self, ending: Ending) -> Option<String> {
        let instance = &self.instance;
        // A start goes by the limit that is in force then, also for what an earlier one let die.
        if let Was::Stuck(reason, since) = self.was
            && ending.keeps(since)
            && (reason != Reason::DeliveryLimit || self.is_tried_out())
        {
            return Some("is ready and had died".to_owned());
        }
        let last = instance.waits.last().map_or(0, |wait| wait.step);
        if self.waited() && ending.keeps(last) {
            let until = instance.waits.last().map(|wait| wait.until);
            return Some(format!("is ready and waits until {until:?}"));
        }
        let never_woke = instance.born_waiting && instance.woke.is_none();
        never_woke.then(|| "is ready before its first time".to_owned())
    }

    fn why_not_delayed(&self, ending: Ending, at: u64) -> Option<String> {
        let instance = &self.instance;
        if ending.clean && !self.waited() {
            return Some(format!("waits until {at} and was {:?}", self.was));
        }
        let certain = |wait: &Wait| ending.keeps(wait.step);
        let first = instance.waits.iter().rposition(certain).unwrap_or(0);
        let fits = |wait: &&Wait| {
            let woke = instance.woke.filter(|woke| *woke >= wait.step);
            wait.fits(at) && woke.is_none_or(|woke| !ending.keeps(woke))
        };
        let mut waits = instance.waits.iter().skip(first);
        if waits.any(|wait| fits(&wait)) {
            return None;
        }
        Some(format!("waits until {at}, and may: {:?}", instance.waits))
    }

    /// Checks what was shown of it, and that it may be in this state.
    pub fn check(&self, ending: Ending, name: &str, seen: &Seen, state: &State) -> Checked {
        let instance = &self.instance;
        let message = instance.message;
        if let Some(why) = self.why_not(ending, state) {
            return violated!("queue {name}: message {message} {why}");
        }
        if matches!(state, State::Stuck(_)) || self.twin {
            return Ok(());
        }
        let certain = instance
            .out_steps
            .iter()
            .filter(|step| ending.keeps(**step));
        let least = instance.outs + certain.count() as u32;
        let most = instance.outs + instance.out_steps.len() as u32;
        if !(least..=most).contains(&seen.returns) {
            let told = seen.returns;
            return violated!(
                "queue {name}: message {message} was out {least} to {most} times, not {told}"
            );
        }
        let flag = seen.redelivered;
        let flagged = match (ending.clean, state) {
            (false, State::Ready) => (!ending.stop_failed).then_some(true),
            (false, _) => None,
            (true, _) if matches!(self.was, Was::Held(None)) => Some(true),
            (true, State::Ready) => instance.redelivered,
            (true, _) => Some(!instance.fresh),
        };
        if flagged.is_some_and(|flagged| flagged != flag) {
            return violated!("queue {name}: message {message} is flagged {flag} after a start");
        }
        Ok(())
    }

    /// The message as it goes on.
    #[must_use]
    pub fn adopt(
        self,
        ending: Ending,
        (now, went_back): (u64, bool),
        (seen, seq): (&Seen, u64),
    ) -> (Instance, State) {
        let mut instance = self.instance.clone();
        let state = self.found.clone().unwrap_or(State::Ready);
        let was_out = instance.outs > 0 || !instance.out_steps.is_empty();
        (instance.entered, instance.transaction) = (0, None);
        instance.rank = (0, seq);
        // What was safe only for a crash of the process is synced by the start.
        instance.confirmed |= ending.clean;
        (instance.returns, instance.outs) = (seen.returns, seen.returns);
        instance.out_steps.clear();
        (instance.returned_by, instance.woke) = (None, None);
        instance.fresh = !seen.redelivered && seen.returns == 0;
        instance.redelivered = match state {
            _ if seen.redelivered => Some(true),
            State::Ready => Some(false),
            // A clock that went back, or an earlier time that was given to it and lost, hides that
            // its time had come.
            State::Delayed(at) if was_out && at <= now && !went_back => Some(true),
            _ if ending.clean => Some(false),
            _ => None,
        };
        let wait = match state {
            State::Delayed(at) => self.wait_until(at).map(|wait| Wait {
                until: (at, at),
                step: 0,
                transaction: None,
                ..wait
            }),
            _ => None,
        };
        // What a start lets die may wait again after the next one, if the limit is another then.
        if !matches!(state, State::Stuck(_)) {
            instance.waits = wait.into_iter().collect();
        }
        if let Some(wait) = wait {
            instance.expires_at = wait.expires_at;
        }
        instance.born_waiting = wait.is_some() && instance.fresh;
        (instance, state)
    }
}
