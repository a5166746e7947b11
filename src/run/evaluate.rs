//! One evaluation of a candidate: the job, its rows, their scores.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::Value;

use super::cx::{Cx, Look, Spec};
use super::event::Step;
use super::judge;
use super::names;
use super::outcome::{EvaluationFact, JobCancelled, MANIFEST, Which, evaluation_key};
use super::release::looked_for_since;
use super::tool_scores;
use super::{base_model, datasets};
use crate::config::plan::Candidate;
use crate::data::label::{self, LabelReader};
use crate::data::workload_type::WorkloadType;
use crate::nemo::{EvaluatedRow, EvaluationKind, EvaluationScores, JobStatus, JudgeModel, NewEvaluation};
use crate::score::classification::{Judged, Prediction, score};
use crate::score::{Estimate, interval};
use crate::source::dataset::{self, Manifest};
use crate::store::{Resource, ResourceKind};

/// Nearly greedy: two evaluations of one model should agree. Some services refuse exactly 0.
const TEMPERATURE: f64 = 0.01;

/// The bootstrap's stream for NeMo's own score, apart from those of ours.
const NEMO_STREAM: u64 = 0xf1;

/// Evaluates one model of a candidate, unless an earlier process has.
///
/// # Errors
/// When the job ends badly or takes too long, or its rows are not those of the eval set.
pub async fn evaluate(cx: &Cx, candidate: &Candidate, which: Which, model: &str) -> anyhow::Result<EvaluationFact> {
    let key = evaluation_key(&candidate.model_name, which);
    let work = measure(cx, candidate, which, model);
    cx.step_once(&key, Some(&candidate.model_name), step(which), work, |fact: &EvaluationFact| {
        let said = |name: &str, words: &str| Some(format!("{words} {:.3}", fact.scores.get(name)?.value));
        let calls = || [said(tool_scores::HEADLINE, "name and arguments"), said(tool_scores::CORRECTNESS, "judge")];
        let calls = || calls().into_iter().flatten().reduce(|all, next| format!("{all}, {next}"));
        said("macro_f1", "macro F1").or_else(calls)
    })
    .await
}

fn step(which: Which) -> Step {
    match which {
        Which::Base => Step::BaseEvaluation,
        Which::Customized => Step::CustomizedEvaluation,
    }
}

fn manifest(cx: &Cx) -> anyhow::Result<Manifest> {
    cx.store.fact(&cx.run, MANIFEST)?.context("the manifest of this run is gone")
}

async fn measure(cx: &Cx, candidate: &Candidate, which: Which, model: &str) -> anyhow::Result<EvaluationFact> {
    let (row, job) = finished_job(cx, candidate, which, model).await?;
    cx.store.mark_finished(row.id)?;
    let seconds = cx.seconds_of(&row);
    let results =
        cx.read(cx.nemo.evaluation_scores(&job)).await.with_context(|| format!("reading the results of {job}"))?;
    let rows = cx.read(cx.nemo.evaluated_rows(&job)).await.with_context(|| format!("downloading the rows of {job}"))?;
    let manifest = manifest(cx)?;
    let reader = LabelReader::new(&cx.plan.data.labels).map_err(anyhow::Error::msg)?;
    let golds = golds(&cx.dir.join(dataset::EVAL), &reader, &manifest)?;
    let seed = cx.plan.data.split.random_seed;
    let judge = judge::asked(cx)?.map(|asked| asked.told());
    let mut fact = scored(&golds, &rows, &reader, &manifest, &results, seed, judge.is_some())
        .with_context(|| format!("scoring the rows of evaluation job {job}"))?;
    fact.job = job;
    fact.seconds = seconds;
    fact.file = format!("rows/{}-{}.jsonl", cx.slugs.of(&candidate.model_name), which.as_str());
    cx.folder("rows")?;
    write_rows(&cx.dir.join(&fact.file), &golds, &rows, &reader, &manifest)?;
    if let Some(judge) = judge {
        warn_of_unrated(cx, model, &judge, &replies(&golds, &rows)?)?;
    }
    if fact.unanswered > 0 {
        cx.warn(format!(
            "{model}: the evaluator returned no reply for {} of {} rows; they count as wrong",
            fact.unanswered, fact.rows
        ))?;
    }
    Ok(fact)
}

