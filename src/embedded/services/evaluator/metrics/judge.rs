//! The llm-judge metric (docs/nemo-api.md, LLM judge): the request to the judge, and the scores in its reply.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::embedded::services::evaluator::model_client::ModelAddress;
use crate::embedded::services::evaluator::templates::{Context, Templates};
use crate::embedded::state::PlatformState;

/// The default limit of a judge's reply, in tokens.
const MOST_TOKENS: u64 = 1024;

#[derive(Clone, Debug)]
pub(crate) struct Judge {
    /// None if the request names no model: then there are no scores, and nothing fails.
    pub(crate) model: Option<ModelAddress>,
    template: Value,
    scores: Vec<ScorePattern>,
}

/// How one score is found in a reply.
#[derive(Clone, Debug)]
struct ScorePattern {
    name: String,
    kind: ScoreType,
    pattern: Regex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScoreType {
    Int,
    Float,
    Boolean,
}

impl Judge {
    pub(crate) fn parse(state: &PlatformState, params: &Value) -> Result<Self, String> {
        let model = match &params["model"] {
            Value::Null => None,
            given => Some(ModelAddress::parse(state, given).map_err(|why| format!("params.model {why}"))?),
        };
        let template = params["template"].clone();
        if template.is_null() {
            return Err("params.template is missing".into());
        }
        let scores = params["scores"].as_object().filter(|scores| !scores.is_empty());
        let scores = scores.ok_or("params.scores holds no score")?;
        let scores =
            scores.iter().map(|(name, score)| ScorePattern::parse(name, score)).collect::<Result<_, String>>()?;
        Ok(Judge { model, template, scores })
    }

    /// Returns the names of its scores.
    pub(crate) fn score_names(&self) -> Vec<String> {
        self.scores.iter().map(|score| score.name.clone()).collect()
    }

    /// Renders the request about one row.
    pub(crate) fn request(&self, templates: &Templates, context: &Context) -> Result<Map<String, Value>, String> {
        let mut request = templates.request(&self.template, context)?;
        if let Some(prompt) = request.remove("prompt") {
            request.entry("messages").or_insert_with(|| json!([{"role": "user", "content": prompt}]));
        }
        if !request.contains_key("max_completion_tokens") {
            request.entry("max_tokens").or_insert(json!(MOST_TOKENS));
        }
        Ok(request)
    }

    /// Reads the scores of a reply; none where it gives none.
    pub(crate) fn read(&self, reply: &str) -> Vec<Option<f64>> {
        self.scores.iter().map(|score| score.read(reply)).collect()
    }
}

impl ScorePattern {
    fn parse(name: &str, score: &Value) -> Result<Self, String> {
        let kind = match score["type"].as_str().unwrap_or("float") {
            "int" | "integer" => ScoreType::Int,
            "float" | "number" => ScoreType::Float,
            "bool" | "boolean" => ScoreType::Boolean,
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
        Ok(ScorePattern { name: name.to_owned(), kind, pattern })
    }

    fn read(&self, reply: &str) -> Option<f64> {
        let found = self.pattern.captures(reply)?;
        let text = found.get(1).or_else(|| found.get(0))?.as_str().trim();
        match self.kind {
            ScoreType::Int => text.parse::<i64>().ok().map(|number| number as f64),
            ScoreType::Float => text.parse::<f64>().ok().filter(|number| number.is_finite()),
            ScoreType::Boolean => match text.to_lowercase().as_str() {
                "true" | "yes" | "1" => Some(1.0),
                "false" | "no" | "0" => Some(0.0),
                _ => None,
            },
        }
    }
}
