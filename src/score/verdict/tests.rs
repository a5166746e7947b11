//! Verdicts on known cases, among them those of the risk officer: the rare-class trap, and too few rows.

use super::super::classification::{Judged, Prediction, score};
use super::super::difference::{Metric, PairedReply, Simulation, of_replies};
use super::super::warnings;
use super::*;

/// The margin of the tests.
const MARGIN: f64 = 0.02;

fn difference(value: f64, half: f64, p: f64, rows: u64) -> Difference {
    Difference { rows, differing: rows / 5, value, low: value - half, high: value + half, p }
}

fn standing(value: f64, half: f64, p: f64) -> Standing {
    decide(&[difference(value, half, p, 500)], MARGIN)[0].standing
}

#[test]
fn the_interval_and_the_test_decide_together() {
    assert_eq!(standing(0.05, 0.02, 0.001), Standing::Better);
    assert_eq!(standing(-0.05, 0.02, 0.001), Standing::Worse);
    assert_eq!(standing(0.05, 0.06, 0.1), Standing::CannotTell);
    assert_eq!(standing(0.05, 0.04, 0.06), Standing::CannotTell, "the test must find it, too");
    assert_eq!(standing(0.05, 0.06, 0.04), Standing::CannotTell, "the interval must exclude zero, too");
    assert_eq!(standing(0.0, 0.019, 1.0), Standing::Same);
    assert_eq!(standing(0.01, 0.005, 0.0001), Standing::Same, "significant, but too small to matter");
    assert_eq!(standing(0.0, 0.02, 1.0), Standing::CannotTell, "the ends lie within the margin, not on it");
}

#[test]
fn not_worse_needs_the_lower_end_alone() {
    let not_worse = |value, half| decide(&[difference(value, half, 0.5, 500)], MARGIN)[0].not_worse;
    assert!(not_worse(0.03, 0.045) && not_worse(0.0, 0.019));
    assert!(!not_worse(0.0, 0.021) && !not_worse(-0.015, 0.01));
}

#[test]
fn a_decision_reverses_with_its_difference() {
    for (value, half, p) in [(0.05, 0.02, 0.001), (-0.05, 0.02, 0.001), (0.01, 0.005, 0.5), (0.03, 0.045, 0.5)] {
        let there = difference(value, half, p, 500);
        let back = Difference { value: -there.value, low: -there.high, high: -there.low, ..there };
        let [there, back] = [there, back].map(|one| decide(&[one], MARGIN)[0]);
        assert_eq!(
            (there.standing, there.not_worse, there.not_better),
            (back.reversed().standing, back.reversed().not_worse, back.reversed().not_better),
            "{value}"
        );
    }
}

#[test]
fn several_comparisons_share_the_level() {
    let one = difference(0.05, 0.04, 0.03, 500);
    assert_eq!(decide(&[one], MARGIN)[0].standing, Standing::Better);
    let four = decide(&[one, difference(0.04, 0.05, 0.2, 500), one, one], MARGIN);
    assert_eq!(four[0].standing, Standing::CannotTell);
    assert!((four[0].p_adjusted - 0.12).abs() < 1e-12 && four[0].more_rows.is_some(), "{four:?}");
    assert_eq!(decide(&[], MARGIN), []);
}

#[test]
fn rows_needed_are_those_of_the_margin_and_of_what_was_observed() {
    let decision = decide(&[difference(0.05, 0.08, 0.2, 100)], 0.02)[0];
    let deviation = 0.08 / 1.959_963_984_540_054 * 10.0;
    let more = decision.more_rows.unwrap();
    let margin = power::rows_for_equivalence(deviation, 0.02, 0.05, 0.8) - 100.0;
    let observed = power::rows_to_detect(deviation, 0.05, 0.05, 0.8) - 100.0;
    assert_eq!((more.for_margin, more.for_observed), (margin.ceil() as u64, Some(observed.ceil() as u64)));
    assert_eq!(
        decision.to_string(),
        "cannot tell, need about 4,300 more eval rows, or 430 if the difference stays as measured"
    );
    let even = decide(&[difference(0.0, 0.08, 1.0, 100)], 0.02)[0];
    assert_eq!(even.to_string(), "cannot tell, need about 4,300 more eval rows");
    assert_eq!(decide(&[difference(0.0, 0.08, 1.0, 100)], 0.0)[0].more_rows, None, "no margin, never the same");
    // Enough rows by the margin, but the difference is half of it.
    let between = decide(&[difference(0.01, 0.0115, 0.08, 5_000)], 0.02)[0].more_rows.unwrap();
    assert!((1_000..20_000).contains(&between.for_margin), "{between:?}");
    assert_eq!([0, 7, 10, 99, 101, 4_201].map(about), [0, 7, 10, 99, 110, 4_300]);
    assert_eq!(decide(&[difference(0.05, 0.02, 0.001, 100)], 0.02)[0].to_string(), "better");
}

