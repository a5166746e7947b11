//! Asking a model over HTTP, for an evaluation or as its judge: through this platform's own NIM proxy or at any
//! OpenAI-compatible endpoint, with retries. What is asked, and what the answer is worth, is not known here.

use std::sync::OnceLock;

use reqwest::StatusCode;
use serde_json::{Map, Value, json};

use crate::embedded::gate::INTERNAL;
use crate::embedded::world::World;

/// Whom to ask.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Model {
    /// A model that this platform's NIM proxy serves.
    Served(String),
    /// A model behind an endpoint of its own.
    Elsewhere { base: String, id: String, key: Option<String> },
}

/// What is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Chat,
    Completion,
}

impl Call {
    fn path(self) -> &'static str {
        match self {
            Call::Chat => "/chat/completions",
            Call::Completion => "/completions",
        }
    }

    /// The text of an answer.
    pub(super) fn text(self, response: &Value) -> &str {
        let choice = &response["choices"][0];
        let text = match self {
            Call::Chat => &choice["message"]["content"],
            Call::Completion => &choice["text"],
        };
        text.as_str().unwrap_or_default()
    }
}

impl Model {
    /// A model by its name, or with its endpoint; the error is the rest of a sentence that names the member.
    pub(super) fn parse(given: &Value) -> Result<Self, String> {
        match given {
            Value::String(name) if !name.is_empty() => Ok(Model::Served(name.clone())),
            Value::Object(model) => {
                let api = model.get("api_endpoint").unwrap_or(&Value::Null);
                let (Some(url), Some(id)) = (api["url"].as_str(), api["model_id"].as_str()) else {
                    return Err("has an api_endpoint with a url and a model_id".into());
                };
                let url = url.trim_end_matches('/');
                let base = url.strip_suffix("/chat/completions").or_else(|| url.strip_suffix("/completions"));
                let key = api["api_key"].as_str().filter(|key| !key.is_empty()).map(str::to_owned);
                Ok(Model::Elsewhere { base: base.unwrap_or(url).to_owned(), id: id.to_owned(), key })
            }
            _ => Err("is required, as a name or with its api_endpoint".into()),
        }
    }
}

/// Why there is no answer.
struct Silence {
    /// None when the endpoint could not be reached, or did not finish.
    status: Option<StatusCode>,
    why: String,
}

impl Silence {
    fn passes(&self) -> bool {
        self.status.is_none_or(|status| status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS)
    }

    /// Whether the endpoint knows the limit of a reply only under its newer name.
    fn wants_completion_tokens(&self) -> bool {
        self.status.is_some_and(|status| status.is_client_error()) && self.why.contains("max_tokens")
    }
}

/// Asks models, for as long as a job runs.
#[derive(Debug)]
pub(super) struct Asker {
    base: String,
    key: String,
    retries: usize,
    own: reqwest::Client,
    others: OnceLock<Result<reqwest::Client, String>>,
}

impl Asker {
    pub(super) fn new(world: &World, retries: usize) -> Result<Self, String> {
        // Plain HTTP to ourselves: no proxy, and no certificates to load.
        let own = reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).build();
        let own = own.map_err(|error| unreachable("this platform", &error.to_string()))?;
        let base = format!("{}/nim/v1", world.base);
        Ok(Asker { base, key: world.key.clone(), retries, own, others: OnceLock::new() })
    }

    /// The answer of a model to a request.
    pub(super) async fn ask(&self, model: &Model, call: Call, request: Map<String, Value>) -> Result<Value, String> {
        let (base, name) = match model {
            Model::Served(name) => (&self.base, name),
            Model::Elsewhere { base, id, .. } => (base, id),
        };
        let url = format!("{base}{}", call.path());
        let mut body = Map::from_iter([("model".to_owned(), json!(name))]);
        body.extend(request);
        let mut tries = 0;
        loop {
            let silence = match self.once(model, &url, &body).await? {
                Ok(answer) => return Ok(answer),
                Err(silence) => silence,
            };
            if silence.wants_completion_tokens()
                && let Some(most) = body.shift_remove("max_tokens")
            {
                body.insert("max_completion_tokens".into(), most);
            } else if silence.passes() && tries < self.retries {
                tries += 1;
            } else {
                return Err(unreachable(&format!("POST {url}"), &silence.why));
            }
        }
    }

    async fn once(
        &self,
        model: &Model,
        url: &str,
        body: &Map<String, Value>,
    ) -> Result<Result<Value, Silence>, String> {
        let request = match model {
            Model::Served(_) => self.own.post(url).header(INTERNAL, &self.key),
            Model::Elsewhere { key, .. } => {
                let client = self.others.get_or_init(|| {
                    reqwest::Client::builder().build().map_err(|error| unreachable(url, &error.to_string()))
                });
                let request = client.as_ref().map_err(String::clone)?.post(url);
                match key {
                    Some(key) => request.bearer_auth(key),
                    None => request,
                }
            }
        };
        Ok(answer(request.json(body)).await)
    }
}

fn unreachable(whom: &str, why: &str) -> String {
    format!("Error connecting to inference server: {whom}: {why}")
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value, Silence> {
    let lost = |error: reqwest::Error| Silence { status: None, why: error.to_string() };
    let response = request.send().await.map_err(lost)?;
    let status = response.status();
    let body = response.text().await.map_err(lost)?;
    let refused = |why: String| Silence { status: Some(status), why };
    if !status.is_success() {
        return Err(refused(format!("{status}: {}", body.chars().take(300).collect::<String>())));
    }
    serde_json::from_str(&body).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_given_as_a_base_or_in_full() {
        let read = |url: &str| Model::parse(&json!({"api_endpoint": {"url": url, "model_id": "m", "api_key": ""}}));
        for url in ["http://h/v1", "http://h/v1/", "http://h/v1/chat/completions", "http://h/v1/completions"] {
            let expected = Model::Elsewhere { base: "http://h/v1".into(), id: "m".into(), key: None };
            assert_eq!(read(url), Ok(expected), "{url}");
        }
        assert_eq!(Model::parse(&json!("ns/m@1")), Ok(Model::Served("ns/m@1".into())));
        for wrong in [json!(null), json!(""), json!({}), json!({"api_endpoint": {"url": "http://h"}}), json!(3)] {
            assert!(Model::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
