//! The production model and the candidates against labels that people gave to rows of the eval set.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::across::PastRun;
use super::outcome::{GoldFact, GoldModel};
use super::rows::{self, OutputRow};
use crate::data::gold::GoldRow;
use crate::data::label;
use crate::data::record::{Normaliser, id};
use crate::data::workload_type::WorkloadType;
use crate::score::classification::{Judged, Prediction, score};
use crate::score::verdict::LEVEL;
use crate::score::{Estimate, interval, mcnemar};
use crate::source::dataset;

/// Compares the models of a recorded run with labels of people.
///
/// # Errors
/// When the run has no labels, or no label belongs to an eval row.
pub(crate) fn compare(run: &PastRun<'_>, folder: &Path, file: &str, gold: &[GoldRow]) -> anyhow::Result<GoldFact> {
    let manifest = run.manifest.as_ref().with_context(|| format!("run {} has no datasets", run.id()))?;
    if manifest.workload_type != WorkloadType::Classification {
        bail!("labels of people are for classifications");
    }
    let known = Known::of(gold);
    let human = known.matched(folder)?;
    let found = human.iter().flatten().count();
    if found == 0 {
        bail!("none of its {} labels belongs to a row of the eval set, by id or by the text of the user", gold.len());
    }
    let mut labels: Vec<String> = manifest.classes.keys().cloned().collect();
    for label in human.iter().flatten() {
        if place(&labels, label).is_none() {
            labels.push((*label).to_owned());
        }
    }
    let seed = run.plan.data.split.random_seed;
    let scores = |rows: &[Judged]| {
        let mut scores = score(rows, &labels, seed).map(|scores| scores.named("")).unwrap_or_default();
        scores.retain(|name, _| ["accuracy", "macro_f1", "kappa"].contains(&name.as_str()));
        scores
    };
    let mut fact = GoldFact {
        file: file.to_owned(),
        labels: gold.len() as u64,
        matched: found as u64,
        unmatched: (gold.len() - found - known.left_out) as u64,
        contradictory: known.contradictory as u64,
        teacher: BTreeMap::new(),
        models: Vec::new(),
        warnings: Vec::new(),
    };
    for one in &run.models {
        let outputs = rows::read(&folder.join(&one.fact.file))?;
        let labelled = outputs.iter().zip(&human).filter_map(|(row, human)| {
            let teacher = place(&labels, &row.gold);
            Some(Labelled { human: place(&labels, (*human)?)?, teacher, said: said(row, &labels) })
        });
        let labelled: Vec<Labelled> = labelled.collect();
        if fact.teacher.is_empty() {
            let of_teacher =
                |row: &Labelled| Some(Judged { gold: row.human, predicted: Prediction::Label(row.teacher?) });
            fact.teacher = scores(&labelled.iter().filter_map(of_teacher).collect::<Vec<_>>());
        }
        let pairs: Vec<(bool, bool)> =
            labelled.iter().map(|row| (row.agrees(), row.teacher == Some(row.human))).collect();
        fact.warnings.extend(copies_errors(&pairs).map(|why| format!("{}: {why}", one.in_words())));
        fact.models.push(model(one.name(), &labelled, scores));
    }
    Ok(fact)
}

/// A row that people labelled.
struct Labelled {
    human: usize,
    teacher: Option<usize>,
    said: Prediction,
}

impl Labelled {
    fn agrees(&self) -> bool {
        self.teacher.map(Prediction::Label) == Some(self.said)
    }
}

fn said(row: &OutputRow, labels: &[String]) -> Prediction {
    match row.predicted.as_deref() {
        Some(label) => place(labels, label).map_or(Prediction::OffTaxonomy, Prediction::Label),
        None => Prediction::Unparseable,
    }
}

fn model(model: String, labelled: &[Labelled], scores: impl Fn(&[Judged]) -> BTreeMap<String, Estimate>) -> GoldModel {
    let against = |gold: &dyn Fn(&Labelled) -> Option<usize>| {
        let judged = |row: &Labelled| Some(Judged { gold: gold(row)?, predicted: row.said });
        scores(&labelled.iter().filter_map(judged).collect::<Vec<_>>())
    };
    let apart = labelled.iter().filter(|row| !row.agrees());
    let apart: Vec<bool> = apart.map(|row| row.said == Prediction::Label(row.human)).collect();
    let (all, right) = (apart.len() as u64, apart.iter().filter(|right| **right).count() as u64);
    GoldModel {
        model,
        human: against(&|row| Some(row.human)),
        teacher: against(&|row| row.teacher),
        disagreements: all,
        right: (all > 0).then(|| Estimate::between(right as f64 / all as f64, interval::wilson(right, all))),
    }
}

