//! A platform with a data directory: a client sees the same after a restart, and only one server can use the directory.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::flywheel::{MESSAGES, deploy, evaluation, prepare, until_served};
use super::*;
use crate::embedded::state::blobs::LARGE;
use crate::embedded::{DataDirError, StartError};

const LISTS: [&str; 14] = [
    "/nemo/v1/namespaces",
    "/nemo/v1/projects",
    "/nemo/v1/datasets",
    "/nemo/v1/models",
    "/nemo/v1/deployment/configs",
    "/nemo/v1/deployment/model-deployments",
    "/nemo/v1/customization/targets",
    "/nemo/v1/customization/configs",
    "/nemo/v1/customization/jobs",
    "/nemo/v1/evaluation/configs",
    "/nemo/v1/evaluation/targets",
    "/nemo/v1/evaluation/jobs",
    "/nemo/v1/evaluation/results",
    "/datastore/v1/datastore/namespaces",
];

fn kept(folder: &Path) -> Platform {
    let data_dir = Some(folder.to_path_buf());
    Platform::start(Options { clock: Clock::Polls, control: true, data_dir, ..Options::default() })
}

/// Returns everything that a client can see without advancing anything.
async fn seen(p: &Platform) -> BTreeMap<String, Value> {
    let mut seen = BTreeMap::new();
    for list in LISTS {
        let all = p.read(&format!("{list}?page_size=1000")).await;
        for job in all["data"].as_array().into_iter().flatten().filter(|row| row["status"] == "completed") {
            let below: &[&str] =
                if list.contains("customization") { &["status", "container-logs"] } else { &["status", "results"] };
            for part in below {
                let path = format!("{list}/{}/{part}", job["id"].as_str().unwrap());
                seen.insert(path.clone(), p.get(&path).await.1);
            }
        }
        seen.insert(list.to_owned(), all);
    }
    for (kind, files) in [("datasets", "datasets/"), ("models", "")] {
        let repos = p.read(&format!("/datastore/v1/hf/api/{kind}")).await;
        for repo in repos.as_array().unwrap() {
            let id = repo["id"].as_str().unwrap();
            let refs = p.read(&format!("/datastore/v1/hf/api/{kind}/{id}/refs")).await;
            for branch in refs["branches"].as_array().unwrap() {
                let commit = branch["targetCommit"].as_str().unwrap();
                let tree = p.read(&format!("/datastore/v1/hf/api/{kind}/{id}/tree/{commit}?recursive=true")).await;
                for file in tree.as_array().unwrap().iter().filter(|entry| entry["type"] == "file") {
                    let path =
                        format!("/datastore/v1/hf/{files}{id}/resolve/{commit}/{}", file["path"].as_str().unwrap());
                    let answer = p.http.get(p.url(&path)).send().await.unwrap();
                    assert!(answer.status().is_success(), "{path}");
                    seen.insert(path, json!(blake3::hash(&answer.bytes().await.unwrap()).to_string()));
                }
                seen.insert(format!("{kind}/{id} {commit}"), tree);
            }
            seen.insert(format!("{kind}/{id} refs"), refs);
        }
        seen.insert(kind.to_owned(), repos);
    }
    seen.insert("state".into(), p.read("/control/state").await);
    seen
}

