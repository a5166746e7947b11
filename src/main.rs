//! Entry point: parses the command line, builds the runtime, runs the command, prints the error and returns the exit code.

use std::process::ExitCode;

use dfwfd::cli::Cli;
use dfwfd::error::{self, Exit};
use dfwfd::ui::Ui;
use dfwfd::{cmd, ui};

fn main() -> ExitCode {
    let cli = match Cli::of_arguments(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return ui::parse_error::show(&error),
    };
    let ui = Ui::new(cmd::settings(&cli.global));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = anyhow::Error::new(error).context("cannot start the async runtime");
            ui.error(&error, Exit::Failed, None);
            return Exit::Failed.code().into();
        }
    };
    let outcome = runtime.block_on(cmd::dispatch(cli, &ui));
    // After a second Ctrl-C nothing may delay the exit.
    runtime.shutdown_background();
    let exit = outcome.unwrap_or_else(|chain| {
        let (exit, hint) = error::classify(&chain);
        ui.error(&chain, exit, hint.as_deref());
        exit
    });
    ui.settle(exit).code().into()
}