/// Tells if a model agrees with the production model more often than the production model is right, beyond chance (McNemar's
/// exact test on the same rows). Then some of what it agrees on are errors. Each row: does it agree, is the production
/// model right.
fn copies_errors(rows: &[(bool, bool)]) -> Option<String> {
    let count = |wanted: (bool, bool)| rows.iter().filter(|row| **row == wanted).count() as u64;
    let (errors_copied, right_missed) = (count((true, false)), count((false, true)));
    let p = mcnemar::exact(errors_copied, right_missed);
    let agrees = rows.iter().filter(|(agrees, _)| *agrees).count() as f64 / rows.len() as f64;
    let right = rows.iter().filter(|(_, right)| *right).count() as f64 / rows.len() as f64;
    (errors_copied > right_missed && p <= LEVEL).then(|| {
        format!(
            "it agrees with the teacher on {:.0} % of these rows, and the teacher is right on {:.0} %: agreement above that \
             counts copied errors, so do not take the score for accuracy",
            agrees * 100.0,
            right * 100.0
        )
    })
}

/// The labels of people, by what they belong to. What has more than one label has none.
struct Known<'g> {
    by_id: HashMap<String, Option<&'g str>>,
    by_text: HashMap<&'g str, Option<&'g str>>,
    contradictory: usize,
    /// The rows of the file that belong to what is contradictory.
    left_out: usize,
}

impl<'g> Known<'g> {
    fn of(gold: &'g [GoldRow]) -> Known<'g> {
        let mut known = Known { by_id: HashMap::new(), by_text: HashMap::new(), contradictory: 0, left_out: 0 };
        for row in gold {
            let label = row.label.trim();
            if let Some(id) = &row.id {
                enter(&mut known.by_id, id.to_ascii_lowercase(), label);
            }
            if let Some(text) = &row.text {
                enter(&mut known.by_text, text.trim(), label);
            }
        }
        let torn = |row: &&GoldRow| {
            let id = row.id.as_ref().and_then(|id| known.by_id.get(&id.to_ascii_lowercase()));
            let text = row.text.as_deref().and_then(|text| known.by_text.get(text.trim()));
            id == Some(&None) || text == Some(&None)
        };
        known.left_out = gold.iter().filter(torn).count();
        let none = |label: &&Option<&str>| label.is_none();
        known.contradictory = known.by_id.values().filter(none).count() + known.by_text.values().filter(none).count();
        known
    }

    /// Returns the label of each row of the eval set, found by the id of its record, else by its text.
    fn matched(&self, folder: &Path) -> anyhow::Result<Vec<Option<&'g str>>> {
        let path = folder.join(dataset::EVAL);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut normaliser = Normaliser::default();
        let label = |line: &str| -> anyhow::Result<Option<&'g str>> {
            let row: serde_json::Value = serde_json::from_str(line)?;
            let id = String::from_utf8_lossy(&id::hex_digits(normaliser.id(line.as_bytes())?)).into_owned();
            if let Some(label) = self.by_id.get(&id) {
                return Ok(*label);
            }
            let messages = row["request"]["messages"].as_array().map_or(&[][..], Vec::as_slice);
            let asked = messages.iter().rfind(|message| message["role"] == "user");
            let asked = asked.and_then(|message| message["content"].as_str()).unwrap_or_default();
            Ok(self.by_text.get(asked.trim()).copied().flatten())
        };
        text.lines().map(label).collect::<Result<_, _>>().with_context(|| format!("cannot read {}", path.display()))
    }
}

fn enter<'g, K: Eq + Hash>(known: &mut HashMap<K, Option<&'g str>>, key: K, given: &'g str) {
    let entry = known.entry(key).or_insert(Some(given));
    if entry.is_some_and(|before| label::key(before) != label::key(given)) {
        *entry = None;
    }
}

fn place(labels: &[String], label: &str) -> Option<usize> {
    let key = label::key(label);
    labels.iter().position(|known| label::key(known) == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_above_what_the_teacher_has_right_is_told_if_it_is_no_chance() {
        let rows = |copied: usize, missed: usize| -> Vec<(bool, bool)> {
            let kinds = [((true, true), 100 - copied - missed), ((true, false), copied), ((false, true), missed)];
            kinds.into_iter().flat_map(|(kind, n)| std::iter::repeat_n(kind, n)).collect()
        };
        let told = copies_errors(&rows(15, 3)).unwrap();
        assert!(told.contains("on 97 % of these rows, and the teacher is right on 85 %"), "{told}");
        // By hand: 2 * (1/2)^5 is above the level, 2 * (1/2)^6 below it.
        assert!(copies_errors(&rows(5, 0)).is_none() && copies_errors(&rows(6, 0)).is_some());
        assert_eq!((copies_errors(&rows(3, 15)), copies_errors(&rows(7, 7)), copies_errors(&[])), (None, None, None));
    }

    #[test]
    fn what_has_two_labels_has_none() {
        let row = |id: Option<&str>, text: Option<&str>, label: &str| GoldRow {
            id: id.map(str::to_owned),
            text: text.map(str::to_owned),
            label: label.to_owned(),
        };
        let gold = [
            row(None, Some("a"), "X"),
            row(None, Some("a "), "Y"),
            row(None, Some("b"), "X"),
            row(None, Some("b"), " x"),
            row(Some("0F"), None, "X"),
            row(Some("0f"), None, "Y"),
        ];
        let known = Known::of(&gold);
        assert_eq!((known.contradictory, known.left_out), (2, 4));
        assert_eq!((known.by_text["a"], known.by_text["b"], known.by_id["0f"]), (None, Some("X"), None));
    }
}
