//! Checks that docs/cli.md shows the help of every command. `UPDATE_DOCS=1 cargo test --test docs` writes the page anew.

use std::fmt::Write as _;

use clap::CommandFactory as _;
use dfwfd::cli::Cli;

use crate::harness::project;

const HEAD: &str = "\
# Commands

The help text of `dfwfd` and of each command. A test generates this page from the program. The [quickstart](quickstart.md) shows the
commands at work, and [exit codes](exit-codes.md) lists their exit codes.

";

/// Returns the page as it should be.
fn page() -> String {
    let mut command = Cli::command().term_width(100);
    let mut text = HEAD.to_owned();
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    writeln!(text, "## dfwfd\n\n```text\n{}\n```", command.render_long_help().to_string().trim_end()).unwrap();
    for name in names {
        // Rendered alone, a command does not repeat the global options.
        let command = command.find_subcommand(&name).unwrap().clone().term_width(100).bin_name(format!("dfwfd {name}"));
        let help = command.clone().render_long_help().to_string();
        writeln!(text, "\n## dfwfd {name}\n\n```text\n{}\n```", help.trim_end()).unwrap();
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn the_page_of_commands_is_what_help_says() {
    let path = project().join("docs/cli.md");
    let wanted = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == wanted,
        "docs/cli.md is not what the help says: UPDATE_DOCS=1 cargo test --test docs writes it\n{wanted}"
    );
    assert!(wanted.lines().all(|line| line.starts_with("The help text") || line.chars().count() <= 110));
}
