//! The metrics of the evaluator that this platform computes: `f1` and `string-check` (nemo-wire 6.4).

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::templates::{Context, Templates};

/// One metric of a task, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Metric {
    /// Token overlap of a prediction with the ground truth.
    F1 { ground_truth: Value, prediction: Value },
    /// A comparison of two texts.
    StringCheck { left: Value, check: Check, right: Value },
}

/// How `string-check` compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Equals,
    Differs,
    Contains,
    ContainsNot,
    StartsWith,
    EndsWith,
}

impl Metric {
    /// Reads a metric of a request; the error names what is wrong.
    pub(super) fn parse(kind: &str, params: &Value) -> Result<Self, String> {
        match kind {
            "f1" => {
                let ground_truth = params["ground_truth"].clone();
                if ground_truth.is_null() {
                    return Err("params.ground_truth is missing".into());
                }
                let prediction = params.get("prediction").filter(|given| !given.is_null()).cloned();
                let prediction = prediction.unwrap_or_else(|| "{{ sample.output_text }}".into());
                Ok(Metric::F1 { ground_truth, prediction })
            }
            "string-check" => {
                let check = params["check"].as_array().map(Vec::as_slice).unwrap_or_default();
                let [left, Value::String(operator), right] = check else {
                    return Err("params.check is [left, operation, right]".into());
                };
                let check = Check::parse(operator).ok_or_else(|| format!("the operation {operator:?} is not known"))?;
                Ok(Metric::StringCheck { left: left.clone(), check, right: right.clone() })
            }
            other => {
                Err(format!("the metric type {other:?} is not computed by this platform; f1 and string-check are"))
            }
        }
    }

    /// The name under which the score stands in the results.
    pub(super) fn score_name(&self) -> &'static str {
        match self {
            Metric::F1 { .. } => "f1_score",
            Metric::StringCheck { .. } => "string-check",
        }
    }

    /// The score of one row; an error when one of its templates cannot be rendered.
    pub(super) fn score(&self, templates: &Templates, context: &Context) -> Result<f64, String> {
        match self {
            Metric::F1 { ground_truth, prediction } => {
                let gold = templates.render(ground_truth, context)?;
                let predicted = templates.render(prediction, context)?;
                // Null is no text here, and so empty; the word `None` comes of a null that was printed.
                let text = |value: &Value| if value.is_null() { String::new() } else { printed(value) };
                Ok(token_f1(&text(&gold), &text(&predicted)))
            }
            Metric::StringCheck { left, check, right } => {
                let left = printed(&templates.render(left, context)?);
                let right = printed(&templates.render(right, context)?);
                Ok(f64::from(u8::from(check.holds(&left, &right))))
            }
        }
    }
}

impl Check {
    fn parse(operator: &str) -> Option<Self> {
        Some(match operator.trim().to_lowercase().as_str() {
            "equals" | "==" => Check::Equals,
            "!=" | "<>" | "not equals" => Check::Differs,
            "contains" => Check::Contains,
            "not contains" => Check::ContainsNot,
            "startswith" => Check::StartsWith,
            "endswith" => Check::EndsWith,
            _ => return None,
        })
    }

    fn holds(self, left: &str, right: &str) -> bool {
        match self {
            Check::Equals => left == right,
            Check::Differs => left != right,
            Check::Contains => left.contains(right),
            Check::ContainsNot => !left.contains(right),
            Check::StartsWith => left.starts_with(right),
            Check::EndsWith => left.ends_with(right),
        }
    }
}

/// A value as Python prints it, as far as rows hold such values.
fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        other => other.to_string(),
    }
}

