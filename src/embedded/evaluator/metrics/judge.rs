//! The llm-judge metric (nemo-wire 6.4.3): whom it asks and what, and reading the scores out of the reply. The asking
//! itself is done in `ask`.

use regex::Regex;
use serde_json::{Map, Value, json};

use super::super::ask::Model;
use super::super::templates::{Context, Templates};
use crate::embedded::world::State;

/// How long a judge's reply may be, unless its template says otherwise.
const MOST_TOKENS: u64 = 1024;

/// One llm-judge metric.
#[derive(Clone, Debug)]
pub(in crate::embedded::evaluator) struct Judge {
    /// None when no model is given: such a judge says nothing, and fails nothing.
    pub(in crate::embedded::evaluator) model: Option<Model>,
    template: Value,
    scores: Vec<Reading>,
}

/// How one score is read.
#[derive(Clone, Debug)]
struct Reading {
    name: String,
    kind: Kind,
    pattern: Regex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Float,
    Boolean,
}

impl Judge {
    pub(super) fn parse(state: &State, params: &Value) -> Result<Self, String> {
        let model = match &params["model"] {
            Value::Null => None,
            given => Some(Model::parse(state, given).map_err(|why| format!("params.model {why}"))?),
        };
        let template = params["template"].clone();
        if template.is_null() {
            return Err("params.template is missing".into());
        }
        let scores = params["scores"].as_object().filter(|scores| !scores.is_empty());
        let scores = scores.ok_or("params.scores holds no score")?;
        let scores = scores.iter().map(|(name, score)| Reading::parse(name, score)).collect::<Result<_, String>>()?;
        Ok(Judge { model, template, scores })
    }

    /// The names of its scores.
    pub(in crate::embedded::evaluator) fn score_names(&self) -> Vec<String> {
        self.scores.iter().map(|score| score.name.clone()).collect()
    }

    /// The request to the judge about one row.
    pub(in crate::embedded::evaluator) fn request(
        &self,
        templates: &Templates,
        context: &Context,
    ) -> Result<Map<String, Value>, String> {
        let mut request = templates.request(&self.template, context)?;
        if let Some(prompt) = request.remove("prompt") {
            request.entry("messages").or_insert_with(|| json!([{"role": "user", "content": prompt}]));
        }
        if !request.contains_key("max_completion_tokens") {
            request.entry("max_tokens").or_insert(json!(MOST_TOKENS));
        }
        Ok(request)
    }

    /// The scores that a reply gives; none where it gives none.
    pub(in crate::embedded::evaluator) fn read(&self, reply: &str) -> Vec<Option<f64>> {
        self.scores.iter().map(|score| score.read(reply)).collect()
    }
}

impl Reading {
    fn parse(name: &str, score: &Value) -> Result<Self, String> {
        let kind = match score["type"].as_str().unwrap_or("float") {
            "int" | "integer" => Kind::Int,
            "float" | "number" => Kind::Float,
            "bool" | "boolean" => Kind::Boolean,
            other => return Err(format!("params.scores.{name}.type {other:?} is not int, float or boolean")),
        };
        let parser = &score["parser"];
        if parser["type"].as_str().is_some_and(|kind| kind != "regex") {
            return Err(format!("params.scores.{name}.parser.type is not regex"));
        }
        let pattern = parser["pattern"].as_str();
        let pattern = pattern.ok_or_else(|| format!("params.scores.{name}.parser.pattern is missing"))?;
        let pattern = Regex::new(pattern)
            .map_err(|error| format!("params.scores.{name}.parser.pattern is no regular expression: {error}"))?;
        Ok(Reading { name: name.to_owned(), kind, pattern })
    }

    fn read(&self, reply: &str) -> Option<f64> {
        let found = self.pattern.captures(reply)?;
        let text = found.get(1).or_else(|| found.get(0))?.as_str().trim();
        match self.kind {
            Kind::Int => text.parse::<i64>().ok().map(|number| number as f64),
            Kind::Float => text.parse::<f64>().ok().filter(|number| number.is_finite()),
            Kind::Boolean => match text.to_lowercase().as_str() {
                "true" | "yes" | "1" => Some(1.0),
                "false" | "no" | "0" => Some(0.0),
                _ => None,
            },
        }
    }
}
