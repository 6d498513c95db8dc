//! Global parameters: what operators and tools note down for the whole node, by name, as JSON.
//!
//! Invariants
//! - A parameter is written before it is in force, and changes are in force in the order in which
//!   they are written.
//! - Names, values and how many there are have bounds.
//!
//! Not here: the parameters of a virtual host, which are limits and policies under other names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};
use serde_json::Value;

use crate::definitions::{self, Definition};
use crate::{Broker, DefinitionError, Promise};

/// What the cluster is called, if somebody gave it a name.
pub const CLUSTER_NAME: &str = "cluster_name";
/// What tells the cluster from all others; made up at the first start.
pub const CLUSTER_ID: &str = "internal_cluster_id";

/// Most global parameters.
const PARAMETERS_MAX: usize = 1000;
/// Longest name.
const NAME_BYTES_MAX: usize = 255;
/// Longest value, written as JSON.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// A global parameter was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// There is none of that name.
    #[error("no global parameter '{0}'")]
    NotFound(String),
    /// It makes no sense.
    #[error("global parameter '{name}': {why}")]
    Invalid {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The log does not take it.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
}

/// A global parameter that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterSet {
    /// Whether there was none of that name.
    pub created: bool,
    /// When it may be reported.
    pub durable_at: Promise,
}

/// All global parameters.
#[derive(Default)]
pub(crate) struct Parameters {
    values: RwLock<BTreeMap<Arc<str>, Value>>,
    /// Held while a parameter is written and set.
    changing: Mutex<()>,
    /// Held by an import, so that two of them never mix.
    pub importing: Mutex<()>,
}

impl Parameters {
    /// Keeps parameters from changing.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    /// What brings back all that is set.
    pub fn definitions(&self) -> Vec<Definition> {
        let values = self.values.read();
        let definition = |(name, value): (&Arc<str>, &Value)| Definition::GlobalParameter {
            name: Arc::clone(name),
            json: Some(value.to_string()),
        };
        values.iter().map(definition).collect()
    }

    /// Sets or clears a parameter that has been written down; false if its text is not JSON.
    pub fn restore(&self, name: Arc<str>, json: Option<&str>) -> bool {
        let value = match json.map(serde_json::from_str).transpose() {
            Ok(value) => value,
            Err(_) => return false,
        };
        match value {
            Some(value) => self.values.write().insert(name, value),
            None => self.values.write().remove(&name),
        };
        true
    }

    /// Says what is wrong with a parameter, if anything.
    pub fn check(&self, name: &str, value: &Value) -> Result<(), ParameterError> {
        let invalid = |why: String| {
            let name = name.to_owned();
            Err(ParameterError::Invalid { name, why })
        };
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            return invalid(format!("the name should have 1 to {NAME_BYTES_MAX} bytes"));
        }
        if matches!(name, CLUSTER_NAME | CLUSTER_ID) && !value.is_string() {
            return invalid(format!("should be text, actually was {value}"));
        }
        let bytes = value.to_string().len();
        if bytes > VALUE_BYTES_MAX {
            return invalid(format!(
                "the value should have at most {VALUE_BYTES_MAX} bytes but has {bytes}"
            ));
        }
        Ok(())
    }

    /// Refuses names that would make too many parameters.
    pub fn check_room(&self, names: &BTreeSet<&str>) -> Result<(), ParameterError> {
        let values = self.values.read();
        let mut new = names.iter().filter(|name| !values.contains_key(**name));
        match new.nth(PARAMETERS_MAX.saturating_sub(values.len())) {
            None => Ok(()),
            Some(name) => Err(ParameterError::Invalid {
                name: (*name).to_owned(),
                why: format!("a node has at most {PARAMETERS_MAX} of them"),
            }),
        }
    }
}

impl Broker {
    /// All global parameters, in order of their names.
    pub fn global_parameters(&self) -> Vec<(Arc<str>, Value)> {
        let values = self.parameters.values.read();
        let pairs = values.iter();
        pairs
            .map(|(name, value)| (Arc::clone(name), value.clone()))
            .collect()
    }

    /// A global parameter.
    pub fn global_parameter(&self, name: &str) -> Option<Value> {
        self.parameters.values.read().get(name).cloned()
    }

    /// Sets a global parameter, in the place of one of the same name.
    pub fn set_global_parameter(
        &self,
        name: &str,
        value: Value,
    ) -> Result<ParameterSet, ParameterError> {
        let changing = self.parameters.hold();
        self.parameters.check(name, &value)?;
        self.parameters.check_room(&BTreeSet::from([name]))?;
        let name: Arc<str> = name.into();
        let definition = Definition::GlobalParameter {
            name: Arc::clone(&name),
            json: Some(value.to_string()),
        };
        let durable_at = definitions::write(&self.durability, &[definition])?;
        tracing::info!(parameter = ?name, "global parameter set");
        let old = self.parameters.values.write().insert(name, value);
        drop(changing);
        self.after_work();
        Ok(ParameterSet {
            created: old.is_none(),
            durable_at,
        })
    }

    /// Clears a global parameter.
    pub fn clear_global_parameter(&self, name: &str) -> Result<Promise, ParameterError> {
        let changing = self.parameters.hold();
        if self.global_parameter(name).is_none() {
            return Err(ParameterError::NotFound(name.to_owned()));
        }
        let definition = Definition::GlobalParameter {
            name: name.into(),
            json: None,
        };
        let promise = definitions::write(&self.durability, &[definition])?;
        tracing::info!(parameter = ?name, "global parameter cleared");
        self.parameters.values.write().remove(name);
        drop(changing);
        self.after_work();
        Ok(promise)
    }

    /// Gives the cluster an identity that is kept, unless it has one.
    pub fn identify_cluster(&self) -> Result<(), ParameterError> {
        if self.global_parameter(CLUSTER_ID).is_none() {
            let id = self.made_up_name("rabbitmq-cluster-id-");
            self.set_global_parameter(CLUSTER_ID, Value::String(id))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_values_and_their_number_have_bounds() {
        let parameters = Parameters::default();
        let long = "x".repeat(VALUE_BYTES_MAX);
        for (name, value, fits) in [
            ("a", Value::Null, true),
            ("", Value::Null, false),
            (&*"n".repeat(NAME_BYTES_MAX), Value::Null, true),
            (&*"n".repeat(NAME_BYTES_MAX + 1), Value::Null, false),
            ("a", Value::from(&long[2..]), true),
            ("a", Value::from(&long[1..]), false),
            (CLUSTER_NAME, Value::from("a"), true),
            (CLUSTER_NAME, Value::from(1), false),
        ] {
            assert_eq!(parameters.check(name, &value).is_ok(), fits, "{name:.20}");
        }
        let names: Vec<String> = (0..=PARAMETERS_MAX)
            .map(|name| format!("{name:04}"))
            .collect();
        let all: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        parameters.check_room(&all).unwrap_err();
        assert!(parameters.restore("0000".into(), Some("1")));
        assert!(!parameters.restore("0001".into(), Some("{")));
        parameters.check_room(&all).unwrap_err();
        let fewer: BTreeSet<&str> = all.into_iter().take(PARAMETERS_MAX).collect();
        parameters.check_room(&fewer).unwrap();
    }
}
