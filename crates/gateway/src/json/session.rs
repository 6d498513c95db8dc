//! One connection's state from its first text to its last.
//!
//! ```text
//! Waiting --login--> Deciding --> Open --> Over
//!     '-- refused -------'-- refused ------^
//! ```
//!
//! Invariants
//! - Before somebody has logged in nothing long is waited for, and nothing for long.
//! - Whatever the way out, what the connection holds is given back exactly once.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ferry_auth::LogIn;
use ferry_broker::{Burst, LoginBy, Spoken};

use super::answer::{Problem, write_error, write_ok};
use super::open::Open;
use super::request::Request;
use super::turn::Turn;
use super::wire::{Link, Wire};
use crate::arrival::Arrival;
use crate::link::{AnyLink, event};
use crate::login::{self, Decided, LoginSlot};
use crate::session::Session as _;
use crate::shared::Shared;
use crate::websocket::CloseCode;

/// How long a client may take until it has logged in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest text before that, in bytes.
const LOGIN_BYTES_MAX: usize = 64 << 10;
/// Longest text of which a part is waited for while memory is short, in bytes.
const SHORT_BYTES_MAX: usize = 64 << 10;
/// After how long the clock is looked at again, however far away the end of a wait is.
const WAIT_MS_MAX: u64 = 3_600_000;

enum Phase {
    Waiting,
    /// A log-in is decided elsewhere.
    Deciding {
        id: Option<u64>,
        vhost: String,
    },
    Open(Box<Open>),
    Over,
}

/// One connection's protocol state.
pub(crate) struct Session {
    shared: Arc<Shared>,
    link: Arc<Link>,
    arrival: Arrival,
    slot: LoginSlot,
    phase: Phase,
    since: Instant,
    next_tick: Option<Instant>,
}

impl crate::session::Session for Session {
    type Wire = Wire;

    const PROTOCOL: &'static str = "JSON";

    fn new(shared: Arc<Shared>, link: Arc<Link>, arrival: Arrival, now: Instant) -> Session {
        Session {
            shared,
            link,
            arrival,
            slot: LoginSlot::default(),
            phase: Phase::Waiting,
            since: now,
            next_tick: Some(now + LOGIN_TIMEOUT),
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn publishes(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.publishes)
    }

    fn wants_more(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Open(_))
    }

    fn takes_rest(&mut self) -> bool {
        false
    }

    fn receive(&mut self, bytes: &[u8], fresh: usize, burst: &mut Burst, now: Instant) -> usize {
        if fresh > 0 {
            self.shared
                .broker
                .edges()
                .received(Spoken::Json, fresh as u64);
            self.link.front.received(fresh);
        }
        let mut turn = Turn::of_read(burst, now);
        let mut at = 0;
        // What is not fresh was looked through before, unless it waited for a log-in.
        let mut from = if fresh > 0 { bytes.len() - fresh } else { 0 };
        while self.wants_more() {
            let Some(length) = bytes[from..].iter().position(|byte| *byte == 0) else {
                break;
            };
            let text = &bytes[at..from + length];
            self.check_length(text, &mut turn);
            self.receive_text(text, &mut turn);
            at = from + length + 1;
            from = at;
        }
        self.check_length(&bytes[at..], &mut turn);
        self.count_rest(&bytes[at..], &mut turn);
        turn.submit(&self.link);
        self.plan(now);
        match self.phase {
            Phase::Over => bytes.len(),
            _ => at,
        }
    }

    fn on_events(&mut self, events: u32, burst: &mut Burst, now: Instant) {
        if events & event::BROKEN != 0 {
            return self.abandon("the socket is broken", burst);
        }
        let mut turn = Turn::of_read(burst, now);
        if events & event::LOGIN != 0 {
            let decided = self.slot.lock().take();
            if let Some(decided) = decided {
                self.decided(decided, &mut turn);
            }
        }
        if let Phase::Open(open) = &mut self.phase {
            open.on_events(events);
        }
        if events & event::ACCESS != 0 {
            self.check(&mut turn);
        }
        if events & event::FAILED != 0 {
            self.end(CloseCode::Error, "the message log has failed", &mut turn);
        }
        if events & event::CLOSE != 0
            && let Some(text) = self.link.front.take_close_reason()
        {
            self.end(CloseCode::Policy, &text, &mut turn);
        }
        if events & event::SHUTDOWN != 0 {
            self.end(CloseCode::Away, "the broker is going down", &mut turn);
        }
        self.plan(now);
    }

    fn next_tick(&self) -> Option<Instant> {
        self.next_tick
    }

    fn tick(&mut self, now: Instant, _is_read: bool, burst: &mut Burst) {
        let mut turn = Turn::of_read(burst, now);
        match &self.phase {
            Phase::Open(open) => {
                open.wake_up();
                self.check(&mut turn);
                self.plan(now);
            }
            Phase::Waiting | Phase::Deciding { .. } => {
                self.end(CloseCode::Policy, "nobody has logged in in time", &mut turn);
            }
            Phase::Over => {}
        }
        if self.is_over() {
            self.next_tick = None;
        }
    }

