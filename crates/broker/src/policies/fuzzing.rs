//! Policies that an operator may set, with the rules for messages that they may have.

use ferry_core::arguments::{Arguments, Value};
use ferry_core::queue::QueueKind;
use ferry_core::view::NoView;

use super::rule::Rule;
use super::{ApplyTo, Policy, Tier};
use crate::definitions::Definition;
use crate::fuzzing::value;
use crate::intercept::Interceptor;

/// A pattern, a line feed, and a definition in JSON. A policy is refused in words, or can be read
/// again as it is kept, and then says the same.
pub fn check_policy(bytes: &[u8]) {
    let Some((pattern, definition)) = parts(bytes) else {
        return;
    };
    let Ok(json) = serde_json::from_str(definition) else {
        return;
    };
    let Value::Table(definition) = value(json) else {
        return;
    };
    for (tier, apply_to) in [
        (Tier::User, ApplyTo::All),
        (Tier::Operator, ApplyTo::Queues),
    ] {
        let policy = Policy {
            vhost: "/".to_owned(),
            name: "p".to_owned(),
            pattern: pattern.to_owned(),
            apply_to,
            priority: 0,
            definition: definition.clone(),
        };
        check_rule(tier, policy);
    }
}

fn check_rule(tier: Tier, policy: Policy) {
    let rule = match Rule::new(tier, policy.clone()) {
        Ok(rule) => rule,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let bytes = postcard::to_stdvec(&tier.set(policy)).expect("memory takes it");
    let again = match postcard::from_bytes(&bytes).expect("we wrote it") {
        Definition::Policy(policy) | Definition::OperatorPolicy(policy) => policy,
        other => panic!("a policy became {other:?}"),
    };
    let again = Rule::new(tier, again).expect("it was right before");
    assert_eq!(
        format!("{:?}", again.settings),
        format!("{:?}", rule.settings)
    );
    for name in ["", "q", "a.b.c", "amq.topic"] {
        let is_for = |rule: &Rule| rule.applies_to(name, QueueKind::Classic);
        assert_eq!(is_for(&again), is_for(&rule));
    }
    if let Some(interceptor) = &rule.exchange.interceptor {
        assert!(interceptor.acts());
        check_bodies(interceptor, b"{\"a\":[1,\"x\"]}");
    }
}

/// A schema, a line feed, and a body: what the schema says of the body, it says each time.
pub fn check_schema(bytes: &[u8]) {
    let Some((schema, body)) = parts(bytes) else {
        return;
    };
    let Ok(json) = serde_json::from_str(schema) else {
        return;
    };
    let mut interceptor = Interceptor::default();
    match interceptor.read("body-schema", &value(json)) {
        Ok(known) => assert!(known && interceptor.acts()),
        Err(why) => return assert!(!why.is_empty()),
    }
    check_bodies(&interceptor, body.as_bytes());
}

fn check_bodies(interceptor: &Interceptor, body: &[u8]) {
    let view: &Arguments = &Arguments::new();
    let found = interceptor.check(body, view);
    assert_eq!(interceptor.check(body, &NoView), found);
    if let Err(broken) = found {
        assert!(!broken.why.is_empty() && broken.why.len() <= 160);
    }
}

/// What stands before the first line feed, and behind it.
fn parts(bytes: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(bytes).ok()?.split_once('\n')
}
