//! Browsing a queue: its messages page by page, as they are.
//!
//! Invariants
//! - One call looks at no more than `LOOKED_AT_MAX` messages and stops reading at
//!   `READ_BYTES_MAX`; the page says where to go on.
//! - A partition is held for one batch of places at a time, never while a body is read.
//! - A body that was copied elsewhere meanwhile is looked up again.

use std::sync::Arc;

use ferry_core::Millis;
use ferry_core::arguments::Arguments;
use ferry_core::message::Message;
use ferry_core::queue::{BodyRef, DeadLetterReason, Entry, Held, LeaseId, LeaseInfo, Queue, Spot};
use ferry_log::Reader;

use super::filter::Filter;
use super::reference::MessageRef;
use crate::partition::{State, with_body};
use crate::{Broker, ConnectionId, OperateError, QueueHandle};

/// Most messages of one page.
const LIMIT_MAX: usize = 1000;

/// Messages that one call looks at.
const LOOKED_AT_MAX: u64 = 4096;

/// Bytes of stored messages after which one call reads no more.
const READ_BYTES_MAX: usize = 16 << 20;

/// Places that are listed while the partition is held.
const BATCH_ENTRIES: usize = 256;

/// Which messages of a queue to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum What {
    /// Those that wait for a consumer, in the order of leaving.
    #[default]
    Ready,
    /// Those that wait for their time, the earliest first.
    Delayed,
    /// Those that somebody has.
    Leased,
    /// Dead letters that can not arrive where they go, and those on their way.
    Pending,
}

impl What {
    /// Whether a message of this kind may stand there.
    fn has(self, spot: Spot) -> bool {
        match spot {
            Spot::Ready { .. } => self == What::Ready,
            Spot::Delayed { .. } => self == What::Delayed,
            Spot::Leased(_) => matches!(self, What::Leased | What::Pending),
        }
    }
}

/// What to browse.
#[derive(Debug, Clone, PartialEq)]
pub struct Browse {
    /// Which messages.
    pub what: What,
    /// Go on behind this one: the `next` of the page before.
    pub after: Option<MessageRef>,
    /// Most messages to return, at most 1,000.
    pub limit: usize,
    /// How much of each body to return, in bytes.
    pub body_bytes_max: usize,
    /// What they must be like.
    pub filter: Filter,
}

impl Default for Browse {
    fn default() -> Browse {
        Browse {
            what: What::Ready,
            after: None,
            limit: 50,
            body_bytes_max: usize::MAX,
            filter: Filter::default(),
        }
    }
}

/// Some messages of a queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The messages.
    pub messages: Vec<Listed>,
    /// Where to go on; none if there is nothing behind. A page may be empty and yet have a next.
    pub next: Option<MessageRef>,
    /// How many messages were looked at.
    pub looked_at: u64,
    /// How many of them could not be read back, and are not among `messages` for that.
    pub unreadable: u64,
}

/// Who has a leased message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseHolder {
    /// A consumer, with its tag if it still is one.
    Consumer(Option<String>),
    /// Somebody who asked for one message.
    Get,
    /// The broker, which is moving it.
    Operator,
}

/// What a message is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It waits for a consumer.
    Ready,
    /// It waits for its time.
    Delayed {
        /// When that is.
        until: Millis,
    },
    /// Somebody has it.
    Leased {
        /// Who.
        by: LeaseHolder,
        /// The connection of who has it, if it has one.
        connection: ConnectionId,
        /// Since when.
        since: Millis,
        /// When the lease ends by itself.
        deadline: Option<Millis>,
    },
    /// It is a dead letter that has not arrived yet.
    Pending {
        /// Why it left.
        reason: DeadLetterReason,
        /// Since when.
        since: Millis,
    },
}

