//! A session: one connection's protocol state from its first byte to its last.
//!
//! ```text
//! Handshake --open--> Running --close by either side--> Closing --close-ok or time--> Over
//!     '---- refused, silent ------------------------------------------------------------^
//! ```
//!
//! Invariants
//! - Bytes go in, frames go to the link's outbox; the session reads no socket and knows no task.
//! - Time is an argument; `next_tick` says when the session wants to be asked again.
//! - Whatever the way out, what the connection holds is given back exactly once.

mod door;
mod info;
mod login;
mod wake;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp091::frame::FRAME_OVERHEAD_BYTES;
use amqp091::method::connection;
use amqp091::{FrameKind, Method, ReplyCode};
use ferry_broker::{Burst, Spoken, User};

use self::door::Door;
use super::errors::Refusal;
use super::handshake::{Fault, Handshake, Tuned};
use super::running::{End, Running};
use super::turn::Turn;
use super::wire::{Link, Wire};
use crate::arrival::Arrival;
use crate::link::event;
use crate::login::LoginSlot;
use crate::session::Session as _;
use crate::shared::Shared;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a refused client is kept waiting before its connection is closed.
const SILENT_CLOSE_DELAY: Duration = Duration::from_secs(3);
/// How long we wait for a client's `close-ok`.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
/// The same while the broker is going down.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);
/// Half intervals without a byte after which a client counts as gone.
const SILENT_TICKS_MAX: u32 = 4;

enum Phase {
    Handshake(Box<Handshake>),
    Running(Box<Running>),
    /// We have said goodbye; `deaf` when nothing more is read.
    Closing {
        deaf: bool,
    },
    Over,
}

/// Heartbeats, looked at twice per interval.
#[derive(Default)]
struct Heart {
    half: Option<Duration>,
    received_before: u64,
    sent_before: u64,
    silent_ticks: u32,
}

/// One connection's protocol state.
pub(crate) struct Session {
    shared: Arc<Shared>,
    link: Arc<Link>,
    peer: SocketAddr,
    arrival: Arrival,
    /// A log-in that is decided elsewhere.
    login: LoginSlot,
    /// Whether one was decided, so that what waits for it goes on.
    login_decided: bool,
    user: Option<Arc<User>>,
    since: Instant,
    phase: Phase,
    heart: Heart,
    next_tick: Option<Instant>,
    /// When a wait for the sake of a rate may be over.
    wake: Option<Instant>,
    received_bytes: u64,
}

impl crate::session::Session for Session {
    type Wire = Wire;

    const PROTOCOL: &'static str = "AMQP";

