//! Exchanges, queues and bindings of a load.
//!
//! Invariants
//! - With 10,000 bindings, every published key matches exactly one of them, and the bindings take
//!   turns among three shapes of pattern.

use crate::Res;
use crate::scenario::{Filter, Load};
use crate::target::Target;

use super::client::Client;
use super::wire::Field;

/// Bindings asked for before their replies are awaited.
const BINDS_UNDER_WAY: usize = 100;

/// The type of a load's queues: what the target says, or what the load is about.
fn queue_type(target: &Target, load: &Load) -> String {
    target.option("qtype", if load.stream { "stream" } else { "" })
}

/// Arguments of every queue of that type at this target.
pub fn queue_args(target: &Target, kind: String) -> Vec<(&'static str, Field)> {
    let mut args = Vec::new();
    if !kind.is_empty() {
        args.push(("x-queue-type", Field::Text(kind)));
    }
    if let Ok(shards) = target.option("shards", "").parse() {
        args.push(("x-shards", Field::Number(shards)));
    }
    args
}

/// What the `index`-th binding filters by, and the header that only it lets through.
pub fn filter(kind: Filter, index: usize) -> (String, (&'static str, Field)) {
    match kind {
        Filter::Equal => {
            let region = format!("r{index:06}");
            let text = format!("region = '{region}'");
            (text, ("region", Field::Text(region)))
        }
        Filter::Range => {
            let low = index * 10;
            let text = format!("load BETWEEN {low} AND {}", low + 9);
            (text, ("load", Field::Number(low as i64 + 5)))
        }
    }
}

/// The name of the load's `index`-th queue.
pub fn queue_name(target: &Target, load: &Load, index: usize) -> String {
    let kind = queue_type(target, load);
    format!("bench.{}.{kind}{index}", load.scenario)
}

/// The name of the load's exchange.
pub fn exchange_name(load: &Load) -> String {
    format!("bench.x.{}", load.scenario)
}

/// The routing key that matches the `index`-th binding.
pub fn topic_key(index: usize) -> String {
    format!("site.{:03}.dev.{index:06}.temp", index % 100)
}

/// The pattern of the `index`-th binding.
fn topic_pattern(index: usize) -> String {
    let key = topic_key(index);
    match index % 3 {
        0 => key.replace(".temp", ".*"),
        1 => key.replace(".temp", ".#"),
        _ => format!("site.*.dev.{index:06}.temp"),
    }
}

/// Declares what the load needs; queues begin empty if the load wants them fresh.
pub fn setup(target: &Target, load: &Load) -> Res<()> {
    // in a cluster the queue's leader is usually where it was declared
    let mut client = match target.option("setup_port", "").parse() {
        Ok(port) => Client::connect(&target.at_port(port))?,
        Err(_) => Client::connect(target)?,
    };
    let kind = queue_type(target, load);
    let asked = target.option("durableq", "") == "1" || kind == "quorum" || kind == "stream";
    let durable = load.durable || asked;
    if load.fresh {
        for index in 0..load.queues {
            let queue = queue_name(target, load, index);
            client.delete(&queue)?;
            client.declare_send(&queue, durable, &queue_args(target, kind.clone()))?;
            client.declared()?;
        }
    }
    if load.queues > 1 && load.copies > 1 {
        let exchange = exchange_name(load);
        client.declare_exchange(&exchange, "fanout", durable)?;
        for index in 0..load.queues {
            client.bind_send(&queue_name(target, load, index), &exchange, "", &[])?;
            client.bound()?;
        }
    } else if load.bindings > 0 {
        let exchange_kind = if load.filter.is_some() {
            "fanout"
        } else {
            "topic"
        };
        client.declare_exchange(&exchange_name(load), exchange_kind, durable)?;
        bind_all(&mut client, target, load)?;
    }
    Ok(())
}

fn bind_all(client: &mut Client, target: &Target, load: &Load) -> Res<()> {
    let exchange = exchange_name(load);
    for index in 0..load.bindings {
        let queue = queue_name(target, load, index % load.queues);
        match load.filter {
            None => client.bind_send(&queue, &exchange, &topic_pattern(index), &[])?,
            Some(kind) => {
                let (text, _) = filter(kind, index);
                let arguments = [("x-filter", Field::Text(text))];
                client.bind_send(&queue, &exchange, "", &arguments)?;
            }
        }
        if index >= BINDS_UNDER_WAY {
            client.bound()?;
        }
    }
    for _ in 0..load.bindings.min(BINDS_UNDER_WAY) {
        client.bound()?;
    }
    Ok(())
}

/// Deletes what the load needed.
pub fn cleanup(target: &Target, load: &Load) -> Res<()> {
    let mut client = Client::connect(target)?;
    for index in 0..load.queues {
        client.delete(&queue_name(target, load, index))?;
    }
    if load.copies > 1 || load.bindings > 0 {
        client.delete_exchange(&exchange_name(load))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_have_one_length() {
        // a block of precomputed messages needs it
        for index in [0, 7, 99, 100, 9_999, 99_999] {
            assert_eq!(topic_key(index).len(), topic_key(0).len(), "{index}");
        }
    }

    #[test]
    fn patterns_take_turns_and_name_their_device() {
        assert_eq!(topic_pattern(0), "site.000.dev.000000.*");
        assert_eq!(topic_pattern(301), "site.001.dev.000301.#");
        assert_eq!(topic_pattern(302), "site.*.dev.000302.temp");
    }
}
