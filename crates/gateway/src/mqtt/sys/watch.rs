//! What one client has subscribed to of `$SYS`.
//!
//! Invariants
//! - A filter is there once, and a client with none is not among those who are told.
//! - Each topic is sent once, whatever the number of filters that match it.

use mqtt::{Forward, PublishHead, Qos, topic, write_publish};

use super::{Line, Seat, is_reserved};
use crate::mqtt::common::Common;

struct Filter {
    filter: Box<str>,
    /// The subscription's identifier.
    id: Option<u32>,
}

/// What one client has subscribed to of `$SYS`.
#[derive(Default)]
pub(crate) struct SysWatch {
    filters: Vec<Filter>,
    seat: Option<Seat>,
}

impl SysWatch {
    /// A filter was subscribed, which may have been so before. Those that are not about `$SYS` are
    /// left alone. Within a tokio runtime.
    pub(crate) fn add(&mut self, common: &Common, filter: &str, id: Option<u32>) {
        if !is_reserved(filter.as_bytes()) {
            return;
        }
        match self.filters.iter_mut().find(|one| &*one.filter == filter) {
            Some(known) => known.id = id,
            None => self.filters.push(Filter {
                filter: filter.into(),
                id,
            }),
        }
        let shared = &common.shared;
        let watch = || shared.mqtt.sys.watch(shared, &common.link);
        self.seat.get_or_insert_with(watch);
    }

    /// A filter is not subscribed any more.
    pub(crate) fn remove(&mut self, filter: &str) {
        self.filters.retain(|one| &*one.filter != filter);
        if self.filters.is_empty() {
            self.seat = None;
        }
    }

    /// Sends what there is for a filter now, as messages that were retained.
    pub(crate) fn give(&self, common: &Common, filter: &str) {
        let given = self.filters.iter().filter(|one| &*one.filter == filter);
        let filters: Vec<_> = given.collect();
        if !filters.is_empty() {
            let lines = common.shared.mqtt.sys.now(&common.shared);
            send(common, &lines, &filters, true);
        }
    }

    /// It is time: sends what there is, unless the client is behind with what it was sent before.
    pub(crate) fn tell(&self, common: &Common) {
        let is_behind = common.link.level() >= common.shared.config.outbox_bytes_max;
        if is_behind || self.filters.is_empty() {
            return;
        }
        let filters: Vec<_> = self.filters.iter().collect();
        send(common, &common.shared.mqtt.sys.told(), &filters, false);
    }
}

fn send(common: &Common, lines: &[Line], filters: &[&Filter], retain: bool) {
    let limit = common.terms.packet_bytes_max_out;
    let mut ids = Vec::new();
    common.link.with(|state| {
        let out = state.outbox.buffer();
        for line in lines {
            let name = line.topic.as_bytes();
            let matching = |one: &&&Filter| topic::matches(one.filter.as_bytes(), name);
            let mut matching = filters.iter().filter(matching).peekable();
            if matching.peek().is_none() {
                continue;
            }
            ids.clear();
            ids.extend(matching.filter_map(|one| one.id));
            let head = PublishHead {
                topic: name,
                qos: Qos::AtMostOnce,
                packet_id: 0,
                dup: false,
                retain,
            };
            let mut forward = Forward::NONE;
            forward.subscription_ids = &ids;
            let payload = line.payload.as_bytes();
            // What the client does not take is not sent: nothing is written then.
            write_publish(out, common.version, &head, &forward, payload, limit).unwrap_or_default();
        }
    });
}
