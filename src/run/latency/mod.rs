//! The latency of models under a short load: of what a NIM serves, once its evaluations are done and nobody else asks it, and of
//! the production model behind its endpoint. What cannot be measured is a warning, never the failure of a run.

pub(crate) mod load;

use anyhow::Context as _;
use serde_json::Value;

use super::context::RunContext;
use super::event::Step;
use super::outcome::{LatencyFact, ModelVariant, TEACHER_LATENCY, is_done, latency_key};
use super::signals::Interrupted;
use super::{base_model, evaluate};
use crate::config::plan::{Candidate, TeacherPlan};
use crate::nemo::{ChatModel, EVALUATION_TEMPERATURE, RemoteModel};
use crate::source::dataset;

/// Measures the base model and, if there is one, the adapter of a candidate, unless an earlier process has.
///
/// # Errors
/// When the run is asked to stop, or the eval set or the store cannot be read.
pub(super) async fn of_candidate(
    run: &RunContext,
    candidate: &Candidate,
    adapter: Option<String>,
) -> anyhow::Result<()> {
    if !run.plan.measure_latency || is_done(&run.store, &run.id, &run.plan, candidate)? {
        return Ok(());
    }
    let work = async {
        let mut told = Vec::new();
        let base = base_model::id(run, candidate).await?;
        for (variant, served) in [(ModelVariant::Base, Some(base)), (ModelVariant::Customized, adapter)] {
            let Some(served) = served else { continue };
            let key = latency_key(&candidate.model_name, variant);
            let fact = measured(run, &key, ChatModel::Served(&served)).await?;
            told.extend(in_words(&fact).map(|words| format!("{}: {words}", variant.as_str())));
        }
        Ok(told)
    };
    let detail = |told: &Vec<String>| (!told.is_empty()).then(|| told.join("; "));
    run.step(Some(&candidate.model_name), Step::Latency, work, detail).await.map(drop)
}

/// Measures the teacher, if the plan says where it answers. The run goes on without it.
pub(super) async fn of_teacher(run: &RunContext) {
    let Some(teacher) = &run.plan.teacher else { return };
    let result = match run.store.fact::<LatencyFact>(&run.id, TEACHER_LATENCY) {
        Ok(Some(_)) => return,
        Ok(None) => run.step(None, Step::Latency, ask_teacher(run, teacher), in_words).await.map(drop),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = result
        && !error.is::<Interrupted>()
        && let Err(error) = run.warn(format!("cannot measure the latency of the teacher: {error:#}"))
    {
        tracing::error!("cannot record a warning: {error:#}");
    }
}

async fn ask_teacher(run: &RunContext, teacher: &TeacherPlan) -> anyhow::Result<LatencyFact> {
    let (url, model) = (teacher.url.clone(), teacher.model_name.clone());
    let remote = RemoteModel { url, model, key: run.teacher_key.clone() };
    measured(run, TEACHER_LATENCY, ChatModel::Remote(&remote)).await
}

/// Returns the stored measurement, or sends the requests of the eval set, one after the other, at most a few at once.
async fn measured(run: &RunContext, key: &str, model: ChatModel<'_>) -> anyhow::Result<LatencyFact> {
    if let Some(known) = run.store.fact(&run.id, key)? {
        return Ok(known);
    }
    let (rows, kind) = (&rows(run)?, evaluate::kind(run)?);
    let ask = move |number: usize| async move {
        let row = &rows[number % rows.len()];
        run.nemo.timed_chat(model, kind, EVALUATION_TEMPERATURE, row).await.map_err(|error| error.to_string())
    };
    // Its requests only read, so they may be dropped.
    let fact = tokio::select! {
        fact = load::measure(load::BOUNDS, ask) => fact,
        interrupted = run.stop.asked() => return Err(interrupted.into()),
    };
    if let Some(why) = &fact.failure {
        let what = if fact.steps.is_empty() { "cannot measure the latency" } else { "the load ended early" };
        let of = if matches!(model, ChatModel::Remote(_)) { "the teacher " } else { "" };
        run.warn(format!("{of}{}: {what}: {why}", model.name()))?;
    }
    // Also if it failed: a resumed run does not deploy a NIM for another try.
    run.store.remember(&run.id, key, &fact)?;
    Ok(fact)
}

fn rows(run: &RunContext) -> anyhow::Result<Vec<Value>> {
    let path = run.dir.join(dataset::EVAL);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    anyhow::ensure!(!rows.is_empty(), "cannot measure with {}: it has no rows", path.display());
    Ok(rows)
}

/// Returns the result in words, such as `median 42 ms, up to 31.5 replies per second`.
fn in_words(fact: &LatencyFact) -> Option<String> {
    let median = fact.alone()?.p50_ms?;
    Some(format!("median {median:.0} ms, up to {:.1} replies per second", fact.most_per_second()?))
}
