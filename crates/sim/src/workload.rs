//! Which operations a world is made of, and how often each.
//!
//! Invariants
//! - A weight of 0 never happens; weights are relative to each other.

use ferry_log::testing::Random;

pub use crate::operation::Operation;

/// A mix of operations with a name.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// How often each operation happens.
    pub weights: &'static [(Operation, u64)],
    /// Largest body, in bytes.
    pub body_bytes_max: u64,
    /// Most publishes of one burst.
    pub burst_max: u64,
    /// How many queues have a feature, in percent of them for each.
    pub features: u64,
    /// How many publishes have a delay, in percent.
    pub delayed: u64,
    /// How many publishes have an id, in percent.
    pub identified: u64,
    /// How many publishes to a queue by its name go to a stream, in percent.
    pub streams: u64,
    /// How many of them go to queues with shards or filters, in percent.
    pub order: u64,
}

const MIXED: &[(Operation, u64)] = &[
    (Operation::Burst, 300),
    (Operation::Transaction, 30),
    (Operation::Settle, 150),
    (Operation::Get, 60),
    (Operation::Consume, 40),
    (Operation::Cancel, 15),
    (Operation::Flush, 60),
    (Operation::Reconnect, 6),
    (Operation::DeclareQueue, 20),
    (Operation::DeleteQueue, 4),
    (Operation::Purge, 4),
    (Operation::Bind, 15),
    (Operation::Unbind, 4),
    (Operation::Exchange, 5),
    (Operation::Operator, 40),
    (Operation::Policy, 6),
    (Operation::Jump, 2),
    (Operation::Stream, 10),
    (Operation::Commit, 120),
    (Operation::Time, 60),
    (Operation::Upkeep, 40),
    (Operation::Checkpoint, 3),
    (Operation::Crash, 6),
    (Operation::Restart, 3),
    (Operation::DiskFull, 3),
    (Operation::DiskFault, 3),
    (Operation::Heal, 12),
];

const CRASH: &[(Operation, u64)] = &[
    (Operation::Burst, 200),
    (Operation::Transaction, 60),
    (Operation::Settle, 120),
    (Operation::Get, 60),
    (Operation::Consume, 60),
    (Operation::Flush, 40),
    (Operation::DeclareQueue, 20),
    (Operation::Bind, 20),
    (Operation::Operator, 20),
    (Operation::Policy, 4),
    (Operation::Jump, 1),
    (Operation::Stream, 15),
    (Operation::Commit, 100),
    (Operation::Time, 20),
    (Operation::Upkeep, 30),
    (Operation::Checkpoint, 20),
    (Operation::Crash, 60),
    (Operation::Restart, 30),
    (Operation::DiskFull, 6),
    (Operation::DiskFault, 20),
    (Operation::Heal, 30),
];

const CHURN: &[(Operation, u64)] = &[
    (Operation::Burst, 120),
    (Operation::Settle, 40),
    (Operation::Get, 20),
    (Operation::Consume, 40),
    (Operation::Cancel, 40),
    (Operation::Flush, 20),
    (Operation::Reconnect, 30),
    (Operation::DeclareQueue, 80),
    (Operation::DeleteQueue, 50),
    (Operation::Purge, 20),
    (Operation::Bind, 80),
    (Operation::Unbind, 40),
    (Operation::Exchange, 40),
    (Operation::Stream, 20),
    (Operation::Commit, 80),
    (Operation::Time, 20),
    (Operation::Upkeep, 30),
    (Operation::Checkpoint, 10),
    (Operation::Crash, 12),
    (Operation::Restart, 8),
];

const BACKLOG: &[(Operation, u64)] = &[
    (Operation::Burst, 300),
    (Operation::Settle, 100),
    (Operation::Get, 100),
    (Operation::Consume, 12),
    (Operation::Cancel, 8),
    (Operation::Flush, 30),
    (Operation::DeclareQueue, 10),
    (Operation::Bind, 15),
    (Operation::Commit, 100),
    (Operation::Time, 5),
    (Operation::Upkeep, 60),
    (Operation::Checkpoint, 6),
    (Operation::Crash, 8),
    (Operation::Restart, 6),
    (Operation::DiskFull, 8),
    (Operation::Heal, 10),
];

const DEEP: &[(Operation, u64)] = &[
    (Operation::Burst, 100),
    (Operation::Settle, 40),
    (Operation::Get, 60),
    (Operation::Consume, 8),
    (Operation::Cancel, 6),
    (Operation::Flush, 20),
    (Operation::Commit, 40),
    (Operation::Time, 4),
    (Operation::Upkeep, 40),
    (Operation::Checkpoint, 4),
    (Operation::Crash, 5),
    (Operation::Restart, 5),
];

