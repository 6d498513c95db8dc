//! Bodies of requests that bring messages.
//!
//! Invariants
//! - A body is read piece by piece into what it takes; what it announces is no size.
//! - All bodies together take `BODIES_MAX` messages of the largest size at most, and count as
//!   memory of messages while they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use ferry_broker::Broker;
use http_body_util::BodyExt;

use super::BODIES_MAX;
use crate::api::ferry::problem::Problem;
use crate::shared::Shared;

/// How long it is until others are likely to have come in, in milliseconds.
const CROWDED_RETRY_MS: u64 = 1_000;

/// A body, counted until it is dropped.
pub(super) struct Counted {
    pub bytes: Vec<u8>,
    counted: u64,
    all: Arc<AtomicU64>,
    broker: Arc<Broker>,
}

impl Counted {
    fn count(&mut self, bytes: u64) -> u64 {
        self.counted += bytes;
        self.broker.memory().account(bytes as i64);
        self.all.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.fetch_sub(self.counted, Ordering::Relaxed);
        self.broker.memory().account(-(self.counted as i64));
        self.broker.memory_given_back();
    }
}

/// Reads a body of at most so many bytes.
pub(super) async fn read(
    shared: &Shared,
    mut body: Body,
    bytes_max: u64,
) -> Result<Counted, Problem> {
    let plane = &shared.data;
    let mut read = Counted {
        bytes: Vec::new(),
        counted: 0,
        all: Arc::clone(&plane.body_bytes),
        broker: Arc::clone(&shared.broker),
    };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad(format!("the body was cut: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue; // Trailers say nothing here.
        };
        if read.bytes.len() as u64 + data.len() as u64 > bytes_max {
            let reason = format!("the body has at most {bytes_max} bytes");
            return Err(Problem::too_large(reason));
        }
        if read.count(data.len() as u64) > BODIES_MAX.saturating_mul(plane.message_bytes_max) {
            let reason = "too many bodies are coming in at once";
            return Err(Problem::later("crowded", reason, CROWDED_RETRY_MS));
        }
        read.bytes.extend_from_slice(&data);
    }
    Ok(read)
}
