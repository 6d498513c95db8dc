//! What must hold for any bytes at all. Shared by the corpus test and the fuzz targets.

use ferry_core::arguments::{Arguments, Value};
use ferry_core::facts::{Entered, Fact, Facts, Mark, Moved};
use ferry_core::filter::{Filter, FilterIndex};
use ferry_core::message::Message;
use ferry_core::queue::{Options, Queue, QueueKind, Recovering, Shards};
use ferry_core::routing::{Destination, Exchange, ExchangeKind, QueueId, Topology, topic_matches};
use ferry_core::view::{MessageView, NoView};
use ferry_core::wire::Cursor;

const NOW: u64 = 1_700_000_000_000;
/// More words make the plain matcher slow, not ours.
const WORDS_MAX: usize = 9;
/// Next to the end of the numbers a queue can not go on.
const SEQ_MAX: u64 = 1 << 54;

fn options(kind: QueueKind) -> Options {
    Options {
        durable: true,
        max_priority: if kind == QueueKind::Stream { 0 } else { 9 },
        kind,
        ..Options::default()
    }
}

const KINDS: [QueueKind; 2] = [QueueKind::Classic, QueueKind::Stream];

/// The same, with shards.
fn divided() -> Options {
    let key_header = None;
    Options {
        shards: Some(Shards {
            count: 4,
            key_header,
        }),
        ..options(QueueKind::Classic)
    }
}

/// Facts that decode are the same after a second trip, and a queue can be made of them.
pub fn check_facts(bytes: &[u8]) {
    let mut read = Vec::new();
    let result = Facts::decode(bytes, |fact| read.push(fact));
    assert!(read.len() <= bytes.len(), "a fact takes a byte at least");
    if result.is_err() {
        return;
    }
    let mut again = Vec::new();
    for fact in &read {
        let mut encoded = Vec::new();
        alone(fact).encode(&mut encoded);
        Facts::decode(&encoded, |fact| again.push(fact)).expect("we encoded it");
    }
    assert_eq!(read, again);
    KINDS
        .into_iter()
        .for_each(|kind| check_history(&read, kind));
}

/// A queue can be made of any facts, at once or with a checkpoint amid them.
fn check_history(read: &[Fact], kind: QueueKind) {
    check_queue(&recovered(None, read, kind), kind);
    let (before, after) = read.split_at(read.len() / 2);
    let mut image = Vec::new();
    recovered(None, before, kind).write_image(&mut image);
    check_queue(&recovered(Some(&image), after, kind), kind);
}

/// The queue of a checkpoint, if there is one, and of the facts since.
fn recovered(image: Option<&[u8]>, facts: &[Fact], kind: QueueKind) -> Queue {
    let mut recovering = Recovering::new(QueueId(1), options(kind), NOW);
    if let Some(image) = image {
        recovering
            .read_image(&mut Cursor::new(image))
            .expect("a queue wrote it");
    }
    for fact in facts {
        match *fact {
            Fact::Entered(entered) => recovering.entered(&entered),
            Fact::Moved(_, from, to) => recovering.moved(from, to),
            Fact::Delivered(_, position) => recovering.delivered(position),
            Fact::Gone(_, position) => recovering.gone(position),
            Fact::Changed(change) => recovering.changed(&change),
        }
    }
    recovering.finish(false, |_| ())
}

/// A record with nothing but this fact.
fn alone(fact: &Fact) -> Facts {
    let mut facts = Facts::default();
    let mark = |queue, position| Mark {
        queue,
        position,
        size: 0,
    };
    match *fact {
        Fact::Entered(entered) => facts.entered.push(entered),
        Fact::Moved(queue, from, to) => facts.moved.push(Moved {
            queue,
            from,
            to,
            size: 0,
        }),
        Fact::Delivered(queue, position) => facts.delivered.push(mark(queue, position)),
        Fact::Gone(queue, position) => facts.gone.push(mark(queue, position)),
        Fact::Changed(change) => facts.changes.push(change),
    }
    facts
}

/// An image that reads gives a queue whose own image reads back to the same messages.
pub fn check_image(bytes: &[u8]) {
    for kind in KINDS {
        check_image_of(bytes, kind);
    }
}

