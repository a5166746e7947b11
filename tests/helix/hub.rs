//! A Hugging Face Hub with one private repository, in place of huggingface.co. The platform allows its address.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::harness::{Folder, Output};
use crate::platform::Platform;

/// The model entity that is made from the repository.
pub(crate) const ENTITY: &str = "from-the-hub";
pub(crate) const TOKEN: &str = "t0ken-of-the-hub";
pub(crate) const TOKEN_VARIABLE: &str = "HUB_TOKEN";
const REPOSITORY: &str = "private/llama-3.2-1b-instruct";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILE: &str = "config.json";
const CONTENT: &str = r#"{"model_type": "llama"}"#;

/// Runs a candidate whose base model is made from the repository.
pub(crate) fn run(platform: &Platform, folder: &Folder, token: &str) -> Output {
    folder.dfwfd(["run", "--format", "json"]).args(keys(platform)).env(TOKEN_VARIABLE, token).run()
}

/// Returns the flags of a candidate whose base model is made from the repository.
pub(crate) fn keys(platform: &Platform) -> Vec<String> {
    let keys = [
        format!("base_model={ENTITY}"),
        format!("base_model_repository={REPOSITORY}"),
        format!("base_model_hub={}", start(platform)),
        format!("base_model_token_env={TOKEN_VARIABLE}"),
    ];
    keys.iter().flat_map(|key| ["--set".to_owned(), format!("nims.0.{key}")]).collect()
}

/// Purges a run with its base model, and checks that nothing of it stays.
pub(crate) fn purge(platform: &Platform, folder: &Folder, report: &Value) {
    folder.dfwfd(["cleanup", report["run"].as_str().unwrap(), "--purge", "--base-models"]).run().code(0);
    nothing_stays(platform);
}

/// Checks that nothing of a run and of the base model is left.
pub(crate) fn nothing_stays(platform: &Platform) {
    assert_eq!(platform.made(), Vec::<String>::new());
    for (service, list) in [("secrets", "secrets"), ("models", "models"), ("files", "filesets"), ("jobs", "jobs")] {
        let left = platform.get(&platform.path(service, list)).to_string();
        assert!(!left.contains(ENTITY), "{left}");
    }
}

/// Starts the hub at the address that the platform allows (`scripts/helix-server.sh`), until the test program ends.
/// Returns its URL.
fn start(platform: &Platform) -> &'static str {
    static HUB: OnceLock<String> = OnceLock::new();
    HUB.get_or_init(|| {
        let address = SocketAddr::new(platform.address.ip(), platform.address.port() + 1);
        let listener = TcpListener::bind(address).unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                std::thread::spawn(move || answer(&client));
            }
        });
        format!("http://{address}")
    })
}

/// Answers one request, and ends the connection.
fn answer(mut client: &TcpStream) {
    let lines = BufReader::new(client).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    let mut request = lines.first().map(String::as_str).unwrap_or_default().split([' ', '?']);
    let (method, path) = (request.next().unwrap_or_default(), request.next().unwrap_or_default());
    let allowed = format!("authorization: bearer {TOKEN}");
    let is_allowed = lines.iter().any(|line| line.to_ascii_lowercase() == allowed);
    let file = json!({ "type": "file", "path": FILE, "rfilename": FILE, "size": CONTENT.len(), "oid": COMMIT });
    let (status, body) = match path.strip_prefix("/api/models/").or(path.strip_prefix("/")) {
        _ if !is_allowed => (401, json!({ "error": "Invalid credentials" }).to_string()),
        Some(rest) => match rest.strip_prefix(REPOSITORY).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) if rest.starts_with("revision/") => {
                (200, json!({ "id": REPOSITORY, "sha": COMMIT, "siblings": [file] }).to_string())
            }
            Some(rest) if rest.starts_with("tree/") => (200, json!([file]).to_string()),
            Some(rest) if rest.starts_with("resolve/") && rest.ends_with(FILE) => (200, CONTENT.to_owned()),
            _ => (404, json!({ "error": "Repository not found" }).to_string()),
        },
        None => (404, json!({ "error": "Not found" }).to_string()),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\netag: \"{COMMIT}\"\r\nx-repo-commit: {COMMIT}\r\n\r\n",
        body.len()
    );
    // The client may be gone.
    let _ = client.write_all(head.as_bytes());
    if method != "HEAD" {
        let _ = client.write_all(body.as_bytes());
    }
}
