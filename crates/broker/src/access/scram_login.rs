//! Logging in by SCRAM: the broker gives what it has of a password, the door holds the exchange and
//! says whether the proof was right.
//!
//! Invariants
//! - Who is not there, or has no verifier, gets one that looks like any other, and the same each
//!   time, also after a restart.
//! - A wrong proof costs what a wrong password costs; who has to wait is told so before.
//! - A password that was changed during the exchange ends it.

use std::net::IpAddr;
use std::sync::Arc;

use super::attempts::LoginBy;
use super::change::AccessChange;
use super::login::check_place;
use super::{Account, ScramVerifier, User, password};
use crate::{Broker, LoginError};

/// A log-in that waits for the proof of its client.
pub struct ScramLogin {
    broker: Arc<Broker>,
    /// None if no proof is right.
    account: Option<Arc<Account>>,
    verifier: ScramVerifier,
    debtor: u64,
    loopback: bool,
    by: LoginBy,
}

impl Broker {
    /// Begins a log-in by SCRAM-SHA-256. `loopback` is whether the client is on this machine.
    ///
    /// # Errors
    /// If the client has to wait, or nothing can be stored any more.
    pub fn begin_scram(
        &self,
        user: &str,
        address: IpAddr,
        loopback: bool,
        by: LoginBy,
    ) -> Result<ScramLogin, LoginError> {
        let attempts = &self.access.logins.attempts;
        let debtor = attempts.debtor(address, user);
        if attempts.has_to_wait(debtor, self.now()) {
            attempts.count(by, false);
            return Err(LoginError::TooMany);
        }
        // For each user, so that the time tells nobody which there are.
        let made_up = ScramVerifier::made_up(&self.scram_secret()?, user);
        let account = self.account(user);
        let kept = account
            .as_ref()
            .and_then(|account| account.password_hash.as_deref());
        let known = kept.and_then(password::scram_of);
        Ok(ScramLogin {
            broker: self.arc(),
            account: account.filter(|_| known.is_some()),
            verifier: known.unwrap_or(made_up),
            debtor,
            loopback,
            by,
        })
    }

    /// What verifiers are made up from; written down the first time.
    fn scram_secret(&self) -> Result<[u8; 32], LoginError> {
        let known = || self.access.tables.read().secret;
        if let Some(secret) = known() {
            return Ok(secret);
        }
        let change = AccessChange::Secret(password::random_key());
        let written = self.change_access(change, |tables| Ok(tables.secret.is_none()));
        written.map_err(|_| LoginError::Refused)?;
        known().ok_or(LoginError::Refused)
    }
}

impl ScramLogin {
    /// What the client's proof is held against.
    pub fn verifier(&self) -> &ScramVerifier {
        &self.verifier
    }

    /// Ends the log-in. `right` is whether the proof was.
    ///
    /// # Errors
    /// If it was not, if the password is another one by now, or if the user may not come from
    /// there.
    pub fn end(self, right: bool) -> Result<Arc<User>, LoginError> {
        let attempts = &self.broker.access.logins.attempts;
        let account = self.account.filter(|_| right);
        let user = account.and_then(|account| {
            let now = self.broker.account(&account.name)?;
            let same = now.password_hash == account.password_hash;
            same.then(|| self.broker.user(&now))?
        });
        attempts.count(self.by, user.is_some());
        let Some(user) = user else {
            attempts.owe(self.debtor, self.broker.now());
            return Err(LoginError::Refused);
        };
        check_place(user, self.loopback)
    }
}
