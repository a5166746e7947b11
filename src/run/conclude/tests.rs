//! Verdicts on made-up models: each is given by how many of 400 rows it gets right, and which.

use serde_json::json;

use super::*;
use crate::data::options::LabelRules;
use crate::run::outcome::{ProofFact, UnreadableReply};
use crate::run::rows::OutputRow;
use crate::score::Estimate;
use crate::score::classification::{Judged, Prediction, score};

const ROWS: usize = 400;

fn candidates(models: &[&str]) -> Vec<Candidate> {
    let candidate = |name: &&str| {
        let value = json!({
            "model_name": name, "context_length": 1, "gpus": 1, "pvc_size": null, "tag": null, "registry_base": null,
            "customizer": null
        });
        serde_json::from_value(value).unwrap()
    };
    models.iter().map(candidate).collect()
}

/// A model that has these rows right, of two classes in turn, and takes the others for the other class.
fn model(candidates: &[Candidate], at: usize, variant: ModelVariant, right: std::ops::Range<usize>) -> Evaluated {
    let labels = ["a".to_owned(), "b".to_owned()];
    let said = |row: usize| if right.contains(&row) { row % 2 } else { (row + 1) % 2 };
    let rows = (0..ROWS).map(|row| OutputRow {
        gold: labels[row % 2].clone(),
        predicted: Some(labels[said(row)].clone()),
        reply: Some(labels[said(row)].clone()),
        user: row.to_string(),
        ..OutputRow::default()
    });
    let judged = |row: usize| Judged { gold: row % 2, predicted: Prediction::Label(said(row)) };
    let scores = score(&(0..ROWS).map(judged).collect::<Vec<_>>(), &labels, 1).unwrap();
    let fact = json!({
        "job": "", "rows": ROWS, "unanswered": 0, "seconds": null, "scores": scores.named(""),
        "classes": scores.classes, "confusion": null, "prompt_tokens": null, "completion_tokens": null, "file": ""
    });
    Evaluated {
        name: format!("{}:{}", candidates[at].model_name, variant.as_str()),
        candidate: at,
        variant,
        fact: serde_json::from_value(fact).unwrap(),
        rows: rows.collect(),
        proof: None,
    }
}

fn conclusion(candidates: &[Candidate], models: &[Evaluated]) -> ConclusionFact {
    conclusion_of((0, 0), candidates, models)
}

/// Concludes for a log with so many duplicates and conflicts.
fn conclusion_of(
    (duplicates, conflicts): (u64, u64),
    candidates: &[Candidate],
    models: &[Evaluated],
) -> ConclusionFact {
    let manifest: Manifest = serde_json::from_value(json!({
        "workload": "w", "workload_type": "classification", "source": "jsonl", "read": 0, "rejected": {}, "other": 0,
        "duplicates": duplicates, "over_limit": 0, "kept": 0, "eval": 0, "train": 0, "validation": 0, "held_back": 0,
        "conflicts": conflicts, "seed": 1, "files": [], "inputs": [], "warnings": [],
        "classes": {"a": {"eval": 0, "train": 0, "validation": 0}, "b": {"eval": 0, "train": 0, "validation": 0}},
        "types": {"records": 0, "labels": 0, "tool_calls": 0}, "labels": {}
    }))
    .unwrap();
    let reader = LabelReader::new(&LabelRules::default()).unwrap();
    let comparer = Comparer { manifest: &manifest, reader: &reader, seed: 1, margin: 0.02, judged: false };
    comparer.conclusion(candidates, models)
}

use ModelVariant::{Base, Customized, Icl};

#[test]
fn the_best_is_said_to_be_better_only_where_a_test_says_so() {
    let two = candidates(&["large", "small"]);
    let models = |close: usize| {
        [
            model(&two, 0, Base, 0..200),
            model(&two, 0, Customized, 0..380),
            model(&two, 1, Base, 0..200),
            model(&two, 1, Customized, 400 - close..400),
        ]
    };
    let open = conclusion(&two, &models(376));
    assert_eq!((open.model.as_deref(), open.variant), (Some("large"), Some(Customized)));
    let begins = "Look at large first: macro F1 0.950, the highest score, better than its base, but not told apart from small. \
        To decide between it and small takes about ";
    assert!(open.sentence.starts_with(begins), "{}", open.sentence);
    assert!(!open.sentence.contains("its base, which takes"), "{}", open.sentence);
    let of_small = &open.candidates[1];
    assert_eq!((of_small.model.as_str(), of_small.variant), ("small", Customized));
    let begins = "Customized: macro F1 0.940, better than its base, but not told apart from large. To decide between it and large";
    assert!(of_small.sentence.starts_with(begins), "{}", of_small.sentence);
    let clear = conclusion(&two, &models(300));
    let whole = "Look at large first: macro F1 0.950, the highest score, better than its base and small. \
        Whether it takes over is for a person to decide.";
    assert_eq!(clear.sentence, whole);
    assert_eq!(clear.candidates[1].sentence, "Customized: macro F1 0.750, better than its base, but worse than large.");
    assert_eq!(clear.comparisons.len(), 3, "each with its base, and the last two");
    assert!(open.comparisons.iter().all(|one| one.detectable.is_some_and(|least| least > 0.0)));
}

