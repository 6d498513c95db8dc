//! Queues without bounds or dead letters, gone with a restart or weak; policies that do nothing.

use ferry_broker::SyncPolicy;
use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use super::{Finding, Level, text};
use crate::definitions::File;

/// What keeps a queue from growing for ever, without `x-`.
const BOUNDS: &[&str] = &[
    "max-length",
    "max-length-bytes",
    "message-ttl",
    "expires",
    "max-age",
];

/// Largest program that a pattern may become.
const PROGRAM_BYTES_MAX: usize = 256 << 10;

/// A policy with its pattern ready.
struct Ready<'a> {
    policy: &'a Value,
    /// What it says: of an operator's policy the value of its parameter.
    said: &'a Value,
    pattern: Option<Regex>,
    of_operator: bool,
}

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let policies = policies(file);
    for one in &policies {
        check_policy(file, one, findings);
    }
    for queue in file.all("queues") {
        check_queue(file, queue, &policies, findings);
    }
}

fn policies(file: &File) -> Vec<Ready<'_>> {
    let users = file.all("policies").iter();
    let users = users.map(|policy| (policy, policy, false));
    let operators = file.all("parameters").iter();
    let operators = operators
        .filter(|one| text(one, "component") == "operator_policy")
        .map(|one| (one, &one["value"], true));
    let all = users.chain(operators);
    all.map(|(policy, said, of_operator)| {
        let mut builder = RegexBuilder::new(text(said, "pattern"));
        builder.unicode(false).size_limit(PROGRAM_BYTES_MAX);
        Ready {
            policy,
            said,
            pattern: builder.build().ok(),
            of_operator,
        }
    })
    .collect()
}

impl Ready<'_> {
    fn matches(&self, object: &Value, kinds: &[&str]) -> bool {
        let apply_to = match text(self.said, "apply-to") {
            "" => "all",
            apply_to => apply_to,
        };
        let name = text(object, "name").as_bytes();
        text(self.policy, "vhost") == text(object, "vhost")
            && (apply_to == "all" || kinds.contains(&apply_to))
            && self
                .pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(name))
    }

    fn says(&self, settings: &[&str]) -> bool {
        let definition = &self.said["definition"];
        settings
            .iter()
            .any(|setting| definition.get(setting).is_some())
    }
}

/// What policies call the type of a queue.
fn kinds(queue: &Value) -> [&'static str; 2] {
    let of_type = match queue["arguments"]["x-queue-type"].as_str() {
        Some("quorum") => "quorum_queues",
        Some("stream") => "streams",
        _ => "classic_queues",
    };
    ["queues", of_type]
}

/// The policy in force: of those that match the one of the highest priority, then by name.
fn in_force<'a>(
    policies: &'a [Ready<'a>],
    queue: &Value,
    of_operator: bool,
) -> Option<&'a Ready<'a>> {
    let kinds = kinds(queue);
    let matching = policies
        .iter()
        .filter(|one| one.of_operator == of_operator && one.matches(queue, &kinds));
    matching.min_by_key(|one| {
        let priority = one.said["priority"].as_i64().unwrap_or(0);
        (std::cmp::Reverse(priority), text(one.policy, "name"))
    })
}

fn check_policy(file: &File, one: &Ready<'_>, findings: &mut Vec<Finding>) {
    let mut add = |level, rule, what: String, advice| {
        findings.push(Finding {
            level,
            rule,
            kind: match one.of_operator {
                true => "operator policy",
                false => "policy",
            },
            vhost: text(one.policy, "vhost").to_owned(),
            name: text(one.policy, "name").to_owned(),
            what,
            advice,
        });
    };
    if one.pattern.is_none() {
        add(
            Level::Bad,
            "bad-pattern",
            "its pattern is not a regular expression here: the import is refused".to_owned(),
            "write it without look-around and back-references",
        );
        return;
    }
    if one.says(&["ha-mode"]) {
        add(
            Level::Warning,
            "mirrored-policy",
            "ha-mode has no effect: a node keeps one copy of a queue, on its disk".to_owned(),
            "take the ha- settings out; declare queues as quorum to be ready for more nodes",
        );
    }
    let queues = file.all("queues").iter();
    let exchanges = file.all("exchanges").iter();
    let mut matched = queues
        .map(|queue| one.matches(queue, &kinds(queue)))
        .chain(exchanges.map(|exchange| one.matches(exchange, &["exchanges"])));
    if !matched.any(|matches| matches) {
        add(
            Level::Note,
            "policy-for-nothing",
            "no queue or exchange of the file matches it".to_owned(),
            "leave it if clients declare such queues later, else delete it",
        );
    }
}

