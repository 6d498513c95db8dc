//! Settings that say where the copies of a queue are, for policies that were made for a cluster.
//!
//! Invariants
//! - They are checked and kept, so that a policy counts as it counted before, and have no effect:
//!   on one node RabbitMQ's have none, either.

use ferry_core::arguments::Value;

use super::term::Term;

/// What a value may be.
enum Wanted {
    OneOf(&'static [&'static str]),
    Positive,
    /// A number for `exactly`, names for `nodes`.
    Params,
}

const SETTINGS: &[(&str, Wanted)] = &[
    ("ha-mode", Wanted::OneOf(&["all", "exactly", "nodes"])),
    ("ha-params", Wanted::Params),
    ("ha-sync-mode", Wanted::OneOf(&["automatic", "manual"])),
    ("ha-sync-batch-size", Wanted::Positive),
    (
        "ha-promote-on-shutdown",
        Wanted::OneOf(&["always", "when-synced"]),
    ),
    (
        "ha-promote-on-failure",
        Wanted::OneOf(&["always", "when-synced"]),
    ),
    (
        "queue-master-locator",
        Wanted::OneOf(&["min-masters", "client-local", "random"]),
    ),
    (
        "queue-leader-locator",
        Wanted::OneOf(&["client-local", "balanced", "least-leaders", "random"]),
    ),
    ("initial-cluster-size", Wanted::Positive),
    ("target-group-size", Wanted::Positive),
];

/// Whether a setting of a policy is about copies.
pub fn is_about_copies(setting: &str) -> bool {
    SETTINGS.iter().any(|(name, _)| *name == setting)
}

/// Checks a setting; false if it is none of these.
pub(super) fn read(setting: &str, value: &Value) -> Result<bool, String> {
    let Some((_, wanted)) = SETTINGS.iter().find(|(name, _)| *name == setting) else {
        return Ok(false);
    };
    let positive = |value: &Value| value.as_integer().is_some_and(|number| number > 0);
    let fits = match wanted {
        Wanted::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Wanted::Positive => positive(value),
        Wanted::Params => match value {
            Value::Array(names) => names.iter().all(|name| name.as_str().is_some()),
            number => positive(number),
        },
    };
    match fits {
        true => Ok(true),
        false => Err(format!("{} is not a valid {setting}", Term(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_clusters_are_checked() {
        let nodes = || Value::Array(vec![Value::from("rabbit@a")]);
        for (setting, value, expected) in [
            ("ha-mode", Value::from("all"), Ok(true)),
            ("ha-mode", Value::from("some"), Err(())),
            ("ha-mode", Value::from(1i64), Err(())),
            ("ha-params", Value::from(2i64), Ok(true)),
            ("ha-params", nodes(), Ok(true)),
            ("ha-params", Value::Array(vec![Value::from(1i64)]), Err(())),
            ("ha-params", Value::from("2"), Err(())),
            ("ha-sync-batch-size", Value::from(0i64), Err(())),
            ("ha-promote-on-failure", Value::from("always"), Ok(true)),
            ("queue-leader-locator", Value::from("balanced"), Ok(true)),
            ("max-length", Value::from(1i64), Ok(false)),
        ] {
            let found = read(setting, &value);
            assert_eq!(found.map_err(drop), expected, "{setting} {value:?}");
            assert_eq!(is_about_copies(setting), expected != Ok(false), "{setting}");
        }
    }
}
