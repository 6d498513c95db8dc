//! Who is asked whether somebody may log in, in which order.
//!
//! Invariants
//! - The first back end that lets somebody in decides what that user may do; the others are not
//!   asked any more.
//! - With the broker's own users alone nothing waits for anybody.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use ferry_broker::{Broker, Credentials, Login, LoginBy, LoginError, ScramLogin, User};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

use crate::http::{HttpService, HttpSettings};
use crate::oauth2::{OAuth2, OAuth2Settings};
use crate::scram::ScramFrom;

/// Passwords that are looked at take so many threads at most; the rest waits without one.
static CHECKS: Semaphore = Semaphore::const_new(16);

/// Who knows users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The broker itself.
    Internal,
    /// An issuer of tokens.
    OAuth2,
    /// An HTTP service.
    Http,
}

/// Who is asked.
#[derive(Debug, Clone, Default)]
pub struct BackendsSettings {
    /// In which order; none for the broker alone.
    pub order: Vec<Backend>,
    /// Which tokens are believed.
    pub oauth2: Option<OAuth2Settings>,
    /// Where the HTTP service is.
    pub http: Option<HttpSettings>,
}

/// Why there are no such back ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// One is to be asked that nothing is known of.
    #[error("the back end `{0}` is to be asked, but not where it is")]
    NotSet(&'static str),
    /// One stands twice in the order.
    #[error("a back end stands twice in the list")]
    Twice,
}

/// Somebody who wants in.
#[derive(Clone, Copy)]
pub struct LogIn<'a> {
    /// The name; of a token it does not matter.
    pub user: &'a str,
    /// Password or token; none if the name was verified otherwise.
    pub password: Option<&'a [u8]>,
    /// Whether it comes from this machine.
    pub loopback: bool,
    /// Where it comes from.
    pub address: IpAddr,
    /// Over which protocol.
    pub by: LoginBy,
}

#[derive(Debug, Clone)]
enum Known {
    Internal,
    OAuth2(Arc<OAuth2>),
    Http(Arc<HttpService>),
}

impl Known {
    fn name(&self) -> &'static str {
        match self {
            Known::Internal => "internal",
            Known::OAuth2(_) => "oauth2",
            Known::Http(_) => "http",
        }
    }
}

/// All back ends.
#[derive(Clone)]
pub struct Backends {
    broker: Arc<Broker>,
    order: Vec<Known>,
}

impl std::fmt::Debug for Backends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Backends").field(&self.order).finish()
    }
}

impl Backends {
    /// The broker's own users alone.
    pub fn internal(broker: Arc<Broker>) -> Backends {
        Backends {
            broker,
            order: vec![Known::Internal],
        }
    }

    /// As the settings say. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// An order that makes no sense.
    pub fn new(broker: Arc<Broker>, settings: BackendsSettings) -> Result<Backends, BackendError> {
        let BackendsSettings {
            order,
            oauth2,
            http,
        } = settings;
        if order.is_empty() {
            return Ok(Backends::internal(broker));
        }
        let twice = |(at, one): (usize, &Backend)| order[..at].contains(one);
        if order.iter().enumerate().any(twice) {
            return Err(BackendError::Twice);
        }
        let runtime = Handle::current();
        let (mut oauth2, mut http) = (oauth2, http);
        let known = |one: &Backend| match one {
            Backend::Internal => Ok(Known::Internal),
            Backend::OAuth2 => {
                let settings = oauth2.take().ok_or(BackendError::NotSet("oauth2"))?;
                Ok(Known::OAuth2(OAuth2::new(settings, runtime.clone())))
            }
            Backend::Http => {
                let settings = http.take().ok_or(BackendError::NotSet("http"))?;
                Ok(Known::Http(HttpService::new(settings, runtime.clone())))
            }
        };
        let order = order.iter().map(known).collect::<Result<_, _>>()?;
        Ok(Backends { broker, order })
    }

    /// Whether a log-in may wait for somebody else.
    pub fn may_wait(&self) -> bool {
        !matches!(self.order.as_slice(), [Known::Internal])
    }

