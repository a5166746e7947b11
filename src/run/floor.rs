//! The floor of a run: an n-gram classifier, trained on this machine with the training set of the run and measured on its
//! eval set. It takes seconds and no GPU, so a customized model has to be better than it. Asks no platform.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use super::context::RunContext;
use super::evaluate;
use super::evaluate::tool_scores::{calls_of, scores_of_calls};
use super::event::Step;
use super::outcome::{ComparisonFact, EvaluationFact, FLOOR, MANIFEST};
use super::paired::{Comparer, Reading};
use super::rows::OutputRow;
use super::signals::Interrupted;
use crate::data::label::LabelReader;
use crate::data::workload_type::WorkloadType;
use crate::nemo::{Call, EvaluatedRow, TOOL_METRIC};
use crate::score::verdict::{Standing, decide};
use crate::source::dataset::{self, Manifest};
use crate::student::{Adapter, Example, Message, StudentSize, Tool, TrainError, TrainOptions, calls_as_reply, train};

/// Training rows that the floor learns from, at most. More cost memory and minutes, and change its scores little.
const TRAINING_ROWS: usize = 20_000;

/// Measures the floor, unless an earlier process has. The run goes on without it.
pub(super) async fn measure(run: &Arc<RunContext>) {
    if !run.plan.verdict.floor {
        return;
    }
    // A classifier writes no texts.
    let manifest = run.store.fact::<Manifest>(&run.id, MANIFEST);
    if manifest.is_ok_and(|manifest| manifest.is_some_and(|manifest| manifest.workload_type == WorkloadType::Text)) {
        return;
    }
    let shared = Arc::clone(run);
    let work = async {
        let made = tokio::task::spawn_blocking(move || make(&shared)).await;
        made.unwrap_or_else(|panic| Err(anyhow::anyhow!("{panic}")))
    };
    let measured = run.step_once(FLOOR, None, Step::Floor, work, evaluate::headline).await;
    if let Err(error) = measured
        && !error.is::<Interrupted>()
        && let Err(error) = run.warn(format!("cannot measure the floor: {error:#}"))
    {
        tracing::error!("cannot record a warning: {error:#}");
    }
}

fn make(run: &RunContext) -> anyhow::Result<EvaluationFact> {
    let started = Instant::now();
    let manifest: Manifest = run.store.fact(&run.id, MANIFEST)?.context("the manifest of this run is missing")?;
    let reader = LabelReader::new(&run.plan.data.labels).map_err(anyhow::Error::msg)?;
    let labels: Vec<String> = manifest.classes.keys().cloned().collect();
    let lessons = Lessons::read(&run.dir.join(dataset::TRAIN), &reader, &labels)?;
    let options = TrainOptions { seed: run.plan.data.split.random_seed, ..TrainOptions::default() };
    let on = &mut |_: &_| if run.stop.check().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let trained = train(StudentSize::Large, &lessons.examples, &[], &options, on);
    if trained == Err(TrainError::Cancelled) {
        run.stop.check()?;
    }
    let adapter = trained.context("cannot train the n-gram classifier")?;
    let mut answers = Vec::new();
    for row in read(&run.dir.join(dataset::EVAL))? {
        run.stop.check()?;
        answers.push(answer(&adapter, &lessons, row)?);
    }
    let mut fact = evaluate::score_here(run, &answers, format!("rows/{FLOOR}.jsonl"))?;
    fact.seconds = Some(started.elapsed().as_secs_f64());
    Ok(fact)
}

/// Reads the rows of a dataset.
fn read(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    rows.with_context(|| format!("cannot read the rows of {}", path.display()))
}

/// The training rows as a student takes them.
struct Lessons {
    examples: Vec<Example>,
    /// The reply of a training row for each reply of the student, which knows labels and not the words around them.
    wordings: HashMap<String, String>,
}

impl Lessons {
    fn read(path: &Path, reader: &LabelReader, labels: &[String]) -> anyhow::Result<Lessons> {
        let mut lessons = Lessons { examples: Vec::new(), wordings: HashMap::new() };
        let rows = read(path)?;
        let step = rows.len().div_ceil(TRAINING_ROWS).max(1);
        for row in rows.into_iter().step_by(step) {
            let messages = row["messages"].as_array().context("a training row has no messages")?;
            let Some((last, before)) = messages.split_last() else { continue };
            let calls = calls_of(&last["tool_calls"]);
            let reply = if calls.is_empty() {
                let text = last["content"].as_str().unwrap_or_default();
                let Some(label) = reader.strict(text, labels) else { continue };
                let reply = format!("[[[{}]]]", labels[label]);
                lessons.wordings.entry(reply.clone()).or_insert_with(|| text.to_owned());
                reply
            } else {
                calls_as_reply(&calls)
            };
            lessons.examples.push(Example { messages: messages_of(before)?, reply, calls });
        }
        Ok(lessons)
    }
}

fn messages_of(messages: &[Value]) -> anyhow::Result<Vec<Message>> {
    let read = messages.iter().map(|message| serde_json::from_value(message.clone())).collect::<Result<_, _>>();
    read.context("cannot read the messages of a row")
}

