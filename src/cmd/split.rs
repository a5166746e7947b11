//! `dfwfd split`: writes the datasets of a workload to a folder, without any platform.

use std::io::Write;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::cli::{Global, Split};
use crate::config::{self, Need};
use crate::data::options::LogSource;
use crate::error::{Exit, Fault};
use crate::report::datasets;
use crate::report::json::SCHEMA;
use crate::report::json::SplitReport;
use crate::source::{NewFolder, dataset};
use crate::ui::Ui;

/// Writes the datasets and prints their counts.
pub(super) async fn run(global: &Global, args: &Split, ui: &Ui) -> anyhow::Result<Exit> {
    let invocation = super::last_run::resolve(super::invocation_for(global, &args.records, Need::Data), ui)?;
    let plan = config::load(&super::eval_set::resolve(invocation, args.eval_set.as_deref())?)?;
    super::trace::start(global.verbose, plan.log_level, ui);
    for warning in &plan.warnings {
        ui.warn(warning);
    }
    let occupied = std::fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(Fault::new(
            Exit::Usage,
            format!("cannot write datasets to {}: the folder is not empty", args.out.display()),
        )
        .hint("name another folder with --out, or empty it")
        .into());
    }
    let created = NewFolder::create(&args.out);
    let _folder = created.with_context(|| format!("cannot create the folder {}", args.out.display()))?;
    let logs = match &plan.data.input {
        LogSource::Files(paths) => paths.as_slice(),
        LogSource::Local(_) | LogSource::Stdin | LogSource::Elasticsearch(_) => &[],
    };
    let mut rejects = super::rejects::create(args.rejects.as_ref(), logs)?;
    let (request, credentials, out) = (plan.data.clone(), super::credentials_of(&plan), args.out.clone());
    let build = move |cancel: &CancellationToken| {
        let writer = rejects.as_mut().map(|writer| writer as &mut dyn Write);
        dataset::build(&request, &credentials, &out, writer, cancel)
    };
    let manifest = super::interruptible::run(&plan.data.input, build).await?;
    for warning in &manifest.warnings {
        ui.warn(warning);
    }
    if let Some(server) = manifest.inputs.iter().find_map(|input| input.server.as_ref()) {
        ui.note(&format!("read from {server}"));
    }
    let rejected = manifest.all_rejected();
    let strict = args.strict.then(|| super::rejects::strict_error(rejected)).flatten();
    ui.json(&SplitReport {
        schema: SCHEMA,
        data: manifest.clone(),
        exit_code: strict.as_ref().map(|_| Exit::Data.code()),
        error: strict.as_ref().map(super::error_object),
    });
    ui.result(&datasets::split(&manifest, ui.width(), ui.color()));
    strict.map_or(Ok(Exit::Done), Err)
}
