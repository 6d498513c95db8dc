//! Directories that released versions wrote: this one opens each, goes on with it and loses
//! nothing, wherever its first start is cut short; and refuses what a newer version wrote.
//!
//! The directories and how they are made: `tests/golden/golden`. What this version of the whole
//! program makes of them, definitions included, is shown there.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use common::{HandClock, Sink};
use ferry_broker::{
    Basics, Broker, Burst, Choice, ConnectionId, ConnectionInfo, ConsumerSpec, Formats,
    MessageFormat, MessageId, MessageView, NoView, OpenError, Options, Publisher, QueueHandle,
    StreamOffset, SyncPolicy, damage,
};
use ferry_core::arguments::Arguments;
use ferry_core::message::{Draft, FORMAT_AMQP091, FORMAT_MQTT, Message};
use ferry_core::queue::QueueKind;
use ferry_log::testing::{Crash, Fault, FaultyDisk};
use ferry_log::{Disk, LogError};
use ring::digest::{SHA256, digest};
use serde_json::Value;

/// Somewhat later than the directories; what is delayed in them waits for decades.
const NOW_MS: u64 = 1_830_000_000_000;

/// Properties that nobody looks into.
struct Raw;

impl MessageFormat for Raw {
    fn basics(&self, _properties: &[u8]) -> Option<Basics> {
        Some(Basics::default())
    }

    fn view(&self, _message: &Message<'_>, look: &mut dyn FnMut(&dyn MessageView)) {
        look(&NoView);
    }

    fn headers(&self, _properties: &[u8]) -> Arguments {
        Arguments::new()
    }

    fn rewrite(&self, properties: &[u8], _headers: &Arguments, _clear: bool) -> Vec<u8> {
        properties.to_vec()
    }

    fn identity(&self, _properties: &[u8]) -> Option<MessageId> {
        None
    }

    fn expiration(&self, _properties: &[u8]) -> Option<String> {
        None
    }
}

fn open(disk: &FaultyDisk, entropy: u64) -> Result<Arc<Broker>, OpenError> {
    let mut formats = Formats::default();
    formats.add(FORMAT_AMQP091, Arc::new(Raw));
    formats.add(FORMAT_MQTT, Arc::new(Raw));
    let log = ferry_log::Options {
        entropy,
        fill_bytes: 4096,
        ..Default::default()
    };
    Broker::open(Options {
        disk: Arc::new(disk.clone()),
        log,
        clock: Arc::new(HandClock(AtomicU64::new(NOW_MS))),
        formats,
        sync: SyncPolicy::Sync,
        memory_high_bytes: 1 << 24,
        disk_free_bytes_min: 0,
    })
}

/// A release's directories, each with what must be in it.
fn releases() -> Vec<(PathBuf, Value)> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(all).unwrap() {
        let release = entry.unwrap().path();
        if let Ok(text) = std::fs::read_to_string(release.join("manifest.json")) {
            let manifest: Value = serde_json::from_str(&text).unwrap();
            for ending in ["stopped", "killed"] {
                found.push((release.join(ending), manifest.clone()));
            }
        }
    }
    assert!(found.len() >= 2, "there is at least one release");
    found
}

fn load(directory: &Path) -> FaultyDisk {
    let disk = FaultyDisk::new(1);
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        disk.create(name).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        disk.damage(name, |file| *file = bytes);
    }
    disk.sync_dir().unwrap();
    disk
}

fn queue_of(broker: &Broker, full_name: &str) -> Arc<QueueHandle> {
    let (vhost, name) = full_name.split_once(' ').unwrap();
    let vhost = broker.vhost(vhost).unwrap();
    vhost
        .any_queue(name)
        .unwrap_or_else(|| panic!("{full_name} is not there"))
}

