//! `dfwfd split`: writes the datasets of a workload to a folder, without any platform.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::interruptible::AtSignal;
use crate::cli::{Global, Split};
use crate::config::{self, Need};
use crate::data::options::LogSource;
use crate::error::{Exit, Fault};
use crate::memory;
use crate::report::datasets;
use crate::report::json::SCHEMA;
use crate::report::json::SplitReport;
use crate::report::text::counted;
use crate::run::triage;
use crate::source::NewFolder;
use crate::source::dataset::{self, Review, ReviewItem, review_file};
use crate::ui::Ui;

/// Writes the datasets and prints their counts.
pub(super) async fn run(global: &Global, args: &Split, ui: &Ui) -> anyhow::Result<Exit> {
    let invocation = super::last_run::resolve(super::invocation_for(global, &args.records, Need::Data), ui)?;
    let mut invocation = super::eval_set::resolve(invocation, args.datasets.eval_set.as_deref())?;
    invocation.corrections.clone_from(&args.datasets.corrections);
    let plan = config::load(&invocation)?;
    super::trace::start(global.verbose, plan.log_level, ui);
    for warning in &plan.warnings {
        ui.warn(warning);
    }
    let _folder = new_folder(&args.out)?;
    if let Some(path) = &args.review {
        super::whole_file::check(path).with_context(|| unwritable(path))?;
    }
    super::memory_limit::set(args.datasets.memory, &args.out)?;
    let logs = match &plan.data.input {
        LogSource::Files(paths) => paths.as_slice(),
        LogSource::Local(_) | LogSource::Stdin | LogSource::Elasticsearch(_) => &[],
    };
    let mut rejects = super::rejects::create(args.rejects.as_ref(), logs)?;
    let (request, credentials, out) = (plan.data.clone(), super::credentials_of(&plan), args.out.clone());
    let wants_review = args.review.is_some();
    let build = move |cancel: &CancellationToken| {
        let writer = rejects.as_mut().map(|writer| writer as &mut dyn Write);
        let mut review = Review::default();
        let wanted = wants_review.then_some(&mut review);
        let built = dataset::build(&request, &credentials, &out, writer, wanted, cancel);
        Ok((built, triage::doubtful(review, request.split.random_seed)))
    };
    let (built, doubtful) = super::interruptible::run(
        AtSignal::ClosesIndex(&plan.data.input),
        "split again: into the same folder if nothing is in it, else into another",
        build,
    )
    .await?;
    // Labels that are not allowed may be the reason that too few records are left.
    let reviewed = args.review.as_deref().map(|path| write_review(path, &doubtful, ui)).transpose()?;
    let manifest = built?;
    for warning in &manifest.warnings {
        ui.warn(warning);
    }
    if let Some(server) = manifest.inputs.iter().find_map(|input| input.server.as_ref()) {
        ui.note(&format!("read from {server}"));
    }
    let rejected = manifest.all_rejected();
    if memory::was_exceeded() {
        ui.note("tables beyond --memory lay in a temporary file");
    }
    let strict = args.strict.then(|| super::rejects::strict_error(rejected)).flatten();
    ui.json(&SplitReport {
        schema: SCHEMA,
        data: manifest.clone(),
        review: reviewed,
        exit_code: strict.as_ref().map(|_| Exit::Data.code()),
        error: strict.as_ref().map(super::error_object),
    });
    ui.result(&datasets::split(&manifest, ui.width(), ui.color()));
    strict.map_or(Ok(Exit::Done), Err)
}

fn unwritable(review: &Path) -> String {
    format!("cannot write the review file {}", review.display())
}

/// Creates the folder for the datasets, unless it holds something.
fn new_folder(out: &Path) -> anyhow::Result<NewFolder> {
    if out.is_file() {
        let message = format!("cannot write datasets to {}: it is a file", out.display());
        return Err(Fault::new(Exit::Usage, message).hint("name a new folder with --out").into());
    }
    let is_occupied = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if is_occupied {
        let message = format!("cannot write datasets to {}: the folder is not empty", out.display());
        return Err(Fault::new(Exit::Usage, message).hint("name another folder with --out, or empty it").into());
    }
    NewFolder::create(out).with_context(|| format!("cannot create the folder {}", out.display()))
}

/// Writes a review file and says what is in it.
fn write_review(path: &Path, doubtful: &[ReviewItem], ui: &Ui) -> anyhow::Result<BTreeMap<String, u64>> {
    let is_lines = path.extension().is_some_and(|ending| ending == "jsonl" || ending == "ndjson");
    let written = super::whole_file::write(path, &review_file::file(doubtful, is_lines)?);
    written.with_context(|| unwritable(path))?;
    let counts = review_file::counts(doubtful);
    let requests = counted(doubtful.len() as u64, "request");
    let reasons: Vec<String> = counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    ui.note(&format!("{requests} to check in {} ({})", path.display(), reasons.join(", ")));
    if !doubtful.is_empty() {
        ui.hint(&format!("fill in the column correct, then give the file back with --corrections {}", path.display()));
    }
    Ok(counts)
}
