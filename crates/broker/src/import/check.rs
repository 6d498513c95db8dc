//! What is wrong with an import, found without changing anything.
//!
//! Invariants
//! - Every refusal that carrying it out could meet is met here first, but for the disk's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferry_core::limits::NAME_BYTES_MAX;
use ferry_core::routing::{Destination, Exchange, QueueId, Topology};

use super::{Import, ImportError, ImportedBinding};
use crate::access::{Pattern, TopicPattern};
use crate::policies::{POLICIES_MAX, Rule, Tier};
use crate::{
    AccessError, Broker, ConnectionId, DefinitionError, ErrorKind, LimitError, LimitName, LimitsOf,
    ParameterError, Policy, PolicyError, QueueSpec, Vhost, VhostSpec, limits,
};

/// Checks everything.
pub(super) fn check(broker: &Broker, import: &Import) -> Result<(), ImportError> {
    let names = Names::of(broker, import)?;
    for (vhost, limits) in &import.vhost_limits {
        names.vhost(vhost)?;
        let of = LimitsOf::Vhost(vhost.as_str().into());
        check_limits(&of, limits)?;
    }
    for user in &import.users {
        check_limits(
            &LimitsOf::User(Arc::clone(&user.account.name)),
            &user.limits,
        )?;
    }
    check_permissions(import, &names)?;
    for (name, value) in &import.global_parameters {
        broker.parameters.check(name, value)?;
    }
    let parameters = import.global_parameters.iter();
    let parameters = parameters.map(|(name, _)| name.as_str()).collect();
    broker.parameters.check_room(&parameters)?;
    check_policies(broker, Tier::User, &import.policies, &names)?;
    check_policies(broker, Tier::Operator, &import.operator_policies, &names)?;
    for (vhost, objects) in &by_vhost(import) {
        names.vhost(vhost)?;
        check_objects(broker, import, vhost, objects)?;
    }
    Ok(())
}

/// What is to be in one virtual host.
#[derive(Default)]
struct Objects<'a> {
    exchanges: Vec<&'a Exchange>,
    queues: Vec<&'a QueueSpec>,
    bindings: Vec<&'a ImportedBinding>,
}

fn by_vhost(import: &Import) -> BTreeMap<&str, Objects<'_>> {
    let mut all: BTreeMap<&str, Objects<'_>> = BTreeMap::new();
    for (vhost, exchange) in &import.exchanges {
        all.entry(vhost).or_default().exchanges.push(exchange);
    }
    for (vhost, queue) in &import.queues {
        all.entry(vhost).or_default().queues.push(queue);
    }
    for binding in &import.bindings {
        let objects = all.entry(&binding.vhost).or_default();
        objects.bindings.push(binding);
    }
    all
}

/// Virtual hosts and users that are there, or will be.
struct Names<'a> {
    vhosts: BTreeSet<&'a str>,
    users: BTreeSet<&'a str>,
    broker: &'a Broker,
}

impl<'a> Names<'a> {
    fn of(broker: &'a Broker, import: &'a Import) -> Result<Names<'a>, ImportError> {
        let vhosts: BTreeSet<&str> = import.vhosts.iter().map(|spec| &*spec.name).collect();
        let users: BTreeSet<&str> = import
            .users
            .iter()
            .map(|user| &*user.account.name)
            .collect();
        import.vhosts.iter().try_for_each(VhostSpec::check)?;
        let mut accounts = import.users.iter();
        accounts.try_for_each(|user| user.account.check())?;
        Ok(Names {
            vhosts,
            users,
            broker,
        })
    }

    fn vhost(&self, name: &str) -> Result<(), ImportError> {
        match self.vhosts.contains(name) || self.broker.vhost(name).is_some() {
            true => Ok(()),
            false => Err(ImportError::NoSuchVhost(name.to_owned())),
        }
    }

    fn user(&self, name: &str, what: impl FnOnce() -> String) -> Result<(), ImportError> {
        match self.users.contains(name) || self.broker.has_user(name) {
            true => Ok(()),
            false => Err(ImportError::NoSuchUser { what: what() }),
        }
    }
}

