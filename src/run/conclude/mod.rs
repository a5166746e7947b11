//! The conclusion of a run: its models compared in pairs on the same rows, and what follows from it. Reads what the
//! evaluations have left; asks no platform.

mod advice;
mod caveats;
mod evaluated;

use super::context::RunContext;
use super::drift;
use super::event::EventKind;
use super::floor::{self, Rival};
use super::outcome::{
    CONCLUSION, ComparisonFact, ConclusionFact, DRIFT, EvaluationFact, FLOOR, MANIFEST, ModelVariant, evaluation_key,
    proof_key,
};
use super::paired::{Comparer, Reading};
use super::rows;
use crate::config::plan::Candidate;
use crate::data::label::LabelReader;
use crate::score::difference::Difference;
use crate::score::verdict::decide;
use crate::source::dataset::Manifest;
use crate::vocabulary::PlatformKind;

use evaluated::{Decided, Evaluated, Field};

/// Compares what was evaluated and records the conclusion; without two evaluations there is none.
pub(super) fn conclude(run: &RunContext) -> anyhow::Result<()> {
    let Some(manifest) = run.store.fact::<Manifest>(&run.id, MANIFEST)? else { return Ok(()) };
    let mut evaluated = Vec::new();
    for (place, candidate) in run.plan.candidates.iter().enumerate() {
        for variant in ModelVariant::ALL {
            let key = evaluation_key(&candidate.model_name, variant);
            if let Some(fact) = run.store.fact::<EvaluationFact>(&run.id, &key)? {
                let rows = rows::read(&run.dir.join(&fact.file))?;
                let name = format!("{}:{}", candidate.model_name, variant.as_str());
                let proof = run.store.fact(&run.id, &proof_key(&candidate.model_name))?;
                let proof = proof.filter(|_| variant == ModelVariant::Customized);
                evaluated.push(Evaluated { name, candidate: place, variant, fact, rows, proof });
            }
        }
    }
    if evaluated.is_empty() {
        return Ok(());
    }
    let reader = LabelReader::new(&run.plan.data.labels).map_err(anyhow::Error::msg)?;
    let (seed, margin) = (run.plan.data.split.random_seed, run.plan.verdict.margin);
    let judged = run.plan.judge_of(manifest.workload_type).is_some();
    let judge = Comparer { manifest: &manifest, reader: &reader, seed, margin, judged };
    let mut conclusion = judge.conclusion(&run.plan.candidates, &evaluated);
    // Students are compared with each other: the floor is one of them.
    let floor = run.store.fact::<EvaluationFact>(&run.id, FLOOR)?.filter(|_| run.platform_kind == PlatformKind::Nemo);
    if let Some(floor) = floor {
        let field = Field { candidates: &run.plan.candidates, models: &evaluated, metric: judge.metric() };
        let rival = |place: usize| {
            let one = &evaluated[place];
            Rival { name: one.name.clone(), in_words: one.in_words(&run.plan.candidates), rows: &one.rows }
        };
        let rivals: Vec<Rival<'_>> = field.finals().into_iter().map(rival).collect();
        let (comparisons, warnings) = floor::compare(&judge, &rows::read(&run.dir.join(&floor.file))?, &rivals);
        conclusion.comparisons.extend(comparisons);
        conclusion.warnings.extend(warnings);
    }
    if let Some((fact, warning)) = drift::measure(run, &manifest)? {
        run.store.remember(&run.id, DRIFT, &fact)?;
        conclusion.warnings.extend(warning);
    }
    run.store.remember(&run.id, CONCLUSION, &conclusion)?;
    // Not in the list of warnings: a resumed run concludes anew, and what no longer holds must not stay there.
    for message in conclusion.warnings {
        run.events.tell(EventKind::Warning { message, is_in_report: true });
    }
    Ok(())
}

impl Comparer<'_> {
    fn conclusion(&self, candidates: &[Candidate], evaluated: &[Evaluated]) -> ConclusionFact {
        let field = Field { candidates, models: evaluated, metric: self.metric() };
        let (pairs, differences) = self.differences(evaluated, &field.pairs(), Reading::Strict);
        let decisions = decide(&differences, self.margin);
        let comparisons =
            pairs.iter().zip(&decisions).zip(&differences).map(|((&(a, b), decision), difference)| ComparisonFact {
                a: evaluated[a].name.clone(),
                b: evaluated[b].name.clone(),
                metric: self.metric().to_owned(),
                difference: difference.estimate(),
                p: Some(decision.p_adjusted),
                verdict: decision.standing.to_string(),
                explanation: decision.to_string(),
                detectable: decision.detectable,
            });
        let comparisons = comparisons.collect();
        let decided = Decided { pairs: &pairs, decisions: &decisions };
        let mut warnings = caveats::of_models(&field, self.manifest.workload_type);
        if self.is_classification() && evaluated.iter().any(|one| self.depends_on_reading(&one.rows)) {
            let (_, lenient) = self.differences(evaluated, &pairs, Reading::Lenient);
            warnings.extend(caveats::flips(&field, &decided, &decide(&lenient, self.margin)));
        }
        warnings.extend(caveats::weak_score(field.metric).map(str::to_owned));
        warnings.extend(caveats::needless(&field, &decided));
        warnings.extend(caveats::above_ceiling(&field, self.manifest));
        let advice::Verdict { chosen, sentence, candidates: advice } = advice::verdict(&field, &decided);
        let model = chosen.map(|chosen| candidates[evaluated[chosen].candidate].model_name.clone());
        let variant = chosen.map(|chosen| evaluated[chosen].variant);
        let unreadable = caveats::unreadable(&field);
        ConclusionFact { comparisons, sentence, model, variant, candidates: advice, warnings, unreadable }
    }

    /// Returns the pairs that share rows, each with its difference. The reading does not change which pairs these are.
    fn differences(
        &self,
        evaluated: &[Evaluated],
        pairs: &[(usize, usize)],
        reading: Reading,
    ) -> (Vec<(usize, usize)>, Vec<Difference>) {
        let compared = |&(a, b): &(usize, usize)| {
            Some(((a, b), self.difference(&evaluated[a].rows, &evaluated[b].rows, reading)?))
        };
        pairs.iter().filter_map(compared).unzip()
    }
}

#[cfg(test)]
mod tests;
