//! Tests of the students as a whole: names, training, saving, answering.

use std::ops::ControlFlow;

use proptest::prelude::*;

use super::save::AdapterError;
use super::*;

const SIZES: [StudentSize; 2] = [StudentSize::Small, StudentSize::Large];

fn go_on(_: &TrainingProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn asked(text: &str) -> Vec<Message> {
    let system = "Classify the headline.\n- Earnings: results of a quarter\n- Dividends: money to holders";
    vec![Message::new("system", system), Message::new("user", format!("Headline: {text}"))]
}

fn example(text: &str, reply: &str) -> Example {
    Example { messages: asked(text), reply: reply.to_string(), calls: Vec::new() }
}

fn rows() -> Vec<Example> {
    [
        ("Acme posts record quarterly profit", "[[[Earnings]]]"),
        ("Quarterly profit of Borealis falls", "[[[Earnings]]]"),
        ("Cobalt reports a loss for the quarter", "I say [[ earnings ]]"),
        ("Acme raises its dividend", "[[[Dividends]]]"),
        ("Borealis pays a special dividend", "[[[Dividends]]]"),
        ("Cobalt declares dividend of 12 cents", "[[[Dividends]]]"),
    ]
    .map(|(text, reply)| example(text, reply))
    .to_vec()
}

fn trained(size: StudentSize, rows: &[Example], seed: u64) -> Adapter {
    train(size, rows, &[], &TrainOptions { epochs: 1, seed }, &mut go_on).unwrap()
}

#[test]
fn a_stand_in_is_chosen_by_own_name_or_by_the_parameters_that_a_name_states() {
    for small in ["dfwfd/ngram-small", "meta/llama-3.2-1b-instruct", "qwen/Qwen2.5-1.5B-Instruct", "a/b-2B", "c/d-350m"]
    {
        assert_eq!(stand_in(small), StudentSize::Small, "{small}");
    }
    for large in
        ["dfwfd/ngram-large", "meta/llama-3.2-3b-instruct", "meta/llama-3.1-8b-instruct", "x/mixtral-8x7b", "gpt-x", ""]
    {
        assert_eq!(stand_in(large), StudentSize::Large, "{large}");
    }
    for size in SIZES {
        assert_eq!(stand_in(size.name()), size);
    }
}

#[test]
fn messages_are_read_tolerantly() {
    let read = |json: &str| serde_json::from_str::<Message>(json).unwrap();
    assert_eq!(read(r#"{"role":"user","content":"a","name":null}"#), Message::new("user", "a"));
    assert_eq!(read(r#"{"role":"assistant","content":null,"tool_calls":[]}"#), Message::new("assistant", ""));
    assert_eq!(read("{}"), Message::default());
    let parts =
        r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}},{"text":"b"}]}"#;
    assert_eq!(read(parts), Message::new("user", "a\nb"));
    assert_eq!(read(r#"{"role":"user","content":{"odd":1}}"#), Message::new("user", ""));
}

#[test]
fn a_trained_student_answers_with_the_label_as_it_is_written_most_often() {
    for size in SIZES {
        let adapter = trained(size, &rows(), 42);
        assert_eq!(adapter.size(), size);
        assert_eq!(adapter.reply(&asked("Delta lifts dividend again")), "[[[Dividends]]]");
        assert_eq!(adapter.reply(&asked("Delta: profit for the quarter")), "[[[Earnings]]]");
        for row in rows().iter().take(3) {
            assert_eq!(adapter.reply(&row.messages), "[[[Earnings]]]");
        }
    }
}

#[test]
fn the_instruction_does_not_count() {
    // The system prompt speaks of earnings only; with it counted, the text would hardly matter.
    let rows: Vec<Example> = rows()
        .into_iter()
        .map(|mut row| {
            row.messages[0].content = "Earnings, profit, quarter. ".repeat(50);
            row
        })
        .collect();
    let (with, without) = (trained(StudentSize::Large, &rows, 1), trained(StudentSize::Large, &self::rows(), 1));
    assert_eq!(with.weights, without.weights);
    assert_eq!(with.vectorizer, without.vectorizer);
}

#[test]
fn training_repeats_to_the_byte_and_its_seed_matters() {
    for size in SIZES {
        assert_eq!(trained(size, &rows(), 7).to_bytes(), trained(size, &rows(), 7).to_bytes());
        assert_ne!(trained(size, &rows(), 7).to_bytes(), trained(size, &rows(), 8).to_bytes());
    }
}

#[test]
fn every_pass_is_told_and_the_loss_falls() {
    let mut told = Vec::new();
    let options = TrainOptions { epochs: 2, seed: 42 };
    train(StudentSize::Large, &rows(), &rows()[..2], &options, &mut |progress| {
        told.push(*progress);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(told.iter().map(|p| p.step).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    assert!(told.iter().all(|p| p.epoch == (p.step - 1) / 10 + 1 && p.epochs == 2 && p.steps == 20));
    let (first, last) = (told[0], told[19]);
    assert!(last.train_loss < first.train_loss / 2.0, "{first:?} {last:?}");
    assert!(last.validation_loss.unwrap() < 0.1, "{last:?}");
    // Before the first step every score is 0, short of the margin by 1: the loss of a model that knows nothing is 1.
    assert!(first.train_loss > last.train_loss && first.train_loss <= 1.5);
}

#[test]
fn no_validation_rows_no_validation_loss() {
    let mut seen = 0;
    train(StudentSize::Small, &rows(), &[example("x", "[[[Unknown]]]")], &TrainOptions::default(), &mut |progress| {
        seen += 1;
        assert_eq!(progress.validation_loss, None);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(seen, 10);
}

#[test]
fn training_stops_when_told_to() {
    let mut steps = 0;
    let result = train(StudentSize::Large, &rows(), &[], &TrainOptions { epochs: 5, seed: 1 }, &mut |progress| {
        steps = progress.step;
        if progress.step == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((result, steps), (Err(TrainError::Cancelled), 3));
}

#[test]
fn replies_without_brackets_are_learnt_whole() {
    let rows = [
        example("up", "  Buy it. "),
        example("down", "Sell it."),
        example("up up", "buy it."),
        example("x", "Buy it."),
    ];
    let adapter = trained(StudentSize::Large, &rows, 42);
    assert_eq!(adapter.reply(&asked("up")), "Buy it.");
    assert_eq!(adapter.reply(&asked("down")), "Sell it.");
}

#[test]
fn one_class_is_always_answered() {
    for rows in [
        vec![example("only", "[[[A]]]")],
        vec![example("one", "[[[A]]]"), example("two", "[[[a]]]"), example("", "[[[A]]]")],
    ] {
        let adapter = trained(StudentSize::Small, &rows, 42);
        for text in ["", "one", "something else"] {
            assert_eq!(adapter.reply(&asked(text)), "[[[A]]]");
        }
        assert_eq!(adapter.reply(&[]), "[[[A]]]");
    }
}

#[test]
fn a_text_that_says_nothing_gets_the_most_frequent_class() {
    let mut rows = rows();
    rows.push(example("Delta doubles its dividend", "[[[Dividends]]]"));
    rows.push(example("Echo dividend stays", "[[[Dividends]]]"));
    for size in SIZES {
        let adapter = trained(size, &rows, 42);
        for text in ["", "ЖЖЖЖ", "…"] {
            assert_eq!(adapter.reply(&asked(text)), "[[[Dividends]]]", "{text:?}");
        }
    }
}

#[test]
fn nothing_to_learn_is_an_error() {
    for rows in [vec![], vec![example("text", ""), example("text", "  \n")]] {
        let result = train(StudentSize::Large, &rows, &[], &TrainOptions::default(), &mut go_on);
        assert_eq!(result, Err(TrainError::NothingToLearn));
    }
}

#[test]
fn only_the_most_frequent_replies_are_learnt() {
    let mut rows: Vec<Example> = (0..300).map(|n| example(&format!("text {n}"), &format!("[[[L{n}]]]"))).collect();
    rows.push(example("again", "[[[L299]]]"));
    let adapter = trained(StudentSize::Small, &rows, 42);
    assert_eq!(adapter.replies.len(), 256);
    assert_eq!(adapter.replies[0], "[[[L299]]]");
}

#[test]
fn other_versions_and_foreign_bytes_are_named() {
    let bytes = trained(StudentSize::Small, &rows(), 1).to_bytes();
    assert_eq!(Adapter::from_bytes(b""), Err(AdapterError::NotAnAdapter));
    assert_eq!(Adapter::from_bytes(b"{\"adapter\": true}"), Err(AdapterError::NotAnAdapter));
    let mut newer = bytes.clone();
    newer[14] = 2;
    assert_eq!(Adapter::from_bytes(&newer), Err(AdapterError::Version(2)));
    assert_eq!(
        Adapter::from_bytes(&newer).unwrap_err().to_string(),
        "cannot read format version 2 of an adapter: this program reads version 1"
    );
    assert_eq!(Adapter::from_bytes(&bytes[..16]), Err(AdapterError::Damaged));
}

#[test]
fn a_body_that_does_not_fit_together_is_refused_even_with_a_right_hash() {
    let good = trained(StudentSize::Small, &rows(), 1).to_bytes();
    let head = 14 + 4;
    let sealed = |body: &[u8]| [&good[..head], blake3::hash(body).as_bytes(), body].concat();
    let body = &good[head + 32..];
    assert!(Adapter::from_bytes(&sealed(body)).is_ok());
    for cut in 0..body.len().min(400) {
        assert_eq!(Adapter::from_bytes(&sealed(&body[..cut])), Err(AdapterError::Damaged), "cut at {cut}");
    }
    for changed in [vec![9], vec![0; 40], vec![0xff; 64], [body, &[0]].concat()] {
        assert_eq!(Adapter::from_bytes(&sealed(&changed)), Err(AdapterError::Damaged));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_can_be_learnt_saved_and_answered(
        texts in prop::collection::vec((any::<String>(), "[A-Cé ]{0,3}"), 1..12),
        other in any::<String>(),
        large in any::<bool>(),
    ) {
        let size = if large { StudentSize::Large } else { StudentSize::Small };
        let rows: Vec<Example> = texts.iter().map(|(text, label)| example(text, &format!("[[[{label}]]]"))).collect();
        let adapter = trained(size, &rows, 3);
        let read = Adapter::from_bytes(&adapter.to_bytes()).unwrap();
        prop_assert_eq!(&read, &adapter);
        for text in texts.iter().map(|(text, _)| text.as_str()).chain([other.as_str()]) {
            let reply = adapter.reply(&asked(text));
            prop_assert_eq!(read.reply(&asked(text)), reply.clone());
            prop_assert!(adapter.replies.contains(&reply));
        }
    }

    #[test]
    fn damaged_bytes_are_refused(at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<prop::sample::Index>()) {
        let good = trained(StudentSize::Small, &rows(), 1).to_bytes();
        let mut changed = good.clone();
        changed[at.index(good.len())] ^= 1 << bit;
        prop_assert!(Adapter::from_bytes(&changed).is_err());
        prop_assert!(Adapter::from_bytes(&good[..cut.index(good.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), headed in any::<bool>()) {
        let bytes = if headed {
            [b"dfwfd-adapter\n\x01\0\0\0".as_slice(), blake3::hash(&bytes).as_bytes(), &bytes].concat()
        } else {
            bytes
        };
        prop_assert!(Adapter::from_bytes(&bytes).is_err());
    }

    #[test]
    fn an_untrained_answer_is_prose_or_a_label_of_the_prompt(
        role in "system|user|assistant",
        content in any::<String>(),
        list in "(- [A-Z]{1,8}(: [a-z ]{0,9})?\n){0,4}",
    ) {
        let prompt = format!("{content}\n{list}");
        for size in SIZES {
            let reply = untrained_reply(size, &[Message::new(role.clone(), prompt.clone()), Message::new("user", content.clone())]);
            match reply::bracketed_label(&reply) {
                Some(label) => prop_assert!(prompt.contains(label), "{reply:?}"),
                None => prop_assert_eq!(reply, "I cannot tell which category this text belongs to."),
            }
        }
    }
}
