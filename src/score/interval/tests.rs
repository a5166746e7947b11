//! Against statsmodels and the equation that defines Wilson's interval, and by counting.

use serde_json::Value;

use super::super::random::Draws;
use super::super::testing::{numbers, reference, same};
use super::*;

#[test]
fn wilson_and_exact_intervals_equal_those_of_statsmodels() {
    let reference = reference();
    for case in reference["intervals"].as_array().unwrap() {
        let [hits, trials, theirs @ ..] = &numbers(case)[..] else { unreachable!() };
        let (low, high) = wilson(*hits, *trials).unwrap();
        let (exact_low, exact_high) = clopper_pearson(*hits as u64, *trials as u64).unwrap();
        for (ours, theirs) in [low, high, exact_low, exact_high].into_iter().zip(theirs) {
            same(ours, *theirs, &case.to_string());
        }
    }
    assert_eq!((wilson(0.0, 0.0), clopper_pearson(0, 0), clopper_pearson(2, 1)), (None, None, None));
}

#[test]
fn wilson_solves_its_equation() {
    let reference: Value = serde_json::from_str(include_str!("../../../testdata/score_reference.json")).unwrap();
    let cases = reference["wilson"].as_array().unwrap();
    assert!(cases.len() >= 30);
    for case in cases {
        let [hits, trials, low, high] = numbers(case)[..] else { unreachable!() };
        let ours = wilson(hits, trials).unwrap();
        assert!((ours.0 - low).abs() < 1e-12 && (ours.1 - high).abs() < 1e-12, "{case}: {ours:?}");
    }
}

/// The coverage of an interval by the binomial distribution itself, averaged over true shares.
fn coverage(interval: fn(u64, u64) -> Option<(f64, f64)>, trials: u64) -> (f64, f64) {
    use statrs::distribution::{Binomial, Discrete};
    let ends: Vec<(f64, f64)> = (0..=trials).map(|hits| interval(hits, trials).unwrap()).collect();
    let covers = |share: f64| -> f64 {
        let binomial = Binomial::new(share, trials).unwrap();
        (0..=trials)
            .zip(&ends)
            .filter(|(_, ends)| ends.0 <= share && share <= ends.1)
            .map(|(hits, _)| binomial.pmf(hits))
            .sum()
    };
    let each: Vec<f64> = (1..100).map(|share| covers(f64::from(share) / 100.0)).collect();
    (each.iter().sum::<f64>() / each.len() as f64, each.into_iter().fold(1.0, f64::min))
}

#[test]
fn wilson_covers_95_percent_on_average_and_the_exact_interval_always() {
    for trials in [50, 100, 400] {
        let (mean, _) = coverage(|hits, trials| wilson(hits as f64, trials as f64), trials);
        assert!((0.945..0.96).contains(&mean), "{trials}: {mean}");
        let (_, least) = coverage(clopper_pearson, trials);
        assert!(least >= 0.95, "{trials}: {least}");
    }
}

#[test]
fn a_mean_of_few_or_equal_values_has_an_interval_with_a_width() {
    // One row: the share of unseen ones is of Beta(1/2, 3/2), whose 97.5 % point is 0.8533 (scipy.stats.beta.ppf).
    let (low, high) = mean(&[0.25], None, 3, 0).unwrap();
    assert!((low - 0.25 * (1.0 - 0.8533)).abs() < 0.02 && (high - (0.25 + 0.75 * 0.8533)).abs() < 0.03, "{low} {high}");
    // 20 perfect rows: Beta(1/2, 41/2) has 0.1166.
    let (low, high) = mean(&[1.0; 20], None, 3, 0).unwrap();
    assert!((low - (1.0 - 0.1166)).abs() < 0.02 && high == 1.0, "{low} {high}");
    assert_eq!(mean(&[0.0; 20], None, 3, 0).unwrap().0, 0.0);
    assert!(mean(&[0.4; 2], None, 3, 0).is_some_and(|(low, high)| low < 0.3 && high > 0.5));
}

/// Scores of a model that is nearly always right: most rows have 1, and a tenth any value.
#[test]
fn the_interval_of_a_mean_covers_also_where_few_rows_differ() {
    let sets = super::super::testing::long(2_000, 150);
    for rows in [5, 20, 100] {
        let mut draws = Draws::new(11, rows);
        let covers = |_: &u64| {
            let values: Vec<f64> = (0..rows).map(|_| if draws.unit() < 0.9 { 1.0 } else { draws.unit() }).collect();
            mean(&values, None, 3, 0).is_some_and(|(low, high)| low <= 0.95 && 0.95 <= high)
        };
        let covered = (0..sets).filter(covers).count() as f64 / sets as f64;
        // The plain bootstrap covers 36, 75 and 90 %.
        assert!(covered >= 0.93, "{rows} rows: {covered}");
    }
}

