//! `completions`.

use clap::Args;
use clap_complete::Shell;

use super::outcome::Done;
use crate::{args, show};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ferrymq completions bash > /etc/bash_completion.d/ferrymq
  ferrymq completions zsh > \"${fpath[1]}/_ferrymq\"
  ferrymq completions fish > ~/.config/fish/completions/ferrymq.fish")]
pub(crate) struct Completions {
    /// Shell
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Done {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut args::definition(), "ferrymq", &mut script);
        Ok(show::write(&script)?)
    }
}
