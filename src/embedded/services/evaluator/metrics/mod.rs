//! The metrics of the Evaluator (docs/nemo-api.md, Metrics): reads them from a request, and scores a row.

pub(crate) mod bleu;
mod checks;
pub(crate) mod judge;
mod porter;
mod rouge;
mod text;
mod tools;

use serde_json::Value;

use super::templates::{Context, Templates};
use crate::embedded::state::PlatformState;
use checks::{NumberCheck, TextCheck};
use judge::Judge;

/// One metric of a task.
#[derive(Clone, Debug)]
pub(crate) enum Metric {
    /// Token overlap with the ground truth.
    F1 {
        ground_truth: Value,
        prediction: Value,
    },
    /// Equality with the ground truth, after normalisation.
    ExactMatch {
        ground_truth: Value,
        prediction: Value,
    },
    /// N-gram precision against several references.
    Bleu {
        references: Vec<Value>,
        candidate: Value,
    },
    /// N-gram overlap with the ground truth.
    Rouge {
        ground_truth: Value,
        prediction: Value,
    },
    StringCheck {
        left: Value,
        check: TextCheck,
        right: Value,
    },
    NumberCheck {
        left: Value,
        check: NumberCheck,
        right: Value,
    },
    /// Calls of the right functions with the right arguments.
    ToolCalling {
        ground_truth: Value,
    },
    /// The opinion of another model.
    Judge(Judge),
}

/// The scores of one metric for one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scores {
    /// One for each name of the metric; none where there is no number.
    pub(crate) values: Vec<Option<f64>>,
    /// The row's contribution to the BLEU of the corpus.
    pub(crate) corpus: Option<bleu::Counts>,
}

impl Scores {
    fn one(value: f64) -> Self {
        Scores::of(vec![Some(value)])
    }

    /// Returns scores without a contribution to a corpus.
    pub(crate) fn of(values: Vec<Option<f64>>) -> Self {
        Scores { values, corpus: None }
    }
}

/// Returns a template parameter that is required.
fn required(params: &Value, key: &str) -> Result<Value, String> {
    let given = params.get(key).filter(|given| !given.is_null()).cloned();
    given.ok_or_else(|| format!("params.{key} is missing"))
}

/// Returns the template of the prediction; the default is the reply of the model.
fn prediction(params: &Value, key: &str) -> Value {
    let given = params.get(key).filter(|given| !given.is_null()).cloned();
    given.unwrap_or_else(|| "{{ sample.output_text }}".into())
}

impl Metric {
    /// Reads a metric of a request. The error says what is wrong.
    pub(crate) fn parse(state: &PlatformState, kind: &str, params: &Value) -> Result<Self, String> {
        let pair = || Ok::<_, String>((required(params, "ground_truth")?, prediction(params, "prediction")));
        match kind {
            "f1" => pair().map(|(ground_truth, prediction)| Metric::F1 { ground_truth, prediction }),
            "em" | "exact-match" => {
                pair().map(|(ground_truth, prediction)| Metric::ExactMatch { ground_truth, prediction })
            }
            "rouge" => pair().map(|(ground_truth, prediction)| Metric::Rouge { ground_truth, prediction }),
            "bleu" => {
                let references = required(params, "references")?;
                let references = references.as_array().filter(|references| !references.is_empty()).cloned();
                let references = references.ok_or("params.references is a list of templates")?;
                Ok(Metric::Bleu { references, candidate: prediction(params, "candidate") })
            }
            "string-check" => string_check(params),
            "number-check" => number_check(params),
            "tool-calling" => Ok(Metric::ToolCalling { ground_truth: required(params, "tool_calls_ground_truth")? }),
            "llm-judge" => Judge::parse(state, params).map(Metric::Judge),
            other => Err(format!(
                "the metric type {other:?} is not computed by this platform; f1, em, bleu, rouge, string-check, \
                 number-check, tool-calling and llm-judge are"
            )),
        }
    }

