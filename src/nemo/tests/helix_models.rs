//! Base models on Helix: which one is taken, made, kept and asked.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::helix::{client, helix};
use super::jobs::new_training;
use super::{Fake, Reply, missing, ok, reply};
use crate::nemo::{ApiError, BaseModel, EvaluationKind, JudgeModel, NewEvaluation, NewTrainingJob, Secret};

const FILESET: &str = "GET /nemo/apis/files/v2/workspaces/w/filesets/mm";
const ENTITY: &str = "GET /nemo/apis/models/v2/workspaces/w/models/mm";

fn model(repository: &str) -> BaseModel {
    BaseModel { repository: Some(repository.to_owned()), ..named("org/mm") }
}

fn named(name: &str) -> BaseModel {
    BaseModel { name: name.to_owned(), entity: None, repository: None, hub: None, token: None }
}

/// A fileset of this repository, made by dfwfd.
fn ours(repository: &str) -> Value {
    json!({ "name": "mm", "description": "dfwfd", "storage": { "type": "huggingface", "repo_id": repository } })
}

/// Ensures the base model of a repository on a platform that has this entity and this fileset of its name.
async fn ensured(
    repository: &str,
    entity: Option<Value>,
    fileset: Option<Value>,
) -> (Result<(), ApiError>, Vec<String>) {
    let of = |there: &Option<Value>| there.clone().map_or_else(missing, ok);
    let fake = helix(move |line| match line {
        ENTITY => of(&entity),
        FILESET => of(&fileset),
        line if line.starts_with("POST") && line.ends_with("/filesets") && fileset.is_some() => {
            reply(409, r#"{"detail": "exists"}"#)
        }
        line if line.starts_with("POST") => reply(201, "{}"),
        _ => missing(),
    })
    .await;
    let ensured = client(&fake, None).ensure_base_model(&model(repository)).await;
    (ensured, fake.lines().into_iter().filter(|line| line.starts_with("POST")).collect())
}

#[tokio::test]
async fn a_base_model_of_another_repository_is_refused() {
    let entity = || Some(json!({ "name": "mm", "fileset": "w/mm" }));
    let (refused, posted) = ensured("org/b", entity(), Some(ours("org/a"))).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("w/mm is of the repository org/a, not of org/b") && posted.is_empty(),
        "{refused} {posted:?}"
    );
    let (taken, posted) = ensured("Org/A", entity(), Some(ours("org/a"))).await;
    assert!(taken.is_ok() && posted.is_empty(), "{taken:?} {posted:?}");
    // The operator has put the files there.
    let (taken, posted) =
        ensured("org/b", entity(), Some(json!({ "name": "mm", "storage": { "type": "local" } }))).await;
    assert!(taken.is_ok() && posted.is_empty(), "{taken:?} {posted:?}");
    let (refused, _) = ensured("org/b", entity(), None).await;
    assert!(refused.unwrap_err().to_string().contains("the fileset w/mm, which does not exist"));
}

#[tokio::test]
async fn a_fileset_of_the_name_is_taken_only_if_dfwfd_made_it_of_the_repository() {
    let (made, posted) = ensured("org/a", None, Some(ours("org/a"))).await;
    assert!(made.is_ok(), "{made:?}");
    assert_eq!(posted.len(), 2, "{posted:?}");
    for (fileset, why) in [
        (json!({ "name": "mm", "purpose": "dataset" }), "is not the one of org/a"),
        (json!({ "name": "mm", "description": "mine", "storage": { "repo_id": "org/a" } }), "is not the one of org/a"),
        (ours("org/b"), "is of the repository org/b, not of org/a"),
    ] {
        let (refused, posted) = ensured("org/a", None, Some(fileset)).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(why) && posted.is_empty(), "{refused} {posted:?}");
    }
}