/// The token F1 of the SQuAD evaluation script (nemo-wire 6.4.1).
pub(super) fn token_f1(gold: &str, predicted: &str) -> f64 {
    let (gold, predicted) = (normalise(gold), normalise(predicted));
    let (gold, predicted) = (tokens(&gold), tokens(&predicted));
    if gold.is_empty() || predicted.is_empty() {
        return f64::from(u8::from(gold.is_empty() && predicted.is_empty()));
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for token in &gold {
        *left.entry(token).or_default() += 1;
    }
    let mut same = 0;
    for token in &predicted {
        if let Some(count) = left.get_mut(token).filter(|count| **count > 0) {
            *count -= 1;
            same += 1;
        }
    }
    if same == 0 {
        return 0.0;
    }
    let precision = f64::from(same) / predicted.len() as f64;
    let recall = f64::from(same) / gold.len() as f64;
    2.0 * precision * recall / (precision + recall)
}

static ARTICLES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(a|an|the)\b").expect("the pattern is a constant and valid"));

/// Lower case, without ASCII punctuation (deleted, not replaced), articles blanked.
fn normalise(text: &str) -> String {
    let lower: String = text.to_lowercase().chars().filter(|letter| !letter.is_ascii_punctuation()).collect();
    ARTICLES.replace_all(&lower, " ").into_owned()
}

/// Split where Python splits: on white space, to which it counts four control characters more.
fn tokens(text: &str) -> Vec<&str> {
    let space = |letter: char| letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter);
    text.split(space).filter(|token| !token.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn f1_of_hard_cases() {
        // gold, predicted, F1 by the formula.
        let cases = [
            ("[[[Analyst Rating]]]", "The analyst rating is: upgrade", 2.0 / 3.0),
            ("[[[Up]]]", "[[[up]]]", 1.0),
            ("", "", 1.0),
            ("", "x", 0.0),
            ("x", "", 0.0),
            ("the", "a an", 1.0),
            ("!?", "...", 1.0),
            ("None", "none", 1.0),
            ("x", "y", 0.0),
            // A multiset: the second `b` matches once only.
            ("b b c", "b d", 0.4),
            ("b c", "b b b b", 1.0 / 3.0),
            // Punctuation is deleted: one token is left.
            ("stock-split", "stock split", 0.0),
            ("don't", "dont", 1.0),
            ("U.S.A.", "usa", 1.0),
            // Articles are whole words.
            ("theatre", "atre", 0.0),
            ("another the other", "another other", 1.0),
            // An article next to punctuation becomes part of a word once that is deleted.
            ("the-x", "x", 0.0),
            // Unicode.
            ("ÉCLAIR", "éclair", 1.0),
            ("“Ab”", "ab", 0.0),
            ("日本 の 株", "日本 株", 0.8),
            ("a\u{a0}b", "b", 1.0),
            ("x\u{1c}y", "x y", 1.0),
            ("éa b", "b", 2.0 / 3.0),
        ];
        for (gold, predicted, expected) in cases {
            assert!((token_f1(gold, predicted) - expected).abs() < 1e-12, "{gold:?} {predicted:?}");
        }
    }

    fn score(kind: &str, params: Value) -> Result<f64, String> {
        let item = json!({"label": "Up", "none": null, "n": 3});
        let sample = json!({"output_text": "Up and away"});
        Metric::parse(kind, &params)?.score(&Templates::new(), &Context::new(&item, Some(&sample)))
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
            ("contains", "{{ item.label }}", 1.0),
            ("not contains", "and", 0.0),
            ("startswith", "Up", 1.0),
            ("endswith", "Up", 0.0),
            ("endswith", "away", 1.0),
        ];
        for (operator, right, expected) in cases {
            assert_eq!(check(operator, right), Ok(expected), "{operator} {right}");
        }
        assert!(check("like", "x").is_err());
        assert_eq!(score("string-check", json!({"check": ["{{ item.none }}", "equals", "None"]})), Ok(1.0));
        assert_eq!(score("string-check", json!({"check": ["{{ item.n }}", "equals", "3"]})), Ok(1.0));
    }

    #[test]
    fn f1_reads_its_templates() {
        assert_eq!(score("f1", json!({"ground_truth": "{{ item.label }}", "prediction": "up"})), Ok(1.0));
        assert_eq!(score("f1", json!({"ground_truth": "{{ item.label }}"})), Ok(0.5));
        assert_eq!(score("f1", json!({"ground_truth": "{{ item.none }}", "prediction": ""})), Ok(1.0));
        assert_eq!(score("f1", json!({"ground_truth": "{{ item.none | trim }}", "prediction": "none"})), Ok(1.0));
        assert!(score("f1", json!({"ground_truth": "{{ item.absent }}"})).is_err());
        assert!(score("f1", json!({})).is_err());
        assert!(score("bleu", json!({})).unwrap_err().contains("bleu"));
    }
}
