//! One evaluation of a candidate: its job, the rows that come back, and their scores.

mod ask_nim;
mod eval_set;
mod label_scores;
mod row_outputs;
pub(super) mod text_scores;
pub(super) mod tool_scores;

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail};
use tokio::time::Instant;

use super::context::RunContext;
use super::event::Step;
use super::hold::{Lookup, ResourceSpec};
use super::job::JobCancelled;
use super::judge;
use super::names;
use super::outcome::{EvaluationFact, MANIFEST, ModelVariant, evaluation_key, unanswered_key};
use super::wait::LastWord;
use super::{base_model, datasets, examples};
use crate::config::plan::Candidate;
use crate::data::label::LabelReader;
use crate::data::workload_type::WorkloadType;
use crate::nemo::{
    EVALUATION_TEMPERATURE, EvaluatedRow, EvaluationKind, EvaluationScores, JobStatus, JudgeModel, NewEvaluation,
};
use crate::source::dataset::{self, Manifest};
use crate::store::{Resource, ResourceKind};
use crate::vocabulary::RowsFrom;

pub(super) use ask_nim::is_of_row;
use eval_set::{EvalSet, Replies};
use label_scores::label_scores;

/// Evaluates a variant of a candidate, which the platform serves as `model`, unless an earlier process has done so.
///
/// # Errors
/// When the job fails or takes too long, or its rows are not those of the eval set.
pub(super) async fn evaluate(
    run: &RunContext,
    candidate: &Candidate,
    variant: ModelVariant,
    model: &str,
) -> anyhow::Result<EvaluationFact> {
    let key = evaluation_key(&candidate.model_name, variant);
    let work = run_and_score(run, candidate, variant, model);
    run.step_once(&key, Some(&candidate.model_name), step_of(variant), work, headline).await
}

fn step_of(variant: ModelVariant) -> Step {
    match variant {
        ModelVariant::Base => Step::BaseEvaluation,
        ModelVariant::Icl => Step::IclEvaluation,
        ModelVariant::Customized => Step::CustomizedEvaluation,
    }
}

/// Returns the end of the name of the dataset that a variant answers, and its file in the folder of the run.
fn dataset_of(variant: ModelVariant) -> (&'static str, &'static str) {
    match variant {
        ModelVariant::Base | ModelVariant::Customized => (datasets::EVAL, dataset::EVAL),
        ModelVariant::Icl => (examples::ICL, dataset::examples::ICL),
    }
}

/// Returns the scores that decide, in words.
pub(super) fn headline(fact: &EvaluationFact) -> Option<String> {
    let score = |name: &str, words: &str| Some(format!("{words} {:.3}", fact.scores.get(name)?.value));
    let calls = || [score(tool_scores::HEADLINE, "name and arguments"), score(tool_scores::CORRECTNESS, "judge")];
    let calls = || calls().into_iter().flatten().reduce(|all, next| format!("{all}, {next}"));
    let texts = || score(text_scores::SIMILARITY, "judge").or_else(|| score(text_scores::OVERLAP, "ROUGE-L"));
    score("macro_f1", "macro F1").or_else(calls).or_else(texts)
}

fn manifest(run: &RunContext) -> anyhow::Result<Manifest> {
    run.store.fact(&run.id, MANIFEST)?.context("the manifest of this run is missing")
}

