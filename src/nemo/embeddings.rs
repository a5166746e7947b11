//! Embeddings of texts: by a model that the platform serves, or behind an endpoint of its own (docs/nemo-api.md, NIM
//! proxy).

use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::secret::Secret;
use super::transport::{ApiError, ApiRequest, ApiResponse, Destination, ErrorKind, RequestBody, read_json};

/// The end of a URL that takes texts.
const EMBEDDINGS: &str = "/embeddings";

/// A model that embeds texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmbeddingModel {
    /// A model that the platform serves, by its id.
    Served(String),
    /// A model behind an endpoint of its own.
    Remote {
        /// The URL that takes texts, or its base.
        url: String,
        model: String,
        /// The key, sent as bearer token.
        key: Option<Secret>,
    },
}

impl EmbeddingModel {
    /// Returns the request body. NVIDIA's models need an `input_type`, and others may refuse it.
    pub(super) fn body(&self, input_type: Option<&str>, texts: &[String]) -> Value {
        let (EmbeddingModel::Served(model) | EmbeddingModel::Remote { model, .. }) = self;
        let mut body = json!({ "model": model, "input": texts, "encoding_format": "float" });
        if let Some(input_type) = input_type {
            // Longer texts are an error otherwise.
            body["truncate"] = json!("END");
            body["input_type"] = json!(input_type);
        }
        body
    }
}

/// Returns the request to an endpoint of its own.
pub(super) fn remote(url: &str, key: Option<Secret>, body: Value) -> Result<ApiRequest, ApiError> {
    let base = url.trim_end_matches('/');
    let shown = if base.ends_with(EMBEDDINGS) { base.to_owned() } else { format!("{base}{EMBEDDINGS}") };
    let url = Url::parse(&shown)
        .map_err(|_| ApiError::new(format!("POST {shown}"), ErrorKind::Options("not a URL".to_owned()), None))?;
    Ok(ApiRequest::link(Method::POST, Destination::Foreign(url, key), RequestBody::Json(body)))
}

/// Reads as many vectors as there were texts, in their order, each scaled to length 1.
pub(super) fn vectors(response: &ApiResponse, texts: usize) -> Result<Vec<Vec<f32>>, ApiError> {
    let answer = response.json()?;
    let mut found: Vec<(u64, Vec<f32>)> = Vec::new();
    for (at, one) in read_json::list(&answer, &["data"]).iter().enumerate() {
        let numbers = read_json::list(one, &["embedding"]).iter().filter_map(Value::as_f64);
        let vector: Vec<f32> = numbers.map(|number| number as f32).collect();
        found.push((read_json::integer(one, &["index"]).unwrap_or(at as u64), unit(vector)));
    }
    found.sort_by_key(|(index, _)| *index);
    let length = found.first().map_or(0, |(_, vector)| vector.len());
    if found.len() != texts || length == 0 || found.iter().any(|(_, vector)| vector.len() != length) {
        return Err(response.unreadable("not one embedding for each text"));
    }
    Ok(found.into_iter().map(|(_, vector)| vector).collect())
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|number| *number /= length);
    }
    vector
}
