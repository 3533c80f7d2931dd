//! Asking before something is done that is hard to take back.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::Context as _;
use clap::Args;

use crate::exit::Usage;

#[derive(Args)]
pub(super) struct Confirm {
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl Confirm {
    /// Whether to go on. `what` says what will happen, in whole sentences.
    pub(super) fn ask(&self, what: &str) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(true);
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Usage(format!(
                "{what}\nNobody is there to be asked; say --yes if that is what you want"
            ))
            .into());
        }
        eprint!("{what}\nGo on? [y/N] ");
        let mut line = String::new();
        io::stdin()
            .lock()
            .read_line(&mut line)
            .context("reading the answer")?;
        let is_yes = matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes");
        if !is_yes {
            eprintln!("Nothing was done.");
        }
        Ok(is_yes)
    }
}
