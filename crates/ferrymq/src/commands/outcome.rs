//! How a command ends.
//!
//! Invariants
//! - The exit code says what kind of end it was: 0 done, 1 failed, 2 the command line is wrong,
//!   3 the node can not be reached, 4 the node refuses.

use std::io;
use std::process::ExitCode;

use crate::client::ClientError;
use crate::show;

/// The exit codes, as the help tells them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes of commands:
  0  done                        1  failed, or something is bad
  2  the command line is wrong   3  the node can not be reached
  4  the node refuses: not allowed, not there, or not as it is asked for";

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    /// What is wrong stands on standard output.
    #[error("")]
    Said,
    /// A node is not as a file says; how, stands on standard output.
    #[error("")]
    Differs,
}

pub(crate) type Done = Result<(), Failure>;

/// Tells a failure, and what to end with.
pub(super) fn exit_code(done: Done) -> ExitCode {
    let Err(failure) = done else {
        return ExitCode::SUCCESS;
    };
    match &failure {
        Failure::Io(error) if show::nobody_reads(error) => return ExitCode::SUCCESS,
        Failure::Said | Failure::Differs => {}
        failure => eprintln!("ferrymq: {failure}"),
    }
    ExitCode::from(code(&failure))
}

fn code(failure: &Failure) -> u8 {
    match failure {
        Failure::Io(_) | Failure::Failed(_) | Failure::Said => 1,
        Failure::Usage(_) | Failure::Differs => 2,
        Failure::Client(error) => match error {
            ClientError::Usage(_) => 2,
            ClientError::Unreachable { .. } | ClientError::Silent { .. } => 3,
            ClientError::LoginRefused { .. }
            | ClientError::Forbidden(_)
            | ClientError::NotFound { .. }
            | ClientError::Refused { .. }
            | ClientError::Held { .. } => 4,
            ClientError::NotUnderstood { .. }
            | ClientError::Failed { .. }
            | ClientError::System(_) => 1,
        },
    }
}
