//! A workspace of one test on a running NeMo Helix, and what is looked up there without dfwfd.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Folder, Running, project, send_with, skip, testdata};

/// The model of the candidate, and the entity that is named after it.
pub(crate) const MODEL: &str = "meta/llama-3.2-1b-instruct";
pub(crate) const ENTITY: &str = "llama-3.2-1b-instruct";

/// The service of evaluations, `evals`, as it was called before 0.8.
const OLD_EVALS: &str = "evaluator";

/// A platform that the script of this project started, stopped on drop.
pub(crate) struct Started {
    pub url: String,
    kind: &'static str,
}

impl Started {
    /// Starts a platform of another kind than the one of the environment, which says whether one can be had.
    pub(crate) fn start(test: &str, kind: &'static str) -> Option<Started> {
        url_of_environment(test)?;
        let output = script().args(["start", kind]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        assert!(output.status.success(), "starting a platform of kind {kind}: {}", text(output.stderr));
        Some(Started { url: text(output.stdout), kind })
    }

    /// Returns a token that a platform of the kind `secured` takes.
    pub(crate) fn token(&self) -> String {
        String::from_utf8(script().arg("token").output().unwrap().stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = script().args(["stop", self.kind]).status();
    }
}

fn script() -> Command {
    Command::new(project().join("scripts/helix-server.sh"))
}

fn url_of_environment(test: &str) -> Option<String> {
    let url = std::env::var("DFWFD_TEST_HELIX_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        skip(test, "helix", "DFWFD_TEST_HELIX_URL names no NeMo Helix: scripts/helix-server.sh start prints one");
    }
    url
}

/// A workspace in which the base model exists.
pub(crate) struct Platform {
    pub url: String,
    pub address: SocketAddr,
    pub workspace: String,
    /// What its requests carry where it wants a token.
    headers: String,
    /// The paths of all lists of a workspace.
    lists: Vec<String>,
}

impl Platform {
    /// Makes a workspace on the platform of the environment, or skips the test.
    pub(crate) fn of(test: &str) -> Option<Platform> {
        Some(Platform::at(&url_of_environment(test)?, test))
    }

    /// Makes a workspace with the base model.
    pub(crate) fn at(url: &str, test: &str) -> Platform {
        Platform::filled(Platform::empty(url, test))
    }

    /// Makes a workspace with the base model on a platform that wants a token.
    pub(crate) fn secured(url: &str, test: &str, token: &str) -> Platform {
        Platform::filled(Platform::named(url, test, format!("authorization: Bearer {token}\r\n")))
    }

    fn filled(platform: Platform) -> Platform {
        platform.post("/apis/entities/v2/workspaces", &json!({ "name": platform.workspace }));
        platform.make_model(ENTITY);
        platform
    }

    /// Makes a model entity with files. It says what the checkpoint is made of, so the platform does not look again, in a job
    /// of its own that needs PyTorch, after each training.
    pub(crate) fn make_model(&self, name: &str) {
        self.post(&self.path("files", "filesets"), &json!({ "name": name, "purpose": "model" }));
        let file = self.path("files", &format!("filesets/{name}/-/config.json"));
        let (status, answer) = self.send("PUT", &file, r#"{"model_type": "llama"}"#);
        assert_eq!(status, 200, "{answer}");
        let fileset = format!("{}/{name}", self.workspace);
        let spec = json!({
            "checkpoint_model_name": name, "family": "llama", "head_type": "causal_lm", "num_layers": 16, "hidden_size": 2048,
            "num_attention_heads": 32, "num_kv_heads": 8, "ffn_hidden_size": 8192, "vocab_size": 128_256,
            "tied_embeddings": true, "gated_mlp": true, "base_num_parameters": 1_235_814_400, "precision": "bfloat16",
        });
        self.post(&self.path("models", "models"), &json!({ "name": name, "fileset": fileset, "spec": spec }));
    }

    /// Names a workspace, which does not exist.
    pub(crate) fn empty(url: &str, test: &str) -> Platform {
        Platform::named(url, test, String::new())
    }

    fn named(url: &str, test: &str, headers: String) -> Platform {
        let address = url.trim_start_matches("http://").to_socket_addrs().unwrap().next().unwrap();
        let workspace = format!("{test}-{}", std::process::id());
        let mut platform = Platform { url: url.to_owned(), address, workspace, headers, lists: Vec::new() };
        platform.lists = platform.all_lists();
        platform
    }

    /// Makes one call.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        send_with(self.address, method, path, &self.headers, body)
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, answer) = self.send(method, path, &body.map(Value::to_string).unwrap_or_default());
        (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
    }

    /// Returns the paths of all lists of a workspace.
    fn all_lists(&self) -> Vec<String> {
        let (_, document) = self.request("GET", "/openapi.json", None);
        let paths = document["paths"].as_object().unwrap().iter();
        let lists = paths.filter(|(path, methods)| {
            path.contains("/workspaces/{workspace}/") && path.matches('{').count() == 1 && methods.get("get").is_some()
        });
        let lists: Vec<String> = lists.map(|(path, _)| path.replace("{workspace}", &self.workspace)).collect();
        assert!(lists.len() > 15, "the platform names its lists: {lists:?}");
        lists
    }

    pub(crate) fn path(&self, service: &str, rest: &str) -> String {
        let is_known = self.lists.iter().any(|list| list.starts_with("/apis/evals/"));
        let service = if service == "evals" && !is_known { OLD_EVALS } else { service };
        format!("/apis/{service}/v2/workspaces/{}/{rest}", self.workspace)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, answer) = self.request("GET", path, None);
        assert_eq!(status, 200, "GET {path}: {answer}");
        answer
    }

    pub(crate) fn post(&self, path: &str, body: &Value) {
        let (status, answer) = self.request("POST", path, Some(body));
        assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
    }

    /// Makes a folder with a configuration of one candidate, whose platform has this URL.
    pub(crate) fn folder_at(&self, url: &str, more: &str) -> Folder {
        Folder::with_config(&format!(
            "nmp_config: {{nemo_base_url: '{url}', nmp_namespace: {}}}\n\
             nims: [{{model_name: {MODEL}, customization_enabled: true}}]\ngpus: 2\n\
             data_split_config: {{eval_size: 12, limit: 60}}\ntraining_config: {{batch_size: 16}}\n\
             lora_config: {{sequence_packing_enabled: false}}\nlogs: {{path: '{}'}}\n{more}",
            self.workspace,
            testdata("news_logs.jsonl").display(),
        ))
    }

    /// Makes a folder with a configuration of one candidate on this platform.
    pub(crate) fn folder(&self) -> Folder {
        self.folder_at(&self.url, "")
    }

    /// Returns everything in the workspace that runs have made, as `service/list/name`. The platform itself says which
    /// lists it has.
    pub(crate) fn made(&self) -> Vec<String> {
        let mut made = Vec::new();
        for list in &self.lists {
            let answer = self.get(&format!("{list}?page_size=100"));
            for one in answer["data"].as_array().into_iter().flatten() {
                let name = one["name"].as_str().or(one["id"].as_str()).unwrap_or_default();
                // The record of a deleted deployment stays for half a minute.
                if name.contains("dfwfd-") && one["status"] != "DELETED" {
                    let parts: Vec<&str> = list.split('/').collect();
                    let service = if parts[2] == OLD_EVALS { "evals" } else { parts[2] };
                    made.push(format!("{service}/{}/{name}", parts[6..].join("/")));
                }
            }
        }
        made
    }

    /// Returns the names in a list.
    pub(crate) fn names(&self, service: &str, list: &str) -> Vec<String> {
        let answer = self.get(&format!("{}?page_size=100", self.path(service, list)));
        let names = answer["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned());
        names.collect()
    }

    /// Waits until a list has so many entries.
    pub(crate) fn wait_for(&self, service: &str, list: &str, count: usize, running: &mut Running) {
        while self.names(service, list).len() < count {
            assert!(!running.has_ended(), "the run ended before {service} had {count} {list}");
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Gives the base model the marks of one that dfwfd has made.
    pub(crate) fn mark_base_model_as_made(&self) {
        for (service, list) in [("models", "models"), ("files", "filesets")] {
            let place = self.path(service, &format!("{list}/{ENTITY}"));
            let (status, answer) = self.request("PATCH", &place, Some(&json!({ "description": "dfwfd" })));
            assert_eq!(status, 200, "{place}: {answer}");
        }
    }

    /// Returns what the platform has sent to the model for the first row of an evaluation.
    pub(crate) fn first_request(&self, job: &str) -> String {
        let job = job.split('/').next_back().unwrap();
        let place = self.path("evals", &format!("evaluate/jobs/{job}/results/row-scores/download"));
        let (status, rows) = self.send("GET", &place, "");
        assert_eq!(status, 200, "{rows}");
        let row: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
        row["requests"][0]["request"]["messages"].to_string()
    }

    /// Returns a mean that the platform itself tells of an evaluation.
    pub(crate) fn mean(&self, job: &str, score: &str) -> f64 {
        let job = job.split('/').next_back().unwrap();
        let scores = self.get(&self.path("evals", &format!("evaluate/jobs/{job}/results/aggregate-scores/download")));
        let found = scores["scores"].as_array().unwrap().iter().find(|one| one["name"] == score);
        found.and_then(|one| one["mean"].as_f64()).unwrap_or_else(|| panic!("{score} of {scores}"))
    }
}

/// A platform looks at everything that it has every few seconds, so workspaces that stay would slow down later tests. That of
/// a failed test stays.
impl Drop for Platform {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let place = format!("/apis/entities/v2/workspaces/{}", self.workspace);
            self.request("DELETE", &place, None);
        }
    }
}
