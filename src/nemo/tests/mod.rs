//! Tests of the client against a scripted server: what is sent, what is tolerated, what is tried again.

pub(super) mod helix;
mod helix_models;
mod jobs;
mod sending;
mod stores;
mod upload;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::transport::Transport;
use super::v1::V1;
use super::{BaseUrls, ClientOptions, Secret};
use crate::retry::Backoff;

/// A request as the fake server saw it.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    /// Path with query, percent-encoding left as it came.
    path: String,
    headers: axum::http::HeaderMap,
    body: Bytes,
}

impl Seen {
    fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// An answer of the fake server.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, headers: Vec::new(), body: body.into() }
}

fn ok(body: Value) -> Reply {
    reply(200, body.to_string())
}

/// Stands for the last segment of the path that was asked for.
const NAMED: &str = "$NAME";

/// The service's own 404: it names the thing.
fn missing() -> Reply {
    reply(404, json!({ "detail": format!("{NAMED} not found") }).to_string())
}

impl Reply {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }
}

/// A server that answers by a script and remembers what it was asked. It ends with the test's runtime.
struct Fake {
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// `script` gets the request and how many came before it.
    async fn start(script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Fake {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, script) = (Arc::clone(&seen), Arc::new(script));
        let handler = move |request: Request<Body>| {
            let (log, script) = (Arc::clone(&log), Arc::clone(&script));
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let path = parts.uri.path_and_query().unwrap().to_string();
                let seen = Seen { method: parts.method.to_string(), path, headers: parts.headers, body };
                let before = {
                    let mut log = log.lock().unwrap();
                    log.push(seen.clone());
                    log.len() - 1
                };
                let reply = script(&seen, before);
                let name = parts.uri.path().rsplit('/').next().unwrap().replace("%40", "@");
                let body = match String::from_utf8(reply.body) {
                    Ok(text) => text.replace(NAMED, &name).into_bytes(),
                    Err(bytes) => bytes.into_bytes(),
                };
                let mut response = Response::builder().status(reply.status);
                for (name, value) in reply.headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(body)).unwrap()
            }
        };
        let app = axum::Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Fake { base, seen }
    }

    /// Answers the requests in turn with these, and any further with 500.
    async fn replies(replies: Vec<Reply>) -> Fake {
        let replies = Mutex::new(replies.into_iter());
        Fake::start(move |_, _| replies.lock().unwrap().next().unwrap_or_else(|| reply(500, "script is over"))).await
    }

    fn options(&self) -> ClientOptions {
        let base = &self.base;
        ClientOptions {
            base_urls: BaseUrls {
                nemo: format!("{base}/nemo"),
                nim: format!("{base}/nim/"),
                datastore: format!("{base}/ds"),
            },
            bearer: Some(Secret::new("for-nemo")),
            hf_token: Some(Secret::new("for-files")),
            headers: vec![("x-team".to_owned(), Secret::new("desk"))],
            ca_cert: None,
        }
    }

    /// A client of this server that tries four times without pausing.
    fn v1(&self) -> V1 {
        v1(&self.options())
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }
}

fn v1(options: &ClientOptions) -> V1 {
    let longest = Duration::from_secs(8);
    let backoff = Backoff { tries: 4, first: Duration::ZERO, longest, longest_asked: Duration::ZERO };
    V1 { transport: Transport::with_backoff(options, backoff).unwrap() }
}