async fn run_and_score(
    run: &RunContext,
    candidate: &Candidate,
    variant: ModelVariant,
    model: &str,
) -> anyhow::Result<EvaluationFact> {
    let (resource, job) = finished_job(run, candidate, variant, model).await?;
    run.store.mark_finished(resource.id)?;
    let seconds = run.seconds_of(&resource);
    let limit = names::millis(run.plan.limits.evaluate_ms);
    // Waited for, because an answer that is lost or not the service's passes.
    let scores = run
        .wait(&format!("the results of evaluation job {job}"), limit, "evaluate", || async {
            Ok(Some(run.nemo.evaluation_scores(&job).await?))
        })
        .await?;
    let (rows, rows_from) = rows(run, candidate, variant, model, &job).await?;
    let reader = LabelReader::new(&run.plan.data.labels).map_err(anyhow::Error::msg)?;
    let [file, plain] = [dataset_of(variant).1, dataset::EVAL].map(|name| run.dir.join(name));
    let set = EvalSet::read(&file, &plain, reader, &manifest(run)?)?;
    let judge = judge::of_run(run)?.map(|judge| judge.for_evaluator());
    let seed = run.plan.data.split.random_seed;
    let act = || format!("cannot score the rows of evaluation job {job}");
    let replies = set.replies(&rows).with_context(act)?;
    let mut fact = scored(&set, &replies, &scores, seed, judge.is_some()).with_context(act)?;
    fact.seconds = seconds;
    fact.rows_from = Some(rows_from);
    fact.file = format!("rows/{}-{}.jsonl", run.names.slug(&candidate.model_name), variant.as_str());
    fact.job = job;
    run.create_folder("rows")?;
    row_outputs::write(&run.dir.join(&fact.file), &set, &replies)?;
    let named = &variant.of(&candidate.model_name);
    if fact.unanswered == fact.rows {
        run.store.remember(&run.id, &unanswered_key(&fact.job), &true)?;
        let why = replies.iter().flatten().find_map(|row| row.error.as_deref());
        let why = why.map_or_else(String::new, |why| format!("; the first reason: {why}"));
        bail!("none of the {} rows has a reply, so there is nothing to score{why}", fact.rows);
    }
    if judge.is_some() {
        warn_of_unrated(run, named, set.workload_type, &replies)?;
    }
    if fact.unanswered > 0 {
        run.warn(format!(
            "{named}: the evaluator returned no reply for {} of {} rows; they count as wrong",
            fact.unanswered, fact.rows
        ))?;
    }
    if fact.cut_off > 0 {
        run.warn(format!(
            "{named}: {} of {} replies were cut off at the largest number of tokens (finish_reason length)",
            fact.cut_off, fact.rows
        ))?;
    }
    Ok(fact)
}

/// Looks after which a 404 that may not be the evaluator's counts as one: a build without archives has no route for them.
const FOREIGN_LOOKS: u32 = 5;

/// Returns the rows of a finished job. Some builds of the evaluator have them a little after the end of the job, and some
/// never. Then the NIM is asked for the same rows.
async fn rows(
    run: &RunContext,
    candidate: &Candidate,
    variant: ModelVariant,
    model: &str,
    job: &str,
) -> anyhow::Result<(Vec<EvaluatedRow>, RowsFrom)> {
    let (limit, settle) = (names::millis(run.plan.limits.evaluate_ms), names::millis(run.plan.limits.settle_ms));
    let asked = Instant::now();
    let looks = AtomicU32::new(0);
    let archive = run
        .wait(&format!("the rows of evaluation job {job}"), limit, "evaluate", || async {
            match run.nemo.evaluated_rows(job).await {
                Ok(rows) => Ok(Some(Some(rows))),
                Err(error) if error.status() == Some(404) => {
                    let enough = if error.is_not_found() { 1 } else { FOREIGN_LOOKS };
                    let looked = looks.fetch_add(1, Ordering::Relaxed) + 1;
                    Ok((looked >= enough && asked.elapsed() >= settle).then_some(None))
                }
                Err(error) => Err(error.into()),
            }
        })
        .await?;
    if let Some(rows) = archive {
        return Ok((rows, RowsFrom::Evaluator));
    }
    let named = variant.of(&candidate.model_name);
    run.warn(format!("{named}: the evaluator has no rows of job {job}, so the NIM itself was asked for them"))?;
    Ok((ask_nim::rows(run, model, kind(run)?, &run.dir.join(dataset_of(variant).1)).await?, RowsFrom::Nim))
}

/// Returns how the rows of the run are asked and scored.
///
/// # Errors
/// When the datasets are not made yet.
pub(super) fn kind(run: &RunContext) -> anyhow::Result<EvaluationKind> {
    Ok(match manifest(run)?.workload_type {
        WorkloadType::ToolCalling => EvaluationKind::ToolCalling,
        WorkloadType::Classification => EvaluationKind::Classification,
        WorkloadType::Text => EvaluationKind::Text,
    })
}