    /// Whether tokens are accepted, which are longer than passwords.
    pub fn takes_tokens(&self) -> bool {
        self.order.iter().any(|one| matches!(one, Known::OAuth2(_)))
    }

    /// Asks the broker alone, which knows at once or has a password to hash.
    pub fn begin_internal(&self, login: &LogIn<'_>) -> Login {
        let LogIn {
            user,
            password,
            loopback,
            address,
            by,
        } = *login;
        match password {
            None => Login::Done(self.broker.login_verified(user, loopback)),
            Some(password) => self.broker.begin_login(Credentials {
                user,
                password,
                address,
                loopback,
                by,
            }),
        }
    }

    /// Whether users of the broker's own may log in, and so by SCRAM.
    pub fn takes_scram(&self) -> bool {
        self.order.iter().any(|one| matches!(one, Known::Internal))
    }

    /// Begins a log-in by SCRAM: of the back ends the broker alone has what that needs.
    pub(crate) fn begin_scram(
        &self,
        user: &str,
        from: &ScramFrom,
    ) -> Result<ScramLogin, LoginError> {
        match self.takes_scram() {
            true => self
                .broker
                .begin_scram(user, from.address, from.loopback, from.by),
            false => Err(LoginError::Refused),
        }
    }

    async fn login_internal(&self, login: &LogIn<'_>) -> Result<Arc<User>, LoginError> {
        let check = match self.begin_internal(login) {
            Login::Done(decided) => return decided,
            Login::Check(check) => check,
        };
        let turn = CHECKS.acquire().await;
        let checked = tokio::task::spawn_blocking(move || check.run()).await;
        drop(turn);
        checked.unwrap_or(Err(LoginError::Refused))
    }

    /// Asks one after the other.
    ///
    /// # Errors
    /// Why not, in the broker's words where it was asked; the log says what the others said.
    pub async fn login(&self, login: LogIn<'_>) -> Result<Arc<User>, LoginError> {
        let (mut refused, mut reasons) = (LoginError::Refused, Vec::new());
        for one in &self.order {
            let decided = match one {
                Known::Internal => self.login_internal(&login).await.map_err(|error| {
                    refused = error;
                    error.to_string()
                }),
                Known::OAuth2(oauth2) => match login.password {
                    Some(token) if !token.is_empty() => oauth2.login(token).await,
                    _ => continue,
                },
                Known::Http(service) => service.login(&login).await,
            };
            match decided {
                Ok(user) => return Ok(user),
                Err(reason) => reasons.push(format!("{}: {reason}", one.name())),
            }
        }
        let user = login.user.escape_debug().to_string();
        tracing::info!(user, address = %login.address, ?reasons, "nobody lets this user in");
        Err(refused)
    }

    /// Asks those who believe tokens, for one that came without a name.
    ///
    /// # Errors
    /// That none of them believes it.
    pub async fn login_token(
        &self,
        token: &[u8],
        address: IpAddr,
    ) -> Result<Arc<User>, LoginError> {
        for one in &self.order {
            if let Known::OAuth2(oauth2) = one {
                return oauth2.login(token).await.map_err(|reason| {
                    tracing::info!(%address, reason, "a token was not accepted");
                    LoginError::Refused
                });
            }
        }
        Err(LoginError::Refused)
    }
}

/// Waits on this thread, for those who can not be called back; none where nobody may wait. Other
/// work of a runtime's thread goes to another thread meanwhile.
pub(crate) fn wait<T>(runtime: &Handle, answer: impl Future<Output = T>) -> Option<T> {
    match Handle::try_current() {
        Err(_) => Some(runtime.block_on(answer)),
        Ok(here) if here.runtime_flavor() == RuntimeFlavor::MultiThread => {
            Some(tokio::task::block_in_place(|| runtime.block_on(answer)))
        }
        Ok(_) => {
            tracing::error!("a right can not be asked for on this thread");
            None
        }
    }
}
