//! Parses a command line. Options that every command takes may stand before the command and after it.

use std::ffi::OsString;

use clap::Parser as _;

use super::{Cli, Global};

/// Returns the arguments before the command, and the command with all arguments after it.
#[derive(Debug, clap::Parser)]
#[command(name = "dfwfd", disable_help_subcommand = true)]
struct BeforeCommand {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    rest: Rest,
}

#[derive(Debug, clap::Subcommand)]
enum Rest {
    #[command(external_subcommand)]
    Command(Vec<OsString>),
}

impl Cli {
    /// Parses a command line, the name of the program first. The values of a repeatable option count in their order, before the
    /// command and after it: clap alone keeps only those after it.
    ///
    /// # Errors
    /// The command line is none of ours, or asks for help or the version.
    pub fn of_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let mut cli = Cli::try_parse_from(&arguments)?;
        let Ok(before) = BeforeCommand::try_parse_from(&arguments) else { return Ok(cli) };
        let Rest::Command(rest) = before.rest;
        if let Ok(after) = Cli::try_parse_from(arguments.into_iter().take(1).chain(rest)) {
            cli.global.set = [before.global.set, after.global.set].concat();
            cli.global.verbose = before.global.verbose.saturating_add(after.global.verbose);
        }
        Ok(cli)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> (Vec<String>, u8, bool) {
        let cli = Cli::of_arguments(line.split_whitespace().map(OsString::from)).unwrap();
        (cli.global.set, cli.global.verbose, cli.global.quiet)
    }

    #[test]
    fn repeatable_options_before_and_after_the_command_add_up() {
        for (line, set, verbose) in [
            ("dfwfd load f", &[][..], 0),
            ("dfwfd --set a=1 load f", &["a=1"], 0),
            ("dfwfd -v load f --set a=1", &["a=1"], 1),
            ("dfwfd --set a=1 --set b=2 -v load f --set a=3 -vv", &["a=1", "b=2", "a=3"], 3),
            ("dfwfd --set=a=1 --state-dir load load load -v", &["a=1"], 1),
            ("dfwfd --set a=1 serve --set b=2 -- dfwfd --set c=3 run", &["a=1", "b=2"], 0),
            ("dfwfd --set a=1 run --set b=2 --only m", &["a=1", "b=2"], 0),
        ] {
            assert_eq!(parsed(line), (set.iter().map(ToString::to_string).collect(), verbose, false), "{line}");
        }
        assert!(parsed("dfwfd -q --set a=1 load f --set b=2").2, "the others stay");
        assert!(Cli::of_arguments(["dfwfd", "--set", "a=1", "none"].map(OsString::from)).is_err());
    }
}