async fn served(p: &Platform) -> Vec<String> {
    let models = p.read("/nim/v1/models").await;
    models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

fn training(epochs: u32) -> Value {
    json!({"config": "ns/c@v1", "dataset": "ns/train", "output_model": "ns/adapter", "description": "t",
        "hyperparameters": {"finetuning_type": "lora", "epochs": epochs, "seed": 7}})
}

async fn configure(p: &Platform) {
    let option = json!({"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1});
    p.make(
        "/nemo/v1/customization/configs",
        json!({"name": "c@v1", "namespace": "ns", "max_seq_length": 4096,
        "target": "dfwfd/ngram-small@1.0", "training_options": [option]}),
    )
    .await;
}

async fn until(p: &Platform, job: &str, status: &str) -> Value {
    loop {
        let job = p.read(job).await;
        if job["status"] == status {
            return job;
        }
        assert!(!["failed", "cancelled", "completed"].contains(&job["status"].as_str().unwrap()), "{job}");
    }
}

#[tokio::test]
async fn a_flywheel_is_as_it_was_after_a_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let p = kept(folder.path());
    prepare(&p).await;
    deploy(&p, "dfwfd/ngram-small").await;
    configure(&p).await;
    let job = p.make("/nemo/v1/customization/jobs", training(2)).await;
    let path = format!("/nemo/v1/customization/jobs/{}", job["id"].as_str().unwrap());
    let adapter = until(&p, &path, "completed").await["output_model"].as_str().unwrap().to_owned();
    until_served(&p, &adapter).await;
    let job = p.make("/nemo/v1/evaluation/jobs", evaluation(&adapter, MESSAGES)).await;
    let evaluated = format!("/nemo/v1/evaluation/jobs/{}", job["id"].as_str().unwrap());
    until(&p, &evaluated, "completed").await;
    let failing = p.make("/nemo/v1/evaluation/jobs", evaluation("absent/model", MESSAGES)).await;
    until(&p, &format!("/nemo/v1/evaluation/jobs/{}", failing["id"].as_str().unwrap()), "failed").await;
    let endpoint = json!({"url": "http://localhost:9", "model_id": "x", "api_key": "k"});
    p.make("/nemo/v1/models", json!({"name": "m", "namespace": "ns", "api_endpoint": endpoint})).await;
    p.send(Method::DELETE, "/nemo/v1/customization/targets/meta/llama-3.2-3b-instruct@2.0", None).await;
    let (before, models, instance) = (seen(&p).await, served(&p).await, p.server.instance().to_owned());
    assert!(before.len() > 30 && models.contains(&adapter), "{} {models:?}", before.len());
    let chat = json!({"model": adapter, "messages": [{"role": "user", "content": "agrees to buy rival"}]});
    let said = p.make("/nim/v1/chat/completions", chat.clone()).await["choices"].clone();
    drop(p);

    let p = kept(folder.path());
    assert_eq!(p.server.instance(), instance);
    let after = seen(&p).await;
    for (what, value) in &before {
        assert_eq!(after.get(what), Some(value), "{what}");
    }
    assert_eq!((after.len(), served(&p).await), (before.len(), models));
    assert_eq!(p.make("/nim/v1/chat/completions", chat).await["choices"], said);
    let zip = p.http.get(p.url(&format!("{evaluated}/download-results"))).send().await.unwrap();
    assert_eq!(zip.headers()["content-type"], "application/zip");
}

#[tokio::test]
async fn work_under_way_begins_anew_and_ends_as_it_would_have() {
    let folder = tempfile::tempdir().unwrap();
    let p = kept(folder.path());
    prepare(&p).await;
    deploy(&p, "dfwfd/ngram-small").await;
    configure(&p).await;
    let whole = p.make("/nemo/v1/customization/jobs", training(3)).await;
    let whole = until(&p, &format!("/nemo/v1/customization/jobs/{}", whole["id"].as_str().unwrap()), "completed").await;
    let broken = p.make("/nemo/v1/customization/jobs", training(3)).await;
    let cancelled = p.make("/nemo/v1/customization/jobs", training(3)).await;
    let path = |job: &Value| format!("/nemo/v1/customization/jobs/{}", job["id"].as_str().unwrap());
    p.make(&format!("{}/cancel", path(&cancelled)), json!({})).await;
    let evaluated = p.make("/nemo/v1/evaluation/jobs", evaluation("dfwfd/ngram-small", MESSAGES)).await;
    assert_eq!(p.read("/control/state").await["unfinished_jobs"].as_array().unwrap().len(), 3);
    drop(p);

    let p = kept(folder.path());
    assert_eq!(p.read(&path(&cancelled)).await["status"], "cancelled");
    let again = until(&p, &path(&broken), "completed").await;
    let log = again["status_details"]["status_logs"].as_array().unwrap();
    assert!(log.iter().any(|entry| entry["message"] == "TrainingJobPending" && !entry["detail"].is_null()), "{log:?}");
    let mut weights = Vec::new();
    for job in [&whole, &again] {
        let (name, revision) = job["output_model"].as_str().unwrap().split_once('@').unwrap();
        let path = format!("/datastore/v1/hf/{name}/resolve/{revision}/adapter_model.safetensors");
        weights.push(p.http.get(p.url(&path)).send().await.unwrap().bytes().await.unwrap());
    }
    assert!(weights[0].len() > 100 && weights[0] == weights[1]);
    let job = until(&p, &format!("/nemo/v1/evaluation/jobs/{}", evaluated["id"].as_str().unwrap()), "completed").await;
    assert_eq!(job["status_details"]["samples_processed"], 9);
}

#[tokio::test]
async fn a_directory_has_one_server_and_is_what_one_has_written() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| Server::start(Options { data_dir: Some(path.to_path_buf()), ..Options::default() });
    let p = kept(folder.path());
    let large: String = "a line of it\n".repeat(LARGE / 8);
    p.upload("ns", "d", &[("large", &large)]).await;
    assert!(matches!(open(folder.path()), Err(StartError::DataDir(DataDirError::InUse { .. }))));
    drop(p);
    drop(open(folder.path()).unwrap());

    let blobs = folder.path().join("contents");
    let file = std::fs::read_dir(&blobs).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "short").unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(
        matches!(&error, StartError::DataDir(DataDirError::Damaged { what, .. }) if what.contains("commit")),
        "{error}"
    );
    std::fs::write(folder.path().join("platform.db"), "words, and not a database, for more than a page".repeat(99))
        .unwrap();
    assert!(matches!(open(folder.path()), Err(StartError::DataDir(DataDirError::Foreign { .. }))));
}

