//! The metrics on hard cases: by their formulas, and against the scores of sacrebleu and rouge_score in the output of
//! testdata/metric_reference.py.

use serde_json::{Value, json};

use super::*;

fn reference() -> Value {
    serde_json::from_str(include_str!("../../../../../testdata/metric_reference.json")).unwrap()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn bleu_equals_sacrebleu() {
    let reference = reference();
    let cases = reference["cases"].as_array().unwrap();
    let mut counts = Vec::new();
    for case in cases {
        let (candidate, references) = (case["candidate"].as_str().unwrap(), texts(&case["references"]));
        let score = bleu::Counts::of(candidate, &references).sentence();
        assert!((score - case["bleu"].as_f64().unwrap()).abs() < 1e-9, "{score} for {case}");
        counts.push(bleu::Counts::of(candidate, &references[..1]));
    }
    for corpus in reference["corpora"].as_array().unwrap() {
        let at = |key: &str| corpus[key].as_u64().unwrap() as usize;
        let score = bleu::corpus(counts[at("start")..at("end")].iter());
        assert!((score - corpus["bleu"].as_f64().unwrap()).abs() < 1e-9, "{score} for {corpus}");
    }
    assert!(cases.len() > 80);
}

#[test]
fn rouge_equals_rouge_scorer() {
    for case in reference()["cases"].as_array().unwrap() {
        let scores = rouge::scores(&texts(&case["references"])[0], case["candidate"].as_str().unwrap());
        for (score, expected) in scores.iter().zip(case["rouge"].as_array().unwrap()) {
            assert!((score - expected.as_f64().unwrap()).abs() < 1e-9, "{scores:?} for {case}");
        }
    }
}

#[test]
fn stems_equal_those_of_nltk() {
    for (word, stem) in reference()["stems"].as_object().unwrap() {
        assert_eq!(porter::stem(word), stem.as_str().unwrap(), "{word}");
    }
}

#[test]
fn numbers_are_read_as_python_reads_them() {
    for pair in reference()["numbers"].as_array().unwrap() {
        assert_eq!(checks::number(&pair[0]), pair[1].as_f64(), "{}", pair[0]);
    }
    assert_eq!(checks::number(&json!(1e-5)), Some(1e-5));
    assert_eq!(checks::number(&json!(null)), None);
}

#[test]
fn f1_and_exact_match_of_hard_cases() {
    // Gold, predicted, F1 by the formula, exact match.
    let cases = [
        ("[[[Analyst Rating]]]", "The analyst rating is: upgrade", 2.0 / 3.0, false),
        ("[[[Up]]]", "[[[up]]]", 1.0, true),
        ("", "", 1.0, true),
        ("", "x", 0.0, false),
        ("x", "", 0.0, false),
        ("the", "a an", 1.0, true),
        ("!?", "...", 1.0, true),
        ("None", "none", 1.0, true),
        ("x", "y", 0.0, false),
        // Tokens are a multiset: the second `b` matches once only.
        ("b b c", "b d", 0.4, false),
        ("b c", "b b b b", 1.0 / 3.0, false),
        // Tokens in another order are another text.
        ("b c", "c b", 1.0, false),
        // Punctuation is deleted, so one token is left.
        ("stock-split", "stock split", 0.0, false),
        ("don't", "dont", 1.0, true),
        ("U.S.A.", "usa", 1.0, true),
        // Articles are whole words.
        ("theatre", "atre", 0.0, false),
        ("another the other", "another other", 1.0, true),
        // An article next to punctuation becomes part of a word when the punctuation is deleted.
        ("the-x", "x", 0.0, false),
        // Unicode.
        ("ÉCLAIR", "éclair", 1.0, true),
        ("“Ab”", "ab", 0.0, false),
        ("日本 の 株", "日本 株", 0.8, false),
        ("a\u{a0}b", "b", 1.0, true),
        ("x\u{1c}y", "x y", 1.0, true),
        ("éa b", "b", 2.0 / 3.0, false),
    ];
    for (gold, predicted, f1, same) in cases {
        assert!((text::token_f1(gold, predicted) - f1).abs() < 1e-12, "{gold:?} {predicted:?}");
        assert_eq!(text::exact_match(gold, predicted), same, "{gold:?} {predicted:?}");
    }
}

#[test]
fn values_print_as_in_python() {
    let value = json!({"a": [null, true, 1.0, "it's", "\"", "'\"", "\n\u{1}é"], "b": {}});
    let expected = r#"{'a': [None, True, 1.0, "it's", '"', '\'"', '\n\x01é'], 'b': {}}"#;
    assert_eq!(text::printed(&value), expected);
    assert_eq!(text::printed(&json!("it's")), "it's");
    assert_eq!(text::answer(&json!(null)), "");
}

fn scores(kind: &str, params: Value) -> Result<Vec<Option<f64>>, String> {
    let item = json!({"label": "Up", "none": null, "n": 3, "list": ["Up and away", "x"], "price": "about 12.5 or 13"});
    let sample = json!({"output_text": "Up and away"});
    let metric = Metric::parse(&PlatformState::default(), kind, &params)?;
    let scores = metric.score(&Templates::new(), &Context::new(&item, Some(&sample)), &sample)?;
    assert_eq!(scores.values.len(), metric.score_names().len());
    Ok(scores.values)
}

fn score(kind: &str, params: Value) -> Result<Option<f64>, String> {
    scores(kind, params).map(|scores| scores[0])
}

#[test]
fn string_checks_compare_without_normalising() {
    let check = |operator: &str, right: &str| {
        score("string-check", json!({"check": ["{{ sample.output_text }}", operator, right]}))
    };
    let cases = [
        ("equals", "Up and away", 1.0),
        ("==", "up and away", 0.0),
        ("!=", "x", 1.0),
        ("<>", "Up and away", 0.0),
        ("not equals", "x", 1.0),
        ("contains", "and", 1.0),
        ("contains", "", 1.0),
        ("contains", "{{ item.label }}", 1.0),
        ("not contains", "and", 0.0),
        ("startswith", "Up", 1.0),
        ("endswith", "Up", 0.0),
        ("endswith", "away", 1.0),
    ];
    for (operator, right, expected) in cases {
        assert_eq!(check(operator, right), Ok(Some(expected)), "{operator} {right}");
    }
    assert!(check("like", "x").is_err());
    assert_eq!(score("string-check", json!({"check": ["{{ item.none }}", "equals", "None"]})), Ok(Some(1.0)));
    assert_eq!(score("string-check", json!({"check": ["{{ item.n }}", "equals", "3"]})), Ok(Some(1.0)));
    assert!(score("string-check", json!({"check": ["x", "equals"]})).is_err());
}

#[test]
fn number_checks_compare_the_last_numbers() {
    let check = |given: Value| score("number-check", json!({"check": given}));
    let price = "{{ item.price }}";
    let cases = [
        (json!([price, "==", "13"]), Some(1.0)),
        (json!([price, "equals", "12.5"]), Some(0.0)),
        (json!([price, "!=", "12.5"]), Some(1.0)),
        (json!([price, ">", "{{ item.n }}"]), Some(1.0)),
        (json!([price, "gt", "13"]), Some(0.0)),
        (json!([price, ">=", "13"]), Some(1.0)),
        (json!([price, "greater than", "13.1"]), Some(0.0)),
        (json!([price, "<", 14]), Some(1.0)),
        (json!([price, "lte", 13]), Some(1.0)),
        (json!([price, "less than", 13]), Some(0.0)),
        (json!(["absolute difference", price, "13.4", "epsilon", 0.5]), Some(1.0)),
        (json!(["absolute difference", price, "13.4", "epsilon", "0.3"]), Some(0.0)),
        (json!(["{{ sample.output_text }}", "==", 1]), None),
        (json!(["{{ item.none }}", "!=", 1]), None),
    ];
    for (given, expected) in cases {
        assert_eq!(check(given.clone()), Ok(expected), "{given}");
    }
    for wrong in [json!(null), json!(["1", "~", "2"]), json!(["absolute difference", 1, 2, "epsilon", "x"])] {
        assert!(check(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn metrics_read_their_templates() {
    assert_eq!(score("f1", json!({"ground_truth": "{{ item.label }}", "prediction": "up"})), Ok(Some(1.0)));
    assert_eq!(score("f1", json!({"ground_truth": "{{ item.label }}"})), Ok(Some(0.5)));
    assert_eq!(score("f1", json!({"ground_truth": "{{ item.none }}", "prediction": ""})), Ok(Some(1.0)));
    assert_eq!(score("f1", json!({"ground_truth": "{{ item.none | trim }}", "prediction": "none"})), Ok(Some(1.0)));
    assert_eq!(score("em", json!({"ground_truth": "UP, and away!"})), Ok(Some(1.0)));
    let rouge = scores("rouge", json!({"ground_truth": "up and away"})).unwrap();
    assert_eq!(rouge, vec![Some(1.0); 4]);
    let exact = score("bleu", json!({"references": ["x", "Up and away"]})).unwrap().unwrap();
    assert!((exact - 100.0).abs() < 1e-9);
    let listed = score("bleu", json!({"references": ["{{ item.list | tojson }}"], "candidate": "x"})).unwrap().unwrap();
    assert!((listed - 100.0).abs() < 1e-9);
    for kind in ["f1", "em", "rouge"] {
        assert!(score(kind, json!({"ground_truth": "{{ item.absent }}"})).is_err());
        assert!(score(kind, json!({})).unwrap_err().contains("ground_truth"));
    }
    assert!(score("bleu", json!({"references": []})).is_err());
    assert!(score("bertscore", json!({})).unwrap_err().contains("bertscore"));
}

#[test]
fn tool_calls_of_hard_cases() {
    let call = |name: &str, arguments: Value| json!({"function": {"name": name, "arguments": arguments}});
    let (one, zero, none) = (Some(1.0), Some(0.0), None::<f64>);
    let cases = [
        // Gold, said, both scores.
        (json!([call("f", json!({"a": 1}))]), json!([call("f", json!("{\"a\": 1}"))]), [one, one]),
        (json!([call("f", json!({"a": 1}))]), json!([call("f", json!("{\"a\": 2}"))]), [one, zero]),
        (json!([call("f", json!({"a": 1}))]), json!([call("g", json!("{\"a\": 1}"))]), [zero, zero]),
        // Python's equality, with members in any order.
        (json!([call("f", json!({"a": 1, "b": 2.0}))]), json!([call("f", json!("{\"b\":2,\"a\":true}"))]), [one, one]),
        (
            json!([call("f", json!({"a": [1, {"b": null}]}))]),
            json!([call("f", json!("{\"a\":[1.0,{\"b\":null}]}"))]),
            [one, one],
        ),
        (json!([call("f", json!({"a": "1"}))]), json!([call("f", json!("{\"a\":1}"))]), [one, zero]),
        (
            json!([call("f", json!({"a": 9007199254740993_i64}))]),
            json!([call("f", json!("{\"a\":9007199254740992.0}"))]),
            [one, zero],
        ),
        (json!([call("f", json!({"ä": "é"}))]), json!([call("f", json!("{\"\\u00e4\":\"é\"}"))]), [one, one]),
        // Repeated calls: the names are a set, and the arguments of the last call count.
        (
            json!([call("f", json!({"a": 1})), call("f", json!({"a": 2}))]),
            json!([call("f", json!("{\"a\":2}"))]),
            [one, one],
        ),
        (
            json!([call("f", json!({"a": 2}))]),
            json!([call("f", json!("{\"a\":2}")), call("f", json!("{\"a\":1}"))]),
            [one, zero],
        ),
        // The order of functions does not matter.
        (
            json!([call("f", json!({})), call("g", json!({}))]),
            json!([call("g", json!("{}")), call("f", json!(null))]),
            [one, one],
        ),
        // Arguments that are not JSON give no number, unless the names differ.
        (json!([call("f", json!({}))]), json!([call("f", json!("{a}"))]), [one, none]),
        (json!([call("f", json!({}))]), json!([call("g", json!("{a}"))]), [zero, zero]),
        // Gold in text form never equals.
        (json!([call("f", json!("{}"))]), json!([call("f", json!("{}"))]), [one, zero]),
        // No calls at all.
        (json!([]), json!(null), [one, one]),
        (json!([]), json!([]), [one, one]),
        (json!([]), json!([call("f", json!("{}"))]), [zero, zero]),
        (json!([call("f", json!({}))]), json!(null), [zero, zero]),
    ];
    for (gold, said, expected) in cases {
        let sample = json!({"response": {"choices": [{"message": {"tool_calls": said}}]}});
        let metric = Metric::parse(
            &PlatformState::default(),
            "tool-calling",
            &json!({"tool_calls_ground_truth": "{{ item.gold | tojson }}"}),
        )
        .unwrap();
        let item = json!({"gold": gold});
        let scored = metric.score(&Templates::new(), &Context::new(&item, Some(&sample)), &sample).unwrap();
        assert_eq!(scored.values, expected, "{gold} {said}");
    }
    for wrong in [json!(null), json!("x"), json!([{"name": "f"}]), json!({})] {
        assert!(tools::scores(&wrong, &json!({})).is_err(), "{wrong}");
    }
    assert_eq!(tools::scores(&json!([]), &json!(null)), Ok([one, one]));
}

fn judge(scores: Value) -> Result<Judge, String> {
    let params = json!({"model": "m", "template": {"messages": [{"role": "user", "content": "{{ item.x }}"}]}, "scores": scores});
    match Metric::parse(&PlatformState::default(), "llm-judge", &params)? {
        Metric::Judge(judge) => Ok(judge),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn a_judges_reply_is_searched_for_its_scores() {
    let rating = |kind: &str, pattern: &str| {
        judge(json!({"r": {"type": kind, "parser": {"type": "regex", "pattern": pattern}}}))
    };
    let cases = [
        ("int", r"RATING:\s*(\d+)", "I think so.\nRATING: 10 of 10", Some(10.0)),
        ("int", r"RATING:\s*(\d+)", "no idea", None),
        ("int", r"(\d+\.\d+)", "7.5", None),
        ("float", r"(\d+\.\d+)", "it is 7.5", Some(7.5)),
        ("float", r"score (.+)", "score NaN", None),
        ("int", r"\d+", "8 points", Some(8.0)),
        ("boolean", r"CORRECT: (\w+)", "CORRECT: Yes", Some(1.0)),
        ("bool", r"CORRECT: (\w+)", "CORRECT: false", Some(0.0)),
        ("bool", r"CORRECT: (\w+)", "CORRECT: maybe", None),
    ];
    for (kind, pattern, reply, expected) in cases {
        assert_eq!(rating(kind, pattern).unwrap().read(reply), [expected], "{pattern} {reply}");
    }
    for (kind, pattern) in [("text", "x"), ("int", "(")] {
        assert!(rating(kind, pattern).is_err(), "{kind} {pattern}");
    }
    assert!(judge(json!({})).is_err());
    assert!(judge(json!({"r": {"type": "int", "parser": {"type": "json"}}})).is_err());
}

#[test]
fn a_judge_is_asked_with_a_limit() {
    let judge = judge(json!({"r": {"type": "int", "parser": {"type": "regex", "pattern": "(1)"}}})).unwrap();
    let (item, templates) = (json!({"x": "hello"}), Templates::new());
    let request = judge.request(&templates, &Context::new(&item, None)).unwrap();
    assert_eq!(Value::Object(request), json!({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1024}));
    assert!(judge.request(&templates, &Context::new(&json!({}), None)).is_err());
}

/// The scores of the SQuAD script, which testdata/statistics_reference.json holds.
#[test]
fn articles_are_words_as_python_sees_them() {
    let cases =
        [("x½a b", "x½ b", 0.5), ("a\u{301} x", "x \u{301}", 1.0), ("a\u{200d}b", "b", 0.0), ("Ⓐa b", "b", 2.0 / 3.0)];
    for (gold, said, wanted) in cases {
        let score = text::token_f1(gold, said);
        assert!((score - wanted).abs() < 1e-12, "{gold:?} {said:?}: {score}");
    }
}
