//! The conclusion of a run: its models compared in pairs on the same rows, and what follows from it. Reads what the
//! evaluations have left; asks no platform.

use super::context::RunContext;
use super::drift;
use super::evaluate::text_scores;
use super::event::EventKind;
use super::floor::{self, Rival};
use super::outcome::{
    CONCLUSION, ComparisonFact, ConclusionFact, DRIFT, EvaluationFact, FLOOR, MANIFEST, ModelVariant, ProofFact,
    evaluation_key, proof_key,
};
use super::paired::{Comparer, Reading};
use super::rows::{self, OutputRow};
use super::suspicions;
use crate::config::plan::Candidate;
use crate::data::label::LabelReader;
use crate::score::difference::Difference;
use crate::score::verdict::{Contender, Decision, Standing, decide, smallest_not_worse};
use crate::score::warnings::{self, Warning};
use crate::source::dataset::Manifest;
use crate::vocabulary::PlatformKind;

/// One evaluated model of a candidate.
struct Evaluated {
    /// `MODEL:base`, `MODEL:icl` or `MODEL:customized`.
    name: String,
    candidate: usize,
    variant: ModelVariant,
    fact: EvaluationFact,
    rows: Vec<OutputRow>,
    /// Of a customized model.
    proof: Option<ProofFact>,
}

impl Evaluated {
    /// Returns the name for people, such as `customized meta/llama-3.2-1b-instruct`.
    fn in_words(&self, candidates: &[Candidate]) -> String {
        let model = &candidates[self.candidate].model_name;
        match self.variant {
            ModelVariant::Icl => format!("{model} with examples"),
            ModelVariant::Base | ModelVariant::Customized => format!("{} {model}", self.variant.as_str()),
        }
    }
}

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
        let rival = |place: usize| {
            let one = &evaluated[place];
            Rival { name: one.name.clone(), in_words: one.in_words(&run.plan.candidates), rows: &one.rows }
        };
        let rivals: Vec<Rival<'_>> = finals(&evaluated).into_iter().map(rival).collect();
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
        run.events.tell(EventKind::Warning { message });
    }
    Ok(())
}