const FEATURES: &[(Operation, u64)] = &[
    (Operation::Burst, 260),
    (Operation::Transaction, 80),
    (Operation::Settle, 200),
    (Operation::Get, 60),
    (Operation::Consume, 50),
    (Operation::Cancel, 15),
    (Operation::Flush, 40),
    (Operation::Reconnect, 8),
    (Operation::DeclareQueue, 40),
    (Operation::DeleteQueue, 4),
    (Operation::Purge, 4),
    (Operation::Bind, 15),
    (Operation::Operator, 80),
    (Operation::Policy, 16),
    (Operation::Jump, 4),
    (Operation::Stream, 12),
    (Operation::Commit, 100),
    (Operation::Time, 90),
    (Operation::Upkeep, 30),
    (Operation::Checkpoint, 8),
    (Operation::Crash, 20),
    (Operation::Restart, 8),
    (Operation::DiskFull, 2),
    (Operation::DiskFault, 4),
    (Operation::Heal, 12),
];

const DELAYS: &[(Operation, u64)] = &[
    (Operation::Burst, 200),
    (Operation::Transaction, 30),
    (Operation::Settle, 100),
    (Operation::Get, 40),
    (Operation::Consume, 20),
    (Operation::Cancel, 8),
    (Operation::Flush, 30),
    (Operation::DeclareQueue, 10),
    (Operation::Purge, 4),
    (Operation::Operator, 60),
    (Operation::Policy, 4),
    (Operation::Jump, 6),
    (Operation::Stream, 6),
    (Operation::Commit, 60),
    (Operation::Time, 100),
    (Operation::Upkeep, 20),
    (Operation::Checkpoint, 8),
    (Operation::Crash, 12),
    (Operation::Restart, 8),
];

const STREAMS: &[(Operation, u64)] = &[
    (Operation::Burst, 260),
    (Operation::Transaction, 50),
    (Operation::Settle, 200),
    (Operation::Get, 40),
    (Operation::Consume, 20),
    (Operation::Cancel, 25),
    (Operation::Flush, 60),
    (Operation::Reconnect, 8),
    (Operation::Stream, 120),
    (Operation::Bind, 25),
    (Operation::Unbind, 10),
    (Operation::Jump, 1),
    (Operation::Commit, 80),
    (Operation::Time, 90),
    (Operation::Upkeep, 30),
    (Operation::Checkpoint, 12),
    (Operation::Crash, 25),
    (Operation::Restart, 12),
    (Operation::DiskFull, 3),
    (Operation::DiskFault, 6),
    (Operation::Heal, 15),
];

const ORDER: &[(Operation, u64)] = &[
    (Operation::Burst, 220),
    (Operation::Transaction, 30),
    (Operation::Settle, 240),
    (Operation::Get, 40),
    (Operation::Consume, 110),
    (Operation::Cancel, 60),
    (Operation::Flush, 60),
    (Operation::Reconnect, 10),
    (Operation::DeclareQueue, 20),
    (Operation::DeleteQueue, 1),
    (Operation::Purge, 2),
    (Operation::Bind, 6),
    (Operation::Operator, 40),
    (Operation::Policy, 10),
    (Operation::Jump, 1),
    (Operation::Commit, 60),
    (Operation::Time, 70),
    (Operation::Upkeep, 20),
    (Operation::Checkpoint, 8),
    (Operation::Crash, 12),
    (Operation::Restart, 8),
    (Operation::DiskFault, 2),
    (Operation::Heal, 8),
];

const SESSIONS: &[(Operation, u64)] = &[
    (Operation::Burst, 120),
    (Operation::Flush, 400),
    (Operation::Reconnect, 25),
    (Operation::DeclareQueue, 6),
    (Operation::Commit, 150),
    (Operation::Upkeep, 20),
    (Operation::Checkpoint, 10),
    (Operation::Crash, 25),
    (Operation::Restart, 8),
    (Operation::DiskFault, 8),
];

const RETAINED: &[(Operation, u64)] = &[
    (Operation::Burst, 40),
    (Operation::Settle, 20),
    (Operation::Get, 20),
    (Operation::Retain, 300),
    (Operation::Jump, 2),
    (Operation::Commit, 100),
    (Operation::Time, 20),
    (Operation::Upkeep, 40),
    (Operation::Checkpoint, 10),
    (Operation::Crash, 30),
    (Operation::Restart, 15),
    (Operation::DiskFull, 6),
    (Operation::DiskFault, 10),
    (Operation::Heal, 20),
];

