//! Against scikit-learn's numbers (testdata/score_reference.py), and what must hold for any input.

use proptest::prelude::*;
use serde_json::Value;

use super::super::random::Draws;
use super::super::testing::{long, reference};
use super::*;

const CLOSE: f64 = 1e-12;

/// Scores rows with an interval of few resamples, for tests of something else.
fn score_soon(rows: &[Judged], labels: &[String], seed: u64) -> Scores {
    score_in_rounds(rows, None, labels, seed, 50).unwrap()
}

fn cases() -> Value {
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
    let reference = cases();
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() >= 50, "{} cases", cases.len());
    for case in cases {
        let (rows, labels) = judged(case);
        let scores = score_soon(&rows, &labels, 42);
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
    let reference = cases();
    let (rows, labels) = judged(&reference["cases"][11]);
    let first = score(&rows, &labels, 42);
    assert_eq!(first, score(&rows, &labels, 42));
    let (rows, labels) = judged(reference["cases"].as_array().unwrap().last().unwrap());
    assert_ne!(score(&rows, &labels, 42).unwrap().macro_f1, score(&rows, &labels, 43).unwrap().macro_f1);
}

/// The generator of testdata/statistics_reference.py.
struct SplitMix64(u64);

impl SplitMix64 {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound) as usize
    }
}

/// The label set of this number, drawn as testdata/statistics_reference.py draws it.
fn label_set(number: u64) -> (Vec<Judged>, usize) {
    let mut draw = SplitMix64(number);
    let classes = [1, 2, 3, 5, 14, 40][draw.below(6)];
    let rows = [1, 2, 7, 30, 100, 300][draw.below(6)];
    let (skill, odd) = (draw.below(101), [0, 0, 10, 50][draw.below(4)]);
    let mut row = || {
        let gold = draw.below(classes).min(draw.below(classes));
        let said = if draw.below(100) < odd {
            classes as usize + draw.below(2)
        } else if draw.below(100) < skill {
            gold
        } else {
            draw.below(classes)
        };
        let predicted = match said.checked_sub(classes as usize) {
            None => Prediction::Label(said),
            Some(0) => Prediction::OffTaxonomy,
            Some(_) => Prediction::Unparseable,
        };
        Judged { gold, predicted }
    };
    ((0..rows).map(|_| row()).collect(), classes as usize)
}

#[test]
fn a_thousand_random_label_sets_score_as_in_scikit_learn() {
    let reference = reference();
    let sets = reference["label_sets"].as_array().unwrap();
    assert_eq!(sets.len(), 1000);
    for (number, theirs) in (0..).zip(sets) {
        let (rows, classes) = label_set(number);
        let cells: Vec<Cell<1>> = rows.iter().map(|row| (row.gold, [row.predicted.column(classes)])).collect();
        let [margins] = Cells::new(&cells, None, classes).margins();
        let ours = margins.summary();
        let averages = [ours.accuracy, ours.macro_f1, ours.weighted_f1, ours.micro_f1];
        for (ours, theirs) in averages.into_iter().zip(theirs.as_array().unwrap()) {
            assert!((ours - theirs.as_f64().unwrap()).abs() < 1e-9, "set {number}: {ours} and {theirs}");
        }
        match theirs[4].as_f64() {
            Some(kappa) => assert!((ours.kappa - kappa).abs() < 1e-9, "set {number}: {} and {kappa}", ours.kappa),
            None => assert!(ours.kappa.is_nan(), "set {number}"),
        }
    }
}

/// How often the intervals of macro and weighted F1 hold the true value, of so many eval sets. `rights` is the share of right answers
/// of each class, `support` its rows; wrong answers are spread over the other classes.
fn coverage(support: &[usize], rights: &[f64], trials: u64, rounds: usize) -> [f64; 2] {
    let classes = support.len();
    let mut truth = Margins::new(classes);
    for (gold, (&n, &right)) in support.iter().zip(rights).enumerate() {
        for column in 0..classes {
            let share = if column == gold { right } else { (1.0 - right) / (classes - 1) as f64 };
            truth.add(gold, column, share * n as f64);
        }
    }
    let truth = truth.summary();
    let mut draws = Draws::new(11, 0);
    let mut covered = [0_u64; 2];
    for trial in 0..trials {
        let mut rows: Vec<Cell<1>> = Vec::new();
        for (gold, (&n, &right)) in support.iter().zip(rights).enumerate() {
            for _ in 0..n {
                let other = draws.below(classes as u32 - 1) as usize;
                let wrong = other + usize::from(other >= gold);
                rows.push((gold, [if draws.unit() < right { gold } else { wrong }]));
            }
        }
        let cells = Cells::new(&rows, None, classes);
        let ends = Ends::new(&cells, Plan { seed: trial, stream: 0, rounds, threads: None });
        let point = cells.margins()[0].summary();
        let scores =
            [(ends.macro_f1, point.macro_f1, truth.macro_f1), (ends.weighted_f1, point.weighted_f1, truth.weighted_f1)];
        for (covered, (ends, point, truth)) in covered.iter_mut().zip(scores) {
            let estimate = Estimate::between(point, ends);
            *covered += u64::from(estimate.low.unwrap() <= truth && truth <= estimate.high.unwrap());
        }
    }
    covered.map(|covered| covered as f64 / trials as f64)
}

