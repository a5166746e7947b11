//! Simulations under known truths, and what must hold of every comparison.

use super::super::power;
use super::super::testing::long;
use super::*;

fn simulation(rounds: usize) -> Simulation {
    Simulation { rounds, ..Simulation::new(42) }
}

fn said(right: bool, gold: usize, classes: usize) -> Prediction {
    Prediction::Label(if right { gold } else { (gold + 1) % classes })
}

/// Rows of two models of which each is right by chance: with `first` and `second`, and together as often as `both`
/// says. Classes come in turn.
fn drawn_rows(draws: &mut Draws, rows: usize, classes: usize, [first, second, both]: [f64; 3]) -> Vec<PairedReply> {
    let row = |at: usize| {
        let (gold, place) = (at % classes, draws.unit());
        let first_right = place < first;
        let second_right = place < both || (first <= place && place < first + second - both);
        PairedReply { gold, first: said(first_right, gold, classes), second: said(second_right, gold, classes) }
    };
    (0..rows).map(row).collect()
}

/// Rows with these numbers of both right, only the first, only the second, and both wrong.
fn counted_rows(counts: [usize; 4], classes: usize) -> Vec<PairedReply> {
    let kinds = [(true, true), (true, false), (false, true), (false, false)];
    let all = counts.into_iter().zip(kinds).flat_map(|(n, rights)| std::iter::repeat_n(rights, n));
    let row = |(at, (first, second)): (usize, (bool, bool))| {
        let gold = at % classes;
        PairedReply { gold, first: said(first, gold, classes), second: said(second, gold, classes) }
    };
    all.enumerate().map(row).collect()
}

fn compare(rows: &[PairedReply], classes: usize, metric: Metric, rounds: usize) -> Difference {
    of_replies(rows, None, classes, metric, simulation(rounds)).unwrap()
}

/// McNemar's test of so many rows, repeated: the share that finds a difference.
fn found_by_mcnemar(rows: usize, shares: [f64; 3], trials: u64) -> f64 {
    let mut draws = Draws::new(9, 0);
    let found = (0..trials).filter(|_| mcnemar_p(&drawn_rows(&mut draws, rows, 2, shares)) <= 0.05).count();
    found as f64 / trials as f64
}

#[test]
fn mcnemar_s_test_keeps_its_level_and_has_the_power_computed() {
    let trials = long(20_000, 1_000);
    let error = if trials > 1_000 { 0.0 } else { 0.01 };
    let level = found_by_mcnemar(200, [0.8, 0.8, 0.7], trials);
    assert!(level <= 0.05 + error, "{level}");
    // One model is right where the other is not on 8 % and on 4 % of the rows.
    let deviation = (0.12_f64 - 0.04 * 0.04).sqrt();
    let computed = power::power(deviation, 600, 0.04, 0.05);
    let found = found_by_mcnemar(600, [0.88, 0.84, 0.80], trials);
    // The exact test is a little weaker than the approximation behind the power.
    assert!((found - computed).abs() < 0.03 + 2.0 * error, "{found} found, {computed} computed");
}

/// How often a comparison of macro F1 finds a difference where there is none, and how often its interval holds zero.
fn null_of_macro_f1(group: Option<u64>, rows: usize, trials: u64, rounds: usize) -> (f64, f64) {
    let (mut found, mut held) = (0_u64, 0_u64);
    let mut draws = Draws::new(4, 0);
    for seed in 0..trials {
        let size = group.unwrap_or(1) as usize;
        let units = drawn_rows(&mut draws, rows, 3, [0.75, 0.75, 0.6]);
        let rows: Vec<PairedReply> = units.iter().flat_map(|row| std::iter::repeat_n(*row, size)).collect();
        let groups: Vec<u64> = (0..rows.len() as u64).map(|at| at / size as u64).collect();
        let simulation = Simulation { seed, ..simulation(rounds) };
        let difference = of_replies(&rows, group.map(|_| &groups[..]), 3, Metric::MacroF1, simulation).unwrap();
        found += u64::from(difference.p <= 0.05);
        held += u64::from(difference.low <= 0.0 && 0.0 <= difference.high);
    }
    (found as f64 / trials as f64, held as f64 / trials as f64)
}

