//! Against scikit-learn's numbers (testdata/score_reference.py), and what must hold for any input.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const CLOSE: f64 = 1e-12;

fn reference() -> Value {
    serde_json::from_str(include_str!("../../../testdata/score_reference.json")).unwrap()
}

fn close(case: &Value, name: &str, ours: f64, theirs: &Value) {
    let theirs = theirs.as_f64().unwrap();
    assert!((ours - theirs).abs() < CLOSE, "{}: {name} is {ours}, scikit-learn says {theirs}", case["name"]);
}

/// A case's rows: `said` is a place in the labels, null (unparseable) or -1 (off the taxonomy).
fn judged(case: &Value) -> (Vec<Judged>, Vec<String>) {
    let labels: Vec<String> = serde_json::from_value(case["labels"].clone()).unwrap();
    let gold: Vec<usize> = serde_json::from_value(case["gold"].clone()).unwrap();
    let said: Vec<Option<i64>> = serde_json::from_value(case["said"].clone()).unwrap();
    let predicted = said.into_iter().map(|said| match said.map(usize::try_from) {
        Some(Ok(label)) => Prediction::Label(label),
        Some(Err(_)) => Prediction::OffTaxonomy,
        None => Prediction::Unparseable,
    });
    (gold.into_iter().zip(predicted).map(|(gold, predicted)| Judged { gold, predicted }).collect(), labels)
}

#[test]
fn scores_equal_scikit_learn() {
    let reference = reference();
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() >= 50, "{} cases", cases.len());
    for case in cases {
        let (rows, labels) = judged(case);
        let scores = score(&rows, &labels, 42).unwrap();
        let averages = [
            ("accuracy", scores.accuracy),
            ("macro_f1", scores.macro_f1),
            ("weighted_f1", scores.weighted_f1),
            ("micro_f1", scores.micro_f1),
        ];
        for (name, ours) in averages {
            close(case, name, ours.value, &case[name]);
        }
        match scores.kappa {
            Some(kappa) => close(case, "kappa", kappa.value, &case["kappa"]),
            None => assert!(case["kappa"].is_null(), "{}", case["name"]),
        }
        let theirs = case["classes"].as_array().unwrap();
        assert_eq!(scores.classes.len(), theirs.len(), "{}", case["name"]);
        for (ours, theirs) in scores.classes.iter().zip(theirs) {
            assert_eq!(ours.label, theirs[0]);
            close(case, "precision", ours.precision, &theirs[1]);
            close(case, "recall", ours.recall, &theirs[2]);
            close(case, "f1", ours.f1, &theirs[3]);
            assert_eq!((ours.support, ours.predicted), (theirs[4].as_u64().unwrap(), theirs[5].as_u64().unwrap()));
        }
        assert_eq!(serde_json::to_value(&scores.confusion.counts).unwrap(), case["confusion"], "{}", case["name"]);
    }
}

#[test]
fn wilson_solves_its_equation() {
    let reference = reference();
    let cases = reference["wilson"].as_array().unwrap();
    assert!(cases.len() >= 30);
    for case in cases {
        let number = |at: usize| case[at].as_f64().unwrap();
        let (low, high) = wilson(number(0) as u64, number(1) as u64).unwrap();
        assert!((low - number(2)).abs() < CLOSE && (high - number(3)).abs() < CLOSE, "{case}: {low} {high}");
    }
    assert_eq!(wilson(0, 0), None);
}

#[test]
fn no_rows_no_scores() {
    assert_eq!(score(&[], &["a".into()], 42), None);
    assert_eq!(score(&[], &[], 42), None);
}

#[test]
fn unparseable_and_off_taxonomy_have_columns_and_shares_of_their_own() {
    let rows = [Prediction::Label(0), Prediction::OffTaxonomy, Prediction::Unparseable, Prediction::Unparseable];
    let rows = rows.map(|predicted| Judged { gold: 0, predicted });
    let scores = score(&rows, &["a".into(), "b".into()], 42).unwrap();
    assert_eq!(scores.confusion.labels, ["a"]);
    assert_eq!(scores.confusion.columns, ["a", OFF_TAXONOMY, UNPARSEABLE]);
    assert_eq!(scores.confusion.counts, [[1, 1, 2]]);
    assert_eq!((scores.off_taxonomy.value, scores.unparseable.value), (0.25, 0.5));
    let names: Vec<String> = scores.named("_lenient").into_keys().collect();
    assert!(names.contains(&"macro_f1_lenient".to_owned()) && names.iter().all(|name| name.ends_with("_lenient")));
}

