//! Makes the report of a run from its row, its facts and its ledger.

use std::path::Path;

use anyhow::Context as _;

use super::cost;
use super::json::{
    Candidate, CandidateVerdict, Cost, ErrorObject, Evaluation, Evaluations, Held, Judge, MeasuredTeacher, Report,
    SCHEMA, Training, Usage, Verdict,
};
use crate::config::plan::{Plan, ServicePlace};
use crate::run::gates::JUDGED;
use crate::run::outcome::{
    Advice, CONCLUSION, CandidateFact, ConclusionFact, DRIFT, EvaluationFact, FLOOR, GOLD, LatencyFact, MANIFEST,
    ModelVariant, PLATFORM_VERSION, TEACHER_LATENCY, TrainingFact, UNSENT, WARNINGS, candidate_key, evaluation_key,
    latency_key, training_key,
};
use crate::run::{gpu_time, liveness};
use crate::source::dataset::Manifest;
use crate::store::{RunRow, Store, now_ms};
use crate::vocabulary::{CandidateState, Generation, PlatformVersion, ReportedGeneration, RunState};

/// Returns the report of a run, finished or not.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn assemble(store: &Store, row: &RunRow, state_dir: &Path) -> anyhow::Result<Report> {
    let plan: Plan = store.plan(&row.id)?;
    let state = liveness::shown_state(row, state_dir);
    let manifest: Option<Manifest> = store.fact(&row.id, MANIFEST)?;
    let conclusion: Option<ConclusionFact> = store.fact(&row.id, CONCLUSION)?;
    let verdict = conclusion.as_ref().map(|fact| Verdict {
        sentence: fact.sentence.clone(),
        model: fact.model.clone(),
        variant: fact.variant,
    });
    let (comparisons, concluded, advice, unreadable) =
        conclusion.map(|fact| (fact.comparisons, fact.warnings, fact.candidates, fact.unreadable)).unwrap_or_default();
    let error: Option<ErrorObject> =
        row.error.as_deref().map(serde_json::from_str).transpose().context("cannot read the error of the run")?;
    let candidates = plan.candidates.iter().map(|c| candidate(store, row, &c.model_name, state));
    let mut candidates: Vec<Candidate> = candidates.collect::<anyhow::Result<_>>()?;
    let gpu_hours = gpu_time::seconds(store, row, &plan, state)? / 3600.0;
    let teacher = measured_teacher(store, row, &plan)?;
    let told = cost::teacher(manifest.as_ref(), teacher.as_ref());
    let cost = cost::of_run(&plan.cost, told.as_ref(), gpu_hours);
    enter_costs(&plan, cost.as_ref(), &mut candidates);
    enter_verdicts(advice, &mut candidates);
    let warnings = warnings(store, row, &plan, manifest.as_ref(), concluded)?;
    let version: Option<PlatformVersion> = store.fact(&row.id, PLATFORM_VERSION)?;
    let is_helix = version.as_ref().is_some_and(|version| version.generation == Generation::Helix);
    let chat = if is_helix { plan.platform.gateway() } else { plan.platform.nim_base_url.clone() };
    let nim_base_url = Some(chat).filter(|url| !url.is_empty() && !plan.rehearse);
    Ok(Report {
        schema: SCHEMA,
        run: row.id.clone(),
        workload: row.workload.clone(),
        state,
        exit_code: row.exit_code.filter(|_| state != RunState::Interrupted),
        platform: row.platform,
        generation: version.as_ref().map(|version| ReportedGeneration::of(row.platform, version.generation)),
        platform_version: version.and_then(|version| version.version),
        rehearsal: row.rehearsal,
        started_at: rfc3339(row.started_ms),
        seconds: seconds(row, state),
        owner: row.owner.clone(),
        nim_base_url,
        judge: manifest.as_ref().and_then(|manifest| judge(&plan, manifest)),
        data: manifest,
        candidates,
        teacher,
        cost,
        floor: store.fact(&row.id, FLOOR)?.map(evaluation),
        comparisons,
        verdict,
        drift: store.fact(&row.id, DRIFT)?,
        gold: store.fact(&row.id, GOLD)?,
        gates: store.fact(&row.id, JUDGED)?.unwrap_or_default(),
        held: held(store, row, state)?,
        warnings,
        unreadable,
        error,
    })
}