    /// Returns the names of its scores in the results.
    pub(crate) fn score_names(&self) -> Vec<String> {
        let names: &[&str] = match self {
            Metric::F1 { .. } => &["f1_score"],
            Metric::ExactMatch { .. } => &["em_score"],
            Metric::Bleu { .. } => &["sentence"],
            Metric::Rouge { .. } => &["rouge_1_score", "rouge_2_score", "rouge_3_score", "rouge_L_score"],
            Metric::StringCheck { .. } => &["string-check"],
            Metric::NumberCheck { .. } => &["number-check"],
            Metric::ToolCalling { .. } => &["function_name_accuracy", "function_name_and_args_accuracy"],
            Metric::Judge(judge) => return judge.score_names(),
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Scores one row; fails if a template cannot be rendered. A judge gives no score here, because it must be asked.
    pub(crate) fn score(&self, templates: &Templates, context: &Context, sample: &Value) -> Result<Scores, String> {
        let texts = |gold: &Value, said: &Value| {
            let gold = text::answer(&templates.render(gold, context)?);
            Ok::<_, String>((gold, text::answer(&templates.render(said, context)?)))
        };
        Ok(match self {
            Metric::F1 { ground_truth, prediction } => {
                let (gold, said) = texts(ground_truth, prediction)?;
                Scores::one(text::token_f1(&gold, &said))
            }
            Metric::ExactMatch { ground_truth, prediction } => {
                let (gold, said) = texts(ground_truth, prediction)?;
                Scores::one(flag(text::exact_match(&gold, &said)))
            }
            Metric::Rouge { ground_truth, prediction } => {
                let (gold, said) = texts(ground_truth, prediction)?;
                Scores::of(rouge::scores(&gold, &said).map(Some).to_vec())
            }
            Metric::Bleu { references, candidate } => {
                let said = text::answer(&templates.render(candidate, context)?);
                let mut gold = Vec::new();
                for reference in references {
                    gold.extend(texts_of(&templates.render(reference, context)?));
                }
                let sentence = bleu::Counts::of(&said, &gold).sentence();
                let corpus = bleu::Counts::of(&said, gold.get(..1).unwrap_or_default());
                Scores { values: vec![Some(sentence)], corpus: Some(corpus) }
            }
            Metric::StringCheck { left, check, right } => {
                let left = text::printed(&templates.render(left, context)?);
                let right = text::printed(&templates.render(right, context)?);
                Scores::one(flag(check.holds(&left, &right)))
            }
            Metric::NumberCheck { left, check, right } => {
                let (left, right) = (templates.render(left, context)?, templates.render(right, context)?);
                Scores::of(vec![check.score(&left, &right)])
            }
            Metric::ToolCalling { ground_truth } => {
                Scores::of(tools::scores(&templates.render(ground_truth, context)?, sample)?.to_vec())
            }
            Metric::Judge(judge) => Scores::of(vec![None; judge.score_names().len()]),
        })
    }
}

/// Returns the texts of a rendered reference: one, or a list of them.
fn texts_of(rendered: &Value) -> Vec<String> {
    match rendered {
        Value::Array(items) => items.iter().map(text::answer).collect(),
        other => vec![text::answer(other)],
    }
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn string_check(params: &Value) -> Result<Metric, String> {
    let check = params["check"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [left, Value::String(operator), right] = check else {
        return Err("params.check is [left, operation, right]".into());
    };
    let check = TextCheck::parse(operator).ok_or_else(|| format!("the operation {operator:?} is not known"))?;
    Ok(Metric::StringCheck { left: left.clone(), check, right: right.clone() })
}

fn number_check(params: &Value) -> Result<Metric, String> {
    let given = params["check"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (left, check, right) = match given {
        [left, Value::String(operator), right] => {
            let check = NumberCheck::parse(operator);
            (left, check.ok_or_else(|| format!("the operation {operator:?} is not known"))?, right)
        }
        [Value::String(operator), left, right, Value::String(word), epsilon]
            if operator == "absolute difference" && word == "epsilon" =>
        {
            let epsilon = checks::number(epsilon).ok_or("the epsilon of params.check is no number")?;
            (left, NumberCheck::Within(epsilon), right)
        }
        _ => {
            let shapes = "[left, operation, right] or [\"absolute difference\", left, right, \"epsilon\", number]";
            return Err(format!("params.check is {shapes}"));
        }
    };
    Ok(Metric::NumberCheck { left: left.clone(), check, right: right.clone() })
}

#[cfg(test)]
mod tests;
