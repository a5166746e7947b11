//! Writes the eval set with examples in its prompts, from the files of the eval and training sets.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EVAL, TRAIN};
use crate::data::examples::ExampleRules;
use crate::data::examples::choice::{Shortest, nearest};
use crate::data::examples::prompt::{self, Example};
use crate::data::examples::twins::{Asked, Twins};
use crate::data::label::LabelReader;
use crate::data::workload_type::WorkloadType;
use crate::source::manifest::Manifest;
use crate::source::output::Output;
use crate::source::pipeline;

/// The eval set with examples, below the dataset folder.
pub(crate) const ICL: &str = "icl/eval_data.jsonl";

/// Training rows among which the nearest are looked for, at most: a paid endpoint may embed each of them.
const EMBEDDED_ROWS: usize = 20_000;

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

/// Training rows as examples.
pub(crate) struct Pool {
    examples: Vec<Example>,
    classes: Vec<String>,
}

/// The embeddings of the eval rows and of the examples, each scaled to length 1.
pub(crate) struct Embeddings {
    pub(crate) eval: Vec<Vec<f32>>,
    pub(crate) examples: Vec<Vec<f32>>,
}

impl Pool {
    /// Reads the training set in the folder `dir`. Without a relevance ratio only the rows that every eval row shows are
    /// kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(dir: &Path, rules: &ExampleRules, reader: &LabelReader, manifest: &Manifest) -> Result<Pool> {
        let labels: Vec<String> = manifest.classes.keys().cloned().collect();
        let class = |row: &Value| class_of(row, manifest.workload_type, reader, &labels);
        let is_similar = rules.relevance_ratio.is_some();
        let step = if is_similar { (manifest.train as usize).div_ceil(EMBEDDED_ROWS).max(1) } else { 1 };
        let mut shortest = Shortest::new(rules.max_examples);
        let mut pool = Pool { examples: Vec::new(), classes: Vec::new() };
        let path = dir.join(TRAIN);
        let act = || format!("cannot read {}", path.display());
        let mut lines = BufReader::new(File::open(&path).with_context(act)?).lines().step_by(step);
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
                    match is_similar {
                        true => pool.push(class, &line)?,
                        false => shortest.push(class.clone(), length, (class, line)),
                    }
                }
                Ok(())
            },
        )?;
        for (class, line) in shortest.in_turn() {
            pool.push(class, &line)?;
        }
        Ok(pool)
    }

    fn push(&mut self, class: String, line: &str) -> Result<()> {
        self.examples.push(Example::of(&serde_json::from_str(line)?));
        self.classes.push(class);
        Ok(())
    }

    /// Returns the questions of the examples.
    pub(crate) fn questions(&self) -> Vec<String> {
        self.examples.iter().map(|example| example.asked.question.clone()).collect()
    }
}

/// Returns the questions of the eval rows in the folder `dir`.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn questions(dir: &Path) -> Result<Vec<String>> {
    Ok(asked(dir)?.1.into_iter().map(|asked| asked.question).collect())
}

/// Returns the lines of the eval set, and the conversation of each.
fn asked(dir: &Path) -> Result<(String, Vec<Asked>)> {
    let path = dir.join(EVAL);
    let act = || format!("cannot read {}", path.display());
    let text = std::fs::read_to_string(&path).with_context(act)?;
    let asked = |line: &str| {
        let row: Value = serde_json::from_str(line)?;
        Ok(prompt::asked(row["request"]["messages"].as_array().map_or(&[][..], Vec::as_slice)))
    };
    let rows = text.lines().map(asked).collect::<Result<_>>().with_context(act)?;
    Ok((text, rows))
}

/// Writes the eval set with examples into the folder `dir`. Questions that share the part `least` of their words are twins.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn write(
    dir: &Path,
    rules: &ExampleRules,
    pool: &Pool,
    near: Option<&Embeddings>,
    least: Option<f64>,
) -> Result<ExampleCounts> {
    let (text, asked) = asked(dir)?;
    let all = asked.iter().chain(pool.examples.iter().map(|example| &example.asked));
    let twins = Twins::new(all, least);
    let chosen = |at: usize| {
        let allowed = |other: usize| !twins.are(&asked[at], &pool.examples[other].asked);
        match (near.and_then(|near| Some((near.eval.get(at)?, near))), rules.relevance_ratio) {
            (Some((eval, near)), Some(ratio)) => {
                let likeness: Vec<f32> = near.examples.iter().map(|other| product(eval, other)).collect();
                nearest(&likeness, &pool.classes, rules.max_examples, ratio, allowed)
            }
            _ => (0..pool.examples.len()).filter(|other| allowed(*other)).collect(),
        }
    };
    let with_examples = |(at, line): (usize, &str)| -> Result<(String, usize)> {
        let row: Value = serde_json::from_str(line)?;
        let examples: Vec<&Example> = chosen(at).into_iter().map(|one| &pool.examples[one]).collect();
        let shown = prompt::shown(&row["request"], &examples, rules);
        Ok((prompt::with_examples(line, &examples[..shown])?, shown))
    };
    let mut counts = ExampleCounts::default();
    let mut output = Output::new(dir, ICL)?;
    let mut lines = text.lines().enumerate();
    pipeline::in_order(
        || Ok(lines.next()),
        || (),
        |(), line| with_examples(line),
        |written: Result<(String, usize)>| {
            let (row, shown) =
                written.with_context(|| format!("cannot read the rows of {}", dir.join(EVAL).display()))?;
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

/// Returns the label or the first called function of a training row. A row without one is no example.
fn class_of(row: &Value, workload_type: WorkloadType, reader: &LabelReader, labels: &[String]) -> Option<String> {
    let answer = row["messages"].as_array()?.last()?;
    match workload_type {
        WorkloadType::ToolCalling => answer["tool_calls"][0]["function"]["name"].as_str().map(str::to_owned),
        WorkloadType::Text => Some(String::new()),
        WorkloadType::Classification => {
            reader.strict(answer["content"].as_str()?, labels).map(|label| labels[label].clone())
        }
    }
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    let both = a.len().min(b.len());
    let (a, b) = (&a[..both], &b[..both]);
    (0..both).map(|at| a[at] * b[at]).sum()
}