/// Says for how many rows there is no rating, and why as far as the service tells.
fn warn_of_unrated(cx: &Cx, model: &str, judge: &JudgeModel, replies: &[Option<&EvaluatedRow>]) -> anyhow::Result<()> {
    let (unrated, why) = tool_scores::unrated(replies);
    if unrated == 0 {
        return Ok(());
    }
    let why = why.map_or_else(String::new, |why| format!("; the first: {}", judge.without_key(why)));
    let then =
        if unrated == replies.len() { "there is no judge_correctness" } else { "they count in judge_unrated alone" };
    cx.warn(format!("{model}: the judge gave no rating for {unrated} of {} rows, {then}{why}", replies.len()))
}

/// The finished job. One of an earlier process that ends cancelled was being given back when that process died: then
/// another one is started.
async fn finished_job(cx: &Cx, candidate: &Candidate, which: Which, model: &str) -> anyhow::Result<(Resource, String)> {
    loop {
        let row = hold_job(cx, candidate, which, model).await?;
        let job = row.remote_id.clone().context("the evaluation job has no id")?;
        match finish(cx, candidate, which, &row, &job).await {
            Ok(()) => return Ok((row, job)),
            Err(error) if error.is::<JobCancelled>() && row.intended_ms < cx.started_ms => {}
            Err(error) => return Err(error),
        }
    }
}

async fn hold_job(cx: &Cx, candidate: &Candidate, which: Which, model: &str) -> anyhow::Result<Resource> {
    let slug = cx.slugs.of(&candidate.model_name);
    let base = names::of_candidate(&cx.run, slug, &format!("{}-eval", which.as_str()));
    let spec =
        Spec { kind: ResourceKind::Evaluation, base: &base, candidate: Some(&candidate.model_name), by_name: false };
    let look = |row: Resource| async move {
        let job = match &row.remote_id {
            Some(id) => cx.nemo.evaluation_job(id).await?,
            None => {
                let description = names::description(&row.name, &cx.owner);
                cx.nemo.find_evaluation_job(&description, looked_for_since(&row)).await?
            }
        };
        Ok(match job {
            None => Look::Absent,
            Some(job) if matches!(job.status, JobStatus::Failed(_) | JobStatus::Cancelled) => Look::Spent(Some(job.id)),
            Some(job) => Look::There(Some(job.id)),
        })
    };
    let dataset = &datasets::name(cx, datasets::EVAL)?;
    let kind = match manifest(cx)?.workload_type {
        WorkloadType::ToolCalling => EvaluationKind::ToolCalling,
        WorkloadType::Classification => EvaluationKind::Classification,
    };
    let judge = &match judge::asked(cx)?.map(|asked| asked.told()) {
        Some(JudgeModel::Served(name)) => {
            Some(JudgeModel::Served(cx.read(cx.nemo.base_model_id(&base_model::named(&name))).await?))
        }
        other => other,
    };
    let create = |row: Resource| async move {
        let job = cx
            .nemo
            .create_evaluation_job(&NewEvaluation {
                namespace: cx.plan.platform.namespace.clone(),
                description: names::description(&row.name, &cx.owner),
                kind,
                judge: judge.clone(),
                model: model.to_owned(),
                dataset: dataset.clone(),
                file: datasets::EVAL_FILE.to_owned(),
                temperature: Some(TEMPERATURE),
            })
            .await?;
        Ok(Some(job.id))
    };
    cx.hold(spec, look, create).await.with_context(|| format!("starting the evaluation of {model}"))
}

async fn finish(cx: &Cx, candidate: &Candidate, which: Which, row: &Resource, job: &str) -> anyhow::Result<()> {
    let what = format!("evaluation job {job}");
    cx.wait(&what, names::millis(cx.plan.limits.evaluate_ms), "evaluate", || async {
        let Some(there) = cx.nemo.evaluation_job(job).await? else {
            cx.store.mark_released(row.id)?;
            bail!("evaluation job {job} has gone from the platform");
        };
        match there.status {
            JobStatus::Done => return Ok(Some(())),
            JobStatus::Failed(why) => {
                cx.store.mark_finished(row.id)?;
                let judge = judge::asked(cx)?.map(|asked| asked.told());
                let why = judge.map_or_else(|| why.clone(), |judge| judge.without_key(&why));
                bail!("evaluation job {job} failed: {why}");
            }
            JobStatus::Cancelled => {
                cx.store.mark_finished(row.id)?;
                return Err(JobCancelled { job: format!("evaluation job {job}") }.into());
            }
            JobStatus::Waiting | JobStatus::Unknown(_) => {
                cx.progress(Some(&candidate.model_name), step(which), None, Some("pending".to_owned()));
            }
            JobStatus::Running(percent) => {
                let percent = percent.or(there.progress).map(f64::from);
                cx.progress(Some(&candidate.model_name), step(which), percent, None);
            }
        }
        Ok(None)
    })
    .await
}

