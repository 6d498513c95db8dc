//! What wires are made of, and how often each.

use crate::workload::{Operation, Workload};

const WIRE: &[(Operation, u64)] = &[
    (Operation::Burst, 250),
    (Operation::Settle, 250),
    (Operation::Get, 30),
    (Operation::Consume, 60),
    (Operation::Cancel, 20),
    (Operation::Flush, 400),
    (Operation::Reconnect, 15),
    (Operation::Commit, 200),
    (Operation::Time, 25),
    (Operation::Act, 8),
    (Operation::Upkeep, 20),
    (Operation::Checkpoint, 6),
    (Operation::Crash, 8),
    (Operation::Restart, 3),
    (Operation::DiskFull, 2),
    (Operation::DiskFault, 2),
    (Operation::Heal, 15),
];

impl Workload {
    /// Clients that speak to the doors. It is chosen by its name alone.
    pub const WIRE: Workload = Workload {
        name: "wire",
        weights: WIRE,
        body_bytes_max: 0,
        burst_max: 0,
        features: 0,
        delayed: 0,
        identified: 0,
        streams: 0,
        order: 0,
    };

    /// Whether its world is the one of wires.
    #[must_use]
    pub fn is_of_wires(&self) -> bool {
        self.name == "wire"
    }
}