/// Gathers the warnings of the configuration, the data, the run, and its end.
fn warnings(
    store: &Store,
    row: &RunRow,
    plan: &Plan,
    manifest: Option<&Manifest>,
    concluded: Vec<String>,
) -> anyhow::Result<Vec<String>> {
    let told: Vec<String> = store.fact(&row.id, WARNINGS)?.unwrap_or_default();
    let unsent: Vec<String> = store.fact(&row.id, UNSENT)?.unwrap_or_default();
    let of_data = manifest.iter().flat_map(|manifest| &manifest.warnings);
    let mut warnings: Vec<String> = plan.warnings.iter().chain(of_data).chain(&told).chain(&unsent).cloned().collect();
    // An earlier version kept them in both places.
    warnings.extend(concluded.into_iter().filter(|warning| !told.contains(warning)));
    Ok(warnings)
}

/// Enters the verdict on each candidate.
fn enter_verdicts(advice: Vec<Advice>, candidates: &mut [Candidate]) {
    for Advice { model, variant, sentence } in advice {
        if let Some(one) = candidates.iter_mut().find(|one| one.model == model) {
            one.verdict = Some(CandidateVerdict { variant, sentence });
        }
    }
}

/// Enters what 1,000 requests to each model cost.
fn enter_costs(plan: &Plan, cost: Option<&Cost>, candidates: &mut [Candidate]) {
    let Some(cost) = cost else { return };
    for (candidate, planned) in candidates.iter_mut().zip(&plan.candidates) {
        let all = &mut candidate.evaluations;
        for evaluation in [&mut all.base, &mut all.icl, &mut all.customized].into_iter().flatten() {
            cost::enter(&plan.cost, cost, evaluation, planned.gpus);
        }
    }
}

fn judge(plan: &Plan, manifest: &Manifest) -> Option<Judge> {
    let judge = plan.judge_of(manifest.workload_type)?;
    let deployment = match judge.place {
        ServicePlace::Local(_) => "local",
        ServicePlace::Remote { .. } => "remote",
    };
    Some(Judge { model: judge.model_name.clone(), deployment: deployment.to_owned() })
}

/// Returns what a run holds. What was inside a process is gone once the process has ended.
fn held(store: &Store, row: &RunRow, state: RunState) -> anyhow::Result<Vec<Held>> {
    let mut held = store.held(&row.id)?;
    held.retain(|resource| state == RunState::Running || !resource.platform.ends_with_its_process());
    Ok(held.iter().map(Held::from).collect())
}

fn candidate(store: &Store, row: &RunRow, model: &str, run: RunState) -> anyhow::Result<Candidate> {
    let fact: Option<CandidateFact> = store.fact(&row.id, &candidate_key(model))?;
    let training: Option<TrainingFact> = store.fact(&row.id, &training_key(model))?;
    let evaluation = |which| -> anyhow::Result<Option<Evaluation>> {
        let fact: Option<EvaluationFact> = store.fact(&row.id, &evaluation_key(model, which))?;
        let load: Option<LatencyFact> = store.fact(&row.id, &latency_key(model, which))?;
        Ok(fact.map(|fact| under_load(evaluation(fact), load)))
    };
    let state = match fact.as_ref().map_or(CandidateState::Waiting, |fact| fact.state) {
        // A state that only a process could end.
        CandidateState::Running if run != RunState::Running => CandidateState::Cancelled,
        CandidateState::Waiting if run != RunState::Running => CandidateState::Skipped,
        state => state,
    };
    let seconds = fact.as_ref().and_then(|fact| {
        let end = fact.ended_ms.or((state == CandidateState::Running).then(now_ms))?;
        Some(millis_to_seconds(end - fact.started_ms?))
    });
    Ok(Candidate {
        model: model.to_owned(),
        state,
        gpus: fact.as_ref().map(|fact| fact.gpus),
        seconds,
        error: fact.and_then(|fact| fact.error),
        training: training.map(|fact| Training {
            job: Some(fact.job),
            adapter: Some(fact.adapter),
            seconds: fact.seconds,
            loss: fact.loss,
        }),
        evaluations: Evaluations {
            base: evaluation(ModelVariant::Base)?,
            icl: evaluation(ModelVariant::Icl)?,
            customized: evaluation(ModelVariant::Customized)?,
        },
        verdict: None,
    })
}