#[test]
fn a_lopsided_interval_promises_nothing_by_its_shorter_half() {
    // 25 rows of 25 classes: the interval reaches past zero, so they cannot have shown a difference as large.
    let one = Difference { rows: 25, differing: 20, value: -0.613, low: -0.776, high: 0.014, p: 0.0001 };
    for one in [one, Difference { value: 0.613, low: -0.014, high: 0.776, ..one }] {
        let decision = decide(&[one], MARGIN)[0];
        assert_eq!(decision.standing, Standing::CannotTell);
        assert!(decision.detectable.is_some_and(|least| least > 0.613), "{decision:?}");
        let observed = decision.more_rows.unwrap().for_observed;
        assert!(observed.is_some_and(|rows| (20..40).contains(&rows)), "{decision:?}");
    }
    // Past zero by the interval, short of the corrected level by the test: the estimate says that the rows suffice.
    let clear = Difference { low: -0.776, high: -0.5, value: -0.613, p: 0.2, ..one };
    assert_eq!(decide(&[clear], MARGIN)[0].more_rows.unwrap().for_observed, None);
}

#[test]
fn few_rows_that_differ_need_more_of_them() {
    let more = |rows, differing, value, p, comparisons| {
        let one = Difference { rows, differing, value, low: value - 0.3, high: value + 0.3, p };
        decide(&vec![one; comparisons], MARGIN)[0].more_rows.unwrap().for_observed
    };
    // McNemar's p of 5 rows against none is 0.0625, of 6 rows 0.03125: six differ among 240 rows like these.
    assert_eq!(more(40, 1, 0.29, 0.6, 1), Some(200));
    assert_eq!((more(1, 1, 0.29, 0.6, 1), more(2, 2, 0.29, 0.6, 1)), (Some(5), Some(4)));
    // At 0.05 / 4 it takes 8.
    assert_eq!((more(40, 1, 0.29, 0.6, 4), more(40, 40, 0.29, 0.6, 1).map(|rows| rows > 0)), (Some(280), Some(true)));
    assert_eq!((more(40, 1, 0.29, 1.0, 1), more(40, 0, 0.29, 0.6, 1)), (None, None), "nothing is known of it");
}

#[test]
fn a_difference_that_can_be_shown_is_one_of_the_family_and_of_two_scores() {
    let least =
        |half, rows, comparisons| decide(&vec![difference(0.0, half, 1.0, rows); comparisons], MARGIN)[0].detectable;
    let deviation = 0.1 / 1.959_963_984_540_054 * 10.0;
    for comparisons in [1, 7] {
        let expected = power::detectable_difference(deviation, 100, 0.05 / comparisons as f64, 0.8);
        assert!((least(0.1, 100, comparisons).unwrap() - expected).abs() < 1e-12, "{comparisons}");
    }
    assert!(least(0.1, 100, 7) > least(0.1, 100, 1));
    assert_eq!(least(0.9, 1, 1), None, "1.286 is more than any score");
}

/// A model of 0.95 and one of 0.90 on so many rows of five classes. Where `nested`, the weaker errs wherever the stronger
/// does, else as chance has it.
fn ninety_five_against_ninety(rows: usize, nested: bool, metric: Metric) -> Decision {
    let said = |right: bool, gold: usize| Prediction::Label(if right { gold } else { (gold + 1) % 5 });
    let row = |at: usize| {
        // 37 has no factor in common with the rows, so that errors meet every class.
        let (gold, place) = (at % 5, at * 37 % rows);
        let first = place >= rows / 20;
        let second = if nested { place >= rows / 10 } else { !(rows / 40..rows / 40 + rows / 10).contains(&place) };
        PairedReply { gold, first: said(first, gold), second: said(second, gold) }
    };
    let rows: Vec<PairedReply> = (0..rows).map(row).collect();
    let simulation = Simulation { rounds: 1_000, ..Simulation::new(42) };
    let difference = of_replies(&rows, None, 5, metric, simulation).unwrap();
    assert!((difference.value - 0.05).abs() < 0.015, "{difference:?}");
    decide(&[difference], MARGIN)[0]
}