/// Enough of both right and wrong answers in each class: here the bootstrap promises 95 %.
#[test]
fn the_intervals_of_f1_averages_cover_as_often_as_it_says() {
    let covered = coverage(&[200, 120, 80], &[0.8, 0.7, 0.5], long(4_000, 100), long(1_000, 200) as usize);
    // The standard error is 0.3 points in the long run and 2.2 in the short one.
    let allowed = if long(1, 0) == 1 { 0.94..=0.96 } else { 0.89..=0.99 };
    assert!(covered.iter().all(|covered| allowed.contains(covered)), "{covered:?}");
}

/// Thirteen classes of which the rarest have a row or two: the plain bootstrap covers 20 to 60 % there.
#[test]
fn the_interval_of_macro_f1_is_not_too_narrow_where_classes_are_tiny() {
    let support = [26, 18, 14, 11, 9, 7, 5, 4, 2, 1, 1, 1, 1];
    let mut rights = [0.97; 13];
    for rare in [0.97, 0.4] {
        rights[8..].fill(rare);
        let [covered, weighted] = coverage(&support, &rights, long(1_000, 50), long(500, 200) as usize);
        assert!(
            covered >= 0.93 && weighted >= 0.93,
            "{covered} and {weighted} where rare classes are right with {rare}"
        );
    }
}

#[test]
fn an_interval_does_not_collapse_at_a_perfect_score_nor_at_the_worst() {
    let labels: Vec<String> = ["a", "b"].map(String::from).into();
    let judged = |gold, label| Judged { gold, predicted: Prediction::Label(label) };
    let perfect: Vec<Judged> = (0..100).map(|at| judged(at % 2, at % 2)).collect();
    let scores = score(&perfect, &labels, 42).unwrap();
    let low = scores.macro_f1.low.unwrap();
    // Wilson's lower end of 100 right rows is 0.963.
    assert!((0.955..0.97).contains(&low) && scores.macro_f1.high == Some(1.0), "{low}");
    assert!(scores.kappa.unwrap().low.unwrap() < 1.0);
    let wrong: Vec<Judged> = (0..100).map(|at| judged(at % 2, (at + 1) % 2)).collect();
    let macro_f1 = score(&wrong, &labels, 42).unwrap().macro_f1;
    assert!(macro_f1.low == Some(0.0) && (0.01..0.05).contains(&macro_f1.high.unwrap()), "{macro_f1:?}");
    let one = score(&perfect[..1], &labels, 42).unwrap().macro_f1;
    assert!(one.low.unwrap() < 0.3, "one row proves next to nothing: {one:?}");
}

#[test]
fn rows_that_depend_on_each_other_widen_the_interval() {
    let labels: Vec<String> = ["a", "b"].map(String::from).into();
    // Each of 40 texts stands five times, with the same answer.
    let rows: Vec<Judged> = (0..200)
        .map(|at| Judged {
            gold: (at / 5) % 2,
            predicted: Prediction::Label(if at / 5 % 4 == 3 { 0 } else { at / 5 % 2 }),
        })
        .collect();
    let groups: Vec<u64> = (0..200).map(|at| at / 5).collect();
    let width = |scores: Scores| scores.macro_f1.high.unwrap() - scores.macro_f1.low.unwrap();
    let alone = width(score(&rows, &labels, 42).unwrap());
    let together = width(score_clustered(&rows, Some(&groups), &labels, 42).unwrap());
    let ratio = together / alone;
    assert!((1.8..2.7).contains(&ratio), "sqrt(5) is expected, {ratio} found");
    let singles: Vec<u64> = (0..200).collect();
    let apart = score_clustered(&rows, Some(&singles), &labels, 42);
    assert_eq!(apart, score(&rows, &labels, 42), "groups of one row are no groups");
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
        let scores = score_soon(&rows, &names, 42);
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
        prop_assert_eq!(score_soon(&rows, &names, 1), score_soon(&turned, &names, 1));
    }
}
