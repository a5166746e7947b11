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
        let (low, high) = wilson(*hits as u64, *trials as u64).unwrap();
        let (exact_low, exact_high) = clopper_pearson(*hits as u64, *trials as u64).unwrap();
        for (ours, theirs) in [low, high, exact_low, exact_high].into_iter().zip(theirs) {
            same(ours, *theirs, &case.to_string());
        }
    }
    assert_eq!((wilson(0, 0), clopper_pearson(0, 0), clopper_pearson(2, 1)), (None, None, None));
}

#[test]
fn wilson_solves_its_equation() {
    let reference: Value = serde_json::from_str(include_str!("../../../testdata/score_reference.json")).unwrap();
    let cases = reference["wilson"].as_array().unwrap();
    assert!(cases.len() >= 30);
    for case in cases {
        let [hits, trials, low, high] = numbers(case)[..] else { unreachable!() };
        let ours = wilson(hits as u64, trials as u64).unwrap();
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
        let (mean, _) = coverage(wilson, trials);
        assert!((0.945..0.96).contains(&mean), "{trials}: {mean}");
        let (_, least) = coverage(clopper_pearson, trials);
        assert!(least >= 0.95, "{trials}: {least}");
    }
}

#[test]
fn the_mean_of_values_lies_in_its_interval() {
    let values: Vec<f64> = (0..400).map(|at| f64::from(at % 5 == 0)).collect();
    let (low, high) = mean(&values, 3, 0).unwrap();
    let (wilson_low, wilson_high) = wilson(80, 400).unwrap();
    assert!((low - wilson_low).abs() < 0.01 && (high - wilson_high).abs() < 0.01, "{low} {high}");
    assert_eq!(mean(&[], 3, 0), None);
    let mut draws = Draws::new(3, 0);
    let noise: Vec<f64> = (0..50).map(|_| draws.unit()).collect();
    assert_ne!(mean(&noise, 1, 0), mean(&noise, 2, 0));
}
