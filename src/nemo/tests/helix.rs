//! Helix: how it is told from other platforms, and what the client does beside the call that it was asked for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::{Fake, Reply, Seen, missing, ok, reply};
use crate::nemo::{
    Client, ClientOptions, EvaluationKind, JobStatus, JudgeModel, NewDeployment, NewEvaluation, RemoteModel, Removal,
    Secret,
};
use crate::vocabulary::Generation;

/// Answers as Helix does to what finds out the generation, and otherwise by `script`.
pub(super) async fn helix(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |seen: &Seen, _| match seen.line().as_str() {
        "GET /nemo/cluster-info" => ok(json!({ "platform_version": "0.8.1" })),
        "GET /nemo/apis/evals/v1/healthz" => ok(json!({})),
        line => script(line),
    })
    .await
}

pub(in crate::nemo) fn deployment() -> NewDeployment {
    NewDeployment {
        namespace: "w".into(),
        name: "d".into(),
        model: "w/m".into(),
        image_name: String::new(),
        image_tag: String::new(),
        pvc_size: None,
        gpu: 1,
        envs: BTreeMap::new(),
        engine: None,
        context_length: None,
        lora_rank: 16,
        description: "d (me@host)".into(),
    }
}

/// A new evaluation with a judge that has a key.
fn evaluation() -> NewEvaluation {
    let judge = RemoteModel { url: "https://h/v1".into(), model: "j".into(), key: Some(Secret::new("s3cr3t")) };
    NewEvaluation {
        namespace: "w".into(),
        description: "e (me@here)".into(),
        kind: EvaluationKind::ToolCalling,
        judge: Some(JudgeModel::Remote(judge)),
        model: "w/m".into(),
        dataset: "d".into(),
        file: "eval_data.jsonl".into(),
        temperature: None,
    }
}

fn client_with_token(fake: &Fake) -> Client {
    Client::new(&fake.options(), None, "w").unwrap()
}

pub(super) fn client(fake: &Fake, generation: Option<Generation>) -> Client {
    let options = ClientOptions { bearer: None, ..fake.options() };
    Client::new(&options, generation, "w").unwrap()
}

#[tokio::test]
async fn the_platform_says_its_generation_and_version() {
    let fake = helix(|_| missing()).await;
    let version = client(&fake, None).version().await.unwrap();
    assert_eq!((version.generation, version.version.as_deref()), (Generation::Helix, Some("0.8.1")));

    let v1 = Fake::start(|seen, _| match seen.path.starts_with("/nemo/v1/namespaces") {
        true => ok(json!({ "data": [] })),
        false => missing(),
    })
    .await;
    let version = client(&v1, None).version().await.unwrap();
    assert_eq!((version.generation, version.version), (Generation::V1, None));
    assert_eq!(v1.lines()[0], "GET /nemo/cluster-info");
}

