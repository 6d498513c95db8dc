//! OAuth 2: a token, signed by an issuer that is trusted, says who somebody is and what is granted.
//!
//! Invariants
//! - A token counts as long as it is valid and not a moment longer, whoever holds it.
//! - Keys are asked for again when a token names one that is not known, at most once in
//!   `REFRESH_PAUSE`, and when they are older than `KEYS_AGE_MAX`. While they can not be had, those
//!   that are known count.
//!
//! Not here: how a door asks for a token (`backends`).

mod claims;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod keys;
mod scope;
mod token;

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferry_broker::{Grants, Resource, Right, User};
use ferry_core::Millis;
use parking_lot::RwLock;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::backends::wait;
use crate::fetch::{Fetcher, Url};
use claims::Granted;
use keys::Key;
use token::{Token, TokenError, check_times};

/// How long after one look for keys the next one may come.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);
/// How old keys get before they are looked for again.
const KEYS_AGE_MAX: Duration = Duration::from_secs(3600);
/// How long keys may take to come.
const FETCH_TIME_MAX: Duration = Duration::from_secs(5);

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A JSON Web Key Set, by HTTP or HTTPS.
    Url(Url),
    /// The same in a file.
    File(PathBuf),
}

/// Which tokens are believed.
#[derive(Debug, Clone)]
pub struct OAuth2Settings {
    /// Where the keys are.
    pub keys: KeySource,
    /// Authorities for HTTPS, PEM; the system's if there is no file.
    pub ca: Option<PathBuf>,
    /// What `iss` must be, if that is asked for.
    pub issuer: Option<String>,
    /// What must be among `aud`; scopes begin with it and a point, unless another prefix is set.
    pub resource_server_id: String,
    /// What scopes begin with that are meant for us.
    pub scope_prefix: Option<String>,
    /// A claim with more scopes.
    pub additional_scopes_key: Option<String>,
    /// Claims that may hold the user's name, before `sub` and `client_id`.
    pub username_claims: Vec<String>,
    /// Names that stand for several scopes.
    pub scope_aliases: Vec<(String, Vec<String>)>,
}

/// The back end.
#[derive(Debug)]
pub(crate) struct OAuth2 {
    me: Weak<OAuth2>,
    settings: OAuth2Settings,
    fetcher: Fetcher,
    known: RwLock<Known>,
    refreshing: tokio::sync::Mutex<()>,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Known {
    keys: Arc<Vec<Key>>,
    /// When keys came.
    since: Option<Instant>,
    /// When they were asked for.
    asked: Option<Instant>,
}

impl OAuth2 {
    pub(crate) fn new(settings: OAuth2Settings, runtime: Handle) -> Arc<OAuth2> {
        Arc::new_cyclic(|me| OAuth2 {
            me: me.clone(),
            fetcher: Fetcher::new(settings.ca.clone()),
            settings,
            known: RwLock::default(),
            refreshing: tokio::sync::Mutex::default(),
            runtime,
        })
    }

    /// Who the token says that somebody is.
    pub(crate) async fn login(&self, token: &[u8]) -> Result<Arc<User>, String> {
        self.read(token).await.map_err(|error| error.to_string())
    }

    async fn read(&self, token: &[u8]) -> Result<Arc<User>, TokenError> {
        let token = Token::parse(token)?;
        let old = |known: &Known| {
            known
                .since
                .is_none_or(|since| since.elapsed() > KEYS_AGE_MAX)
        };
        let stale = old(&self.known.read());
        let refreshed = match stale {
            true => self.refresh().await,
            false => Ok(()),
        };
        let mut claims = token.verify(&self.keys());
        if claims == Err(TokenError::UnknownKey) {
            // Nothing was ever had: that is the reason, not the token.
            refreshed.map_err(TokenError::NoKeys)?;
            self.refresh().await.map_err(TokenError::NoKeys)?;
            claims = token.verify(&self.keys());
        }
        self.user(claims?)
    }

    fn keys(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.known.read().keys)
    }

    /// Looks for keys, unless that was done a moment ago.
    async fn refresh(&self) -> Result<(), String> {
        let _one_at_a_time = self.refreshing.lock().await;
        let asked = self.known.read().asked;
        if asked.is_some_and(|at| at.elapsed() < REFRESH_PAUSE) {
            return Ok(());
        }
        self.known.write().asked = Some(Instant::now());
        let found = match &self.settings.keys {
            KeySource::Url(url) => {
                let bytes = self.fetcher.get(url, "", FETCH_TIME_MAX).await;
                bytes
                    .map(|bytes| bytes.to_vec())
                    .map_err(|error| error.to_string())
            }
            KeySource::File(path) => crate::tls::read(path).map_err(|error| error.to_string()),
        };
        match found.and_then(|bytes| keys::parse(&bytes)) {
            Ok(keys) => {
                let mut known = self.known.write();
                known.keys = Arc::new(keys);
                known.since = Some(Instant::now());
                Ok(())
            }
            Err(error) => {
                let source = &self.settings.keys;
                tracing::error!(%error, ?source, "OAuth 2: the issuer's keys can not be had");
                Err(error)
            }
        }
    }

    /// Holds claims that were verified against the settings.
    fn user(&self, claims: Map<String, Value>) -> Result<Arc<User>, TokenError> {
        let ends_s = check_times(&claims, now_s())?;
        let settings = &self.settings;
        if let Some(issuer) = &settings.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(TokenError::Issuer);
        }
        let audiences = claims::words(claims.get("aud"));
        if !audiences.contains(&settings.resource_server_id) {
            return Err(TokenError::Audience);
        }
        let name = claims::user_name(&claims, settings).ok_or(TokenError::NoUser)?;
        let granted = Granted::of(&claims, settings);
        let tags = granted.tags.clone().into();
        let grants = TokenGrants {
            issuer: self.me.clone(),
            granted,
            expires_at: ends_s.map(|ends_s| ends_s.saturating_mul(1000)),
        };
        Ok(Arc::new(User::granted(name, tags, Arc::new(grants))))
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// What came with a token.
#[derive(Debug)]
struct TokenGrants {
    issuer: Weak<OAuth2>,
    granted: Granted,
    expires_at: Option<Millis>,
}

impl TokenGrants {
    fn counts(&self) -> bool {
        self.expires_at
            .is_none_or(|at| at > now_s().saturating_mul(1000))
    }
}

impl Grants for TokenGrants {
    fn may_enter(&self, vhost: &str) -> bool {
        self.counts() && self.granted.may_enter(vhost)
    }

    fn may(&self, vhost: &str, right: Right, _kind: Resource, name: &str) -> bool {
        self.counts() && self.granted.may(vhost, right, name)
    }

    fn may_topic(&self, vhost: &str, right: Right, exchange: &str, routing_key: &str) -> bool {
        self.counts() && self.granted.may_topic(vhost, right, exchange, routing_key)
    }

    fn may_filter(&self, vhost: &str, exchange: &str, binding_key: &[u8]) -> bool {
        self.counts() && self.granted.may_filter(vhost, exchange, binding_key)
    }

    fn expires_at(&self) -> Option<Millis> {
        self.expires_at
    }

    fn renew(&self, user: &str, secret: &[u8]) -> Option<Result<Arc<User>, String>> {
        let Some(issuer) = self.issuer.upgrade() else {
            return Some(Err("tokens are not accepted any more".to_owned()));
        };
        let renewed = wait(&issuer.runtime, issuer.login(secret));
        Some(match renewed {
            Some(Ok(new)) if new.name != user => Err(TokenError::AnotherUser.to_string()),
            Some(result) => result,
            None => Err("the token can not be looked at here".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests;
