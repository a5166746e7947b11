//! `dfwfd serve` as a process: large files in bounded memory, many concurrent callers, and the state after a kill.
//! `DFWFD_UPLOAD_MB` sets the size of the large file (64), `DFWFD_KILLS` the number of kills (6).

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not the helpers of a test file")]

mod chat;
#[path = "../harness/mod.rs"]
mod harness;
mod restart;
mod upload;

use serde_json::{Value, json};

use harness::Server;

/// Returns a number from the environment.
fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Sends a POST that must succeed.
#[track_caller]
fn make(server: &Server, path: &str, body: &Value) -> Value {
    let (status, answer) = server.post(path, body);
    assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
    answer
}

/// Sends a GET that must succeed.
#[track_caller]
fn read(server: &Server, path: &str) -> Value {
    let (status, answer) = server.get(path);
    assert!((200..300).contains(&status), "GET {path}: {status} {answer}");
    answer
}

/// Creates a dataset repository in its own namespace.
fn repository(server: &Server, namespace: &str, name: &str) {
    server.post("/datastore/v1/datastore/namespaces", &json!({"namespace": namespace}));
    let repo = json!({"name": name, "organization": namespace, "type": "dataset"});
    make(server, "/datastore/v1/hf/api/repos/create", &repo);
}

/// Returns the body of a commit.
fn commit(lines: &[Value]) -> String {
    let head = json!({"key": "header", "value": {"summary": "Upload", "description": ""}});
    harness::lines(std::iter::once(&head).chain(lines))
}
