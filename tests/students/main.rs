//! What the students make of the shipped news log: untrained between guessing and useful, trained good but not perfect, the
//! two sizes not alike. Over ten divisions, so that no single lucky one decides.

mod sample;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use dfwfd::student::{Size, TrainOptions, base_reply, train};

const EVAL: usize = 100;
const DIVISIONS: u64 = 10;

/// What a reply says, lower case; none when it holds no label.
fn said(reply: &str) -> Option<String> {
    Some(reply.strip_prefix("[[[")?.strip_suffix("]]]")?.to_lowercase())
}

/// Macro F1 over the classes of `gold`, by its definition.
fn macro_f1(gold: &[&str], said: &[Option<String>]) -> f64 {
    let classes: BTreeSet<&str> = gold.iter().copied().collect();
    let f1 = |class: &&str| {
        let of_class = gold.iter().filter(|label| *label == class).count();
        let said_so = said.iter().filter(|label| label.as_deref() == Some(class)).count();
        let both =
            gold.iter().zip(said).filter(|(gold, said)| *gold == class && said.as_deref() == Some(class)).count();
        2.0 * both as f64 / (of_class + said_so) as f64
    };
    classes.iter().map(f1).sum::<f64>() / classes.len() as f64
}

/// What one size did in one division.
struct Outcome {
    base: f64,
    parseable: f64,
    customized: f64,
    replies: Vec<String>,
}

fn outcome(size: Size, [eval, validation, training]: &[Vec<&sample::Row>; 3]) -> Outcome {
    let gold: Vec<&str> = eval.iter().map(|row| row.label.as_str()).collect();
    let base: Vec<_> = eval.iter().map(|row| said(&base_reply(size, &row.example.messages))).collect();
    let adapter =
        train(size, &sample::examples(training), &sample::examples(validation), &TrainOptions::default(), &mut |_| {
            ControlFlow::Continue(())
        })
        .expect("the sample log can be learnt");
    let replies: Vec<String> = eval.iter().map(|row| adapter.reply(&row.example.messages)).collect();
    Outcome {
        base: macro_f1(&gold, &base),
        parseable: base.iter().flatten().count() as f64 / gold.len() as f64,
        customized: macro_f1(&gold, &replies.iter().map(|reply| said(reply)).collect::<Vec<_>>()),
        replies,
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    values.sum::<f64>() / DIVISIONS as f64
}

#[test]
fn the_students_fit_the_shipped_log() {
    let rows = sample::rows();
    let divisions: Vec<_> = (0..DIVISIONS).map(|seed| sample::divide(&rows, EVAL, seed)).collect();
    let of = |size| divisions.iter().map(|division| outcome(size, division)).collect::<Vec<_>>();
    let (small, large) = (of(Size::Small), of(Size::Large));

    for ([eval, ..], (small, large)) in divisions.iter().zip(small.iter().zip(&large)) {
        let gold: Vec<&str> = eval.iter().map(|row| row.label.as_str()).collect();
        let majority = macro_f1(&gold, &vec![Some("earnings".to_string()); gold.len()]);
        let differing = small.replies.iter().zip(&large.replies).filter(|(a, b)| a != b).count();
        assert!(differing * 100 >= gold.len() * 5, "{differing} rows differ");
        for one in [small, large] {
            assert!(one.base > majority && one.base < 0.60, "untrained {:.3}, majority {majority:.3}", one.base);
            assert!(one.parseable >= 0.90, "{:.2} of the untrained replies hold a label", one.parseable);
        }
    }
    let (small, large) = (mean(small.iter().map(|o| o.customized)), mean(large.iter().map(|o| o.customized)));
    assert!(small >= 0.77 && large <= 0.92 && large >= small + 0.02, "trained: small {small:.3}, large {large:.3}");
}
