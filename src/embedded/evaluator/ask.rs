//! Asking a model over HTTP, for an evaluation or as its judge: through this platform's own NIM proxy or at any
//! OpenAI-compatible endpoint, with retries. What is asked, and what the answer is worth, is not known here.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::{Map, Value, json};

use crate::embedded::gate::INTERNAL;
use crate::embedded::outside::{self, Endpoint};
use crate::embedded::world::{State, World};
use crate::retry::{Backoff, retry_after};

/// The longest pause between two tries, also when the endpoint asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 16 << 20;

/// Whom to ask.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Model {
    /// A model that this platform's NIM proxy serves.
    Served(String),
    /// A model behind an endpoint of its own.
    Elsewhere { endpoint: Endpoint, id: String },
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
    /// A model by its name, or with its endpoint: a name may be that of a model entity that has one. The error is the rest
    /// of a sentence that names the member.
    pub(super) fn parse(state: &State, given: &Value) -> Result<Self, String> {
        match given {
            Value::String(name) if !name.is_empty() => {
                let entity = state.models.by_urn(name).map(|entity| &entity["api_endpoint"]);
                match entity.filter(|endpoint| endpoint.is_object()) {
                    Some(endpoint) => Model::elsewhere(endpoint),
                    None => Ok(Model::Served(name.clone())),
                }
            }
            Value::Object(model) => Model::elsewhere(model.get("api_endpoint").unwrap_or(&Value::Null)),
            _ => Err("is required, as a name or with its api_endpoint".into()),
        }
    }

    fn elsewhere(api: &Value) -> Result<Self, String> {
        let (Some(url), Some(id)) = (api["url"].as_str(), api["model_id"].as_str()) else {
            return Err("has an api_endpoint with a url and a model_id".into());
        };
        if let Some(format) = api["format"].as_str().filter(|format| !outside::is_format(format)) {
            return Err(format!("has an api_endpoint of the format {format:?}; nim, openai and lama_stack are known"));
        }
        let endpoint = Endpoint::parse(url, api["api_key"].as_str());
        let endpoint = endpoint.map_err(|why| format!("has an api_endpoint whose url {why}"))?;
        Ok(Model::Elsewhere { endpoint, id: id.to_owned() })
    }
}

/// Why there is no answer.
struct Silence {
    /// None when the endpoint could not be reached, or did not finish.
    status: Option<StatusCode>,
    why: String,
    /// How long the endpoint asks to wait.
    wait: Option<Duration>,
}

impl Silence {
    fn passes(&self) -> bool {
        self.status.is_none_or(|status| {
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        })
    }

    /// Whether the endpoint knows the limit of a reply only under its newer name.
    fn wants_completion_tokens(&self) -> bool {
        self.status.is_some_and(|status| status.is_client_error()) && self.why.contains("max_tokens")
    }
}

/// Asks models, for as long as a job runs.
#[derive(Debug)]
pub(super) struct Asker<'a> {
    world: &'a World,
    backoff: Backoff,
    timeout: Duration,
    own: reqwest::Client,
}

impl<'a> Asker<'a> {
    pub(super) fn new(world: &'a World, retries: usize, timeout: Duration) -> Result<Self, String> {
        // Plain HTTP to ourselves: no proxy, and no certificates to load.
        let own = reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).build();
        let own = own.map_err(|error| unreachable("this platform", &error.to_string()))?;
        let backoff = Backoff {
            tries: u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1),
            first: Duration::from_millis(100),
            longest: LONGEST_PAUSE,
            longest_asked: LONGEST_PAUSE,
        };
        Ok(Asker { world, backoff, timeout, own })
    }

    /// The answer of a model to a request. What cannot be asked is told without its key.
    pub(super) async fn ask(&self, model: &Model, call: Call, request: Map<String, Value>) -> Result<Value, String> {
        let name = match model {
            Model::Served(name) => name,
            Model::Elsewhere { id, .. } => id,
        };
        let mut body = Map::from_iter([("model".to_owned(), json!(name))]);
        body.extend(request);
        let mut tries = 0;
        loop {
            let (url, request) = self.request(model, call)?;
            let silence = match answer(request.timeout(self.timeout).json(&body)).await {
                Ok(answer) => return Ok(answer),
                Err(silence) => silence,
            };
            if silence.wants_completion_tokens()
                && let Some(most) = body.shift_remove("max_tokens")
            {
                body.insert("max_completion_tokens".into(), most);
            } else if let Some(pause) = self.backoff.pause(tries + 1, silence.wait).filter(|_| silence.passes()) {
                tokio::time::sleep(pause).await;
                tries += 1;
            } else {
                let why = match model {
                    Model::Served(_) => silence.why,
                    Model::Elsewhere { endpoint, .. } => endpoint.without_key(&silence.why),
                };
                return Err(unreachable(&format!("POST {url}"), &why));
            }
        }
    }

    fn request(&self, model: &Model, call: Call) -> Result<(String, reqwest::RequestBuilder), String> {
        match model {
            Model::Served(_) => {
                let url = format!("{}/nim/v1{}", self.world.base, call.path());
                let request = self.own.post(&url).header(INTERNAL, &self.world.key);
                Ok((url, request))
            }
            Model::Elsewhere { endpoint, .. } => {
                let url = format!("{}{}", endpoint.base, call.path());
                let request = self.world.outside.post(endpoint, call.path());
                let request = request.map_err(|why| unreachable(&url, &why))?;
                Ok((url, request))
            }
        }
    }
}

fn unreachable(whom: &str, why: &str) -> String {
    format!("Error connecting to inference server: {whom}: {why}")
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value, Silence> {
    let lost = |error: reqwest::Error| {
        let why = match error.is_timeout() {
            true => "no answer in time".to_owned(),
            false => error.without_url().to_string(),
        };
        Silence { status: None, why, wait: None }
    };
    let mut response = request.send().await.map_err(lost)?;
    let status = response.status();
    let header = response.headers().get(RETRY_AFTER).and_then(|header| header.to_str().ok());
    let wait = header.and_then(|header| retry_after(header, Timestamp::now()));
    let refused = |why: String| Silence { status: Some(status), why, wait };
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(lost)? {
        if body.len() + piece.len() > LARGEST_ANSWER {
            return Err(refused(format!("the answer has more than {LARGEST_ANSWER} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    if !status.is_success() {
        let told: String = String::from_utf8_lossy(&body).chars().take(300).collect();
        return Err(refused(format!("{status}: {told}")));
    }
    serde_json::from_slice(&body).map_err(|error| refused(format!("the answer is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: Value) -> Result<Model, String> {
        Model::parse(&State::default(), &given)
    }

    #[test]
    fn a_model_is_a_name_or_has_an_endpoint() {
        let endpoint = Endpoint::parse("http://h/v1", Some("k")).unwrap();
        let given = json!({"api_endpoint": {"url": "http://h/v1/chat/completions", "model_id": "m", "api_key": "k", "format": "openai"}});
        assert_eq!(read(given), Ok(Model::Elsewhere { endpoint, id: "m".into() }));
        assert_eq!(read(json!("ns/m@1")), Ok(Model::Served("ns/m@1".into())));
        let endpoint =
            |url: &str, format: &str| json!({"api_endpoint": {"url": url, "model_id": "m", "format": format}});
        for wrong in [
            json!(null),
            json!(""),
            json!({}),
            json!({"api_endpoint": {"url": "http://h"}}),
            json!(3),
            endpoint("h", "nim"),
            endpoint("http://h", "grpc"),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
