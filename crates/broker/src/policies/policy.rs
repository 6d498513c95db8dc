//! A policy as it is named, set, shown and written down, and why one is refused.
//!
//! Invariants
//! - A refusal that RabbitMQ knows has RabbitMQ's words.

use ferry_core::arguments::{Arguments, Value};
use serde::{Deserialize, Serialize};

use super::POLICIES_MAX;
use super::term::Term;
use crate::DefinitionError;

/// Which objects a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ApplyTo {
    /// All that a policy can be for, queues and exchanges: the default.
    #[default]
    All,
    /// Exchanges.
    Exchanges,
    /// Queues.
    Queues,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Streams.
    Streams,
}

impl ApplyTo {
    /// The name in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            ApplyTo::All => "all",
            ApplyTo::Exchanges => "exchanges",
            ApplyTo::Queues => "queues",
            ApplyTo::ClassicQueues => "classic_queues",
            ApplyTo::QuorumQueues => "quorum_queues",
            ApplyTo::Streams => "streams",
        }
    }

    fn from_name(name: &str) -> Option<ApplyTo> {
        [
            ApplyTo::All,
            ApplyTo::Exchanges,
            ApplyTo::Queues,
            ApplyTo::ClassicQueues,
            ApplyTo::QuorumQueues,
            ApplyTo::Streams,
        ]
        .into_iter()
        .find(|apply_to| apply_to.name() == name)
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The virtual host it is in.
    pub vhost: String,
    /// Its name, unique there.
    pub name: String,
    /// A regular expression that names of queues and exchanges are compared with.
    pub pattern: String,
    /// Which kinds of objects it is for.
    pub apply_to: ApplyTo,
    /// Of those that match a name the one with the highest priority is in force.
    pub priority: i64,
    /// Settings by name: the names of arguments without `x-`.
    pub definition: Arguments,
}

/// A policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// There is no such virtual host.
    #[error("vhost '{0}' not found")]
    NoSuchVhost(String),
    /// There is none of that name.
    #[error("no {what} '{name}' in vhost '{vhost}'")]
    NotFound {
        /// `policy` or `operator policy`.
        what: &'static str,
        /// The name.
        name: String,
        /// The virtual host.
        vhost: String,
    },
    /// Not everything that makes a policy was given.
    #[error("[{}]", missing_keys(.0))]
    Missing(Vec<&'static str>),
    /// It makes no sense.
    #[error("Validation failed\n\n{0}\n")]
    Invalid(String),
    /// The virtual host has as many as it can have.
    #[error("a virtual host has at most {POLICIES_MAX} policies")]
    TooMany,
    /// The log does not take it.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
}

fn missing_keys(keys: &[&str]) -> String {
    let terms: Vec<_> = keys
        .iter()
        .map(|key| format!("{{key_missing,{key}}}"))
        .collect();
    terms.join(",")
}

fn invalid<T>(why: String) -> Result<T, PolicyError> {
    Err(PolicyError::Invalid(why))
}

impl Policy {
    /// Reads a policy from `pattern`, `definition`, `priority` and `apply-to`; the last two may
    /// be left out. Other names are passed over, as in RabbitMQ.
    ///
    /// # Errors
    /// If one of them is missing or of a wrong type. What they say is checked when it is set.
    pub fn read(vhost: &str, name: &str, said: &Arguments) -> Result<Policy, PolicyError> {
        let missing = |key: &&str| !said.contains(key);
        let missing: Vec<_> = ["pattern", "definition"]
            .into_iter()
            .filter(missing)
            .collect();
        let (Some(pattern), Some(definition)) = (said.get("pattern"), said.get("definition"))
        else {
            return Err(PolicyError::Missing(missing));
        };
        let priority = match said.get("priority") {
            None => 0,
            Some(value) => match value.as_integer().map(i64::try_from) {
                Some(Ok(priority)) => priority,
                _ => {
                    let wanted = match value {
                        Value::F64(_) | Value::U64(_) => "an integer of 64 bits",
                        _ => "a number",
                    };
                    let term = Term(value);
                    return invalid(format!("priority should be {wanted}, actually was {term}"));
                }
            },
        };
        let Some(pattern) = pattern.as_str() else {
            let term = Term(pattern);
            return invalid(format!("pattern should be a binary but was {term}"));
        };
        let apply_to = said.get("apply-to").map_or(Ok(ApplyTo::All), apply_to)?;
        let Value::Table(definition) = definition else {
            let term = Term(definition);
            return invalid(format!("definition must be a dictionary: {term}"));
        };
        Ok(Policy {
            vhost: vhost.to_owned(),
            name: name.to_owned(),
            pattern: pattern.to_owned(),
            apply_to,
            priority,
            definition: definition.clone(),
        })
    }
}

fn apply_to(value: &Value) -> Result<ApplyTo, PolicyError> {
    if let Some(apply_to) = value.as_str().and_then(ApplyTo::from_name) {
        return Ok(apply_to);
    }
    let name = match value.as_str() {
        Some(name) => name.to_owned(),
        None => Term(value).to_string(),
    };
    invalid(format!(
        "apply-to '{name}' unrecognised; should be 'queues', 'classic_queues', 'quorum_queues', \
         'streams', 'exchanges' or 'all'"
    ))
}
