//! Histograms of the node: how long things take, and how much comes at once.

use super::text::{Family, MICROS, MILLIS, PIECES, Text, histogram};
use crate::shared::Shared;

const CONFIRM: Family = histogram(
    "ferrymq_publish_confirm_seconds",
    "From reading a publish to its confirm; a publish that was held counts from when it goes on",
);
const WAITED: Family = histogram(
    "ferrymq_publish_deliver_seconds",
    "From a publish to each delivery, in steps of 1 ms",
);
const LEASED: Family = histogram(
    "ferrymq_lease_seconds",
    "From a delivery to its settlement by who got it, in steps of 1 ms",
);
const SYNC: Family = histogram(
    "ferrymq_log_sync_seconds",
    "Syncs of the log, which confirms of durable messages wait for",
);
const BURST: Family = histogram(
    "ferrymq_burst_publishes",
    "Publishes that were worked off together, of those times that had any",
);

pub(super) fn write(shared: &Shared, text: &mut Text) {
    let measured = shared.broker.measured();
    for (family, counted, scale) in [
        (CONFIRM, measured.confirm_us, MICROS),
        (WAITED, measured.waited_ms, MILLIS),
        (LEASED, measured.leased_ms, MILLIS),
        (SYNC, measured.sync_us, MICROS),
        (BURST, measured.burst_publishes, PIECES),
    ] {
        text.open(family);
        text.distribution(family, &[], &counted, &scale);
    }
}
