//! From a user to an open connection: virtual host, rights, the client id, limits, the session.
//!
//! ```text
//! who --rights--> claim of the client id --it is free--> limits, session --durable--> CONNACK
//! ```
//!
//! Invariants
//! - A client is let in when the one that had its id before has given everything back.
//! - What CONNACK says of the session is durable when it goes out.
//! - Who gives up on the way leaves nothing: no seat, no place in a limit, no consumer.
//!
//! Not here: what the session is (`store`), what follows (`running`).

use std::sync::{Arc, Weak};

use ferry_broker::{Admitted, ConnectionInfo, DurableWaiter, Origin, Promise, User, Vhost};
use mqtt::{ReasonCode, topic};

use super::clients::{Seat, Standing};
use super::common::{Common, End, Terms};
use super::connack::Welcome;
use super::connect::{Hello, Refused};
use super::end::{Open, Times};
use super::info::Listed;
use super::running::Running;
use super::sasl::Method;
use super::store;
use super::sys;
use super::turn::Turn;
use super::who::Who;
use super::wire::Link;
use crate::arrival::Arrival;
use crate::link::event;
use crate::shared::Shared;

/// What the connection lends.
pub(crate) struct Site<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) link: &'a Arc<Link>,
    pub(crate) arrival: &'a Arrival,
}

/// A client that is known and not in yet.
pub(crate) struct Entering {
    hello: Box<Hello>,
    user: Arc<User>,
    vhost: Arc<Vhost>,
    mechanism: &'static str,
    method: Option<Box<Method>>,
    client_id: Arc<str>,
    seat: Seat,
    ready: Option<Ready>,
}

/// All is done but for the disk.
struct Ready {
    running: Box<Running>,
    session_present: bool,
    promise: Promise,
}

impl Entering {
    /// Claims the client id, if the user may be there at all.
    pub(crate) fn new(site: &Site<'_>, hello: Box<Hello>, who: Who) -> Result<Entering, Refused> {
        let no = |text: String| hello.refuse(ReasonCode::NotAuthorized, text);
        let broker = &site.shared.broker;
        let user = who
            .user
            .ok_or_else(|| no("nobody has logged in".to_owned()))?;
        // Whether a virtual host is there is for those to know who may enter it.
        let may_enter = |vhost: &Arc<Vhost>| user.may_enter(vhost.name());
        let vhost = broker.vhost(&who.vhost).filter(may_enter).ok_or_else(|| {
            let (vhost, user) = (&who.vhost, &user.name);
            no(format!(
                "access to vhost '{vhost}' refused for user '{user}'"
            ))
        })?;
        let client_id: Arc<str> = match hello.client_id.as_str() {
            "" => broker.made_up_name("auto-").into(),
            client_id => client_id.into(),
        };
        // Rights are about keys: a dot in the id is no border between two words there either.
        let mut key = Vec::with_capacity(client_id.len());
        topic::to_key(client_id.as_bytes(), &mut key);
        let user = Arc::new(user.as_client(&String::from_utf8_lossy(&key)));
        if let Some(will) = &hello.will {
            if sys::is_reserved(will.topic.as_bytes()) {
                let text = "a will can not be published to $SYS";
                return Err(hello.refuse(ReasonCode::TopicNameInvalid, text));
            }
            let allowed = will.check(&user, vhost.name());
            allowed.map_err(|error| no(error.to_string()))?;
        }
        let key = (vhost.name().into(), Arc::clone(&client_id));
        let link: Weak<Link> = Arc::downgrade(site.link);
        let seat = site.shared.mqtt.clients.claim(key, link);
        Ok(Entering {
            hello,
            user,
            vhost,
            mechanism: who.mechanism,
            method: who.method,
            client_id,
            seat,
            ready: None,
        })
    }

    /// Refuses the client.
    pub(crate) fn refuse(&self, reason: ReasonCode, text: impl Into<String>) -> Refused {
        self.hello.refuse(reason, text)
    }

    /// Goes on as far as it goes; whether nothing is waited for any more.
    pub(crate) fn go_on(&mut self, site: &Site<'_>, turn: &mut Turn<'_>) -> Result<bool, Refused> {
        match self.seat.standing() {
            Standing::Holds => {}
            Standing::Waits => return Ok(false),
            Standing::IsWanted | Standing::Lost => {
                let text = "another connection uses the client id";
                return Err(self.refuse(ReasonCode::ServerBusy, text));
            }
        }
        if self.ready.is_none() {
            self.ready = Some(self.prepare(site, turn)?);
        }
        let promise = self
            .ready
            .as_ref()
            .map_or(Promise::Now, |ready| ready.promise);
        Ok(site.shared.broker.kept(promise))
    }