/// A row of the eval set: how it is recognised among the evaluator's rows, and its true label.
struct Gold {
    users: String,
    label: usize,
}

/// The rows of the eval set, in the order of its file.
fn golds(path: &Path, reader: &LabelReader, manifest: &Manifest) -> anyhow::Result<Vec<Gold>> {
    let labels: Vec<String> = manifest.classes.keys().cloned().collect();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            let row: Value = serde_json::from_str(line)
                .with_context(|| format!("reading row {} of {}", index + 1, path.display()))?;
            let said = |place: &str| row.pointer(place).and_then(Value::as_str).unwrap_or_default();
            let label = match manifest.workload_type {
                WorkloadType::ToolCalling => {
                    let function = label::key(said("/response/choices/0/message/tool_calls/0/function/name"));
                    labels.iter().position(|known| label::key(known) == function)
                }
                WorkloadType::Classification => reader.strict(said("/response/choices/0/message/content"), &labels),
            };
            let label = label
                .with_context(|| format!("row {} of {} has no label of the manifest", index + 1, path.display()))?;
            Ok(Gold { users: user_texts(&row), label })
        })
        .collect()
}

/// What a request asked: its user messages, or all messages when none is the user's. After dedup no two rows of a
/// dataset share it.
fn user_texts(row: &Value) -> String {
    let messages = row.pointer("/request/messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let of_user = |message: &&Value| message["role"] == "user";
    let any = messages.iter().any(|message| of_user(&message));
    let asked = messages.iter().filter(|message| !any || of_user(message)).map(|message| &message["content"]);
    Value::Array(asked.cloned().collect()).to_string()
}

/// Scores the evaluator's rows against the eval set. A row without a reply is a wrong answer.
fn scored(
    golds: &[Gold],
    rows: &[EvaluatedRow],
    reader: &LabelReader,
    manifest: &Manifest,
    results: &EvaluationScores,
    seed: u64,
    judged: bool,
) -> anyhow::Result<EvaluationFact> {
    let labels: Vec<String> = manifest.classes.keys().cloned().collect();
    let replies = replies(golds, rows)?;
    if manifest.workload_type == WorkloadType::ToolCalling {
        return Ok(EvaluationFact { scores: tool_scores::scores(&replies, judged), ..counted(&replies) });
    }
    let judged = |read: &dyn Fn(&str) -> Prediction| -> Vec<Judged> {
        let predict = |reply: &Option<&EvaluatedRow>| {
            reply.and_then(|row| row.output_text.as_deref()).map_or(Prediction::Unparseable, read)
        };
        golds.iter().zip(&replies).map(|(gold, reply)| Judged { gold: gold.label, predicted: predict(reply) }).collect()
    };
    let strict = judged(&|text| prediction(reader.strict(text, &labels), reader.read(text).is_some()));
    let lenient = judged(&|text| prediction(reader.lenient(text, &labels), reader.read(text).is_some()));
    let strict = score(&strict, &labels, seed).context("the eval set has no rows")?;
    let lenient = score(&lenient, &labels, seed).context("the eval set has no rows")?;
    let mut scores = strict.named("");
    scores.extend(lenient.named("_lenient"));
    if let Some(nemo) = nemo_f1(&replies, results, seed) {
        scores.insert("nemo_f1".to_owned(), nemo);
    }
    Ok(EvaluationFact { scores, classes: strict.classes, confusion: Some(strict.confusion), ..counted(&replies) })
}

/// What is counted of every kind of reply.
fn counted(replies: &[Option<&EvaluatedRow>]) -> EvaluationFact {
    let sum = |tokens: fn(&EvaluatedRow) -> Option<u64>| -> Option<u64> {
        replies.iter().map(|row| row.and_then(tokens)).sum::<Option<u64>>()
    };
    let silent = |row: &EvaluatedRow| row.output_text.is_none() && row.called.is_empty();
    EvaluationFact {
        job: String::new(),
        rows: replies.len() as u64,
        unanswered: replies.iter().filter(|row| row.is_none_or(silent)).count() as u64,
        seconds: None,
        scores: BTreeMap::new(),
        classes: Vec::new(),
        confusion: None,
        prompt_tokens: sum(|row| row.prompt_tokens),
        completion_tokens: sum(|row| row.completion_tokens),
        file: String::new(),
    }
}

fn prediction(label: Option<usize>, has_label: bool) -> Prediction {
    match (label, has_label) {
        (Some(label), _) => Prediction::Label(label),
        (None, true) => Prediction::OffTaxonomy,
        (None, false) => Prediction::Unparseable,
    }
}

/// The evaluator's row of each row of the eval set, `None` where it returned none.
fn replies<'r>(golds: &[Gold], rows: &'r [EvaluatedRow]) -> anyhow::Result<Vec<Option<&'r EvaluatedRow>>> {
    let mut by_users: HashMap<String, &EvaluatedRow> = HashMap::with_capacity(rows.len());
    for row in rows {
        by_users.insert(user_texts(&row.item), row);
    }
    let replies: Vec<Option<&EvaluatedRow>> = golds.iter().map(|gold| by_users.remove(&gold.users)).collect();
    if replies.iter().all(Option::is_none) || !by_users.is_empty() {
        bail!(
            "the evaluator returned {} rows, of which {} are not in the eval set of {} rows",
            rows.len(),
            by_users.len(),
            golds.len()
        );
    }
    Ok(replies)
}

