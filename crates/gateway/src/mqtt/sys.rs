//! `$SYS`: what the broker tells of itself, by the topics that Mosquitto has for it.
//!
//! ```text
//! $SYS/broker/version, uptime, clients/connected, clients/maximum, retained messages/count,
//!             publish/messages/received|sent, bytes/received|sent,
//!             load/{connections, publish/received, publish/sent, bytes/received, bytes/sent}
//!                 /{1min, 5min, 15min}
//! ```
//! Numbers are of the whole node and of all protocols. Loads are averages per minute.
//!
//! Invariants
//! - No queue has any of it: it is written when it is asked for and when it is time, to the clients
//!   that have subscribed to it by a filter that begins with `$SYS`, at QoS 0.
//! - Nobody subscribed: nothing is counted, and no timer runs. Loads begin when somebody does.
//! - A client that does not read what it is sent misses some of it.
//!
//! Not here: whether a client may subscribe to it (`subscribe`).

mod load;
mod watch;

use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ferry_broker::Broker;
use hashbrown::HashMap;
use parking_lot::Mutex;

use self::load::{Loads, Totals};
pub(crate) use self::watch::SysWatch;
use super::wire::Link;
use crate::link::event;
use crate::shared::Shared;
use crate::worker::later;

/// What is told as the version.
const VERSION: &str = concat!("FerryMQ version ", env!("CARGO_PKG_VERSION"));

/// Whether a topic, or a filter, is the broker's own.
pub(crate) fn is_reserved(topic: &[u8]) -> bool {
    topic == b"$SYS" || topic.starts_with(b"$SYS/")
}

/// One topic and what it says.
pub(crate) struct Line {
    topic: Cow<'static, str>,
    payload: String,
}

fn line(topic: impl Into<Cow<'static, str>>, value: impl ToString) -> Line {
    Line {
        topic: topic.into(),
        payload: value.to_string(),
    }
}

#[derive(Default)]
struct Watchers {
    of: HashMap<u64, Weak<Link>, foldhash::fast::RandomState>,
    next: u64,
    is_ticking: bool,
    loads: Loads,
    /// What was told last.
    told: Arc<[Line]>,
}

/// What the broker tells of itself.
pub(crate) struct Sys {
    started: Instant,
    watchers: Mutex<Watchers>,
}

impl Default for Sys {
    fn default() -> Sys {
        Sys {
            started: Instant::now(),
            watchers: Mutex::default(),
        }
    }
}

/// A client among those who are told, until it is dropped.
struct Seat {
    sys: Arc<Sys>,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sys.watchers.lock().of.remove(&self.number);
    }
}

impl Sys {
    /// Has a client told from now on. Within a tokio runtime.
    fn watch(self: &Arc<Sys>, shared: &Arc<Shared>, link: &Arc<Link>) -> Seat {
        let mut watchers = self.watchers.lock();
        watchers.next += 1;
        let number = watchers.next;
        watchers.of.insert(number, Arc::downgrade(link));
        let interval_s = shared.config.mqtt.sys_interval_s;
        if interval_s > 0 && !std::mem::replace(&mut watchers.is_ticking, true) {
            watchers.loads = Loads::new(Totals::of(shared), Instant::now());
            let interval = Duration::from_secs(interval_s.into());
            tick_later(interval, Arc::downgrade(shared));
        }
        Seat {
            sys: Arc::clone(self),
            number,
        }
    }

    /// Tells everybody; whether there was somebody.
    fn tick(&self, shared: &Shared) -> bool {
        let totals = Totals::of(shared);
        let mut watchers = self.watchers.lock();
        if watchers.of.is_empty() {
            watchers.is_ticking = false;
            watchers.told = Arc::default();
            return false;
        }
        watchers.loads.sample(totals, Instant::now());
        watchers.told = self.lines(shared, totals, &watchers.loads).into();
        let links: Vec<_> = watchers.of.values().filter_map(Weak::upgrade).collect();
        drop(watchers);
        links.iter().for_each(|link| link.notify(event::SYS));
        true
    }

    /// What was told at the last tick.
    fn told(&self) -> Arc<[Line]> {
        Arc::clone(&self.watchers.lock().told)
    }

    /// What there is to tell now.
    fn now(&self, shared: &Shared) -> Vec<Line> {
        let totals = Totals::of(shared);
        self.lines(shared, totals, &self.watchers.lock().loads)
    }

    fn lines(&self, shared: &Shared, totals: Totals, loads: &Loads) -> Vec<Line> {
        let (connected, maximum) = shared.mqtt.clients.counts();
        let uptime_s = self.started.elapsed().as_secs();
        let vhosts = shared.broker.vhosts();
        let retained: u64 = vhosts.iter().map(|vhost| vhost.retained().count()).sum();
        let mut lines = vec![
            line("$SYS/broker/version", VERSION),
            line("$SYS/broker/uptime", format!("{uptime_s} seconds")),
            line("$SYS/broker/clients/connected", connected),
            line("$SYS/broker/clients/maximum", maximum),
            line("$SYS/broker/retained messages/count", retained),
            line("$SYS/broker/publish/messages/received", totals.published),
            line("$SYS/broker/publish/messages/sent", totals.delivered),
            line("$SYS/broker/bytes/received", totals.received_bytes),
            line("$SYS/broker/bytes/sent", totals.sent_bytes),
        ];
        loads.each(|name, minutes, per_minute| {
            let topic = format!("$SYS/broker/load/{name}/{minutes}min");
            lines.push(line(topic, format!("{per_minute:.2}")));
        });
        lines
    }
}

/// Tells everybody again and again, as long as there is somebody.
fn tick_later(interval: Duration, shared: Weak<Shared>) {
    let _never_aborted = later(interval, move || {
        if let Some(there) = shared.upgrade()
            && there.mqtt.sys.tick(&there)
        {
            tick_later(interval, shared);
        }
    });
}

impl Totals {
    /// What the node has counted.
    fn of(shared: &Shared) -> Totals {
        let broker: &Broker = &shared.broker;
        let metrics = broker.metrics();
        let read = |counter: &std::sync::atomic::AtomicU64| {
            counter.load(std::sync::atomic::Ordering::Relaxed)
        };
        let (received_bytes, sent_bytes) = broker.edges().traffic_bytes();
        let deliveries = broker.deliveries();
        Totals {
            connections: read(&metrics.connections_opened),
            published: read(&metrics.messages_published),
            delivered: deliveries.iter().map(|(_, of)| of.delivered()).sum(),
            received_bytes,
            sent_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_own_topics_are_told_apart() {
        for (topic, reserved) in [
            ("$SYS", true),
            ("$SYS/#", true),
            ("$SYS/broker/uptime", true),
            ("$SYSTEM", false),
            ("SYS/x", false),
            ("/$SYS", false),
            ("#", false),
            ("+/broker", false),
        ] {
            assert_eq!(is_reserved(topic.as_bytes()), reserved, "{topic}");
        }
    }
}
