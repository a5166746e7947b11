//! The gates of a run: scores that it must reach (`--min`), and an earlier run that it must not fall behind (`--baseline`).

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::across::{self, Across, PastModel, PastRun};
use super::outcome::EvaluationFact;
use crate::score::verdict::LEVEL;
use crate::store::{RunRow, Store};
use crate::vocabulary::RunState;

/// The key of the gates that were asked for.
pub(crate) const ASKED: &str = "gates-asked";

/// The key of what became of them.
pub(crate) const JUDGED: &str = "gates";

/// Names the newest completed run of the same workload before a run.
pub(crate) const LATEST: &str = "latest";

/// The scores that a gate can name, beside those of a class.
const SCORES: [&str; 17] = [
    "accuracy",
    "accuracy_lenient",
    "function_name_accuracy",
    "judge_correctness",
    "judge_similarity",
    "kappa",
    "kappa_lenient",
    "macro_f1",
    "macro_f1_lenient",
    "micro_f1",
    "micro_f1_lenient",
    "name_and_arguments_accuracy",
    "nemo_f1",
    "rouge_l",
    "token_f1",
    "weighted_f1",
    "weighted_f1_lenient",
];

/// The scores of a class that a gate can name.
const CLASS_SCORES: [&str; 3] = ["f1", "precision", "recall"];

/// The gates that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gates {
    pub minimums: Vec<Minimum>,
    /// The id of the earlier run, or [`LATEST`] while the workload of the run is not known.
    pub baseline: Option<String>,
}

/// A score that a candidate must reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Minimum {
    /// `None`: any candidate will do.
    pub model: Option<String>,
    pub score: String,
    /// The class whose score it is.
    pub class: Option<String>,
    pub value: f64,
}

/// A gate and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gate {
    /// As it was asked for: `macro_f1=0.85`, or `baseline RUN`.
    pub gate: String,
    pub met: bool,
    /// The number that decided.
    pub explanation: String,
}

impl Gates {
    /// Tells whether there is nothing to judge.
    pub(crate) fn is_empty(&self) -> bool {
        self.minimums.is_empty() && self.baseline.is_none()
    }
}

impl Minimum {
    /// Reads `[MODEL:]SCORE[CLASS]=VALUE`, such as `macro_f1=0.85` or `recall[Bankruptcy]=0.9`.
    ///
    /// # Errors
    /// When the text has another form, or names a score or a model that does not exist.
    pub(crate) fn parse(text: &str, models: &[&str]) -> anyhow::Result<Minimum> {
        let (left, value) = text.rsplit_once('=').context("found no =, allowed: [MODEL:]SCORE=VALUE")?;
        let value: f64 = value
            .trim()
            .parse()
            .ok()
            .filter(|value| (0.0..=1.0).contains(value))
            .with_context(|| format!("found the value {}, allowed: a number from 0 to 1", value.trim()))?;
        let (left, class) = match left.trim().strip_suffix(']').and_then(|left| left.split_once('[')) {
            Some((left, class)) => (left, Some(class.trim().to_owned())),
            None => (left.trim(), None),
        };
        let (model, score) = match left.rsplit_once(':') {
            Some((model, score)) => (Some(model.to_owned()), score),
            None => (None, left),
        };
        let allowed = if class.is_some() { &CLASS_SCORES[..] } else { &SCORES[..] };
        if !allowed.contains(&score) {
            bail!("found the score {score}, allowed: {}", allowed.join(", "));
        }
        if let Some(model) = model.as_deref().filter(|model| !models.contains(model)) {
            bail!("found the model {model}, allowed: {}", models.join(", "));
        }
        Ok(Minimum { model, score: score.to_owned(), class, value })
    }

    fn written(&self) -> String {
        let model = self.model.as_ref().map(|model| format!("{model}:")).unwrap_or_default();
        let class = self.class.as_ref().map(|class| format!("[{class}]")).unwrap_or_default();
        format!("{model}{}{class}={}", self.score, self.value)
    }

    /// Returns the score of an evaluation that the gate is about.
    fn of(&self, fact: &EvaluationFact) -> Option<f64> {
        let Some(label) = &self.class else { return fact.scores.get(&self.score).map(|score| score.value) };
        let class = fact.classes.iter().find(|class| class.support > 0 && class.label.eq_ignore_ascii_case(label))?;
        Some(match self.score.as_str() {
            "precision" => class.precision,
            "recall" => class.recall,
            _ => class.f1,
        })
    }

    fn judged(&self, last: &[&PastModel]) -> Gate {
        let scores = last
            .iter()
            .filter(|last| self.model.as_ref().is_none_or(|model| *model == last.model))
            .filter_map(|last| Some((self.of(&last.fact)?, last)));
        let best = scores.reduce(|best, next| if next.0 > best.0 { next } else { best });
        let explanation = match best {
            Some((score, last)) => format!("{} has {}", last.in_words(), told(score, self.value)),
            None => match &self.class {
                Some(class) => format!("no row of the eval set has the class {class}"),
                None => "no candidate has this score".to_owned(),
            },
        };
        Gate { gate: self.written(), met: best.is_some_and(|(score, _)| score >= self.value), explanation }
    }
}

/// Writes a score with three digits, or with as many as show that it misses what it has to reach.
fn told(score: f64, least: f64) -> String {
    let written = |digits: usize| format!("{score:.digits$}");
    let is_clear = |text: &String| score >= least || text.parse::<f64>().is_ok_and(|shown| shown < least);
    (3..=16).map(written).find(is_clear).unwrap_or_else(|| score.to_string())
}