/// Warns of rows that the judge did not rate, with the reason that the service gives.
fn warn_of_unrated(run: &RunContext, named: &str, kind: WorkloadType, replies: &Replies<'_>) -> anyhow::Result<()> {
    let (unrated, why) = match kind {
        WorkloadType::Text => text_scores::unrated(replies),
        WorkloadType::ToolCalling | WorkloadType::Classification => tool_scores::unrated(replies),
    };
    if unrated == 0 {
        return Ok(());
    }
    let why = why.map_or_else(String::new, |why| format!("; the first reason: {why}"));
    let effect = if unrated == replies.len() {
        "so there is no score of the judge"
    } else {
        "which count only in judge_unrated"
    };
    run.warn(format!("{named}: the judge gave no rating for {unrated} of {} rows, {effect}{why}", replies.len()))
}

/// Returns the finished job. A job that an earlier process had begun to cancel is replaced by another.
async fn finished_job(
    run: &RunContext,
    candidate: &Candidate,
    variant: ModelVariant,
    model: &str,
) -> anyhow::Result<(Resource, String)> {
    loop {
        let resource = hold_job(run, candidate, variant, model).await?;
        let job = resource.remote_id.clone().context("the evaluation job has no id")?;
        match wait_for_job(run, candidate, variant, &resource, &job).await {
            Ok(()) => return Ok((resource, job)),
            Err(error) if error.is::<JobCancelled>() && resource.intended_ms < run.started_ms => {}
            Err(error) => return Err(error),
        }
    }
}

async fn hold_job(
    run: &RunContext,
    candidate: &Candidate,
    variant: ModelVariant,
    model: &str,
) -> anyhow::Result<Resource> {
    let kind = ResourceKind::Evaluation;
    let base = run.name_of(candidate, kind, &format!("{}-eval", variant.as_str()))?;
    let spec = ResourceSpec { kind, base: &base, candidate: Some(&candidate.model_name), by_name: false };
    let look_up = |resource: Resource| async move {
        let job = match &resource.remote_id {
            Some(id) => run.nemo.evaluation_job(id).await?,
            None => {
                let description = names::description(&resource.name, &run.owner);
                run.nemo.find_evaluation_job(&description).await?
            }
        };
        Ok(match job {
            None => Lookup::Absent,
            Some(job) if matches!(job.status, JobStatus::Failed(_) | JobStatus::Cancelled) => {
                Lookup::Spent(Some(job.id))
            }
            Some(job) if run.store.fact(&run.id, &unanswered_key(&job.id))? == Some(true) => {
                Lookup::Spent(Some(job.id))
            }
            Some(job) => Lookup::Found(Some(job.id)),
        })
    };
    let dataset = &datasets::name(run, dataset_of(variant).0)?;
    let kind = self::kind(run)?;
    let judge = &match judge::of_run(run)?.map(|judge| judge.for_evaluator()) {
        Some(JudgeModel::Served(name)) => {
            Some(JudgeModel::Served(run.read(run.nemo.base_model_id(&base_model::named(&name))).await?))
        }
        other => other,
    };
    let create = |resource: Resource| async move {
        let new = NewEvaluation {
            namespace: run.plan.platform.namespace.clone(),
            description: names::description(&resource.name, &run.owner),
            kind,
            judge: judge.clone(),
            model: model.to_owned(),
            dataset: dataset.clone(),
            file: datasets::EVAL_FILE.to_owned(),
            temperature: Some(EVALUATION_TEMPERATURE),
        };
        Ok(Some(run.nemo.create_evaluation_job(&new).await?.id))
    };
    run.hold(spec, look_up, create).await.with_context(|| format!("cannot start the evaluation of {model}"))
}

