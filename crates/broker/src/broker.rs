//! The broker: its parts, how it is opened, and who may log in.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, Weak};

use ferry_core::Millis;
use ferry_core::queue::{QueueKind, SyncPolicy};
use ferry_log::{Disk, Log, LogError, Recovery};
use parking_lot::{Mutex, RwLock};

use crate::access::Access;
use crate::alarms::DiskRoom;
use crate::background::Signals;
use crate::clean_stop;
use crate::clearing::Dissolving;
use crate::connections::Connections;
use crate::dead_letter::Stuck;
use crate::direct_reply::{DirectReplies, NameMaker};
use crate::durability::{Durability, DurableWaiter};
use crate::gather::Gathers;
use crate::limits::Limits;
use crate::measure::{Died, Edges, Tallies};
use crate::parameters::Parameters;
use crate::partition::{After, Batch, Command, Partition, State, StateContext, Surroundings};
use crate::passport::Passports;
use crate::recovery::{Recovered, Summary};
use crate::replay::Replays;
use crate::retained::RetainedNode;
use crate::room::Room;
use crate::vhost::Map;
use crate::{
    ConnectionId, ConnectionInfo, Deliveries, Formats, MessageFormat, Metrics, Pressure, Promise,
    QueueHandle, Seat, Vhost,
};

/// Partitions of a node.
pub(crate) const PARTITIONS: u16 = 16;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> Millis;
}

/// How a broker is opened.
pub struct Options {
    /// Where its data is.
    pub disk: Arc<dyn Disk>,
    /// How the log works.
    pub log: ferry_log::Options,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// The formats of messages that doors will bring.
    pub formats: Formats,
    /// When a durable message is safe, where a queue does not say otherwise.
    pub sync: SyncPolicy,
    /// Memory that messages may take before publishers are held, in bytes.
    pub memory_high_bytes: u64,
    /// Free space on the disk below which publishers are held, in bytes.
    pub disk_free_bytes_min: u64,
}

pub(crate) struct Settings {
    pub formats: Formats,
    pub sync: SyncPolicy,
    pub disk_free_bytes_min: u64,
}

/// Why a broker was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log could not be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log says something that can not be.
    #[error("the data directory contradicts itself: {0}")]
    Contradiction(String),
}

/// Why a log-in was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// No such user, or another password.
    #[error("invalid credentials")]
    Refused,
    /// The user may only connect via loopback.
    #[error("user can only connect via localhost")]
    NotFromHere,
    /// There were too many wrong passwords for that user from that address.
    #[error("too many log-ins failed, wait")]
    TooMany,
}

/// Is called when work was done that no door asked for.
type AfterWork = Box<dyn Fn() + Send + Sync>;

/// Is told why the log has failed.
type OnFailure = Box<dyn Fn(&str) + Send + Sync>;

/// One node.
pub struct Broker {
    pub(crate) me: Weak<Broker>,
    pub(crate) durability: Durability,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) pressure: Pressure,
    pub(crate) metrics: Metrics,
    pub(crate) tallies: Tallies,
    pub(crate) edges: Edges,
    pub(crate) died: Died,
    pub(crate) connections: Connections,
    pub(crate) limits: Limits,
    pub(crate) access: Access,
    pub(crate) parameters: Parameters,
    pub(crate) direct_replies: DirectReplies,
    pub(crate) afters: Mutex<Vec<After>>,
    pub(crate) dissolving: Dissolving,
    pub(crate) after_runner: Mutex<()>,
    pub(crate) stuck: Mutex<Stuck>,
    pub(crate) replays: Replays,
    pub(crate) passports: Passports,
    pub(crate) gathers: Gathers,
    pub(crate) retained: RetainedNode,
    /// Tells this run of the broker from those before, in what names a message.
    pub(crate) run: u32,
    pub(crate) transactions: RwLock<()>,
    /// Held while ids of guarded exchanges are added, written and applied.
    pub(crate) guard_order: Mutex<()>,
    pub(crate) next_queue_id: AtomicU64,
    pub(crate) signals: Signals,
    pub(crate) options: Settings,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) disk_room: DiskRoom,
    pub(crate) room: Room,
    vhosts: RwLock<Map<Arc<str>, Arc<Vhost>>>,
    names: NameMaker,
    pub(crate) clock: Arc<dyn Clock>,
    after_work: OnceLock<AfterWork>,
    on_failure: OnceLock<OnFailure>,
    recovery: Recovery,
}

