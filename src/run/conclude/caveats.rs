//! Warnings on the scores of the evaluated models.

use super::evaluated::{Decided, Evaluated, Field};
use crate::data::workload_type::WorkloadType;
use crate::run::evaluate::text_scores;
use crate::run::outcome::{ModelVariant, UnreadableReply};
use crate::run::suspicions;
use crate::score::interval;
use crate::score::verdict::{Decision, Standing};
use crate::score::warnings::{self, Warning};
use crate::source::dataset::Manifest;

/// Returns what speaks against trusting the scores of the last evaluations, and the scores that these are compared with.
pub(super) fn of_models(field: &Field<'_>, workload_type: WorkloadType) -> Vec<String> {
    let mut told = Vec::new();
    let finals = field.finals();
    for (place, one) in field.models.iter().enumerate() {
        let name = one.in_words(field.candidates);
        if !finals.contains(&place) {
            // A training that teaches the format alone beats a base that knows the answers.
            let is_large = |found: &Warning| match found {
                Warning::FormatFailures { unparseable, .. } => suspicions::is_unreadable(*unparseable),
                _ => false,
            };
            let format = one.warnings().into_iter().filter(is_large);
            told.extend(format.filter_map(|found| in_words(&name, one, &found)));
            continue;
        }
        let own_base = field.sibling(place, ModelVariant::Base).filter(|base| *base != place);
        if let Some(same) = own_base.and_then(|base| as_its_base(&field.models[base], one, workload_type)) {
            told.push(format!("{name}: {same}"));
        }
        for warning in one.warnings() {
            let sentence = in_words(&name, one, &warning);
            // Classes with few rows are those of every model.
            told.extend(sentence.filter(|sentence| !told.contains(sentence)));
        }
    }
    told
}

fn in_words(name: &str, one: &Evaluated, warning: &Warning) -> Option<String> {
    match warning {
        Warning::NeverPredicted(classes) => {
            let rows = |rows| if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
            let labels: Vec<String> =
                classes.iter().map(|class| format!("{} ({})", class.label, rows(class.rows))).collect();
            Some(format!("{name} never predicts a class of the eval set: {}", labels.join(", ")))
        }
        Warning::FewRows(classes) => {
            let all = one.fact.classes.iter().filter(|class| class.support > 0).count();
            Some(warnings::few_rows(classes.len(), all))
        }
        Warning::FormatFailures { unparseable, off_taxonomy } => {
            let hint = if suspicions::is_unreadable(*unparseable) {
                "; if such replies name a label, set label_pattern to read it"
            } else {
                ""
            };
            let share = (unparseable + off_taxonomy) * 100.0;
            Some(format!("{name}: {share:.0} % of the replies hold no label of the list, and count as wrong{hint}"))
        }
        Warning::ReadingFlip { .. } => None,
    }
}

/// Returns what speaks against the score that decides.
pub(super) fn weak_score(metric: &str) -> Option<&'static str> {
    (metric == text_scores::OVERLAP).then_some(
        "no judge rated these replies (llm_judge_config): ROUGE-L and token F1 are weak, so do not promote a model on these \
         scores alone",
    )
}

/// Returns a reply without a label of each model of which many are. A text of its own, which readers can leave out.
pub(super) fn unreadable(field: &Field<'_>) -> Vec<UnreadableReply> {
    let example = |one: &Evaluated| {
        let share = one.fact.scores.get("unparseable")?.value;
        let silent = one.rows.iter().filter(|row| row.predicted.is_none());
        let reply = silent.filter_map(|row| row.reply.as_deref()).find(|reply| !reply.trim().is_empty())?;
        let reply = suspicions::is_unreadable(share).then(|| suspicions::quoted(reply))?;
        Some(UnreadableReply { model: one.name.clone(), reply })
    };
    field.models.iter().filter_map(example).collect()
}