    fn new(shared: Arc<Shared>, link: Arc<Link>, arrival: Arrival, now: Instant) -> Session {
        let terms = login::terms(&shared, &arrival);
        let offer = Tuned {
            channel_max: shared.config.channel_max,
            frame_bytes_max: shared.config.frame_bytes_max,
            heartbeat_s: shared.config.heartbeat_s,
        };
        Session {
            shared,
            link,
            peer: arrival.peer,
            arrival,
            login: LoginSlot::default(),
            login_decided: false,
            user: None,
            since: now,
            phase: Phase::Handshake(Box::new(Handshake::new(offer, terms))),
            heart: Heart::default(),
            next_tick: Some(now + HANDSHAKE_TIMEOUT),
            wake: None,
            received_bytes: 0,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn publishes(&self) -> bool {
        matches!(&self.phase, Phase::Running(running) if running.publishes())
    }

    fn wants_more(&self) -> bool {
        match &self.phase {
            Phase::Handshake(handshake) => !handshake.is_waiting(),
            Phase::Running(running) => running.wants_more(),
            Phase::Closing { deaf } => !deaf,
            Phase::Over => false,
        }
    }

    fn takes_rest(&mut self) -> bool {
        std::mem::take(&mut self.login_decided)
    }

    fn receive(&mut self, bytes: &[u8], fresh: usize, burst: &mut Burst, now: Instant) -> usize {
        self.received_bytes += fresh as u64;
        self.shared
            .broker
            .edges()
            .received(Spoken::Amqp091, fresh as u64);
        self.link.front.received(fresh);
        let mut turn = Turn::of_read(burst, now);
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let before = std::mem::discriminant(&self.phase);
            at += match &mut self.phase {
                Phase::Handshake(_) => self.receive_handshake(rest, now),
                Phase::Running(running) => match running.receive(rest, &mut turn) {
                    Ok(used) => used,
                    Err(end) => {
                        self.end(end, &mut turn, now);
                        rest.len()
                    }
                },
                Phase::Closing { deaf: false } => self.receive_closing(rest),
                Phase::Closing { deaf: true } | Phase::Over => rest.len(),
            };
            if before == std::mem::discriminant(&self.phase) || at == bytes.len() {
                break;
            }
        }
        if let Phase::Running(running) = &mut self.phase {
            running.submit(&mut turn);
        }
        self.plan_wake(now);
        at
    }

    fn on_events(&mut self, events: u32, burst: &mut Burst, now: Instant) {
        if events & event::LOGIN != 0 {
            self.take_login(now);
        }
        if events & event::BROKEN != 0 {
            return self.abandon("the socket is broken", burst);
        }
        let mut turn = Turn::new(burst);
        if let Phase::Running(running) = &mut self.phase {
            if events & event::LEFTOVERS != 0 {
                running.take_leftovers(&mut turn);
            }
            if events & event::RESUME != 0 {
                running.resume_starved();
            }
            let mut result = match events & event::PRESSURE {
                0 => Ok(()),
                _ => running.on_pressure(&mut turn),
            };
            if events & event::ACCESS != 0 {
                result = result.and_then(|()| running.access_changed(&mut turn));
            }
            running.submit(&mut turn);
            if let Err(end) = result {
                self.end(end, &mut turn, now);
            }
        }
        self.wake_up(events, burst, now);
        let mut turn = Turn::new(burst);
        if events & event::FAILED != 0 {
            let refusal = Refusal::new(ReplyCode::InternalError, "the message log has failed");
            self.force(refusal, &mut turn, now);
        }
        if events & event::CLOSE != 0
            && let Some(reason) = self.link.front.take_close_reason()
        {
            let refusal = Refusal::new(ReplyCode::ConnectionForced, reason);
            self.force(refusal, &mut turn, now);
        }
        if events & event::SHUTDOWN != 0 {
            let text = "broker forced connection closure with reason 'shutdown'";
            self.force(
                Refusal::new(ReplyCode::ConnectionForced, text),
                &mut turn,
                now,
            );
        }
    }

    fn next_tick(&self) -> Option<Instant> {
        self.next_tick.into_iter().chain(self.wake).min()
    }

    fn tick(&mut self, now: Instant, is_read: bool, burst: &mut Burst) {
        self.wake_up(0, burst, now);
        if self.next_tick.is_none_or(|at| at > now) {
            return;
        }
        match &self.phase {
            Phase::Over => {}
            Phase::Closing { .. } => {
                self.phase = Phase::Over;
                self.next_tick = None;
            }
            Phase::Handshake(_) => {
                self.log_end("handshake_timeout");
                self.phase = Phase::Over;
            }
            Phase::Running(_) => self.beat(now, is_read, burst),
        }
    }

    fn abandon(&mut self, reason: &str, burst: &mut Burst) {
        if self.is_over() {
            return;
        }
        if !matches!(self.phase, Phase::Closing { .. }) {
            self.log_end(reason);
        }
        let mut turn = Turn::new(burst);
        if let Phase::Running(running) = &mut self.phase {
            running.release(&mut turn);
        }
        self.phase = Phase::Over;
    }
}

impl Session {
    fn receive_handshake(&mut self, bytes: &[u8], now: Instant) -> usize {
        let Session {
            shared,
            link,
            arrival,
            login,
            user,
            phase: Phase::Handshake(handshake),
            ..
        } = self
        else {
            return 0;
        };
        let mut door = Door {
            shared,
            link,
            arrival,
            login,
            user,
            opened: None,
        };
        let mut out = Vec::new();
        let result = handshake.receive(bytes, &mut out, &mut door);
        let opened = door.opened.take();
        self.link
            .with(|state| state.outbox.buffer().extend_from_slice(&out));
        match result {
            Ok((used, false)) => used,
            Ok((used, true)) => {
                let running = opened.expect("the doorman let it in");
                self.start_running(running, now);
                used
            }
            Err(fault) => {
                self.fault(fault, now);
                bytes.len()
            }
        }
    }

    fn start_running(&mut self, (running, tuned): (Running, Tuned), now: Instant) {
        let half = Duration::from_millis(u64::from(tuned.heartbeat_s) * 500);
        self.heart = Heart {
            half: Some(half).filter(|half| !half.is_zero()),
            received_before: self.received_bytes,
            sent_before: self.link.sent_bytes(),
            silent_ticks: 0,
        };
        self.next_tick = self.heart.half.map(|half| now + half);
        tracing::info!(
            peer = %self.peer,
            user = running.common.user.name,
            vhost = running.common.vhost.name(),
            "connection authenticated and granted access"
        );
        self.phase = Phase::Running(Box::new(running));
        // What changed before there was somebody to be told.
        self.link.notify(event::ACCESS);
        if self.shared.is_stopping() {
            self.link.notify(event::SHUTDOWN);
        }
    }