#[tokio::test]
async fn a_fileset_that_somebody_makes_meanwhile_is_not_taken() {
    let taken = AtomicBool::new(false);
    let fake = helix(move |line| match line {
        FILESET if taken.load(Ordering::Relaxed) => ok(json!({ "name": "mm", "purpose": "dataset" })),
        "POST /nemo/apis/files/v2/workspaces/w/filesets" => {
            taken.store(true, Ordering::Relaxed);
            reply(409, r#"{"detail": "exists"}"#)
        }
        _ => missing(),
    })
    .await;
    let refused = client(&fake, None).ensure_base_model(&model("org/a")).await.unwrap_err();
    assert!(refused.to_string().contains("is not the one of org/a") && !refused.already_exists(), "{refused}");
    assert!(
        !fake.lines().iter().any(|line| line.starts_with("POST") && line.ends_with("/models")),
        "{:?}",
        fake.lines()
    );
}

/// A platform with two workspaces whose base model `w/mm` dfwfd made, and one thing in a list of the other workspace.
async fn used_by(list: &'static str, thing: Value) -> Fake {
    helix(move |line| {
        let all = |data: Value| -> Reply { ok(json!({ "data": data, "pagination": { "total_pages": 1 } })) };
        match line {
            line if line.contains("/entities/v2/workspaces?") => all(json!([{ "name": "w" }, { "name": "x" }])),
            line if line.contains(&format!("/workspaces/x/{list}?")) => all(json!([thing.clone()])),
            line if line.contains('?') => all(json!([])),
            line if line.starts_with("GET ") => ok(json!({ "name": "mm", "description": "dfwfd" })),
            _ => reply(204, ""),
        }
    })
    .await
}

#[tokio::test]
async fn a_base_model_that_something_uses_is_kept() {
    for (list, thing) in [
        ("deployment-configs", json!({ "name": "d", "model_entity_id": "w/mm" })),
        ("adapters", json!({ "name": "d", "model": "w/mm" })),
        ("automodel/jobs", json!({ "name": "d", "status": "active", "spec": { "model": "w/mm" } })),
        ("unsloth/jobs", json!({ "name": "d", "status": "created", "spec": { "model": { "name": "w/mm" } } })),
    ] {
        let fake = used_by(list, thing).await;
        let kept = client(&fake, None).delete_base_model("w/mm").await.unwrap_err().to_string();
        assert!(kept.contains("x/d uses it, so it stays"), "{list}: {kept}");
        assert!(!fake.lines().iter().any(|line| line.starts_with("DELETE")), "{list}: {:?}", fake.lines());
    }
    for (list, thing) in [
        ("deployment-configs", json!({ "name": "d", "model_entity_id": "mm" })),
        ("automodel/jobs", json!({ "name": "d", "status": "completed", "spec": { "model": "w/mm" } })),
    ] {
        let fake = used_by(list, thing).await;
        client(&fake, None).delete_base_model("w/mm").await.unwrap();
        assert!(fake.lines().iter().any(|line| line.starts_with("DELETE")), "{list}: {:?}", fake.lines());
    }
}

#[tokio::test]
async fn a_model_is_asked_in_the_workspace_of_its_entity() {
    let fake = helix(|line| match line {
        line if line.ends_with("/evaluate/jobs") => ok(json!({ "name": "e", "status": "created" })),
        line if line.starts_with("POST /nemo/apis/inference-gateway/v2/workspaces/other/") => {
            ok(json!({ "choices": [] }))
        }
        _ => missing(),
    })
    .await;
    let client = client(&fake, None);
    let adapter = "other/m&adapters/w/a";
    assert!(client.answers(adapter).await.unwrap());
    client.chat(adapter, EvaluationKind::Text, 0.0, &json!({ "request": { "messages": [] } })).await.unwrap();
    let new = NewEvaluation {
        namespace: "w".into(),
        description: "e (me@here)".into(),
        kind: EvaluationKind::ToolCalling,
        judge: Some(JudgeModel::Served("third/j".into())),
        model: adapter.into(),
        dataset: "d".into(),
        file: "eval_data.jsonl".into(),
        temperature: None,
    };
    client.create_evaluation_job(&new).await.unwrap();
    let spec = fake.seen().last().unwrap().json()["spec"].clone();
    let url =
        |url: &Value, workspace: &str| url.as_str().unwrap().contains(&format!("/v2/workspaces/{workspace}/openai/"));
    assert!(url(&spec["target"]["url"], "other"), "{spec:#}");
    assert!(url(&spec["metrics"][1]["payload"]["metric"]["model"]["url"], "third"), "{spec:#}");
}

#[tokio::test]
async fn every_backend_scales_an_adapter_as_version_1_does() {
    for backend in [None, Some("unsloth".to_owned())] {
        let fake = helix(|_| reply(201, r#"{"name": "t", "status": "created"}"#)).await;
        let new = NewTrainingJob { backend, ..new_training() };
        client(&fake, None).create_training_job(&new).await.unwrap();
        let lora = &fake.seen().last().unwrap().json()["spec"]["training"]["lora"];
        assert_eq!((&lora["rank"], &lora["alpha"]), (&json!(32), &json!(16)), "{lora}");
    }
}

#[tokio::test]
async fn a_server_error_to_a_create_may_mean_the_request() {
    for (status, may) in [(500, true), (502, true), (503, false), (422, false)] {
        let fake = helix(move |_| reply(status, r#"{"detail": "An unexpected error occurred."}"#)).await;
        let error = client(&fake, None).create_training_job(&new_training()).await.unwrap_err();
        assert_eq!(error.may_be_of_the_request(), may, "{status}");
    }
    let page = helix(|_| reply(502, "<html>bad gateway</html>")).await;
    let error = client(&page, None).create_training_job(&new_training()).await.unwrap_err();
    assert!(!error.may_be_of_the_request(), "a page is of an ingress, and passes");
}

#[tokio::test]
async fn a_secret_of_the_operator_is_neither_used_nor_deleted() {
    let with_token = || BaseModel { token: Some(Secret::new("hf_t0ken")), ..model("org/a") };
    for (owner, stores) in [("the desk", false), ("dfwfd", true)] {
        let posted = AtomicBool::new(false);
        let fake = helix(move |line| match line {
            "POST /nemo/apis/secrets/v2/workspaces/w/secrets" if !posted.swap(true, Ordering::Relaxed) => {
                reply(409, r#"{"detail": "exists"}"#)
            }
            "GET /nemo/apis/secrets/v2/workspaces/w/secrets/mm-token" => {
                ok(json!({ "name": "mm-token", "description": owner }))
            }
            line if line.starts_with("POST") => reply(201, "{}"),
            line if line.starts_with("DELETE") => reply(204, ""),
            _ => missing(),
        })
        .await;
        let made = client(&fake, None).ensure_base_model(&with_token()).await;
        let deleted = fake.lines().iter().any(|line| line.starts_with("DELETE"));
        assert_eq!((made.is_ok(), deleted), (stores, stores), "{owner}: {made:?} {:?}", fake.lines());
        if let Err(refused) = made {
            assert!(refused.to_string().contains("w/mm-token") && refused.to_string().contains("rename"), "{refused}");
        }
    }
}
