//! The report on a data directory, for people and as JSON.
//!
//! Invariants
//! - Names that clients chose are on one line and harmless for a terminal.
//! - People see the beginning of long lists; JSON has all that is known.

use ferry_broker::damage::{Damage, FactsLost, More, Part, QueueDamage, Stray};
use ferry_log::{Position, Region};
use serde_json::{Value, json};

use crate::show::escape;
use crate::size;

/// Lines about queues, and about messages that no queue has.
const LINES_MAX: usize = 100;
/// Places of one queue.
const PLACES_MAX: usize = 10;

fn place(region: &Region) -> String {
    let Region {
        segment,
        offset,
        bytes,
    } = region;
    format!("segment {segment} from byte {offset}, {bytes} bytes")
}

fn messages(count: u64) -> String {
    match count {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}

fn held(part: &Part) -> String {
    let More {
        facts,
        definitions,
        unknown,
    } = part.more;
    let mut all = Vec::new();
    if part.messages > 0 {
        all.push(format!("the bodies of {}", messages(part.messages)));
    }
    if facts {
        all.push("what happened to messages".to_owned());
    }
    if definitions {
        all.push("definitions".to_owned());
    }
    if unknown {
        all.push(
            "what can not be told, perhaps definitions or what happened to messages".to_owned(),
        );
    }
    match all.is_empty() {
        true => "nothing that a queue has".to_owned(),
        false => all.join("; "),
    }
}

fn queue_name(queue: &QueueDamage) -> String {
    match &queue.name {
        Some((vhost, name)) => format!("queue \"{}\" in \"{}\"", escape(name), escape(vhost)),
        None => format!("queue number {}", queue.id),
    }
}

fn places(queue: &QueueDamage) -> String {
    let shown = queue
        .places
        .iter()
        .take(PLACES_MAX)
        .map(Position::to_string);
    let shown: Vec<String> = shown.collect();
    let more = queue.messages - shown.len() as u64;
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more places", shown.join(", ")),
    }
}

fn queue_lines(queue: &QueueDamage, lines: &mut Vec<String>) {
    let name = queue_name(queue);
    if queue.messages > 0 {
        let (count, places) = (messages(queue.messages), places(queue));
        lines.push(format!(
            "lost: the bodies of {count} of {name}, at {places}"
        ));
    }
    match queue.facts {
        FactsLost::No => {}
        FactsLost::Yes => lines.push(format!(
            "lost: something that happened to messages of {name}; some may be missing or come again"
        )),
        FactsLost::Perhaps => lines.push(format!(
            "lost, perhaps: something that happened to messages of {name}"
        )),
    }
    if queue.undeclared > 0 {
        let count = messages(queue.undeclared);
        lines.push(format!(
            "lost: the declaration of {name}, and with it {count}"
        ));
    }
    if queue.set_aside > 0 {
        let count = messages(queue.set_aside);
        lines.push(format!(
            "set aside earlier: the bodies of {count} of {name}"
        ));
    }
}

fn stray_line(stray: &Stray) -> String {
    format!(
        "lost, unless it was refused: the message at {}, published to exchange \"{}\" with the \
         routing key \"{}\"; no queue has it",
        stray.position,
        escape(&stray.exchange),
        escape(&stray.routing_key)
    )
}