/// A message, looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its name, for acts on it.
    pub name: MessageRef,
    /// What it is doing.
    pub standing: Standing,
    /// The format of properties and body.
    pub format: u8,
    /// Its properties as received.
    pub properties: Vec<u8>,
    /// Its headers, with its history of deaths; empty if nobody knows the format.
    pub headers: Arguments,
    /// The first bytes of its body, as many as were asked for.
    pub body: Vec<u8>,
    /// Length of its body, in bytes.
    pub size: u32,
    /// The exchange that it was published to.
    pub exchange: Vec<u8>,
    /// The routing key that it was published with.
    pub routing_key: Vec<u8>,
    /// When the broker took it.
    pub published_ms: Millis,
    /// When it expires.
    pub expires_at: Option<Millis>,
    /// Its level in the queue.
    pub priority: u8,
    /// How often it came back: its delivery count.
    pub returns: u32,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// Whether it outlives the broker.
    pub durable: bool,
}

/// A message whose body is yet to be read.
pub(crate) struct Found {
    pub name: MessageRef,
    pub entry: Entry,
    pub standing: Standing,
}

/// What was found while the partition was held.
struct Batch {
    found: Vec<Found>,
    /// The last place that was looked at.
    last: Option<MessageRef>,
    /// Places that were looked at and are of another kind.
    others: u64,
    /// Nothing is behind.
    end: bool,
}

impl Broker {
    /// Looks at messages of a queue, and changes nothing.
    pub fn browse(&self, queue: &QueueHandle, browse: &Browse) -> Result<Page, OperateError> {
        let mut last = browse.after;
        let mut page = Page::default();
        let mut reader = Reader::new(Arc::clone(&self.durability.log));
        let mut read_bytes = 0;
        let limit = browse.limit.clamp(1, LIMIT_MAX);
        loop {
            let batch =
                self.with_state(queue, |state, _| state.list(self.run, queue, browse, last))?;
            for found in &batch.found {
                if page.messages.len() >= limit
                    || page.looked_at >= LOOKED_AT_MAX
                    || read_bytes >= READ_BYTES_MAX
                {
                    page.next = last;
                    return Ok(page);
                }
                page.looked_at += 1;
                last = Some(found.name);
                let listed = self.read_found(&mut reader, queue, found, |entry, message| {
                    read_bytes += message.bytes().len();
                    let wanted = browse.filter.matches(self, &found.standing, &message);
                    wanted.then(|| self.listed(found, entry, &message, browse.body_bytes_max))
                });
                match listed {
                    Ok(listed) => page.messages.extend(listed),
                    Err(OperateError::Unreadable(_)) => page.unreadable += 1,
                    Err(_it_left_meanwhile) => {}
                }
            }
            page.looked_at += batch.others;
            if batch.end {
                return Ok(page);
            }
            last = batch.last.or(last);
            if page.messages.len() >= limit || page.looked_at >= LOOKED_AT_MAX {
                page.next = last;
                return Ok(page);
            }
        }
    }

