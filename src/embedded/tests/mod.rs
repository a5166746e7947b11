//! The platform over HTTP: what a client sees of each service, and all calls of a flywheel.

mod control;
mod data_dir;
mod datastore;
mod evaluator;
mod external;
mod faults;
mod flywheel;
mod inference;
mod services;
mod tools;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Clock, Options, Server, UploadMode};

/// A platform and a client of it.
struct Platform {
    server: Server,
    http: reqwest::Client,
}

impl Platform {
    fn start(options: Options) -> Self {
        let http = reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).build().unwrap();
        Platform { server: Server::start(options).unwrap(), http }
    }

    /// Starts a platform on the polled clock.
    fn polled() -> Self {
        Self::start(Options { clock: Clock::Polls, control: true, ..Options::default() })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.server.port())
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, self.url(path));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["x-dfwfd-embedded"], self.server.instance());
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, Some(&body)).await
    }

    async fn delete(&self, path: &str) -> StatusCode {
        self.send(Method::DELETE, path, None).await.0
    }

    /// Sends a GET that must succeed.
    async fn read(&self, path: &str) -> Value {
        let (status, answer) = self.get(path).await;
        assert!(status.is_success(), "GET {path}: {status} {answer}");
        answer
    }

    /// Sends a POST that must succeed.
    async fn make(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!(status.is_success(), "POST {path}: {status} {answer}");
        answer
    }

    /// Creates a dataset repository with these files, and its namespaces if they are missing.
    async fn upload(&self, namespace: &str, name: &str, files: &[(&str, &str)]) {
        use base64::Engine;
        self.post("/nemo/v1/namespaces", json!({"id": namespace})).await;
        self.post("/datastore/v1/datastore/namespaces", json!({"namespace": namespace})).await;
        let repo = json!({"name": name, "organization": namespace, "type": "dataset"});
        self.make("/datastore/v1/hf/api/repos/create", repo).await;
        let mut commit = vec![json!({"key": "header", "value": {"summary": "Upload", "description": ""}})];
        for (path, text) in files {
            let content = base64::engine::general_purpose::STANDARD.encode(text);
            commit.push(json!({"key": "file", "value": {"path": path, "content": content, "encoding": "base64"}}));
        }
        let lines: Vec<String> = commit.iter().map(Value::to_string).collect();
        let url = self.url(&format!("/datastore/v1/hf/api/datasets/{namespace}/{name}/commit/main"));
        let answer = self.http.post(url).body(lines.join("\n")).send().await.unwrap();
        assert!(answer.status().is_success());
    }
}