#[tokio::test]
async fn the_404_of_a_gateway_does_not_make_another_platform_of_helix() {
    let looks = AtomicU32::new(0);
    let fake = Fake::start(move |seen, _| match seen.line().as_str() {
        "GET /nemo/cluster-info" if looks.fetch_add(1, Ordering::Relaxed) == 0 => {
            reply(404, r#"{"message": "no Route matched"}"#)
        }
        "GET /nemo/cluster-info" => ok(json!({ "platform_version": "0.8.1" })),
        "GET /nemo/apis/evals/v1/healthz" => ok(json!({})),
        _ => missing(),
    })
    .await;
    assert_eq!(client(&fake, None).version().await.unwrap().generation, Generation::Helix);
}

#[tokio::test]
async fn an_unknown_platform_is_refused_by_every_call() {
    let other = Fake::start(|_, _| missing()).await;
    let error = client(&other, None).ensure_namespace("w").await.unwrap_err().to_string();
    assert!(error.contains("v1 API") && error.contains("nor NeMo Helix"), "{error}");
    let error = client(&other, Some(Generation::Helix)).ensure_namespace("w").await.unwrap_err().to_string();
    assert!(error.contains("this is not NeMo Helix"), "{error}");
    let v1 = Fake::start(|seen, _| match seen.path.starts_with("/nemo/v1/namespaces") {
        true => ok(json!({ "data": [] })),
        false => missing(),
    })
    .await;
    let error = client(&v1, Some(Generation::Helix)).ensure_namespace("w").await.unwrap_err().to_string();
    assert!(error.contains("this is version 1") && error.contains("nim_base_url and datastore_base_url"), "{error}");
    assert!(other.lines().iter().all(|line| line.starts_with("GET ")), "{:?}", other.lines());
}

#[tokio::test]
async fn the_configuration_of_a_refused_deployment_is_deleted() {
    let fake = helix(|line| match line {
        "POST /nemo/apis/models/v2/workspaces/w/deployment-configs" => reply(201, "{}"),
        "POST /nemo/apis/models/v2/workspaces/w/deployments" => reply(422, r#"{"detail": "no runtime"}"#),
        "DELETE /nemo/apis/models/v2/workspaces/w/deployment-configs/d" => reply(204, ""),
        _ => missing(),
    })
    .await;
    let error = client(&fake, None).create_deployment(&deployment()).await.unwrap_err();
    assert!(error.to_string().contains("no runtime"), "{error}");
    assert_eq!(fake.lines().last().unwrap(), "DELETE /nemo/apis/models/v2/workspaces/w/deployment-configs/d");
}

#[tokio::test]
async fn a_platform_that_deploys_nothing_gets_no_configuration() {
    let fake = helix(|line| match line {
        line if line.starts_with("POST ") => reply(201, "{}"),
        line if line.starts_with("DELETE ") => reply(422, r#"{"detail": "no runtime"}"#),
        _ => missing(),
    })
    .await;
    let error = client(&fake, None).create_deployment(&deployment()).await.unwrap_err();
    assert!(error.to_string().contains("no runtime"), "{error}");
    assert!(!fake.lines().iter().any(|line| line.starts_with("POST ")), "{:?}", fake.lines());
}

#[tokio::test]
async fn a_base_model_is_deleted_with_what_belongs_to_it_only_if_dfwfd_made_it() {
    let jobs = json!({ "data": [
        { "name": "a", "source": "models-system", "description": "Model Spec Analyzer for model w/m" },
        { "name": "b", "source": "models-system", "description": "Model Spec Analyzer for model w/other" },
        { "name": "c", "source": "mine", "description": "about w/m" },
    ], "pagination": { "total_pages": 1 } });
    let made = helix(move |line| match line {
        line if line.starts_with("GET /nemo/apis/jobs/v2/workspaces/w/jobs?") => ok(jobs.clone()),
        line if line.contains('?') => ok(json!({ "data": [] })),
        line if line.starts_with("GET ") => ok(json!({ "name": "m", "description": "dfwfd" })),
        _ => reply(204, ""),
    })
    .await;
    client(&made, None).delete_base_model("w/m").await.unwrap();
    let deleted: Vec<String> = made.lines().into_iter().filter(|line| line.starts_with("DELETE")).collect();
    assert_eq!(
        deleted,
        [
            "DELETE /nemo/apis/models/v2/workspaces/w/models/m",
            "DELETE /nemo/apis/files/v2/workspaces/w/filesets/m",
            "DELETE /nemo/apis/secrets/v2/workspaces/w/secrets/m-token",
            "DELETE /nemo/apis/jobs/v2/workspaces/w/jobs/a",
        ]
    );

    let with_their_secret = helix(move |line| match line {
        line if line.contains('?') => ok(json!({ "data": [] })),
        line if line.contains("/secrets/") => ok(json!({ "name": "m-token", "description": "of the operator" })),
        line if line.starts_with("GET ") => ok(json!({ "name": "m", "description": "dfwfd" })),
        _ => reply(204, ""),
    })
    .await;
    client(&with_their_secret, None).delete_base_model("w/m").await.unwrap();
    let lines = with_their_secret.lines();
    assert!(!lines.iter().any(|line| line.starts_with("DELETE") && line.contains("secrets")), "{lines:?}");

    let theirs = helix(|_| ok(json!({ "name": "m", "description": "of the operator" }))).await;
    client(&theirs, None).delete_base_model("w/m").await.unwrap();
    assert!(!theirs.lines().iter().any(|line| line.starts_with("DELETE")), "{:?}", theirs.lines());
}

#[tokio::test]
async fn nothing_is_deployed_in_a_workspace_that_is_missing() {
    let fake = helix(|line| match line {
        "GET /nemo/apis/entities/v2/workspaces/w" => missing(),
        _ => reply(500, r#"{"detail": "Failed to list"}"#),
    })
    .await;
    assert!(client(&fake, None).deployments().await.unwrap().is_empty());
    assert!(client(&fake, None).served_models().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_controller_that_is_late_is_asked_again() {
    let looks = AtomicU32::new(0);
    let fake = helix(move |line| match line {
        "GET /nemo/status" => {
            let healthy = looks.fetch_add(1, Ordering::Relaxed) > 0;
            ok(json!({ "status": "healthy", "controllers": { "healthy": healthy } }))
        }
        _ => missing(),
    })
    .await;
    client(&fake, None).check_api().await.unwrap();
    assert_eq!(fake.lines().iter().filter(|line| *line == "GET /nemo/status").count(), 2);
}

#[tokio::test]
async fn the_scores_go_with_their_evaluation() {
    let fake = helix(|line| match line {
        "DELETE /nemo/apis/evals/v2/workspaces/w/eval-results/e" => reply(204, ""),
        "DELETE /nemo/apis/evals/v2/workspaces/w/evaluate/jobs/e" => reply(204, ""),
        _ => missing(),
    })
    .await;
    client(&fake, None).delete_evaluation_job("w/e").await.unwrap();
    let lines = fake.lines();
    assert_eq!(
        lines[lines.len() - 2..],
        [
            "DELETE /nemo/apis/evals/v2/workspaces/w/eval-results/e",
            "DELETE /nemo/apis/evals/v2/workspaces/w/evaluate/jobs/e",
        ]
    );
}

#[tokio::test]
async fn the_configuration_goes_with_its_deployment() {
    let fake = helix(|line| match line {
        "DELETE /nemo/apis/models/v2/workspaces/w/deployments/d" => reply(202, "{}"),
        "GET /nemo/apis/models/v2/workspaces/w/deployments/d" => ok(json!({ "name": "d", "status": "DELETED" })),
        "DELETE /nemo/apis/models/v2/workspaces/w/deployment-configs/d" => reply(204, ""),
        _ => missing(),
    })
    .await;
    client(&fake, None).delete_deployment("w", "d").await.unwrap();
    assert_eq!(fake.lines().last().unwrap(), "DELETE /nemo/apis/models/v2/workspaces/w/deployment-configs/d");
}

#[tokio::test]
async fn the_key_of_a_judge_is_stored_for_the_time_of_the_job() {
    let fake = helix(|line| match line {
        "POST /nemo/apis/secrets/v2/workspaces/w/secrets" => reply(201, "{}"),
        "POST /nemo/apis/evals/v2/workspaces/w/evaluate/jobs" => ok(json!({ "name": "e", "status": "created" })),
        "GET /nemo/apis/evals/v2/workspaces/w/evaluate/jobs/e" => ok(
            json!({ "name": "e", "status": "completed", "spec": { "metrics": [{ "secrets": { "e_key": "e-key" } }] } }),
        ),
        "DELETE /nemo/apis/secrets/v2/workspaces/w/secrets/e-key" => reply(204, ""),
        _ => missing(),
    })
    .await;
    let client = client(&fake, None);
    let job = client.create_evaluation_job(&evaluation()).await.unwrap();
    assert_eq!(job.id, "w/e");
    client.evaluation_job(&job.id).await.unwrap().unwrap();
    let seen = fake.seen();
    assert_eq!(seen[2].json(), json!({ "name": "e-key", "description": "dfwfd", "value": "s3cr3t" }));
    let sent = String::from_utf8_lossy(&seen[3].body).into_owned();
    assert!(sent.contains("\"api_key_secret\":\"e-key\"") && !sent.contains("s3cr3t"), "{sent}");
    assert_eq!(seen.last().unwrap().line(), "DELETE /nemo/apis/secrets/v2/workspaces/w/secrets/e-key");
}

#[tokio::test]
async fn a_404_of_unknown_form_says_nothing_and_the_list_decides() {
    let unknown = || reply(404, r#"{"message": "no route matched"}"#);
    let list = |items: &[&str]| {
        let items: Vec<_> = items.iter().map(|name| json!({ "name": name, "status": "active" })).collect();
        ok(json!({ "data": items, "pagination": { "total_pages": 1 } }))
    };
    let gone = helix(move |line| if line.contains("?page=1&page_size=100") { list(&[]) } else { unknown() }).await;
    let nemo = client(&gone, None);
    assert!(nemo.deployment("w", "d").await.unwrap().is_none());
    assert!(!nemo.namespace_exists("w").await.unwrap());
    assert!(!nemo.dataset_remains("w", "d").await.unwrap());
    assert!(!nemo.evaluation_remains("w/e").await.unwrap());
    assert!(!nemo.adapter_remains("w", "a", &["w/t"]).await.unwrap());
    assert_eq!(nemo.delete_adapter("w", "a", &["w/t"]).await.unwrap(), Removal::Absent);
    assert_eq!(nemo.delete_evaluation_job("w/e").await.unwrap(), Removal::Absent);
    nemo.cancel_training_job("w/t").await.unwrap();

    let there = helix(move |line| if line.contains("?page=1&page_size=100") { list(&["x"]) } else { unknown() }).await;
    let nemo = client(&there, None);
    assert!(nemo.deployment("w", "x").await.unwrap().is_some());
    assert!(nemo.dataset_remains("w", "x").await.unwrap() && nemo.evaluation_remains("w/x").await.unwrap());
    assert!(nemo.adapter_remains("w", "x", &[]).await.unwrap());
    assert!(nemo.delete_dataset("w", "x").await.is_err() && nemo.delete_adapter("w", "x", &[]).await.is_err());
    assert!(nemo.cancel_evaluation_job("w/x").await.is_err());
}

#[tokio::test]
async fn a_thing_that_something_else_changes_is_deleted_later() {
    let fake = helix(|line| match line.split(' ').next() {
        Some("GET") => ok(json!({ "name": "x", "status": "active" })),
        _ => reply(409, r#"{"detail": "Concurrent modification - please retry."}"#),
    })
    .await;
    let nemo = client(&fake, None);
    assert!(nemo.delete_deployment("w", "d").await.unwrap_err().is_transient());
    assert!(nemo.delete_dataset("w", "d").await.unwrap_err().is_transient());
    assert!(nemo.cancel_training_job("w/t").await.unwrap_err().is_transient());
    // A create that is told so is not sent again: the thing exists.
    let refused = nemo.create_deployment(&deployment()).await.unwrap_err();
    assert!(!refused.is_transient() && refused.already_exists(), "{refused}");
}

#[tokio::test]
async fn a_job_on_a_platform_that_wants_a_token_has_it_for_its_time() {
    let fake = helix(|line| match line {
        "POST /nemo/apis/secrets/v2/workspaces/w/secrets" => reply(201, "{}"),
        "POST /nemo/apis/evals/v2/workspaces/w/evaluate/jobs" => ok(json!({ "name": "e", "status": "created" })),
        "GET /nemo/apis/evals/v2/workspaces/w/evaluate/jobs/e" => ok(
            json!({ "name": "e", "status": "completed", "spec": { "target": { "api_key_secret": "e-token" }, "metrics": [] } }),
        ),
        "DELETE /nemo/apis/secrets/v2/workspaces/w/secrets/e-token" => reply(204, ""),
        _ => missing(),
    })
    .await;
    let nemo = client_with_token(&fake);
    nemo.create_evaluation_job(&NewEvaluation { judge: None, ..evaluation() }).await.unwrap();
    let bodies: Vec<String> = fake.seen().iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect();
    let sent = |what: &str| bodies.iter().find(|body| body.contains(what)).unwrap_or_else(|| panic!("{bodies:?}"));
    assert!(sent(r#""value":"for-nemo""#).contains(r#""name":"e-token""#), "{bodies:?}");
    assert!(sent("prompt_template").contains(r#""api_key_secret":"e-token""#), "{bodies:?}");
    nemo.evaluation_job("w/e").await.unwrap();
    assert_eq!(fake.lines().last().unwrap(), "DELETE /nemo/apis/secrets/v2/workspaces/w/secrets/e-token");
}

#[tokio::test]
async fn the_secrets_of_a_refused_job_are_deleted() {
    let fake = helix(|line| match line {
        "POST /nemo/apis/secrets/v2/workspaces/w/secrets" => reply(201, "{}"),
        "POST /nemo/apis/evals/v2/workspaces/w/evaluate/jobs" => reply(422, r#"{"detail": "no such field"}"#),
        line if line.starts_with("GET /nemo/apis/secrets/") => ok(json!({ "name": "s", "description": "dfwfd" })),
        line if line.starts_with("DELETE ") => reply(204, ""),
        _ => missing(),
    })
    .await;
    let error = client_with_token(&fake).create_evaluation_job(&evaluation()).await.unwrap_err();
    assert!(error.to_string().contains("no such field"), "{error}");
    for secret in ["e-key", "e-token"] {
        let deleted = format!("DELETE /nemo/apis/secrets/v2/workspaces/w/secrets/{secret}");
        assert!(fake.lines().contains(&deleted), "{:?}", fake.lines());
    }
}

#[tokio::test]
async fn a_job_that_has_its_rows_has_ended_even_if_its_status_was_lost() {
    let fake = helix(|line| match line {
        "GET /nemo/apis/evals/v2/workspaces/w/evaluate/jobs/e" => {
            ok(json!({ "name": "e", "status": "created", "status_details": { "evaluation": { "total": 12 } } }))
        }
        "GET /nemo/apis/evals/v2/workspaces/w/evaluate/jobs/early" => {
            ok(json!({ "name": "early", "status": "active" }))
        }
        line if line.ends_with("/results/row-scores/download") => reply(200, "{}\n"),
        _ => missing(),
    })
    .await;
    let nemo = client(&fake, None);
    assert_eq!(nemo.evaluation_job("w/e").await.unwrap().unwrap().status, JobStatus::Done);
    assert!(!nemo.evaluation_job("w/early").await.unwrap().unwrap().status.is_terminal());
}