#[tokio::test]
async fn an_effect_that_is_not_on_disk_is_not_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let p = kept(folder.path());
    let dataset = |name: &str| json!({"name": name, "files_url": "hf://x"});
    p.make("/nemo/v1/datasets", dataset("kept")).await;
    p.server.backend.close();
    let (status, answer) = p.post("/nemo/v1/datasets", dataset("lost")).await;
    assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);
    assert!(answer["detail"].as_str().unwrap().contains("the data directory cannot be written"), "{answer}");
    p.read("/nemo/v1/datasets/default/lost").await;
    drop(p);
    let p = kept(folder.path());
    assert_eq!(p.get("/nemo/v1/datasets/default/lost").await.0, StatusCode::NOT_FOUND);
    p.read("/nemo/v1/datasets/default/kept").await;
    // A large file that finds no room on disk.
    std::fs::remove_dir_all(folder.path().join("contents")).unwrap();
    p.upload("ns", "d", &[("small", "x")]).await;
    let lines = json!({"key": "file", "value": {"path": "f", "content": "x".repeat(LARGE + 1), "encoding": "utf-8"}});
    let head = json!({"key": "header", "value": {"summary": "s"}});
    let url = p.url("/datastore/v1/hf/api/datasets/ns/d/commit/main");
    let answer = p.http.post(url).body(format!("{head}\n{lines}")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
}

