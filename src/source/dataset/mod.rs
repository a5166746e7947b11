//! From a request to a dataset folder: reads the inputs, lets `data` decide and writes the datasets with their manifest.
//! Memory grows with selected records, not with bytes: rows are read again when they are written.

mod corrections;
pub(crate) mod examples;
mod near_copies;
mod preferences;
mod read;
mod reread;
mod review;
pub(crate) mod review_file;
mod teacher;
mod write;

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use tokio_util::sync::CancellationToken;

use crate::data::corpus::Corpus;
use crate::data::corrections::Corrections;
use crate::data::forms::reshape::Reshaper;
use crate::data::intake::Intake;
use crate::data::options::{DatasetRequest, LogSource};
use crate::data::split;
pub(crate) use crate::data::unusable::Unusable;
use crate::source::credentials::Credentials;
use crate::source::data_warnings;
use crate::source::elastic::reader::IndexReader;
use crate::source::input::{Input, redacted};
use crate::source::lines::MAX_LINE;
use crate::source::local::LocalStore;
use crate::source::manifest::MANIFEST;
pub(crate) use crate::source::manifest::{DatasetFile, MANIFEST as MANIFEST_FILE, Manifest, TeacherUsage};
use crate::source::output::{Output, remove_if_there};
use crate::source::personal_sample::Sample;
use crate::source::rejects::Rejects;
pub(crate) use corrections::check as check_corrections;
use preferences::Opinions;
use read::{InputReader, ReadInput};
use reread::LineReader;
pub(crate) use review::{LabelledRow, Review, ReviewItem, ReviewReason};
pub(crate) use teacher::nearest_rank;
pub(crate) use write::{EVAL, TRAIN, VALIDATION};

#[cfg(test)]
pub(in crate::source) use read::examined;

/// Builds the datasets of a workload in the folder `out` and returns what became of every line. Writes refused lines to
/// `rejects`, and what people should look at to `review`, also if there is an error. `cancel` ends the reading of an index
/// and closes what is open at its server.
///
/// # Errors
/// An [`Unusable`] stands at the bottom of the error when the records are to blame.
pub(crate) fn build(
    request: &DatasetRequest,
    credentials: &Credentials,
    out: &Path,
    rejects: Option<&mut dyn Write>,
    review: Option<&mut Review>,
    cancel: &CancellationToken,
) -> Result<Manifest> {
    let notes = Notes { rejects: Rejects::new(rejects), review };
    let from = |inputs| build_from(request, inputs, out, notes, MAX_LINE);
    let at = match &request.input {
        LogSource::Files(paths) => return from(paths.iter().map(Input::file).collect()),
        LogSource::Stdin => return from(vec![Input::stream("-", std::io::stdin().lock())]),
        LogSource::Local(dir) => {
            let store = LocalStore::at(dir).read()?;
            return from(store.files.iter().map(Input::file).collect());
        }
        LogSource::Elasticsearch(at) => at,
    };
    let reading = || format!("cannot read the records of {at}");
    let mut records = IndexReader::open(at, credentials, &request.filter, cancel).with_context(reading)?;
    let server = records.server.clone();
    from(vec![Input::index(at.to_string(), &mut records, server)]).map_err(|error| match records.take_error() {
        Some(why) => anyhow::Error::new(why).context(reading()),
        None => error,
    })
}

/// Lists that are written beside the datasets.
#[derive(Default)]
struct Notes<'r, 'w> {
    rejects: Rejects<'w>,
    review: Option<&'r mut Review>,
}