#[test]
fn the_mean_of_values_lies_in_its_interval() {
    let values: Vec<f64> = (0..400).map(|at| f64::from(at % 5 == 0)).collect();
    let (low, high) = mean(&values, None, 3, 0).unwrap();
    let (wilson_low, wilson_high) = wilson(80.0, 400.0).unwrap();
    assert!((low - wilson_low).abs() < 0.01 && (high - wilson_high).abs() < 0.01, "{low} {high}");
    assert_eq!(mean(&[], None, 3, 0), None);
    let mut draws = Draws::new(3, 0);
    let noise: Vec<f64> = (0..50).map(|_| draws.unit()).collect();
    assert_ne!(mean(&noise, None, 1, 0), mean(&noise, None, 2, 0));
}

/// Hits of units that are alike: each unit of `size` rows has one answer.
fn alike(units: usize, size: usize, hit: impl Fn(usize) -> bool) -> (Vec<bool>, Vec<u64>) {
    (0..units * size).map(|at| (hit(at / size), (at / size) as u64)).unzip()
}

#[test]
fn rows_that_repeat_each_other_count_as_one() {
    let (hits, units) = alike(40, 5, |unit| unit % 4 != 0);
    let close = |ours: (f64, f64), rows: f64| {
        let theirs = wilson(0.75 * rows, rows).unwrap();
        assert!((ours.0 - theirs.0).abs() < 1e-12 && (ours.1 - theirs.1).abs() < 1e-12, "{ours:?} {theirs:?}");
    };
    // Forty answers, less what their own mean takes: 200 * (40 - 1) / 40 / (200 - 1) * 200 / 5.
    close(share(&hits, Some(&units)).unwrap(), 200.0 / (5.0 * (40.0 / 39.0) * (199.0 / 200.0)));
    close(share(&hits, None).unwrap(), 200.0);
    let apart: Vec<u64> = (0..200).collect();
    assert_eq!(share(&hits, Some(&apart)), share(&hits, None), "groups of one row are no groups");
    let (right, units) = alike(40, 5, |_| true);
    assert_eq!(share(&right, Some(&units)), wilson(40.0, 40.0), "without an error nothing tells how alike they are");
    assert_eq!(share(&right[..5], Some(&units[..5])), wilson(1.0, 1.0));
    assert_eq!(share(&[], None), None);
    // Units whose rows differ as much as they can say no less than rows apart.
    let halves: Vec<bool> = (0..100).map(|at| at % 2 == 0).collect();
    let pairs: Vec<u64> = (0..100).map(|at| at / 2).collect();
    assert_eq!(share(&halves, Some(&pairs)), share(&halves, None));
}

/// Units of one to six rows; the rows of a unit share its answer three times in four.
#[test]
fn a_share_and_a_mean_of_rows_in_groups_cover_as_they_promise() {
    let mut draws = Draws::new(7, 0);
    let truth = 0.8;
    let mut covered = [0_u32; 3];
    let rounds = 400;
    for _ in 0..rounds {
        let (mut hits, mut units) = (Vec::new(), Vec::new());
        for unit in 0..80_u64 {
            let own = draws.below(10) < 8;
            for _ in 0..1 + unit % 6 {
                let answer = draws.below(10) < 8;
                hits.push(if draws.below(4) > 0 { own } else { answer });
                units.push(unit);
            }
        }
        let values: Vec<f64> = hits.iter().map(|hit| f64::from(u8::from(*hit))).collect();
        let found = [share(&hits, Some(&units)), mean(&values, Some(&units), 3, 0), share(&hits, None)];
        for (covered, ends) in covered.iter_mut().zip(found) {
            *covered += u32::from(ends.is_some_and(|(low, high)| low <= truth && truth <= high));
        }
    }
    let [grouped, mean, apart] = covered.map(|covered| f64::from(covered) / f64::from(rounds));
    assert!((0.92..0.98).contains(&grouped) && (0.92..0.98).contains(&mean), "{grouped} {mean}");
    assert!(apart < 0.85, "rows taken for independent promise too much: {apart}");
}