    /// Hands a message that was found to `each`, with its entry as it is now.
    pub(crate) fn read_found<R>(
        &self,
        reader: &mut Reader,
        queue: &QueueHandle,
        found: &Found,
        each: impl FnOnce(&Entry, Message<'_>) -> R,
    ) -> Result<R, OperateError> {
        let mut result = None;
        let mut each = Some(each);
        let mut read = |entry: &Entry| {
            with_body(reader, &[], &BodyRef::from(&entry.body), |message| {
                result = each.take().map(|each| each(entry, message));
            })
        };
        if let Err(error) = read(&found.entry) {
            let entry =
                self.with_state(queue, |state, _| state.named(self.run, queue, &found.name))?;
            if entry.position() == found.entry.position() {
                return Err(OperateError::Unreadable(error));
            }
            read(&entry).map_err(OperateError::Unreadable)?;
        }
        Ok(result.expect("what was read was handed on"))
    }

    pub(super) fn listed(
        &self,
        found: &Found,
        entry: &Entry,
        message: &Message<'_>,
        body_bytes_max: usize,
    ) -> Listed {
        let format = self.options.formats.get(message.format());
        let headers = format.map(|format| format.headers(message.properties()));
        let body = message.body();
        Listed {
            name: found.name,
            standing: found.standing.clone(),
            format: message.format(),
            properties: message.properties().to_vec(),
            headers: headers.unwrap_or_default(),
            body: body[..body.len().min(body_bytes_max)].to_vec(),
            size: message.body_len(),
            exchange: message.exchange().to_vec(),
            routing_key: message.routing_key().to_vec(),
            published_ms: message.published_ms(),
            expires_at: Some(entry.expires_at).filter(|at| *at != 0),
            priority: entry.priority,
            returns: entry.returns,
            redelivered: entry.redelivered,
            durable: entry.durable,
        }
    }
}

impl Batch {
    /// Notes a message; false if that is enough.
    fn add(&mut self, name: MessageRef, entry: &Entry, standing: Option<Standing>) -> bool {
        self.last = Some(name);
        match standing {
            Some(standing) => self.found.push(Found {
                name,
                entry: entry.clone(),
                standing,
            }),
            None => self.others += 1,
        }
        self.end = self.found.len() + (self.others as usize) < BATCH_ENTRIES;
        self.end
    }
}

impl State {
    fn list(
        &self,
        run: u32,
        queue: &QueueHandle,
        browse: &Browse,
        after: Option<MessageRef>,
    ) -> Result<Batch, OperateError> {
        let core = self
            .queue(queue.place())
            .ok_or_else(|| OperateError::no_queue(queue))?;
        let after = match after {
            Some(name) if name.queue != queue.id || !browse.what.has(name.spot) => {
                let range = "the end of a page of the same listing";
                return Err(OperateError::out_of_range("the place to go on", range));
            }
            after => after.map(|name| name.spot),
        };
        let mut batch = Batch {
            found: Vec::new(),
            last: None,
            others: 0,
            end: true,
        };
        let mut add = |spot, entry: &Entry, standing| {
            let name = MessageRef::new(queue.id, run, spot, entry);
            batch.add(name, entry, standing)
        };
        match browse.what {
            What::Ready => list_ready(core, after, |spot, entry| {
                add(spot, entry, Some(Standing::Ready))
            }),
            What::Delayed => list_delayed(core, after, |at, entry| {
                let spot = Spot::Delayed { at, seq: entry.seq };
                add(spot, entry, Some(Standing::Delayed { until: at }))
            }),
            What::Leased | What::Pending => list_leased(core, after, |id, entry, info| {
                let standing = self.standing(info);
                let pending = matches!(standing, Standing::Pending { .. });
                let wanted = pending == (browse.what == What::Pending);
                add(Spot::Leased(id), entry, wanted.then_some(standing))
            }),
        }
        Ok(batch)
    }

    pub(super) fn standing(&self, info: LeaseInfo) -> Standing {
        let LeaseInfo {
            held,
            since,
            deadline,
        } = info;
        let connection = match held {
            Held::Consumer(id) => self.consumer_connection(id),
            _ => ConnectionId::NOBODY,
        };
        let by = match held {
            Held::Departing(reason) => return Standing::Pending { reason, since },
            Held::Consumer(id) => LeaseHolder::Consumer(self.consumer_tag(id).map(str::to_owned)),
            Held::Get => LeaseHolder::Get,
            Held::Operator => LeaseHolder::Operator,
        };
        Standing::Leased {
            by,
            connection,
            since,
            deadline: Some(deadline).filter(|at| *at != 0),
        }
    }
}

/// Visits the ready messages behind a place, until `each` returns false.
pub(crate) fn list_ready(
    core: &Queue,
    after: Option<Spot>,
    mut each: impl FnMut(Spot, &Entry) -> bool,
) {
    let after = after.and_then(|spot| match spot {
        Spot::Ready { priority, seq } => Some((priority, seq)),
        _ => None,
    });
    core.visit_ready(after, |entry| {
        let (priority, seq) = (entry.priority, entry.seq);
        each(Spot::Ready { priority, seq }, entry)
    });
}

fn list_delayed(core: &Queue, after: Option<Spot>, each: impl FnMut(Millis, &Entry) -> bool) {
    let after = after.and_then(|spot| match spot {
        Spot::Delayed { at, seq } => Some((at, seq)),
        _ => None,
    });
    core.visit_delayed(after, each);
}

fn list_leased(
    core: &Queue,
    after: Option<Spot>,
    each: impl FnMut(LeaseId, &Entry, LeaseInfo) -> bool,
) {
    let after = after.and_then(|spot| match spot {
        Spot::Leased(id) => Some(id),
        _ => None,
    });
    core.visit_leased(after, each);
}
