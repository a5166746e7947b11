//! Writes the eval set with examples in its prompts, from the files of the eval and training sets.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EVAL, TRAIN};
use crate::data::examples::ExampleRules;
use crate::data::examples::choice::{Shortest, fitting};
use crate::data::examples::prompt::{self, Example};
use crate::data::label::LabelReader;
use crate::data::workload_type::WorkloadType;
use crate::source::manifest::Manifest;
use crate::source::output::Output;
use crate::source::pipeline;

/// The eval set with examples, below the dataset folder.
pub(crate) const ICL: &str = "icl/eval_data.jsonl";

/// Rows that one thread reads at once.
const ROWS_AT_ONCE: usize = 512;

/// The counts of the eval rows with examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExampleCounts {
    pub(crate) rows: u64,
    /// Examples of all rows.
    pub(crate) examples: u64,
    /// Rows without any example.
    pub(crate) without: u64,
    /// Rows with fewer examples than `min_examples`.
    pub(crate) too_few: u64,
}

/// Training rows as examples, in the order in which they are shown.
pub(crate) struct Pool(Vec<Example>);

impl Pool {
    /// Reads the training set in the folder `dir` and keeps the rows that every eval row shows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(dir: &Path, rules: &ExampleRules, reader: &LabelReader, manifest: &Manifest) -> Result<Pool> {
        let labels: Vec<String> = manifest.classes.keys().cloned().collect();
        let class = |row: &Value| class_of(row, manifest.workload_type, reader, &labels);
        let mut shortest = Shortest::new(rules.max_examples);
        let path = dir.join(TRAIN);
        let act = || format!("cannot read {}", path.display());
        let mut lines = BufReader::new(File::open(&path).with_context(act)?).lines();
        pipeline::in_order(
            || {
                let some: Vec<String> = lines.by_ref().take(ROWS_AT_ONCE).collect::<std::io::Result<_>>()?;
                Ok(Some(some).filter(|some| !some.is_empty()))
            },
            || (),
            |(), lines| -> Result<Vec<(String, usize, String)>> {
                let row = |line: String| {
                    let row: Value = serde_json::from_str(&line)?;
                    Ok(class(&row).map(|class| (class, line.len(), line)))
                };
                lines.into_iter().filter_map(|line| row(line).transpose()).collect()
            },
            |rows: Result<Vec<(String, usize, String)>>| {
                for (class, length, line) in rows.with_context(act)? {
                    shortest.push(class, length, line);
                }
                Ok(())
            },
        )?;
        let example = |line: String| Ok(Example::of(&serde_json::from_str(&line)?));
        shortest.in_turn().into_iter().map(example).collect::<Result<_>>().map(Pool)
    }
}

/// Writes the eval set with examples into the folder `dir`.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn write(dir: &Path, rules: &ExampleRules, pool: &Pool) -> Result<ExampleCounts> {
    let (path, text) = eval(dir)?;
    let frame = prompt::frame_tokens();
    let with_examples = |line: &str| -> Result<(String, usize)> {
        let row: Value = serde_json::from_str(line)?;
        let own = rules.reserved_tokens + prompt::request_tokens(&row["request"]) + frame;
        let room = rules.max_context_length.saturating_sub(own);
        let examples: Vec<&Example> = pool.0.iter().collect();
        let shown = fitting(examples.iter().map(|example| example.cost), room);
        Ok((prompt::with_examples(line, &examples[..shown])?, shown))
    };
    let mut counts = ExampleCounts::default();
    let mut output = Output::new(dir, ICL)?;
    let mut lines = text.lines();
    pipeline::in_order(
        || Ok(lines.next()),
        || (),
        |(), line| with_examples(line),
        |written: Result<(String, usize)>| {
            let (row, shown) = written.with_context(|| format!("cannot read the rows of {path}"))?;
            counts.rows += 1;
            counts.examples += shown as u64;
            counts.without += u64::from(shown == 0);
            counts.too_few += u64::from(shown < rules.min_examples);
            output.rows(row.as_bytes(), 1)
        },
    )?;
    output.finish()?;
    Ok(counts)
}

fn eval(dir: &Path) -> Result<(String, String)> {
    let path = dir.join(EVAL);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((path.display().to_string(), text))
}

/// Returns the label or the first called function of a training row. A row without one is no example.
fn class_of(row: &Value, workload_type: WorkloadType, reader: &LabelReader, labels: &[String]) -> Option<String> {
    let answer = row["messages"].as_array()?.last()?;
    match workload_type {
        WorkloadType::ToolCalling => answer["tool_calls"][0]["function"]["name"].as_str().map(str::to_owned),
        WorkloadType::Classification => {
            reader.strict(answer["content"].as_str()?, labels).map(|label| labels[label].clone())
        }
    }
}
