//! The real binary against NVIDIA's NeMo Helix, where `DFWFD_TEST_HELIX_URL` names one (`scripts/helix-server.sh start`
//! prints it). Without it these tests are skipped. Training step and model container are stand-ins there, so the scores
//! say nothing of models. Everything else is the platform itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy knows test functions, not the helpers of a test file"
)]

mod full;
#[path = "../harness/mod.rs"]
mod harness;
mod hub;
mod kills;
#[path = "../run/openai.rs"]
mod openai;
mod platform;
#[path = "../harness/proxy.rs"]
mod proxy;

use harness::{Folder, request};
use platform::{ENTITY, Platform, Started};
use serde_json::Value;

/// Checks the report of a run that completed: nothing is held, nothing was made twice, and the platform tells the same
/// scores. Then checks that a purge with these flags leaves nothing. Returns the scores.
fn completed_and_purged_by(platform: &Platform, folder: &Folder, report: &Value, purge: &[&str]) -> Vec<Value> {
    assert_eq!((report["state"].as_str(), report["held"].as_array().map(Vec::len)), (Some("completed"), Some(0)));
    assert_eq!((report["generation"].as_str(), report["platform_version"].is_string()), (Some("helix"), true));
    let there = platform.made();
    for (list, count) in [
        ("evals/evaluate/jobs/", 2),
        ("customization/automodel/jobs/", 1),
        ("models/adapters/", 1),
        ("models/deployments/", 0),
        ("models/deployment-configs/", 0),
        ("deployments/deployments/", 0),
        ("secrets/", 0),
    ] {
        assert_eq!(there.iter().filter(|one| one.starts_with(list)).count(), count, "{list} of {there:#?}");
    }
    let evaluations = ["base", "customized"].map(|variant| &report["candidates"][0]["evaluations"][variant]);
    for evaluation in evaluations {
        assert_eq!(evaluation["rows"], 12, "{report:#}");
        let told = evaluation["scores"]["nemo_f1"]["value"].as_f64().unwrap();
        let mean = platform.mean(evaluation["job"].as_str().unwrap(), "f1.f1");
        assert!((told - mean).abs() < 1e-9, "{told} is not the {mean} of the platform");
    }
    folder.dfwfd(["cleanup", "--purge", "--format", "json"]).args(purge).run().code(0);
    assert_eq!(platform.made(), Vec::<String>::new());
    evaluations.map(|evaluation| evaluation["scores"].clone()).to_vec()
}

/// The same, by the purge of a run.
fn completed_and_purged(platform: &Platform, folder: &Folder, report: &Value) -> Vec<Value> {
    completed_and_purged_by(platform, folder, report, &[report["run"].as_str().unwrap()])
}

/// Kills a run while it trains, and returns the report of its resumption.
fn killed_and_resumed(platform: &Platform, folder: &Folder) -> Value {
    let mut running = folder.dfwfd(["run"]).spawn();
    platform.wait_for("customization", "automodel/jobs", 1, &mut running);
    running.kill();
    folder.dfwfd(["run", "--resume", "--format", "json"]).run().code(0).json()
}

#[test]
fn a_killed_run_ends_with_the_scores_of_a_whole_one_and_both_leave_nothing() {
    let Some(whole) = Platform::of("whole") else { return };
    let killed = Platform::at(&whole.url, "killed");
    let of_whole = std::thread::spawn(move || {
        let folder = whole.folder();
        let report = folder.dfwfd(["run", "--format", "json"]).run().code(0).json();
        // A state directory that is gone takes the ledger with it.
        std::fs::remove_dir_all(folder.at(".dfwfd")).unwrap();
        completed_and_purged_by(&whole, &folder, &report, &["--orphans", "--yes"])
    });
    let folder = killed.folder();
    let report = killed_and_resumed(&killed, &folder);
    let scores = completed_and_purged(&killed, &folder, &report);
    assert_eq!(scores, of_whole.join().unwrap());
    // The stand-in for the base model knows nothing, its adapter knows the training rows.
    let f1 = |scores: &Value| scores["nemo_f1"]["value"].as_f64().unwrap();
    assert!(f1(&scores[0]) < f1(&scores[1]), "{scores:?}");
}

#[test]
fn a_workspace_that_is_missing_is_refused_and_not_made() {
    let Some(platform) = Platform::of("present") else { return };
    let missing = Platform::empty(&platform.url, "missing");
    let folder = missing.folder();
    folder.dfwfd(["run"]).run().code(2).says(&format!("{}/{ENTITY} does not exist", missing.workspace)).hints();
    let place = format!("/apis/entities/v2/workspaces/{}", missing.workspace);
    assert_eq!(request(missing.address, "GET", &place, None).0, 404);
}

#[test]
fn a_workspace_without_the_base_model_is_refused_before_anything_is_made() {
    let Some(platform) = Platform::of("refused") else { return };
    let folder = platform.folder();
    let missing = ["--set", "nims.0.base_model=another-model"];
    let output = folder.dfwfd(["run", "--format", "json"]).args(missing).run();
    output.code(2).says("another-model does not exist").hints();
    assert_eq!(platform.made(), Vec::<String>::new());
}

#[test]
fn a_configuration_of_version_1_is_taken_and_the_keys_without_a_counterpart_are_named_once() {
    let Some(platform) = Platform::of("mapped") else { return };
    let keys = [
        "nmp_config.nim_base_url=http://nim.test",
        "nmp_config.datastore_base_url=http://data-store.test",
        "nims.0.customizer_configs.target=meta/llama-3.2-1b-instruct@2.0",
        "nims.0.tag=1.8.3",
    ];
    let folder = platform.folder();
    let plan =
        folder.dfwfd(["run", "--plan", "--format", "json"]).args(keys.iter().flat_map(|key| ["--set", key])).run();
    let told = plan.code(0).json()["warnings"].to_string();
    let named = "nims.0.customizer_configs.target, nims.0.tag, nmp_config.datastore_base_url, nmp_config.nim_base_url \
                 have no counterpart on NeMo Helix";
    assert_eq!(told.matches(named).count(), 1, "{told}");
}

#[test]
fn a_private_repository_without_its_token_is_refused_and_nothing_stays() {
    let Some(platform) = Platform::of("refusing") else { return };
    let folder = platform.folder();
    let refused = hub::run(&platform, &folder, "wr0ng-token");
    refused.code(1).says(&format!("cannot make the base model {}/{}", platform.workspace, hub::ENTITY));
    refused.says("Unauthorized");
    assert!(!refused.to_string().contains("wr0ng-token"), "the token was shown");
    assert_eq!(platform.names("secrets", "secrets"), Vec::<String>::new());
    hub::purge(&platform, &folder, &refused.json());
}

#[test]
fn a_platform_without_a_container_runtime_refuses_the_deployment() {
    let Some(plain) = Started::start("plain", "plain") else { return };
    let platform = Platform::at(&plain.url, "plain");
    let folder = platform.folder();
    let output = folder.dfwfd(["run", "--format", "json"]).run();
    output.code(1).says("Deployments are not enabled because the backend runtime is set to 'none'");
    let report = output.json();
    assert_eq!((report["state"].as_str(), report["held"].as_array().map(Vec::len)), (Some("failed"), Some(0)));
    let run = report["run"].as_str().unwrap();
    folder.dfwfd(["cleanup", run, "--purge"]).run().code(0);
    // Such a platform takes a configuration of a deployment and never deletes it.
    assert_eq!(platform.made(), Vec::<String>::new());
}
