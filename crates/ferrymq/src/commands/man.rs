//! `man`: the manual page, and the generated part of `docs/command-line.md`, from the definitions
//! of the command line.

use std::fmt::Write as _;

use clap::{Args, Command};

use super::outcome::{Done, EXIT_CODES};
use crate::{args, show};

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Writes the part of docs/command-line.md that is generated instead
    #[arg(long)]
    markdown: bool,
}

impl Man {
    pub fn run(self) -> Done {
        let text = match self.markdown {
            true => markdown().into_bytes(),
            false => page()?,
        };
        Ok(show::write(&text)?)
    }
}

/// One page: the program, then each command with its flags.
fn page() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let mut root = args::definition();
    root.build();
    let man = clap_mangen::Man::new(root.clone())
        .title("FERRYMQ")
        .manual("FerryMQ");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in shown(&root) {
        let mut text = String::new();
        for command in leaves(command) {
            section(command, &mut text);
        }
        page.extend_from_slice(text.as_bytes());
    }
    let mut rest = String::from(".SH EXAMPLES AND EXIT CODES\n.nf\n");
    rest.push_str(&roff(args::EXAMPLES));
    rest.push_str("\n\n");
    rest.push_str(&roff(EXIT_CODES));
    rest.push_str("\n.fi\n");
    page.extend_from_slice(rest.as_bytes());
    Ok(page)
}

fn section(command: &Command, text: &mut String) {
    let name = roff(&full_name(command).to_uppercase());
    let about = roff(
        &command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default(),
    );
    let usage = roff(&usage(command));
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line(&format!(".SH \"{name}\"\n\\fB{usage}\\fR\n.PP\n{about}"));
    for (name, help) in parameters(command) {
        line(&format!(".TP\n\\fB{}\\fR\n{}", roff(&name), roff(&help)));
    }
}

/// Text in which nothing is taken for a request of roff.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = escaped.lines().map(|line| match line.as_bytes().first() {
        Some(b'.' | b'\'') => format!("\\&{line}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Commands that have pages of their own in docs/.
const ELSEWHERE: [&str; 3] = ["serve", "verify", "repair"];

/// Every command for a node with its parameters, as tables.
pub(crate) fn markdown() -> String {
    let mut root = args::definition();
    root.build();
    let mut text = String::new();
    let told = shown(&root).filter(|command| !ELSEWHERE.contains(&command.get_name()));
    for command in told.flat_map(leaves) {
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        let name = full_name(command);
        write!(
            text,
            "### {name}\n\n{about}.\n\n```\n{}\n```\n\n",
            usage(command)
        )
        .expect("a string takes everything");
        let parameters: Vec<_> = parameters(command)
            .filter(|(name, _)| !is_common(name))
            .collect();
        if parameters.is_empty() {
            continue;
        }
        text.push_str("| parameter | what |\n|---|---|\n");
        for (name, help) in parameters {
            let help = help.replace('|', "\\|").replace('<', "&lt;");
            writeln!(text, "| `{}` | {help} |", name.replace('|', "\\|"))
                .expect("a string takes everything");
        }
        text.push('\n');
    }
    text
}

/// Flags that every command for a node has; they are told once.
fn is_common(name: &str) -> bool {
    const COMMON: [&str; 7] = [
        "--node ",
        "--user ",
        "--password-file ",
        "--ca-file ",
        "--timeout-s ",
        "--json",
        "--help",
    ];
    COMMON
        .iter()
        .any(|common| format!("{name} ").starts_with(common))
        || name == "-h, --help"
}

fn shown(root: &Command) -> impl Iterator<Item = &Command> {
    let commands = root.get_subcommands();
    commands.filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

/// The command, if it does something itself, and those below it.
fn leaves(command: &Command) -> Vec<&Command> {
    let below: Vec<_> = shown(command).flat_map(leaves).collect();
    let mut all = Vec::new();
    if below.is_empty() || !command.is_subcommand_required_set() {
        all.push(command);
    }
    all.extend(below);
    all
}

fn full_name(command: &Command) -> String {
    command
        .get_bin_name()
        .unwrap_or(command.get_name())
        .to_owned()
}

fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage
        .trim_start_matches("Usage: ")
        .replace("\n       ", "\n")
}

/// How each is written, and what it does.
fn parameters(command: &Command) -> impl Iterator<Item = (String, String)> {
    let arguments = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set());
    arguments.map(|argument| {
        let mut name = argument.to_string();
        if argument.is_positional() {
            name = name.trim_matches(['[', ']']).to_owned();
        }
        let mut help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let defaults = argument.get_default_values();
        if argument.get_action().takes_values() && !defaults.is_empty() {
            let values: Vec<_> = defaults
                .iter()
                .map(|value| value.to_string_lossy())
                .collect();
            let values = values.join(",");
            let values = if values.is_empty() {
                "none".to_owned()
            } else {
                values
            };
            write!(help, " [default: {values}]").expect("a string takes everything");
        }
        (name, help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_what_the_definitions_say() {
        let page = include_str!("../../../../docs/command-line.md");
        let (_, rest) = page
            .split_once("<!-- generated -->\n\n")
            .expect("where it begins");
        let (found, _) = rest.split_once("<!-- end -->").expect("where it ends");
        let wanted = markdown();
        let differs = found
            .lines()
            .zip(wanted.lines())
            .find(|(found, wanted)| found != wanted);
        assert!(
            found == wanted,
            "first difference {differs:?}: put in what `ferrymq man --markdown` writes"
        );
    }

    #[test]
    fn the_manual_page_names_every_command() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        assert!(page.contains(".TH FERRYMQ 1"), "{page}");
        let mut root = args::definition();
        root.build();
        for command in shown(&root).flat_map(leaves) {
            let head = format!(".SH \"{}\"", roff(&full_name(command).to_uppercase()));
            assert!(page.contains(&head), "{head}");
        }
    }
}
