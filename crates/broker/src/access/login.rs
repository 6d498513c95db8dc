//! Logging in: passwords that were right before are known again at once; others take a hash.
//!
//! ```text
//! begin_login --known, or refused--> Login::Done
//!      '------ to be hashed -------> Login::Check --run, on a thread that may wait--> done
//! ```
//!
//! Invariants
//! - At most [`hashes_at_once`] hashes are computed at a time, whoever waits for them.
//! - A password that was right is remembered as a keyed digest together with the hash it was
//!   compared with: after a change of the password, or another start, it is not known any more.
//! - A refusal does not tell whether there is such a user.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};
use ring::hmac;

use super::attempts::{Attempts, LoginBy, LoginCount};
use super::change::AccessChange;
use super::{Account, User, password};
use crate::vhost::Map;
use crate::{Broker, LoginError};

/// Passwords that are known to be right.
const KNOWN_MAX: usize = 8_192;

/// Who wants to log in, and from where.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The password.
    pub password: &'a [u8],
    /// The address that it comes from.
    pub address: IpAddr,
    /// Whether that is on this machine, all the way.
    pub loopback: bool,
    /// Over which protocol.
    pub by: LoginBy,
}

/// A log-in that was begun.
pub enum Login {
    /// It has come to its end.
    Done(Result<Arc<User>, LoginError>),
    /// The password is to be hashed.
    Check(PasswordCheck),
}

/// A password that is to be compared with a hash.
pub struct PasswordCheck {
    broker: Arc<Broker>,
    account: Option<Arc<Account>>,
    password: Vec<u8>,
    /// None if there is nothing to remember.
    digest: Option<Digest>,
    debtor: u64,
    loopback: bool,
    by: LoginBy,
}

type Digest = [u8; 32];

/// What log-ins leave behind.
#[derive(Default)]
pub(super) struct Logins {
    pub attempts: Attempts,
    key: OnceLock<hmac::Key>,
    known: Mutex<Map<Digest, ()>>,
    hashing: Mutex<usize>,
    hashed: Condvar,
}

/// Hashes that may be computed at a time: half of the processors are left to messages.
fn hashes_at_once() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        processors.div_ceil(2).min(8)
    })
}

impl Logins {
    fn digest(&self, account: &Account, password: &[u8]) -> Option<Digest> {
        let kept = account.password_hash.as_deref()?;
        let new = || hmac::Key::new(hmac::HMAC_SHA256, &password::random_key());
        let mut context = hmac::Context::with_key(self.key.get_or_init(new));
        for part in [account.name.as_bytes(), kept.as_bytes(), password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().ok()
    }

    fn knows(&self, digest: Option<Digest>) -> bool {
        digest.is_some_and(|digest| self.known.lock().contains_key(&digest))
    }

    fn remember(&self, digest: Digest) {
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(digest, ());
    }

    /// Computes a hash when it is its turn.
    fn hash<R>(&self, compute: impl FnOnce() -> R) -> R {
        let mut hashing = self.hashing.lock();
        self.hashed
            .wait_while(&mut hashing, |count| *count >= hashes_at_once());
        *hashing += 1;
        drop(hashing);
        let result = compute();
        *self.hashing.lock() -= 1;
        self.hashed.notify_one();
        result
    }
}

impl Broker {
    /// Begins a log-in: it ends at once, or when the password has been hashed.
    pub fn begin_login(&self, credentials: Credentials<'_>) -> Login {
        let Credentials {
            user,
            password,
            address,
            loopback,
            by,
        } = credentials;
        let logins = &self.access.logins;
        let debtor = logins.attempts.debtor(address, user);
        if logins.attempts.has_to_wait(debtor, self.now()) {
            logins.attempts.count(by, false);
            return Login::Done(Err(LoginError::TooMany));
        }
        let account = self.account(user);
        let digest = account
            .as_ref()
            .and_then(|account| logins.digest(account, password));
        let check = PasswordCheck {
            broker: self.arc(),
            account,
            password: Vec::new(),
            digest,
            debtor,
            loopback,
            by,
        };
        match logins.knows(digest) {
            true => Login::Done(check.end(true)),
            false => Login::Check(PasswordCheck {
                password: password.to_vec(),
                ..check
            }),
        }
    }

