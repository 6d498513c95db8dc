//! Who is at a door: TLS, the PROXY protocol, and log-ins that others than the broker decide.
//!
//! ```text
//! socket --proxy--> whose address it is --tls--> what its certificate says
//!                                                     | name, password or token
//!                                                  Backends: internal, oauth2, http
//! ```
//!
//! Invariants
//! - What can not be verified is refused: there is no setting that turns a check off by mistake.
//! - Nothing of a password or a token is logged, or kept in the clear longer than its log-in.
//! - Every wait for somebody else has a limit, and so has what is read from them.
//!
//! Not here: users and permissions of the broker's own (`ferry-broker`), what a door says when
//! somebody is refused (`ferry-gateway`, `ferry-admin`).

#![forbid(unsafe_code)]

mod backends;
mod fetch;
#[cfg(feature = "testing")]
pub mod fuzzing;
mod http;
mod oauth2;
mod proxy;
mod remembered;
pub mod scram;
mod tls;

pub use backends::{Backend, BackendError, Backends, BackendsSettings, LogIn};
pub use fetch::{FetchError, Url};
pub use http::{HttpMethod, HttpSettings};
pub use oauth2::{KeySource, OAuth2Settings};
pub use proxy::{Network, Networks, PROXY_TIME_MAX, Proxies, ProxyError, Whence};
pub use tls::{
    Certificate, ClientAuth, HANDSHAKE_TIME_MAX, LoginFrom, SanType, ServerTls, TlsError,
    TlsSettings, TlsVersionMin, tls_info,
};
