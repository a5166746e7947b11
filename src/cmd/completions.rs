//! `dfwfd completions`: prints a completion script for a shell.

use clap::CommandFactory as _;

use crate::cli::{Cli, Completions};
use crate::error::Exit;
use crate::ui::Ui;

/// Prints the script.
pub(super) fn run(args: &Completions, ui: &Ui) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dfwfd", &mut script);
    ui.payload(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
