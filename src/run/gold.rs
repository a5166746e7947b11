//! The production model and the candidates against labels that people gave to rows of the eval set.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::across::PastRun;
use super::rows::{self, OutputRow};
use crate::data::gold::GoldRow;
use crate::data::label::{self, LabelReader};
use crate::data::record::Normaliser;
use crate::data::workload_type::WorkloadType;
use crate::score::classification::{Judged, Prediction, score_clustered};
use crate::score::verdict::LEVEL;
use crate::score::{Estimate, mcnemar};
use crate::source::dataset;

/// Models against labels that people gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GoldFact {
    /// The name of the file.
    pub file: String,
    /// The labels in it.
    pub labels: u64,
    /// The eval rows that have one.
    pub matched: u64,
    /// The labels that belong to no eval row.
    pub unmatched: u64,
    /// The records and texts with more than one label. They are left out.
    #[serde(default)]
    pub contradictory: u64,
    /// The labels that are no class of the run. They count as classes of their own, which no model can give.
    #[serde(default)]
    pub unknown: Vec<UnknownLabel>,
    /// The production model against people, by the names of scores.
    pub teacher: BTreeMap<String, Estimate>,
    pub models: Vec<GoldModel>,
    /// Doubts about the scores that the labels raise.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A label of people that is no class of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnknownLabel {
    pub label: String,
    /// The eval rows that have it.
    pub rows: u64,
    /// The class that may be meant.
    pub nearest: Option<String>,
}

/// A model against people, and against the production model on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GoldModel {
    /// `MODEL:base`, `MODEL:icl` or `MODEL:customized`.
    pub model: String,
    pub human: BTreeMap<String, Estimate>,
    pub teacher: BTreeMap<String, Estimate>,
    /// The rows on which it does not agree with the production model.
    pub disagreements: u64,
    /// The share of these rows on which it agrees with people. `None` without such a row.
    pub right: Option<Estimate>,
}

/// Compares the models of a recorded run with labels of people.
///
/// # Errors
/// When the run has no labels, or no label belongs to an eval row.
pub(crate) fn compare(run: &PastRun<'_>, folder: &Path, file: &str, gold: &[GoldRow]) -> anyhow::Result<GoldFact> {
    let manifest = run.manifest.as_ref().with_context(|| format!("run {} has no datasets", run.id()))?;
    if manifest.workload_type != WorkloadType::Classification {
        bail!("labels of people are for classifications");
    }
    let reader = LabelReader::new(&run.plan.data.labels).map_err(anyhow::Error::msg)?;
    let mut known = Known::of(gold, &reader);
    let asked = eval_rows(folder)?;
    let human = known.matched(&asked);
    let found = human.iter().flatten().count();
    if found == 0 {
        bail!("none of its {} labels belongs to a row of the eval set, by id or by the text of the user", gold.len());
    }
    let mut labels: Vec<String> = manifest.classes.keys().cloned().collect();
    let unknown = unknown_labels(&labels, human.iter().flatten());
    labels.extend(unknown.iter().map(|one| one.label.clone()));
    let seed = run.plan.data.split.random_seed;
    let units = manifest.eval_units(asked.len());
    let scores = |rows: &[(Judged, u64)]| {
        let (rows, groups): (Vec<Judged>, Vec<u64>) = rows.iter().copied().unzip();
        let groups = units.as_ref().map(|_| groups.as_slice());
        let scores = score_clustered(&rows, groups, &labels, seed);
        let mut scores = scores.map(|scores| scores.named("")).unwrap_or_default();
        scores.retain(|name, _| ["accuracy", "macro_f1", "kappa"].contains(&name.as_str()));
        scores
    };
    let mut fact = GoldFact {
        file: file.to_owned(),
        labels: gold.len() as u64,
        matched: found as u64,
        unmatched: known.unmatched(gold, &asked),
        contradictory: known.contradictory,
        unknown,
        teacher: BTreeMap::new(),
        models: Vec::new(),
        warnings: Vec::new(),
    };
    for one in &run.models {
        let outputs = rows::read(&folder.join(&one.fact.file))?;
        let labelled = outputs.iter().zip(&human).enumerate().filter_map(|(at, (row, human))| {
            let unit = units.as_ref().map_or(at as u64, |units| units[at]);
            let teacher = place(&labels, &row.gold);
            Some(Labelled { unit, human: place(&labels, (*human)?)?, teacher, said: said(row, &labels) })
        });
        let labelled: Vec<Labelled> = labelled.collect();
        if fact.teacher.is_empty() {
            let of_teacher = |row: &Labelled| {
                Some((Judged { gold: row.human, predicted: Prediction::Label(row.teacher?) }, row.unit))
            };
            fact.teacher = scores(&labelled.iter().filter_map(of_teacher).collect::<Vec<_>>());
        }
        fact.warnings.extend(copies_errors(&pairs(&labelled)).map(|why| format!("{}: {why}", one.in_words())));
        fact.models.push(model(one.name(), &labelled, scores));
    }
    Ok(fact)
}