fn check_queue(file: &File, queue: &Value, policies: &[Ready<'_>], findings: &mut Vec<Finding>) {
    let (vhost, name) = (text(queue, "vhost"), text(queue, "name"));
    let mut add = |level, rule, what: &str, advice| {
        findings.push(Finding {
            level,
            rule,
            kind: "queue",
            vhost: vhost.to_owned(),
            name: name.to_owned(),
            what: what.to_owned(),
            advice,
        });
    };
    let user = in_force(policies, queue, false);
    let operator = in_force(policies, queue, true);
    let says = |settings: &[&str]| {
        let own = settings
            .iter()
            .any(|setting| queue["arguments"].get(format!("x-{setting}")).is_some());
        own || [user, operator]
            .iter()
            .flatten()
            .any(|one| one.says(settings))
    };
    if !says(BOUNDS) {
        add(
            Level::Warning,
            "unbounded-queue",
            "nothing bounds it: without consumers it grows until the disk is full",
            "set max-length, max-length-bytes or message-ttl by a policy",
        );
    }
    let stream = queue["arguments"]["x-queue-type"] == "stream";
    if !stream && !says(&["dead-letter-exchange"]) && !takes_dead_letters(file, queue) {
        add(
            Level::Warning,
            "no-dead-letters",
            "what is rejected, expires or is too much is dropped",
            "set dead-letter-exchange by a policy",
        );
    }
    if user.is_none() {
        add(
            Level::Note,
            "queue-without-policy",
            "no policy matches it: its settings change only by declaring it anew",
            "cover it by a policy",
        );
    }
    let sync = queue["arguments"]["x-sync"].as_str();
    let weakness = sync.and_then(SyncPolicy::from_name);
    if let Some(weakness) = weakness.and_then(SyncPolicy::weakness) {
        add(
            Level::Warning,
            "weak-confirms",
            weakness,
            "declare it without x-sync, or with x-sync: sync",
        );
    }
    if queue["durable"] == false {
        add(
            Level::Warning,
            "transient-queue",
            "it and all that is in it are gone after a restart",
            "declare it as durable",
        );
    }
}

/// Whether dead letters of others go to a queue: it needs no such place itself.
fn takes_dead_letters(file: &File, queue: &Value) -> bool {
    let (vhost, name) = (text(queue, "vhost"), text(queue, "name"));
    let said = |object: &Value, prefix: &str, field: &str| -> Option<String> {
        let value = object.get(format!("{prefix}{field}"))?;
        value.as_str().map(str::to_owned)
    };
    let queues = file
        .all("queues")
        .iter()
        .map(|one| (one, &one["arguments"], "x-"));
    let policies = file
        .all("policies")
        .iter()
        .map(|one| (one, &one["definition"], ""));
    queues.chain(policies).any(|(object, settings, prefix)| {
        let Some(exchange) = said(settings, prefix, "dead-letter-exchange") else {
            return false;
        };
        if text(object, "vhost") != vhost {
            return false;
        }
        if exchange.is_empty() {
            return said(settings, prefix, "dead-letter-routing-key").as_deref() == Some(name);
        }
        file.all("bindings").iter().any(|binding| {
            text(binding, "vhost") == vhost
                && text(binding, "source") == exchange
                && text(binding, "destination") == name
        })
    })
}