    /// Logs in, and waits for the hash if one is needed.
    pub fn login(&self, credentials: Credentials<'_>) -> Result<Arc<User>, LoginError> {
        match self.begin_login(credentials) {
            Login::Done(result) => result,
            Login::Check(check) => check.run(),
        }
    }

    /// Logs a user in whose name was verified, for example by a certificate.
    pub fn login_verified(&self, user: &str, loopback: bool) -> Result<Arc<User>, LoginError> {
        let account = self.account(user);
        let user = account.and_then(|account| self.user(&account));
        let user = user.ok_or(LoginError::Refused)?;
        check_place(user, loopback)
    }

    /// The hash of a password, to be kept with a user. Takes some milliseconds.
    pub fn hash_password(&self, password: &[u8]) -> Result<String, super::AccessError> {
        self.access.logins.hash(|| password::hash(password))
    }

    /// How many log-ins were tried since the start, or since they were reset.
    pub fn login_counts(&self) -> Vec<LoginCount> {
        self.access.logins.attempts.counts()
    }

    /// Counts log-ins from here.
    pub fn reset_login_counts(&self) {
        self.access.logins.attempts.reset();
    }

    /// Who that is now.
    pub(super) fn user(&self, account: &Account) -> Option<Arc<User>> {
        let tables = self.access.tables.read();
        let standing = Arc::clone(tables.standings.get(&account.name)?);
        let user = User::of_account(&account.name, &account.tags, standing);
        Some(Arc::new(user))
    }
}

impl PasswordCheck {
    /// Compares the password. Waits, for a turn and for the hash.
    pub fn run(self) -> Result<Arc<User>, LoginError> {
        let kept = self.account.as_ref();
        let kept = kept.and_then(|account| account.password_hash.as_deref());
        let logins = &self.broker.access.logins;
        let (right, better) = logins.hash(|| match logins.knows(self.digest) {
            // Many came at once, and the first of them has been looked at.
            true => (true, None),
            false => password::verify(kept, &self.password),
        });
        if let (true, Some(digest)) = (right, self.digest) {
            logins.remember(digest);
        }
        if let (true, Some(better)) = (right, better) {
            self.upgrade(better);
        }
        self.end(right)
    }

    /// Keeps a better hash of the same password.
    fn upgrade(&self, better: String) {
        let Some(account) = &self.account else {
            return;
        };
        let upgraded = Account {
            password_hash: Some(better),
            ..(**account).clone()
        };
        let change = AccessChange::User(upgraded);
        let changed = self.broker.change_access(change, |tables| {
            let now = tables.accounts.get(&account.name);
            Ok(now.is_some_and(|now| now.password_hash == account.password_hash))
        });
        match changed {
            Ok(_) => {
                tracing::info!(user = ?account.name, "a better hash of the password is kept now")
            }
            Err(error) => tracing::warn!(user = ?account.name, "the old hash is kept: {error}"),
        }
    }

    fn end(&self, right: bool) -> Result<Arc<User>, LoginError> {
        let attempts = &self.broker.access.logins.attempts;
        let user = self.account.as_ref().filter(|_| right);
        let user = user.and_then(|account| self.broker.user(account));
        attempts.count(self.by, user.is_some());
        let Some(user) = user else {
            attempts.owe(self.debtor, self.broker.now());
            return Err(LoginError::Refused);
        };
        check_place(user, self.loopback)
    }
}

/// `guest`, whose password everybody knows, comes from this machine only.
pub(super) fn check_place(user: Arc<User>, loopback: bool) -> Result<Arc<User>, LoginError> {
    match loopback || user.name != super::GUEST {
        true => Ok(user),
        false => Err(LoginError::NotFromHere),
    }
}