/// Answers a row of the eval set, as an evaluator returns it.
fn answer(adapter: &Adapter, lessons: &Lessons, row: Value) -> anyhow::Result<EvaluatedRow> {
    let request = &row["request"];
    let messages = messages_of(request["messages"].as_array().map_or(&[][..], Vec::as_slice))?;
    let tool = |tool: &Value| {
        let text = |key: &str| tool["function"][key].as_str().unwrap_or_default().to_owned();
        Tool { name: text("name"), description: text("description") }
    };
    let tools: Vec<Tool> = request["tools"].as_array().into_iter().flatten().map(tool).collect();
    let calls = if tools.is_empty() { None } else { adapter.calls(&messages, &tools, true) };
    let mut answered = EvaluatedRow {
        task: FLOOR.to_owned(),
        item: Value::Null,
        output_text: None,
        called: Vec::new(),
        cut_off: false,
        prompt_tokens: None,
        completion_tokens: None,
        took: None,
        scores: BTreeMap::new(),
        error: None,
    };
    if let Some(calls) = calls {
        let gold = calls_of(&row["response"]["choices"][0]["message"]["tool_calls"]);
        answered.scores.insert(TOOL_METRIC.to_owned(), scores_of_calls(&gold, &calls));
        answered.output_text = Some(calls.iter().map(|call| format!("{} {}", call.name, call.arguments)).collect());
        answered.called = calls.into_iter().map(|call| Call { name: call.name, arguments: call.arguments }).collect();
    } else {
        let reply = adapter.reply(&messages);
        answered.output_text = Some(lessons.wordings.get(&reply).cloned().unwrap_or(reply));
    }
    answered.item = row;
    Ok(answered)
}

/// A model that is compared with the floor.
pub(super) struct Rival<'a> {
    /// As in comparisons.
    pub(super) name: String,
    pub(super) in_words: String,
    pub(super) rows: &'a [OutputRow],
}

/// Compares models with the floor, as one family. Returns the comparisons and a warning for each that is not better.
pub(super) fn compare(
    comparer: &Comparer<'_>,
    floor: &[OutputRow],
    rivals: &[Rival<'_>],
) -> (Vec<ComparisonFact>, Vec<String>) {
    let differences = rivals.iter().filter_map(|rival| comparer.difference(floor, rival.rows, Reading::Strict));
    let differences: Vec<_> = differences.collect();
    let decided = decide(&differences, comparer.margin);
    let mut warnings = Vec::new();
    let mut facts = Vec::new();
    for ((rival, difference), decision) in rivals.iter().zip(&differences).zip(&decided) {
        if decision.standing != Standing::Better {
            warnings.push(format!(
                "{} is not better than the floor, a classifier that trains in seconds: {decision}",
                rival.in_words
            ));
        }
        facts.push(ComparisonFact {
            a: FLOOR.to_owned(),
            b: rival.name.clone(),
            metric: comparer.metric().to_owned(),
            difference: difference.estimate(),
            p: Some(decision.p_adjusted),
            verdict: decision.standing.to_string(),
            explanation: decision.to_string(),
            detectable: decision.detectable,
        });
    }
    (facts, warnings)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::options::LabelRules;

    #[test]
    fn a_model_that_is_not_better_than_the_floor_is_told() {
        let manifest: Manifest = serde_json::from_value(json!({
            "workload": "w", "workload_type": "classification", "source": "jsonl", "read": 0, "rejected": {}, "other": 0,
            "duplicates": 0, "over_limit": 0, "kept": 0, "eval": 0, "train": 0, "validation": 0, "held_back": 0,
            "conflicts": 0, "seed": 1, "files": [], "inputs": [], "warnings": [],
            "classes": {"a": {"eval": 0, "train": 0, "validation": 0}, "b": {"eval": 0, "train": 0, "validation": 0}},
            "types": {"records": 0, "labels": 0, "tool_calls": 0}, "labels": {}
        }))
        .unwrap();
        let reader = LabelReader::new(&LabelRules::default()).unwrap();
        let comparer = Comparer { manifest: &manifest, reader: &reader, seed: 1, margin: 0.02, judged: false };
        let rows = |right: usize| -> Vec<OutputRow> {
            let row = |at: usize| {
                let (gold, other) = if at.is_multiple_of(2) { ("a", "b") } else { ("b", "a") };
                let predicted = if at < right { gold } else { other };
                let (gold, predicted) = (gold.to_owned(), Some(predicted.to_owned()));
                OutputRow { gold, predicted, user: at.to_string(), ..OutputRow::default() }
            };
            (0..200).map(row).collect()
        };
        let (good, alike) = (rows(190), rows(150));
        let rival = |name: &str, rows| Rival { name: format!("{name}:customized"), in_words: name.to_owned(), rows };
        let (facts, warnings) = compare(&comparer, &rows(150), &[rival("good", &good), rival("alike", &alike)]);
        let told: Vec<(&str, &str, &str)> =
            facts.iter().map(|fact| (fact.a.as_str(), fact.b.as_str(), fact.verdict.as_str())).collect();
        assert_eq!(told, [("floor", "good:customized", "better"), ("floor", "alike:customized", "same")]);
        assert_eq!(warnings, ["alike is not better than the floor, a classifier that trains in seconds: same"]);
    }
}