#[test]
fn a_comparison_of_macro_f1_keeps_its_level_with_and_without_groups() {
    let (trials, rounds) = (long(3_000, 60), long(1_000, 200) as usize);
    for (group, rows) in [(None, 120), (Some(3), 120), (None, 450)] {
        let (found, held) = null_of_macro_f1(group, rows, trials, rounds);
        // The level is allowed two standard errors of the simulation.
        let (level, coverage) = if trials > 1_000 { (0.058, 0.94..=0.96) } else { (0.12, 0.87..=1.0) };
        assert!(found <= level && coverage.contains(&held), "{group:?}, {rows} rows: {found} found, {held} held");
    }
}

#[test]
fn randomisation_agrees_with_the_exact_test() {
    for (first, second) in [(5, 0), (12, 4), (30, 22), (1, 1)] {
        let rows = counted_rows([60, first, second, 9], 2);
        let right = |gold, prediction| f64::from(prediction == Prediction::Label(gold));
        let values: Vec<(f64, f64)> =
            rows.iter().map(|row| (right(row.gold, row.first), right(row.gold, row.second))).collect();
        let exact = mcnemar::exact(first as u64, second as u64);
        let p = of_values(&values, None, simulation(5_000)).unwrap().p;
        assert!((p - exact).abs() < 0.02, "{first} and {second}: {p} by chance, {exact} exactly");
    }
}

#[test]
fn models_that_reply_alike_do_not_differ_but_few_rows_prove_little() {
    for metric in [Metric::Accuracy, Metric::MacroF1, Metric::WeightedF1] {
        let widths = [10, 100, 1_000].map(|rows| {
            let difference = compare(&counted_rows([rows - rows / 10, 0, 0, rows / 10], 2), 2, metric, 500);
            assert_eq!((difference.value, difference.p), (0.0, 1.0));
            assert!(difference.low < 0.0 && 0.0 < difference.high, "{difference:?}");
            difference.high - difference.low
        });
        assert!(widths[0] > 0.2 && widths[2] < 0.02 && widths[1] < widths[0], "{metric:?}: {widths:?}");
    }
    let alike = of_values(&[(0.4, 0.4); 20], None, simulation(500)).unwrap();
    assert!(alike.low < -0.05 && 0.05 < alike.high && alike.p == 1.0, "{alike:?}");
}

#[test]
fn the_models_change_places() {
    let rows = counted_rows([50, 14, 5, 11], 3);
    let turned: Vec<PairedReply> =
        rows.iter().map(|row| PairedReply { gold: row.gold, first: row.second, second: row.first }).collect();
    let (one, other) = (compare(&rows, 3, Metric::MacroF1, 2_000), compare(&turned, 3, Metric::MacroF1, 2_000));
    assert!((one.value + other.value).abs() < 1e-12 && (one.p - other.p).abs() < 0.02, "{one:?} {other:?}");
    assert!((one.low + other.high).abs() < 0.02 && (one.high + other.low).abs() < 0.02, "{one:?} {other:?}");
}

#[test]
fn threads_and_the_order_of_rows_change_nothing_and_the_seed_does() {
    let mut rows = drawn_rows(&mut Draws::new(1, 0), 90, 4, [0.8, 0.7, 0.6]);
    let with = |rows: &[PairedReply], seed, threads| {
        let simulation = Simulation { seed, rounds: 300, threads: NonZero::new(threads) };
        of_replies(rows, None, 4, Metric::MacroF1, simulation).unwrap()
    };
    let one = with(&rows, 1, 1);
    assert!([2, 5, 300].into_iter().all(|threads| with(&rows, 1, threads) == one));
    assert_ne!(with(&rows, 2, 1), one);
    rows.reverse();
    assert!((with(&rows, 1, 1).p - one.p).abs() < 0.05, "swaps come in the order of the cells");
    assert_eq!((with(&rows, 1, 1).low, with(&rows, 1, 1).high), (one.low, one.high));
}

#[test]
fn no_rows_no_difference() {
    assert_eq!(of_replies(&[], None, 2, Metric::MacroF1, simulation(10)), None);
    assert_eq!(of_values(&[], None, simulation(10)), None);
}

#[test]
fn groups_of_values_count_once() {
    let rows: Vec<(f64, f64)> = (0..60).map(|at| if at / 10 % 3 == 0 { (0.9, 0.5) } else { (0.5, 0.6) }).collect();
    let groups: Vec<u64> = (0..60).map(|at| at / 10).collect();
    let alone = of_values(&rows, None, simulation(1_000)).unwrap();
    let together = of_values(&rows, Some(&groups), simulation(1_000)).unwrap();
    assert_eq!(alone.value, together.value);
    assert!(together.high - together.low > 1.8 * (alone.high - alone.low), "{alone:?} {together:?}");
    assert!(together.p > alone.p, "{alone:?} {together:?}");
}
