//! The parts of a document that the report of its run does not hold: rows that a model got wrong, and earlier runs of the workload.

use std::path::Path;

use serde::Serialize;

use crate::data::workload_type::WorkloadType;
use crate::report::assemble::assemble;
use crate::report::json::Report;
use crate::run::outcome::{EvaluationFact, ModelVariant, evaluation_key};
use crate::run::rows::{self, OutputRow};
use crate::score::Estimate;
use crate::store::{RunRow, Store};
use crate::vocabulary::RunState;

/// Earlier runs that a document shows at most.
const RUNS: usize = 50;

/// Texts that are less alike count as wrong.
const HALF_ALIKE: f64 = 0.5;

/// The parts of a document beside the report.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Empty without texts.
    pub rows: Vec<EvaluatedRows>,
    /// The runs of the workload that have a score, oldest first, up to this one.
    pub history: Vec<PastRun>,
}

/// The rows of one evaluation that were answered wrongly.
#[derive(Debug)]
pub(crate) struct EvaluatedRows {
    pub model: String,
    pub wrong: Vec<WrongRow>,
}

/// A row whose reply was not its label.
#[derive(Debug, Serialize)]
pub(crate) struct WrongRow {
    /// The last user message.
    pub text: String,
    pub gold: String,
    pub reply: String,
}

/// The headline score of a run.
#[derive(Debug)]
pub(crate) struct PastRun {
    pub run: String,
    /// RFC 3339.
    pub started_at: String,
    pub model: String,
    pub score: Estimate,
}

impl Extras {
    /// Gathers the extras of a run. `texts`: also the rows that hold what users wrote.
    ///
    /// # Errors
    /// When the store or the rows of an evaluation cannot be read.
    pub(crate) fn of(
        store: &Store,
        row: &RunRow,
        report: &Report,
        state_dir: &Path,
        texts: bool,
    ) -> anyhow::Result<Extras> {
        let rows = if texts { wrong_rows(store, report, state_dir)? } else { Vec::new() };
        Ok(Extras { rows, history: history(store, row, report, state_dir)? })
    }
}

/// Reads the wrong rows of the last evaluation of each candidate.
fn wrong_rows(store: &Store, report: &Report, state_dir: &Path) -> anyhow::Result<Vec<EvaluatedRows>> {
    let workload = report.data.as_ref().map_or(WorkloadType::Classification, |data| data.workload_type);
    let is_wrong = |row: &OutputRow| match workload {
        WorkloadType::ToolCalling | WorkloadType::Classification => !row.is_right(workload),
        WorkloadType::Text => row.text_score(report.judge.is_some()).is_some_and(|alike| alike < HALF_ALIKE),
    };
    let mut found = Vec::new();
    for candidate in &report.candidates {
        let mut last = None;
        for variant in ModelVariant::ALL {
            last = store.fact::<EvaluationFact>(&report.run, &evaluation_key(&candidate.model, variant))?.or(last);
        }
        let Some(fact) = last else { continue };
        let file = state_dir.join("runs").join(&report.run).join(&fact.file);
        // A folder that was deleted must not take the numbers with it.
        if !file.exists() {
            continue;
        }
        let rows = rows::read(&file)?;
        let wrong = rows.into_iter().filter(is_wrong).map(WrongRow::from).collect();
        found.push(EvaluatedRows { model: candidate.model.clone(), wrong });
    }
    Ok(found)
}

impl From<OutputRow> for WrongRow {
    fn from(row: OutputRow) -> WrongRow {
        let reply = row.said().unwrap_or_default().into_owned();
        WrongRow { text: last_message(&row.user), gold: row.wanted().into_owned(), reply }
    }
}

/// Returns the last of the user messages.
fn last_message(contents: &str) -> String {
    let contents: Vec<serde_json::Value> = serde_json::from_str(contents).unwrap_or_default();
    match contents.last() {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(parts) => parts.to_string(),
        None => String::new(),
    }
}

fn history(store: &Store, row: &RunRow, report: &Report, state_dir: &Path) -> anyhow::Result<Vec<PastRun>> {
    let metric = report.headline_metric();
    let earlier = store.runs()?.into_iter().filter(|other| {
        let goes_on = other.state == RunState::Running && other.id != row.id;
        other.workload == row.workload && other.started_ms <= row.started_ms && !goes_on
    });
    let mut runs: Vec<RunRow> = earlier.take(RUNS).collect();
    runs.reverse();
    let mut past = Vec::new();
    for one in runs {
        // A run that cannot be read must not hide the others.
        let Ok(other) = assemble(store, &one, state_dir) else { continue };
        if other.headline_metric() != metric || other.rehearsal != report.rehearsal {
            continue;
        }
        past.extend(other.candidates.iter().filter_map(|candidate| {
            let (run, started_at, model) = (other.run.clone(), other.started_at.clone(), candidate.model.clone());
            Some(PastRun { run, started_at, model, score: candidate.last_score(metric)? })
        }));
    }
    Ok(past)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_row_is_its_last_user_message() {
        for (contents, text) in [
            (r#"["first","last"]"#, "last"),
            (r#"[[{"type":"text","text":"x"}]]"#, r#"[{"text":"x","type":"text"}]"#),
            ("[]", ""),
            ("", ""),
        ] {
            assert_eq!(
                last_message(contents).replace(r#"{"type":"text","text":"x"}"#, r#"{"text":"x","type":"text"}"#),
                text
            );
        }
    }
}
