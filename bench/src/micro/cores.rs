//! What a second core brings: one queue with a thread of its own, two with one each, and one that
//! two threads publish to.
//!
//! Invariants
//! - The whole broker works, without doors: messages come in bursts as from a socket, and each is
//!   handed to a consumer at once. Nothing of them is written to the disk.
//! - Rates are of the clock, as only that shows what is done at the same time: the machine has to
//!   be quiet, and to have two cores.
//! - The cases of a round follow each other; figures are medians of rounds.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use ferry_broker::{
    Broker, Burst, Choice, Clock, ConnectionId, ConnectionInfo, ConsumerSpec, Delivery, Formats,
    NoView, Options, Outlet, Publisher, QueueHandle, QueueSpec, SyncPolicy, Vhost,
};
use ferry_core::arguments::Arguments;
use ferry_core::message::{Draft, FORMAT_AMQP091};
use ferry_log::RealDisk;

use crate::Res;
use crate::stats::Figures;
use crate::sys::{now_ns, own_cpu_seconds, seconds_since};

use super::Case;

const ROUNDS: usize = 5;
/// Messages that one read of a socket brings.
const BURST: usize = 64;
const BODY_BYTES: usize = 128;
const MEMORY_HIGH_BYTES: u64 = 256 << 20;

/// The queues that the threads of a case publish to.
const CASES: [(&str, &[&str]); 3] = [
    ("one queue", &["a"]),
    ("two queues, a thread each", &["a", "b"]),
    ("one queue, two threads", &["a", "a"]),
];

struct SinceStart;

impl Clock for SinceStart {
    fn now(&self) -> u64 {
        now_ns() / 1_000_000
    }
}

/// A consumer that takes all.
#[derive(Default)]
struct Counting(AtomicU64);

impl Outlet for Counting {
    fn admit(&self, _bytes: usize) -> bool {
        true
    }

    fn deliver(&self, _delivery: Delivery<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn forgo(&self, _admitted_bytes: usize) {}

    fn cancelled(&self) {}
}

/// A broker with its directory, which goes with it.
struct Node {
    broker: Arc<Broker>,
    vhost: Arc<Vhost>,
    connection: ConnectionId,
    folder: PathBuf,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Node {
    fn new() -> Res<Node> {
        static NODES: AtomicU64 = AtomicU64::new(0);
        let number = NODES.fetch_add(1, Ordering::Relaxed);
        let name = format!("ferrymq-bench-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let disk = RealDisk::open(&folder).map_err(|error| error.to_string())?;
        let broker = Broker::open(Options {
            disk: Arc::new(disk),
            log: ferry_log::Options::default(),
            clock: Arc::new(SinceStart),
            formats: Formats::default(),
            sync: SyncPolicy::Sync,
            memory_high_bytes: MEMORY_HIGH_BYTES,
            disk_free_bytes_min: 0,
        });
        let broker = broker.map_err(|error| error.to_string())?;
        let vhost = broker.vhost("/").ok_or("there is no virtual host")?;
        let connection = broker.connection_opened(ConnectionInfo::default());
        Ok(Node {
            broker,
            vhost,
            connection,
            folder,
        })
    }

    fn queue(&self, name: &str) -> Res<Arc<QueueHandle>> {
        let spec = QueueSpec {
            name: name.to_owned(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: Arguments::new(),
        };
        let declared = self.vhost.declare_queue(spec, self.connection);
        Ok(declared.map_err(|error| error.to_string())?.queue)
    }

    fn consume(&self, queue: &Arc<QueueHandle>, outlet: &Arc<Counting>) -> Res<()> {
        let spec = ConsumerSpec {
            tag: "c".to_owned(),
            no_ack: true,
            exclusive: false,
            priority: 0,
            prefetch: 0,
            choice: Choice::default(),
            outlet: outlet.clone(),
        };
        let consumer = self.broker.consume(queue, spec, &mut || ());
        consumer.map(drop).map_err(|error| error.to_string())
    }

    fn publish(&self, key: &str, messages: usize) -> Res<()> {
        let (mut publisher, mut burst) = (Publisher::new(self.vhost.clone()), Burst::new());
        let draft = Draft {
            format: FORMAT_AMQP091,
            routing_key: key.as_bytes(),
            properties: &[0, 0],
            body: &[7; BODY_BYTES],
            ..Draft::default()
        };
        for number in 1..=messages {
            let published = burst.publish(&self.broker, &mut publisher, &draft, &NoView, None);
            published.map_err(|error| error.to_string())?;
            if number % BURST == 0 || number == messages {
                burst.submit(&self.broker);
            }
        }
        Ok(())
    }
}

/// The cases with so many messages for each thread.
pub fn measure(messages: usize) -> Res<Vec<Case>> {
    let mut runs = [const { Vec::new() }; CASES.len()];
    for _ in 0..ROUNDS {
        let mut one_per_s = None;
        for ((_, keys), runs) in CASES.iter().zip(&mut runs) {
            let (per_s, cpu_ns) = run(keys, messages)?;
            let mut figures = Figures::default();
            figures.put("per_s", per_s);
            figures.put("to_one", per_s / *one_per_s.get_or_insert(per_s));
            figures.put("cpu_ns", cpu_ns);
            runs.push(figures);
        }
    }
    let medians = runs.iter().map(|runs| Figures::medians(runs));
    Ok(CASES.iter().map(|(name, _)| *name).zip(medians).collect())
}

/// Messages in a second, all threads together, and nanoseconds of CPU for each.
fn run(keys: &[&str], messages: usize) -> Res<(f64, f64)> {
    let (node, outlet) = (Node::new()?, Arc::new(Counting::default()));
    let mut names = keys.to_vec();
    names.dedup();
    for name in names {
        node.consume(&node.queue(name)?, &outlet)?;
    }
    let ready = Barrier::new(keys.len() + 1);
    let (took_s, cpu_s) = thread::scope(|scope| {
        let publish = |key| {
            ready.wait();
            node.publish(key, messages)
        };
        let threads: Vec<_> = keys
            .iter()
            .map(|key| scope.spawn(move || publish(key)))
            .collect();
        ready.wait();
        let (begin, cpu) = (now_ns(), own_cpu_seconds());
        for thread in threads {
            thread.join().map_err(|_| "a publisher panicked")??;
        }
        Ok::<_, String>((seconds_since(begin), own_cpu_seconds() - cpu))
    })?;
    // Whoever found a queue taken has left its work there.
    node.broker.tick();
    let all = (keys.len() * messages) as u64;
    match outlet.0.load(Ordering::Relaxed) {
        count if count == all => Ok((all as f64 / took_s, cpu_s * 1e9 / all as f64)),
        count => Err(format!("{count} of {all} were delivered")),
    }
}
