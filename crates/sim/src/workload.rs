//! Which operations a world is made of, and how often each.
//!
//! Invariants
//! - A weight of 0 never happens; weights are relative to each other.

use ferry_log::testing::Random;

/// An operation of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A burst of publishes and settles.
    Burst,
    /// A transaction.
    Transaction,
    /// Settles alone.
    Settle,
    /// A single message is asked for.
    Get,
    /// A consumer comes.
    Consume,
    /// A consumer goes.
    Cancel,
    /// Outlets have room again.
    Flush,
    /// A client disconnects and another one comes.
    Reconnect,
    /// A queue is declared or declared again.
    DeclareQueue,
    /// A queue is deleted.
    DeleteQueue,
    /// A queue is purged.
    Purge,
    /// A queue is bound.
    Bind,
    /// A queue is unbound.
    Unbind,
    /// An exchange is declared or deleted.
    Exchange,
    /// The log is committed.
    Commit,
    /// Time passes.
    Time,
    /// Checkpoints, cleaning and spilling, if due.
    Upkeep,
    /// A checkpoint, due or not.
    Checkpoint,
    /// The node crashes and comes back.
    Crash,
    /// The node is stopped in order and comes back.
    Restart,
    /// The disk fills up.
    DiskFull,
    /// The disk has a fault soon.
    DiskFault,
    /// The disk is well again.
    Heal,
}

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

impl Workload {
    /// All workloads; a seed picks one unless told otherwise.
    pub const ALL: [Workload; 5] = [
        Workload {
            name: "mixed",
            weights: MIXED,
            body_bytes_max: 2_000,
            burst_max: 6,
        },
        Workload {
            name: "crash",
            weights: CRASH,
            body_bytes_max: 600,
            burst_max: 5,
        },
        Workload {
            name: "churn",
            weights: CHURN,
            body_bytes_max: 300,
            burst_max: 4,
        },
        Workload {
            name: "backlog",
            weights: BACKLOG,
            body_bytes_max: 4_000,
            burst_max: 24,
        },
        Workload {
            name: "deep",
            weights: DEEP,
            body_bytes_max: 60,
            burst_max: 400,
        },
    ];

    /// The workload of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Workload> {
        Workload::ALL
            .into_iter()
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