#[test]
fn ninety_five_against_ninety_is_decided_on_2000_rows_and_not_on_100() {
    for (nested, metric) in [(true, Metric::Accuracy), (true, Metric::MacroF1), (false, Metric::MacroF1)] {
        let few = ninety_five_against_ninety(100, nested, metric);
        assert_eq!(few.standing, Standing::CannotTell, "{nested} {metric:?} {few:?}");
        let more = few.more_rows.unwrap();
        assert!((500..8_000).contains(&more.for_margin), "{more:?}");
        assert!(more.for_observed.is_some_and(|rows| (20..1_000).contains(&rows)), "{more:?}");
        let many = ninety_five_against_ninety(2_000, nested, metric);
        assert_eq!(many.standing, Standing::Better, "{nested} {metric:?} {many:?}");
    }
}

/// Rows of 13 classes under the published mix, of 2,500: 25.8 % in the largest class, 0.36 % in the smallest, 4.3 % in
/// the four rarest together.
const MIX: [usize; 13] = [645, 475, 350, 275, 212, 163, 118, 85, 70, 45, 30, 23, 9];

#[test]
fn a_model_that_never_predicts_the_rare_classes_is_warned_about_and_not_recommended() {
    assert_eq!((MIX.iter().sum::<usize>(), MIX[9..].iter().sum::<usize>()), (2_500, 107));
    let labels: Vec<String> = (0..MIX.len()).map(|class| format!("class {class:02}")).collect();
    let golds = || MIX.iter().enumerate().flat_map(|(class, &n)| std::iter::repeat_n(class, n));
    // It takes a rare class for the largest, and has all others right.
    let trapped = |gold: usize| Prediction::Label(if gold >= 9 { 0 } else { gold });
    // Right on 95 % of every class.
    let honest =
        |at: usize, gold: usize| Prediction::Label(if at.is_multiple_of(20) { (gold + 1) % MIX.len() } else { gold });

    let rows: Vec<Judged> = golds().map(|gold| Judged { gold, predicted: trapped(gold) }).collect();
    let scores = score(&rows, &labels, 42).unwrap();
    assert!((scores.accuracy.value - 0.957).abs() < 5e-4 && (scores.macro_f1.value - 0.686).abs() < 1e-3, "{scores:?}");
    let warned = warnings::of_classes(&scores.classes, scores.unparseable.value, scores.off_taxonomy.value);
    let missed = warned.iter().find_map(|warning| match warning {
        warnings::Warning::NeverPredicted(classes) => Some(classes.iter().map(|class| class.rows).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(missed.as_deref(), Some(&[45, 30, 23, 9][..]));

    let pairs: Vec<PairedReply> = golds()
        .enumerate()
        .map(|(at, gold)| PairedReply { gold, first: trapped(gold), second: honest(at, gold) })
        .collect();
    let simulation = Simulation { rounds: 100, ..Simulation::new(42) };
    let by = |metric| of_replies(&pairs, None, MIX.len(), metric, simulation).unwrap();
    assert!(by(Metric::Accuracy).value > 0.0, "accuracy falls for it");
    let decision = decide(&[by(Metric::MacroF1)], MARGIN)[0];
    assert_eq!((decision.standing, decision.not_worse), (Standing::Worse, false));
    let small = Contender {
        size: 1.0,
        not_worse: decision.not_worse,
        disqualified: warned.iter().any(warnings::Warning::disqualifies),
    };
    let large = Contender { size: 70.0, not_worse: true, disqualified: false };
    assert!(small.disqualified);
    assert_eq!(smallest_not_worse(&[small, large]), Some(1));
}

#[test]
fn the_smallest_that_is_not_worse_is_named() {
    let contender = |size, not_worse, disqualified| Contender { size, not_worse, disqualified };
    let models = [contender(70.0, true, false), contender(8.0, true, false), contender(1.0, false, false)];
    assert_eq!(smallest_not_worse(&models), Some(1));
    assert_eq!(smallest_not_worse(&[contender(8.0, true, true), contender(70.0, false, false)]), None);
    assert_eq!(smallest_not_worse(&[]), None);
}