#[test]
fn intervals_are_reproducible_and_belong_to_the_seed() {
    let reference = reference();
    let (rows, labels) = judged(&reference["cases"][11]);
    let first = score(&rows, &labels, 42);
    assert_eq!(first, score(&rows, &labels, 42));
    let (rows, labels) = judged(reference["cases"].as_array().unwrap().last().unwrap());
    assert_ne!(score(&rows, &labels, 42).unwrap().macro_f1, score(&rows, &labels, 43).unwrap().macro_f1);
}

/// Samples of 200 rows from a population whose macro F1 is known.
#[test]
fn the_interval_of_macro_f1_covers_about_as_often_as_it_says() {
    let labels: Vec<String> = ["a", "b", "c"].map(String::from).into();
    // A model that is right on 80 % of a, 70 % of b, 50 % of c; classes at 50, 30 and 20 %.
    let population: Vec<Judged> = [(0, 0, 40), (0, 1, 10), (1, 1, 21), (1, 0, 9), (2, 2, 10), (2, 0, 10)]
        .into_iter()
        .flat_map(|(gold, label, n)| std::iter::repeat_n(Judged { gold, predicted: Prediction::Label(label) }, n))
        .collect();
    let truth = score(&population, &labels, 0).unwrap().macro_f1.value;
    let mut draws = Draws::new(11, 0);
    let trials = 100;
    let covered = (0..trials)
        .filter(|&trial| {
            let sample: Vec<Judged> = (0..200).map(|_| population[draws.below(100) as usize]).collect();
            let estimate = score(&sample, &labels, trial).unwrap().macro_f1;
            estimate.low.unwrap() <= truth && truth <= estimate.high.unwrap()
        })
        .count();
    assert!((88..=100).contains(&covered), "{covered} of {trials}");
}

fn row(labels: usize) -> impl Strategy<Value = Judged> {
    let predicted = prop_oneof![
        6 => (0..labels).prop_map(Prediction::Label),
        1 => Just(Prediction::OffTaxonomy),
        1 => Just(Prediction::Unparseable),
    ];
    (0..labels, predicted).prop_map(|(gold, predicted)| Judged { gold, predicted })
}

fn any_rows() -> impl Strategy<Value = (Vec<Judged>, usize)> {
    (1_usize..8).prop_flat_map(|labels| (prop::collection::vec(row(labels), 1..60), Just(labels)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_comes_scores_are_in_range_and_in_their_intervals((rows, labels) in any_rows()) {
        let names: Vec<String> = (0..labels).map(|label| label.to_string()).collect();
        let scores = score(&rows, &names, 42).unwrap();
        for (name, estimate) in scores.named("") {
            let (low, high) = (estimate.low.unwrap(), estimate.high.unwrap());
            prop_assert!(low <= estimate.value && estimate.value <= high, "{name}: {estimate:?}");
            let least = if name == "kappa" { -1.0 } else { 0.0 };
            prop_assert!((least..=1.0).contains(&estimate.value), "{name}");
        }
        let counted: u64 = scores.confusion.counts.iter().flatten().sum();
        prop_assert_eq!(counted, rows.len() as u64);
        prop_assert_eq!(scores.classes.iter().map(|class| class.support).sum::<u64>(), rows.len() as u64);
    }

    #[test]
    fn the_order_of_the_rows_is_no_matter((rows, labels) in any_rows()) {
        let names: Vec<String> = (0..labels).map(|label| label.to_string()).collect();
        let mut turned = rows.clone();
        turned.reverse();
        prop_assert_eq!(score(&rows, &names, 1), score(&turned, &names, 1));
    }
}