impl Comparer<'_> {
    fn conclusion(&self, candidates: &[Candidate], evaluated: &[Evaluated]) -> ConclusionFact {
        let finals = finals(evaluated);
        let best = finals.iter().copied().max_by(|left, right| {
            let of = |place: &usize| evaluated[*place].fact.scores.get(self.metric()).map_or(0.0, |score| score.value);
            // Of equal scores the first in the configuration is the best.
            of(left).total_cmp(&of(right)).then(right.cmp(left))
        });
        let pairs = pairs(evaluated, &finals, best);
        let (pairs, differences) = self.differences(evaluated, &pairs, Reading::Strict);
        let decided = decide(&differences, self.margin);
        let comparisons =
            pairs.iter().zip(&decided).zip(&differences).map(|((&(a, b), decision), difference)| ComparisonFact {
                a: evaluated[a].name.clone(),
                b: evaluated[b].name.clone(),
                metric: self.metric().to_owned(),
                difference: difference.estimate(),
                p: Some(decision.p_adjusted),
                verdict: decision.standing.to_string(),
                explanation: decision.to_string(),
            });
        let comparisons = comparisons.collect();
        let mut warnings = self.warnings(candidates, evaluated, &finals);
        if self.is_classification() && evaluated.iter().any(|one| self.depends_on_reading(&one.rows)) {
            let (_, lenient) = self.differences(evaluated, &pairs, Reading::Lenient);
            let words: Vec<String> = evaluated.iter().map(|one| one.in_words(candidates)).collect();
            warnings.extend(flips(&words, &pairs, &decided, &decide(&lenient, self.margin)));
        }
        warnings.extend(needless(candidates, evaluated, &pairs, &decided));
        let (model, sentence) = self.recommended(candidates, evaluated, &finals, best, &pairs, &decided);
        ConclusionFact { comparisons, sentence, model, warnings }
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

    /// Returns what speaks against trusting the scores of the final models.
    fn warnings(&self, candidates: &[Candidate], evaluated: &[Evaluated], finals: &[usize]) -> Vec<String> {
        let mut told = Vec::new();
        for &place in finals {
            let own_base = sibling(evaluated, place, ModelVariant::Base).filter(|base| *base != place);
            if let Some(same) = own_base.and_then(|base| as_its_base(&evaluated[base], &evaluated[place])) {
                told.push(format!("{}: {same}", evaluated[place].in_words(candidates)));
            }
            let (name, fact) = (evaluated[place].in_words(candidates), &evaluated[place].fact);
            for warning in of_fact(fact) {
                match warning {
                    Warning::NeverPredicted(classes) => {
                        let rows = |rows| if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
                        let labels: Vec<String> =
                            classes.iter().map(|class| format!("{} ({})", class.label, rows(class.rows))).collect();
                        told.push(format!("{name} never predicts a class of the eval set: {}", labels.join(", ")));
                    }
                    Warning::FewRows(classes) => {
                        let all = fact.classes.iter().filter(|class| class.support > 0).count();
                        let sentence = format!(
                            "{} of {all} classes have fewer than {} eval rows: do not rely on the scores of single classes",
                            classes.len(),
                            warnings::FEW_ROWS
                        );
                        if !told.contains(&sentence) {
                            told.push(sentence);
                        }
                    }
                    Warning::FormatFailures { unparseable, off_taxonomy } => {
                        let example = evaluated[place].rows.iter().find(|row| row.predicted.is_none());
                        let example = example.and_then(|row| row.reply.as_deref());
                        let example = suspicions::of_unreadable(unparseable, example);
                        told.push(format!(
                            "{name}: {:.0} % of the replies hold no label of the list, and count as wrong{}",
                            (unparseable + off_taxonomy) * 100.0,
                            example.map_or_else(String::new, |example| format!(", {example}"))
                        ));
                    }
                    Warning::ReadingFlip { .. } => {}
                }
            }
        }
        told
    }

    /// Names the smallest model that is not worse than the best, and says it in one sentence.
    fn recommended(
        &self,
        candidates: &[Candidate],
        evaluated: &[Evaluated],
        finals: &[usize],
        best: Option<usize>,
        pairs: &[(usize, usize)],
        decided: &[Decision],
    ) -> (Option<String>, String) {
        let against_best = |place: usize| {
            let at = pairs.iter().position(|&(a, b)| Some(a) == best && b == place)?;
            decided.get(at)
        };
        let contender = |&place: &usize| Contender {
            size: size(candidates, evaluated[place].candidate),
            not_worse: Some(place) == best || against_best(place).is_some_and(|decision| decision.not_worse),
            disqualified: of_fact(&evaluated[place].fact).iter().any(Warning::disqualifies),
        };
        let contenders: Vec<Contender> = finals.iter().map(contender).collect();
        let Some(chosen) = smallest_not_worse(&contenders).map(|at| finals[at]) else {
            let why = "every model that is not worse than the best leaves out a class of the eval set";
            return (None, format!("No candidate can be recommended: {why}."));
        };
        let one = &evaluated[chosen];
        let model = &candidates[one.candidate].model_name;
        let score = one.fact.scores.get(self.metric()).map_or(0.0, |score| score.value);
        let metric = match self.metric() {
            "macro_f1" => "macro F1",
            text_scores::SIMILARITY => "similarity by the judge",
            text_scores::OVERLAP => "ROUGE-L",
            _ => "name and arguments",
        };
        let against = |variant| {
            let other = sibling(evaluated, chosen, variant)?;
            decided.get(pairs.iter().position(|&(a, b)| b == chosen && a == other)?)
        };
        let base = against(ModelVariant::Base).map(|decision| stands(decision, "its base"));
        let icl = against(ModelVariant::Icl).map(|decision| stands(decision, "its base with examples"));
        let among = (finals.len() > 1).then(|| match best.filter(|best| *best != chosen) {
            None => "and the best of the candidates".to_owned(),
            Some(best) => format!("and not worse than {}", candidates[evaluated[best].candidate].model_name),
        });
        let reasons: String = base.into_iter().chain(icl).chain(among).map(|reason| format!(", {reason}")).collect();
        let decision = "Whether it takes over is for a person to decide.";
        let sentence = format!("Look at {model} first: {metric} {score:.3}{reasons}. {decision}");
        (Some(model.clone()), sentence)
    }
}

/// Returns the comparisons that come out otherwise when a label without brackets counts.
fn flips(names: &[String], pairs: &[(usize, usize)], strict: &[Decision], lenient: &[Decision]) -> Vec<String> {
    let flip = |((&(a, b), strict), lenient): ((&(usize, usize), &Decision), &Decision)| {
        let Warning::ReadingFlip { strict, lenient } = warnings::of_readings(strict, lenient)? else { return None };
        let (a, b) = (&names[a], &names[b]);
        Some(format!("{b} against {a} is \"{strict}\", but \"{lenient}\" if replies without brackets count"))
    };
    pairs.iter().zip(strict).zip(lenient).filter_map(flip).collect()
}

/// Returns a warning for each customized model that its base with examples equals or beats.
fn needless(
    candidates: &[Candidate],
    evaluated: &[Evaluated],
    pairs: &[(usize, usize)],
    decided: &[Decision],
) -> Vec<String> {
    let warning = |(&(a, b), decision): (&(usize, usize), &Decision)| {
        let (icl, customized) = (&evaluated[a], &evaluated[b]);
        let own = icl.candidate == customized.candidate && icl.variant == ModelVariant::Icl;
        let needless = own && matches!(decision.standing, Standing::Same | Standing::Worse);
        let stands = stands(decision, "its base with examples, which needs no training");
        needless.then(|| format!("{} is {stands}", customized.in_words(candidates)))
    };
    pairs.iter().zip(decided).filter_map(warning).collect()
}

