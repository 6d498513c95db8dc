//! An import carried out, what others build on first.

use std::sync::Arc;

use ferry_core::arguments::Value;

use super::{Import, ImportError, ImportedUser};
use crate::{
    Broker, ConnectionId, DefinitionError, LimitError, LimitName, LimitsOf, Permission, Policy,
    PolicyError, Promise, Vhost,
};

/// Does everything; the promise covers all of it. What is as it should be is not written again.
pub(super) fn apply(broker: &Broker, import: &Import, user: &str) -> Result<Promise, ImportError> {
    let mut promise = access(broker, import, user)?;
    promise = promise.max(limits(broker, import)?);
    for (name, value) in &import.global_parameters {
        if broker.global_parameter(name).as_ref() != Some(value) {
            let set = broker.set_global_parameter(name, value.clone())?;
            promise = promise.max(set.durable_at);
        }
    }
    for policy in &import.policies {
        if !is_there(broker, policy, Vhost::policies) {
            let set = broker.set_policy(policy.clone());
            let set = set.map_err(|error| of_policy(error, policy))?;
            promise = promise.max(set.durable_at);
        }
    }
    for policy in &import.operator_policies {
        if !is_there(broker, policy, Vhost::operator_policies) {
            let set = broker.set_operator_policy(policy.clone());
            let set = set.map_err(|error| of_policy(error, policy))?;
            promise = promise.max(set.durable_at);
        }
    }
    Ok(promise.max(objects(broker, import)?))
}

fn is_there(broker: &Broker, policy: &Policy, list: fn(&Vhost) -> Vec<Arc<Policy>>) -> bool {
    let vhost = broker.vhost(&policy.vhost);
    vhost.is_some_and(|vhost| list(&vhost).iter().any(|one| **one == *policy))
}

fn of_policy(error: PolicyError, policy: &Policy) -> ImportError {
    ImportError::Policy {
        error: Box::new(error),
        vhost: policy.vhost.clone(),
        name: policy.name.clone(),
    }
}

fn access(broker: &Broker, import: &Import, user: &str) -> Result<Promise, ImportError> {
    let mut promise = users(broker, import)?;
    for spec in &import.vhosts {
        let there = broker.vhost(&spec.name);
        if there.is_some_and(|vhost| vhost.spec() == *spec) {
            continue;
        }
        let set = broker.set_vhost(spec.clone())?;
        promise = promise.max(set.durable_at);
        let given = import
            .permissions
            .iter()
            .any(|one| *one.vhost == *spec.name);
        if set.created && !given && broker.has_user(user) {
            let all = || ".*".to_owned();
            let permission = Permission {
                user: user.into(),
                vhost: spec.name.as_str().into(),
                configure: all(),
                write: all(),
                read: all(),
            };
            promise = promise.max(broker.set_permission(permission)?.durable_at);
        }
    }
    let there = broker.permissions();
    for permission in &import.permissions {
        let place = |one: &Permission| (Arc::clone(&one.vhost), Arc::clone(&one.user));
        let found = there.binary_search_by(|one| place(one).cmp(&place(permission)));
        if !found.is_ok_and(|index| *there[index] == *permission) {
            let set = broker.set_permission(permission.clone())?;
            promise = promise.max(set.durable_at);
        }
    }
    let there = broker.topic_permissions();
    for permission in &import.topic_permissions {
        if !there.iter().any(|one| **one == *permission) {
            let set = broker.set_topic_permission(permission.clone())?;
            promise = promise.max(set.durable_at);
        }
    }
    Ok(promise)
}

fn users(broker: &Broker, import: &Import) -> Result<Promise, ImportError> {
    let mut promise = Promise::Now;
    let there = broker.users();
    for ImportedUser { account, .. } in &import.users {
        let found = there.binary_search_by(|one| one.name.cmp(&account.name));
        if found.is_ok_and(|index| *there[index] == *account) {
            continue;
        }
        promise = promise.max(broker.set_user(account.clone())?.durable_at);
    }
    Ok(promise)
}

fn limits(broker: &Broker, import: &Import) -> Result<Promise, ImportError> {
    let mut promise = Promise::Now;
    for user in &import.users {
        let of = LimitsOf::User(Arc::clone(&user.account.name));
        let set = set_limits(broker, &of, &user.limits, false);
        promise = promise.max(set.map_err(|error| of_limit(error, &of))?);
    }
    for (vhost, limits) in &import.vhost_limits {
        let of = LimitsOf::Vhost(vhost.as_str().into());
        let set = set_limits(broker, &of, limits, true);
        promise = promise.max(set.map_err(|error| of_limit(error, &of))?);
    }
    Ok(promise)
}

fn of_limit(error: LimitError, of: &LimitsOf) -> ImportError {
    ImportError::Limit {
        error: Box::new(error),
        of: of.name().to_owned(),
    }
}

/// Sets limits; with `alone` those that are not named are cleared.
fn set_limits(
    broker: &Broker,
    of: &LimitsOf,
    limits: &[(String, Value)],
    alone: bool,
) -> Result<Promise, LimitError> {
    let mut promise = Promise::Now;
    let there = broker.limits_of(of)?.map_or(Vec::new(), |set| set.values);
    for (name, _) in there.iter().filter(|_| alone) {
        if limits.iter().all(|(kept, _)| kept != name.name()) {
            promise = promise.max(broker.clear_limit(of.clone(), name.name())?);
        }
    }
    for (name, value) in limits {
        // Everything below 0 is no limit, and written as -1.
        let wanted = value.as_integer().map(|value| value.max(-1));
        let same = |(limit, value): &(LimitName, i64)| {
            limit.name() == name && wanted == Some(i128::from(*value))
        };
        if !there.iter().any(same) {
            promise = promise.max(broker.set_limit(of.clone(), name, value)?);
        }
    }
    Ok(promise)
}

fn objects(broker: &Broker, import: &Import) -> Result<Promise, ImportError> {
    let mut promise = Promise::Now;
    let find = |name: &str| {
        let vhost = broker.vhost(name);
        vhost.ok_or_else(|| ImportError::NoSuchVhost(name.to_owned()))
    };
    for (vhost, exchange) in &import.exchanges {
        let vhost = find(vhost)?;
        if vhost.exchange(&exchange.name).is_err() {
            promise = promise.max(there(vhost.declare_exchange(exchange.clone()))?);
        }
    }
    for (vhost, queue) in &import.queues {
        let vhost = find(vhost)?;
        if !has_queue(&vhost, &queue.name) {
            let declared = vhost.declare_queue(queue.clone(), ConnectionId::NOBODY);
            promise = promise.max(there(declared.map(|declared| declared.durable_at))?);
        }
    }
    for binding in &import.bindings {
        let spec = crate::BindingSpec {
            source: &binding.source,
            queue: binding.to_queue.then_some(&*binding.destination),
            exchange: (!binding.to_queue).then_some(&*binding.destination),
            routing_key: binding.routing_key.as_bytes(),
            arguments: binding.arguments.clone(),
            connection: ConnectionId::NOBODY,
        };
        promise = promise.max(find(&binding.vhost)?.bind(&spec)?);
    }
    Ok(promise)
}

fn has_queue(vhost: &Vhost, name: &str) -> bool {
    vhost.definitions.read().queues.contains_key(name)
}

/// What a client has declared meanwhile stays as it is, like all that was there before.
fn there(declared: Result<Promise, DefinitionError>) -> Result<Promise, ImportError> {
    match declared {
        Err(DefinitionError::Inequivalent(_) | DefinitionError::Locked { .. }) => Ok(Promise::Now),
        other => Ok(other?),
    }
}