/// Returns the comparisons that come out otherwise when a label without brackets counts.
pub(super) fn flips(field: &Field<'_>, strict: &Decided<'_>, lenient: &[Decision]) -> Vec<String> {
    let flip = |((&(a, b), strict), lenient): ((&(usize, usize), &Decision), &Decision)| {
        let Warning::ReadingFlip { strict, lenient } = warnings::of_readings(strict, lenient)? else { return None };
        let [a, b] = [a, b].map(|place| field.models[place].in_words(field.candidates));
        Some(format!("{b} against {a} is \"{strict}\", but \"{lenient}\" if replies without brackets count"))
    };
    strict.pairs.iter().zip(strict.decisions).zip(lenient).filter_map(flip).collect()
}

/// Returns a warning for each customized model that its base equals or beats, as it is or with examples.
pub(super) fn needless(field: &Field<'_>, decided: &Decided<'_>) -> Vec<String> {
    let customized = (0..field.models.len()).filter(|at| field.models[*at].variant == ModelVariant::Customized);
    let warning = |(place, variant)| {
        let other = match variant {
            ModelVariant::Base => "its base",
            ModelVariant::Icl => "its base with examples",
            ModelVariant::Customized => return None,
        };
        let stands = match decided.standing(place, field.sibling(place, variant)?)?.standing {
            Standing::Same => "the same as",
            Standing::Worse => "worse than",
            Standing::Better | Standing::CannotTell => return None,
        };
        let name = field.models[place].in_words(field.candidates);
        Some(format!("{name} is {stands} {other}, which needs no training"))
    };
    customized.flat_map(|place| ModelVariant::ALL.map(|variant| (place, variant))).filter_map(warning).collect()
}

/// Returns a warning for each model whose agreement with the production model is higher than its answers can show.
///
/// The production model answers a repeated request twice alike with a chance that the log shows: the repeated requests
/// less the conflicts. No model can agree with one of its answers more often than the root of that chance, because the
/// chance of two like answers is at least the square of that of the most frequent one. Conflicts and duplicates that are
/// counted by request overstate the chance, so no warning is given lightly.
pub(super) fn above_ceiling(field: &Field<'_>, manifest: &Manifest) -> Vec<String> {
    if manifest.workload_type != WorkloadType::Classification || manifest.conflicts == 0 {
        return Vec::new();
    }
    let alike = manifest.duplicates.saturating_sub(manifest.conflicts);
    let Some((_, alike)) = interval::clopper_pearson(alike, manifest.duplicates) else { return Vec::new() };
    let ceiling = alike.sqrt();
    let above = |place: usize| {
        let accuracy = field.models[place].fact.scores.get("accuracy")?;
        (accuracy.low? > ceiling).then(|| {
            format!(
                "{} agrees with the teacher on {:.0} % of the rows, but the teacher does not agree with itself: it answered {} of \
                 at most {} repeated requests differently, so more than {:.0} % proves nothing",
                field.models[place].in_words(field.candidates),
                accuracy.value * 100.0,
                manifest.conflicts,
                manifest.duplicates,
                ceiling * 100.0
            )
        })
    };
    field.finals().into_iter().filter_map(above).collect()
}

/// Returns what is suspicious about an adapter beside its base, in one sentence.
fn as_its_base(base: &Evaluated, customized: &Evaluated, workload_type: WorkloadType) -> Option<String> {
    let right: Vec<bool> = base.rows.iter().map(|row| row.is_right(workload_type)).collect();
    if !suspicions::errs_often(&right) {
        return None;
    }
    same_replies(base, customized).or_else(|| {
        let rows = customized.proof.as_ref()?.same?;
        Some(format!(
            "before its evaluation it answered {rows} rows as its base does: the adapter may not have been used for all rows"
        ))
    })
}

fn same_replies(base: &Evaluated, customized: &Evaluated) -> Option<String> {
    let pairs: Vec<_> = base.rows.iter().zip(&customized.rows).map(|(base, own)| (base.said(), own.said())).collect();
    suspicions::of_same_replies(pairs.iter().map(|(base, own)| (base.as_deref(), own.as_deref())))
}