/// Says how a model stands to another one of its candidate.
fn stands(decision: &Decision, other: &str) -> String {
    match decision.standing {
        Standing::Better => format!("better than {other}"),
        Standing::Same => format!("the same as {other}"),
        Standing::Worse => format!("worse than {other}"),
        Standing::CannotTell => match decision.more_rows {
            Some(more) => format!("not told apart from {other}, which takes {more}"),
            None => format!("not told apart from {other}"),
        },
    }
}

/// Returns the place of another variant of the same candidate.
fn sibling(evaluated: &[Evaluated], place: usize, variant: ModelVariant) -> Option<usize> {
    let candidate = evaluated[place].candidate;
    evaluated.iter().position(|one| one.candidate == candidate && one.variant == variant)
}

fn of_fact(fact: &EvaluationFact) -> Vec<Warning> {
    let share = |name: &str| fact.scores.get(name).map_or(0.0, |score| score.value);
    warnings::of_classes(&fact.classes, share("unparseable"), share("off_taxonomy"))
}

/// Returns the last evaluation of each candidate.
fn finals(evaluated: &[Evaluated]) -> Vec<usize> {
    let is_last =
        |place: &usize| evaluated.get(place + 1).is_none_or(|next| next.candidate != evaluated[*place].candidate);
    (0..evaluated.len()).filter(is_last).collect()
}

/// Returns the pairs to compare, each with the model that is the measure first: the variants of each candidate, the best with
/// every other candidate, and the others with each other.
fn pairs(evaluated: &[Evaluated], finals: &[usize], best: Option<usize>) -> Vec<(usize, usize)> {
    let of = |place: usize| evaluated[place].candidate;
    let earlier =
        |place: usize| (0..place).filter(move |&other| of(other) == of(place)).map(move |other| (other, place));
    let mut pairs: Vec<(usize, usize)> = (0..evaluated.len()).flat_map(earlier).collect();
    let others: Vec<usize> = finals.iter().copied().filter(|place| Some(*place) != best).collect();
    pairs.extend(best.into_iter().flat_map(|best| others.iter().map(move |&other| (best, other))));
    pairs.extend(others.iter().enumerate().flat_map(|(at, &one)| others[at + 1..].iter().map(move |&two| (one, two))));
    pairs
}

/// Returns what is suspicious about an adapter beside its base, in one sentence.
fn as_its_base(base: &Evaluated, customized: &Evaluated) -> Option<String> {
    same_replies(base, customized).or_else(|| {
        let rows = customized.proof.as_ref()?.same?;
        Some(format!(
            "before its evaluation it answered {rows} rows as its base does: the adapter may not have been used for all rows"
        ))
    })
}

fn same_replies(base: &Evaluated, customized: &Evaluated) -> Option<String> {
    // The reply to a request with tools is a call.
    let said = |row: &'_ OutputRow| row.reply.clone().or_else(|| row.predicted.clone());
    let pairs: Vec<_> = base.rows.iter().zip(&customized.rows).map(|(base, own)| (said(base), said(own))).collect();
    suspicions::of_same_replies(pairs.iter().map(|(base, own)| (base.as_deref(), own.as_deref())))
}

/// Returns the size by which candidates are ordered: parameters as the name tells them (`1b`, `0.5B`, `350m`), else GPUs. Of
/// equal sizes the first in the configuration is the smallest.
fn size(candidates: &[Candidate], place: usize) -> f64 {
    let told: Option<Vec<f64>> = candidates.iter().map(|candidate| parameters(&candidate.model_name)).collect();
    let size = told.map_or_else(|| f64::from(candidates[place].gpus), |told| told[place]);
    size * (1.0 + place as f64 * 1e-9)
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
    use crate::score::verdict::MoreRows;

    #[test]
    fn a_sentence_with_what_cannot_be_told_reads_on() {
        let decision =
            |standing, more_rows| Decision { standing, not_worse: false, p_adjusted: 0.4, detectable: 0.2, more_rows };
        let more = |for_observed| Some(MoreRows { for_margin: 18_640, for_observed });
        for (rows, needed) in [
            (more(None), ", which takes about 19,000 more rows"),
            (more(Some(107)), ", which takes about 19,000 more rows (110 if the difference stays as it is)"),
            (None, ""),
        ] {
            let told = stands(&decision(Standing::CannotTell, rows), "its base");
            assert_eq!(told, format!("not told apart from its base{needed}"));
        }
        assert_eq!(stands(&decision(Standing::Same, None), "its base"), "the same as its base");
    }

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
