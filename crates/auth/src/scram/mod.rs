//! SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677): the server's side.
//!
//! ```text
//! client-first ---> ClientFirst::parse --answer--> Server, server-first
//! client-final ---> Server::finish ---> server-final, or why not
//! ```
//!
//! [`Exchange`] is both with the broker's users behind them.
//!
//! Invariants
//! - Each message is looked at once, and a state is left for good: nothing can be sent twice.
//! - What comes is bounded before it is looked at.
//! - A wrong proof is counted, however the exchange went on before.
//!
//! Not here: who has which verifier (`ferry-broker`), how messages are carried.

#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod message;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferry_broker::{LoginBy, LoginError, ScramLogin, ScramVerifier, User};
use ring::rand::{SecureRandom, SystemRandom};

use crate::Backends;
use message::ClientFinal;
pub use message::{ClientFirst, ScramError};

/// The name of the mechanism.
pub const NAME: &str = "SCRAM-SHA-256";

/// Of a nonce, before base64.
const NONCE_BYTES: usize = 18;

/// Where a client comes from.
#[derive(Debug, Clone, Copy)]
pub struct ScramFrom {
    /// Its address.
    pub address: IpAddr,
    /// Whether that is on this machine, all the way.
    pub loopback: bool,
    /// Over which protocol.
    pub by: LoginBy,
}

/// An exchange that waits for the client's second and last message.
#[derive(Debug)]
pub struct Server {
    /// The client's header, in base64: it says it again.
    header: String,
    /// Both nonces.
    nonce: String,
    /// What both sides have said so far, as it is signed.
    said: String,
    verifier: ScramVerifier,
}

impl ClientFirst {
    /// Goes on with the user's verifier. Gives the first message for the client.
    pub fn answer(self, verifier: ScramVerifier) -> (Server, Vec<u8>) {
        let mut nonce = [0; NONCE_BYTES];
        let filled = SystemRandom::new().fill(&mut nonce);
        filled.expect("the system has randomness");
        self.answer_with(verifier, &BASE64_STANDARD.encode(nonce))
    }

    fn answer_with(self, verifier: ScramVerifier, nonce: &str) -> (Server, Vec<u8>) {
        let nonce = format!("{}{nonce}", self.nonce);
        let salt = BASE64_STANDARD.encode(verifier.salt());
        let first = format!("r={nonce},s={salt},i={}", verifier.rounds());
        let server = Server {
            header: BASE64_STANDARD.encode(&self.header),
            nonce,
            said: format!("{},{first}", self.bare),
            verifier,
        };
        (server, first.into_bytes())
    }
}

impl Server {
    /// Looks at the client's proof. Gives the last message for the client.
    ///
    /// # Errors
    /// If the message is not the second of this exchange, or the proof is wrong.
    pub fn finish(self, message: &[u8]) -> Result<Vec<u8>, ScramError> {
        let last = ClientFinal::parse(message)?;
        if last.binding != self.header || last.nonce != self.nonce {
            return Err(ScramError::AnotherExchange);
        }
        let said = format!("{},{}", self.said, last.without_proof);
        if !self.verifier.is_proof(said.as_bytes(), &last.proof) {
            return Err(ScramError::WrongProof);
        }
        let signature = self.verifier.signature(said.as_bytes());
        Ok(format!("v={}", BASE64_STANDARD.encode(signature)).into_bytes())
    }
}

/// A log-in of one of the broker's users.
pub struct Exchange {
    server: Server,
    login: ScramLogin,
}

impl Exchange {
    /// Begins, as `user`: the one of the message, or what the door makes of it. Gives the first
    /// message for the client.
    ///
    /// # Errors
    /// If the client has to wait, or the broker's users are not among the back ends.
    pub fn begin(
        first: ClientFirst,
        user: &str,
        backends: &Backends,
        from: &ScramFrom,
    ) -> Result<(Exchange, Vec<u8>), LoginError> {
        let login = backends.begin_scram(user, from)?;
        let (server, message) = first.answer(login.verifier().clone());
        Ok((Exchange { server, login }, message))
    }

    /// Ends, with the client's second message. Gives the user, and the last message for the client.
    ///
    /// # Errors
    /// If the proof is wrong, or the user may not come from there.
    pub fn finish(self, message: &[u8]) -> Result<(Arc<User>, Vec<u8>), LoginError> {
        let finished = self.server.finish(message);
        if let Err(error) = &finished {
            tracing::debug!(%error, "a log-in by SCRAM fails");
        }
        let user = self.login.end(finished.is_ok())?;
        Ok((user, finished.unwrap_or_default()))
    }
}
