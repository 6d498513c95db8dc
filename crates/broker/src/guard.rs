//! Exchanges that take a message of one id once.
//!
//! The ids of an exchange are remembered here, not in its queues: a message of a known id is
//! confirmed and goes nowhere. A burst with messages for such an exchange is written as one
//! record, like a transaction, so that a crash never leaves an id without its message.
//!
//! Invariants
//! - An id is added, written and applied under one lock (`guard_order`): whoever finds it known
//!   and takes that lock has the record of the first message before it in the log.
//! - A message that a full queue refused leaves no id behind; the record that says that its copy
//!   is gone says so, too. Its duplicates are refused with it.
//! - A message that goes nowhere leaves no id behind either: it was never stored.

use std::sync::Arc;

use ferry_core::facts::{Change, Facts};
use ferry_core::message::NOT_LOGGED;
use ferry_core::queue::{DeadLetterTarget, Deduplication, MessageId, Window};
use ferry_core::routing::QueueId;
use ferry_log::{LogError, Need, Position, ReleaseBatch};
use parking_lot::Mutex;

use crate::definitions::live_bytes;
use crate::intercept::Interceptor;
use crate::partition::Command;
use crate::vhost::Map;
use crate::{Broker, Burst, ConfirmTag, Metrics, Promise, Ticket};

/// The channel of tags that stand for publishes without a confirm; no client has it.
const UNCONFIRMED: u16 = u16::MAX;

/// What an exchange does besides routing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Care {
    /// Takes a message of one id once.
    pub guard: Option<Arc<Guard>>,
    /// Where a message goes that has no route.
    pub dead_letter: Option<DeadLetterTarget>,
    /// What is done to a message, and asked of it, before it is routed.
    pub interceptor: Option<Arc<Interceptor>>,
}

impl Care {
    /// Whether there is anything that it does.
    pub fn is_needed(&self) -> bool {
        self.guard.is_some() || self.dead_letter.is_some() || self.interceptor.is_some()
    }
}

/// The ids that one exchange remembers.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Names it in facts, as a queue's names a queue.
    pub id: QueueId,
    durable: bool,
    window: Mutex<Window>,
}

impl Guard {
    pub fn new(id: QueueId, durable: bool, window: Window) -> Guard {
        Guard {
            id,
            durable,
            window: Mutex::new(window),
        }
    }

    /// A guard that has seen nothing.
    pub fn empty(id: QueueId, durable: bool, options: Deduplication) -> Guard {
        Guard::new(id, durable, Window::new(options))
    }

    /// Appends what it remembers to a checkpoint, if it outlives the broker.
    pub fn image(&self) -> Option<Vec<u8>> {
        let mut image = Vec::new();
        self.durable.then(|| {
            self.window.lock().write(&mut image);
            image
        })
    }

    fn knows(&self, id: MessageId, now: u64) -> bool {
        self.window.lock().contains(id, now)
    }
}

/// Applies a change to what an exchange remembers.
pub(crate) fn remember(window: &mut Window, change: &Change) {
    match change {
        Change::Seen(_, id, at) => {
            window.insert(MessageId::from_bytes(*id), *at);
        }
        Change::Forgotten(_, id) => {
            window.remove(MessageId::from_bytes(*id));
        }
        Change::Delayed(..)
        | Change::Awake(..)
        | Change::Departed(..)
        | Change::Stream(..)
        | Change::Noted(..)
        | Change::Tagged(..) => {}
    }
}

/// A publish whose id is yet to be added.
pub(crate) struct Guarded {
    pub guard: Arc<Guard>,
    pub id: MessageId,
    /// What its refusal is reported with.
    pub tag: ConfirmTag,
    /// Its commands: partition, and place among that partition's.
    pub commands: Vec<(u16, u32)>,
}

/// Publishes whose ids were added, and those that wait for their fate.
#[derive(Default)]
pub(crate) struct Fresh {
    /// In the order of their tags.
    added: Vec<Guarded>,
    /// Tags of duplicates, with the tag of the first.
    duplicates: Vec<(ConfirmTag, ConfirmTag)>,
}

impl Fresh {
    fn find(&self, tag: &ConfirmTag) -> Option<&Guarded> {
        let at = self.added.binary_search_by_key(tag, |one| one.tag).ok()?;
        Some(&self.added[at])
    }

    /// What has to be written of refused publishes.
    pub(crate) fn forgotten(&self, refused: &[ConfirmTag]) -> impl Iterator<Item = Change> {
        let durable = |one: &&Guarded| one.guard.durable;
        let refused = refused.iter().filter_map(|tag| self.find(tag));
        refused
            .filter(durable)
            .map(|one| Change::Forgotten(one.guard.id, one.id.to_bytes()))
    }