    /// The client id is free: finds its session.
    fn prepare(&self, site: &Site<'_>, turn: &mut Turn<'_>) -> Result<Ready, Refused> {
        let (shared, hello) = (site.shared, &self.hello);
        let admitted = shared.broker.admit_connection(self.info(site));
        let admitted =
            admitted.map_err(|error| self.refuse(ReasonCode::QuotaExceeded, error.to_string()))?;
        let common = self.common(site, admitted);
        match store::open(&common, hello.clean_start, self.expiry_s(shared)) {
            Ok((stored, promise)) => {
                let wills = &shared.mqtt.wills;
                wills.settle(self.seat.key(), !hello.clean_start, turn.staging());
                if !shared.broker.kept(promise) {
                    let waiter = Arc::new(Kept(Arc::downgrade(site.link)));
                    shared.broker.when_kept(promise, waiter);
                }
                Ok(Ready {
                    session_present: stored.present,
                    running: Box::new(Running::new(common, stored)),
                    promise,
                })
            }
            Err(End { reason, text, .. }) => {
                shared.broker.connection_closed(common.connection);
                Err(self.refuse(reason, text))
            }
        }
    }

    fn common(&self, site: &Site<'_>, Admitted { id, limits }: Admitted) -> Common {
        Common {
            shared: Arc::clone(site.shared),
            broker: Arc::clone(&site.shared.broker),
            link: Arc::clone(site.link),
            vhost: Arc::clone(&self.vhost),
            origin: Arc::new(Origin {
                user: self.user.name.clone(),
                address: site.arrival.peer.to_string(),
            }),
            user: Arc::clone(&self.user),
            connection: id,
            limits,
            peer: site.arrival.peer,
            version: self.hello.version,
            client_id: Arc::clone(&self.client_id),
            digest: super::block::publisher_digest(self.client_id.as_bytes()),
            terms: self.terms(site.shared),
        }
    }

    fn terms(&self, shared: &Shared) -> Terms {
        let (config, hello) = (&shared.config.mqtt, &self.hello);
        let aliases = |ours: u16| if hello.version.is_5() { ours } else { 0 };
        Terms {
            receive_max_out: hello.receive_max.min(config.inflight_max),
            receive_max_in: config.receive_max,
            packet_bytes_max_out: hello.packet_bytes_max,
            packet_bytes_max_in: config.packet_bytes_max,
            alias_max_out: hello.alias_max.min(config.topic_alias_max),
            alias_max_in: aliases(config.topic_alias_max),
            problem_information: hello.problem_information,
        }
    }

    /// Seconds that the session outlives the connection.
    fn expiry_s(&self, shared: &Shared) -> u32 {
        let max = shared.config.mqtt.session_expiry_max_s;
        self.hello.expiry_s.min(max)
    }

    /// The keep-alive that holds; a client of MQTT 3 can not be told another than its own.
    fn keep_alive_s(&self, shared: &Shared) -> u16 {
        let (asked, max) = (self.hello.keep_alive_s, shared.config.mqtt.keep_alive_max_s);
        let is_longer = asked == 0 || asked > max;
        match self.hello.version.is_5() && max > 0 && is_longer {
            true => max,
            false => asked,
        }
    }

    fn info(&self, site: &Site<'_>) -> ConnectionInfo {
        let listed = Listed {
            hello: &self.hello,
            client_id: &self.client_id,
            user: &self.user.name,
            vhost: self.vhost.name(),
            mechanism: self.mechanism,
            keep_alive_s: self.keep_alive_s(site.shared),
        };
        listed.info(site)
    }

    /// Says so, and is in.
    pub(crate) fn enter(self, site: &Site<'_>, turn: &mut Turn<'_>) -> Result<Open, Refused> {
        let times = Times {
            asked_expiry_s: self.hello.expiry_s,
            expiry_s: self.expiry_s(site.shared),
            keep_alive_s: self.keep_alive_s(site.shared),
        };
        let terms = self.terms(site.shared);
        let Entering {
            mut hello,
            client_id,
            seat,
            ready,
            method,
            ..
        } = self;
        let Ready {
            mut running,
            session_present,
            ..
        } = ready.expect("nothing is waited for any more");
        let welcome = Welcome {
            session_present,
            terms,
            expiry_s: (times.expiry_s != hello.expiry_s).then_some(times.expiry_s),
            keep_alive_s: (times.keep_alive_s != hello.keep_alive_s).then_some(times.keep_alive_s),
            assigned: hello.client_id.is_empty().then_some(&*client_id),
            method: hello
                .method
                .as_ref()
                .map(|(name, last)| (name.as_str(), &last[..])),
        };
        let Some(bytes) = welcome.write(hello.version) else {
            running.release(turn);
            let text = "the client does not take a CONNACK that says what it has to know";
            return Err(Refused::silently(ReasonCode::PacketTooLarge, text));
        };
        site.link
            .with(|state| state.outbox.buffer().extend_from_slice(&bytes));
        if let Some(will) = &mut hello.will {
            will.keep(&site.shared.broker);
        }
        running.resume(turn);
        let will = hello.will.take().map(Box::new);
        Ok(Open::new(running, seat, will, method, times))
    }

    /// Gives everything back.
    pub(crate) fn give_up(self, turn: &mut Turn<'_>) {
        if let Some(mut ready) = self.ready {
            ready.running.release(turn);
        }
    }
}

/// Wakes a connection whose session is durable now.
struct Kept(Weak<Link>);

impl DurableWaiter for Kept {
    fn kept(&self) {
        if let Some(link) = self.0.upgrade() {
            link.notify(event::LOGIN);
        }
    }
}
