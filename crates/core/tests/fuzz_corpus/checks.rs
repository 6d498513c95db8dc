//! What must hold for any bytes at all. Shared by the corpus test and the fuzz targets.

use ferry_core::facts::{Entered, Fact, Facts, Mark, Moved};
use ferry_core::message::Message;
use ferry_core::queue::{Options, Queue, Recovering};
use ferry_core::routing::{
    Destination, Exchange, ExchangeKind, NoHeaders, QueueId, Topology, topic_matches,
};
use ferry_core::wire::Cursor;

const NOW: u64 = 1_700_000_000_000;
/// More words make the plain matcher slow, not ours.
const WORDS_MAX: usize = 9;
/// Next to the end of the numbers a queue can not go on.
const SEQ_MAX: u64 = 1 << 62;

fn options() -> Options {
    Options {
        durable: true,
        max_priority: 9,
        ..Options::default()
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
    let mut recovering = Recovering::new(QueueId(1), options(), NOW);
    for fact in &read {
        match *fact {
            Fact::Entered(entered) => recovering.entered(&entered),
            Fact::Moved(_, from, to) if from < to => recovering.moved(from, to),
            Fact::Moved(..) => {}
            Fact::Delivered(_, position) => recovering.delivered(position),
            Fact::Gone(_, position) => recovering.gone(position),
            Fact::Changed(change) => recovering.changed(&change),
        }
    }
    check_queue(&recovering.finish(false, |_| ()));
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
    let Some(messages) = messages_of(bytes) else {
        return;
    };
    if Cursor::new(bytes).varint().is_ok_and(|seq| seq > SEQ_MAX) {
        return;
    }
    let mut recovering = Recovering::new(QueueId(1), options(), NOW);
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
    };
    recovering.entered(&entered);
    recovering.gone(entered.position);
    entered.position += 1;
    recovering.delivered(entered.position);
    let queue = recovering.finish(true, |_| ());
    assert!(messages_in(&queue) <= messages.len() as u64);
    check_queue(&queue);
}

/// The positions of an image's messages; none if it is not an image.
fn messages_of(image: &[u8]) -> Option<Vec<u64>> {
    let mut recovering = Recovering::new(QueueId(1), options(), NOW);
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
fn check_queue(queue: &Queue) {
    let mut image = Vec::new();
    queue.write_image(&mut image);
    let mut again = Recovering::new(QueueId(1), options(), NOW);
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
    let arguments = ferry_core::arguments::Arguments::new();
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
        .route("t", key, &NoHeaders, &mut found)
        .expect("the exchange is there");
    found.sort_unstable();
    assert_eq!(found, expected);
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