async fn wait_for_job(
    run: &RunContext,
    candidate: &Candidate,
    variant: ModelVariant,
    resource: &Resource,
    job: &str,
) -> anyhow::Result<()> {
    let model = Some(candidate.model_name.as_str());
    let step = step_of(variant);
    let what = format!("evaluation job {job}");
    let last_word = LastWord::default();
    let waited = run.wait(&what, names::millis(run.plan.limits.evaluate_ms), "evaluate", || async {
        let Some(there) = run.nemo.evaluation_job(job).await? else {
            run.store.mark_released(resource.id)?;
            bail!("evaluation job {job} has disappeared from the platform");
        };
        last_word.note(&there.status, None);
        match there.status {
            JobStatus::Done => return Ok(Some(())),
            JobStatus::Failed(why) => {
                run.store.mark_finished(resource.id)?;
                bail!("evaluation job {job} failed: {why}");
            }
            JobStatus::Cancelled => {
                run.store.mark_finished(resource.id)?;
                return Err(JobCancelled { job: format!("evaluation job {job}") }.into());
            }
            JobStatus::Waiting | JobStatus::Unknown(_) => {
                run.progress(model, step, None, Some("pending".to_owned()));
            }
            JobStatus::Running(percent) => {
                let percent = percent.or(there.progress).map(f64::from);
                run.progress(model, step, percent, None);
            }
        }
        Ok(None)
    });
    let waited = waited.await;
    last_word.explain(&what, waited)
}

/// Scores answers that were given on this machine, and writes them to a file of the run.
///
/// # Errors
/// When the eval set cannot be read, or the file cannot be written.
pub(super) fn score_here(run: &RunContext, answers: &[EvaluatedRow], file: String) -> anyhow::Result<EvaluationFact> {
    let reader = LabelReader::new(&run.plan.data.labels).map_err(anyhow::Error::msg)?;
    let plain = run.dir.join(dataset::EVAL);
    let set = EvalSet::read(&plain, &plain, reader, &manifest(run)?)?;
    let replies = set.replies(answers)?;
    let mut fact = scored(&set, &replies, &EvaluationScores::default(), run.plan.data.split.random_seed, false)?;
    run.create_folder("rows")?;
    row_outputs::write(&run.dir.join(&file), &set, &replies)?;
    fact.file = file;
    Ok(fact)
}

/// Scores the replies. A row without a reply counts as wrong.
fn scored(
    set: &EvalSet,
    replies: &Replies<'_>,
    platform: &EvaluationScores,
    seed: u64,
    judged: bool,
) -> anyhow::Result<EvaluationFact> {
    let fact = counted(replies);
    match set.workload_type {
        WorkloadType::Text => Ok(EvaluationFact { scores: text_scores::scores(set, replies, judged, seed), ..fact }),
        WorkloadType::ToolCalling => {
            Ok(EvaluationFact { scores: tool_scores::scores(replies, set.units.as_deref(), judged), ..fact })
        }
        WorkloadType::Classification => {
            let scores = label_scores(set, replies, platform, seed)?;
            let confusion = Some(scores.confusion);
            Ok(EvaluationFact { scores: scores.scores, classes: scores.classes, confusion, ..fact })
        }
    }
}

/// Counts rows and tokens. Scores are still missing.
fn counted(replies: &Replies<'_>) -> EvaluationFact {
    let sum = |tokens: fn(&EvaluatedRow) -> Option<u64>| -> Option<u64> {
        replies.iter().try_fold(0_u64, |all, row| Some(all.saturating_add(row.and_then(tokens)?)))
    };
    let silent = |row: &EvaluatedRow| row.output_text.is_none() && row.called.is_empty();
    let mut times: Vec<f64> =
        replies.iter().filter_map(|row| Some(row.as_ref()?.took?.as_secs_f64() * 1000.0)).collect();
    times.sort_by(f64::total_cmp);
    EvaluationFact {
        job: String::new(),
        rows: replies.len() as u64,
        cut_off: replies.iter().flatten().filter(|row| row.cut_off).count() as u64,
        unanswered: replies.iter().filter(|row| row.is_none_or(silent)).count() as u64,
        rows_from: None,
        seconds: None,
        scores: std::collections::BTreeMap::new(),
        classes: Vec::new(),
        confusion: None,
        p50_ms: dataset::nearest_rank(&times, 0.5),
        p95_ms: dataset::nearest_rank(&times, 0.95),
        prompt_tokens: sum(|row| row.prompt_tokens),
        completion_tokens: sum(|row| row.completion_tokens),
        file: String::new(),
    }
}
