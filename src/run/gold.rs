//! The production model and the candidates against labels that people gave to rows of the eval set.

use std::collections::{BTreeMap, HashMap};
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
use crate::score::{Estimate, interval};
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
    let human = matched(folder, gold)?;
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
        unmatched: (gold.len() - found) as u64,
        teacher: BTreeMap::new(),
        models: Vec::new(),
    };
    for one in &run.models {
        let outputs = rows::read(&folder.join(&one.fact.file))?;
        let labelled = outputs.iter().zip(&human).filter_map(|(row, human)| Some((row, place(&labels, (*human)?)?)));
        let labelled: Vec<(&OutputRow, usize)> = labelled.collect();
        let teacher = |row: &OutputRow| place(&labels, &row.gold);
        let said = |row: &OutputRow| match row.predicted.as_deref() {
            Some(label) => place(&labels, label).map_or(Prediction::OffTaxonomy, Prediction::Label),
            None => Prediction::Unparseable,
        };
        let against = |of: &dyn Fn(&OutputRow, usize) -> Option<Judged>| -> Vec<Judged> {
            labelled.iter().filter_map(|(row, human)| of(row, *human)).collect()
        };
        if fact.teacher.is_empty() {
            let of_teacher = |row: &OutputRow, gold| Some(Judged { gold, predicted: Prediction::Label(teacher(row)?) });
            fact.teacher = scores(&against(&of_teacher));
        }
        let apart = labelled.iter().filter(|(row, _)| teacher(row).map(Prediction::Label) != Some(said(row)));
        let apart: Vec<bool> = apart.map(|(row, human)| said(row) == Prediction::Label(*human)).collect();
        let (all, right) = (apart.len() as u64, apart.iter().filter(|right| **right).count() as u64);
        fact.models.push(GoldModel {
            model: one.name(),
            human: scores(&against(&|row, gold| Some(Judged { gold, predicted: said(row) }))),
            teacher: scores(&against(&|row, _| Some(Judged { gold: teacher(row)?, predicted: said(row) }))),
            disagreements: all,
            right: (all > 0).then(|| Estimate::between(right as f64 / all as f64, interval::wilson(right, all))),
        });
    }
    Ok(fact)
}

/// Returns the label that people gave to each row of the eval set, found by the id of its record, else by its text.
fn matched<'g>(folder: &Path, gold: &'g [GoldRow]) -> anyhow::Result<Vec<Option<&'g str>>> {
    let path = folder.join(dataset::EVAL);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut by_id, mut by_text) = (HashMap::new(), HashMap::new());
    for row in gold.iter().rev() {
        row.id.as_ref().map(|id| by_id.insert(id.to_ascii_lowercase(), row.label.trim()));
        row.text.as_deref().map(|text| by_text.insert(text.trim(), row.label.trim()));
    }
    let mut normaliser = Normaliser::default();
    let label = |line: &str| -> anyhow::Result<Option<&'g str>> {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let id = String::from_utf8_lossy(&id::hex_digits(normaliser.id(line.as_bytes())?)).into_owned();
        if let Some(label) = by_id.get(&id) {
            return Ok(Some(*label));
        }
        let messages = row["request"]["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let asked = messages.iter().rfind(|message| message["role"] == "user");
        let asked = asked.and_then(|message| message["content"].as_str()).unwrap_or_default();
        Ok(by_text.get(asked.trim()).copied())
    };
    text.lines().map(label).collect::<Result<_, _>>().with_context(|| format!("cannot read {}", path.display()))
}

fn place(labels: &[String], label: &str) -> Option<usize> {
    let key = label::key(label);
    labels.iter().position(|known| label::key(known) == key)
}
