//! The real binary against NVIDIA's NeMo Helix, where `DFWFD_TEST_HELIX_URL` names one (`scripts/helix-server.sh start`
//! prints it). Without it these tests are skipped. Training step and model container are stand-ins there, so the scores
//! say nothing; everything else is the platform itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not the helpers of a test file")]

#[path = "../harness/mod.rs"]
mod harness;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use harness::{Folder, request, send, skip, testdata};
use serde_json::{Value, json};

/// The lists of everything that a run makes: service and path below the workspace.
const LISTS: [(&str, &str); 7] = [
    ("files", "filesets"),
    ("models", "deployments"),
    ("models", "deployment-configs"),
    ("models", "adapters"),
    ("customization", "automodel/jobs"),
    ("evals", "evaluate/jobs"),
    ("secrets", "secrets"),
];

/// A platform with a workspace of one test, in which the base model exists.
struct Platform {
    url: String,
    address: SocketAddr,
    workspace: String,
}

impl Platform {
    /// Returns the platform of the environment, or skips the test.
    fn of(test: &str) -> Option<Platform> {
        let Ok(url) = std::env::var("DFWFD_TEST_HELIX_URL") else {
            skip(test, "helix", "DFWFD_TEST_HELIX_URL names no NeMo Helix");
            return None;
        };
        let address = url.trim_start_matches("http://").to_socket_addrs().unwrap().next().unwrap();
        let workspace = format!("{test}-{}", std::process::id());
        let platform = Platform { url, address, workspace };
        platform.post("/apis/entities/v2/workspaces", &json!({ "name": platform.workspace }));
        let name = "llama-3.2-1b-instruct";
        platform.post(&platform.path("files", "filesets"), &json!({ "name": name, "purpose": "model" }));
        let file = platform.path("files", &format!("filesets/{name}/-/config.json"));
        let (status, answer) = send(address, "PUT", &file, r#"{"model_type": "llama"}"#);
        assert_eq!(status, 200, "{answer}");
        let fileset = format!("{}/{name}", platform.workspace);
        platform.post(&platform.path("models", "models"), &json!({ "name": name, "fileset": fileset }));
        Some(platform)
    }

    fn path(&self, service: &str, rest: &str) -> String {
        format!("/apis/{service}/v2/workspaces/{}/{rest}", self.workspace)
    }

    fn post(&self, path: &str, body: &Value) {
        let (status, answer) = request(self.address, "POST", path, Some(body));
        assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
    }

    /// Makes a folder with a configuration of one candidate on this platform.
    fn folder(&self) -> Folder {
        Folder::with_config(&format!(
            "nmp_config: {{nemo_base_url: '{}', nmp_namespace: {}}}\n\
             nims: [{{model_name: meta/llama-3.2-1b-instruct, customization_enabled: true}}]\ngpus: 2\n\
             data_split_config: {{eval_size: 12, limit: 60}}\ntraining_config: {{batch_size: 16}}\n\
             lora_config: {{sequence_packing_enabled: false}}\nlogs: {{path: '{}'}}\n",
            self.url,
            self.workspace,
            testdata("news_logs.jsonl").display(),
        ))
    }

    /// Returns everything in the workspace that runs have made, as `list/name`.
    fn made(&self) -> Vec<String> {
        let mut made = Vec::new();
        for (service, list) in LISTS {
            let (status, answer) =
                request(self.address, "GET", &format!("{}?page_size=100", self.path(service, list)), None);
            assert_eq!(status, 200, "{list}: {answer}");
            let names = answer["data"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str());
            made.extend(names.filter(|name| name.contains("dfwfd-")).map(|name| format!("{list}/{name}")));
        }
        made
    }
}

/// Checks the report of a run that completed, and that purging it leaves nothing.
fn completed_and_purged(platform: &Platform, folder: &Folder, report: &Value) {
    assert_eq!((report["state"].as_str(), report["held"].as_array().map(Vec::len)), (Some("completed"), Some(0)));
    assert_eq!((report["generation"].as_str(), report["platform_version"].is_string()), (Some("helix"), true));
    let evaluations = &report["candidates"][0]["evaluations"];
    for which in ["base", "customized"] {
        assert_eq!(evaluations[which]["rows"], 12, "{which}: {report:#}");
    }
    for (list, count) in
        [("evaluate/jobs/", 2), ("automodel/jobs/", 1), ("deployments/", 0), ("deployment-configs/", 0)]
    {
        let there = platform.made();
        assert_eq!(there.iter().filter(|one| one.starts_with(list)).count(), count, "{there:?}");
    }
    folder.dfwfd(["cleanup", report["run"].as_str().unwrap(), "--purge"]).run().code(0);
    assert_eq!(platform.made(), Vec::<String>::new());
}

#[test]
fn a_whole_run_leaves_nothing_after_purge() {
    let Some(platform) = Platform::of("whole") else { return };
    let folder = platform.folder();
    let output = folder.dfwfd(["run", "--format", "json"]).run();
    completed_and_purged(&platform, &folder, &output.code(0).json());
}

#[test]
fn a_killed_run_goes_on_and_makes_nothing_twice() {
    let Some(platform) = Platform::of("killed") else { return };
    let folder = platform.folder();
    let running = folder.dfwfd(["run"]).spawn();
    let until = Instant::now() + Duration::from_secs(300);
    // The training is under way.
    while !platform.made().iter().any(|one| one.starts_with("automodel/jobs/")) {
        assert!(Instant::now() < until, "no training job: {:?}", platform.made());
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(running);
    let output = folder.dfwfd(["run", "--resume", "--format", "json"]).run();
    completed_and_purged(&platform, &folder, &output.code(0).json());
}

#[test]
fn a_workspace_without_the_base_model_is_refused_before_anything_is_made() {
    let Some(platform) = Platform::of("refused") else { return };
    let folder = platform.folder();
    let missing = ["--set", "nims.base_model=another-model"];
    let output = folder.dfwfd(["run", "--format", "json"]).args(missing).run();
    assert_ne!(output.code, Some(0), "{output}");
    output.says("another-model does not exist");
    assert_eq!(platform.made(), Vec::<String>::new());
}
