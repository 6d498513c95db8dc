//! A session of the door: one connection's protocol state from its first byte to its last.
//!
//! ```text
//! Opening --log-in--> Entering --client id free, session durable--> Open --> Over
//!     '-- refused ---------'-- refused -------------------------------------^
//! ```
//!
//! Invariants
//! - Bytes go in, packets go to the link's outbox; the session reads no socket and knows no task.
//! - Time is an argument; `next_tick` says when the session wants to be asked again.
//! - Whatever the way out, what the connection holds is given back exactly once.
//! - After our last packet nothing is read any more: the connection is closed when that has left.
//!
//! Not here: each phase's own work (`opening`, `entering`, `running`, `end`), its timer (`wake`).

mod wake;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_auth::scram::Exchange;
use ferry_broker::{Burst, Spoken};
use mqtt::ReasonCode;

use super::common::{End, EndKind};
use super::connect::{Hello, Refused};
use super::end::Open;
use super::entering::{Entering, Site};
use super::opening::{Opening, Step};
use super::turn::Turn;
use super::who::{Reception, Who};
use super::wire::{Link, Wire};
use crate::arrival::Arrival;
use crate::link::event;
use crate::login::LoginSlot;
use crate::shared::Shared;

/// How long a client may take until its CONNECT is here.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to let it in after that.
const ENTER_TIMEOUT: Duration = Duration::from_secs(60);

enum Phase {
    /// Who it is, is not known.
    Opening(Box<Opening<Exchange>>),
    /// It waits to be let in.
    Entering(Box<Entering>),
    Open(Box<Open>),
    Over,
}

/// One connection's protocol state.
pub(crate) struct Session {
    shared: Arc<Shared>,
    link: Arc<Link>,
    arrival: Arrival,
    /// A log-in that is decided elsewhere.
    slot: LoginSlot,
    who: Option<Who>,
    /// Whether bytes that waited can be looked at now.
    goes_on: bool,
    since: Instant,
    /// When the client was last heard of.
    heard: Instant,
    /// What the socket had taken when that was looked at last.
    sent_before: u64,
    phase: Phase,
    next_tick: Option<Instant>,
    /// When a wait for the sake of a rate or a log-in may be over.
    wake: Option<Instant>,
}

impl crate::session::Session for Session {
    type Wire = Wire;

    const PROTOCOL: &'static str = "MQTT";

