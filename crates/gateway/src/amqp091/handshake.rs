//! The handshake: from the protocol header to `connection.open`.
//!
//! ```text
//! Header --AMQP 0 0 9 1--> Start --start-ok--> Tune --tune-ok--> Open --open--> (running)
//!                            '--start-ok--> Login --decided--^
//! ```
//!
//! Invariants
//! - Whoever is not logged in gets no explanation beyond what RabbitMQ gives: a refused login is
//!   told to clients that understand it, everything else ends in silence.
//! - What is negotiated never exceeds what was offered.
//! - While a log-in is decided elsewhere nothing is taken.
//!
//! Not here: sockets, deadlines (`session`), users and virtual hosts (a [`Doorman`] knows them).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use amqp091::handshake::{PROTOCOL_HEADER_BYTES, ProtocolHeader, REPLY};
use amqp091::method::connection;
use amqp091::{
    Frame, FrameKind, LongStr, Method, RawTable, RawValue, ReplyCode, ShortStr, Table, Value,
};
use ferry_broker::RABBITMQ_VERSION;
use ferry_core::arguments::Arguments;

use super::arguments;
use super::errors::{Refusal, channel_error, not_allowed};

/// What we are compatible with, not what we are: clients choose their behaviour by it. kombu, for
/// one, changes a running consumer's prefetch in a way that only works with RabbitMQ's meaning of
/// `basic.qos`, and asks for that meaning by this name.
const COMPATIBLE_PRODUCT: &str = "RabbitMQ";

/// Smallest frame limit that may be negotiated, and the limit until then, in bytes.
pub(crate) const FRAME_BYTES_MIN: u32 = 4096;
const MECHANISMS: &[u8] = b"PLAIN AMQPLAIN";
const MECHANISMS_EXTERNAL: &[u8] = b"PLAIN AMQPLAIN EXTERNAL";
const LOCALES: &[u8] = b"en_US";
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

/// Who decides about users and virtual hosts.
pub(crate) trait Doorman {
    /// Logs a user in, by a password or, without one, since the name was verified.
    fn login(&mut self, user: &str, password: Option<&[u8]>) -> Decision;
    /// The user whom a certificate of the connection names; otherwise why there is none.
    fn certified(&self) -> Result<String, String>;
    /// Lets the user into a virtual host.
    fn enter(&mut self, vhost: &str, client: &Client, tuned: Tuned) -> Result<(), Refusal>;
}

/// What was decided about a log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// This; a refusal with its reason, for our log alone.
    Now(Result<(), String>),
    /// Nothing yet: [`Handshake::logged_in`] is called with it.
    Later,
}

/// What a door lets clients do before they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Whether they may log in with a certificate.
    pub(crate) external: bool,
    /// Largest frame until the limits are agreed on, in bytes.
    pub(crate) frame_bytes_max: u32,
    /// Who they are, for our log.
    pub(crate) peer: SocketAddr,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            external: false,
            frame_bytes_max: FRAME_BYTES_MIN,
            peer: (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }
}

/// What was offered to the client, and later what was agreed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tuned {
    /// Most channels at a time; 0 for no limit.
    pub(crate) channel_max: u16,
    /// Largest frame, in bytes.
    pub(crate) frame_bytes_max: u32,
    /// Seconds between heartbeats; 0 for none.
    pub(crate) heartbeat_s: u16,
}

/// What the client says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its own name for the connection.
    pub(crate) name: String,
    /// All that it says of itself.
    pub(crate) properties: Arc<Arguments>,
    /// How its user was authenticated.
    pub(crate) mechanism: String,
    /// Whether it wants to hear of dropped consumers.
    pub(crate) notify_cancel: bool,
    /// Whether it wants to hear that publishers are held.
    pub(crate) notify_blocked: bool,
    /// Whether it wants to hear that its login was refused.
    pub(crate) notify_refused: bool,
}

/// How a handshake ends when it does not succeed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `connection.close` is to be sent.
    Close(Refusal),
    /// `connection.close` is to be sent and nothing is read any more.
    CloseAtOnce(Refusal),
    /// Nothing is said; the connection is closed after a pause.
    Silent(String),
    /// The client speaks another protocol and was told ours.
    OtherProtocol(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Header,
    Start,
    Login,
    Tune,
    Open,
}

impl Step {
    /// RabbitMQ's name of the state.
    fn name(self) -> &'static str {
        match self {
            Step::Header => "pre_init",
            Step::Start | Step::Login => "starting",
            Step::Tune => "tuning",
            Step::Open => "opening",
        }
    }
}

/// A handshake that goes on.
#[derive(Debug)]
pub(crate) struct Handshake {
    step: Step,
    terms: Terms,
    offer: Tuned,
    tuned: Tuned,
    client: Client,
    mechanism: &'static str,
}

impl Handshake {
    /// A handshake that waits for the protocol header.
    pub(crate) fn new(offer: Tuned, terms: Terms) -> Handshake {
        Handshake {
            step: Step::Header,
            terms,
            offer,
            tuned: offer,
            client: Client::default(),
            mechanism: "",
        }
    }

