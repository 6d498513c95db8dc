//! Who a client is: its user and virtual host, by what CONNECT says and how it has come.
//!
//! Invariants
//! - An empty user name is none, and so is an empty password without a user name.
//! - The time of a connection's opening goes on while somebody decides; what comes too late counts
//!   for nothing.
//!
//! Not here: the rules of names (`login_name`), what a user may do (`ferry_broker::User`).

use std::sync::{Arc, Weak};

use ferry_auth::LogIn;
use ferry_auth::scram::{ClientFirst, Exchange, NAME, ScramFrom};
use ferry_broker::{LoginBy, User};
use mqtt::ReasonCode;

use super::connect::{Hello, Refused};
use super::login_name::{MqttClient, MqttLogin, MqttLoginError, MqttProof, MqttVhosts, mqtt_login};
use super::opening::{Host, Verdict, bad_login};
use super::sasl::Method;
use super::wire::Link;
use crate::arrival::Arrival;
use crate::link::AnyLink;
use crate::login::{self, LoginSlot};
use crate::shared::Shared;

/// Whom a client has named, or has turned out to be.
pub(crate) struct Who {
    /// The virtual host.
    pub(crate) vhost: String,
    /// How it shows who it is.
    pub(crate) mechanism: &'static str,
    /// The user, once that is decided.
    pub(crate) user: Option<Arc<User>>,
    /// By what it can show it once more.
    pub(crate) method: Option<Box<Method>>,
}

/// The log-ins of a connection.
pub(crate) struct Reception<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) link: &'a Arc<Link>,
    pub(crate) arrival: &'a Arrival,
    pub(crate) slot: &'a LoginSlot,
    pub(crate) who: &'a mut Option<Who>,
}

impl Reception<'_> {
    /// Whom a client means that says so, by a user name or not at all.
    fn named<R>(
        &self,
        user: Option<&str>,
        has_password: bool,
        then: impl FnOnce(MqttLogin<'_>) -> R,
    ) -> Result<R, MqttLoginError> {
        let config = &self.shared.config.mqtt;
        let vhosts = MqttVhosts::new(&self.shared.broker, config);
        let client = MqttClient {
            user,
            has_password,
            certificate: self.arrival.certified.as_deref(),
            port: self.link.local_addr().map_or(0, |address| address.port()),
        };
        mqtt_login(client, config, &vhosts).map(then)
    }
}

/// Who is asked for, with names of its own.
struct Asked {
    user: String,
    vhost: String,
    proof: MqttProof,
}

impl Asked {
    fn of(named: MqttLogin<'_>) -> Asked {
        Asked {
            user: named.user.to_owned(),
            vhost: named.vhost.to_owned(),
            proof: named.proof,
        }
    }
}

impl Host for Reception<'_> {
    type Exchange = Exchange;

    fn log_in(&mut self, hello: &Hello) -> Result<Verdict, Refused> {
        // Devices send fields that were left blank, too.
        let user = hello.user.as_deref().filter(|user| !user.is_empty());
        let password = hello.password.as_deref();
        let password = password.filter(|text| user.is_some() || !text.is_empty());
        let named = self.named(user, password.is_some(), Asked::of);
        let named = named.map_err(|error| {
            let reason = match error {
                MqttLoginError::Incomplete => ReasonCode::BadUserNameOrPassword,
                MqttLoginError::Nobody => ReasonCode::NotAuthorized,
            };
            hello.refuse(reason, error.to_string())
        })?;
        let (mechanism, password) = match named.proof {
            MqttProof::Password => ("PLAIN", password),
            MqttProof::Certificate => ("EXTERNAL", None),
            MqttProof::Anonymous => ("ANONYMOUS", None),
        };
        let who = self.who.insert(Who {
            vhost: named.vhost,
            mechanism,
            user: None,
            method: None,
        });
        let arrival = self.arrival;
        let asked = LogIn {
            user: &named.user,
            password,
            loopback: arrival.loopback,
            address: arrival.peer.ip(),
            by: LoginBy::Mqtt,
        };
        let link: Weak<dyn AnyLink> = Arc::downgrade(self.link) as _;
        match login::begin(&self.shared.backends, asked, self.slot, link) {
            Some(Ok(user)) => {
                who.user = Some(user);
                Ok(Verdict::In)
            }
            Some(Err(text)) => Err(bad_login(hello, text)),
            None => Ok(Verdict::Later),
        }
    }

    fn begin(&mut self, first: &[u8]) -> Result<(Exchange, Vec<u8>), String> {
        let first = ClientFirst::parse(first).map_err(|error| error.to_string())?;
        let named = self.named(Some(first.user()), true, Asked::of);
        let named = named.map_err(|error| error.to_string())?;
        let from = ScramFrom {
            address: self.arrival.peer.ip(),
            loopback: self.arrival.loopback,
            by: LoginBy::Mqtt,
        };
        *self.who = Some(Who {
            vhost: named.vhost,
            mechanism: NAME,
            user: None,
            method: Some(Box::new(Method::new(first.user().to_owned(), from))),
        });
        let begun = Exchange::begin(first, &named.user, &self.shared.backends, &from);
        begun.map_err(|error| format!("user {:?}: {error}", named.user))
    }

    fn finish(&mut self, exchange: Exchange, last: &[u8]) -> Result<Vec<u8>, String> {
        let finished = exchange.finish(last);
        let (user, answer) = finished.map_err(|error| error.to_string())?;
        if let Some(who) = &mut self.who {
            who.user = Some(user);
        }
        Ok(answer)
    }
}
