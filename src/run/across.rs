//! Models of two recorded runs compared by what their evaluations have left: paired where both answered the same eval rows,
//! as independent scores where they did not.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::outcome::{ComparisonFact, EvaluationFact, MANIFEST, ModelVariant, evaluation_key};
use super::paired::{self, Comparer, Reading, aligned};
use super::rows::{self, OutputRow};
use crate::config::plan::Plan;
use crate::data::label::LabelReader;
use crate::data::options::TypeChoice;
use crate::data::workload_type::WorkloadType;
use crate::score::Estimate;
use crate::score::difference::Difference;
use crate::score::verdict::{Standing, decide};
use crate::source::dataset::Manifest;
use crate::store::Store;

/// An evaluated model of a recorded run.
pub(crate) struct PastModel {
    pub model: String,
    pub variant: ModelVariant,
    pub fact: EvaluationFact,
}

impl PastModel {
    /// Returns the name for people, such as `meta/llama-3.2-1b-instruct, customized`.
    pub(crate) fn in_words(&self) -> String {
        format!("{}, {}", self.model, self.variant.in_words())
    }

    /// Returns `MODEL:base`, `MODEL:icl` or `MODEL:customized`.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.model, self.variant.as_str())
    }
}

/// A recorded run.
pub(crate) struct PastRun<'a> {
    id: &'a str,
    state_dir: &'a Path,
    pub plan: Plan,
    /// `None` when the run ended before it had made its datasets.
    pub manifest: Option<Manifest>,
    /// Every evaluation, in the order of the configuration, the base model first.
    pub models: Vec<PastModel>,
}

/// The difference of two models.
pub(crate) struct Across {
    /// The score of the second model less the score of the first.
    pub difference: Estimate,
    /// `None` where the eval rows are not the same.
    pub paired: Option<Difference>,
}

impl<'a> PastRun<'a> {
    /// Reads a run.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn read(store: &Store, id: &'a str, state_dir: &'a Path) -> anyhow::Result<PastRun<'a>> {
        let plan: Plan = store.plan(id)?;
        let mut models = Vec::new();
        for candidate in &plan.candidates {
            for variant in ModelVariant::ALL {
                let key = evaluation_key(&candidate.model_name, variant);
                if let Some(fact) = store.fact::<EvaluationFact>(id, &key)? {
                    models.push(PastModel { model: candidate.model_name.clone(), variant, fact });
                }
            }
        }
        Ok(PastRun { id, state_dir, plan, manifest: store.fact(id, MANIFEST)?, models })
    }

    /// Returns the id of the run.
    pub(crate) fn id(&self) -> &str {
        self.id
    }

    /// Returns the last evaluation of each candidate.
    pub(crate) fn last(&self) -> impl Iterator<Item = &PastModel> {
        let is_last = |at: usize| self.models.get(at + 1).is_none_or(|next| next.model != self.models[at].model);
        (0..self.models.len()).filter(move |at| is_last(*at)).map(|at| &self.models[at])
    }

    fn rows(&self, one: &PastModel) -> anyhow::Result<Vec<OutputRow>> {
        rows::read(&self.state_dir.join("runs").join(self.id).join(&one.fact.file))
    }
}

/// Returns the name of the score that decides between the models of a run.
pub(crate) fn metric(run: &PastRun<'_>) -> anyhow::Result<&'static str> {
    with_comparer(run, |comparer| Ok(comparer.metric()))
}

/// Returns the name of the score that decides a run with this plan. `None` where only the records tell.
pub(crate) fn planned_metric(plan: &Plan) -> Option<&'static str> {
    let workload = match plan.data.workload_type {
        TypeChoice::Auto => return None,
        TypeChoice::Classification => WorkloadType::Classification,
        TypeChoice::ToolCalling => WorkloadType::ToolCalling,
        TypeChoice::Text => WorkloadType::Text,
    };
    Some(paired::metric(workload, plan.judge_of(workload).is_some()))
}

/// Returns the name of the score that decides both runs.
///
/// # Errors
/// When another score decides each.
pub(crate) fn shared_metric(old: &PastRun<'_>, new: &PastRun<'_>) -> anyhow::Result<&'static str> {
    let (before, after) = (metric(old)?, metric(new)?);
    ensure!(before == after, "run {} was decided by {before}, and this run is by {after}", old.id);
    Ok(after)
}

