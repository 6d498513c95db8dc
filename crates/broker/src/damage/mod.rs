//! Damage in a data directory that no node is using, told by what it means: which queues have lost
//! messages, how many and where, and what else may be lost.
//!
//! Invariants
//! - What is put together here is what a start would have after a repair, from the same code.
//! - A message counts as lost where its body lies in a damaged part of the log, or in a segment
//!   that is not there. Its queue still counts it, and holds it.
//! - `verify` changes nothing; what `repair` changes is said in `ferry_log`.
//!
//! Not here: how the files are read and mended (`ferry_log`), words for people (the command line).

mod autopsy;
mod told;

use ferry_log::{Disk, LogError, Position, Region, Report};

use crate::Clock;
use autopsy::Autopsy;

/// Places that are listed for one queue.
const PLACES_MAX: usize = 100;

/// What is wrong with a data directory.
#[derive(Debug, Clone, Default)]
pub struct Damage {
    /// As the log sees it.
    pub log: Report,
    /// What its damaged parts held, in the same order.
    pub parts: Vec<Part>,
    /// Queues that have lost something.
    pub queues: Vec<QueueDamage>,
    /// Messages that no queue has, before a part that may have said which one does. One that was
    /// refused looks like that, too.
    pub strays: Vec<Stray>,
    /// What else makes no sense in what could be read.
    pub contradictions: Vec<String>,
}

impl Damage {
    /// True when nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.log.is_sound() && self.contradictions.is_empty()
    }
}

/// What a damaged part of the log held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where it is.
    pub region: Region,
    /// How many places in queues have their bodies there.
    pub messages: u64,
    /// What else.
    pub more: More,
}

/// What a damaged part held besides bodies of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct More {
    /// What happened to messages: where they went, that they were delivered, that they are gone.
    pub facts: bool,
    /// Definitions: queues, exchanges, bindings, users, policies and the like.
    pub definitions: bool,
    /// It can not be told: any of both.
    pub unknown: bool,
}

impl More {
    /// True when no more than bodies of messages is lost.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == More::default()
    }
}

/// What a queue has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDamage {
    /// Its number, which names it where its declaration is lost.
    pub id: u64,
    /// Virtual host and name; none if its declaration is lost.
    pub name: Option<(String, String)>,
    /// Messages whose bodies are lost.
    pub messages: u64,
    /// Where these are, the first 100 of them.
    pub places: Vec<Position>,
    /// Messages whose bodies were lost and set aside earlier.
    pub set_aside: u64,
    /// Messages that entered it, if its declaration is lost.
    pub undeclared: u64,
    /// Whether something that happened to its messages is lost.
    pub facts: FactsLost,
}

/// Whether it is lost what happened to messages of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FactsLost {
    /// There is no sign of that.
    #[default]
    No,
    /// Something of this queue's, or of one of a sixteenth of all queues.
    Perhaps,
    /// Something of this queue's.
    Yes,
}

/// A message that no queue has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Where its body is.
    pub position: Position,
    /// The exchange that it was published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
}

/// Reads everything. `progress` hears how many bytes of how many are done.
///
/// # Errors
/// The disk's, or a newer format.
pub fn verify(
    disk: &dyn Disk,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Damage, LogError> {
    let mut autopsy = Autopsy::new(clock.now());
    let log = ferry_log::verify_with(disk, &mut autopsy, progress)?;
    Ok(told::tell(autopsy, log))
}

/// The same, and sets aside what is damaged, so that a broker opens the directory.
///
/// # Errors
/// The disk's, or a newer format.
pub fn repair(
    disk: &dyn Disk,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Damage, LogError> {
    let mut autopsy = Autopsy::new(clock.now());
    let log = ferry_log::repair_with(disk, &mut autopsy, progress)?;
    Ok(told::tell(autopsy, log))
}
