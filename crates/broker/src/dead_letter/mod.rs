//! Dead letters: from the queue where a message died to the queues that its exchange leads to.
//!
//! Invariants
//! - A message leaves its queue after it has arrived where it goes, never before. What a full
//!   queue refuses is kept and tried again (`stuck`).
//! - A message that came here by itself is not routed back to a queue it died in: without a
//!   rejection in between that is a cycle, and the copy is dropped.
//!
//! Not here: when a message dies (`ferry-core`), how headers look on the wire (`format`).

mod history;
mod stuck;

use std::sync::{Arc, Weak};

use ferry_core::message::{Draft, Message};
use ferry_core::queue::{DeadLetterReason, DeadLetterStrategy, DeadLetterTarget, LeaseId};
use ferry_core::routing::QueueId;

use crate::partition::{After, Command};
use crate::{Broker, Burst, ConfirmTag, Metrics, QueueHandle, Ticket, TicketWaiter, Vhost};
use history::Death;
pub(crate) use stuck::Stuck;

/// A dead letter on its way.
#[derive(Debug, Clone)]
pub(crate) struct Departure {
    /// Where it died.
    pub queue: Arc<QueueHandle>,
    /// Its hold on that queue; none if it never was in it.
    pub lease: Option<LeaseId>,
    /// Why.
    pub reason: DeadLetterReason,
    /// The queues that refused it at its last attempt; empty if it was not tried.
    pub refused_by: Vec<QueueId>,
    /// The queues that have it already; not kept over a restart.
    pub taken_by: Vec<QueueId>,
    /// Its place among what is stuck; 0 if it never was.
    pub order: u64,
    /// The line that it was taken from to be tried again.
    pub line: Option<QueueId>,
}

impl Departure {
    /// One that was not tried yet.
    pub fn new(
        queue: Arc<QueueHandle>,
        lease: Option<LeaseId>,
        reason: DeadLetterReason,
    ) -> Departure {
        Departure {
            queue,
            lease,
            reason,
            refused_by: Vec::new(),
            taken_by: Vec::new(),
            order: 0,
            line: None,
        }
    }

    /// Whether it is kept when a target refuses it.
    fn is_kept(&self) -> bool {
        let strategy = self.queue.options().dead_letter_strategy;
        strategy != DeadLetterStrategy::AtMostOnce && self.lease.is_some()
    }

    /// Notes what became of the copies for the queues that were tried; each has the tag of its
    /// place.
    fn tried(&mut self, tried: &[QueueId], ticket: &Ticket) {
        let refused = ticket.rejected();
        for (place, queue) in tried.iter().enumerate() {
            match refused.iter().any(|tag| tag.tag == place as u64) {
                true => self.refused_by.push(*queue),
                false => self.taken_by.push(*queue),
            }
        }
    }
}

/// Things that one thread does in a row after its own work, perhaps for others.
const AFTERS_IN_A_ROW_MAX: usize = 4096;

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// It is where it goes, or nobody wants it.
    Done,
    /// It is known later.
    UnderWay,
    /// It has to be tried again, and stands in that line.
    Stuck(QueueId),
}

/// Goes on with a departure when its ticket resolves later.
struct Arrival {
    broker: Weak<Broker>,
    ticket: Arc<Ticket>,
    departure: Departure,
    tried: Vec<QueueId>,
}

impl TicketWaiter for Arrival {
    fn ticket_resolved(&self) {
        if let Some(broker) = self.broker.upgrade() {
            let mut departure = self.departure.clone();
            departure.tried(&self.tried, &self.ticket);
            broker.afters.lock().push(After::Arrived { departure });
        }
    }
}

/// Where a dead letter goes.
enum Way {
    /// To these queues now, and when they have room to those that others wait for.
    Queues(Vec<QueueId>, Vec<QueueId>),
    /// Nowhere: no exchange, or no route.
    None,
}

impl Way {
    fn queues(&self) -> impl Iterator<Item = &QueueId> {
        let (now, later): (&[QueueId], &[QueueId]) = match self {
            Way::Queues(now, later) => (now, later),
            Way::None => (&[], &[]),
        };
        now.iter().chain(later)
    }
}