#[test]
fn a_model_that_its_training_makes_worse_gives_way_to_its_base() {
    let two = candidates(&["large", "small"]);
    let models = [
        model(&two, 0, Base, 0..396),
        model(&two, 0, Icl, 0..360),
        model(&two, 0, Customized, 0..8),
        model(&two, 1, Customized, 0..320),
    ];
    let found = conclusion(&two, &models);
    assert_eq!((found.model.as_deref(), found.variant), (Some("large"), Some(Base)));
    let begins = "No training was shown to help: look at large as it is first: macro F1 0.990, the highest score, better than \
        its base with examples, its customized model and small.";
    assert!(found.sentence.starts_with(begins), "{}", found.sentence);
    let worse = "is worse than its base, which needs no training";
    assert!(found.warnings.contains(&format!("customized large {worse}")), "{:?}", found.warnings);
    assert_eq!(found.candidates[0].variant, Base);
    // The base of the other candidate is better than its customized model, but another candidate is better than both.
    let models = [
        model(&two, 0, Base, 0..200),
        model(&two, 0, Customized, 0..396),
        model(&two, 1, Base, 0..300),
        model(&two, 1, Customized, 0..100),
    ];
    let found = conclusion(&two, &models);
    assert_eq!((found.model.as_deref(), found.variant), (Some("large"), Some(Customized)));
    assert!(found.sentence.contains("better than its base and small."), "{}", found.sentence);
    assert_eq!(found.candidates[1].sentence, "Customized: macro F1 0.250, worse than its base and large.");
    let pairs: Vec<(&str, &str)> = found.comparisons.iter().map(|one| (one.a.as_str(), one.b.as_str())).collect();
    assert!(pairs.contains(&("large:customized", "small:base")), "{pairs:?}");
}

#[test]
fn of_equal_models_the_one_without_training_is_named() {
    let one = candidates(&["only"]);
    let models = [model(&one, 0, Base, 0..392), model(&one, 0, Icl, 0..392), model(&one, 0, Customized, 0..392)];
    let found = conclusion(&one, &models);
    assert_eq!(found.variant, Some(Base));
    assert!(found.warnings.contains(&"customized only is the same as its base, which needs no training".to_owned()));
    assert!(
        found.sentence.contains(", the same as its base with examples and its customized model."),
        "{}",
        found.sentence
    );
    // Prompts with examples cost more for each request than an adapter.
    let found = conclusion(
        &one,
        &[model(&one, 0, Base, 0..100), model(&one, 0, Icl, 0..392), model(&one, 0, Customized, 0..392)],
    );
    assert_eq!(found.variant, Some(Customized));
    let found = conclusion(&one, &[model(&one, 0, Base, 0..392)]);
    assert_eq!(found.sentence, "Look at only first: macro F1 0.980. Whether it takes over is for a person to decide.");
}

#[test]
fn a_base_without_labels_is_told_beside_the_model_that_beats_it() {
    let one = candidates(&["only"]);
    let mut base = model(&one, 0, Base, 0..0);
    base.rows.iter_mut().for_each(|row| (row.reply, row.predicted) = (Some("I think\nit is b.".to_owned()), None));
    base.fact.scores.insert("unparseable".to_owned(), Estimate::bare(1.0));
    let found = conclusion(&one, &[base, model(&one, 0, Customized, 0..380)]);
    let told = "base only: 100 % of the replies hold no label of the list, and count as wrong; if such replies name a label, \
        set label_pattern to read it";
    assert!(found.warnings.contains(&told.to_owned()), "{:?}", found.warnings);
    // The words of a model stand by themselves, where a reader can leave them out.
    assert!(!found.warnings.iter().any(|warning| warning.contains("I think")), "{:?}", found.warnings);
    let expected = UnreadableReply { model: "only:base".to_owned(), reply: "I think it is b.".to_owned() };
    assert_eq!(found.unreadable, [expected]);
}

#[test]
fn agreement_above_what_the_teacher_repeats_is_told() {
    let one = candidates(&["only"]);
    let models = [model(&one, 0, Base, 0..200), model(&one, 0, Customized, 0..396)];
    let told = |counts| {
        let warnings = conclusion_of(counts, &one, &models).warnings;
        warnings.into_iter().filter(|warning| warning.contains("does not agree with itself")).collect::<Vec<_>>()
    };
    // At least 0.7 of the requests are answered alike: a root of 0.87, below the 0.97 that the model surely has.
    let wanted = "customized only agrees with the teacher on 99 % of the rows, but the teacher does not agree with itself: it \
        answered 300 of at most 1000 repeated requests differently, so more than 85 % proves nothing";
    assert_eq!(told((1_000, 300)), [wanted]);
    assert_eq!(told((1_000, 10)), Vec::<String>::new(), "the root of 0.995 is above");
    assert_eq!(told((3, 1)), Vec::<String>::new(), "three duplicates prove nothing");
    assert_eq!(told((0, 0)), Vec::<String>::new());
}

#[test]
fn equal_replies_are_no_surprise_where_the_base_hardly_errs() {
    let one = candidates(&["only"]);
    let warned = |right: usize, same: Option<u64>| {
        let proof = Some(ProofFact { same });
        let customized = Evaluated { proof, ..model(&one, 0, Customized, 0..right) };
        let found = conclusion(&one, &[model(&one, 0, Base, 0..right), customized]);
        found.warnings.into_iter().filter(|warning| warning.contains("may not have been used")).count()
    };
    assert_eq!((warned(380, Some(8)), warned(381, Some(8)), warned(381, None)), (1, 0, 0), "5 % of 400 are 20");
    let silent = |mut one: Evaluated| {
        one.rows.iter_mut().for_each(|row| (row.reply, row.predicted) = (Some(" ".to_owned()), None));
        one
    };
    let models = [silent(model(&one, 0, Base, 0..0)), silent(model(&one, 0, Customized, 0..0))];
    let found = conclusion(&one, &models);
    assert!(!found.warnings.iter().any(|one| one.contains("may not have been used")), "nothing was said");
}
