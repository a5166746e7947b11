//! Checks the quality of the students on the shipped news log over ten divisions: untrained better than guessing, trained
//! good but not perfect, and the two sizes different.

mod quality;
mod sample;

use dfwfd::student::StudentSize;

use quality::{gold, macro_f1, outcome};

const EVAL: usize = 100;
const DIVISIONS: u64 = 10;

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    values.sum::<f64>() / DIVISIONS as f64
}

#[test]
fn the_students_fit_the_shipped_log() {
    let rows = sample::rows();
    let divisions: Vec<_> = (0..DIVISIONS).map(|seed| sample::divide(&rows, EVAL, seed)).collect();
    let of = |size| divisions.iter().map(|division| outcome(size, division)).collect::<Vec<_>>();
    let (small, large) = (of(StudentSize::Small), of(StudentSize::Large));

    for ([eval, ..], (small, large)) in divisions.iter().zip(small.iter().zip(&large)) {
        let gold = gold(eval);
        let majority = macro_f1(&gold, &vec![Some("earnings".to_string()); gold.len()]);
        let differing = small.replies.iter().zip(&large.replies).filter(|(a, b)| a != b).count();
        assert!(differing * 100 >= gold.len() * 5, "{differing} rows differ");
        for one in [small, large] {
            assert!(one.base > majority && one.base < 0.60, "untrained {:.3}, majority {majority:.3}", one.base);
            assert!(one.parseable >= 0.90, "{:.2} of the untrained replies hold a label", one.parseable);
        }
    }
    let (small, large) = (mean(small.iter().map(|o| o.customized)), mean(large.iter().map(|o| o.customized)));
    assert!(small >= 0.75 && large <= 0.95 && large >= small + 0.02, "trained: small {small:.3}, large {large:.3}");
}
