//! A policy made ready for use, and all of a virtual host in the order in which they count.
//!
//! Invariants
//! - A pattern is matched in a time linear in the name, whatever the pattern; what that takes is
//!   bounded by `PATTERN_BYTES_MAX` and `PROGRAM_BYTES_MAX`.
//! - A pattern sees bytes, as in RabbitMQ, not characters.

use std::cmp::Reverse;
use std::sync::Arc;

use ferry_core::arguments::{Arguments, Value};
use ferry_core::limits::NAME_BYTES_MAX;
use ferry_core::queue::QueueKind;
use regex::bytes::{Regex, RegexBuilder};

use super::term::Term;
use super::{ApplyTo, Policy, PolicyError, Tier, copies};
use crate::arguments::{KEYS, Key, Settings};
use crate::intercept::Interceptor;

/// Where an exchange sends what it routes nowhere, by RabbitMQ's name.
const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 4096;
/// Largest program that a pattern may become.
const PROGRAM_BYTES_MAX: usize = 256 << 10;
/// How deep groups in a pattern may nest.
const PATTERN_DEPTH_MAX: u32 = 32;

/// A policy with what it says in the form in which it is used.
#[derive(Debug)]
pub(crate) struct Rule {
    pub policy: Arc<Policy>,
    pub settings: Settings,
    pub exchange: ForExchange,
    pattern: Regex,
}

/// What a policy says of an exchange.
#[derive(Debug, Clone, Default)]
pub(crate) struct ForExchange {
    /// Where a message goes that it routes nowhere.
    pub alternate: Option<Arc<str>>,
    pub interceptor: Option<Arc<Interceptor>>,
}

fn invalid<T>(why: impl Into<String>) -> Result<T, PolicyError> {
    Err(PolicyError::Invalid(why.into()))
}

impl Rule {
    /// Checks a policy.
    pub fn new(tier: Tier, policy: Policy) -> Result<Rule, PolicyError> {
        let bytes = policy.name.len();
        if !(1..=NAME_BYTES_MAX).contains(&bytes) {
            return invalid(format!(
                "the name should have 1 to {NAME_BYTES_MAX} bytes but has {bytes}"
            ));
        }
        let pattern = compile(&policy.pattern)?;
        let (settings, exchange) = settings(tier, &policy.definition)?;
        Ok(Rule {
            policy: Arc::new(policy),
            settings,
            exchange,
            pattern,
        })
    }

    pub fn applies_to(&self, name: &str, kind: QueueKind) -> bool {
        let kinds = match self.policy.apply_to {
            ApplyTo::All | ApplyTo::Queues => true,
            ApplyTo::Exchanges => false,
            ApplyTo::ClassicQueues => kind == QueueKind::Classic,
            ApplyTo::QuorumQueues => kind == QueueKind::Quorum,
            ApplyTo::Streams => kind == QueueKind::Stream,
        };
        kinds && self.pattern.is_match(name.as_bytes())
    }

    fn applies_to_exchange(&self, name: &str) -> bool {
        matches!(self.policy.apply_to, ApplyTo::All | ApplyTo::Exchanges)
            && self.pattern.is_match(name.as_bytes())
    }

    fn rank(&self) -> (Reverse<i64>, &str) {
        (Reverse(self.policy.priority), &self.policy.name)
    }
}

fn compile(pattern: &str) -> Result<Regex, PolicyError> {
    let bad = |why: &str| {
        invalid(format!(
            "pattern should be regular expression but is invalid: {why}"
        ))
    };
    if pattern.len() > PATTERN_BYTES_MAX {
        return bad(&format!("it is longer than {PATTERN_BYTES_MAX} bytes"));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder
        .unicode(false)
        .size_limit(PROGRAM_BYTES_MAX)
        .nest_limit(PATTERN_DEPTH_MAX);
    builder.build().or_else(|error| bad(&error.to_string()))
}

/// Reads a definition, with RabbitMQ's words for what is wrong with it.
fn settings(tier: Tier, definition: &Arguments) -> Result<(Settings, ForExchange), PolicyError> {
    if definition.is_empty() {
        return invalid("no policy provided");
    }
    let mut settings = Settings::default();
    let mut exchange = ForExchange::default();
    let mut interceptor = Interceptor::default();
    let mut unknown: Vec<(&str, &Value)> = Vec::new();
    for (name, value) in definition.iter() {
        if !tier.allows(name) {
            unknown.push((name, value));
        } else if let Some(key) = KEYS.iter().find(|key| key.in_policy() == name) {
            read_setting(key, &mut settings, value)?;
        } else if name == ALTERNATE_EXCHANGE {
            exchange.alternate = Some(alternate(value)?);
        } else if copies::read(name, value).or_else(invalid)? {
            continue;
        } else if !interceptor.read(name, value).or_else(invalid)? {
            unknown.push((name, value));
        }
    }
    if !unknown.is_empty() {
        let terms: Vec<String> = unknown
            .iter()
            .map(|(name, value)| format!("{{{},{}}}", Term(&Value::from(*name)), Term(value)))
            .collect();
        let terms = terms.join(",");
        return invalid(format!("[{terms}] are not recognised policy settings"));
    }
    if let Some(why) = settings.contradiction() {
        return invalid(format!("retry-max-delay is not valid: {why}"));
    }
    if let Some(why) = interceptor.contradiction() {
        return invalid(why);
    }
    exchange.interceptor = interceptor.acts().then(|| Arc::new(interceptor));
    Ok((settings, exchange))
}

fn read_setting(key: &Key, settings: &mut Settings, value: &Value) -> Result<(), PolicyError> {
    key.read(settings, value).or_else(|why| {
        let refusal = format!("{} is not a valid {}", Term(value), key.words);
        invalid(match key.known {
            true => refusal,
            false => format!("{refusal}: {why}"),
        })
    })
}

fn alternate(value: &Value) -> Result<Arc<str>, PolicyError> {
    let name = value.as_str().filter(|name| name.len() <= NAME_BYTES_MAX);
    match name {
        Some(name) => Ok(name.into()),
        None => invalid(format!(
            "{} is not a valid alternate exchange name",
            Term(value)
        )),
    }
}

/// Policies in the order in which they count.
#[derive(Debug, Default)]
pub(crate) struct Ranked(Vec<Rule>);

impl Ranked {
    /// Adds a rule, in the place of one of the same name.
    pub fn set(&mut self, rule: Rule) {
        self.remove(&rule.policy.name);
        let place = self.0.partition_point(|other| other.rank() < rule.rank());
        self.0.insert(place, rule);
    }

    /// Removes a rule, if it is there.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|rule| rule.policy.name != name);
    }

    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|policy| policy.name == name)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Those that count first come first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.0.iter().map(|rule| &rule.policy)
    }

    /// The one in force for a queue.
    pub fn in_force(&self, queue: &str, kind: QueueKind) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.applies_to(queue, kind))
    }

    /// The one in force for an exchange.
    pub fn in_force_for_exchange(&self, exchange: &str) -> Option<&Rule> {
        let mut rules = self.0.iter();
        rules.find(|rule| rule.applies_to_exchange(exchange))
    }
}