    fn abandon(&mut self, reason: &str, burst: &mut Burst) {
        let mut turn = Turn::of_read(burst, Instant::now());
        self.end(CloseCode::Normal, reason, &mut turn);
    }
}

impl Session {
    /// Ends a connection that nobody has logged in on and that sends more than a log-in.
    fn check_length(&mut self, text: &[u8], turn: &mut Turn<'_>) {
        if text.len() > LOGIN_BYTES_MAX && matches!(self.phase, Phase::Waiting) {
            self.end(CloseCode::Size, "a log-in is not that long", turn);
        }
    }

    /// Counts a text that is not whole. As publishes are refused while memory is short, no long
    /// text is waited for then.
    fn count_rest(&mut self, rest: &[u8], turn: &mut Turn<'_>) {
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        let grows = open.arriving.set(rest.len() as u64);
        if grows && rest.len() > SHORT_BYTES_MAX && self.shared.broker.memory().is_short() {
            self.end(CloseCode::Again, "low on memory", turn);
        }
    }

    fn receive_text(&mut self, text: &[u8], turn: &mut Turn<'_>) {
        if self.is_over() {
            return;
        }
        let Ok(text) = std::str::from_utf8(text) else {
            return self.end(CloseCode::Invalid, "a text is not UTF-8", turn);
        };
        let (id, request) = Request::read(text);
        let done = match (&mut self.phase, request) {
            (_, Err(problem)) => Err(problem),
            (Phase::Open(open), Ok(request)) => open.handle(request, turn),
            (
                Phase::Waiting,
                Ok(Request::Login {
                    id,
                    user,
                    password,
                    vhost,
                }),
            ) => {
                self.phase = Phase::Deciding { id, vhost };
                return self.log_in(&user, &password, turn);
            }
            (_, Ok(_)) => Err(Problem::new("login_needed", "the first request is `login`")),
        };
        if let Err(problem) = done {
            self.link.say(|out| write_error(out, id, &problem));
        }
    }

    fn log_in(&mut self, user: &str, password: &str, turn: &mut Turn<'_>) {
        let asked = LogIn {
            user,
            password: Some(password.as_bytes()),
            loopback: self.arrival.loopback,
            address: self.arrival.peer.ip(),
            by: LoginBy::Http,
        };
        let link: Weak<dyn AnyLink> = Arc::downgrade(&self.link) as _;
        let decided = login::begin(&self.shared.backends, asked, &self.slot, link);
        if let Some(decided) = decided {
            self.decided(decided, turn);
        }
    }

    fn decided(&mut self, decided: Decided, turn: &mut Turn<'_>) {
        let Phase::Deciding { id, vhost } = std::mem::replace(&mut self.phase, Phase::Waiting)
        else {
            return;
        };
        let opened = match decided {
            Ok(user) => Open::new(&self.shared, &self.link, &self.arrival, user, &vhost),
            Err(reason) => {
                tracing::info!(peer = %self.arrival.peer, reason, "log-in refused");
                let text = "user or password is wrong, or may not log in from there";
                Err(Problem::new("access_refused", text))
            }
        };
        match opened {
            Ok(open) => {
                tracing::info!(
                    peer = %self.arrival.peer,
                    user = open.user.name,
                    vhost = open.vhost.name(),
                    "connection authenticated and granted access"
                );
                self.phase = Phase::Open(Box::new(open));
                self.link.say(|out| write_ok(out, id, None));
                // What changed before there was somebody to be told.
                self.link.notify(event::ACCESS);
            }
            Err(problem) => {
                self.link.say(|out| write_error(out, id, &problem));
                self.end(CloseCode::Policy, &problem.text, turn);
            }
        }
    }

    /// Ends a connection that may not go on.
    fn check(&mut self, turn: &mut Turn<'_>) {
        if let Phase::Open(open) = &self.phase
            && let Some(text) = open.fault()
        {
            self.end(CloseCode::Policy, &text, turn);
        }
    }

    /// Notes when there is something to do without being asked.
    fn plan(&mut self, now: Instant) {
        let Phase::Open(open) = &self.phase else {
            return;
        };
        let paced = open.pacing.is_holding();
        self.link.front.show(open.publishes, paced);
        self.next_tick = open.wakes_at().map(|at| {
            let wait_ms = at.saturating_sub(open.broker.now());
            now + Duration::from_millis(wait_ms.clamp(1, WAIT_MS_MAX))
        });
    }

    /// Ends it in whatever phase it is.
    fn end(&mut self, code: CloseCode, reason: &str, turn: &mut Turn<'_>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        if matches!(phase, Phase::Over) {
            return;
        }
        if let Some(framed) = self.link.framed() {
            framed.close(code, reason);
        }
        if let Phase::Open(open) = phase {
            open.release(turn);
        }
        let seconds = self.since.elapsed().as_secs();
        tracing::info!(peer = %self.arrival.peer, seconds, reason, "connection closed");
    }
}