/// Judges the gates of a run by what its evaluations have left.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn judge(store: &Store, run: &str, state_dir: &Path, gates: &Gates) -> anyhow::Result<Vec<Gate>> {
    let this = PastRun::read(store, run, state_dir)?;
    let last: Vec<&PastModel> = this.last().collect();
    let mut judged: Vec<Gate> = gates.minimums.iter().map(|minimum| minimum.judged(&last)).collect();
    if let Some(baseline) = &gates.baseline {
        let baseline = match baseline.as_str() {
            LATEST => latest_before(store, &this, state_dir)?.map_or_else(|| LATEST.to_owned(), |row| row.id),
            id => id.to_owned(),
        };
        // A baseline that cannot be read is a gate that is missed, not a run that fails.
        let compared = if baseline == LATEST {
            Err(anyhow!("there is no earlier completed run of the workload"))
        } else {
            PastRun::read(store, &baseline, state_dir).and_then(|earlier| against(&this, &earlier))
        };
        let (met, explanation) = compared.unwrap_or_else(|error| (false, format!("{error:#}")));
        judged.push(Gate { gate: format!("baseline {baseline}"), met, explanation });
    }
    Ok(judged)
}

/// Finds the newest completed run of the workload of a run before it that the same score decides.
fn latest_before(store: &Store, this: &PastRun<'_>, state_dir: &Path) -> anyhow::Result<Option<RunRow>> {
    let mut rows = store.runs()?.into_iter().skip_while(|row| row.id != this.id());
    let Some(own) = rows.next() else { return Ok(None) };
    let metric = across::metric(this).ok();
    let is_alike =
        |row: &RunRow| PastRun::read(store, &row.id, state_dir).and_then(|past| across::metric(&past)).ok() == metric;
    Ok(rows.find(|row| is_comparable(row, own.workload.as_deref(), own.rehearsal) && is_alike(row)))
}

/// Tells whether a run can be the latest one that another run is compared with: of its workload, if that is known.
pub(crate) fn is_comparable(row: &RunRow, workload: Option<&str>, rehearsal: bool) -> bool {
    let alike = workload.is_none() || row.workload.as_deref() == workload;
    row.state == RunState::Completed && alike && row.rehearsal == rehearsal
}

/// Compares the best model of a run with the best of an earlier one.
fn against(this: &PastRun<'_>, earlier: &PastRun<'_>) -> anyhow::Result<(bool, String)> {
    let workload = |run: &PastRun<'_>| run.manifest.as_ref().map(|manifest| manifest.workload.clone());
    if let (Some(own), Some(other)) = (workload(this), workload(earlier))
        && own != other
    {
        bail!("it is of the workload {other}, and this run of {own}");
    }
    let metric = across::shared_metric(earlier, this)?;
    let (new, new_score) = best(this, metric).with_context(|| format!("this run has no {metric}"))?;
    let (old, old_score) = best(earlier, metric).with_context(|| format!("the earlier run has no {metric}"))?;
    let Across { difference, paired } = across::compare((earlier, old), (this, new))?;
    let significant = paired.is_none_or(|paired| paired.p <= LEVEL);
    let how = if paired.is_some() { "paired on the same rows" } else { "unpaired: the eval rows differ" };
    let worse = significant && difference.high.is_some_and(|high| high < 0.0);
    let ends = difference.low.zip(difference.high);
    let ends = ends.map_or_else(String::new, |(low, high)| format!(" ({low:+.3} to {high:+.3})"));
    let (new, old) = (format!("{} {new_score:.3}", new.in_words()), format!("{} {old_score:.3}", old.in_words()));
    Ok((!worse, format!("{new} against {old}: {:+.3}{ends}, {how}", difference.value)))
}

/// Returns the candidate whose last evaluation has the best score. Of equal scores the first in the configuration is the
/// best.
fn best<'a>(run: &'a PastRun<'_>, metric: &str) -> Option<(&'a PastModel, f64)> {
    let scored = run.last().filter_map(|last| Some((last, last.fact.scores.get(metric)?.value)));
    scored.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: [&str; 2] = ["meta/llama-3.2-1b-instruct", "dfwfd/ngram-small"];

    #[test]
    fn a_minimum_reads_back_as_it_was_written() {
        for text in [
            "macro_f1=0.85",
            "meta/llama-3.2-1b-instruct:accuracy=0.9",
            "recall[Merger: cash]=0.5",
            "dfwfd/ngram-small:f1[a=b]=1",
        ] {
            assert_eq!(Minimum::parse(text, &MODELS).unwrap().written(), text);
        }
    }

    #[test]
    fn a_score_that_misses_never_looks_as_if_it_met() {
        for (score, least, text) in [
            (0.779_94, 0.78, "0.7799"),
            (2.0 / 3.0, 0.667, "0.6667"),
            (0.779_94, 0.75, "0.780"),
            (0.8, 0.85, "0.800"),
            (0.78, 0.78, "0.780"),
            (0.779_999_6, 0.78, "0.7799996"),
        ] {
            assert_eq!(told(score, least), text, "{score} against {least}");
        }
    }

    #[test]
    fn what_no_run_can_meet_is_refused() {
        for (text, why) in [
            ("macro_f1", "found no ="),
            ("macro_f1=85", "a number from 0 to 1"),
            ("macro_f1=NaN", "a number from 0 to 1"),
            ("f1=0.5", "allowed: accuracy"),
            ("macro_f1[Earnings]=0.5", "allowed: f1, precision, recall"),
            ("gpt:accuracy=0.5", "found the model gpt"),
        ] {
            let error = Minimum::parse(text, &MODELS).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
