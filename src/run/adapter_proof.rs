//! Shows that an adapter is loaded, before it is evaluated: it must answer some row of the eval set otherwise than its base. A server may
//! list an adapter before it answers with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::context::RunContext;
use super::event::Step;
use super::outcome::{EvaluationFact, ModelVariant, ProofFact, evaluation_key, proof_key};
use super::rows::{self, OutputRow};
use super::signals::Interrupted;
use super::{base_model, evaluate, names};
use crate::config::plan::Candidate;
use crate::nemo::{ApiError, EVALUATION_TEMPERATURE, EvaluationKind};
use crate::source::dataset;

/// The rows that are asked, at most. The first that is answered otherwise suffices.
const ROWS: usize = 8;

/// How long an adapter that answers as its base is asked again, unless `limits.adapter` is shorter.
const LONGEST: Duration = Duration::from_secs(120);

/// Below this share of errors of the base, equal answers are to be expected.
const FEW_ERRORS: f64 = 0.05;

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
    let probes = Probes::read(run, model, evaluate::kind(run)?)?;
    let limit = if probes.errs { LONGEST.min(names::millis(run.plan.limits.adapter_ms)) } else { Duration::ZERO };
    let seen_equal = AtomicBool::new(false);
    let what = format!("{adapter} to answer otherwise than its base");
    let looked = run.wait(&what, limit, "adapter", || async {
        if probes.differ(run, &base, adapter).await? {
            return Ok(Some(()));
        }
        seen_equal.store(true, Ordering::Relaxed);
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
        Err(_) => Some(probes.rows.len() as u64).filter(|_| probes.errs),
    };
    Ok(run.store.remember(&run.id, &proof_key(model), &ProofFact { same })?)
}

/// The rows that are asked.
struct Probes {
    kind: EvaluationKind,
    /// Those that the base got wrong come first.
    rows: Vec<Value>,
    /// The base is wrong often enough, as far as that is known.
    errs: bool,
}

impl Probes {
    fn read(run: &RunContext, model: &str, kind: EvaluationKind) -> anyhow::Result<Probes> {
        let path = run.dir.join(dataset::EVAL);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // While the base is still being evaluated, nothing is known of it.
        let base: Option<EvaluationFact> = run.store.fact(&run.id, &evaluation_key(model, ModelVariant::Base))?;
        let answers = base.map(|fact| rows::read(&run.dir.join(&fact.file))).transpose()?.unwrap_or_default();
        let right: Vec<bool> = answers.iter().map(|row| is_right(row, kind)).collect();
        let (order, errs) = wrong_first(text.lines().count(), &right);
        let lines: Vec<&str> = text.lines().collect();
        let rows = order.into_iter().map(|at| serde_json::from_str(lines[at])).collect::<Result<_, _>>()?;
        Ok(Probes { kind, rows, errs })
    }

    /// Tells whether any row is answered otherwise. A row that either model refuses tells nothing.
    async fn differ(&self, run: &RunContext, base: &str, adapter: &str) -> anyhow::Result<bool> {
        for row in &self.rows {
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

/// Returns the places of the rows to ask, and whether the base errs often enough for its answers to differ from better ones.
fn wrong_first(rows: usize, right: &[bool]) -> (Vec<usize>, bool) {
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by_key(|at| right.get(*at).copied().unwrap_or(false));
    order.truncate(ROWS);
    let wrong = right.iter().filter(|right| !**right).count();
    (order, right.is_empty() || wrong as f64 >= FEW_ERRORS * right.len() as f64)
}

fn is_right(row: &OutputRow, kind: EvaluationKind) -> bool {
    match kind {
        EvaluationKind::Classification => row.predicted.as_ref() == Some(&row.gold),
        EvaluationKind::ToolCalling => row.call_score() >= 1.0,
        EvaluationKind::Text => false,
    }
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
        assert_eq!(wrong_first(20, &right), (vec![3, 17, 0, 1, 2, 4, 5, 6], true));
        assert_eq!(wrong_first(3, &[]), (vec![0, 1, 2], true), "nothing is known of the base");
        let mut nearly = vec![true; 100];
        nearly[50..54].fill(false);
        assert_eq!(wrong_first(100, &nearly).0[..5], [50, 51, 52, 53, 0]);
        assert!(!wrong_first(100, &nearly).1);
        nearly[54] = false;
        assert!(wrong_first(100, &nearly).1, "5 %");
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