/// A change that a client makes. Few names exist, so that changes meet.
#[derive(Clone, Debug)]
enum Step {
    Entity(u8),
    Patch(u8),
    Forget(u8),
    Repo(u8),
    DropRepo(u8),
    Commit { repo: u8, path: u8, size: u8 },
    Delete { repo: u8, path: u8 },
    Deploy(u8),
    Undeploy(u8),
    Again,
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0..3_u8;
    prop_oneof![
        1 => few.clone().prop_map(Step::Entity),
        1 => few.clone().prop_map(Step::Patch),
        1 => few.clone().prop_map(Step::Forget),
        2 => few.clone().prop_map(Step::Repo),
        1 => few.clone().prop_map(Step::DropRepo),
        4 => (few.clone(), few.clone(), 0..4_u8).prop_map(|(repo, path, size)| Step::Commit { repo, path, size }),
        1 => (few.clone(), few.clone()).prop_map(|(repo, path)| Step::Delete { repo, path }),
        1 => few.clone().prop_map(Step::Deploy),
        1 => few.prop_map(Step::Undeploy),
        1 => Just(Step::Again),
    ]
}

impl Step {
    /// Makes the change. It may be refused if its subject does not exist.
    async fn take(self, p: &Platform) {
        const DATASETS: &str = "/nemo/v1/datasets";
        const DEPLOYMENTS: &str = "/nemo/v1/deployment/model-deployments";
        let repo = |number: u8| json!({"name": format!("r{number}"), "organization": "ns", "type": "dataset"});
        let commit = |number: u8, line: Value| {
            let head = json!({"key": "header", "value": {"summary": "s", "description": ""}});
            let url = p.url(&format!("/datastore/v1/hf/api/datasets/ns/r{number}/commit/main"));
            p.http.post(url).body(format!("{head}\n{line}\n")).send()
        };
        match self {
            Step::Entity(n) => drop(p.post(DATASETS, json!({"name": format!("d{n}"), "files_url": "hf://x"})).await),
            Step::Patch(n) => {
                let body = json!({"description": uuid::Uuid::new_v4().to_string()});
                p.send(Method::PATCH, &format!("{DATASETS}/default/d{n}"), Some(&body)).await;
            }
            Step::Forget(n) => drop(p.delete(&format!("{DATASETS}/default/d{n}")).await),
            Step::Repo(n) => {
                p.post("/datastore/v1/datastore/namespaces", json!({"namespace": "ns"})).await;
                p.post("/datastore/v1/hf/api/repos/create", repo(n)).await;
            }
            Step::DropRepo(n) => {
                p.send(Method::DELETE, "/datastore/v1/hf/api/repos/delete", Some(&repo(n))).await;
            }
            Step::Commit { repo, path, size } => {
                let content = [0, 10, LARGE, LARGE + 1][usize::from(size)];
                let content = "x".repeat(content);
                let file = json!({"path": format!("f/{path}"), "content": content, "encoding": "utf-8"});
                commit(repo, json!({"key": "file", "value": file})).await.unwrap();
            }
            Step::Delete { repo, path } => {
                commit(repo, json!({"key": "deletedFile", "value": {"path": format!("f/{path}")}})).await.unwrap();
            }
            Step::Deploy(n) => {
                let nim = json!({"image_name": "x", "image_tag": "1", "gpu": 2});
                let config = json!({"model": "a/b", "nim_deployment": nim});
                p.post(DEPLOYMENTS, json!({"name": format!("n{n}"), "config": config})).await;
            }
            Step::Undeploy(n) => drop(p.delete(&format!("{DEPLOYMENTS}/default/n{n}")).await),
            Step::Again => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_changed_is_so_after_a_new_start(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut p = kept(folder.path());
            for step in steps.into_iter().chain([Step::Again]) {
                if matches!(step, Step::Again) {
                    let before = seen(&p).await;
                    drop(p);
                    p = kept(folder.path());
                    assert_eq!(seen(&p).await, before);
                } else {
                    step.take(&p).await;
                }
            }
            drop(p);
            // Nothing is left of files that were overwritten in a repository that is gone.
            let p = kept(folder.path());
            for n in 0..3 {
                Step::DropRepo(n).take(&p).await;
            }
            drop(p);
            assert_eq!(std::fs::read_dir(folder.path().join("contents")).unwrap().count(), 0);
        });
    }
}
