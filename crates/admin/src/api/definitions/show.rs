//! Definitions as they are given out, in RabbitMQ's format.
//!
//! Invariants
//! - Lists are in order: by virtual host, then by name, and bindings by both ends, key and
//!   arguments.
//! - What every node or virtual host has from its beginning is left out; so are exclusive queues
//!   and what is bound to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferry_broker::{
    Account, Destination, LimitsOf, LimitsSet, Policy, RABBITMQ_VERSION, Vhost, predeclared,
};
use ferry_core::queue::QueueKind;
use serde_json::{Map, Value, json};

use super::super::parameters::cluster_name;
use super::super::{Shared, values};

/// Everything.
pub(super) fn all(shared: &Shared) -> Value {
    let broker = &shared.broker;
    let limits = broker.limits();
    let vhosts = broker.vhosts();
    let mut object = head(shared, "cluster");
    let cluster = cluster_name(shared);
    object["explanation"] = json!(format!("Definitions of cluster '{cluster}'"));
    object["original_cluster_name"] = json!(cluster);
    let users = broker.users();
    object["users"] = users.iter().map(|one| user(one, &limits)).collect();
    object["vhosts"] = vhosts.iter().map(|one| described(one)).collect();
    object["permissions"] = broker
        .permissions()
        .iter()
        .map(|one| {
            json!({
                "user": &*one.user, "vhost": &*one.vhost,
                "configure": one.configure, "write": one.write, "read": one.read,
            })
        })
        .collect();
    object["topic_permissions"] = broker
        .topic_permissions()
        .iter()
        .map(|one| {
            json!({
                "user": &*one.user, "vhost": &*one.vhost, "exchange": &*one.exchange,
                "write": one.write, "read": one.read,
            })
        })
        .collect();
    object["global_parameters"] = broker
        .global_parameters()
        .into_iter()
        .map(|(name, value)| json!({ "name": &*name, "value": value }))
        .collect();
    let mut sections = Sections::default();
    for vhost in &vhosts {
        sections.add(vhost, &limits);
    }
    sections.put_into(&mut object);
    object
}

/// What is in one virtual host; its name is in none of it.
pub(super) fn one(shared: &Shared, vhost: &Arc<Vhost>) -> Value {
    let limits = shared.broker.limits();
    let mut object = head(shared, "single_virtual_host");
    let name = vhost.name();
    object["original_vhost_name"] = json!(name);
    object["explanation"] = json!(format!("Definitions of virtual host '{name}'"));
    let described = described(vhost);
    for field in ["metadata", "description", "default_queue_type"] {
        if let Some(value) = described.get(field) {
            object[field] = value.clone();
        }
    }
    object["limits"] = limits_of(vhost, &limits).map_or(json!({}), values_of);
    let mut sections = Sections::default();
    sections.add(vhost, &limits);
    sections.each(|item| {
        item.remove("vhost");
    });
    sections.put_into(&mut object);
    object
}

/// A virtual host with what is said of it.
fn described(vhost: &Vhost) -> Value {
    let spec = vhost.spec();
    let mut metadata = json!({ "description": spec.description, "tags": spec.tags });
    if let Some(kind) = spec.default_queue_type {
        metadata["default_queue_type"] = json!(kind);
    }
    let mut object = metadata.clone();
    object["name"] = json!(vhost.name());
    object["metadata"] = metadata;
    object
}

fn head(shared: &Shared, format: &str) -> Value {
    json!({
        "rabbit_version": RABBITMQ_VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "product_name": "FerryMQ",
        "product_version": shared.node.version,
        "rabbitmq_definition_format": format,
    })
}

fn user(account: &Account, limits: &[LimitsSet]) -> Value {
    let hashed = account.exported_hash();
    let (algorithm, hash) = hashed.unwrap_or(("rabbit_password_hashing_sha256", ""));
    let of = LimitsOf::User(Arc::clone(&account.name));
    let limits = limits.iter().find(|set| set.of == of);
    json!({
        "name": &*account.name,
        "password_hash": hash,
        "hashing_algorithm": algorithm,
        "tags": account.tags,
        "limits": limits.map_or(json!({}), values_of),
    })
}

fn limits_of<'a>(vhost: &Vhost, limits: &'a [LimitsSet]) -> Option<&'a LimitsSet> {
    let of = LimitsOf::Vhost(vhost.name().into());
    limits.iter().find(|set| set.of == of)
}

/// Limits by name.
pub(in crate::api) fn values_of(set: &LimitsSet) -> Value {
    let values = set.values.iter();
    let values: Map<_, _> = values
        .map(|(limit, value)| (limit.name().to_owned(), json!(value)))
        .collect();
    Value::Object(values)
}

