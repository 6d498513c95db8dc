//! What leads nowhere: bindings, exchanges, dead letters, parts that nothing here acts on.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Finding, Level, text};
use crate::definitions::File;

/// Exchanges that every virtual host has.
fn is_builtin(exchange: &str) -> bool {
    exchange.is_empty() || exchange.starts_with("amq.") || exchange == "ferry.settle"
}

type Names<'a> = BTreeSet<(&'a str, &'a str)>;

fn names<'a>(file: &'a File, section: &str) -> Names<'a> {
    let objects = file.all(section).iter();
    objects
        .map(|object| (text(object, "vhost"), text(object, "name")))
        .collect()
}

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let (exchanges, queues) = (names(file, "exchanges"), names(file, "queues"));
    let bindings = file.all("bindings");
    check_bindings(file, &exchanges, &queues, findings);
    check_exchanges(file, findings);
    for (object, definition) in dead_lettering(file) {
        let target = text(definition, "dead-letter-exchange");
        let target = match target {
            "" => text(definition, "x-dead-letter-exchange"),
            target => target,
        };
        let vhost = text(object, "vhost");
        let mut add = |level, rule, what: String, advice| {
            findings.push(Finding {
                level,
                rule,
                kind: match object.get("pattern") {
                    Some(_) => "policy",
                    None => "queue",
                },
                vhost: vhost.to_owned(),
                name: text(object, "name").to_owned(),
                what,
                advice,
            });
        };
        if target.is_empty() {
            let key = definition.get("x-dead-letter-routing-key");
            let key = key.or_else(|| definition.get("dead-letter-routing-key"));
            if let Some(Value::String(queue)) = key
                && !queues.contains(&(vhost, queue.as_str()))
            {
                add(
                    Level::Bad,
                    "dead-letters-lost",
                    format!(
                        "dead letters go to queue '{queue}', which is not there: they are dropped"
                    ),
                    "declare that queue",
                );
            }
        } else if !is_builtin(target) && !exchanges.contains(&(vhost, target)) {
            add(
                Level::Bad,
                "dead-letters-lost",
                format!(
                    "dead letters go to exchange '{target}', which is not there: they are dropped"
                ),
                "declare the exchange, and a queue that is bound to it",
            );
        } else if !bindings
            .iter()
            .any(|one| text(one, "vhost") == vhost && text(one, "source") == target)
        {
            add(
                Level::Bad,
                "dead-letters-lost",
                format!("nothing is bound to exchange '{target}', which takes the dead letters"),
                "bind a queue to the exchange",
            );
        }
    }
    check_components(file, findings);
}

/// Queues and policies that say where dead letters go, with what they say it in.
fn dead_lettering(file: &File) -> impl Iterator<Item = (&Value, &Value)> {
    let queues = file.all("queues").iter();
    let queues = queues.map(|queue| (queue, &queue["arguments"]));
    let policies = file.all("policies").iter();
    let policies = policies.map(|policy| (policy, &policy["definition"]));
    queues.chain(policies).filter(|(_, said)| {
        said.get("x-dead-letter-exchange").is_some() || said.get("dead-letter-exchange").is_some()
    })
}

fn check_bindings(
    file: &File,
    exchanges: &Names<'_>,
    queues: &Names<'_>,
    findings: &mut Vec<Finding>,
) {
    for binding in file.all("bindings") {
        let (vhost, source) = (text(binding, "vhost"), text(binding, "source"));
        let (to, kind) = (
            text(binding, "destination"),
            text(binding, "destination_type"),
        );
        let missing = if !is_builtin(source) && !exchanges.contains(&(vhost, source)) {
            format!("exchange '{source}'")
        } else if kind == "queue" && !queues.contains(&(vhost, to)) {
            format!("queue '{to}'")
        } else if kind == "exchange" && !is_builtin(to) && !exchanges.contains(&(vhost, to)) {
            format!("exchange '{to}'")
        } else {
            continue;
        };
        findings.push(Finding {
            level: Level::Bad,
            rule: "binding-to-nothing",
            kind: "binding",
            vhost: vhost.to_owned(),
            name: format!("{source} -> {to}"),
            what: format!("{missing} is not in the file: the import is refused"),
            advice: "add what is missing, or remove the binding",
        });
    }
}

fn check_exchanges(file: &File, findings: &mut Vec<Finding>) {
    for exchange in file.all("exchanges") {
        let (vhost, name) = (text(exchange, "vhost"), text(exchange, "name"));
        let mut bindings = file.all("bindings").iter();
        let bound = bindings
            .any(|binding| text(binding, "vhost") == vhost && text(binding, "source") == name);
        let alternate = exchange["arguments"].get("alternate-exchange").is_some();
        if !bound && !alternate && !is_builtin(name) {
            findings.push(Finding {
                level: Level::Warning,
                rule: "exchange-to-nothing",
                kind: "exchange",
                vhost: vhost.to_owned(),
                name: name.to_owned(),
                what: "nothing is bound to it: what is published to it is dropped".to_owned(),
                advice: "bind a queue, set an alternate-exchange, or delete it",
            });
        }
    }
}

fn check_components(file: &File, findings: &mut Vec<Finding>) {
    for parameter in file.all("parameters") {
        let component = text(parameter, "component");
        if !matches!(component, "vhost-limits" | "operator_policy") {
            findings.push(Finding {
                level: Level::Bad,
                rule: "not-offered",
                kind: "parameter",
                vhost: text(parameter, "vhost").to_owned(),
                name: format!("{component}/{}", text(parameter, "name")),
                what: format!("{component} is not offered: an import leaves it out"),
                advice: "run what it did outside of the node",
            });
        }
    }
}