const SCENE: &[(Operation, u64)] = &[
    (Operation::Act, 400),
    (Operation::Time, 60),
    (Operation::Commit, 120),
    (Operation::Upkeep, 40),
    (Operation::Checkpoint, 8),
    (Operation::Crash, 20),
    (Operation::Restart, 8),
    (Operation::DiskFault, 6),
];

/// A workload that is a scene of that name.
const fn scene(name: &'static str) -> Workload {
    Workload {
        name,
        weights: SCENE,
        body_bytes_max: 0,
        burst_max: 0,
        features: 0,
        delayed: 0,
        identified: 0,
        streams: 0,
        order: 0,
    }
}

impl Workload {
    /// All workloads; a seed picks one unless told otherwise.
    pub const ALL: [Workload; 19] = [
        Workload {
            name: "mixed",
            weights: MIXED,
            body_bytes_max: 2_000,
            burst_max: 6,
            features: 20,
            delayed: 8,
            identified: 15,
            streams: 5,
            order: 10,
        },
        Workload {
            name: "crash",
            weights: CRASH,
            body_bytes_max: 600,
            burst_max: 5,
            features: 20,
            delayed: 8,
            identified: 15,
            streams: 5,
            order: 10,
        },
        Workload {
            name: "churn",
            weights: CHURN,
            body_bytes_max: 300,
            burst_max: 4,
            features: 10,
            delayed: 5,
            identified: 8,
            streams: 5,
            order: 10,
        },
        Workload {
            name: "backlog",
            weights: BACKLOG,
            body_bytes_max: 4_000,
            burst_max: 24,
            features: 8,
            delayed: 4,
            identified: 4,
            streams: 0,
            order: 0,
        },
        Workload {
            name: "deep",
            weights: DEEP,
            body_bytes_max: 60,
            burst_max: 400,
            features: 0,
            delayed: 2,
            identified: 0,
            streams: 0,
            order: 0,
        },
        Workload {
            name: "features",
            weights: FEATURES,
            body_bytes_max: 600,
            burst_max: 5,
            features: 50,
            delayed: 20,
            identified: 40,
            streams: 5,
            order: 15,
        },
        Workload {
            name: "delays",
            weights: DELAYS,
            body_bytes_max: 300,
            burst_max: 30,
            features: 25,
            delayed: 70,
            identified: 5,
            streams: 3,
            order: 5,
        },
        Workload {
            name: "streams",
            weights: STREAMS,
            body_bytes_max: 600,
            burst_max: 12,
            features: 10,
            delayed: 8,
            identified: 4,
            streams: 60,
            order: 0,
        },
        Workload {
            name: "order",
            weights: ORDER,
            body_bytes_max: 300,
            burst_max: 12,
            features: 10,
            delayed: 5,
            identified: 0,
            streams: 0,
            order: 90,
        },
        Workload {
            name: "sessions",
            weights: SESSIONS,
            body_bytes_max: 0,
            burst_max: 0,
            features: 0,
            delayed: 0,
            identified: 0,
            streams: 0,
            order: 0,
        },
        Workload {
            name: "retained",
            weights: RETAINED,
            body_bytes_max: 300,
            burst_max: 4,
            features: 5,
            delayed: 2,
            identified: 2,
            streams: 0,
            order: 0,
        },
        scene("fifo"),
        scene("kinds"),
        scene("passports"),
        scene("gather"),
        scene("limits"),
        scene("rates"),
        scene("once"),
        scene("expiry"),
    ];

    /// Whether it is a scene.
    #[must_use]
    pub fn is_scene(&self) -> bool {
        self.weights
            .iter()
            .any(|(operation, _)| *operation == Operation::Act)
    }

    /// Whether its world is the one of sessions.
    #[must_use]
    pub fn is_of_sessions(&self) -> bool {
        self.name == "sessions"
    }

    /// The workload of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Workload> {
        Workload::ALL
            .into_iter()
            .chain([Workload::WIRE])
            .find(|workload| workload.name == name)
    }

    /// The workload of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Workload {
        Workload::ALL[(seed % Workload::ALL.len() as u64) as usize]
    }

    /// Draws an operation.
    #[must_use]
    pub fn draw(&self, random: &mut Random) -> Operation {
        let total: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut at = random.below(total);
        for (operation, weight) in self.weights {
            if at < *weight {
                return *operation;
            }
            at -= weight;
        }
        unreachable!("a number below the total falls on an operation")
    }
}