    fn fault(&mut self, fault: Fault, now: Instant) {
        let (deaf, wait, reason) = match fault {
            Fault::Close(refusal) => {
                self.say_close(&refusal);
                (false, CLOSE_TIMEOUT, refusal.to_string())
            }
            Fault::CloseAtOnce(refusal) => {
                self.say_close(&refusal);
                (true, SILENT_CLOSE_DELAY, refusal.to_string())
            }
            Fault::Silent(reason) => (true, SILENT_CLOSE_DELAY, reason),
            Fault::OtherProtocol(reason) => {
                self.log_end(&reason);
                self.phase = Phase::Over;
                return;
            }
        };
        self.log_end(&reason);
        self.phase = Phase::Closing { deaf };
        self.next_tick = Some(now + wait);
    }

    fn say_close(&self, refusal: &Refusal) {
        self.link
            .with(|state| refusal.write_connection_close(state.outbox.buffer()));
    }

    fn log_end(&self, reason: &str) {
        let seconds = self.since.elapsed().as_secs();
        let (user, vhost) = match &self.phase {
            Phase::Running(running) => (
                running.common.user.name.as_str(),
                running.common.vhost.name(),
            ),
            _ => ("", ""),
        };
        tracing::info!(peer = %self.peer, user, vhost, seconds, reason, "connection closed");
    }

    /// Ends an open connection in one of its ways.
    fn end(&mut self, end: End, turn: &mut Turn<'_>, now: Instant) {
        let Phase::Running(running) = &mut self.phase else {
            return;
        };
        running.release(turn);
        match end {
            End::ByClient => {
                self.log_end("closed by the client");
                self.link.with(|state| {
                    // Nothing follows this, also when the disk catches up later.
                    state.wire.debts.clear();
                    Method::ConnectionCloseOk(connection::CloseOk {})
                        .write_frame(state.outbox.buffer(), 0);
                });
                // The client hangs up first, as with RabbitMQ: one that sees our end of file before
                // it has read `close-ok` takes an orderly close for a lost connection.
                self.phase = Phase::Closing { deaf: false };
                self.next_tick = Some(now + CLOSE_TIMEOUT);
            }
            End::Close(refusal) => self.fault(Fault::Close(refusal), now),
            End::CloseAtOnce(refusal) => self.fault(Fault::CloseAtOnce(refusal), now),
        }
    }

    /// After our close only the client's word about it counts.
    fn receive_closing(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let parsed = amqp091::frame::parse(&bytes[at..], self.shared.config.frame_bytes_max);
            let frame = match parsed {
                Ok(Some(frame)) => frame,
                Ok(None) => return at,
                // What makes no sense is not kept: nobody waits for the rest of it.
                Err(_) => return bytes.len(),
            };
            at += frame.size;
            if frame.channel != 0 || frame.kind != FrameKind::Method {
                continue;
            }
            match Method::decode(frame.payload) {
                Ok(Method::ConnectionCloseOk(_)) => {
                    self.phase = Phase::Over;
                    return bytes.len();
                }
                Ok(Method::ConnectionClose(_)) => self.link.with(|state| {
                    Method::ConnectionCloseOk(connection::CloseOk {})
                        .write_frame(state.outbox.buffer(), 0);
                }),
                _ => {}
            }
        }
    }

    fn force(&mut self, refusal: Refusal, turn: &mut Turn<'_>, now: Instant) {
        match self.phase {
            Phase::Running(_) => {
                self.end(End::Close(refusal), turn, now);
                self.next_tick = Some(now + SHUTDOWN_TIMEOUT);
            }
            Phase::Handshake(_) => {
                self.log_end("the broker is going down");
                self.phase = Phase::Over;
            }
            Phase::Closing { .. } => self.phase = Phase::Over,
            Phase::Over => {}
        }
    }

    fn beat(&mut self, now: Instant, is_read: bool, burst: &mut Burst) {
        let Some(half) = self.heart.half else {
            self.next_tick = None;
            return;
        };
        self.next_tick = Some(now + half);
        let received = self.received_bytes != self.heart.received_before;
        let sent = self.link.sent_bytes();
        let taken = sent != self.heart.sent_before;
        self.heart.silent_ticks = match received || self.link.excuses_silence(is_read, taken) {
            true => 0,
            false => self.heart.silent_ticks + 1,
        };
        self.heart.received_before = self.received_bytes;
        if self.heart.silent_ticks >= SILENT_TICKS_MAX {
            return self.abandon("missed heartbeats from client", burst);
        }
        let idle = !taken && self.link.level() == 0;
        if idle {
            self.link
                .with(|state| amqp091::frame::write_heartbeat(state.outbox.buffer()));
        }
        // A heartbeat of ours does not stand in for the next one.
        let heartbeat_bytes = if idle { FRAME_OVERHEAD_BYTES as u64 } else { 0 };
        self.heart.sent_before = sent + heartbeat_bytes;
    }
}
