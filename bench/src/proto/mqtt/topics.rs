//! Names of topics, and filters.
//!
//! Invariants
//! - All topics of one load have one length: a block of precomputed messages needs it.
//! - A topic of a load with many filters matches exactly one of them.

use crate::scenario::Load;

/// The topics that a producer of the load takes turns with.
pub fn topics(load: &Load, producer: usize) -> Vec<String> {
    if load.retained > 0 {
        return (0..load.retained).map(retained_topic).collect();
    }
    if load.bindings > 0 {
        return (0..load.bindings).map(wild_topic).collect();
    }
    vec![plain(load, producer)]
}

/// The filters that a consumer of the load subscribes to.
pub fn filters(load: &Load, consumer: usize) -> Vec<String> {
    if load.bindings > 0 {
        let own = (consumer..load.bindings).step_by(load.consumers);
        return own.map(wild_filter).collect();
    }
    vec![plain(load, consumer)]
}

fn plain(load: &Load, index: usize) -> String {
    if load.copies > 1 {
        format!("bench/{}/all", load.scenario)
    } else {
        format!("bench/{}/{}", load.scenario, index % load.queues)
    }
}

/// The `index`-th of up to a million retained topics: three levels of a hundred each.
pub fn retained_topic(index: usize) -> String {
    let (a, b, c) = (index / 10_000 % 100, index / 100 % 100, index % 100);
    format!("bench/MR/{a:02}/{b:02}/{c:02}")
}

fn wild_topic(index: usize) -> String {
    let site = index % 100;
    match index % 3 {
        0 => format!("bench/MW/site{site:02}/dev{index:06}/temp"),
        1 => format!("bench/MW/site{site:02}/dev{index:06}/volt"),
        _ => format!("bench/MW/site{site:02}/dev{index:06}/amps"),
    }
}

/// The filter that `wild_topic` of this index matches: a wildcard within, one at the end, and one
/// for all below take turns.
fn wild_filter(index: usize) -> String {
    let site = index % 100;
    match index % 3 {
        0 => format!("bench/MW/+/dev{index:06}/temp"),
        1 => format!("bench/MW/site{site:02}/dev{index:06}/+"),
        _ => format!("bench/MW/site{site:02}/dev{index:06}/#"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Proto;

    #[test]
    fn the_topics_of_a_load_have_one_length_and_differ() {
        for name in ["MW", "MR"] {
            let load = Load::of(name, Proto::Mqtt).expect("known");
            let mut topics = topics(&load, 0);
            let length = topics[0].len();
            assert!(topics.iter().all(|topic| topic.len() == length), "{name}");
            let count = topics.len();
            topics.sort_unstable();
            topics.dedup();
            assert_eq!(topics.len(), count, "{name}");
        }
    }

    #[test]
    fn consumers_share_the_filters_out() {
        let mut load = Load::of("MW", Proto::Mqtt).expect("known");
        load.bindings = 25;
        load.consumers = 10;
        let shares: Vec<usize> = (0..10).map(|n| filters(&load, n).len()).collect();
        assert_eq!(shares, [3, 3, 3, 3, 3, 2, 2, 2, 2, 2]);
        assert_eq!(filters(&load, 3)[1], "bench/MW/site13/dev000013/+");
        assert_eq!(filters(&load, 2)[0], "bench/MW/site02/dev000002/#");
        assert_eq!(filters(&load, 9)[0], "bench/MW/+/dev000009/temp");
    }

    #[test]
    fn a_fan_out_has_one_topic_and_other_loads_one_for_each_queue() {
        let load = |name| Load::of(name, Proto::Mqtt).expect("known");
        assert_eq!(filters(&load("T5"), 7), ["bench/T5/all"]);
        assert_eq!(topics(&load("T5"), 0), ["bench/T5/all"]);
        assert_eq!(filters(&load("T4"), 7), ["bench/T4/7"]);
        assert_eq!(topics(&load("T4"), 17), ["bench/T4/7"]);
    }
}