    /// Forgets the ids of refused publishes, and refuses their duplicates.
    fn forget(&self, refused: &mut Vec<ConfirmTag>) {
        for one in refused.iter().filter_map(|tag| self.find(tag)) {
            one.guard.window.lock().remove(one.id);
        }
        refused.sort_unstable();
        let is_refused = |(first, _): &&_| refused.binary_search(first).is_ok();
        let duplicates = self.duplicates.iter().filter(is_refused);
        let duplicates: Vec<_> = duplicates.map(|(_, tag)| *tag).collect();
        refused.extend(duplicates);
    }
}

/// The tag of a guarded publish, which has one even if nobody asked for a confirm.
pub(crate) fn tag_of(confirm: Option<ConfirmTag>, place: usize) -> ConfirmTag {
    confirm.unwrap_or(ConfirmTag {
        channel: UNCONFIRMED,
        tag: place as u64,
    })
}

impl Broker {
    /// Submits a burst with guarded messages, or one that is to be atomic.
    pub(crate) fn submit_whole(&self, burst: &mut Burst) -> Option<Arc<Ticket>> {
        let ticket = burst.has_ticket().then(|| Ticket::new(1));
        let mut rejected = Vec::new();
        let promise = self.write_and_apply(burst, &mut rejected);
        rejected.retain(|tag| tag.channel != UNCONFIRMED);
        if let Err(error) = &promise {
            tracing::error!("publishes are not stored and will not be confirmed: {error}");
        }
        if let (Some(ticket), Ok((promise, _))) = (&ticket, promise) {
            ticket.part_done(Some(promise), &mut rejected);
        }
        ticket
    }

    /// Whether a message of that id was stored. One that is being written may be refused yet: its
    /// fate is waited for.
    pub(crate) fn is_duplicate(&self, guard: &Guard, id: MessageId) -> bool {
        guard.knows(id, self.now()) && {
            let _nothing_under_way = self.guard_order.lock();
            guard.knows(id, self.now())
        }
    }

    /// Writes a burst as one record and applies it. Says how many publishes were refused;
    /// `rejected` gets the tags of those that have one.
    pub(crate) fn write_and_apply(
        &self,
        burst: &mut Burst,
        rejected: &mut Vec<ConfirmTag>,
    ) -> Result<(Promise, usize), LogError> {
        let _no_checkpoint = self.transactions.read();
        let guarded = burst.is_guarded();
        let _ids = (guarded || burst.identified).then(|| self.guard_order.lock());
        burst.log_bodies(self)?;
        let mut facts = Facts::default();
        let fresh = self.drop_known(burst, &mut facts);
        let (mut promise, undecided) = self.record(burst, facts, guarded)?;
        let refused = self.apply_recorded(burst, &fresh, rejected);
        fresh.forget(rejected);
        // Who is told of a refusal must not see the message after a crash.
        if undecided || refused > 0 {
            promise = self.write_transaction(&Facts::default(), Need::Sync)?;
        }
        Ok((promise, refused))
    }

    /// Adds the ids that are new, and takes the commands of the others out of the burst.
    fn drop_known(&self, burst: &mut Burst, facts: &mut Facts) -> Fresh {
        let now = self.now();
        let mut known: Vec<(u16, u32)> = Vec::new();
        let mut fresh = Fresh::default();
        let mut first_of: Map<(QueueId, MessageId), ConfirmTag> = Map::default();
        for one in std::mem::take(&mut burst.guarded) {
            let name = (one.guard.id, one.id);
            if !one.guard.window.lock().insert(one.id, now) {
                Metrics::add(&self.metrics.messages_duplicate, 1);
                let first = first_of.get(&name);
                fresh
                    .duplicates
                    .extend(first.map(|first| (*first, one.tag)));
                known.extend(one.commands);
                continue;
            }
            first_of.insert(name, one.tag);
            // An id does not outlive what it stands for.
            if one.guard.durable && burst.is_logged(&one.commands) {
                let seen = Change::Seen(one.guard.id, one.id.to_bytes(), now);
                facts.changes.push(seen);
            }
            fresh.added.push(one);
        }
        fresh.added.sort_unstable_by_key(|one| one.tag);
        known.sort_unstable();
        let mut released = ReleaseBatch::default();
        for of_one in known.chunk_by(|a, b| a.0 == b.0) {
            let mut place = 0;
            burst.parts[usize::from(of_one[0].0)].retain(|command| {
                let known = of_one.binary_search_by_key(&place, |(_, place)| *place);
                place += 1;
                if let (Ok(_), Command::Enqueue { incoming, .. }) = (known, command)
                    && incoming.position != NOT_LOGGED
                {
                    let bytes = live_bytes(incoming.size);
                    released.add(Position(incoming.position), bytes, 1);
                }
                known.is_err()
            });
        }
        self.durability.log.release(&mut released);
        fresh
    }
}