fn hex(body: &[u8]) -> String {
    let digest = digest(&SHA256, body);
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// Digests of all that is ready in a queue, which is empty afterwards unless it is a stream.
fn drained(broker: &Broker, queue: &Arc<QueueHandle>) -> Vec<String> {
    let mut bodies = Vec::new();
    if queue.kind() == QueueKind::Stream {
        let sink = Sink::open();
        let choice = Choice {
            offset: StreamOffset::First,
            ..Choice::default()
        };
        let spec = ConsumerSpec {
            tag: "reads".to_owned(),
            no_ack: false,
            exclusive: false,
            priority: 0,
            prefetch: 1000,
            choice,
            outlet: sink.clone(),
        };
        let handle = broker.consume(queue, spec, &mut || ()).unwrap();
        broker.cancel(&handle);
        bodies.extend(sink.take().iter().map(|seen| hex(&seen.body)));
    } else {
        let mut take = |delivery: ferry_broker::Delivery<'_>| {
            bodies.push(hex(delivery.message.body()));
        };
        while broker.get(queue, true, &mut take).unwrap() {}
    }
    bodies.sort();
    bodies
}

fn wanted(states: &Value, state: &str) -> Vec<String> {
    let bodies = states[state].as_array().into_iter().flatten();
    bodies
        .map(|body| body.as_str().unwrap().to_owned())
        .collect()
}

