//! Which wills must come, which must not, and when.
//!
//! ```text
//! asked --let in--> armed --lost--> due at its time -------------------.
//!                     |   --forgotten--> stale --next one let in-->    |--> comes, once
//!                     |   --DISCONNECT--> withheld                     |
//!                     '-- the node stops in order --> due at once -----'
//! a crash: whatever has not come may come or not
//! ```
//!
//! Invariants
//! - What is known of the other side's time is a lower bound: a will is lost at the earliest when
//!   its client lost it.
//! - That a will comes again only as what it was is the ledger's to check.

use std::collections::BTreeMap;

use crate::{Checked, violated};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It may come or not.
    Open,
    /// Its client is let in.
    Armed,
    /// Its client has forgotten the connection, which is still there.
    Stale,
    /// It must not come; what says so may still be on its way.
    Withheld,
    /// It must not come, whatever happens.
    Forbidden,
    /// It must come, and not before this time.
    Due(u64),
    /// The same, but that somebody asks to begin anew, which has it come at once.
    Pressed(u64),
}

#[derive(Debug)]
struct Will {
    client: usize,
    delay_ms: u64,
    stage: Stage,
    /// When it must have come, if it is due.
    by_ms: u64,
    came: bool,
}

impl Will {
    /// It must come, between these times.
    fn set_due(&mut self, at_ms: u64, by_ms: u64) {
        (self.stage, self.by_ms) = (Stage::Due(at_ms), by_ms);
    }
}

/// All wills.
#[derive(Debug, Default)]
pub(in crate::wire) struct Wills {
    all: BTreeMap<u64, Will>,
}

impl Wills {
    fn set(&mut self, id: u64, from: &[Stage], to: Stage) {
        if let Some(will) = self.all.get_mut(&id)
            && from.contains(&will.stage)
        {
            will.stage = to;
        }
    }

    /// A client asks to be let in, with this will.
    pub(super) fn ask(&mut self, id: u64, client: usize, delay_ms: u64, asked: Asked) {
        for will in self.all.values_mut().filter(|will| will.client == client) {
            will.stage = match will.stage {
                Stage::Stale => Stage::Open,
                Stage::Due(at_ms) if asked.anew && will.by_ms > asked.at_ms => {
                    Stage::Pressed(at_ms)
                }
                stage => stage,
            };
        }
        let will = Will {
            client,
            delay_ms,
            stage: Stage::Open,
            by_ms: 0,
            came: false,
        };
        self.all.insert(id, will);
    }

    /// It is let in; it had asked at `asked_ms`, for a session that begins anew or goes on. The
    /// will of the one before it, which was taken over if it was `stale`, is settled by that.
    pub(super) fn let_in(&mut self, id: u64, before: Option<Before>, asked: Asked) {
        self.set(id, &[Stage::Open], Stage::Armed);
        let Some(before) = before else {
            return;
        };
        let Some(will) = self.all.get_mut(&before.id).filter(|will| !will.came) else {
            return;
        };
        let waits = will.delay_ms > 0 && !asked.anew;
        match will.stage {
            Stage::Open if before.stale && waits => will.stage = Stage::Forbidden,
            Stage::Open if before.stale => will.set_due(asked.at_ms, asked.now_ms),
            Stage::Pressed(_) => will.set_due(asked.at_ms, asked.now_ms),
            Stage::Due(at_ms) if at_ms > asked.now_ms => will.stage = Stage::Forbidden,
            Stage::Due(_) if will.by_ms > asked.at_ms => will.stage = Stage::Open,
            Stage::Withheld => will.stage = Stage::Forbidden,
            _ => {}
        }
    }

    /// Its client has said DISCONNECT, and asks for its will by that.
    pub(super) fn want(&mut self, id: u64, now_ms: u64) {
        let will = self.all.get_mut(&id);
        if let Some(will) = will.filter(|will| will.stage == Stage::Armed) {
            will.set_due(now_ms + will.delay_ms, u64::MAX);
        }
    }

    /// Its client is gone, without a word or with that one.
    pub(super) fn lose(&mut self, id: u64, now_ms: u64) {
        let Some(will) = self.all.get_mut(&id) else {
            return;
        };
        let by_ms = now_ms + will.delay_ms;
        match will.stage {
            Stage::Armed => will.set_due(by_ms, by_ms),
            Stage::Due(_) => will.by_ms = will.by_ms.min(by_ms),
            _ => {}
        }
    }

    /// A connection of that client was lost, and nobody knows what the other side has made of it:
    /// what was asked at `asked_ms`, or the last word.
    pub(super) fn doubt(&mut self, client: usize, asked_ms: u64) {
        for will in self.all.values_mut().filter(|will| will.client == client) {
            will.stage = match will.stage {
                Stage::Stale | Stage::Withheld | Stage::Pressed(_) => Stage::Open,
                Stage::Due(_) if will.by_ms > asked_ms => Stage::Open,
                stage => stage,
            };
        }
    }

