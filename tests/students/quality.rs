//! Measures the students on one division of the sample: macro F1 before and after training, and the replies.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use dfwfd::student::{StudentSize, TrainOptions, train, untrained_reply};

use super::sample::{Row, examples};

/// Returns the labels of `rows`.
pub(crate) fn gold<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    rows.iter().map(|row| row.label.as_str()).collect()
}

/// Returns the label of a reply in lower case, if it has one.
fn said(reply: &str) -> Option<String> {
    Some(reply.strip_prefix("[[[")?.strip_suffix("]]]")?.to_lowercase())
}

/// Computes macro F1 over the classes of `gold`, by its definition.
pub(crate) fn macro_f1(gold: &[&str], said: &[Option<String>]) -> f64 {
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

/// The result of one size on one division.
pub(crate) struct Outcome {
    /// Macro F1 untrained.
    pub base: f64,
    /// The share of untrained replies with a label.
    pub parseable: f64,
    /// Macro F1 trained.
    pub customized: f64,
    pub replies: Vec<String>,
}

/// Lets a student of `size` answer the eval rows, untrained and trained.
pub(crate) fn outcome(size: StudentSize, [eval, validation, training]: &[Vec<&Row>; 3]) -> Outcome {
    let gold = gold(eval);
    let base: Vec<_> = eval.iter().map(|row| said(&untrained_reply(size, &row.example.messages))).collect();
    let adapter = train(size, &examples(training), &examples(validation), &TrainOptions::default(), &mut |_| {
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
