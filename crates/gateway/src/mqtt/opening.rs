//! From the first byte to a user: CONNECT, and whatever shows who the client is.
//!
//! Invariants
//! - Bytes go in and come out; who somebody is, the [`Host`] knows.
//! - Nothing behind the CONNECT is looked at before the log-in is decided.
//!
//! Not here: virtual host, limits, take-over and the session (`entering`).

use ferry_auth::scram::NAME;
use mqtt::{DecodeError, Packet, ReasonCode};

use super::connect::{self, CONNECT_BYTES_MAX, Hello, Refused};
use super::sasl::write_auth;

/// Whether a client is let in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is known.
    In,
    /// Somebody has to be asked; [`Opening::decided`] tells.
    Later,
}

/// Knows the users.
pub(crate) trait Host {
    /// A log-in by a method that waits for the client's last message.
    type Exchange;

    /// Has a log-in decided.
    fn log_in(&mut self, hello: &Hello) -> Result<Verdict, Refused>;

    /// Begins a log-in by SCRAM with the client's first message; gives the answer, or why not.
    fn begin(&mut self, first: &[u8]) -> Result<(Self::Exchange, Vec<u8>), String>;

    /// Ends it with the client's last message; gives the answer to that, or why not.
    fn finish(&mut self, exchange: Self::Exchange, last: &[u8]) -> Result<Vec<u8>, String>;
}

enum Stage<X> {
    First,
    Deciding(Box<Hello>),
    Exchanging(Box<Hello>, X),
    Done,
}

/// A connection whose client is not known yet.
pub(crate) struct Opening<X> {
    stage: Stage<X>,
}

/// How far it has come.
pub(crate) enum Step {
    /// More bytes, or a decision, are needed.
    More(usize),
    /// It is known who the client is.
    In(usize, Box<Hello>),
}

impl<X> Opening<X> {
    /// Waits for a CONNECT.
    pub(crate) fn new() -> Opening<X> {
        Opening {
            stage: Stage::First,
        }
    }

    /// Whether a decision is waited for, and no bytes.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Deciding(_))
    }

    /// What the client has said so far.
    pub(crate) fn hello(&self) -> Option<&Hello> {
        match &self.stage {
            Stage::Deciding(hello) | Stage::Exchanging(hello, _) => Some(hello),
            Stage::First | Stage::Done => None,
        }
    }

    /// Takes what has come; what is to be answered goes into `out`.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        host: &mut impl Host<Exchange = X>,
    ) -> Result<Step, Refused> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::First => self.receive_connect(bytes, out, host),
            Stage::Exchanging(hello, exchange) => self.receive_auth(bytes, hello, exchange, host),
            waits => {
                self.stage = waits;
                Ok(Step::More(0))
            }
        }
    }

    fn receive_connect(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        host: &mut impl Host<Exchange = X>,
    ) -> Result<Step, Refused> {
        let Some((hello, used)) = connect::read(bytes)? else {
            self.stage = Stage::First;
            return Ok(Step::More(0));
        };
        if let Some((method, first)) = &hello.method {
            if method != NAME {
                let text = format!("authentication method {method:?} is not known here");
                return Err(hello.refuse(ReasonCode::BadAuthenticationMethod, text));
            }
            let begun = host.begin(first).map_err(|text| bad_login(&hello, text));
            let (exchange, answer) = begun?;
            let reason = ReasonCode::ContinueAuthentication;
            write_auth(out, reason, &answer, hello.packet_bytes_max);
            self.stage = Stage::Exchanging(Box::new(hello), exchange);
            return Ok(Step::More(used));
        }
        match host.log_in(&hello)? {
            Verdict::In => Ok(Step::In(used, Box::new(hello))),
            Verdict::Later => {
                self.stage = Stage::Deciding(Box::new(hello));
                Ok(Step::More(used))
            }
        }
    }

    /// The client may send AUTH and DISCONNECT until it is let in, and nothing else.
    fn receive_auth(
        &mut self,
        bytes: &[u8],
        mut hello: Box<Hello>,
        exchange: X,
        host: &mut impl Host<Exchange = X>,
    ) -> Result<Step, Refused> {
        let undecodable = |error: DecodeError| hello.refuse(error.reason, error.to_string());
        let frame = mqtt::frame(bytes, CONNECT_BYTES_MAX).map_err(undecodable)?;
        let Some(frame) = frame else {
            self.stage = Stage::Exchanging(hello, exchange);
            return Ok(Step::More(0));
        };
        let auth = match Packet::decode(frame, hello.version).map_err(undecodable)? {
            Packet::Auth(auth) if auth.reason == ReasonCode::ContinueAuthentication => auth,
            Packet::Disconnect(_) => {
                let text = "closed by the client";
                return Err(Refused::silently(ReasonCode::Success, text));
            }
            _ => {
                let text = "not the AUTH that goes on with the authentication";
                return Err(hello.refuse(ReasonCode::ProtocolError, text));
            }
        };
        if auth.properties.authentication_method() != Some(NAME) {
            let text = "AUTH with another authentication method than CONNECT";
            return Err(hello.refuse(ReasonCode::BadAuthenticationMethod, text));
        }
        let last = auth.properties.authentication_data().unwrap_or_default();
        let finished = host.finish(exchange, last);
        let answer = finished.map_err(|text| bad_login(&hello, text))?;
        hello.method = Some((NAME.to_owned(), answer));
        Ok(Step::In(frame.size, hello))
    }

    /// Goes on with what was decided: who it is, or why not. Nothing if nobody waits for it.
    pub(crate) fn decided(
        &mut self,
        decided: Result<(), String>,
    ) -> Option<Result<Box<Hello>, Refused>> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Deciding(hello) => Some(match decided {
                Ok(()) => Ok(hello),
                Err(text) => Err(bad_login(&hello, text)),
            }),
            other => {
                self.stage = other;
                None
            }
        }
    }
}

/// The refusal of a log-in. Why it was refused is for the log, not for the client.
pub(crate) fn bad_login(hello: &Hello, text: String) -> Refused {
    tracing::info!(reason = text, "a log-in was refused");
    let text = "user name or password is not right";
    hello.refuse(ReasonCode::BadUserNameOrPassword, text)
}

#[cfg(test)]
mod tests;
