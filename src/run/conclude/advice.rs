//! The verdict in words: the model to look at first, and one sentence on each candidate.

use std::cmp::Reverse;

use super::evaluated::{Decided, Field};
use crate::run::evaluate::text_scores;
use crate::run::outcome::{Advice, ModelVariant};
use crate::score::verdict::{Contender, Decision, Standing, smallest_not_worse};
use crate::score::warnings::Warning;

/// The verdict of a run.
pub(super) struct Verdict {
    /// The place of the model to look at.
    pub(super) chosen: Option<usize>,
    pub(super) sentence: String,
    /// On each candidate with an evaluation, in the order of the configuration.
    pub(super) candidates: Vec<Advice>,
}

/// Names the smallest model that is not worse than the best, and says it in one sentence.
pub(super) fn verdict(field: &Field<'_>, decided: &Decided<'_>) -> Verdict {
    let best = field.best();
    let places = field.cheapest_first();
    let contender = |&place: &usize| Contender {
        size: field.size(place),
        not_worse: Some(place) == best
            || best.and_then(|best| decided.standing(place, best)).is_some_and(|decision| decision.not_worse),
        disqualified: leaves_out(field, place) || is_beaten_at_home(field, decided, place),
    };
    let contenders: Vec<Contender> = places.iter().map(contender).collect();
    let chosen = smallest_not_worse(&contenders).map(|at| places[at]);
    let sentence = match chosen {
        Some(chosen) => first(field, decided, chosen),
        None => {
            let why = "every model that is not worse than the best leaves out a class of the eval set";
            format!("No candidate can be recommended: {why}.")
        }
    };
    let candidates = field.finals().into_iter().map(|last| {
        let of = field.models[last].candidate;
        // The advice is about the model to look at, if the candidate has it, else about the candidate's last one.
        let place = chosen.filter(|chosen| field.models[*chosen].candidate == of).unwrap_or(last);
        let model = field.candidates[of].model_name.clone();
        let variant = field.models[place].variant;
        let except = if leaves_out(field, place) { " It leaves out a class of the eval set." } else { "" };
        let sentence = format!("{}: {}{except}", own_words(variant), standing(field, decided, place, chosen));
        Advice { model, variant, sentence }
    });
    let candidates = candidates.collect();
    Verdict { chosen, sentence, candidates }
}

fn leaves_out(field: &Field<'_>, place: usize) -> bool {
    field.models[place].warnings().iter().any(Warning::disqualifies)
}

/// Tells whether another variant of the same candidate is better.
fn is_beaten_at_home(field: &Field<'_>, decided: &Decided<'_>, place: usize) -> bool {
    let siblings = ModelVariant::ALL.into_iter().filter_map(|variant| field.sibling(place, variant));
    siblings.filter_map(|other| decided.standing(place, other)).any(|one| one.standing == Standing::Worse)
}

/// Says which model to look at first.
fn first(field: &Field<'_>, decided: &Decided<'_>, chosen: usize) -> String {
    let one = &field.models[chosen];
    let model = &field.candidates[one.candidate].model_name;
    let alone = field.models.iter().filter(|other| other.candidate == one.candidate).count() == 1;
    let how = match one.variant {
        ModelVariant::Icl => " with examples",
        ModelVariant::Base if !alone => " as it is",
        ModelVariant::Base | ModelVariant::Customized => "",
    };
    let customized = || (0..field.models.len()).filter(|at| field.models[*at].variant == ModelVariant::Customized);
    let helped = |place: usize| {
        let base = field.sibling(place, ModelVariant::Base)?;
        Some(decided.standing(place, base)?.standing == Standing::Better)
    };
    let without = one.variant != ModelVariant::Customized && customized().next().is_some();
    let look = if without && !customized().any(|place| helped(place) == Some(true)) {
        "No training was shown to help: look"
    } else {
        "Look"
    };
    let stands = standing(field, decided, chosen, Some(chosen));
    format!("{look} at {model}{how} first: {stands} Whether it takes over is for a person to decide.")
}