    /// Its client has said DISCONNECT.
    pub(super) fn withhold(&mut self, id: u64) {
        self.set(id, &[Stage::Armed], Stage::Withheld);
    }

    /// Its client has forgotten the connection; whether it was let in.
    pub(super) fn forget(&mut self, id: u64) -> bool {
        self.set(id, &[Stage::Armed], Stage::Stale);
        self.all
            .get(&id)
            .is_some_and(|will| will.stage == Stage::Stale)
    }

    /// The node stops in order: nobody's will is forgotten.
    pub(in crate::wire) fn stop(&mut self, now_ms: u64) {
        for will in self.all.values_mut() {
            match will.stage {
                Stage::Armed | Stage::Stale => will.set_due(now_ms, now_ms),
                Stage::Due(at_ms) | Stage::Pressed(at_ms) => {
                    will.set_due(at_ms.min(now_ms), now_ms);
                }
                Stage::Withheld => will.stage = Stage::Open,
                _ => {}
            }
        }
    }

    /// The node has failed, and what has not come may be forgotten.
    pub(in crate::wire) fn fail(&mut self) {
        for will in self.all.values_mut() {
            if will.stage != Stage::Forbidden {
                will.stage = Stage::Open;
            }
        }
    }

    /// One comes.
    pub(in crate::wire) fn arrive(&mut self, id: u64, now_ms: u64) -> Checked {
        let Some(will) = self.all.get_mut(&id) else {
            return violated!("{id} comes as a will, and is none");
        };
        match will.stage {
            Stage::Open | Stage::Pressed(_) => {}
            Stage::Due(at_ms) if at_ms <= now_ms => {}
            stage => return violated!("will {id} comes at {now_ms} and is {stage:?}: {will:?}"),
        }
        will.came = true;
        Ok(())
    }

    /// Everybody has heard everything: what is due has come, what was to be taken back is.
    pub(in crate::wire) fn check_calm(&mut self, now_ms: u64) -> Checked {
        for (id, will) in &mut self.all {
            if will.stage == Stage::Withheld {
                will.stage = Stage::Forbidden;
            }
            match will.stage {
                Stage::Due(_) if will.by_ms <= now_ms && !will.came => {
                    return violated!("will {id} has not come at {now_ms}: {will:?}");
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The connection of a client before this one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub(super) id: u64,
    /// It was still there when its client asked again.
    pub(super) stale: bool,
}

/// When somebody asked to be let in and was, and what for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) at_ms: u64,
    pub(super) now_ms: u64,
    pub(super) anew: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A will with a delay of a second whose client was let in at 0.
    fn armed() -> Wills {
        let mut wills = Wills::default();
        let asked = Asked {
            at_ms: 0,
            now_ms: 0,
            anew: false,
        };
        wills.ask(1, 0, 1_000, asked);
        wills.let_in(1, None, asked);
        wills
    }

    /// Whether it may come then, and whether it must have come.
    fn may_and_must(mut wills: Wills, now_ms: u64) -> (bool, bool) {
        let may = wills.arrive(1, now_ms).is_ok();
        wills.all.get_mut(&1).unwrap().came = false;
        (may, wills.check_calm(now_ms).is_err())
    }

    #[test]
    fn a_will_comes_when_it_was_promised() {
        let lost = |wills: &mut Wills| wills.lose(1, 500);
        let back = |wills: &mut Wills, now_ms, anew| {
            let (id, at_ms) = (1, now_ms);
            let asked = Asked {
                at_ms,
                now_ms,
                anew,
            };
            wills.ask(2, 0, 0, asked);
            wills.let_in(2, Some(Before { id, stale: false }), asked);
        };
        type Does<'a> = &'a dyn Fn(&mut Wills);
        let cases: [(&str, Does<'_>, u64, (bool, bool)); 8] = [
            ("let in", &|_| {}, 9_000, (false, false)),
            ("early", &lost, 1_499, (false, false)),
            ("in time", &lost, 1_500, (true, true)),
            (
                "withheld",
                &|wills| wills.withhold(1),
                9_000,
                (false, false),
            ),
            ("stopped", &|wills| wills.stop(700), 700, (true, true)),
            ("crashed", &|wills| wills.fail(), 700, (true, false)),
            (
                "goes on",
                &|wills| {
                    wills.lose(1, 500);
                    back(wills, 600, false);
                },
                9_000,
                (false, false),
            ),
            (
                "begins anew",
                &|wills| {
                    wills.lose(1, 500);
                    back(wills, 600, true);
                },
                600,
                (true, true),
            ),
        ];
        for (name, does, now_ms, expected) in cases {
            let mut wills = armed();
            does(&mut wills);
            assert_eq!(may_and_must(wills, now_ms), expected, "{name}");
        }
    }
}