/// Returns the labels of people that are no class of the run, the most frequent first.
fn unknown_labels<'l>(classes: &[String], human: impl Iterator<Item = &'l &'l str>) -> Vec<UnknownLabel> {
    let mut found: Vec<UnknownLabel> = Vec::new();
    for label in human.filter(|label| place(classes, label).is_none()) {
        match found.iter_mut().find(|one| label::key(&one.label) == label::key(label)) {
            Some(one) => one.rows += 1,
            None => found.push(UnknownLabel {
                label: (*label).to_owned(),
                rows: 1,
                nearest: label::nearest(classes, label),
            }),
        }
    }
    found.sort_by_key(|one| Reverse(one.rows));
    found
}

/// A row that people labelled.
struct Labelled {
    /// The number of its group.
    unit: u64,
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

fn model(
    model: String,
    labelled: &[Labelled],
    scores: impl Fn(&[(Judged, u64)]) -> BTreeMap<String, Estimate>,
) -> GoldModel {
    let against = |gold: &dyn Fn(&Labelled) -> Option<usize>| {
        let judged = |row: &Labelled| Some((Judged { gold: gold(row)?, predicted: row.said }, row.unit));
        scores(&labelled.iter().filter_map(judged).collect::<Vec<_>>())
    };
    let apart = labelled.iter().filter(|row| !row.agrees());
    let (apart, units): (Vec<bool>, Vec<u64>) =
        apart.map(|row| (row.said == Prediction::Label(row.human), row.unit)).unzip();
    GoldModel {
        model,
        human: against(&|row| Some(row.human)),
        teacher: against(&|row| row.teacher),
        disagreements: apart.len() as u64,
        right: (!apart.is_empty()).then(|| Estimate::of_share(&apart, Some(&units))),
    }
}

/// Returns for one row of each group if the model agrees with the production model, and if that one is right. The rows of
/// a group are answered alike, so more of them prove no more.
fn pairs(labelled: &[Labelled]) -> Vec<(bool, bool)> {
    let mut groups = HashSet::new();
    let apart = labelled.iter().filter(|row| groups.insert(row.unit));
    apart.map(|row| (row.agrees(), row.teacher == Some(row.human))).collect()
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

/// A row of the eval set, by what a label can belong to.
struct Asked {
    /// The id of the record.
    id: String,
    /// The last message of the user.
    text: String,
}

fn eval_rows(folder: &Path) -> anyhow::Result<Vec<Asked>> {
    let path = folder.join(dataset::EVAL);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut normaliser = Normaliser::default();
    let asked = |line: &str| -> anyhow::Result<Asked> {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let id = normaliser.hex_id(line.as_bytes())?;
        let messages = row["request"]["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let text = messages.iter().rfind(|message| message["role"] == "user");
        let text = text.and_then(|message| message["content"].as_str()).unwrap_or_default();
        Ok(Asked { id, text: text.trim().to_owned() })
    };
    text.lines().map(asked).collect::<Result<_, _>>().with_context(|| format!("cannot read {}", path.display()))
}

/// The labels of people, by what they belong to. What has more than one label has none.
struct Known<'g> {
    by_id: HashMap<String, Option<&'g str>>,
    by_text: HashMap<&'g str, Option<&'g str>>,
    /// The records and texts with more than one label.
    contradictory: u64,
}

impl<'g> Known<'g> {
    fn of(gold: &'g [GoldRow], reader: &LabelReader) -> Known<'g> {
        let mut known = Known { by_id: HashMap::new(), by_text: HashMap::new(), contradictory: 0 };
        for row in gold {
            let label = reader.written(&row.label);
            if let Some(id) = &row.id {
                enter(&mut known.by_id, id.to_ascii_lowercase(), label);
            }
            if let Some(text) = &row.text {
                enter(&mut known.by_text, text.trim(), label);
            }
        }
        let torn = known.by_id.values().chain(known.by_text.values()).filter(|label| label.is_none());
        known.contradictory = torn.count() as u64;
        known
    }

    /// Returns the label of each row of the eval set, found by the id of its record, else by its text. A row whose id and
    /// text have different labels has none, and is counted as contradictory.
    fn matched(&mut self, asked: &[Asked]) -> Vec<Option<&'g str>> {
        let label = |row: &Asked| {
            let by_text = self.by_text.get(row.text.as_str()).copied().flatten();
            let Some(by_id) = self.by_id.get(&row.id) else { return by_text };
            let is_torn = by_id.zip(by_text).is_some_and(|(id, text)| label::key(id) != label::key(text));
            self.contradictory += u64::from(is_torn);
            by_id.filter(|_| !is_torn)
        };
        asked.iter().map(label).collect()
    }

    /// Counts the labels that belong to no row of the eval set. One label can belong to many rows, and many to one.
    fn unmatched(&self, gold: &[GoldRow], asked: &[Asked]) -> u64 {
        let ids: HashSet<&str> = asked.iter().map(|row| row.id.as_str()).collect();
        let texts: HashSet<&str> = asked.iter().map(|row| row.text.as_str()).collect();
        let is_alone = |row: &&GoldRow| {
            let id = row.id.as_ref().map(|id| id.to_ascii_lowercase());
            let text = row.text.as_deref().map(str::trim);
            let is_torn = id.as_ref().is_some_and(|id| self.by_id.get(id) == Some(&None))
                || text.is_some_and(|text| self.by_text.get(text) == Some(&None));
            !is_torn
                && !id.is_some_and(|id| ids.contains(id.as_str()))
                && !text.is_some_and(|text| texts.contains(text))
        };
        gold.iter().filter(is_alone).count() as u64
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
    use crate::data::options::LabelRules;

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
    fn copies_of_one_row_prove_no_copied_error() {
        let copied = |unit| Labelled { unit, human: 0, teacher: Some(1), said: Prediction::Label(1) };
        let apart: Vec<Labelled> = (0..6).map(copied).collect();
        let alike: Vec<Labelled> = (0..6).map(|_| copied(7)).collect();
        assert!(copies_errors(&pairs(&apart)).is_some() && copies_errors(&pairs(&alike)).is_none());
    }

    fn row(id: Option<&str>, text: Option<&str>, label: &str) -> GoldRow {
        GoldRow { id: id.map(str::to_owned), text: text.map(str::to_owned), label: label.to_owned() }
    }

    fn asked(id: &str, text: &str) -> Asked {
        Asked { id: id.to_owned(), text: text.to_owned() }
    }

    fn known(gold: &[GoldRow]) -> Known<'_> {
        Known::of(gold, &LabelReader::new(&LabelRules::default()).unwrap())
    }

    #[test]
    fn labels_that_are_no_class_are_counted_with_the_nearest_class() {
        let classes = ["Rate Cut", "Rate", "Earnings"].map(str::to_owned);
        let gold = ["[[[RATE]]]", "Rate-Cut", "earnigns", "rate-cut", "Merger", "earnings "]
            .map(|label| row(Some(label), None, label));
        let known = known(&gold);
        let human: Vec<&str> = gold.iter().filter_map(|row| known.by_id[&row.label.to_ascii_lowercase()]).collect();
        let told: Vec<(String, u64, Option<String>)> =
            unknown_labels(&classes, human.iter()).into_iter().map(|one| (one.label, one.rows, one.nearest)).collect();
        let expected = [("Rate-Cut", 2, Some("Rate Cut")), ("earnigns", 1, Some("Earnings")), ("Merger", 1, None)];
        assert_eq!(told, expected.map(|(label, rows, class)| (label.to_owned(), rows, class.map(str::to_owned))));
    }

    #[test]
    fn what_has_two_labels_has_none() {
        let gold = [
            row(None, Some("a"), "X"),
            row(None, Some("a "), "Y"),
            row(None, Some("b"), "X"),
            row(None, Some("b"), " x"),
            row(Some("0F"), None, "X"),
            row(Some("0f"), None, "Y"),
            row(Some("1e"), Some("elsewhere"), "X"),
            row(None, Some("c"), "Y"),
            row(Some("2d"), None, "X"),
            row(None, Some("d"), "x"),
        ];
        let mut known = known(&gold);
        assert_eq!(known.contradictory, 2);
        let rows = [asked("9", "a"), asked("9", "b"), asked("0f", "b"), asked("1e", "c"), asked("2d", "d")];
        // The label of the record is for one row, so the label of its text does not stand in for it.
        assert_eq!(known.matched(&rows), [None, Some("X"), None, None, Some("X")]);
        assert_eq!((known.contradictory, known.unmatched(&gold, &rows)), (3, 0));
    }

    #[test]
    fn a_label_of_many_rows_and_many_labels_of_one_row_are_matched() {
        let gold = [row(None, Some("yes"), "X"), row(Some("1e"), None, "X"), row(None, Some("nobody"), "X")];
        let gold: Vec<GoldRow> = gold.iter().chain(&gold).cloned().collect();
        let mut known = known(&gold);
        let rows: Vec<Asked> = (0..9).map(|at| asked(&at.to_string(), "yes")).chain([asked("1e", "no")]).collect();
        assert_eq!(known.matched(&rows).iter().flatten().count(), 10);
        assert_eq!((known.contradictory, known.unmatched(&gold, &rows)), (0, 2));
    }
}