fn check_image_of(bytes: &[u8], kind: QueueKind) {
    let Some(messages) = messages_of(bytes, kind) else {
        return;
    };
    if Cursor::new(bytes).varint().is_ok_and(|seq| seq > SEQ_MAX) {
        return;
    }
    if kind == QueueKind::Classic {
        check_divided(bytes, messages.len() as u64);
    }
    let mut recovering = Recovering::new(QueueId(1), options(kind), NOW);
    recovering
        .read_image(&mut Cursor::new(bytes))
        .expect("it was read before");
    let mut entered = Entered {
        queue: QueueId(1),
        position: 1 << 40,
        size: 10,
        priority: 1,
        expires_at: 0,
        wakes_at: 0,
        key: 0,
    };
    recovering.entered(&entered);
    recovering.gone(entered.position);
    entered.position += 1;
    recovering.delivered(entered.position);
    let queue = recovering.finish(true, |_| ());
    assert!(messages_in(&queue) <= messages.len() as u64);
    check_queue(&queue, kind);
}

/// The queue of an image has as many messages if it is divided, and so has its own image.
fn check_divided(image: &[u8], messages: u64) {
    let read = |image: &[u8], options| {
        let mut recovering = Recovering::new(QueueId(1), options, NOW);
        recovering
            .read_image(&mut Cursor::new(image))
            .expect("it is an image");
        recovering.finish(true, |_| ())
    };
    let queue = read(image, divided());
    assert_eq!(messages_in(&queue), messages);
    let mut again = Vec::new();
    queue.write_image(&mut again);
    let durable = messages_in(&read(&again, options(QueueKind::Classic)));
    assert_eq!(messages_in(&read(&again, divided())), durable);
}

/// The positions of an image's messages; none if it is not an image.
fn messages_of(image: &[u8], kind: QueueKind) -> Option<Vec<u64>> {
    let mut recovering = Recovering::new(QueueId(1), options(kind), NOW);
    recovering.read_image(&mut Cursor::new(image)).ok()?;
    let mut positions = Vec::new();
    let queue = recovering.finish(true, |mark| positions.push(mark.position));
    assert_eq!(messages_in(&queue), positions.len() as u64);
    Some(positions)
}

/// All messages of a queue that nobody outside holds.
fn messages_in(queue: &Queue) -> u64 {
    let counts = queue.counts();
    counts.ready + counts.delayed + counts.stuck
}

/// What a queue writes of itself reads back, and is the same when it is written again.
fn check_queue(queue: &Queue, kind: QueueKind) {
    let mut image = Vec::new();
    queue.write_image(&mut image);
    let mut again = Recovering::new(QueueId(1), options(kind), NOW);
    again
        .read_image(&mut Cursor::new(&image))
        .expect("a queue wrote it");
    let again = again.finish(true, |_| ());
    assert!(messages_in(&again) <= messages_in(queue));
    let mut second = Vec::new();
    again.write_image(&mut second);
    assert_eq!(image, second);
}

/// A stored form that parses is the same after a second trip.
pub fn check_message(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    let draft = message.draft();
    assert_eq!(draft.encoded_len(), bytes.len());
    let mut encoded = Vec::new();
    draft.encode(&mut encoded);
    let again = Message::parse(&encoded).expect("we encoded it");
    assert_eq!(
        (again.exchange(), again.routing_key()),
        (message.exchange(), message.routing_key())
    );
    assert_eq!(
        (again.properties(), again.body()),
        (message.properties(), message.body())
    );
    assert_eq!(
        (again.ttl_ms(), again.priority(), again.published_ms()),
        (message.ttl_ms(), message.priority(), message.published_ms())
    );
}

/// A filter is refused at a place of its text, or else it decides: never as its contrary does, and
/// an index of it finds what it lets through.
pub fn check_filter(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let filter = match Filter::compile(&text) {
        Ok(Some(filter)) => filter,
        Ok(None) => return assert!(text.trim().is_empty()),
        Err(error) => return assert!((1..=text.chars().count() + 1).contains(&error.at)),
    };
    let contrary = Filter::compile(&format!("NOT ({text})")).ok().flatten();
    let mut index = FilterIndex::with_seed(1);
    index.insert(&filter, ());
    let full: Arguments = [
        ("a", Value::Str(b"x".to_vec())),
        ("b", Value::I64(i64::MIN)),
        ("c", Value::Bool(true)),
        ("s", Value::Str(b"aab%c\xF0\x9F\xA6\x80b\xFF".to_vec())),
    ]
    .into_iter()
    .collect();
    let few: Arguments = [("a", Value::I8(-1)), ("b", Value::F64(0.5))]
        .into_iter()
        .collect();
    for message in [&full as &dyn MessageView, &few, &NoView] {
        let matches = filter.matches(message);
        let denied = contrary
            .as_ref()
            .is_some_and(|filter| filter.matches(message));
        assert!(!(matches && denied), "{text}");
        let mut found = false;
        index.matching(message, |()| found = true);
        assert_eq!(found, matches, "{text}");
    }
}