/// Tells the score of a model and how it stands to the others of its candidate, to the best, or as the best to all.
fn standing(field: &Field<'_>, decided: &Decided<'_>, place: usize, chosen: Option<usize>) -> String {
    let metric = match field.metric {
        "macro_f1" => "macro F1",
        text_scores::SIMILARITY => "similarity by the judge",
        text_scores::OVERLAP => "ROUGE-L",
        _ => "name and arguments",
    };
    let own = field.models[place].candidate;
    let siblings = ModelVariant::ALL.into_iter().filter_map(|variant| Some((field.sibling(place, variant)?, variant)));
    let siblings = siblings.map(|(other, variant)| (other, format!("its {}", home_words(variant))));
    let mut others: Vec<(usize, String)> = siblings.collect();
    let rivals: Vec<usize> = field.tops().into_iter().filter(|other| field.models[*other].candidate != own).collect();
    let best = field.best();
    let named = |other: usize| field.candidates[field.models[other].candidate].model_name.clone();
    let is_better = |&rival: &usize| decided.standing(place, rival).is_some_and(|one| one.standing == Standing::Better);
    match best {
        Some(best) if best == place && rivals.len() > 1 && rivals.iter().all(is_better) => {
            others.push((rivals[0], "every other candidate".to_owned()));
        }
        Some(best) if best == place => others.extend(rivals.iter().map(|&rival| (rival, named(rival)))),
        Some(best) if field.models[best].candidate != own => others.push((best, named(best))),
        _ => {}
    }
    let highest = if best == Some(place) && !rivals.is_empty() { ", the highest score" } else { "" };
    let is_first = |other: usize| chosen == Some(place) && best == Some(other);
    let found: Vec<(Relation, String, Decision)> = others
        .into_iter()
        .filter_map(|(other, name)| {
            let decision = decided.standing(place, other)?;
            Some((Relation::of(&decision, is_first(other)), name, decision))
        })
        .collect();
    let score = field.score(place);
    format!("{metric} {score:.3}{highest}{}.{}", in_groups(&found), rows_needed(&found))
}

/// How a model stands to another one, in the order in which that is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Relation {
    Better,
    Same,
    NotWorse,
    NotToldApart,
    Worse,
}

impl Relation {
    /// `first`: the model is the one to look at, although the other one has the highest score.
    fn of(decision: &Decision, first: bool) -> Relation {
        match decision.standing {
            Standing::Better => Relation::Better,
            Standing::Same => Relation::Same,
            Standing::CannotTell if first && decision.not_worse => Relation::NotWorse,
            Standing::CannotTell => Relation::NotToldApart,
            Standing::Worse => Relation::Worse,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Relation::Better => "better than",
            Relation::Same => "the same as",
            Relation::NotWorse => "not worse than",
            Relation::NotToldApart => "not told apart from",
            Relation::Worse => "worse than",
        }
    }
}

fn in_groups(found: &[(Relation, String, Decision)]) -> String {
    let mut relations: Vec<Relation> = found.iter().map(|(relation, ..)| *relation).collect();
    relations.sort_unstable();
    relations.dedup();
    let mut said = String::new();
    for (at, relation) in relations.iter().enumerate() {
        let names: Vec<&str> = found.iter().filter(|one| one.0 == *relation).map(|one| one.1.as_str()).collect();
        let turns = at > 0 && *relation >= Relation::NotToldApart && relations[at - 1] < Relation::NotToldApart;
        let but = if turns { "but " } else { "" };
        said.push_str(&format!(", {but}{} {}", relation.in_words(), listed(&names)));
    }
    said
}

/// Writes `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

/// Tells the rows that would tell models apart, the fewest last, because these are the next step.
fn rows_needed(found: &[(Relation, String, Decision)]) -> String {
    let mut open: Vec<_> = found
        .iter()
        .filter(|one| one.0 == Relation::NotToldApart)
        .filter_map(|(_, name, decision)| Some((decision.more_rows?, name)))
        .collect();
    open.sort_by_key(|(more, _)| Reverse(more.for_margin));
    open.iter().map(|(more, name)| format!(" To decide between it and {name} takes {more}.")).collect()
}

fn home_words(variant: ModelVariant) -> &'static str {
    match variant {
        ModelVariant::Base => "base",
        ModelVariant::Icl => "base with examples",
        ModelVariant::Customized => "customized model",
    }
}

fn own_words(variant: ModelVariant) -> &'static str {
    match variant {
        ModelVariant::Base => "Base",
        ModelVariant::Icl => "With examples",
        ModelVariant::Customized => "Customized",
    }
}