impl Broker {
    /// Opens the data directory and brings everything back that was in it.
    pub fn open(options: Options) -> Result<Arc<Broker>, OpenError> {
        let mut recovered = Recovered::new(options.clock.now(), PARTITIONS);
        let disk = options.disk;
        let run = (options.log.entropy ^ options.log.entropy >> 32) as u32;
        let (log, recovery) = Log::open(Arc::clone(&disk), options.log, &mut recovered)?;
        let broker = Arc::new_cyclic(|me: &Weak<Broker>| Broker {
            me: me.clone(),
            partitions: (0..PARTITIONS)
                .map(|number| Partition::new(State::new(number, Arc::clone(&log))))
                .collect(),
            durability: Durability::new(log),
            pressure: Pressure::new(options.memory_high_bytes),
            metrics: Metrics::default(),
            tallies: Tallies::default(),
            edges: Edges::default(),
            died: Died::default(),
            connections: Connections::default(),
            limits: Limits::default(),
            access: Access::default(),
            parameters: Parameters::default(),
            direct_replies: DirectReplies::default(),
            afters: Mutex::new(Vec::new()),
            dissolving: Dissolving::default(),
            after_runner: Mutex::new(()),
            stuck: Mutex::new(Stuck::default()),
            replays: Replays::default(),
            passports: Passports::default(),
            gathers: Gathers::default(),
            retained: RetainedNode::default(),
            run,
            transactions: RwLock::new(()),
            guard_order: Mutex::new(()),
            next_queue_id: AtomicU64::new(1),
            signals: Signals::default(),
            options: Settings {
                formats: options.formats,
                sync: options.sync,
                disk_free_bytes_min: options.disk_free_bytes_min,
            },
            disk,
            disk_room: DiskRoom::default(),
            room: Room::default(),
            vhosts: RwLock::new(Map::default()),
            names: NameMaker::default(),
            clock: options.clock,
            after_work: OnceLock::new(),
            on_failure: OnceLock::new(),
            recovery,
        });
        let noted = clean_stop::is_noted(broker.disk.as_ref())?;
        let summary = recovered
            .install(&broker, noted)
            .map_err(OpenError::Contradiction)?;
        if noted {
            clean_stop::take_back(broker.disk.as_ref())?;
        }
        broker.attach_retained();
        broker.report_start(&summary);
        Ok(broker)
    }

    fn report_start(&self, summary: &Summary) {
        let Recovery {
            checkpoint,
            replayed_records,
            replayed_bytes,
            torn_bytes,
            ..
        } = self.recovery;
        if checkpoint.is_none() && replayed_records == 0 {
            tracing::info!("a new data directory");
            return;
        }
        let Summary {
            queues,
            messages,
            clean,
        } = *summary;
        tracing::info!(
            queues,
            messages,
            clean,
            replayed_bytes,
            torn_bytes,
            "data directory opened"
        );
    }

    /// The time.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// What the start found on the disk.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Whether a promise is kept already.
    pub fn kept(&self, promise: Promise) -> bool {
        self.durability.kept(promise)
    }

    /// Tells `waiter` when a promise is kept, perhaps at once on this thread.
    pub fn when_kept(&self, promise: Promise, waiter: Arc<dyn DurableWaiter>) {
        self.durability.when_kept(promise, waiter);
    }

    /// The log, to be looked at.
    pub fn log(&self) -> &Arc<Log> {
        &self.durability.log
    }

    /// Why nothing can be stored any more, if that is so.
    pub fn failed(&self) -> Option<String> {
        self.durability.log.failure().map(|cause| cause.to_string())
    }

    /// Sets what is called when the log fails; the node stops then.
    pub fn set_on_failure(&self, on_failure: OnFailure) {
        let _first_wins = self.on_failure.set(on_failure);
    }

    pub(crate) fn report_failure(&self, cause: &str) {
        if let Some(on_failure) = self.on_failure.get() {
            on_failure(cause);
        }
    }

    /// Sets what is called at the end of each piece of work that the broker does by itself.
    pub fn set_after_work(&self, after_work: AfterWork) {
        let _first_wins = self.after_work.set(after_work);
    }

    pub(crate) fn after_work(&self) {
        if let Some(after_work) = self.after_work.get() {
            after_work();
        }
    }

