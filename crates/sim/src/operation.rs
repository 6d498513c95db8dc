//! What a world is made of, step by step.
//!
//! Invariants
//! - A world that does not know an operation has no weight for it.

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
    /// A stream is declared, read or deleted.
    Stream,
    /// A queue is bound.
    Bind,
    /// A queue is unbound.
    Unbind,
    /// An exchange is declared or deleted.
    Exchange,
    /// The operator does something with a message or a lease.
    Operator,
    /// The policy is set, changed or cleared.
    Policy,
    /// Messages are retained.
    Retain,
    /// What a scene is about.
    Act,
    /// The clock is set.
    Jump,
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