fn names<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let all = list.as_array().unwrap().iter();
    let mut names: Vec<&str> = all.map(|one| one[key].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Everything that the manifest says is there, and `more` in the queue `plain`. Empties a copy.
fn check(disk: &FaultyDisk, manifest: &Value, more: &[&[u8]], what: &str) {
    let broker = open(&disk.fork(9), 9).unwrap_or_else(|error| panic!("{what}: {error}"));
    for (name, states) in manifest["queues"].as_object().unwrap() {
        let queue = queue_of(&broker, name);
        let mut ready = wanted(states, "ready");
        if name == "shop plain" {
            ready.extend(more.iter().map(|body| hex(body)));
            ready.sort();
        }
        let counts = (queue.delayed(), queue.unsettled());
        let delayed = wanted(states, "delayed").len() as u64;
        let leased = wanted(states, "leased").len() as u64;
        assert_eq!(counts, (delayed, leased), "{what}: {name}");
        assert_eq!(drained(&broker, &queue), ready, "{what}: {name}");
    }
    let defined = &manifest["definitions"];
    let mut users: Vec<String> = broker
        .users()
        .iter()
        .map(|user| user.name.to_string())
        .collect();
    users.sort();
    assert_eq!(users, names(&defined["users"], "name"), "{what}");
    let vhosts = broker.vhosts();
    let vhosts: Vec<&str> = vhosts.iter().map(|vhost| vhost.name()).collect();
    assert_eq!(vhosts, names(&defined["vhosts"], "name"), "{what}");
    let counts: BTreeMap<&str, usize> = names(&defined["bindings"], "vhost")
        .chunk_by(|a, b| a == b)
        .map(|same| (same[0], same.len()))
        .collect();
    for (vhost, count) in counts {
        let bindings = broker.vhost(vhost).unwrap().bindings();
        let own = bindings
            .iter()
            .filter(|(binding, _)| !binding.source.is_empty());
        assert_eq!(own.count(), count, "{what}: bindings of {vhost}");
    }
}

fn publish(broker: &Arc<Broker>, body: &[u8]) {
    let _connection: ConnectionId = broker.connection_opened(ConnectionInfo::default());
    let mut publisher = Publisher::new(broker.vhost("shop").unwrap());
    let mut burst = Burst::new();
    let draft = Draft {
        format: FORMAT_AMQP091,
        persistent: true,
        dead_lettered: false,
        priority: 0,
        ttl_ms: None,
        published_ms: NOW_MS,
        deliver_at: None,
        id: None,
        exchange: b"",
        routing_key: b"plain",
        properties: &[0, 0],
        body,
    };
    burst
        .publish(broker, &mut publisher, &draft, &NoView, None)
        .unwrap();
    burst.submit(broker);
    broker.commit_log().unwrap();
}

#[test]
fn what_a_release_wrote_is_all_there_and_can_be_gone_on_with() {
    for (directory, manifest) in releases() {
        let what = directory.display().to_string();
        let disk = load(&directory);
        let clock = HandClock(AtomicU64::new(NOW_MS));
        let found = damage::verify(&disk, &clock, &mut |_, _| {}).unwrap();
        assert!(found.is_sound(), "{what}: {found:?}");
        check(&disk, &manifest, &[], &what);
        let broker = open(&disk, 2).unwrap();
        publish(&broker, b"one");
        broker.close().unwrap();
        check(&disk, &manifest, &[b"one"], &what);
        let broker = open(&disk, 3).unwrap();
        publish(&broker, b"two");
        drop(broker);
        disk.crash(Crash::LoseAll);
        check(&disk, &manifest, &[b"one", b"two"], &what);
    }
}

#[test]
fn a_first_start_that_is_cut_short_at_any_call_of_the_disk_loses_nothing() {
    let mut cuts = 0;
    for (directory, manifest) in releases() {
        let disk = load(&directory);
        let copy = disk.fork(2);
        let before = copy.calls();
        let broker = open(&copy, 4).unwrap();
        broker.close().unwrap();
        let calls = copy.calls() - before;
        for call in 1..=calls {
            for crash in [Crash::LoseAll, Crash::LoseSome] {
                let copy = disk.fork(call);
                copy.fail_call(call, Fault::Io, true);
                if let Ok(broker) = open(&copy, 5) {
                    // What is not started by then ends while it stops.
                    let _failed = broker.close();
                }
                copy.crash(crash);
                let what = format!("{}, call {call}, {crash:?}", directory.display());
                check(&copy, &manifest, &[], &what);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 30, "{cuts}");
}

/// What a file begins with, and the end of the head that its checksum is about.
fn kind_of(name: &str) -> ([u8; 8], usize) {
    match name.starts_with("seg-") {
        true => (*b"FERRYSEG", 32),
        false => (*b"FERRYCKP", 44),
    }
}

#[test]
fn every_file_says_its_format_and_a_newer_one_is_refused_by_name() {
    let (directory, _) = &releases()[0];
    let disk = load(directory);
    // A checkpoint of this version has a copy.
    open(&disk, 6).unwrap().close().unwrap();
    let names = disk.list().unwrap();
    let has = |start: &str, end: &str| {
        let fits = |name: &String| name.starts_with(start) && name.ends_with(end);
        names.iter().any(fits)
    };
    assert!(has("seg-", ".log") && has("checkpoint-", ".ckp") && has("checkpoint-", ".copy"));
    for name in &names {
        let (magic, head_end) = kind_of(name);
        let bytes = disk.bytes_of(name).unwrap();
        if name == "clean-stop" {
            assert!(bytes.is_empty(), "it says nothing, in no format");
            continue;
        }
        assert_eq!(bytes[..8], magic, "{name}");
        assert_eq!(bytes[8..12], 1u32.to_le_bytes(), "{name}");
        let copy = disk.fork(7);
        let newer = |bytes: &mut Vec<u8>| {
            bytes[8] = 2;
            let crc = crc32(&bytes[..head_end]);
            bytes[head_end..head_end + 4].copy_from_slice(&crc.to_le_bytes());
        };
        copy.damage(name, newer);
        // A copy is looked at where the checkpoint itself can not be used.
        if name.ends_with(".copy") {
            let main = name.replace(".copy", ".ckp");
            copy.damage(&main, |bytes| bytes[20] ^= 1);
        }
        let files = |disk: &FaultyDisk| {
            let all = disk.list().unwrap().into_iter();
            all.map(|name| disk.bytes_of(&name)).collect::<Vec<_>>()
        };
        let before = files(&copy);
        let expected =
            format!("`{name}` has format 2; this version reads up to 1: use a newer one");
        assert_eq!(open(&copy, 8).err().unwrap().to_string(), expected);
        let clock = HandClock(AtomicU64::new(NOW_MS));
        let is_newer = |error: LogError| matches!(error, LogError::NewerFormat { .. });
        assert!(is_newer(
            damage::verify(&copy, &clock, &mut |_, _| {}).unwrap_err()
        ));
        assert!(is_newer(
            damage::repair(&copy, &clock, &mut |_, _| {}).unwrap_err()
        ));
        assert!(
            files(&copy) == before,
            "{name}: a refusal changed something"
        );
    }
}

/// The checksum of the formats: CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}
