//! Log-ins and rights that an HTTP service decides, in the words of RabbitMQ's plug-in.
//!
//! ```text
//! user      username password                  -> allow TAG TAG | deny
//! vhost     username vhost ip tags             -> allow | deny
//! resource  username vhost resource name permission tags
//! topic     the same and routing_key
//! ```
//!
//! Invariants
//! - Anything but a clear `allow`, in time, means no.
//! - What is said of rights is remembered for a stated time, what is said of passwords is not.
//! - Everything is escaped, and a question holds the value of each name once.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_broker::{Grants, Resource, Right, User};
use ferry_core::Millis;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::backends::{LogIn, wait};
use crate::fetch::{FetchError, Fetcher, Url, form};
use crate::remembered::Remembered;

/// Questions that are asked at the same time.
const QUESTIONS_MAX: usize = 64;
/// Tags of a user that are kept.
const TAGS_MAX: usize = 32;

/// How questions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpMethod {
    /// As a form.
    #[default]
    Post,
    /// In the query; then passwords are in the service's log.
    Get,
}

/// Where the service is.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// How questions are asked.
    pub method: HttpMethod,
    /// Who somebody is.
    pub user: Url,
    /// Whether a virtual host may be used.
    pub vhost: Url,
    /// Whether a queue or an exchange may be used.
    pub resource: Url,
    /// Whether a routing key may be used.
    pub topic: Url,
    /// Authorities for HTTPS, PEM; the system's if there is no file.
    pub ca: Option<PathBuf>,
    /// How long an answer may take.
    pub time: Duration,
    /// How long a decision about a right is remembered.
    pub remember: Duration,
}

/// The back end.
#[derive(Debug)]
pub(crate) struct HttpService {
    settings: HttpSettings,
    fetcher: Fetcher,
    remembered: Remembered,
    places: Semaphore,
    runtime: Handle,
}

impl HttpService {
    pub(crate) fn new(settings: HttpSettings, runtime: Handle) -> Arc<HttpService> {
        Arc::new(HttpService {
            fetcher: Fetcher::new(settings.ca.clone()),
            remembered: Remembered::new(settings.remember),
            places: Semaphore::new(QUESTIONS_MAX),
            settings,
            runtime,
        })
    }

    /// Who logs in, if the service allows it.
    pub(crate) async fn login(self: &Arc<Self>, login: &LogIn<'_>) -> Result<Arc<User>, String> {
        let mut pairs = vec![("username", login.user.as_bytes())];
        pairs.extend(login.password.map(|password| ("password", password)));
        let answer = self.ask(&self.settings.user, &pairs).await;
        let answer = answer.map_err(|error| {
            tracing::error!(%error, "the HTTP service for log-ins does not answer");
            error.to_string()
        })?;
        let mut words = answer.split_ascii_whitespace();
        if words.next() != Some("allow") {
            return Err("denied by the HTTP service".to_owned());
        }
        let tags: Arc<[String]> = words.take(TAGS_MAX).map(str::to_owned).collect();
        let grants = HttpGrants {
            service: Arc::clone(self),
            user: login.user.to_owned(),
            tags: tags.join(" "),
            address: login.address,
        };
        Ok(Arc::new(User::granted(
            login.user.to_owned(),
            tags,
            Arc::new(grants),
        )))
    }

    /// The answer, in lower case.
    async fn ask(&self, url: &Url, pairs: &[(&str, &[u8])]) -> Result<String, FetchError> {
        let time = self.settings.time;
        let asked = async {
            let _place = self.places.acquire().await;
            match self.settings.method {
                HttpMethod::Post => self.fetcher.post(url, form(pairs), time).await,
                HttpMethod::Get => self.fetcher.get(url, &form(pairs), time).await,
            }
        };
        let answer = tokio::time::timeout(time, asked).await;
        let bytes = answer.unwrap_or(Err(FetchError::Slow))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_lowercase())
    }

    /// A decision about a right: remembered, or asked for now.
    fn decide(&self, url: &Url, kind: &str, pairs: &[(&str, &[u8])]) -> bool {
        let question = format!("{kind}?{}", form(pairs));
        if let Some(decision) = self.remembered.get(&question, Instant::now()) {
            return decision;
        }
        match wait(&self.runtime, self.ask(url, pairs)) {
            Some(Ok(answer)) => {
                let decision = answer == "allow";
                self.remembered.put(question, decision, Instant::now());
                decision
            }
            Some(Err(error)) => {
                tracing::error!(%error, kind, "the HTTP service for rights does not answer");
                false
            }
            None => false,
        }
    }
}

/// A user whose rights the service decides.
#[derive(Debug)]
struct HttpGrants {
    service: Arc<HttpService>,
    user: String,
    tags: String,
    address: IpAddr,
}

fn permission(right: Right) -> &'static [u8] {
    match right {
        Right::Configure => b"configure",
        Right::Write => b"write",
        Right::Read => b"read",
    }
}

impl Grants for HttpGrants {
    fn may_enter(&self, vhost: &str) -> bool {
        let address = self.address.to_string();
        let pairs: [(&str, &[u8]); 4] = [
            ("username", self.user.as_bytes()),
            ("vhost", vhost.as_bytes()),
            ("ip", address.as_bytes()),
            ("tags", self.tags.as_bytes()),
        ];
        let service = &self.service;
        service.decide(&service.settings.vhost, "vhost", &pairs)
    }

    fn may(&self, vhost: &str, right: Right, kind: Resource, name: &str) -> bool {
        let kind: &[u8] = match kind {
            Resource::Queue => b"queue",
            Resource::Exchange => b"exchange",
        };
        let pairs: [(&str, &[u8]); 6] = [
            ("username", self.user.as_bytes()),
            ("vhost", vhost.as_bytes()),
            ("resource", kind),
            ("name", name.as_bytes()),
            ("permission", permission(right)),
            ("tags", self.tags.as_bytes()),
        ];
        let service = &self.service;
        service.decide(&service.settings.resource, "resource", &pairs)
    }

    fn may_topic(&self, vhost: &str, right: Right, exchange: &str, routing_key: &str) -> bool {
        let pairs: [(&str, &[u8]); 7] = [
            ("username", self.user.as_bytes()),
            ("vhost", vhost.as_bytes()),
            ("resource", b"topic"),
            ("name", exchange.as_bytes()),
            ("permission", permission(right)),
            ("tags", self.tags.as_bytes()),
            ("routing_key", routing_key.as_bytes()),
        ];
        let service = &self.service;
        service.decide(&service.settings.topic, "topic", &pairs)
    }

    /// The service is asked once, with the binding key in the place of the routing key: it has to
    /// know what all of that key lets through.
    fn may_filter(&self, vhost: &str, exchange: &str, binding_key: &[u8]) -> bool {
        let key = String::from_utf8_lossy(binding_key);
        self.may_topic(vhost, Right::Read, exchange, &key)
    }

    fn expires_at(&self) -> Option<Millis> {
        None
    }
}

#[cfg(test)]
mod tests;
