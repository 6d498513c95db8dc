//! What clients and operators do: one file for each kind of doing.
//!
//! Invariants
//! - Every choice is drawn from the world's numbers, in an order that depends on nothing else.

mod arguments;
mod consume;
mod define;
mod house;
mod operator;
mod publish;
pub(crate) mod ruled;
mod stream;

use crate::workload::Operation;
use crate::world::World;
use crate::{Checked, violated};

impl World {
    /// Does one operation.
    pub fn operate(&mut self, operation: Operation) -> Checked {
        match operation {
            Operation::Burst => self.burst(),
            Operation::Transaction => self.transaction(),
            Operation::Settle => self.settle(),
            Operation::Get => self.get(),
            Operation::Consume => self.consume(),
            Operation::Cancel => self.cancel_any(),
            Operation::Flush => self.flush(),
            Operation::Reconnect => self.reconnect(),
            Operation::DeclareQueue => self.declare_queue(),
            Operation::DeleteQueue => self.delete_queue(),
            Operation::Purge => self.purge(),
            Operation::Stream => self.stream(),
            Operation::Bind => self.bind(),
            Operation::Unbind => self.unbind(),
            Operation::Exchange => self.exchange(),
            Operation::Operator => self.operator(),
            Operation::Policy => self.policy(),
            Operation::Retain => self.retain(),
            Operation::Jump => self.jump(),
            Operation::Commit => self.commit_log(),
            Operation::Time => self.time(),
            Operation::Upkeep => self.upkeep(),
            Operation::Checkpoint => self.checkpoint(),
            Operation::Crash => self.crash(),
            Operation::Restart => self.restart(),
            Operation::DiskFull => self.disk_full(),
            Operation::DiskFault => self.disk_fault(),
            Operation::Heal => self.heal(),
            Operation::Act => violated!("this world has no acts"),
        }
    }
}