fn build_from(
    request: &DatasetRequest,
    inputs: Vec<Input<'_>>,
    out: &Path,
    notes: Notes<'_, '_>,
    max_line: usize,
) -> Result<Manifest> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    // Without a manifest the folder counts as incomplete.
    remove_if_there(&out.join(MANIFEST))?;
    let started = Instant::now();
    let given = corrections::read(request)?;
    let mut reader = reader(request, given.labels.clone(), notes.rejects, out, max_line)?;
    let mut inputs: Vec<ReadInput> =
        (0..).zip(inputs).map(|(number, input)| reader.read(number, input)).collect::<Result<_>>()?;
    let frozen = request.eval_set.as_ref().map(|path| reader.read_frozen(inputs.len() as u32, path)).transpose()?;
    let frozen_rows = frozen.as_ref().map(|frozen| frozen.file.lines);
    inputs.extend(frozen);
    let InputReader { mut intake, mut rejects, reshaper, redactor, sample, .. } = reader;
    // The fields of an index are looked at before it is read.
    let is_index = matches!(request.input, LogSource::Elasticsearch(_));
    if let Some(unmet) = reshaper.filter(|_| !is_index).and_then(|reshaper| reshaper.unmet()) {
        return Err(unmet.into());
    }
    let lines: u64 = inputs.iter().map(|input| input.file.lines).sum();
    tracing::info!(lines, seconds = started.elapsed().as_secs_f64(), "the records are read");
    let ids = write::ids(&inputs, &intake.ties())?;
    intake.settle(&ids);
    let (corrected, rated) = (given.checked(&intake, request)?, intake.take_rated());
    let records = intake.finish().map_err(|why| with_causes(why, Vec::new()))?;
    let corpus = near_copies::grouped(&inputs, records, request.split.near_duplicate_threshold)?;
    if let Some(rows) = frozen_rows {
        check_frozen(&corpus, rows).map_err(|why| explained(why, &corpus, request, &inputs))?;
    }
    let mut lines = LineReader::new(&inputs);
    for (at, reason) in &corpus.late {
        rejects.write(&lines.name_of(at), at.line, *reason, lines.read(at)?)?;
    }
    rejects.finish()?;
    if let Some(review) = notes.review {
        *review = review::gather(&inputs, &corpus, request)?;
    }
    let split = split::split(&corpus, &request.split).map_err(|why| explained(why, &corpus, request, &inputs))?;
    let mut files = write::datasets(&inputs, &corpus, &split, request, &given.labels, out)?;
    let opinions = Opinions { rated: &rated, corrections: &given.labels };
    files.extend(preferences::write(&inputs, &corpus, &split, request, &opinions, out)?);
    write::conflicts(&inputs, &corpus, out)?;
    inputs.iter().try_for_each(ReadInput::check_unchanged)?;
    let read = inputs.iter().map(|input| input.file.clone()).collect();
    let mut manifest = Manifest::of(request, &corpus, &split, files, read);
    manifest.warnings.extend(sample.and_then(|sample| sample.warning()));
    manifest.corrections = given.counts(corrected);
    manifest.warnings.extend(manifest.corrections.as_ref().and_then(|counts| counts.warning()));
    manifest.redacted = redactor.map(|redactor| redactor.counts);
    teacher::add_usage(&mut manifest, &inputs, &corpus, &split.eval)?;
    let mut output = Output::new(out, MANIFEST)?;
    output.rows(&serde_json::to_vec_pretty(&manifest)?, 1)?;
    output.finish()?;
    Ok(manifest)
}

/// Creates the reader of the inputs of a request.
fn reader<'a, 'w>(
    request: &DatasetRequest,
    labels: Corrections,
    rejects: Rejects<'w>,
    out: &'a Path,
    max_line: usize,
) -> Result<InputReader<'a, 'w>> {
    // The local log store holds records in their own shape, whatever they were made of.
    let is_reshaped = !request.fields.are_own() && !matches!(request.input, LogSource::Local(_));
    let mut intake = Intake::new(request).map_err(|e| anyhow!("label_pattern: {e}"))?;
    intake.correct(labels);
    Ok(InputReader {
        intake,
        rejects,
        reshaper: is_reshaped.then(|| Reshaper::new(&request.fields)),
        redactor: request.redact.as_ref().map(redacted::redactor).transpose()?,
        sample: request.redact.is_none().then(Sample::default),
        out,
        max_line,
    })
}

/// Checks that all rows of an earlier eval set can be measured on again.
fn check_frozen(corpus: &Corpus, rows: u64) -> Result<(), Unusable> {
    let usable = corpus.rows.iter().filter(|row| row.is_frozen).count() as u64;
    if usable == rows && rows > 0 {
        return Ok(());
    }
    Err(Unusable::EvalSet { workload: corpus.workload.clone(), counts: corpus.counts.clone(), rows, usable })
}

/// Adds the warnings about the records as causes of the error: often one of them says why.
fn explained(why: Unusable, corpus: &Corpus, request: &DatasetRequest, inputs: &[ReadInput]) -> anyhow::Error {
    let paths: Vec<&Path> = inputs.iter().map(|input| input.file.path.as_path()).collect();
    with_causes(why, data_warnings::of_records(corpus, request, &paths))
}

/// Returns the error with what became of the lines, and then `more`, as its causes.
fn with_causes(why: Unusable, more: Vec<String>) -> anyhow::Error {
    let mut causes = why.causes().into_iter().chain(more).rev();
    match causes.next() {
        Some(last) => causes.fold(anyhow::Error::msg(last), |below, cause| below.context(cause)).context(why),
        None => why.into(),
    }
}

#[cfg(test)]
mod tests;
