//! Shows that an adapter is loaded, before it is evaluated: it must answer some row of the eval set otherwise than its base. A server may
//! list an adapter before it answers with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::context::RunContext;
use super::event::Step;
use super::outcome::{EvaluationFact, ModelVariant, ProofFact, evaluation_key, proof_key};
use super::rows;
use super::signals::Interrupted;
use super::suspicions::errs_often;
use super::{base_model, evaluate, names};
use crate::config::plan::Candidate;
use crate::data::workload_type::WorkloadType;
use crate::nemo::{ApiError, EVALUATION_TEMPERATURE, EvaluationKind};
use crate::source::dataset;

/// The rows that are asked, at most. The first that is answered otherwise suffices.
const ROWS: usize = 8;

/// How long an adapter that answers as its base is asked again, unless `limits.adapter` is shorter.
const LONGEST: Duration = Duration::from_secs(120);

/// Asks the adapter of a candidate and its base the same rows until an answer differs, unless an earlier process has. What
/// cannot be asked proves nothing and fails nothing: the evaluation will tell.
///
/// # Errors
/// When the run is asked to stop, or the eval set or the store cannot be read.
pub(super) async fn prove(run: &RunContext, candidate: &Candidate, adapter: &str) -> anyhow::Result<()> {
    let model = &candidate.model_name;
    let evaluated = evaluation_key(model, ModelVariant::Customized);
    let is_proven = run.store.fact::<ProofFact>(&run.id, &proof_key(model))?.is_some();
    if is_proven || run.store.fact::<EvaluationFact>(&run.id, &evaluated)?.is_some() {
        return Ok(());
    }
    let base = base_model::id(run, candidate).await?;
    let probes = Probes::read(run, evaluate::kind(run)?)?;
    let limit = LONGEST.min(names::millis(run.plan.limits.adapter_ms));
    let seen_equal = AtomicBool::new(false);
    let what = format!("{adapter} to answer otherwise than its base");
    let looked = run.wait(&what, limit, "adapter", || async {
        // Anew at each look: the base may still be being evaluated.
        let right = right_rows(run, model, probes.kind)?;
        if probes.differ(run, &base, adapter, &right).await? {
            return Ok(Some(()));
        }
        seen_equal.store(true, Ordering::Relaxed);
        if !errs_often(&right) {
            return Ok(Some(()));
        }
        let detail = "answers as its base, asking again".to_owned();
        run.progress(Some(model), Step::Adapter, None, Some(detail));
        Ok(None)
    });
    let same = match looked.await {
        Ok(()) => None,
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Err(error) if !seen_equal.load(Ordering::Relaxed) => {
            tracing::warn!(error = format!("{error:#}"), "cannot compare {adapter} with its base");
            return Ok(());
        }
        Err(_) => Some(probes.rows.len().min(ROWS) as u64),
    };
    Ok(run.store.remember(&run.id, &proof_key(model), &ProofFact { same })?)
}

/// The rows that are asked.
struct Probes {
    kind: EvaluationKind,
    rows: Vec<Value>,
}

impl Probes {
    fn read(run: &RunContext, kind: EvaluationKind) -> anyhow::Result<Probes> {
        let path = run.dir.join(dataset::EVAL);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let rows = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        Ok(Probes { kind, rows: rows.with_context(|| format!("cannot read {}", path.display()))? })
    }

    /// Tells whether any of the rows is answered otherwise; those that the base got wrong are asked first. A row that
    /// either model refuses tells nothing.
    async fn differ(&self, run: &RunContext, base: &str, adapter: &str, right: &[bool]) -> anyhow::Result<bool> {
        for row in wrong_first(self.rows.len(), right).into_iter().map(|at| &self.rows[at]) {
            let (base, adapter) = tokio::join!(self.said(run, base, row), self.said(run, adapter, row));
            if base?.zip(adapter?).is_some_and(|(base, adapter)| base != adapter) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns what a model says to a row. `None`: it refuses the row.
    async fn said(&self, run: &RunContext, model: &str, row: &Value) -> Result<Option<Value>, ApiError> {
        match run.nemo.chat(model, self.kind, EVALUATION_TEMPERATURE, row).await {
            Ok((answer, _)) => Ok(Some(spoken(&answer))),
            Err(error) if evaluate::is_of_row(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Returns which rows the base got right. Empty while it is still being evaluated.
fn right_rows(run: &RunContext, model: &str, kind: EvaluationKind) -> anyhow::Result<Vec<bool>> {
    let base: Option<EvaluationFact> = run.store.fact(&run.id, &evaluation_key(model, ModelVariant::Base))?;
    let answers = base.map(|fact| rows::read(&run.dir.join(&fact.file))).transpose()?.unwrap_or_default();
    let workload_type = match kind {
        EvaluationKind::Classification => WorkloadType::Classification,
        EvaluationKind::ToolCalling => WorkloadType::ToolCalling,
        EvaluationKind::Text => WorkloadType::Text,
    };
    Ok(answers.iter().map(|row| row.is_right(workload_type)).collect())
}

/// Returns the places of the rows to ask.
fn wrong_first(rows: usize, right: &[bool]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by_key(|at| right.get(*at).copied().unwrap_or(false));
    order.truncate(ROWS);
    order
}

/// Returns what an answer says, without the ids that each answer has of its own.
fn spoken(answer: &Value) -> Value {
    let message = &answer["choices"][0]["message"];
    let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| &call["function"]);
    json!([message["content"], calls.collect::<Vec<_>>()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_the_base_got_wrong_come_first_and_few_errors_expect_no_difference() {
        let right: Vec<bool> = (0..20).map(|at| at != 3 && at != 17).collect();
        assert_eq!((wrong_first(20, &right), errs_often(&right)), (vec![3, 17, 0, 1, 2, 4, 5, 6], true));
        assert_eq!((wrong_first(3, &[]), errs_often(&[])), (vec![0, 1, 2], true), "nothing is known of the base");
        let mut nearly = vec![true; 100];
        nearly[50..54].fill(false);
        assert_eq!(wrong_first(100, &nearly)[..5], [50, 51, 52, 53, 0]);
        assert!(!errs_often(&nearly));
        nearly[54] = false;
        assert!(errs_often(&nearly), "5 %");
    }

    #[test]
    fn the_ids_of_calls_are_no_difference() {
        let answer = |id: &str, text: &str| {
            let call = json!({"id": id, "type": "function", "function": {"name": "f", "arguments": text}});
            json!({"id": id, "choices": [{"message": {"content": null, "tool_calls": [call]}}]})
        };
        assert_eq!(spoken(&answer("a", "{}")), spoken(&answer("b", "{}")));
        assert_ne!(spoken(&answer("a", "{}")), spoken(&answer("a", "{\"x\":1}")));
    }
}
