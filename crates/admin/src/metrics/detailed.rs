//! `/metrics/detailed?family=...&vhost=...`: the groups of families that somebody asks for.
//!
//! Invariants
//! - A group whose name is not known, or that has no meaning here, adds nothing, as in RabbitMQ.
//! - Names begin with `rabbitmq_detailed_`, and with `rabbitmq_cluster_` where RabbitMQ has that,
//!   so that they can be scraped beside `/metrics`.

use ferry_broker::Vhost;

use super::text::{Family, Text, gauge};
use super::{node, queues};
use crate::shared::Shared;

const VHOST_STATUS: Family = gauge("rabbitmq_vhost_status", "1 for a virtual host that runs");
const EXCHANGE_NAME: Family = gauge(
    "rabbitmq_exchange_name",
    "1 for each exchange; cheaper than exchange_bindings",
);
const EXCHANGE_BINDINGS: Family = gauge(
    "rabbitmq_exchange_bindings",
    "Bindings that lead away from an exchange",
);

/// What a scraper asks for.
pub(super) struct Wanted {
    families: Vec<String>,
    vhosts: Vec<String>,
}

impl Wanted {
    pub fn of(query: Vec<(String, String)>) -> Wanted {
        let (mut families, mut vhosts) = (Vec::new(), Vec::new());
        for (key, value) in query {
            match key.as_str() {
                "family" => families.push(value),
                "vhost" => vhosts.push(value),
                _ => {}
            }
        }
        Wanted { families, vhosts }
    }

    fn wants(&self, family: &str) -> bool {
        self.families.iter().any(|wanted| wanted == family)
    }
}

pub(super) fn write(shared: &Shared, wanted: &Wanted, text: &mut Text) {
    text.set_prefix("rabbitmq_detailed_");
    write_node(shared, wanted, text);
    write_queues(shared, wanted, text);
    text.set_prefix("rabbitmq_cluster_");
    write_cluster(shared, wanted, text);
}

fn write_node(shared: &Shared, wanted: &Wanted, text: &mut Text) {
    if wanted.wants("connection_churn_metrics") {
        node::churn(shared.broker.metrics(), text);
    }
    if wanted.wants("node_metrics") {
        node::limits(shared, text);
    }
    if wanted.wants("node_coarse_metrics") {
        node::resources(shared, text);
    }
    if wanted.wants("node_persister_metrics") {
        node::persister(shared, text);
    }
    if wanted.wants("auth_attempt_metrics") {
        node::logins(&shared.broker, text);
    }
}

fn write_queues(shared: &Shared, wanted: &Wanted, text: &mut Text) {
    let metrics = wanted.wants("queue_metrics");
    let coarse = wanted.wants("queue_coarse_metrics");
    let consumers = metrics || wanted.wants("queue_consumer_count");
    let times = wanted.wants("ferrymq_queue_times");
    if !(metrics || coarse || consumers || times) {
        return;
    }
    let queues = queues::of(shared, &wanted.vhosts);
    if coarse {
        queues::write(&queues, &queues::DEPTHS, text);
    }
    if consumers {
        queues::write(&queues, &queues::CONSUMER_COUNTS, text);
    }
    if metrics {
        queues::write(&queues, &queues::FURTHER, text);
    }
    if times {
        queues::write_times(&queues, text);
    }
}

fn write_cluster(shared: &Shared, wanted: &Wanted, text: &mut Text) {
    let named = |vhost: &str| {
        let vhosts = &wanted.vhosts;
        vhosts.is_empty() || vhosts.iter().any(|wanted| wanted == vhost)
    };
    let mut vhosts = shared.broker.vhosts();
    vhosts.retain(|vhost| named(vhost.name()));
    if wanted.wants("vhost_status") {
        text.open(VHOST_STATUS);
        for vhost in &vhosts {
            text.sample(VHOST_STATUS, &[("vhost", vhost.name())], 1.0);
        }
    }
    if wanted.wants("exchange_names") {
        text.open(EXCHANGE_NAME);
        for vhost in &vhosts {
            exchanges(vhost, EXCHANGE_NAME, |_| 1, text);
        }
    }
    if wanted.wants("exchange_bindings") {
        text.open(EXCHANGE_BINDINGS);
        for vhost in &vhosts {
            exchanges(vhost, EXCHANGE_BINDINGS, |bindings| bindings, text);
        }
    }
}

/// Tells of every exchange what `value` makes of the number of bindings that lead away from it.
fn exchanges(vhost: &Vhost, family: Family, value: impl Fn(usize) -> usize, text: &mut Text) {
    for (exchange, bindings) in vhost.exchanges_with_bindings() {
        if text.is_closed() {
            return;
        }
        let labels = [
            ("vhost", vhost.name()),
            ("exchange", &*exchange.name),
            ("type", exchange.kind.as_str()),
        ];
        text.sample(family, &labels, value(bindings) as f64);
    }
}