fn named(what: &'static str, name: &str) -> Result<(), ImportError> {
    match name.len() {
        1..=NAME_BYTES_MAX => Ok(()),
        bytes => Err(ImportError::Name { what, bytes }),
    }
}

fn check_limits(
    of: &LimitsOf,
    values: &[(String, ferry_core::arguments::Value)],
) -> Result<(), ImportError> {
    for (name, value) in values {
        limits::check(of, name, value).map_err(|error| ImportError::Limit {
            error: Box::new(error),
            of: of.name().to_owned(),
        })?;
    }
    Ok(())
}

fn check_permissions(import: &Import, names: &Names<'_>) -> Result<(), ImportError> {
    for one in &import.permissions {
        let what = || format!("permission of '{}' in vhost '{}'", one.user, one.vhost);
        names.vhost(&one.vhost)?;
        names.user(&one.user, what)?;
        for pattern in [&one.configure, &one.write, &one.read] {
            Pattern::new(pattern).map_err(|why| refused_pattern(what(), pattern, why))?;
        }
    }
    for one in &import.topic_permissions {
        let what = || {
            format!(
                "topic permission of '{}' in vhost '{}'",
                one.user, one.vhost
            )
        };
        names.vhost(&one.vhost)?;
        names.user(&one.user, what)?;
        for pattern in [&one.write, &one.read] {
            TopicPattern::new(pattern, &one.user, &one.vhost)
                .map_err(|why| refused_pattern(what(), pattern, why))?;
        }
    }
    Ok(())
}

fn refused_pattern(what: String, pattern: &str, why: String) -> ImportError {
    let pattern = pattern.to_owned();
    ImportError::Pattern { what, pattern, why }
}

fn check_policies(
    broker: &Broker,
    tier: Tier,
    policies: &[Policy],
    names: &Names<'_>,
) -> Result<(), ImportError> {
    let mut by_vhost: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for policy in policies {
        let refused = |error| ImportError::Policy {
            error: Box::new(error),
            vhost: policy.vhost.clone(),
            name: policy.name.clone(),
        };
        Rule::new(tier, policy.clone()).map_err(refused)?;
        names.vhost(&policy.vhost)?;
        let known = by_vhost.entry(&policy.vhost).or_default();
        known.insert(&policy.name);
        let there = broker.vhost(&policy.vhost).map_or(0, |vhost| {
            let there = match tier {
                Tier::User => vhost.policies(),
                Tier::Operator => vhost.operator_policies(),
            };
            let others = there.iter().filter(|one| !known.contains(&*one.name));
            others.count()
        });
        if there + known.len() > POLICIES_MAX {
            return Err(refused(PolicyError::TooMany));
        }
    }
    Ok(())
}

/// Exchanges, queues and bindings of one virtual host, tried on a copy of what is there.
fn check_objects(
    broker: &Broker,
    import: &Import,
    vhost: &str,
    objects: &Objects<'_>,
) -> Result<(), ImportError> {
    let there = broker.vhost(vhost);
    let vhost = there.unwrap_or_else(|| Arc::new(Vhost::new(vhost, broker.me.clone())));
    let definitions = vhost.definitions.read();
    let mut topology = definitions.topology.clone();
    for exchange in &objects.exchanges {
        named("exchange", &exchange.name)?;
        if topology.exchange(&exchange.name).is_none() {
            let declared = topology.declare_exchange((*exchange).clone());
            declared.map_err(DefinitionError::from)?;
        }
    }
    let mut queues: BTreeMap<&str, QueueId> = BTreeMap::new();
    for queue in &objects.queues {
        named("queue", &queue.name)?;
        if !definitions.queues.contains_key(queue.name.as_str()) {
            vhost.check_declaration(broker, queue)?;
            // Ids from the end, where no queue will ever be.
            let id = QueueId(u64::MAX - queues.len() as u64);
            queues.entry(&queue.name).or_insert(id);
        }
    }
    check_count(broker, import, &vhost, &definitions, queues.len() as u64)?;
    for binding in &objects.bindings {
        let new = queues.get(binding.destination.as_str()).copied();
        check_binding(&vhost, &definitions, &mut topology, binding, new)?;
    }
    Ok(())
}

