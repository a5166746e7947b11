//! Writes the datasets: reads the lines of their records again and renders them as rows.

use std::path::Path;

use anyhow::{Context, Result};

use super::read::ReadInput;
use super::reread::LineReader;
use crate::data::corpus::Corpus;
use crate::data::corrections::{Corrections, Corrector};
use crate::data::forms::{self, Forms};
use crate::data::options::DatasetRequest;
use crate::data::origin::Origin;
use crate::data::record::Normaliser;
use crate::data::reject::Reject;
use crate::data::rows::RowRenderer;
use crate::data::split::Split;
use crate::source::manifest::DatasetFile;
use crate::source::output::{Output, remove_if_there};
use crate::source::pipeline;

/// The eval set, below the dataset folder.
pub(crate) const EVAL: &str = "eval/eval_data.jsonl";
/// The training set, below the dataset folder.
pub(crate) const TRAIN: &str = "train/training/train_data.jsonl";
/// The validation set, below the dataset folder. An empty one is not written.
pub(crate) const VALIDATION: &str = "train/validation/val_data.jsonl";
/// Requests that were answered differently, below the dataset folder. Without any it is not written.
pub(crate) const CONFLICTS: &str = "conflicts.jsonl";

/// Rows that one thread renders at once.
pub(super) const ROWS_AT_ONCE: usize = 512;

/// Appends the row of a record: one of the two forms of [`RowRenderer`].
pub(super) type Render = fn(&mut RowRenderer, &[u8], &mut Vec<u8>) -> Result<(), Reject>;

/// Writes the rows of records, with the labels that people gave.
pub(super) struct RowWriter<'a> {
    lines: LineReader<'a>,
    renderer: RowRenderer,
    corrector: Option<Corrector>,
}

impl<'a> RowWriter<'a> {
    /// Creates a writer of the records of these inputs.
    pub(super) fn new(inputs: &'a [ReadInput], renderer: RowRenderer, corrector: Option<Corrector>) -> RowWriter<'a> {
        RowWriter { lines: LineReader::new(inputs), renderer, corrector }
    }

    /// Appends the row of the record at a place.
    pub(super) fn row(&mut self, at: &Origin, render: Render, out: &mut Vec<u8>) -> Result<()> {
        let RowWriter { lines, renderer, corrector } = self;
        let line = lines.read(at)?;
        let corrected = corrector.as_mut().map_or(Ok(None), |corrector| corrector.corrected(line));
        let written = corrected.and_then(|right| render(renderer, right.as_deref().unwrap_or(line), out));
        written.with_context(|| lines.failed(at))
    }
}

/// Makes the ids of the records at these places.
pub(super) fn ids(inputs: &[ReadInput], places: &[Origin]) -> Result<Vec<u128>> {
    let mut ids = Vec::with_capacity(places.len());
    let mut jobs = places.chunks(ROWS_AT_ONCE);
    pipeline::in_order(
        || Ok(jobs.next()),
        || (LineReader::new(inputs), Normaliser::default()),
        |(lines, normaliser), places| -> Result<Vec<u128>> {
            let id = |at| {
                let id = forms::read(lines.read(at)?, Forms::Logged, |json| normaliser.id(json));
                id.with_context(|| lines.failed(at))
            };
            places.iter().map(id).collect()
        },
        |some: Result<Vec<u128>>| {
            ids.extend(some?);
            Ok(())
        },
    )?;
    Ok(ids)
}

/// Writes the datasets of a split into the folder `out`. An empty one, and that of an earlier split, goes.
pub(super) fn datasets(
    inputs: &[ReadInput],
    corpus: &Corpus,
    split: &Split,
    request: &DatasetRequest,
    corrections: &Corrections,
    out: &Path,
) -> Result<Vec<DatasetFile>> {
    let rules = &request.split;
    let mut files = Vec::new();
    let sets: [(_, _, Render); 3] = [
        (EVAL, &split.eval, RowRenderer::eval_row),
        (TRAIN, &split.train, RowRenderer::training_row),
        (VALIDATION, &split.validation, RowRenderer::training_row),
    ];
    for (name, rows, render) in sets {
        if rows.is_empty() {
            remove_if_there(&out.join(name))?;
            continue;
        }
        let mut output = Output::new(out, name)?;
        if let Some(frozen) = request.eval_set.as_ref().filter(|_| name == EVAL) {
            // As it was, byte for byte, so that results can be compared row by row.
            let bytes = std::fs::read(frozen).with_context(|| format!("cannot read {}", frozen.display()))?;
            output.rows(&bytes, rows.len() as u64)?;
            files.push(output.finish()?);
            continue;
        }
        let mut jobs = rows.chunks(ROWS_AT_ONCE);
        pipeline::in_order(
            || Ok(jobs.next()),
            || {
                let renderer = RowRenderer::new(rules.parse_function_arguments);
                let renderer = renderer.with_thoughts(rules.train_on_thoughts);
                RowWriter::new(inputs, renderer, Corrector::new(corrections, &request.labels))
            },
            |writer, rows| {
                let mut text = Vec::with_capacity(rows.len() * 1024);
                for &row in rows {
                    if !text.is_empty() {
                        text.push(b'\n');
                    }
                    writer.row(&corpus.rows[row as usize].origin, render, &mut text)?;
                }
                Ok((text, rows.len() as u64))
            },
            |rendered: Result<(Vec<u8>, u64)>| {
                let (text, rows) = rendered?;
                output.rows(&text, rows)
            },
        )?;
        files.push(output.finish()?);
    }
    Ok(files)
}

/// Writes the requests that were answered differently into the folder `out`.
pub(super) fn conflicts(inputs: &[ReadInput], corpus: &Corpus, out: &Path) -> Result<()> {
    if corpus.conflicts.is_empty() {
        return remove_if_there(&out.join(CONFLICTS));
    }
    let mut output = Output::new(out, CONFLICTS)?;
    let mut rows = RowWriter::new(inputs, RowRenderer::new(true), None);
    for conflict in &corpus.conflicts {
        let mut row = Vec::new();
        rows.row(&conflict.kept, RowRenderer::eval_row, &mut row)?;
        let record: serde_json::Value = serde_json::from_slice(&row)?;
        let line = serde_json::json!({
            "kept": conflict.label,
            "labels": conflict.labels,
            "answers": conflict.answers,
            "timestamp": record["timestamp"],
            "messages": record["request"]["messages"],
        });
        output.rows(line.to_string().as_bytes(), 1)?;
    }
    output.finish().map(drop)
}
