//! Hops of messages that belong to a trace, as spans for a tracing system: OTLP over HTTP.
//!
//! ```text
//!  partition ──hop, never waits──▶ bounded queue ──▶ thread: batches as JSON ──POST──▶ collector
//! ```
//!
//! Invariants
//! - Who notes a hop never waits: what does not fit into the queue is dropped and counted.
//! - A collector that is slow or gone costs its batch and nothing else.
//! - A trace that its publisher does not record is not exported.
//!
//! Not here: what a hop is (`ferry-broker`), how a span looks (`span`), how it is sent (`post`).

mod post;
mod span;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ferry_broker::{Broker, Hop, HopSink, Metrics, TraceContext};

pub(crate) use post::Endpoint;
use span::Spans;

/// Hops that may wait to be sent.
const WAITING_MAX: usize = 8192;

/// Hops that are sent at once.
const BATCH_MAX: usize = 512;

/// How long a hop waits for others to be sent with it.
const BATCH_TIME_MAX: Duration = Duration::from_secs(1);

/// How often a collector that takes nothing is complained about.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// A hop on its way to be a span.
struct Noted {
    trace: TraceContext,
    id: Vec<u8>,
    hop: Hop,
}

/// What the broker tells of hops.
struct Exporter {
    queue: SyncSender<Noted>,
    broker: Weak<Broker>,
}

impl HopSink for Exporter {
    fn hop(&self, trace: &TraceContext, id: &[u8], hop: &Hop) {
        if !trace.sampled {
            return;
        }
        let noted = Noted {
            trace: *trace,
            id: id.to_vec(),
            hop: hop.clone(),
        };
        if self.queue.try_send(noted).is_err() {
            count_dropped(&self.broker, 1);
        }
    }
}

fn count_dropped(broker: &Weak<Broker>, count: u64) {
    if let Some(broker) = broker.upgrade() {
        Metrics::add(&broker.metrics().spans_dropped, count);
    }
}

/// Has the hops of a broker sent to a collector from now on.
pub(crate) fn start(broker: &Arc<Broker>, endpoint: Endpoint) -> std::io::Result<()> {
    let (queue, waiting) = sync_channel(WAITING_MAX);
    let sender = Sender {
        endpoint,
        broker: Arc::downgrade(broker),
        spans: Spans::default(),
        complained_at: None,
    };
    std::thread::Builder::new()
        .name("otel".to_owned())
        .spawn(move || sender.run(&waiting))?;
    broker.set_hop_sink(Box::new(Exporter {
        queue,
        broker: Arc::downgrade(broker),
    }));
    Ok(())
}

/// The thread that sends.
struct Sender {
    endpoint: Endpoint,
    broker: Weak<Broker>,
    spans: Spans,
    complained_at: Option<Instant>,
}

impl Sender {
    /// Goes on until the broker is gone.
    fn run(mut self, waiting: &Receiver<Noted>) {
        let mut batch = Vec::new();
        while let Ok(first) = waiting.recv() {
            batch.push(first);
            let until = Instant::now() + BATCH_TIME_MAX;
            while batch.len() < BATCH_MAX {
                let left = until.saturating_duration_since(Instant::now());
                match waiting.recv_timeout(left) {
                    Ok(noted) => batch.push(noted),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            self.send(&batch);
            batch.clear();
        }
    }

    fn send(&mut self, batch: &[Noted]) {
        let body = self.spans.export(batch);
        let Err(error) = self.endpoint.post(body.as_bytes()) else {
            return;
        };
        count_dropped(&self.broker, batch.len() as u64);
        let due = |at: Instant| at.elapsed() >= COMPLAINT_INTERVAL;
        if self.complained_at.is_none_or(due) {
            self.complained_at = Some(Instant::now());
            tracing::warn!(spans = batch.len(), "spans are dropped: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
