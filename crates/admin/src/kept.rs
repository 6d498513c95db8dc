//! What is kept for a while because it costs a look at every queue.
//!
//! Invariants
//! - A list of queues is the one that its virtual host has now: it is made again whenever a queue
//!   was declared or deleted since.
//! - Sums over few objects are always fresh, those over many are at most `SUMS_AGE_MAX` old.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ferry_broker::{Broker, QueueHandle, Vhost, VhostSums};
use parking_lot::Mutex;

use crate::shared::{Shared, Totals};

/// Queues up to which sums are made each time.
const FRESH_COUNT_MAX: u64 = 2000;
/// The same of virtual hosts, and of connections.
const FRESH_VHOSTS_MAX: usize = 64;
const SUMS_AGE_MAX: Duration = Duration::from_secs(1);

/// Queues of one virtual host.
pub(crate) type Queues = Arc<[Arc<QueueHandle>]>;

/// How many queues were declared and deleted so far.
type Changes = (u64, u64);

/// The lists of queues, in order of their names.
#[derive(Default)]
pub(crate) struct QueueLists(Mutex<HashMap<String, (Changes, Queues)>>);

impl QueueLists {
    pub fn of(&self, broker: &Broker, vhost: &Vhost) -> Queues {
        // Before the list: a change in between makes this list an old one, never a wrong one.
        let changes = changes_of(broker);
        if let Some(queues) = self.kept(vhost, changes) {
            return queues;
        }
        let queues: Queues = vhost.queues().into();
        let mut lists = self.0.lock();
        lists.retain(|_, (then, _)| *then == changes);
        lists.insert(vhost.name().to_owned(), (changes, Arc::clone(&queues)));
        queues
    }

    /// The same for who looks at all of them: nothing is sorted for that.
    pub fn in_any_order(&self, broker: &Broker, vhost: &Vhost) -> Queues {
        let kept = self.kept(vhost, changes_of(broker));
        kept.unwrap_or_else(|| vhost.queues_in_any_order().into())
    }

    fn kept(&self, vhost: &Vhost, changes: Changes) -> Option<Queues> {
        let lists = self.0.lock();
        let (then, queues) = lists.get(vhost.name())?;
        (*then == changes).then(|| Arc::clone(queues))
    }
}

fn changes_of(broker: &Broker) -> Changes {
    let metrics = broker.metrics();
    (
        metrics.queues_declared.load(Ordering::Acquire),
        metrics.queues_deleted.load(Ordering::Acquire),
    )
}

/// What all queues hold, and what virtual hosts have counted, in order of their names.
#[derive(Default)]
pub(crate) struct Sums {
    pub totals: Totals,
    pub vhosts: Vec<(Arc<Vhost>, VhostSums)>,
}

/// The sums that were last made.
#[derive(Default)]
pub(crate) struct KeptSums(Mutex<Option<(Instant, Arc<Sums>)>>);

impl KeptSums {
    pub fn get(&self, shared: &Shared) -> Arc<Sums> {
        // Held meanwhile: who asks at the same time waits for the same sums.
        let mut kept = self.0.lock();
        if let Some((at, sums)) = &*kept
            && at.elapsed() < SUMS_AGE_MAX
        {
            return Arc::clone(sums);
        }
        let mut sums = Sums::default();
        let connections = shared.broker.connections();
        for vhost in shared.broker.vhosts() {
            let queues = shared.all_queues_of(&vhost);
            queues.iter().for_each(|queue| sums.totals.add(queue));
            let counted = vhost.sums(&queues, &connections);
            sums.vhosts.push((vhost, counted));
        }
        let sums = Arc::new(sums);
        let many = sums.totals.queues > FRESH_COUNT_MAX
            || sums.vhosts.len() > FRESH_VHOSTS_MAX
            || connections.len() > FRESH_VHOSTS_MAX;
        *kept = many.then(|| (Instant::now(), Arc::clone(&sums)));
        sums
    }
}