    fn new(shared: Arc<Shared>, link: Arc<Link>, arrival: Arrival, now: Instant) -> Session {
        Session {
            shared,
            link,
            arrival,
            slot: LoginSlot::default(),
            who: None,
            goes_on: false,
            since: now,
            heard: now,
            sent_before: 0,
            phase: Phase::Opening(Box::new(Opening::new())),
            next_tick: Some(now + CONNECT_TIMEOUT),
            wake: None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn publishes(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.running.publishes())
    }

    fn wants_more(&self) -> bool {
        match &self.phase {
            Phase::Opening(opening) => !opening.is_waiting(),
            Phase::Entering(_) | Phase::Over => false,
            Phase::Open(open) => open.running.wants_more(),
        }
    }

    fn takes_rest(&mut self) -> bool {
        std::mem::take(&mut self.goes_on)
    }

    fn receive(&mut self, bytes: &[u8], fresh: usize, burst: &mut Burst, now: Instant) -> usize {
        if fresh > 0 {
            self.shared
                .broker
                .edges()
                .received(Spoken::Mqtt, fresh as u64);
            self.link.front.received(fresh);
            self.heard = now;
        }
        let mut turn = Turn::of_read(burst, now);
        let mut at = 0;
        while at < bytes.len() {
            match self.receive_some(&bytes[at..], &mut turn, now) {
                0 => break,
                used => at += used,
            }
        }
        turn.submit(&self.link);
        if let Phase::Open(open) = &mut self.phase {
            open.running.submitted(&bytes[at..], at > 0);
        }
        self.plan_wake(now);
        at
    }

    fn on_events(&mut self, events: u32, burst: &mut Burst, now: Instant) {
        if events & event::BROKEN != 0 {
            return self.abandon("the socket is broken", burst);
        }
        let mut turn = Turn::new(burst);
        if events & event::LOGIN != 0 {
            self.take_login(&mut turn, now);
            self.go_on(&mut turn, now);
        }
        if events & event::TAKEN != 0 {
            self.make_way(&mut turn, now);
        }
        if let Phase::Open(open) = &mut self.phase {
            let mut result = open.running.on_events(events, &mut turn);
            if events & event::ACCESS != 0 {
                result = result.and_then(|()| open.check_access());
            }
            turn.submit(&self.link);
            if let Err(end) = result {
                self.end(end, &mut turn);
            }
        }
        self.wake_up(events, &mut turn, now);
        if events & event::FAILED != 0 {
            let text = "the message log has failed";
            self.force(ReasonCode::UnspecifiedError, text, &mut turn);
        }
        if events & event::CLOSE != 0
            && let Some(text) = self.link.front.take_close_reason()
        {
            self.force(ReasonCode::AdministrativeAction, &text, &mut turn);
        }
        if events & event::SHUTDOWN != 0 {
            let text = "the broker is going down";
            self.force(ReasonCode::ServerShuttingDown, text, &mut turn);
        }
    }

    fn next_tick(&self) -> Option<Instant> {
        self.next_tick.into_iter().chain(self.wake).min()
    }

    fn tick(&mut self, now: Instant, is_read: bool, burst: &mut Burst) {
        let mut turn = Turn::new(burst);
        self.wake_up(0, &mut turn, now);
        if self.next_tick.is_none_or(|at| at > now) {
            return;
        }
        match &self.phase {
            Phase::Opening(opening) if opening.hello().is_none() => {
                self.log_end("no CONNECT in time");
                self.phase = Phase::Over;
            }
            Phase::Opening(_) | Phase::Entering(_) => {
                let text = "it took too long to let the client in";
                self.force(ReasonCode::ServerUnavailable, text, &mut turn);
            }
            Phase::Open(open) => {
                let silence_max = open.silence_max;
                self.look_for_life(silence_max, is_read, &mut turn, now);
            }
            Phase::Over => self.next_tick = None,
        }
    }

    fn abandon(&mut self, reason: &str, burst: &mut Burst) {
        let mut turn = Turn::new(burst);
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Over => return,
            Phase::Opening(_) => {}
            Phase::Entering(entering) => entering.give_up(&mut turn),
            Phase::Open(open) => {
                self.phase = Phase::Open(open);
                let end = End {
                    reason: ReasonCode::UnspecifiedError,
                    text: reason.to_owned(),
                    kind: EndKind::Silent,
                    expiry_s: None,
                };
                return self.finish(end, &mut turn);
            }
        }
        self.log_end(reason);
    }
}

impl Session {
    #[inline]
    fn receive_some(&mut self, bytes: &[u8], turn: &mut Turn<'_>, now: Instant) -> usize {
        match &mut self.phase {
            Phase::Open(open) => match open.receive(bytes, turn) {
                Ok(used) => used,
                Err(end) => {
                    self.end(end, turn);
                    bytes.len()
                }
            },
            Phase::Opening(_) => self.receive_opening(bytes, turn, now),
            Phase::Entering(_) => 0,
            Phase::Over => bytes.len(),
        }
    }

    fn receive_opening(&mut self, bytes: &[u8], turn: &mut Turn<'_>, now: Instant) -> usize {
        let Session {
            shared,
            link,
            arrival,
            slot,
            who,
            phase: Phase::Opening(opening),
            ..
        } = self
        else {
            return 0;
        };
        let mut host = Reception {
            shared,
            link,
            arrival,
            slot,
            who,
        };
        let mut out = Vec::new();
        let received = opening.receive(bytes, &mut out, &mut host);
        self.link
            .with(|state| state.outbox.buffer().extend_from_slice(&out));
        match received {
            Ok(Step::More(used)) => {
                if used > 0 {
                    self.next_tick = Some(now + ENTER_TIMEOUT);
                }
                used
            }
            Ok(Step::In(used, hello)) => {
                self.next_tick = Some(now + ENTER_TIMEOUT);
                self.begin_entering(hello, turn, now);
                used
            }
            Err(refused) => {
                self.refuse(&refused);
                bytes.len()
            }
        }
    }

    /// Goes on with a log-in that was decided.
    fn take_login(&mut self, turn: &mut Turn<'_>, now: Instant) {
        let Some(decided) = self.slot.lock().take() else {
            return;
        };
        let (Phase::Opening(opening), Some(who)) = (&mut self.phase, &mut self.who) else {
            return;
        };
        match opening.decided(decided.map(|user| who.user = Some(user))) {
            None => {}
            Some(Ok(hello)) => self.begin_entering(hello, turn, now),
            Some(Err(refused)) => self.refuse(&refused),
        }
    }

