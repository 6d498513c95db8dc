//! Commands for a running node: one file for each, over the HTTP API that the web page uses, too.
//!
//! Invariants
//! - A command opens no broker and no data directory.
//! - Results go to standard output, all else to standard error; the exit codes are in `outcome`.
//! - With `--json` standard output has the API's own objects, and nothing else.

mod apply;
mod arguments;
mod bindings;
mod channels;
mod completions;
mod connections;
mod consume;
mod consumers;
mod declare;
mod definitions;
mod delete;
mod doctor;
mod exchanges;
mod groups;
mod import;
mod limits;
mod lint;
mod list;
mod man;
mod measure;
mod messages;
mod mosquitto;
mod move_messages;
mod outcome;
mod peek;
mod permissions;
mod plan;
mod policies;
mod progress;
mod publish;
mod purge;
mod queues;
mod replay;
mod session;
mod status;
mod users;
mod vhosts;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use groups::help_of_groups;
use outcome::Done;

/// What a running node is asked for, or what needs no node at all.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the node: version, totals, memory, disk, alarms, listeners
    Status(status::Status),
    /// Publishes to, syncs and consumes from the node, checks what it needs, and says what to do
    Doctor(doctor::Doctor),
    /// Shows queues and their rates, again and again
    Watch(watch::Watch),
    /// Measures how fast this node takes and gives messages over HTTP
    Bench(measure::Bench),
    /// Lists queues, or shows one
    Queues(queues::Queues),
    /// Lists exchanges, or shows one
    Exchanges(exchanges::Exchanges),
    /// Lists bindings
    Bindings(bindings::Bindings),
    /// Makes a queue, an exchange or a binding
    Declare(declare::Declare),
    /// Deletes a queue, an exchange or a binding
    Delete(delete::Delete),
    /// Lists connections, or closes one
    Connections(connections::Connections),
    /// Lists channels
    Channels(channels::Channels),
    /// Lists consumers
    Consumers(consumers::Consumers),
    /// Publishes messages; done when they are safe on the disk
    Publish(publish::Publish),
    /// Takes messages off a queue as they come, and writes their bodies to standard output
    Consume(consume::Consume),
    /// Takes what is ready in a queue now, one message or several
    Get(consume::Get),
    /// Looks at messages without taking them
    Peek(peek::Peek),
    /// Drops the messages of a queue, all or those that match
    Purge(purge::Purge),
    /// Moves messages to another queue, all or those that match
    Move(move_messages::Move),
    /// Publishes messages of a queue again: dead letters to where they came from
    Replay(replay::Replay),
    /// Lists replays, or stops one
    Replays(replay::Replays),
    /// Lists, adds, changes and deletes users
    Users(users::Users),
    /// Lists, sets and clears what users may do
    Permissions(permissions::Permissions),
    /// Lists, adds and deletes virtual hosts
    Vhosts(vhosts::Vhosts),
    /// Lists, sets and deletes policies
    Policies(policies::Policies),
    /// Lists, sets and clears limits of virtual hosts and users
    Limits(limits::Limits),
    /// Exports definitions as RabbitMQ does, or posts a file of them as it is
    Definitions(definitions::Definitions),
    /// Imports a definitions file, or users and rights of Mosquitto
    Import(import::Import),
    /// Shows what makes the node different from a definitions file
    Plan(plan::Plan),
    /// Makes the node as a definitions file says
    Apply(apply::Apply),
    /// Finds what in a definitions file is likely to hurt
    Lint(lint::Lint),
    /// Writes a script that completes commands in a shell
    Completions(completions::Completions),
    /// Writes the manual page
    #[command(hide = true)]
    Man(man::Man),
}

/// Does it, and says on standard error what went wrong.
pub(crate) fn run(command: Command) -> ExitCode {
    outcome::exit_code(carry_out(command))
}

fn carry_out(command: Command) -> Done {
    match command {
        Command::Status(args) => args.run(),
        Command::Doctor(args) => args.run(),
        Command::Watch(args) => args.run(),
        Command::Bench(args) => args.run(),
        Command::Queues(args) => args.run(),
        Command::Exchanges(args) => args.run(),
        Command::Bindings(args) => args.run(),
        Command::Declare(args) => args.run(),
        Command::Delete(args) => args.run(),
        Command::Connections(args) => args.run(),
        Command::Channels(args) => args.run(),
        Command::Consumers(args) => args.run(),
        Command::Publish(args) => args.run(),
        Command::Consume(args) => args.run(),
        Command::Get(args) => args.run(),
        Command::Peek(args) => args.run(),
        Command::Purge(args) => args.run(),
        Command::Move(args) => args.run(),
        Command::Replay(args) => args.run(),
        Command::Replays(args) => args.run(),
        Command::Users(args) => args.run(),
        Command::Permissions(args) => args.run(),
        Command::Vhosts(args) => args.run(),
        Command::Policies(args) => args.run(),
        Command::Limits(args) => args.run(),
        Command::Definitions(args) => args.run(),
        Command::Import(args) => args.run(),
        Command::Plan(args) => args.run(),
        Command::Apply(args) => args.run(),
        Command::Lint(args) => args.run(),
        Command::Completions(args) => args.run(),
        Command::Man(args) => args.run(),
    }
}