    /// A virtual host by name.
    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.read().get(name).cloned()
    }

    /// All virtual hosts, in order of their names.
    pub fn vhosts(&self) -> Vec<Arc<Vhost>> {
        let mut vhosts: Vec<_> = self.vhosts.read().values().cloned().collect();
        vhosts.sort_by(|a, b| a.name.cmp(&b.name));
        vhosts
    }

    pub(crate) fn make_vhost(&self, name: &str) -> Arc<Vhost> {
        let mut vhosts = self.vhosts.write();
        if let Some(vhost) = vhosts.get(name) {
            return Arc::clone(vhost);
        }
        let vhost = Arc::new(Vhost::new(name, self.me.clone()));
        vhosts.insert(Arc::clone(&vhost.name), Arc::clone(&vhost));
        vhost
    }

    pub(crate) fn forget_vhost(&self, name: &str) {
        self.vhosts.write().remove(name);
    }

    pub(crate) fn arc(&self) -> Arc<Broker> {
        self.me
            .upgrade()
            .expect("the broker is borrowed, so it is there")
    }

    /// Free space on the disk below which publishers are held, in bytes.
    pub fn disk_free_bytes_min(&self) -> u64 {
        self.options.disk_free_bytes_min
    }

    /// The account of memory and the alarm.
    pub fn memory(&self) -> &Pressure {
        &self.pressure
    }

    /// The format of messages with that tag.
    pub fn format(&self, tag: u8) -> Option<&Arc<dyn MessageFormat>> {
        self.options.formats.get(tag)
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What was delivered and settled, by kind of queue.
    pub fn deliveries(&self) -> [(QueueKind, Deliveries); 3] {
        self.tallies.read()
    }

    /// A connection has logged in that no limit is for.
    pub fn connection_opened(&self, info: ConnectionInfo) -> ConnectionId {
        let seats = self.count_connection(&info);
        self.open_connection(info, seats)
    }

    pub(crate) fn open_connection(
        &self,
        info: ConnectionInfo,
        seats: [Option<Seat>; 2],
    ) -> ConnectionId {
        Metrics::add(&self.metrics.connections_opened, 1);
        let connected_at = self.now();
        let info = ConnectionInfo {
            connected_at,
            ..info
        };
        self.connections.open(info, seats)
    }

    /// A connection has ended, after it gave back what it held: its own queues go.
    pub fn connection_closed(&self, id: ConnectionId) {
        Metrics::add(&self.metrics.connections_closed, 1);
        let (info, own) = self.connections.close(id).unwrap_or_default();
        if let (Some(probe), Some(vhost)) = (info.probe.upgrade(), self.vhost(&info.vhost)) {
            vhost.retirement.connection(probe.totals(), probe.traffic());
        }
        for queue in own {
            if let Some(vhost) = self.vhost(&queue.vhost) {
                vhost.delete_if(&queue, |_| true);
            }
        }
        self.run_afters();
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.connections.count()
    }

    /// What is known of every connection.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.connections.list()
    }

    /// What is known of one connection.
    pub fn connection(&self, id: ConnectionId) -> Option<ConnectionInfo> {
        self.connections.get(id)
    }

    /// A name that nobody guesses.
    pub fn made_up_name(&self, prefix: &str) -> String {
        self.names.name(prefix)
    }

    pub(crate) fn partition(&self, queue: &QueueHandle) -> &Partition {
        &self.partitions[usize::from(queue.partition)]
    }

    /// Runs `call` on the partition of a queue, and then does what that left to do. For a door,
    /// which holds nothing.
    pub(crate) fn on_partition<R>(
        &self,
        queue: &QueueHandle,
        call: impl FnOnce(&mut State, &StateContext<'_>) -> R,
    ) -> R {
        let result = self.with_state(queue, call);
        self.after_call();
        result
    }

    /// Runs `call` on the partition of a queue, and leaves to the caller what comes of it.
    pub(crate) fn with_state<R>(
        &self,
        queue: &QueueHandle,
        call: impl FnOnce(&mut State, &StateContext<'_>) -> R,
    ) -> R {
        self.partition(queue).call(&self.surroundings(), call)
    }

    /// Leaves one command to the partition of its queue.
    pub(crate) fn submit_one(&self, queue: &QueueHandle, command: Command) {
        let batch = Batch {
            staged: Arc::from([]),
            commands: vec![command],
            ticket: None,
        };
        self.partition(queue).submit(&self.surroundings(), batch);
    }

    /// Does what a call of a door has left to do, with nothing held.
    pub(crate) fn after_call(&self) {
        self.run_afters();
        self.review_pressure();
    }

    /// Does what an act has left to do whose door flushes no outboxes: that of an operator, or of
    /// a client without a connection.
    pub fn after_act(&self) {
        self.after_call();
        self.after_work();
    }

    /// What its partitions need of it.
    pub(crate) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            clock: &*self.clock,
            durability: &self.durability,
            pressure: &self.pressure,
            metrics: &self.metrics,
            tallies: &self.tallies,
            afters: &self.afters,
            signals: &self.signals,
            formats: &self.options.formats,
            passports: &self.passports,
            connections: &self.connections,
        }
    }
}