    fn begin_entering(&mut self, hello: Box<Hello>, turn: &mut Turn<'_>, now: Instant) {
        let Some(who) = self.who.take() else {
            return;
        };
        let site = Site {
            shared: &self.shared,
            link: &self.link,
            arrival: &self.arrival,
        };
        match Entering::new(&site, hello, who) {
            Ok(entering) => {
                self.phase = Phase::Entering(Box::new(entering));
                self.go_on(turn, now);
            }
            Err(refused) => self.refuse(&refused),
        }
    }

    /// Goes on to let a client in, if it is one that waits for that.
    fn go_on(&mut self, turn: &mut Turn<'_>, now: Instant) {
        let Phase::Entering(entering) = &mut self.phase else {
            return;
        };
        let site = Site {
            shared: &self.shared,
            link: &self.link,
            arrival: &self.arrival,
        };
        let result = entering.go_on(&site, turn);
        if let Ok(false) = result {
            return;
        }
        let Phase::Entering(entering) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return;
        };
        let entered = match result {
            Ok(_) => entering.enter(&site, turn),
            Err(refused) => {
                entering.give_up(turn);
                Err(refused)
            }
        };
        match entered {
            Ok(open) => self.begin(open, now),
            Err(refused) => self.refuse(&refused),
        }
    }

    /// The client is in.
    fn begin(&mut self, open: Open, now: Instant) {
        let common = open.common();
        tracing::info!(
            peer = %self.arrival.peer,
            client_id = ?common.client_id,
            user = common.user.name,
            vhost = common.vhost.name(),
            "connection authenticated and granted access"
        );
        self.heard = now;
        self.next_tick = open.silence_max.map(|silence| now + silence);
        self.goes_on = true;
        self.phase = Phase::Open(Box::new(open));
        // What changed before there was somebody to be told.
        self.link
            .notify(event::ACCESS | event::TAKEN | event::PRESSURE);
        if self.shared.is_stopping() {
            self.link.notify(event::SHUTDOWN);
        }
    }

    /// Another connection wants the client id: what is held of this one comes before that.
    fn make_way(&mut self, turn: &mut Turn<'_>, now: Instant) {
        match &self.phase {
            Phase::Open(open) if open.is_wanted() => {
                let text = "another connection uses the client id";
                self.finish(End::refused(ReasonCode::SessionTakenOver, text), turn);
            }
            // One that is not in yet sees to it where it waits.
            Phase::Entering(_) => self.go_on(turn, now),
            _ => {}
        }
    }

    fn refuse(&mut self, refused: &Refused) {
        let bytes = refused.write();
        self.link
            .with(|state| state.outbox.buffer().extend_from_slice(&bytes));
        let reason = format!("{}: {}", refused.reason, refused.text);
        self.log_end(&reason);
        self.phase = Phase::Over;
    }

    /// Ends an open connection behind all that it has sent; so, if that has not ended it.
    fn finish(&mut self, end: End, turn: &mut Turn<'_>) {
        if let Phase::Open(open) = &mut self.phase {
            let finished = open.running.finish(turn);
            self.end(finished.err().unwrap_or(end), turn);
        }
    }

    /// Ends an open connection in one of its ways.
    fn end(&mut self, end: End, turn: &mut Turn<'_>) {
        let Phase::Open(open) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return;
        };
        let (user, vhost, client_id) = {
            let common = open.common();
            (
                Arc::clone(&common.user),
                Arc::clone(&common.vhost),
                Arc::clone(&common.client_id),
            )
        };
        let end = open.close(end, turn);
        let seconds = self.since.elapsed().as_secs();
        tracing::info!(
            peer = %self.arrival.peer,
            ?client_id,
            user = user.name,
            vhost = vhost.name(),
            seconds,
            code = %end.reason,
            reason = end.text,
            "connection closed"
        );
    }

    /// Ends it in whatever phase it is.
    fn force(&mut self, reason: ReasonCode, text: &str, turn: &mut Turn<'_>) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Open(open) => {
                self.phase = Phase::Open(open);
                self.end(End::refused(reason, text), turn);
            }
            Phase::Entering(entering) => {
                let refused = entering.refuse(ReasonCode::ServerUnavailable, text);
                entering.give_up(turn);
                self.refuse(&refused);
            }
            Phase::Opening(opening) => match opening.hello() {
                Some(hello) => {
                    let refused = hello.refuse(ReasonCode::ServerUnavailable, text);
                    self.refuse(&refused);
                }
                None => self.log_end(text),
            },
            Phase::Over => {}
        }
    }

    fn log_end(&self, reason: &str) {
        let seconds = self.since.elapsed().as_secs();
        tracing::info!(peer = %self.arrival.peer, seconds, reason, "connection closed");
    }
}