/// Patterns, one per line, and a key in the last line: the routes are those of a plain matcher.
pub fn check_topic(bytes: &[u8]) {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').take(12).collect();
    let is_long = |line: &&[u8]| line.len() > 60 || words(line).len() > WORDS_MAX;
    if lines.iter().any(is_long) {
        return;
    }
    let key = lines.pop().unwrap_or_default();
    let mut topology = Topology::with_seed("/", 1);
    topology
        .declare_exchange(Exchange::new("t", ExchangeKind::Topic))
        .expect("nothing is there yet");
    let arguments = Arguments::new();
    let mut expected = Vec::new();
    for (index, pattern) in lines.iter().enumerate() {
        let queue = QueueId(index as u64 + 1);
        topology
            .bind("t", &Destination::Queue(queue), pattern, &arguments)
            .expect("the exchange is there");
        let plain = plain_match(&words(pattern), &words(key));
        assert_eq!(topic_matches(pattern, key), plain, "{pattern:?} ~ {key:?}");
        if plain {
            expected.push(queue);
        }
    }
    let mut found = Vec::new();
    topology
        .route("t", key, &NoView, &|| 0, &mut found)
        .expect("the exchange is there");
    found.sort_unstable();
    assert_eq!(found, expected);
}

const HASHES: [(&str, ExchangeKind); 4] = [
    ("hash", ExchangeKind::ConsistentHash),
    ("modulus", ExchangeKind::ModulusHash),
    ("random", ExchangeKind::Random),
    ("all", ExchangeKind::Fanout),
];

fn hash_exchanges(seed: u64) -> Topology {
    let mut topology = Topology::with_seed("/", seed);
    for (name, kind) in HASHES {
        topology
            .declare_exchange(Exchange::new(name, kind))
            .expect("nothing is there yet");
    }
    topology
}

/// Changes of three bytes each: a binding, or one that goes, with a queue, a key and a filter. The
/// routes are those of a topology that has the same bindings, made in another order.
pub fn check_routes(bytes: &[u8]) {
    const KEYS: [&[u8]; 8] = [b"1", b"2", b"10", b"+3", b"999", b"0", b"", b"k"];
    const FILTERS: [&str; 4] = ["", "a = 1", "a > 1 OR b IS NULL", "a ="];
    let mut topology = hash_exchanges(1);
    for change in bytes.as_chunks::<3>().0.iter().take(64) {
        let [what, queue, how] = *change;
        let (source, _) = HASHES[usize::from(what % 4)];
        let queue = QueueId(u64::from(queue % 8));
        let key = KEYS[usize::from(how % 8)];
        let filter = FILTERS[usize::from(how >> 3) % 4];
        let filter = (how >> 5 == 0).then_some(("x-filter", filter));
        let arguments: Arguments = filter.into_iter().collect();
        let to = Destination::Queue(queue);
        match what >> 2 & 3 {
            0 | 1 => drop(topology.bind(source, &to, key, &arguments)),
            2 => drop(topology.unbind(source, &to, key, &arguments)),
            _ => drop(topology.remove_queue(queue)),
        }
    }
    let mut bindings: Vec<_> = topology.bindings().map(|view| view.to_binding()).collect();
    bindings.reverse();
    let mut fresh = hash_exchanges(2);
    for binding in &bindings {
        assert_eq!(fresh.restore_binding(binding), Ok(None), "{binding:?}");
    }
    for number in 0..8u8 {
        let message: Arguments = [("a", i32::from(number % 3))].into_iter().collect();
        for (name, kind) in HASHES {
            let route = |topology: &Topology| {
                let mut found = Vec::new();
                let chance = || u64::from(number);
                topology
                    .route(name, &[number], &message, &chance, &mut found)
                    .expect("the exchange is there");
                found
            };
            let found = route(&topology);
            assert_eq!(found, route(&fresh), "{name} {number}");
            let own = bindings.iter().filter(|binding| *binding.source == *name);
            let filtered = own.clone().any(|binding| !binding.arguments.is_empty());
            let one = kind == ExchangeKind::Fanout || found.len() <= 1;
            let some = !found.is_empty() || filtered || own.count() == 0;
            assert!(one && some, "{name} {number} {found:?}");
        }
    }
}

fn words(text: &[u8]) -> Vec<&[u8]> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|byte| *byte == b'.').collect()
}

fn plain_match(pattern: &[&[u8]], key: &[&[u8]]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((&b"#", rest)) => (0..=key.len()).any(|skip| plain_match(rest, &key[skip..])),
        Some((word, rest)) => key.split_first().is_some_and(|(first, others)| {
            (*word == b"*" || word == first) && plain_match(rest, others)
        }),
    }
}
