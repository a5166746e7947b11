//! The subcommands, one file each. A command opens what it needs, calls one domain function, and hands the result to `ui` or
//! `report`. This file holds what several commands share.

mod cancel;
mod cleanup;
mod completions;
mod init;
mod load;
mod logs;
mod run;
mod serve;
mod split;
mod status;
mod trace;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::{Cli, Command, Global, Records};
use crate::config::env::Environment;
use crate::config::plan::Plan;
use crate::config::{self, Invocation, Need};
use crate::data::options::Input;
use crate::error::{Exit, Fault, classify};
use crate::report::model::ErrorObject;
use crate::report::text::counted;
use crate::run::stop::Stop;
use crate::source::Halt;
use crate::source::credentials::Credentials;
use crate::store::{RunRow, Store, StoreError};
use crate::ui::{Settings, Ui};

/// Returns the output settings of the global flags.
pub fn settings(global: &Global) -> Settings {
    Settings { format: global.format, quiet: global.quiet, color: global.color }
}

/// Runs a command.
///
/// # Errors
/// Returns the error of the command. `error::classify` finds its exit code.
pub async fn dispatch(cli: Cli, ui: &Ui) -> anyhow::Result<Exit> {
    let global = &cli.global;
    match cli.command {
        Command::Load(args) => load::run(global, &args, ui),
        Command::Split(args) => split::run(global, &args, ui).await,
        Command::Run(args) => run::run(global, &args, ui).await,
        Command::Status(args) => status::run(global, &args, ui).await,
        Command::Cleanup(args) => cleanup::run(global, &args, ui).await,
        Command::Cancel(args) => cancel::run(global, &args, ui).await,
        Command::Logs(args) => logs::run(global, &args, ui).await,
        Command::Serve(args) => serve::run(global, &args, ui).await,
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
        ..invocation(global, need)
    }
}

/// Returns the variables of the process and of the `.env` file beside the configuration of a recorded plan.
pub(crate) fn environment_of(plan: &Plan) -> Environment {
    let environment = Environment::process();
    match plan.config_file.as_deref().and_then(Path::parent) {
        Some(folder) => environment.beside(folder),
        None => environment,
    }
}

/// Does work on records. Ctrl-C and SIGTERM let what reads an index close what it has open there first; other work they
/// simply end, as does a second Ctrl-C.
pub(crate) async fn until_stopped<T: Send + 'static>(
    input: &Input,
    work: impl FnOnce(&Halt) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let halt = Halt::default();
    if !matches!(input, Input::Elasticsearch(_)) {
        return work(&halt);
    }
    let (stop, halted) = (Stop::default(), halt.clone());
    let mut working = tokio::task::spawn_blocking(move || work(&halted));
    let stopping = async {
        let interrupted = stop.asked().await;
        halt.ask();
        stop.forced().await;
        interrupted
    };
    let done = tokio::select! {
        done = &mut working => Some(done),
        _ = stopping => None,
        () = stop.watch_signals() => None,
    };
    match (stop.check(), done) {
        // What the work says does not matter any more.
        (Err(interrupted), _) => Err(Fault::new(Exit::Cancelled, interrupted.to_string()).into()),
        (Ok(()), done) => {
            done.context("signals are not watched any more")?.context("the task that reads the records")?
        }
    }
}

/// Returns the credentials of the log store that a plan reads.
pub(crate) fn credentials_of(plan: &Plan) -> Credentials {
    let environment = environment_of(plan);
    Credentials::find(&plan.data.input, |name| environment.get(name))
}

/// Returns the state directory, which may not exist yet. The rest of the configuration may be broken.
pub(crate) fn state_dir(global: &Global) -> PathBuf {
    config::state_dir(&invocation(global, Need::Settings))
}

/// Creates the state directory. Only its owner can read it, because it holds prompts and replies.
pub(crate) fn make_state_dir(dir: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).with_context(|| format!("cannot create the state directory {}", dir.display()))
}

/// Opens the store of a state directory, or returns `None` where nothing has run yet.
pub(crate) fn existing_store(state_dir: &Path) -> anyhow::Result<Option<Store>> {
    match Store::open_existing(state_dir) {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Finds the run that a user names: a unique prefix of its id, or `latest`.
pub(crate) fn named_run(store: Option<&Store>, name: &str, state_dir: &Path) -> anyhow::Result<RunRow> {
    let runs = store.map(Store::runs).transpose()?.unwrap_or_default();
    let mut matching: Vec<RunRow> = match name {
        "latest" => runs.into_iter().take(1).collect(),
        prefix => runs.into_iter().filter(|row| row.id.starts_with(prefix)).collect(),
    };
    match (matching.len(), matching.pop()) {
        (1, Some(row)) => Ok(row),
        (0, _) => Err(Fault::new(Exit::Usage, format!("there is no run {name} in {}", state_dir.display()))
            .hint("`dfwfd status` lists the runs; --state-dir or --config says where")
            .into()),
        (many, _) => Err(Fault::new(Exit::Usage, format!("{many} runs begin with {name}"))
            .hint("`dfwfd status` lists their ids")
            .into()),
    }
}

/// Returns the error of `--strict` when lines were rejected.
pub(crate) fn not_strict(rejected: u64) -> Option<anyhow::Error> {
    (rejected > 0).then(|| {
        let rejected = counted(rejected, "line");
        Fault::new(Exit::Data, format!("--strict: {rejected} rejected"))
            .hint("--rejects FILE lists them with their reasons")
            .into()
    })
}

/// Returns an error as part of the JSON of a command that has a result as well.
pub(crate) fn error_object(error: &anyhow::Error) -> ErrorObject {
    ErrorObject::new(error, classify(error).1.as_deref())
}

/// Creates the file that `--rejects` names, unless it is one of the input files.
pub(crate) fn rejects_file(path: Option<&PathBuf>, logs: &[PathBuf]) -> anyhow::Result<Option<BufWriter<File>>> {
    let Some(path) = path else { return Ok(None) };
    let real = path.canonicalize().ok();
    if real.is_some() && logs.iter().any(|log| log.canonicalize().ok() == real) {
        let message = format!("cannot write rejects to {}: it is one of the input files", path.display());
        return Err(Fault::new(Exit::Usage, message).hint(format!("--rejects {}.rejects", path.display())).into());
    }
    let file = File::create(path).with_context(|| format!("cannot write rejects to {}", path.display()))?;
    Ok(Some(BufWriter::new(file)))
}