/// For people.
pub(crate) fn text(damage: &Damage) -> String {
    let log = &damage.log;
    let read = size::show(log.bytes);
    let mut lines = vec![format!(
        "{} segments, {} records, {read} read",
        log.segments, log.records
    )];
    for part in &damage.parts {
        lines.push(format!("damaged: {}: {}", place(&part.region), held(part)));
    }
    for region in &log.holes {
        lines.push(format!("set aside earlier: {}", place(region)));
    }
    if let Some(tail) = &log.torn_tail {
        lines.push(format!(
            "never synced, so never confirmed: {}; the next start cuts it off",
            place(tail)
        ));
    }
    for reason in &log.rejected_checkpoints {
        lines.push(format!("unusable checkpoint: {reason}"));
    }
    if log.checkpoint_lost {
        let what = "no checkpoint is usable and the log does not reach back to its beginning";
        lines.push(what.to_owned());
    }
    let mut found = Vec::new();
    for queue in &damage.queues {
        queue_lines(queue, &mut found);
    }
    found.extend(damage.strays.iter().map(stray_line));
    let more = found.len().saturating_sub(LINES_MAX);
    lines.extend(found.into_iter().take(LINES_MAX));
    if more > 0 {
        lines.push(format!("... and {more} more lines like these: see --json"));
    }
    for what in &damage.contradictions {
        lines.push(format!("it contradicts itself: {}", escape(what)));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn json_of(region: &Region) -> Value {
    json!({"segment": region.segment, "offset": region.offset, "bytes": region.bytes})
}

fn json_of_position(position: &Position) -> Value {
    json!({"segment": position.segment(), "offset": position.offset()})
}

fn json_of_part(part: &Part) -> Value {
    let mut value = json_of(&part.region);
    value["messages"] = part.messages.into();
    value["facts"] = part.more.facts.into();
    value["definitions"] = part.more.definitions.into();
    value["unknown"] = part.more.unknown.into();
    value
}

fn json_of_queue(queue: &QueueDamage) -> Value {
    let (vhost, name) = queue.name.clone().unzip();
    json!({
        "id": queue.id,
        "vhost": vhost,
        "name": name,
        "messages": queue.messages,
        "places": queue.places.iter().map(json_of_position).collect::<Vec<_>>(),
        "messages_set_aside": queue.set_aside,
        "messages_undeclared": queue.undeclared,
        "facts": match queue.facts {
            FactsLost::No => "kept",
            FactsLost::Perhaps => "perhaps lost",
            FactsLost::Yes => "lost",
        },
    })
}

fn json_of_stray(stray: &Stray) -> Value {
    let mut value = json_of_position(&stray.position);
    value["exchange"] = stray.exchange.as_str().into();
    value["routing_key"] = stray.routing_key.as_str().into();
    value
}

/// For scripts.
pub(crate) fn json(damage: &Damage) -> Value {
    let log = &damage.log;
    json!({
        "sound": damage.is_sound(),
        "segments": log.segments,
        "records": log.records,
        "bytes": log.bytes,
        "damaged": damage.parts.iter().map(json_of_part).collect::<Vec<_>>(),
        "set_aside": log.holes.iter().map(json_of).collect::<Vec<_>>(),
        "never_synced": log.torn_tail.as_ref().map(json_of),
        "unusable_checkpoints": log.rejected_checkpoints,
        "checkpoint_lost": log.checkpoint_lost,
        "queues": damage.queues.iter().map(json_of_queue).collect::<Vec<_>>(),
        "messages_of_no_queue": damage.strays.iter().map(json_of_stray).collect::<Vec<_>>(),
        "contradictions": damage.contradictions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueDamage {
        QueueDamage {
            id: 7,
            name: Some(("/".to_owned(), name.to_owned())),
            messages: 12,
            places: (0..12).map(|at| Position::new(2, 100 + at)).collect(),
            set_aside: 1,
            undeclared: 0,
            facts: FactsLost::Yes,
        }
    }

    #[test]
    fn a_report_names_queues_and_places() {
        let damage = Damage {
            parts: vec![Part {
                region: Region {
                    segment: 2,
                    offset: 100,
                    bytes: 4096,
                },
                messages: 12,
                more: More {
                    facts: true,
                    ..More::default()
                },
            }],
            queues: vec![queue("orders\u{1b}[2J")],
            ..Damage::default()
        };
        let text = text(&damage);
        for line in [
            "damaged: segment 2 from byte 100, 4096 bytes: the bodies of 12 messages; what ",
            "lost: the bodies of 12 messages of queue \"orders\\u{1b}[2J\" in \"/\", at 2:100, ",
            " and 2 more places\n",
            "lost: something that happened to messages of queue ",
            "set aside earlier: the bodies of 1 message of queue ",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let json = json(&damage);
        assert_eq!(
            json["queues"][0]["places"][11],
            json!({"segment": 2, "offset": 111})
        );
        assert_eq!(json["damaged"][0]["facts"], json!(true));
        assert_eq!(json["queues"][0]["facts"], json!("lost"));
    }

    #[test]
    fn a_long_report_ends_with_how_much_more_there_is() {
        let damage = Damage {
            queues: vec![queue("q"); 50],
            ..Damage::default()
        };
        let text = text(&damage);
        assert_eq!(text.lines().count(), 1 + LINES_MAX + 1);
        assert!(text.contains("and 50 more lines"), "{text}");
    }
}