impl Broker {
    /// Does what was left while a partition was held, a bounded part of it if there is much: the
    /// rest is for the background. Called with nothing held.
    pub(crate) fn run_afters(&self) {
        let mut left = AFTERS_IN_A_ROW_MAX;
        while !self.afters.lock().is_empty() {
            if left == 0 {
                return self.signals.hand_over();
            }
            let Some(_one_at_a_time) = self.after_runner.try_lock() else {
                return;
            };
            let mut afters = std::mem::take(&mut *self.afters.lock());
            if afters.len() > left {
                let rest = afters.split_off(left);
                self.afters.lock().splice(0..0, rest);
            }
            left -= afters.len();
            for after in afters {
                self.run_after(after);
            }
        }
    }

    fn run_after(&self, after: After) {
        match after {
            After::DeadLetter { departure, message } => {
                if let Some(message) = message.or_else(|| self.body_of(&departure)) {
                    self.depart(departure, &message);
                }
            }
            After::Arrived { departure } => {
                let line = departure.line;
                let attempt = self.after_attempt(departure);
                if let Some(line) = line
                    && attempt != Attempt::Stuck(line)
                {
                    self.retry_stuck_for(line);
                }
            }
            After::Gathered(answer) => self.send_answer(*answer),
            After::Room { queue } => self.retry_stuck_for(queue),
            After::Retained(store) => store.settle_done(self),
            After::Expired { queue } => {
                let now = self.now();
                if let Some(vhost) = self.vhost(&queue.vhost) {
                    vhost.delete_if(&queue, |queue| {
                        queue.unused_until().is_some_and(|until| until <= now)
                    });
                }
            }
        }
    }

    /// Tries to bring a dead letter where it goes.
    fn depart(&self, mut departure: Departure, message: &[u8]) -> Attempt {
        let message = Message::parse(message).expect("what a queue had is a message");
        let Some(target) = departure.queue.options().dead_letter.clone() else {
            return self.nowhere(departure);
        };
        let mut burst = Burst::new();
        let staged = self.stage_dead_letter(&mut burst, &departure, &target, &message);
        self.note_dead_letter(&departure, &target, &message, staged.queues());
        let Way::Queues(tried, full) = staged else {
            return self.nowhere(departure);
        };
        if tried.is_empty() && full.is_empty() && departure.taken_by.is_empty() {
            return self.drop_letter(&departure); // Each way is a cycle.
        }
        if departure.order == 0 {
            Metrics::add(&self.metrics.messages_dead_lettered, 1);
            let strategy = departure.queue.options().dead_letter_strategy;
            self.died
                .note(departure.queue.kind, departure.reason, strategy);
        }
        departure.refused_by = full;
        if tried.is_empty() {
            return self.after_attempt(departure);
        }
        burst.confirms = true;
        let ticket = burst
            .submit(self)
            .expect("a burst with confirms has a ticket");
        let arrival = Arrival {
            broker: self.me.clone(),
            ticket: Arc::clone(&ticket),
            departure: departure.clone(),
            tried: tried.clone(),
        };
        if ticket.on_resolved(Arc::new(arrival)) {
            return Attempt::UnderWay;
        }
        if ticket.resolved().is_none() {
            // The log has failed: the node stops, and the message is still in its queue.
            return Attempt::UnderWay;
        }
        departure.tried(&tried, &ticket);
        self.after_attempt(departure)
    }

    fn after_attempt(&self, departure: Departure) -> Attempt {
        if departure.refused_by.is_empty() {
            let queue = &departure.queue;
            self.died
                .note_arrival(queue.kind, queue.options().dead_letter_strategy);
            self.arrived(&departure);
            return Attempt::Done;
        }
        match departure.is_kept() {
            true => self.stick(departure),
            false => self.drop_letter(&departure),
        }
    }

    fn nowhere(&self, mut departure: Departure) -> Attempt {
        let strategy = departure.queue.options().dead_letter_strategy;
        if strategy == DeadLetterStrategy::AtLeastOnce && departure.lease.is_some() {
            departure.refused_by.clear();
            return self.stick(departure);
        }
        self.drop_letter(&departure)
    }

    /// A copy at least does not get where it should.
    fn drop_letter(&self, departure: &Departure) -> Attempt {
        Metrics::add(&self.metrics.messages_dead_letter_dropped, 1);
        self.arrived(departure);
        Attempt::Done
    }

    /// Lets the message leave the queue where it died.
    fn arrived(&self, departure: &Departure) {
        let Some(lease) = departure.lease else {
            return;
        };
        let queue = &departure.queue;
        let command = Command::Departed {
            queue: queue.place(),
            lease,
        };
        self.submit_one(queue, command);
    }