    /// Whether a log-in is decided elsewhere.
    pub(crate) fn is_waiting(&self) -> bool {
        self.step == Step::Login
    }

    /// Takes what has come; gives how much of it was used, and whether the connection is open.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        doorman: &mut dyn Doorman,
    ) -> Result<(usize, bool), Fault> {
        let mut at = 0;
        if self.step == Step::Header {
            let Some(header) = ProtocolHeader::parse(bytes) else {
                return Ok((0, false));
            };
            if !header.is_091() {
                out.extend_from_slice(&REPLY);
                return Err(Fault::OtherProtocol(format!("{header:?}")));
            }
            write_start(self.terms, out);
            self.step = Step::Start;
            at = PROTOCOL_HEADER_BYTES;
        }
        while self.step != Step::Login {
            let limit = if self.step == Step::Open {
                self.tuned.frame_bytes_max
            } else {
                self.terms.frame_bytes_max
            };
            let frame = amqp091::frame::parse(&bytes[at..], limit)
                .map_err(|error| Fault::CloseAtOnce(error.into()))?;
            let Some(frame) = frame else {
                return Ok((at, false));
            };
            at += frame.size;
            if self.on_frame(&frame, out, doorman)? {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    fn on_frame(
        &mut self,
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
        doorman: &mut dyn Doorman,
    ) -> Result<bool, Fault> {
        if frame.kind == FrameKind::Heartbeat && frame.channel == 0 {
            return Ok(false);
        }
        if frame.kind != FrameKind::Method || frame.channel != 0 {
            let text = format!("unexpected frame in connection state {}", self.step.name());
            return Err(self.fault(Refusal::new(ReplyCode::UnexpectedFrame, text)));
        }
        let method = Method::decode(frame.payload).map_err(|error| self.fault(error.into()))?;
        let ids = method.class_method();
        match (self.step, method) {
            (Step::Start, Method::ConnectionStartOk(start_ok)) => {
                self.on_start_ok(&start_ok, out, doorman)?;
            }
            (Step::Tune, Method::ConnectionTuneOk(tune_ok)) => self.on_tune_ok(&tune_ok)?,
            (Step::Open, Method::ConnectionOpen(open)) => {
                let vhost = open.virtual_host.as_str_lossy();
                let refuse = |refusal: Refusal| Fault::Close(refusal.by(ids));
                doorman
                    .enter(&vhost, &self.client, self.tuned)
                    .map_err(refuse)?;
                let ok = connection::OpenOk {
                    known_hosts: ShortStr::EMPTY,
                };
                Method::ConnectionOpenOk(ok).write_frame(out, 0);
                return Ok(true);
            }
            (_, Method::ConnectionClose(_)) => {
                Method::ConnectionCloseOk(connection::CloseOk {}).write_frame(out, 0);
                return Err(Fault::OtherProtocol("closed by the client".into()));
            }
            _ => {
                let state = self.step.name();
                let text = format!("unexpected method in connection state {state}");
                return Err(self.fault(channel_error(text).by(ids)));
            }
        }
        Ok(false)
    }

    /// How an error ends the handshake: only a client that is logged in is told.
    fn fault(&self, refusal: Refusal) -> Fault {
        if self.step == Step::Open {
            Fault::Close(refusal)
        } else {
            Fault::Silent(refusal.to_string())
        }
    }

    fn on_start_ok(
        &mut self,
        method: &connection::StartOk<'_>,
        out: &mut Vec<u8>,
        doorman: &mut dyn Doorman,
    ) -> Result<(), Fault> {
        self.client = Client::of(method.client_properties);
        let mechanism = method.mechanism.as_str_lossy();
        self.client.mechanism = mechanism.clone().into_owned();
        let response = method.response.as_bytes();
        let (mechanism, credentials) = match mechanism.as_ref() {
            "PLAIN" => ("PLAIN", plain(response)),
            "AMQPLAIN" => ("AMQPLAIN", amqplain(response)),
            "EXTERNAL" if self.terms.external => {
                self.mechanism = "EXTERNAL";
                let decision = match doorman.certified() {
                    Ok(user) => doorman.login(&user, None),
                    Err(reason) => Decision::Now(Err(reason)),
                };
                return self.on_decision(decision, out);
            }
            other => {
                let text = format!("unknown authentication mechanism '{other}'");
                return Err(Fault::Silent(text));
            }
        };
        self.mechanism = mechanism;
        let Some((user, password)) = credentials else {
            return Err(Fault::Silent(format!("malformed {mechanism} response")));
        };
        let decision = doorman.login(&user, Some(password));
        self.on_decision(decision, out)
    }

    fn on_decision(&mut self, decision: Decision, out: &mut Vec<u8>) -> Result<(), Fault> {
        match decision {
            Decision::Now(decided) => self.logged_in(decided, out),
            Decision::Later => {
                self.step = Step::Login;
                Ok(())
            }
        }
    }

    /// Goes on with what was decided about the log-in.
    pub(crate) fn logged_in(
        &mut self,
        decided: Result<(), String>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let mechanism = self.mechanism;
        if let Err(reason) = decided {
            let reason = format!("{mechanism} login refused: {reason}");
            tracing::error!(peer = %self.terms.peer, reason, "login refused");
            if !self.client.notify_refused {
                return Err(Fault::Silent(reason));
            }
            let text = format!(
                "Login was refused using authentication mechanism {mechanism}. For details see \
                 the broker logfile."
            );
            return Err(Fault::Close(Refusal::new(ReplyCode::AccessRefused, text)));
        }
        let tune = connection::Tune {
            channel_max: self.offer.channel_max,
            frame_max: self.offer.frame_bytes_max,
            heartbeat: self.offer.heartbeat_s,
        };
        Method::ConnectionTune(tune).write_frame(out, 0);
        self.step = Step::Tune;
        Ok(())
    }

    fn on_tune_ok(&mut self, method: &connection::TuneOk) -> Result<(), Fault> {
        let (frame_max, channel_max) = (method.frame_max, u32::from(method.channel_max));
        negotiated(
            "frame_max",
            frame_max,
            FRAME_BYTES_MIN,
            self.offer.frame_bytes_max,
        )?;
        negotiated(
            "channel_max",
            channel_max,
            1,
            u32::from(self.offer.channel_max),
        )?;
        self.tuned = Tuned {
            channel_max: method.channel_max,
            frame_bytes_max: frame_max,
            heartbeat_s: method.heartbeat,
        };
        self.step = Step::Open;
        Ok(())
    }
}

fn negotiated(what: &str, value: u32, min: u32, max: u32) -> Result<(), Fault> {
    let detail = if value == 0 && what == "channel_max" {
        " (no limit)"
    } else {
        ""
    };
    let fault = |comparison: &str, bound: &str, limit: u32| {
        let text = format!(
            "negotiated {what} = {value}{detail} is {comparison} than the {bound} allowed value \
             ({limit})"
        );
        let tune = (connection::Tune::CLASS_ID, connection::Tune::METHOD_ID);
        Err(Fault::Close(not_allowed(text).by(tune)))
    };
    if value != 0 && value < min {
        return fault("lower", "minimum", min);
    }
    if max != 0 && (value == 0 || value > max) {
        return fault("higher", "maximum", max);
    }
    Ok(())
}

impl Client {
    fn of(properties: RawTable<'_>) -> Client {
        let capabilities = properties.get(b"capabilities").and_then(RawValue::as_table);
        let can = |name: &str| {
            let value = capabilities.and_then(|table| table.get(name.as_bytes()));
            value.and_then(RawValue::as_bool) == Some(true)
        };
        let name = properties
            .get(b"connection_name")
            .and_then(RawValue::as_bytes);
        Client {
            name: name
                .map(String::from_utf8_lossy)
                .unwrap_or_default()
                .into_owned(),
            properties: Arc::new(arguments::read(properties).unwrap_or_default()),
            mechanism: String::new(),
            notify_cancel: can("consumer_cancel_notify"),
            notify_blocked: can("connection.blocked"),
            notify_refused: can("authentication_failure_close"),
        }
    }
}

/// User and password of a PLAIN response: nothing, user, password, with NULs between.
fn plain(response: &[u8]) -> Option<(String, &[u8])> {
    let rest = response.strip_prefix(&[0])?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (user, password) = (&rest[..end], &rest[end + 1..]);
    if password.contains(&0) {
        return None;
    }
    Some((String::from_utf8(user.to_vec()).ok()?, password))
}

/// User and password of an AMQPLAIN response: a table's entries.
fn amqplain(response: &[u8]) -> Option<(String, &[u8])> {
    let table = RawTable::new(response);
    table.validate().ok()?;
    let text = |name: &[u8]| match table.get(name) {
        Some(RawValue::LongStr(bytes)) => Some(bytes),
        _ => None,
    };
    let user = String::from_utf8(text(b"LOGIN")?.to_vec()).ok()?;
    Some((user, text(b"PASSWORD")?))
}

fn write_start(terms: Terms, out: &mut Vec<u8>) {
    let mut capabilities = Table::new();
    for name in CAPABILITIES {
        capabilities.push(ShortStr::lit(name), true);
    }
    let mut properties = Table::new();
    properties.push(ShortStr::lit("capabilities"), Value::from(capabilities));
    for (name, value) in [
        ("cluster_name", "ferrymq"),
        ("information", "Licensed under the Apache License 2.0."),
        ("platform", concat!("FerryMQ ", env!("CARGO_PKG_VERSION"))),
        ("product", COMPATIBLE_PRODUCT),
        ("version", RABBITMQ_VERSION),
    ] {
        properties.push(ShortStr::lit(name), Value::from(value));
    }
    let properties = properties.to_bytes();
    Method::ConnectionStart(connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: RawTable::new(&properties),
        mechanisms: LongStr::new(match terms.external {
            true => MECHANISMS_EXTERNAL,
            false => MECHANISMS,
        }),
        locales: LongStr::new(LOCALES),
    })
    .write_frame(out, 0);
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