fn check_count(
    broker: &Broker,
    import: &Import,
    vhost: &Vhost,
    definitions: &crate::vhost::Definitions,
    adding: u64,
) -> Result<(), ImportError> {
    let mut asked = import.vhost_limits.iter();
    let asked = asked.rfind(|(name, _)| name == vhost.name());
    let limit = match asked {
        Some((_, limits)) => {
            let limit = limits
                .iter()
                .find(|(name, _)| name == LimitName::MaxQueues.name());
            limit.and_then(|(_, value)| value.as_integer()?.try_into().ok())
        }
        None => broker.limits.of_vhost(&vhost.name, LimitName::MaxQueues),
    };
    let present = definitions.queues.len() as u64;
    match limit.filter(|limit| adding > 0 && present + adding > *limit) {
        None => Ok(()),
        Some(limit) => Err(ImportError::QueueLimit {
            vhost: vhost.name().to_owned(),
            adding,
            present,
            limit,
        }),
    }
}

fn check_binding(
    vhost: &Vhost,
    definitions: &crate::vhost::Definitions,
    topology: &mut Topology,
    binding: &ImportedBinding,
    new: Option<QueueId>,
) -> Result<(), ImportError> {
    let name = &*binding.destination;
    let destination = match (binding.to_queue, new) {
        (true, Some(id)) => Destination::Queue(id),
        (true, None) => {
            let queue = vhost.find_queue(definitions, name, ConnectionId::NOBODY)?;
            Destination::Queue(queue.id)
        }
        (false, _) => Destination::Exchange(name.into()),
    };
    let (key, arguments) = (binding.routing_key.as_bytes(), &binding.arguments);
    let bound = topology.bind(&binding.source, &destination, key, arguments);
    bound.map_err(DefinitionError::from)?;
    Ok(())
}

impl ImportError {
    /// Whether the file is not to blame.
    pub fn is_internal(&self) -> bool {
        let definition = match self {
            ImportError::Definition(error)
            | ImportError::Access(AccessError::Definition(error))
            | ImportError::Parameter(ParameterError::Definition(error)) => error,
            ImportError::Policy { error, .. } => match &**error {
                PolicyError::Definition(error) => error,
                _ => return false,
            },
            ImportError::Limit { error, .. } => match &**error {
                LimitError::Definition(error) => error,
                _ => return false,
            },
            _ => return false,
        };
        definition.kind() == ErrorKind::Internal
    }
}

impl Import {
    /// Gives every queue without a type the type that its virtual host names.
    pub fn set_default_queue_types(&mut self, broker: &Broker) {
        let mut kinds: BTreeMap<&str, Option<String>> = BTreeMap::new();
        for spec in &self.vhosts {
            kinds.insert(&spec.name, spec.default_queue_type.clone());
        }
        for (vhost, queue) in &mut self.queues {
            let kind = kinds.entry(vhost).or_insert_with(|| {
                let vhost = broker.vhost(vhost);
                vhost.and_then(|vhost| vhost.spec().default_queue_type)
            });
            if let Some(kind) = kind
                && fits(queue)
                && !queue.arguments.contains(QUEUE_TYPE)
            {
                queue.arguments.insert(QUEUE_TYPE, kind.as_str());
            }
        }
    }
}

const QUEUE_TYPE: &str = "x-queue-type";

/// Whether a queue may be of every type.
fn fits(queue: &QueueSpec) -> bool {
    queue.durable && !queue.auto_delete && !queue.exclusive
}
