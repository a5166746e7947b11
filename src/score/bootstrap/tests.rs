//! Tests the invariants of every resample, and that threads change nothing.

use super::super::testing::{numbers, reference, same};
use super::*;

fn plan(threads: usize) -> Plan {
    Plan { seed: 1, stream: 0, rounds: 400, threads: NonZero::new(threads) }
}

fn resamples(sample: &Sample, threads: usize) -> Vec<Vec<f64>> {
    sample.resample(plan(threads), || |_: &mut Draws, drawn: &mut [f64]| drawn.to_vec())
}

fn row(kind: u32, stratum: u32, unit: Option<u64>) -> SampleRow {
    SampleRow { kind, stratum, unit }
}

#[test]
fn a_resample_keeps_the_rows_of_each_stratum() {
    // Kinds 0 and 1 in stratum 0 (3 and 7 rows), kind 3 in stratum 5 (2 rows); kind 2 does not occur.
    let rows: Vec<SampleRow> =
        (0..12).map(|at| if at < 10 { row(u32::from(at >= 3), 0, None) } else { row(3, 5, None) }).collect();
    let drawn = resamples(&Sample::new(&rows, 4), 1);
    assert_eq!(drawn.len(), 400);
    let mut first = 0.0;
    for counts in &drawn {
        assert_eq!((counts[0] + counts[1], counts[2], counts[3]), (10.0, 0.0, 2.0));
        first += counts[0];
    }
    let share = first / 4_000.0;
    assert!((share - 0.3).abs() < 0.03, "{share}");
    let mut turned = rows.clone();
    turned.reverse();
    assert_eq!(drawn, resamples(&Sample::new(&turned, 4), 1), "the order of the rows is no matter");
}

#[test]
fn rows_of_a_unit_are_drawn_together() {
    // Two rows of unit 7, three of unit 9, and one alone.
    let rows = [
        row(0, 0, Some(7)),
        row(1, 0, Some(9)),
        row(0, 0, Some(7)),
        row(1, 0, Some(9)),
        row(1, 1, Some(9)),
        row(2, 0, None),
    ];
    let drawn = resamples(&Sample::new(&rows, 3), 1);
    for counts in &drawn {
        let units = [counts[0] / 2.0, counts[1] / 3.0, counts[2]];
        assert!(units.iter().all(|n| n.fract() == 0.0) && units.iter().sum::<f64>() == 3.0, "{counts:?}");
    }
    assert!(drawn.iter().any(|counts| counts[1] == 9.0), "the unit of three rows may come three times");
}

#[test]
fn every_number_of_threads_gives_the_same_resamples() {
    let rows: Vec<SampleRow> = (0..60).map(|at| row(at % 7, at % 3, (at < 20).then_some(u64::from(at / 4)))).collect();
    let sample = Sample::new(&rows, 7);
    let one = resamples(&sample, 1);
    for threads in [2, 3, 7, 400, 1000] {
        assert_eq!(one, resamples(&sample, threads), "{threads} threads");
    }
}

#[test]
fn nothing_to_draw_is_no_trouble() {
    let drawn = resamples(&Sample::new(&[], 2), 2);
    assert!(drawn.iter().all(|counts| counts == &[0.0, 0.0]));
}

#[test]
fn quantiles_equal_those_of_numpy() {
    for case in reference()["quantiles"].as_array().unwrap() {
        let values = sorted(numbers(&case[0]));
        for (share, theirs) in [(0.025, &case[1]), (0.975, &case[2])] {
            same(quantile(&values, share).unwrap(), theirs.as_f64().unwrap(), "quantile");
        }
    }
    assert_eq!((quantile(&[], 0.5), ends(vec![f64::NAN], vec![1.0])), (None, None));
    assert_eq!(sorted(vec![2.0, f64::NAN, 1.0]), [1.0, 2.0]);
}
