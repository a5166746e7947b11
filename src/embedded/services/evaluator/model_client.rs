//! The HTTP client for models that an evaluation asks: through the NIM proxy of this platform, or at any
//! OpenAI-compatible endpoint.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::{Map, Value, json};

use crate::embedded::backend::{Backend, INTERNAL_HEADER};
use crate::embedded::hosted_endpoints::{self, HostedEndpoint};
use crate::embedded::state::PlatformState;
use crate::retry::{Backoff, retry_after};

/// The longest pause, even if an endpoint asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The size limit of an answer, in bytes.
const LARGEST_ANSWER: usize = 16 << 20;

/// Where a model is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ModelAddress {
    /// On the NIM proxy of this platform.
    Served(String),
    /// Behind an endpoint of its own.
    Elsewhere { endpoint: HostedEndpoint, id: String },
}

/// The API by which a model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelApi {
    Chat,
    Completion,
}

impl ModelApi {
    fn path(self) -> &'static str {
        match self {
            ModelApi::Chat => "/chat/completions",
            ModelApi::Completion => "/completions",
        }
    }

    /// Returns the text in an answer.
    pub(crate) fn text(self, response: &Value) -> &str {
        let choice = &response["choices"][0];
        let text = match self {
            ModelApi::Chat => &choice["message"]["content"],
            ModelApi::Completion => &choice["text"],
        };
        text.as_str().unwrap_or_default()
    }
}

impl ModelAddress {
    /// Reads a model: its name, or an object with its endpoint. The name may refer to a model entity that has an
    /// endpoint. The error completes a sentence that starts with the member.
    pub(crate) fn parse(state: &PlatformState, given: &Value) -> Result<Self, String> {
        match given {
            Value::String(name) if !name.is_empty() => {
                let entity = state.models.by_urn(name).map(|entity| &entity["api_endpoint"]);
                match entity.filter(|endpoint| endpoint.is_object()) {
                    Some(endpoint) => ModelAddress::elsewhere(endpoint),
                    None => Ok(ModelAddress::Served(name.clone())),
                }
            }
            Value::Object(model) => ModelAddress::elsewhere(model.get("api_endpoint").unwrap_or(&Value::Null)),
            _ => Err("is required, as a name or with its api_endpoint".into()),
        }
    }

    fn elsewhere(api: &Value) -> Result<Self, String> {
        let (Some(url), Some(id)) = (api["url"].as_str(), api["model_id"].as_str()) else {
            return Err("has an api_endpoint with a url and a model_id".into());
        };
        if let Some(format) = api["format"].as_str().filter(|format| !hosted_endpoints::is_format(format)) {
            return Err(format!("has an api_endpoint of the format {format:?}; nim, openai and lama_stack are known"));
        }
        let endpoint = HostedEndpoint::parse(url, api["api_key"].as_str());
        let endpoint = endpoint.map_err(|why| format!("has an api_endpoint whose url {why}"))?;
        Ok(ModelAddress::Elsewhere { endpoint, id: id.to_owned() })
    }
}

/// The reason why there is no answer.
struct ModelError {
    /// None if the endpoint cannot be reached or breaks off.
    status: Option<StatusCode>,
    why: String,
    /// The pause that the endpoint asks for.
    wait: Option<Duration>,
}

impl ModelError {
    fn passes(&self) -> bool {
        self.status.is_none_or(|status| {
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        })
    }

    /// Returns whether the endpoint knows the token limit only by its newer name.
    fn wants_completion_tokens(&self) -> bool {
        self.status.is_some_and(|status| status.is_client_error()) && self.why.contains("max_tokens")
    }
}

/// Asks models on behalf of one job.
#[derive(Debug)]
pub(crate) struct ModelClient<'a> {
    backend: &'a Backend,
    backoff: Backoff,
    timeout: Duration,
    own: reqwest::Client,
}

impl<'a> ModelClient<'a> {
    pub(crate) fn new(backend: &'a Backend, retries: usize, timeout: Duration) -> Result<Self, String> {
        // Plain HTTP to this process needs no proxy and no certificates.
        let own = reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).build();
        let own = own.map_err(|error| unreachable("this platform", &error.to_string()))?;
        let backoff = Backoff {
            tries: u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1),
            first: Duration::from_millis(100),
            longest: LONGEST_PAUSE,
            longest_asked: LONGEST_PAUSE,
        };
        Ok(ModelClient { backend, backoff, timeout, own })
    }

    /// Asks a model, with retries. The error does not contain the key.
    pub(crate) async fn ask(
        &self,
        model: &ModelAddress,
        call: ModelApi,
        request: Map<String, Value>,
    ) -> Result<Value, String> {
        let name = match model {
            ModelAddress::Served(name) => name,
            ModelAddress::Elsewhere { id, .. } => id,
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
                    ModelAddress::Served(_) => silence.why,
                    ModelAddress::Elsewhere { endpoint, .. } => endpoint.without_key(&silence.why),
                };
                return Err(unreachable(&format!("POST {url}"), &why));
            }
        }
    }

    fn request(&self, model: &ModelAddress, call: ModelApi) -> Result<(String, reqwest::RequestBuilder), String> {
        match model {
            ModelAddress::Served(_) => {
                let url = format!("{}/nim/v1{}", self.backend.base, call.path());
                let request = self.own.post(&url).header(INTERNAL_HEADER, &self.backend.internal_key);
                Ok((url, request))
            }
            ModelAddress::Elsewhere { endpoint, .. } => {
                let url = format!("{}{}", endpoint.base, call.path());
                let request = self.backend.endpoint_clients.post(endpoint, call.path());
                let request = request.map_err(|why| unreachable(&url, &why))?;
                Ok((url, request))
            }
        }
    }
}

fn unreachable(whom: &str, why: &str) -> String {
    format!("Error connecting to inference server: {whom}: {why}")
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value, ModelError> {
    let lost = |error: reqwest::Error| {
        let why = match error.is_timeout() {
            true => "no answer in time".to_owned(),
            false => error.without_url().to_string(),
        };
        ModelError { status: None, why, wait: None }
    };
    let mut response = request.send().await.map_err(lost)?;
    let status = response.status();
    let header = response.headers().get(RETRY_AFTER).and_then(|header| header.to_str().ok());
    let wait = header.and_then(|header| retry_after(header, Timestamp::now()));
    let refused = |why: String| ModelError { status: Some(status), why, wait };
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

    fn read(given: Value) -> Result<ModelAddress, String> {
        ModelAddress::parse(&PlatformState::default(), &given)
    }

    #[test]
    fn a_model_is_a_name_or_has_an_endpoint() {
        let endpoint = HostedEndpoint::parse("http://h/v1", Some("k")).unwrap();
        let given = json!({"api_endpoint": {"url": "http://h/v1/chat/completions", "model_id": "m", "api_key": "k", "format": "openai"}});
        assert_eq!(read(given), Ok(ModelAddress::Elsewhere { endpoint, id: "m".into() }));
        assert_eq!(read(json!("ns/m@1")), Ok(ModelAddress::Served("ns/m@1".into())));
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
