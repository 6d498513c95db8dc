//! The commands in groups, for the help.
//!
//! Invariants
//! - Every command that is shown stands in one group; one without a group stands under `Other`.

use std::fmt::Write as _;

const GROUPS: [(&str, &[&str]); 7] = [
    ("A node", &["serve", "verify", "repair"]),
    ("How it is", &["status", "doctor", "watch", "bench"]),
    (
        "What is there",
        &[
            "queues",
            "exchanges",
            "bindings",
            "declare",
            "delete",
            "connections",
            "channels",
            "consumers",
        ],
    ),
    (
        "Messages",
        &[
            "publish", "consume", "get", "peek", "purge", "move", "replay", "replays",
        ],
    ),
    (
        "Who may do what",
        &["users", "permissions", "vhosts", "policies", "limits"],
    ),
    (
        "Definitions",
        &["definitions", "import", "plan", "apply", "lint"],
    ),
    ("This program", &["completions", "help"]),
];

/// A line for each command of this definition, under the heads of their groups.
pub(crate) fn help_of_groups(command: &clap::Command) -> String {
    let mut text = String::new();
    let mut write = |head: &str, names: &[&str]| {
        let found = names
            .iter()
            .filter_map(|name| command.find_subcommand(name));
        let found: Vec<_> = found.filter(|found| !found.is_hide_set()).collect();
        if found.is_empty() {
            return;
        }
        writeln!(text, "{head}:").expect("a string takes everything");
        for one in found {
            let about = one.get_about().map(ToString::to_string).unwrap_or_default();
            writeln!(text, "  {:12} {about}", one.get_name()).expect("a string takes everything");
        }
        text.push('\n');
    };
    for (head, names) in GROUPS {
        write(head, names);
    }
    write("Other", &without_group(command));
    text
}

fn without_group(command: &clap::Command) -> Vec<&str> {
    let names = command.get_subcommands().map(clap::Command::get_name);
    let grouped = |name: &&str| !GROUPS.iter().any(|(_, names)| names.contains(name));
    names.filter(grouped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    #[test]
    fn every_command_has_a_group_and_one_line_in_the_help() {
        let command = args::definition();
        let without = without_group(&command);
        assert_eq!(without, ["man"]);
        let help = help_of_groups(&command);
        for shown in command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let line = format!("\n  {:12} ", shown.get_name());
            assert_eq!(help.matches(&line).count(), 1, "{}", shown.get_name());
        }
    }
}
