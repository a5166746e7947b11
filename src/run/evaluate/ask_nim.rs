//! The replies of a model to the eval set without the evaluator, which has no rows for this job: the same requests at the
//! same temperature, sent to the NIM itself.

use std::path::Path;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::tool_scores::{calls_of, scores_of_calls};
use crate::nemo::{ApiError, EVALUATION_TEMPERATURE, EvaluatedRow, EvaluationKind, TOOL_METRIC};
use crate::run::context::RunContext;
use crate::run::names;

/// The requests on their way at the same time, unless `nmp_config.nim_parallelism` says another number.
const PARALLEL: u32 = 8;

/// Asks a served model for the reply to each row of a file.
///
/// # Errors
/// When the file cannot be read, the NIM stays away, or the run is asked to stop.
pub(super) async fn rows(
    run: &RunContext,
    model: &str,
    kind: EvaluationKind,
    file: &Path,
) -> anyhow::Result<Vec<EvaluatedRow>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let items: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let parallel = run.plan.platform.nim_parallelism.unwrap_or(PARALLEL) as usize;
    stream::iter(items).map(|item| row(run, model, kind, item)).buffered(parallel).try_collect().await
}

async fn row(run: &RunContext, model: &str, kind: EvaluationKind, item: Value) -> anyhow::Result<EvaluatedRow> {
    let limit = names::millis(run.plan.limits.evaluate_ms);
    let asked = run
        .wait(&format!("a reply of {model}"), limit, "evaluate", || async {
            match run.nemo.chat(model, kind, EVALUATION_TEMPERATURE, &item).await {
                Ok(answer) => Ok(Some(Ok(answer))),
                // A request that the model does not take, such as a text that is too long, costs this row only.
                Err(error) if is_of_row(&error) => Ok(Some(Err(error.to_string()))),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
    let (asked, took) = match asked {
        Ok((answer, took)) => (Ok(answer), Some(took)),
        Err(refused) => (Err(refused), None),
    };
    let mut row = EvaluatedRow::of_answer(item, asked.as_ref().unwrap_or(&Value::Null));
    row.took = took;
    if kind == EvaluationKind::ToolCalling
        && let Ok(answer) = &asked
    {
        let calls = |value: &Value| calls_of(&value["choices"][0]["message"]["tool_calls"]);
        let gold = calls(&row.item["response"]);
        row.scores.insert(TOOL_METRIC.to_owned(), scores_of_calls(&gold, &calls(answer)));
    }
    row.error = asked.err();
    Ok(row)
}

/// Tells whether an error is of one row: the model answers others.
pub(in crate::run) fn is_of_row(error: &ApiError) -> bool {
    !error.is_unreachable() && !error.is_not_found() && error.status().is_some()
}