/// A policy as the value of a parameter.
pub(in crate::api) fn policy_value(policy: &Policy) -> Value {
    json!({
        "pattern": policy.pattern,
        "apply-to": policy.apply_to.name(),
        "definition": values::object(&policy.definition),
        "priority": policy.priority,
    })
}

/// The sections that are about virtual hosts.
#[derive(Default)]
struct Sections {
    parameters: Vec<Value>,
    policies: Vec<Value>,
    exchanges: Vec<Value>,
    queues: Vec<Value>,
    bindings: Vec<Value>,
}

impl Sections {
    fn add(&mut self, vhost: &Arc<Vhost>, limits: &[LimitsSet]) {
        let name = vhost.name();
        if let Some(limits) = limits_of(vhost, limits) {
            self.parameters.push(json!({
                "vhost": name, "component": "vhost-limits", "name": "limits",
                "value": values_of(limits),
            }));
        }
        for policy in vhost.operator_policies() {
            self.parameters.push(json!({
                "vhost": name, "component": "operator_policy", "name": policy.name,
                "value": policy_value(&policy),
            }));
        }
        for policy in vhost.policies() {
            let mut value = policy_value(&policy);
            value["vhost"] = json!(name);
            value["name"] = json!(policy.name);
            self.policies.push(value);
        }
        self.add_exchanges(vhost);
        self.add_queues(vhost);
        self.add_bindings(vhost);
    }

    fn add_exchanges(&mut self, vhost: &Vhost) {
        let exchanges = vhost.exchanges();
        for exchange in exchanges.iter().filter(|exchange| !predeclared(exchange)) {
            self.exchanges.push(json!({
                "name": &*exchange.name,
                "vhost": vhost.name(),
                "type": exchange.kind.as_str(),
                "durable": exchange.durable,
                "auto_delete": exchange.auto_delete,
                "internal": exchange.internal,
                "arguments": values::object(&exchange.arguments),
            }));
        }
    }

    fn add_queues(&mut self, vhost: &Vhost) {
        let default = vhost.spec().default_queue_type;
        let queues = vhost.queues();
        for queue in queues.iter().filter(|queue| !queue.exclusive()) {
            let mut arguments = values::object(&queue.arguments());
            let kind = match queue.kind() {
                QueueKind::Classic => "classic",
                QueueKind::Quorum => "quorum",
                QueueKind::Stream => "stream",
            };
            // Else it would become one of the default type where it is imported.
            if default.as_deref().is_some_and(|default| default != kind)
                && arguments.get("x-queue-type").is_none()
            {
                arguments["x-queue-type"] = json!(kind);
            }
            self.queues.push(json!({
                "name": queue.name(),
                "vhost": vhost.name(),
                "durable": queue.durable(),
                "auto_delete": queue.auto_delete(),
                "arguments": arguments,
            }));
        }
    }

    fn add_bindings(&mut self, vhost: &Arc<Vhost>) {
        let queues = vhost.queues();
        let exclusive = queues.iter().filter(|queue| queue.exclusive());
        let exclusive: BTreeSet<&str> = exclusive.map(|queue| queue.name()).collect();
        let mut shown: Vec<_> = Vec::new();
        for (binding, destination) in vhost.bindings() {
            let kind = match binding.destination {
                Destination::Queue(_) if exclusive.contains(&*destination) => continue,
                Destination::Queue(_) => "queue",
                Destination::Exchange(_) => "exchange",
            };
            let arguments = values::object(&binding.arguments);
            let value = json!({
                "source": &*binding.source,
                "vhost": vhost.name(),
                "destination": destination,
                "destination_type": kind,
                "routing_key": values::text(&binding.routing_key),
                "arguments": arguments,
            });
            let ends = (binding.source, kind, destination);
            shown.push((ends, binding.routing_key, arguments.to_string(), value));
        }
        shown.sort_by(|a, b| (&a.0, &a.1, &a.2).cmp(&(&b.0, &b.1, &b.2)));
        self.bindings
            .extend(shown.into_iter().map(|(.., value)| value));
    }

    fn each(&mut self, mut change: impl FnMut(&mut Map<String, Value>)) {
        for list in [
            &mut self.parameters,
            &mut self.policies,
            &mut self.exchanges,
            &mut self.queues,
            &mut self.bindings,
        ] {
            list.iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(&mut change);
        }
    }

    fn put_into(self, object: &mut Value) {
        object["parameters"] = Value::Array(self.parameters);
        object["policies"] = Value::Array(self.policies);
        object["exchanges"] = Value::Array(self.exchanges);
        object["queues"] = Value::Array(self.queues);
        object["bindings"] = Value::Array(self.bindings);
    }
}
