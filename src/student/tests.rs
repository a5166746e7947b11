//! Tests of the students as a whole: names, training, saving, answering.

use std::ops::ControlFlow;

use super::*;

fn on_everything(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn example(text: &str, label: &str) -> Example {
    let system = "Classify the headline.\n- Earnings: results of a quarter\n- Dividends: money to holders";
    Example {
        messages: vec![Message::new("system", system), Message::new("user", format!("Headline: {text}"))],
        reply: format!("[[[{label}]]]"),
    }
}

fn rows() -> Vec<Example> {
    [
        ("Acme posts record quarterly profit", "Earnings"),
        ("Quarterly profit of Borealis falls", "Earnings"),
        ("Cobalt reports a loss for the quarter", "Earnings"),
        ("Acme raises its dividend", "Dividends"),
        ("Borealis pays a special dividend", "Dividends"),
        ("Cobalt declares dividend of 12 cents", "Dividends"),
    ]
    .map(|(text, label)| example(text, label))
    .to_vec()
}

#[test]
fn a_trained_student_answers_with_the_learnt_label() {
    for size in [Size::Small, Size::Large] {
        let adapter = train(size, &rows(), &[], &TrainOptions::default(), &mut on_everything).unwrap();
        let asked = example("Delta lifts dividend again", "").messages;
        assert_eq!(adapter.reply(&asked), "[[[Dividends]]]");
        assert_eq!(Adapter::from_bytes(&adapter.to_bytes()).as_ref(), Ok(&adapter));
    }
}
