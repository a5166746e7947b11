//! Compares a run with the one of its workload before: the mix of labels, the scores, and the latency of the production
//! model.

use std::collections::BTreeMap;

use super::across::{self, PastRun};
use super::context::RunContext;
use super::outcome::{DriftFact, LabelDrift, MANIFEST, ShareChange};
use crate::score::homogeneity::{self, Homogeneity};
use crate::score::ranks;
use crate::source::dataset::Manifest;

/// Labels whose shares are told, at most. Those that changed most come first.
const SHOWN: usize = 5;

/// A smaller distance of the mixes is no warning, however many records show it.
const DISTANCE: f64 = 0.05;

/// The level of the test of the mix: a run every night would otherwise warn every third week.
const LEVEL: f64 = 0.01;

/// Compares a run with the newest earlier one of its workload. `None` without one. Returns a warning if the mix of labels
/// is another one.
///
/// # Errors
/// When the store or the rows of an evaluation cannot be read.
pub(super) fn measure(run: &RunContext, manifest: &Manifest) -> anyhow::Result<Option<(DriftFact, Option<String>)>> {
    let state_dir = &run.plan.state_dir;
    let now = PastRun::read(&run.store, &run.id, state_dir)?;
    let is_alike =
        |other: &Manifest| other.workload == manifest.workload && other.workload_type == manifest.workload_type;
    let earlier = run.store.runs()?.into_iter().filter(|row| {
        row.id != run.id
            && row.platform == run.platform_kind
            && row.rehearsal == run.rehearsal
            && row.ended_ms.is_some()
    });
    for row in earlier {
        let Some(before) = run.store.fact::<Manifest>(&row.id, MANIFEST)?.filter(is_alike) else { continue };
        let past = PastRun::read(&run.store, &row.id, state_dir)?;
        if past.models.is_empty() {
            continue;
        }
        let labels =
            (!manifest.classes.is_empty()).then(|| of_labels(&before, manifest, run.plan.data.split.random_seed));
        let p50 = |manifest: &Manifest| manifest.teacher.and_then(|teacher| teacher.p50_ms);
        // A folder of rows that was deleted must not take the rest with it.
        let scores = across::compare_all(&past, &now).unwrap_or_default();
        let warning = labels.as_ref().filter(|mix| mix.p < LEVEL && mix.distance >= DISTANCE);
        let warning = warning.map(|mix| in_words(&row.id, mix));
        let teacher_p50_ms = p50(&before).zip(p50(manifest));
        let teacher_latency_p = teacher_p50_ms.and_then(|_| of_latencies(&before, manifest));
        return Ok(Some((DriftFact { run: row.id, labels, scores, teacher_p50_ms, teacher_latency_p }, warning)));
    }
    Ok(None)
}

fn of_labels(before: &Manifest, now: &Manifest, seed: u64) -> LabelDrift {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (label, one) in &before.classes {
        counts.entry(label).or_default().0 = one.eval + one.train + one.validation;
    }
    for (label, one) in &now.classes {
        counts.entry(label).or_default().1 = one.eval + one.train + one.validation;
    }
    let all: Vec<(u64, u64)> = counts.values().copied().collect();
    let Homogeneity { p, distance } = homogeneity::compare(&all, seed);
    let (then, later) = all.iter().fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
    let share = |part: u64, all: u64| part as f64 / all.max(1) as f64;
    let mut changes: Vec<ShareChange> = counts
        .iter()
        .map(|(label, (x, y))| ShareChange {
            label: (*label).to_owned(),
            before: share(*x, then),
            now: share(*y, later),
        })
        .collect();
    changes.retain(|one| one.before != one.now);
    changes.sort_by(|a, b| (b.now - b.before).abs().total_cmp(&(a.now - a.before).abs()));
    changes.truncate(SHOWN);
    LabelDrift { p, distance, changes }
}

/// Returns the p value of the test that neither is slower. `None` unless both have latencies.
fn of_latencies(before: &Manifest, now: &Manifest) -> Option<f64> {
    let mut counts: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    before.teacher_latencies.iter().for_each(|(step, rows)| counts.entry(*step).or_default().0 = *rows);
    now.teacher_latencies.iter().for_each(|(step, rows)| counts.entry(*step).or_default().1 = *rows);
    ranks::compare(&counts.into_values().collect::<Vec<_>>())
}

fn in_words(run: &str, mix: &LabelDrift) -> String {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let changed: Vec<String> = mix
        .changes
        .iter()
        .take(3)
        .map(|one| format!("{} {} to {}", one.label, percent(one.before), percent(one.now)))
        .collect();
    format!("the mix of labels differs from run {run}: {}", changed.join(", "))
}