    /// Stages one copy for each queue that does not have it yet, whose place among them is its
    /// tag. Behind what waits for a queue already it is not tried there.
    fn stage_dead_letter(
        &self,
        burst: &mut Burst,
        departure: &Departure,
        target: &DeadLetterTarget,
        message: &Message<'_>,
    ) -> Way {
        let queue = &departure.queue;
        let (Some(vhost), Some(format)) = (
            self.vhost(&queue.vhost),
            self.options.formats.get(message.format()),
        ) else {
            return Way::None;
        };
        let died = Died {
            queue: queue.name(),
            target,
            reason: departure.reason,
            message,
        };
        let (letter, mut queues) = match died.letter(self, &vhost, &**format) {
            Some(found) => found,
            None => return Way::None,
        };
        if queues.is_empty() {
            return Way::None;
        }
        if departure.reason != DeadLetterReason::Rejected {
            queues.retain(|queue| !history::in_cycle(queue.name(), &letter.headers));
        }
        queues.retain(|queue| !departure.taken_by.contains(&queue.id));
        let full = match departure.is_kept() {
            true => self.awaited_of(&queues, departure.line),
            false => Vec::new(),
        };
        queues.retain(|queue| !full.contains(&queue.id));
        if !queues.is_empty() {
            let tag = |place: usize| ConfirmTag {
                channel: 0,
                tag: place as u64,
            };
            letter.stage(burst, message, target, &queues, |place| Some(tag(place)));
        }
        Way::Queues(queues.iter().map(|queue| queue.id).collect(), full)
    }
}

/// A message that died.
pub(crate) struct Died<'a> {
    /// Where; empty if it never was in a queue.
    pub queue: &'a str,
    /// Where it goes.
    pub target: &'a DeadLetterTarget,
    /// Why.
    pub reason: DeadLetterReason,
    /// What.
    pub message: &'a Message<'a>,
}

/// A dead letter in the making: the message with its history.
pub(crate) struct Letter {
    headers: ferry_core::arguments::Arguments,
    properties: Vec<u8>,
    key: Vec<u8>,
}

impl Died<'_> {
    /// The letter and the queues it goes to; none if there is no such exchange.
    pub(crate) fn letter(
        &self,
        broker: &Broker,
        vhost: &Vhost,
        format: &dyn crate::MessageFormat,
    ) -> Option<(Letter, Vec<Arc<QueueHandle>>)> {
        let message = self.message;
        let mut headers = format.headers(message.properties());
        let routing_key = self.target.routing_key.as_deref().map(str::as_bytes);
        let key = routing_key.unwrap_or(message.routing_key());
        if !message.dead_lettered() {
            history::forget_history(&mut headers);
        }
        let copies = history::text_list(&headers, "CC");
        let keys: Vec<&[u8]> = match routing_key {
            Some(key) => vec![key],
            None => std::iter::once(key)
                .chain(copies.iter().map(Vec::as_slice))
                .collect(),
        };
        let death = Death {
            queue: self.queue,
            message,
            reason: self.reason,
            copies: &copies,
            now: broker.now(),
            expiration: format.expiration(message.properties()),
        };
        death.write(&mut headers);
        let letter = Letter {
            properties: format.rewrite(message.properties(), &headers, true),
            key: key.to_vec(),
            headers,
        };
        let mut queues = Vec::new();
        let draft = letter.draft(message, self.target);
        let exchange = &self.target.exchange;
        vhost
            .route_draft(exchange, &keys, &draft, &mut queues)
            .ok()?;
        Some((letter, queues))
    }
}

impl Letter {
    fn draft<'a>(&'a self, message: &Message<'a>, target: &'a DeadLetterTarget) -> Draft<'a> {
        Draft {
            exchange: target.exchange.as_bytes(),
            routing_key: &self.key,
            properties: &self.properties,
            ttl_ms: None,
            dead_lettered: true,
            deliver_at: None,
            id: None,
            ..message.draft()
        }
    }

    /// Stages a copy for each queue.
    pub(crate) fn stage(
        &self,
        burst: &mut Burst,
        message: &Message<'_>,
        target: &DeadLetterTarget,
        queues: &[Arc<QueueHandle>],
        confirm: impl Fn(usize) -> Option<ConfirmTag>,
    ) {
        burst.stage(&self.draft(message, target), queues, confirm);
    }
}
