//! Against rouge_score and the function of the SQuAD evaluation script.

use super::super::testing::{reference, same};
use super::*;

#[test]
fn text_scores_equal_those_of_their_packages() {
    let reference = reference();
    let cases = reference["texts"].as_array().unwrap();
    assert!(cases.len() >= 50);
    for case in cases {
        let text = |at: usize| case[at].as_str().unwrap();
        same(rouge_l(text(0), text(1)), case[2].as_f64().unwrap(), &format!("ROUGE-L {case}"));
        same(token_f1(text(0), text(1)), case[3].as_f64().unwrap(), &format!("token F1 {case}"));
    }
}