fn evaluation(fact: EvaluationFact) -> Evaluation {
    let usage = Usage {
        p50_ms: fact.p50_ms,
        p95_ms: fact.p95_ms,
        prompt_tokens: fact.prompt_tokens,
        completion_tokens: fact.completion_tokens,
        ..Usage::default()
    };
    let usage = Some(usage).filter(|usage| *usage != Usage::default());
    Evaluation {
        state: CandidateState::Completed,
        job: Some(fact.job).filter(|job| !job.is_empty()),
        rows: Some(fact.rows),
        unanswered: Some(fact.unanswered),
        rows_from: fact.rows_from,
        seconds: fact.seconds,
        scores: fact.scores,
        classes: fact.classes,
        confusion: fact.confusion,
        latency: Vec::new(),
        usage,
    }
}

/// Adds what a load has shown. Its lone requests stand for the latency, whoever asked for the rows of the evaluation.
fn under_load(mut evaluation: Evaluation, load: Option<LatencyFact>) -> Evaluation {
    let Some(load) = load else { return evaluation };
    if let Some(alone) = load.alone() {
        let usage = evaluation.usage.get_or_insert_default();
        (usage.p50_ms, usage.p95_ms) = (alone.p50_ms, alone.p95_ms);
    }
    evaluation.latency = load.steps;
    evaluation
}

fn measured_teacher(store: &Store, row: &RunRow, plan: &Plan) -> anyhow::Result<Option<MeasuredTeacher>> {
    let fact: Option<LatencyFact> = store.fact(&row.id, TEACHER_LATENCY)?;
    Ok(plan.teacher.as_ref().zip(fact).map(|(teacher, fact)| MeasuredTeacher {
        model: teacher.model_name.clone(),
        latency: fact.steps,
        usage_rows: fact.usage_rows,
        prompt_tokens: fact.prompt_tokens,
        completion_tokens: fact.completion_tokens,
    }))
}

fn seconds(row: &RunRow, state: RunState) -> Option<f64> {
    let end = match state {
        RunState::Running => Some(now_ms()),
        // Nobody knows when the process died.
        RunState::Interrupted => None,
        _ => row.ended_ms,
    };
    Some(millis_to_seconds(row.worked_ms + end? - row.resumed_ms))
}

#[expect(clippy::cast_precision_loss, reason = "durations of days at most")]
fn millis_to_seconds(ms: i64) -> f64 {
    ms.max(0) as f64 / 1000.0
}

/// Writes a time in ms UTC.
pub(super) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Databases of released schema versions stay readable, plan and facts included.
    #[test]
    fn a_database_of_every_version_makes_reports() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/databases");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let state_dir = tempfile::tempdir().unwrap();
            std::fs::copy(entry.unwrap().path(), state_dir.path().join(crate::store::FILE)).unwrap();
            let store = Store::open_existing(state_dir.path()).unwrap();
            let rows = store.runs().unwrap();
            assert_eq!(rows.len(), 1);
            let report = assemble(&store, &rows[0], state_dir.path()).unwrap();
            assert_eq!(report.state, RunState::Completed);
            assert_eq!(report.candidates.len(), 1);
            assert!(report.candidates[0].evaluations.customized.is_some());
            assert!(report.data.is_some_and(|data| data.kept > 1000));
            seen += 1;
        }
        assert!(seen >= 1);
    }
}