/// NeMo's own score as the service tells it, with an interval from its row scores where all rows have one.
fn nemo_f1(replies: &[Option<&EvaluatedRow>], results: &EvaluationScores, seed: u64) -> Option<Estimate> {
    let value = results.token_f1()?;
    let of =
        |row: &EvaluatedRow| row.scores.get("f1").and_then(|f1| f1.get("f1_score").or_else(|| f1.get("f1"))).copied();
    let each: Option<Vec<f64>> = replies.iter().map(|row| row.and_then(of)).collect();
    let ends = each.and_then(|each| interval::mean(&each, seed, NEMO_STREAM));
    Some(Estimate::between(value, ends))
}

/// A line of the row-level outputs.
#[derive(Serialize)]
struct Line<'a> {
    row: usize,
    gold: &'a str,
    predicted: Option<&'a str>,
    reply: Option<&'a str>,
    user: &'a str,
    scores: BTreeMap<&'a str, &'a BTreeMap<String, f64>>,
}

/// Writes the row-level outputs, complete or not at all. Labels are written as the manifest shows them.
fn write_rows(
    path: &Path,
    golds: &[Gold],
    rows: &[EvaluatedRow],
    reader: &LabelReader,
    manifest: &Manifest,
) -> anyhow::Result<()> {
    let labels: Vec<String> = manifest.classes.keys().cloned().collect();
    let replies = replies(golds, rows)?;
    let mut text = String::new();
    for (index, (gold, reply)) in golds.iter().zip(&replies).enumerate() {
        let said = reply.and_then(|row| row.output_text.as_deref());
        let predicted = match manifest.workload_type {
            WorkloadType::ToolCalling => reply.and_then(|row| row.called.first()).map(String::as_str),
            WorkloadType::Classification => said.and_then(|text| match reader.strict(text, &labels) {
                Some(label) => Some(labels[label].as_str()),
                None => reader.read(text),
            }),
        };
        let line = Line {
            row: index,
            gold: &labels[gold.label],
            predicted,
            reply: said,
            user: &gold.users,
            scores: reply
                .map(|row| row.scores.iter().map(|(name, scores)| (name.as_str(), scores)).collect())
                .unwrap_or_default(),
        };
        text.push_str(&serde_json::to_string(&line).context("writing a row")?);
        text.push('\n');
    }
    let act = || format!("writing {}", path.display());
    let partial = path.with_extension("part");
    std::fs::write(&partial, text).with_context(act)?;
    std::fs::rename(&partial, path).with_context(act)
}
