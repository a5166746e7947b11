//! The evaluated models of a run, and how each stands to others: the pairs that are compared, and what was decided on them.

use crate::config::plan::Candidate;
use crate::run::outcome::{EvaluationFact, ModelVariant, ProofFact};
use crate::run::rows::OutputRow;
use crate::score::verdict::Decision;
use crate::score::warnings::{self, Warning};

/// One evaluated model of a candidate.
pub(super) struct Evaluated {
    /// `MODEL:base`, `MODEL:icl` or `MODEL:customized`.
    pub(super) name: String,
    pub(super) candidate: usize,
    pub(super) variant: ModelVariant,
    pub(super) fact: EvaluationFact,
    pub(super) rows: Vec<OutputRow>,
    /// Of a customized model.
    pub(super) proof: Option<ProofFact>,
}

impl Evaluated {
    /// Returns the name for people, such as `customized meta/llama-3.2-1b-instruct`.
    pub(super) fn in_words(&self, candidates: &[Candidate]) -> String {
        self.variant.of(&candidates[self.candidate].model_name)
    }

    /// Returns what speaks against its scores.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let share = |name: &str| self.fact.scores.get(name).map_or(0.0, |score| score.value);
        // A row without a reply says nothing of the format. A warning of its own tells of it.
        let silent = self.fact.unanswered as f64 / self.fact.rows.max(1) as f64;
        let unparseable = (share("unparseable") - silent).max(0.0);
        warnings::of_classes(&self.fact.classes, unparseable, share("off_taxonomy"))
    }
}

/// The models of a run, in the order of the configuration and of [`ModelVariant::ALL`].
pub(super) struct Field<'a> {
    pub(super) candidates: &'a [Candidate],
    pub(super) models: &'a [Evaluated],
    /// The name of the score that decides.
    pub(super) metric: &'static str,
}

impl Field<'_> {
    /// Returns the score that decides.
    pub(super) fn score(&self, place: usize) -> f64 {
        self.models[place].fact.scores.get(self.metric).map_or(0.0, |score| score.value)
    }

    /// Returns the last evaluation of each candidate.
    pub(super) fn finals(&self) -> Vec<usize> {
        let models = self.models;
        let is_last =
            |place: &usize| models.get(place + 1).is_none_or(|next| next.candidate != models[*place].candidate);
        (0..models.len()).filter(is_last).collect()
    }

    /// Returns the places of all models, a candidate's from the cheapest to serve on: without an adapter first, with
    /// long prompts last.
    pub(super) fn cheapest_first(&self) -> Vec<usize> {
        let cost = |place: &usize| match self.models[*place].variant {
            ModelVariant::Base => 0,
            ModelVariant::Customized => 1,
            ModelVariant::Icl => 2,
        };
        let mut places: Vec<usize> = (0..self.models.len()).collect();
        places.sort_by_key(|place| (self.models[*place].candidate, cost(place)));
        places
    }

    /// Returns the evaluation of each candidate with the highest score. Of equal ones the cheapest to serve.
    pub(super) fn tops(&self) -> Vec<usize> {
        let mut tops: Vec<usize> = Vec::new();
        for place in self.cheapest_first() {
            match tops.last_mut() {
                Some(top) if self.models[*top].candidate == self.models[place].candidate => {
                    if self.score(place) > self.score(*top) {
                        *top = place;
                    }
                }
                _ => tops.push(place),
            }
        }
        tops
    }

    /// Returns the evaluation with the highest score. Of equal ones the first in the configuration.
    pub(super) fn best(&self) -> Option<usize> {
        self.tops().into_iter().reduce(|best, next| if self.score(next) > self.score(best) { next } else { best })
    }

    /// Returns the place of another variant of the same candidate.
    pub(super) fn sibling(&self, place: usize, variant: ModelVariant) -> Option<usize> {
        let candidate = self.models[place].candidate;
        self.models.iter().position(|one| one.candidate == candidate && one.variant == variant)
    }

    /// Returns the pairs to compare, each with the model that is the measure first: the variants of each candidate, the
    /// best with the last and the best evaluation of every other candidate, and the last ones with each other.
    pub(super) fn pairs(&self) -> Vec<(usize, usize)> {
        let of = |place: usize| self.models[place].candidate;
        let earlier =
            |place: usize| (0..place).filter(move |&other| of(other) == of(place)).map(move |other| (other, place));
        let mut pairs: Vec<(usize, usize)> = (0..self.models.len()).flat_map(earlier).collect();
        let (finals, tops) = (self.finals(), self.tops());
        let best = self.best();
        let rivals = (0..self.models.len()).filter(|place| finals.contains(place) || tops.contains(place));
        pairs.extend(best.into_iter().flat_map(|best| {
            rivals.clone().filter(move |&rival| of(rival) != of(best)).map(move |rival| (best, rival))
        }));
        let others: Vec<usize> = finals.into_iter().filter(|place| Some(*place) != best).collect();
        let later = |(at, &one): (usize, &usize)| others[at + 1..].iter().map(move |&two| (one, two));
        pairs.extend(others.iter().enumerate().flat_map(later));
        pairs
    }

    /// Returns the size by which candidates are ordered: parameters as the name tells them (`1b`, `0.5B`, `350m`), else
    /// GPUs. Of equal sizes the first in the configuration is the smallest.
    pub(super) fn size(&self, place: usize) -> f64 {
        let at = self.models[place].candidate;
        let told: Option<Vec<f64>> = self.candidates.iter().map(|one| parameters(&one.model_name)).collect();
        let size = told.map_or_else(|| f64::from(self.candidates[at].gpus), |told| told[at]);
        size * (1.0 + at as f64 * 1e-9)
    }
}

/// The pairs of a run, and what was decided on them.
pub(super) struct Decided<'a> {
    pub(super) pairs: &'a [(usize, usize)],
    pub(super) decisions: &'a [Decision],
}

impl Decided<'_> {
    /// Tells how a model stands to another one. `None` if they were not compared.
    pub(super) fn standing(&self, of: usize, to: usize) -> Option<Decision> {
        let at = |a, b| self.pairs.iter().position(|pair| *pair == (a, b)).map(|at| self.decisions[at]);
        at(to, of).or_else(|| at(of, to).map(Decision::reversed))
    }
}

/// Finds the number of parameters in the name of a model.
fn parameters(name: &str) -> Option<f64> {
    let name = name.to_ascii_lowercase();
    let parts = name.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.');
    parts
        .filter_map(|part| {
            let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
            let scale = match unit {
                "b" => 1e9,
                "m" => 1e6,
                _ => return None,
            };
            Some(number.parse::<f64>().ok()? * scale)
        })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_in_the_name() {
        for (name, parameters_told) in [
            ("meta/llama-3.2-1b-instruct", Some(1e9)),
            ("Qwen/Qwen2.5-0.5B-Instruct", Some(0.5e9)),
            ("smollm-350m", Some(350e6)),
            ("dfwfd/ngram-small", None),
            ("web", None),
        ] {
            assert_eq!(parameters(name), parameters_told, "{name}");
        }
    }
}
