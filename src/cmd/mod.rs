//! The subcommands, one file each. A command opens what it needs, calls one domain function, and hands the result to `ui` or
//! `report`. This file holds what several commands share.

mod cancel;
mod cleanup;
mod compare;
mod completions;
mod doctor;
mod eval_set;
mod gates;
mod gold;
mod init;
mod interruptible;
mod last_run;
mod load;
mod logs;
mod memory_limit;
mod orphans;
mod publish;
mod rejects;
mod report;
mod run;
mod serve;
mod split;
mod state_dir;
mod status;
mod trace;
mod whole_file;

use std::path::Path;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::cli::{Cli, Command, Global, Records};
use crate::config::env::Environment;
use crate::config::plan::Plan;
use crate::config::{self, Invocation, Need};
use crate::data::options::LogSource;
use crate::error::{Exit, Fault, classify};
use crate::report::json::ErrorObject;
use crate::source::credentials::Credentials;
use crate::source::local::LocalStore;
use crate::source::log_store::LogStore;
use crate::ui::{Settings, Ui};

/// Returns the output settings of the global flags.
pub fn settings(global: &Global) -> Settings {
    Settings { format: global.format, quiet: global.quiet, color: global.color }
}

/// Runs a command. The future is boxed, so that it is compiled here, in parallel with the rest, and not in the binary.
///
/// # Errors
/// Returns the error of the command. `error::classify` finds its exit code.
pub fn dispatch(cli: Cli, ui: &Ui) -> LocalBoxFuture<'_, anyhow::Result<Exit>> {
    Box::pin(run_command(cli, ui))
}

async fn run_command(cli: Cli, ui: &Ui) -> anyhow::Result<Exit> {
    let global = &cli.global;
    match cli.command {
        Command::Load(args) => load::run(global, &args, ui).await,
        Command::Split(args) => split::run(global, &args, ui).await,
        Command::Run(args) => run::run(global, &args, ui).await,
        Command::Status(args) => status::run(global, &args, ui).await,
        Command::Report(args) => report::run(global, &args, ui).await,
        Command::Compare(args) => compare::run(global, &args, ui),
        Command::Cleanup(args) if args.orphans => orphans::run(global, &args, ui).await,
        Command::Cleanup(args) => cleanup::run(global, &args, ui).await,
        Command::Cancel(args) => cancel::run(global, &args, ui).await,
        Command::Logs(args) => logs::run(global, &args, ui).await,
        Command::Serve(args) => serve::run(global, &args, ui).await,
        Command::Doctor(args) => doctor::run(global, &args, ui).await,
        Command::Init(args) => init::run(global, &args, ui),
        Command::Completions(args) => completions::run(&args, ui),
    }
}

/// Returns the flags that decide what a command does with the configuration.
pub(crate) fn invocation(global: &Global, need: Need) -> Invocation {
    Invocation {
        config: global.config.clone(),
        state_dir: global.state_dir.clone(),
        set: global.set.clone(),
        need,
        ..Invocation::default()
    }
}

/// Adds the flags that select records to an invocation.
pub(crate) fn invocation_for(global: &Global, records: &Records, need: Need) -> Invocation {
    Invocation {
        logs: records.logs.clone(),
        workload: records.workload.clone(),
        clients: records.clients.clone(),
        since: records.since.clone(),
        until: records.until.clone(),
        without_bad: records.feedback.is_some(),
        ..invocation(global, need)
    }
}

/// Reads the duration of a flag, such as `90m` or `30d`.
pub(crate) fn duration(flag: &str, text: &str) -> anyhow::Result<Duration> {
    let read = config::duration_ms(text).map(Duration::from_millis);
    let message = || format!("cannot read {flag} {text}: it is no duration");
    read.ok_or_else(|| Fault::new(Exit::Usage, message()).hint("write it as 90m, 6h or 30d").into())
}

/// Returns the variables of the process and of the `.env` file beside the configuration of a recorded plan.
pub(crate) fn environment_of(plan: &Plan) -> Environment {
    let environment = Environment::process();
    match plan.config_file.as_deref().and_then(Path::parent) {
        Some(folder) => environment.beside(folder),
        None => environment,
    }
}

/// Returns the credentials of the log store that a plan reads.
pub(crate) fn credentials_of(plan: &Plan) -> Credentials {
    let environment = environment_of(plan);
    Credentials::find(&plan.data.input, |name| environment.get(name))
}

/// Returns an error as part of the JSON of a command that has a result as well.
pub(crate) fn error_object(error: &anyhow::Error) -> ErrorObject {
    ErrorObject::new(error, classify(error).1.as_deref())
}

/// Returns the log store that `load` fills and `logs` lists: the configured index, else the local one.
pub(crate) fn log_store<'a>(input: &'a LogSource, local: &'a LocalStore, credentials: &'a Credentials) -> LogStore<'a> {
    match input {
        LogSource::Elasticsearch(at) => LogStore::Elasticsearch(at, credentials),
        LogSource::Local(_) | LogSource::Files(_) | LogSource::Stdin => LogStore::Local(local),
    }
}