/// Compares a model of the run `new` with one of the run `old` by the score that decides.
///
/// # Errors
/// When one of them has no such score, or its rows cannot be read.
pub(crate) fn compare(
    (old, before): (&PastRun<'_>, &PastModel),
    (new, after): (&PastRun<'_>, &PastModel),
) -> anyhow::Result<Across> {
    with_comparer(new, |comparer| {
        let metric = comparer.metric();
        let score = |one: &PastModel| {
            one.fact.scores.get(metric).copied().with_context(|| format!("{} has no {metric}", one.name()))
        };
        let (from, to) = (score(before)?, score(after)?);
        let rows = new.rows(after)?;
        let Some(earlier) = aligned(old.rows(before)?, &rows) else {
            return Ok(Across { difference: independent(to, from), paired: None });
        };
        let paired = comparer.difference(&earlier, &rows, Reading::Strict).context("the eval set has no rows")?;
        Ok(Across { difference: paired.estimate(), paired: Some(paired) })
    })
}

/// Compares each model that both runs evaluated, as one family: the `new` run's against the `old` run's. Runs that
/// different scores decide have none.
///
/// # Errors
/// As [`compare`].
pub(crate) fn compare_all(old: &PastRun<'_>, new: &PastRun<'_>) -> anyhow::Result<Vec<ComparisonFact>> {
    let (own, margin) = (metric(new)?, new.plan.verdict.margin);
    let Some(metric) = metric(old).ok().filter(|other| *other == own) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for after in &new.models {
        let is_same = |before: &&PastModel| before.model == after.model && before.variant == after.variant;
        let is_scored = |one: &&PastModel| one.fact.scores.contains_key(metric);
        if let Some(before) = old.models.iter().find(is_same).filter(is_scored).filter(|_| is_scored(&after)) {
            found.push((after.name(), compare((old, before), (new, after))?));
        }
    }
    let paired: Vec<Difference> = found.iter().filter_map(|(_, one)| one.paired).collect();
    let mut decided = decide(&paired, margin).into_iter();
    let facts = found.into_iter().map(|(name, one)| {
        let decision = one.paired.and_then(|_| decided.next());
        let (verdict, explanation) = match &decision {
            Some(decision) => (decision.standing.to_string(), decision.to_string()),
            None => {
                let standing = standing(one.difference, margin);
                (standing.to_string(), format!("{standing}, unpaired: the eval rows differ"))
            }
        };
        ComparisonFact {
            a: name.clone(),
            b: name,
            metric: metric.to_owned(),
            difference: one.difference,
            p: decision.map(|decision| decision.p_adjusted),
            verdict,
            explanation,
            detectable: decision.and_then(|decision| decision.detectable),
        }
    });
    Ok(facts.collect())
}

/// Decides by the interval alone.
fn standing(difference: Estimate, margin: f64) -> Standing {
    match difference.low.zip(difference.high) {
        Some((low, high)) if -margin < low && high < margin => Standing::Same,
        Some((low, _)) if low > 0.0 => Standing::Better,
        Some((_, high)) if high < 0.0 => Standing::Worse,
        _ => Standing::CannotTell,
    }
}

fn with_comparer<T>(run: &PastRun<'_>, act: impl FnOnce(&Comparer<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let manifest = run.manifest.as_ref().with_context(|| format!("run {} has no datasets", run.id))?;
    let reader = LabelReader::new(&run.plan.data.labels).map_err(anyhow::Error::msg)?;
    let (seed, margin) = (run.plan.data.split.random_seed, run.plan.verdict.margin);
    let judged = run.plan.judge_of(manifest.workload_type).is_some();
    act(&Comparer { manifest, reader: &reader, seed, margin, judged })
}

/// Returns the difference of two independent scores from their intervals (the square-and-add method: Zou and Donner 2008,
/// Stat. Med. 27:1693). Two intervals without a width, which earlier versions gave to few rows, are none.
fn independent(new: Estimate, old: Estimate) -> Estimate {
    let value = new.value - old.value;
    if [new, old].iter().all(|one| one.low == one.high) {
        return Estimate::bare(value);
    }
    let below = |one: Estimate| Some(one.value - one.low?);
    let above = |one: Estimate| Some(one.high? - one.value);
    let low = below(new).zip(above(old)).map(|(new, old)| value - new.hypot(old));
    let high = above(new).zip(below(old)).map(|(new, old)| value + new.hypot(old));
    Estimate { value, low, high }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Newcombe 1998, Stat. Med. 17:873, table II, case (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339.
    #[test]
    fn independent_proportions_have_the_published_interval() {
        let share = |part: u64, all: u64| {
            Estimate::between(part as f64 / all as f64, crate::score::interval::wilson(part as f64, all as f64))
        };
        let found = independent(share(56, 70), share(48, 80));
        assert!((found.value - 0.2).abs() < 1e-9);
        assert!((found.low.unwrap() - 0.0524).abs() < 5e-5, "{found:?}");
        assert!((found.high.unwrap() - 0.3339).abs() < 5e-5, "{found:?}");
    }

    #[test]
    fn intervals_without_a_width_decide_nothing() {
        let point = |value| Estimate::between(value, Some((value, value)));
        let found = independent(point(0.2), point(1.0));
        assert_eq!(found, Estimate::bare(0.2 - 1.0));
        assert_eq!(standing(found, 0.02), Standing::CannotTell);
        let one = independent(point(0.2), Estimate::between(1.0, Some((0.9, 1.0))));
        assert_eq!(standing(one, 0.02), Standing::Worse);
    }
}
